from datetime import UTC, date, datetime, time

from butler.schedules import BUSINESS_DAYS, AnyOf, Between, Cron, Except, Interval, Schedule

BERLIN = "Europe/Berlin"

# Every half hour of the office's day, not at weekends, not on holidays.
office_hours = Except(
    Between(
        Interval(1800), opens=time(9), closes=time(17), weekdays=BUSINESS_DAYS, timezone=BERLIN
    ),
    dates=[date(2026, 4, 3), date(2026, 4, 6)],  # Good Friday, Easter Monday
    yearly=["01-01", "05-01", "12-25", "12-26"],
    timezone=BERLIN,
)

# The last weekday of each month in the evening, and the first Monday of each quarter.
closing = AnyOf(
    Cron("0 18 LW * *", timezone=BERLIN), Cron("0 9 ? JAN,APR,JUL,OCT MON#1", timezone=BERLIN)
)

# Ten mornings of a campaign.
campaign = Between(Cron("0 8 * * *", timezone=BERLIN), start=date(2026, 9, 1), max_fires=10)

# Half past two: a time that does not exist on 29 March 2026, and exists twice on 25 October.
nightly = Cron("30 2 * * *", timezone=BERLIN)


def show(title: str, schedule: Schedule, start: str, count: int) -> None:
    print(f"{title}:")
    for fire in schedule.preview(datetime.fromisoformat(start).replace(tzinfo=UTC), count):
        print(f"  {fire.local:%a %d %b %H:%M %Z} {fire.note}".rstrip())


if __name__ == "__main__":
    show("office hours before Easter", office_hours, "2026-04-02T14:00", 4)
    show("closing", closing, "2026-03-15", 3)
    show("clocks go forward", nightly, "2026-03-28", 2)
    show("clocks go back", nightly, "2026-10-24T12:00", 2)
