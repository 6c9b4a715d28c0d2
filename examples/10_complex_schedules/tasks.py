from pydantic import BaseModel
from schedules import campaign, closing, nightly, office_hours

from butler import Butler, Interval, TaskContext

butler = Butler(name="back office")


class Ledger(BaseModel):
    name: str


@butler.recurring(office_hours, name="poll the bank", request=Ledger(name="bank"), jitter_s=60)
@butler.recurring(closing, name="close the month", request=Ledger(name="month"), misfire="catch_up")
@butler.task
def book(ledger: Ledger) -> str:
    """Book what has come in; a month's end that was missed is made up for."""
    return ledger.name


@butler.recurring(campaign, name="campaign", misfire="skip")
@butler.task
def send_offer() -> None:
    """Send an offer; one that is late is worth nothing."""


@butler.recurring(
    nightly, overlap="cancel_running", description="A newer backup replaces an older."
)
@butler.task(timeout_s=None)
def back_up() -> None:
    """Back everything up."""


@butler.recurring(Interval(1), name="slow", overlap="queue", max_fires=3)
@butler.task
async def slow(context: TaskContext) -> None:
    """Take longer than its own second: the next one waits its turn."""
    await context.sleep(1.3)
