"""Time ``Cron.next_after`` beside bare croniter, in one run: ``python benchmarks/schedules.py``.

Two croniter figures: "kept" keeps one parsed croniter object and only asks for the next time (the
strictest comparison), "made" also makes the object, as a scheduler that keeps expressions does.
Butler's figure is ``next_after`` on a ``Cron`` that exists, as kept by the scheduler.
"""

import sys
import timeit
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter

from butler.schedules import BUSINESS_DAYS, Between, Cron

COMMON = (
    *("* * * * *", "*/5 * * * *", "0 * * * *", "30 2 * * *", "0 9-17 * * 1-5"),
    *("0 0 * * 0", "0 0 1 * *", "0 0 L * *", "0 12 * * 2#1", "0 0 29 2 *"),
)
HARD = ("0 0 29 2 *", "59 59 23 LW 2 ?", "0 0 29 2 1#5", "0 0 31W 12 *")
ZONE = "Europe/Berlin"
ROUNDS = 2000
BUDGET = 2.0


def microseconds(call, rounds=ROUNDS):
    """The best of five, in microseconds a call."""
    return min(timeit.repeat(call, number=rounds, repeat=5)) / rounds * 1e6


def compare(start):
    """Print a line for each common expression; the worst ratio to the kept croniter."""
    local = start.astimezone(ZoneInfo(ZONE))
    worst = 0.0
    print(f"{'expression':<18}{'butler':>9}{'kept':>9}{'made':>9}{'ratio':>8}")
    for expression in COMMON:
        cron = Cron(expression, timezone=ZONE)
        oracle = croniter(expression, local)
        ours = microseconds(lambda cron=cron: cron.next_after(start))
        kept = microseconds(
            lambda oracle=oracle: oracle.get_next(datetime, start_time=local), ROUNDS // 10
        )
        made = microseconds(
            lambda expression=expression: croniter(expression, local).get_next(datetime),
            ROUNDS // 10,
        )
        worst = max(worst, ours / kept)
        print(f"{expression:<18}{ours:>9.1f}{kept:>9.1f}{made:>9.1f}{ours / kept:>8.2f}")
    return worst


def main():
    """Exit 1 when a common expression takes more than twice croniter's time."""
    start = datetime(2026, 3, 1, 11, tzinfo=UTC)
    worst = compare(start)
    print("\nhard ones, microseconds:")
    for expression in HARD:
        cron = Cron(expression, timezone=ZONE)
        print(
            f"{expression:<18}{microseconds(lambda cron=cron: cron.next_after(start), 200):>9.1f}"
        )
    hours = Between(Cron("* * * * * *", timezone=ZONE), weekdays=BUSINESS_DAYS[:1])
    print(f"{'filtered':<18}{microseconds(lambda: hours.next_after(start), 200):>9.1f}")
    gap = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
    every = Cron("* * 2 * * *", timezone=ZONE)
    print(f"{'at a gap':<18}{microseconds(lambda: every.next_after(gap), 200):>9.1f}")
    print(f"\nworst ratio to a kept croniter: {worst:.2f} (budget {BUDGET})")
    return 0 if worst <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
