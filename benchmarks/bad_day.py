"""A bad day: five troubles on real servers, and who is told of what, and how soon.

A task starts failing, a worker's process is killed, a queue jams, a recurring job is late, and when
these are over Postgres slows, for the scheduler. Each trouble ends once it was told. A webhook
hears what is said: five alerts opened and resolved, each told once, and no other.

With the rules as they come it takes about seven minutes, because a queue may wait for five; figures
are seconds from when a rule's number was reached to the message, and from the trouble's end.
``--quick`` shortens what the rules wait for, has the scheduler look every half second, and lets all
five happen at once. Exits with 1 when anything else was said.
"""

import argparse
import json
import os
import signal
import socket
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from door import Door
from kit import HERE, show, start

sys.path.insert(0, str(HERE.parent / "tests"))

SLOW_S = 1.1
HOST = socket.gethostname()
JOB = "close the till"
# What the rules wait for in the short form; the order is that of the troubles. On a machine that is
# busy with other things, another queue may well wait for two seconds, and Redis answer in one.
QUICK = {
    "task-fails-in-a-row": {},
    "worker-lost": {"window_s": 8},
    "queue-waits-too-long": {"threshold": 2, "resolve_after_s": 0, "applies_to": "mail"},
    "recurring-job-late": {"threshold": 6},
    "health-check-red": {"open_after_s": 1, "resolve_after_s": 1, "applies_to": "postgres"},
}
LONGEST_S = {True: 90, False: 480}


@dataclass
class Trouble:
    """One trouble; ``reached_s`` is when its rule's number was, all on one clock."""

    rule: str
    subject: str
    reached_s: float | None = None
    opened_s: float | None = None
    over_s: float | None = None
    resolved_s: float | None = None

    def hear(self, event, at_s):
        if event == "opened" and self.opened_s is None:
            self.opened_s = at_s
        if event == "resolved" and self.resolved_s is None:
            self.resolved_s = at_s

    def row(self):
        opened, resolved = self.opened_s - self.reached_s, self.resolved_s - self.over_s
        return {"rule": self.rule, "opened_after_s": opened, "resolved_after_s": resolved}


class BadDay:
    """The fleet, its troubles, and the receiver that hears of them."""

    def __init__(self, butler, receiver, *, door, quick, logs):
        self.butler = butler
        self.receiver = receiver
        self.quick = quick
        self._door = door
        self._logs = logs
        self._processes = []
        self._rules = {rule.name: rule for rule in butler.alert_rules.list()}
        subjects = ("charge", HOST, "mail", JOB, "postgres")
        self.troubles = [
            Trouble(rule, subject) for rule, subject in zip(QUICK, subjects, strict=True)
        ]

    def prepare(self):
        """Rules, workers, a scheduler behind the door, and some work that goes well."""
        if self.quick:
            self._door.delays = b"clock_timestamp()"
            for rule, options in QUICK.items():
                self._rules[rule] = self.butler.alert_rules.update(rule, **options)
        for queue, slots in (("till", 4), ("mail", 1)):
            worker = ("butler_workers", "--app", "bad_day_tasks:butler", "--queues", queue)
            self._start("-m", *worker, "--processes", "1", "--concurrency", str(slots))
        told = {
            "BUTLER_DATABASE_URL": self._door.url,
            "BUTLER_ALERT_CHANNELS": f"ops={self.receiver.url}",
            "BUTLER_ALERT_ALLOW_PRIVATE": "true",
        }
        with changed_environment(told):
            command = ("hasty_scheduler.py",) if self.quick else ("-m", "butler_scheduler")
            self._start(*command)
        self.until(lambda: self._worker("till") and self._worker("mail"), "workers")
        self.butler.enqueue("charge", {"amount": 1}).result(timeout_s=60)
        self.until(lambda: self.butler.storage.picture().leader, "a leader")

    def run(self):
        """All five, until all are resolved."""
        failing, lost, jammed, late, slow = self.troubles
        self._fail(failing)
        with self._late(late) as let_fire:
            unjam = self._jam(jammed)
            self._kill(lost)
            if self.quick:
                self._slow(slow)
            endings = [(jammed, unjam), (late, let_fire), (failing, self._succeed)]
            self._play([failing, lost, jammed, late], endings)
        if not self.quick:
            self._slow(slow)
        self._play(self.troubles, [(slow, self._quicken)])

    def _play(self, troubles, endings):
        """Hear what is said; a trouble that was told is ended."""
        endings = {trouble.rule: end for trouble, end in endings}
        deadline = time.monotonic() + LONGEST_S[self.quick]
        while any(trouble.resolved_s is None for trouble in troubles):
            assert time.monotonic() < deadline, f"only this was told: {self.receiver.told()}"
            now = time.monotonic()
            for event, rule, subject in self.receiver.told():
                for trouble in self.troubles:
                    if (rule, subject) == (trouble.rule, trouble.subject):
                        trouble.hear(event, now)
            for trouble in troubles:
                end = endings.get(trouble.rule)
                if trouble.opened_s is not None and trouble.over_s is None and end is not None:
                    end()
                    trouble.over_s = time.monotonic()
            time.sleep(0.02)

    def _fail(self, trouble):
        handles = [self.butler.enqueue("charge", {"amount": -1}) for _ in range(5)]
        self.until(lambda: all(h.execution().status.finished for h in handles), "failures")
        trouble.reached_s = time.monotonic()

    def _succeed(self):
        self.butler.enqueue("charge", {"amount": 1}).result(timeout_s=60)

    def _kill(self, trouble):
        worker = self._worker("till")
        os.kill(worker.pid, signal.SIGKILL)
        lost = self.until(
            lambda: [row for row in self.butler.storage.workers() if row.lost], "a lost worker"
        )
        trouble.reached_s = time.monotonic()
        silent_s = (self.butler.storage.now() - lost[0].heartbeat_at).total_seconds()
        window_s = self._rules[trouble.rule].window_s
        trouble.over_s = trouble.reached_s + window_s - silent_s

    def _jam(self, trouble):
        hung = self.butler.enqueue("hang", {"amount": 1})
        self.until(lambda: hung.execution().status == "running", "what hangs")
        self.butler.enqueue("send", {"amount": 1})
        trouble.reached_s = time.monotonic() + self._rules[trouble.rule].threshold
        return hung.cancel

    @contextmanager
    def _late(self, trouble):
        """Somebody's open transaction holds the row of a job that is due."""
        import psycopg

        from butler import Interval

        due = self.butler.storage.now() + timedelta(seconds=1)
        self.butler.recurring.create(
            JOB, "charge", Interval(3_600, anchor=due), request={"amount": 1}
        )
        with psycopg.connect(os.environ["BUTLER_DATABASE_URL"]) as connection:
            connection.execute("SELECT FROM butler.recurring_jobs FOR UPDATE")
            trouble.reached_s = time.monotonic() + 1 + self._rules[trouble.rule].threshold
            yield connection.rollback

    def _slow(self, trouble):
        self._door.delay_s = SLOW_S
        trouble.reached_s = time.monotonic()

    def _quicken(self):
        self._door.delay_s = 0.0

    def _worker(self, queue):
        living = [w for w in self.butler.storage.workers() if not w.lost and w.stopped_at is None]
        return next((worker for worker in living if queue in worker.queues), None)

    def until(self, condition, what, *, timeout_s=60):
        """What the condition returns once it is true."""
        deadline = time.monotonic() + timeout_s
        while not (value := condition()):
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
            time.sleep(0.02)
        return value

    def _start(self, *arguments):
        self._processes.append(start([*arguments, "--log-level", "warning"], stderr=self._logs))

    def stop(self):
        """End all that was started."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(60)

    def findings(self):
        """What was told that should not have been, or was not, or twice."""
        wanted = sorted(
            (event, trouble.rule, trouble.subject)
            for trouble in self.troubles
            for event in ("opened", "resolved")
        )
        told = sorted(self.receiver.told())
        ids = [message["id"] for message in self.receiver.messages()]
        found = [] if told == wanted else [f"told {told}, expected {wanted}"]
        return found + ([] if len(set(ids)) == len(ids) else [f"an id was used twice: {ids}"])


@contextmanager
def changed_environment(changes):
    """These variables for the processes that are started within."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def bad_day(butler, *, quick, logs):
    """A day on the servers that the two variables name, to be prepared and run."""
    from webhook_receiver import Receiver

    butler.storage.prepare()
    receiver = Receiver()
    with Door(os.environ["BUTLER_DATABASE_URL"]) as door:
        day = BadDay(butler, receiver, door=door, quick=quick, logs=logs)
        try:
            yield day
        finally:
            day.stop()
            receiver.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shortened rules, all at once")
    parser.add_argument("--json", action="store_true", help="prints JSON")
    arguments = parser.parse_args()
    from butler.embedded import EmbeddedServices

    with (
        tempfile.TemporaryDirectory(prefix="butler-bad-day-") as place,
        EmbeddedServices(Path(place)) as services,
        Path(place, "log").open("wb") as logs,
    ):
        os.environ["BUTLER_REDIS_URL"] = services.redis_url
        os.environ["BUTLER_DATABASE_URL"] = services.database_url
        os.environ["BUTLER_MIGRATE"] = "auto"
        from butler import Butler

        with Butler() as butler, bad_day(butler, quick=arguments.quick, logs=logs) as day:
            day.prepare()
            began = time.monotonic()
            day.run()
            took_s = time.monotonic() - began
        outcome = {
            "took_s": took_s,
            "troubles": [trouble.row() for trouble in day.troubles],
            "findings": day.findings(),
        }
    if arguments.json:
        print(json.dumps(outcome, indent=2))
    else:
        for row in outcome["troubles"]:
            print("{rule:22} opened {opened_after_s:6.1f} s".format(**row), end="")
            print(" after, resolved {resolved_after_s:6.1f} s after its end".format(**row))
        show(f"took {took_s:.0f} s")
    for finding in outcome["findings"]:
        show(finding)
    sys.exit(1 if outcome["findings"] else 0)


if __name__ == "__main__":
    main()
