"""A scheduler's desk with recurring jobs on it, for the tests of this folder."""

from __future__ import annotations

from datetime import timedelta

from butler_scheduler.clock_guard import ClockGuard
from butler_scheduler.recurring import GATHER_S, Recurring
from pydantic import BaseModel

from butler import Butler
from butler.lifecycle import fail
from butler.pushing import Pusher
from butler.recurring.firing import Firer
from butler.recurring.job import FireOutcome
from butler.schedules import Interval
from butler.storage.records import ExecutionQuery
from tests.unit.scheduler_kit import START, Bench

MINUTELY = Interval(60, anchor=START)
O = FireOutcome  # noqa: E741


class Mail(BaseModel):
    to: str


def send(request: Mail) -> None: ...


class MailWithSubject(Mail):
    subject: str


class MailWithGreeting(Mail):
    greeting: str = "hello"


def send_with_subject(request: MailWithSubject) -> None: ...


def send_with_greeting(request: MailWithGreeting) -> None: ...


def ping() -> None: ...


class Desk(Bench):
    """A bench with recurring jobs: ``jobs`` makes them, ``tick`` fires them."""

    def __init__(self):
        super().__init__()
        self.butler = Butler(
            redis=self.redis, storage=self.ledger.memory, clock=self.clock, name="shop"
        )
        self.butler.task(name="t")(ping)
        self.butler.task(name="mail", queue="mail", tags=["post"])(send)
        self.announce()
        self.jobs = self.butler.recurring
        self.service = self.new_service(self.leader)

    def new_service(self, leader):
        return Recurring(
            self.ledger,
            firer=Firer(
                self.ledger,
                pusher=Pusher(self.wire, clock=self.clock),
                batch=3,
                clock=self.clock,
            ),
            leader=leader,
            guard=ClockGuard(self.clock),
            clock=self.clock,
        )

    def announce(self, butler=None):
        self.ledger.memory.register_tasks((butler or self.butler).tasks())

    def add(self, name="job", *, task="t", schedule=MINUTELY, **options):
        return self.jobs.create(name, task, schedule, **options)

    def fire(self, seconds=0.0):
        """Let time pass in one go, then tick until nothing is due."""
        self.clock.advance(seconds)
        while self.tick(self.service) == GATHER_S:
            pass

    def history(self, name="job"):
        return [
            (fire.outcome, fire.fire_at) for fire in reversed(self.jobs.history(name, limit=1000))
        ]

    def executions(self):
        return self.ledger.memory.find(ExecutionQuery()).executions

    def end(self, execution_id):
        """Let a worker run it, and fail."""
        from butler.ids import new_id
        from butler.storage.records import Claim

        hand = self.worker(new_id())
        claim = Claim(worker_id=hand.worker_id, token=new_id(), ids=(execution_id,))
        [claimed] = self.ledger.memory.claim(claim).won
        from butler.executions import ErrorRecord

        self.ledger.memory.finish([fail(claimed, error=ErrorRecord(type="E", message="m"))])


def minute(n):
    return START + timedelta(minutes=n)


# The clock


def step_clock(desk, seconds):
    """The ledger's wall clock jumps; nobody's monotonic clock does."""
    desk.clock._now += timedelta(seconds=seconds)
