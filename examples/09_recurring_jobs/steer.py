import time
from collections.abc import Callable
from typing import TypeVar

from tasks import Feed, butler, read_feed

from butler import Interval
from butler.recurring import RecurringFire

T = TypeVar("T")


def wait_for(condition: Callable[[], T]) -> T:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.05)
    return found


jobs = butler.recurring
wait_for(lambda: jobs.find("read world news"))
print("declared:", ", ".join(job.name for job in jobs.list(source="newsroom").jobs))


def succeeded() -> list[RecurringFire]:
    fires = reversed(jobs.history("read world news"))
    return [fire for fire in fires if fire.execution_status == "succeeded"]


first = wait_for(succeeded)[0]
print("at a full second:", first.fire_at.microsecond == 0)
assert first.execution_id is not None  # as of every fire that has a status
execution = butler.get_or_raise(first.execution_id)
print(execution.result, "on time:", execution.run_at == first.fire_at)

print("paused:", jobs.pause("read world news").status)
print("by hand:", jobs.trigger("read world news").result(timeout_s=30))

sport = jobs.create(
    "read sport", read_feed, Interval(60), request=Feed(url="https://sport.example")
)
changed = jobs.update(sport.name, schedule=Interval(30), version=sport.version)
print("changed:", changed.schedule.describe())
print("deleted:", jobs.bulk("delete", text="sport").done)

[digest] = jobs.preview("send_digest", count=1)
print("the next digest is at", f"{digest.local:%H:%M} in Berlin")
