"""Short ways to bring a storage into a state, by legal moves alone."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from butler import lifecycle
from butler.executions import ErrorRecord, ExecutionStatus
from butler.ids import new_id, new_token
from butler.retries import RetryPolicy
from butler.storage.records import Claim, NewExecution, RunningAttempt, WorkerRegistration

BOOM = ErrorRecord(type="ValueError", message="boom", traceback="Traceback: boom")
AT_ONCE = RetryPolicy(base_s=0, jitter="none")


def new_execution(**options):
    defaults = {"id": new_id(), "task": "Send Mail", "queue": "default", "request": '{"n": 1}'}
    return NewExecution(**(defaults | options))


def registration(**options):
    id_ = options.get("id", new_id())
    defaults = {
        "id": id_,
        "name": f"worker-{id_}",
        "host": "alpha",
        "pid": 4711,
        "supervisor_id": new_id(),
        "queues": ("default", "mail"),
        "tasks": ("Send Mail",),
        "concurrency": 16,
    }
    return WorkerRegistration(**(defaults | options))


def fail_or_retry(claimed, *, policy=AT_ONCE, error=BOOM):
    return lifecycle.fail_or_retry(claimed, error=error, policy=policy, random=1.0)


def fail(claimed, *, error=BOOM):
    return lifecycle.fail(claimed, error=error)


def race(*calls):
    """Start all calls together in threads; their results in order."""
    barrier = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def run(index, call):
        barrier.wait(timeout=30)
        try:
            results[index] = call()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def eventually(question, *, timeout_s=10.0):
    """Ask until the answer is truthy; that answer."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not true within {timeout_s} s: {question}"
        time.sleep(0.005)


class LedgerDriver:
    def __init__(self, storage):
        self.storage = storage
        self._default_worker = None

    def enqueue(self, **options):
        """Insert one execution; its id."""
        [inserted] = self.storage.insert([new_execution(**options)])
        assert inserted.created
        return inserted.id

    def worker(self, **options):
        """Register a worker; its id."""
        worker = registration(**options)
        self.storage.register_worker(worker)
        return worker.id

    def claim(self, *ids, worker=None, token=None, solo=False):
        """What a claim says; by the same worker unless one is given."""
        if worker is None:
            self._default_worker = self._default_worker or self.worker()
            worker = self._default_worker
        claim = Claim(worker_id=worker, token=token or new_token(), ids=ids, solo=solo)
        return self.storage.claim(claim)

    def won(self, *ids, **options):
        """The attempts of a claim that must win all of its ids, in their order."""
        reply = self.claim(*ids, **options)
        assert sorted(ids) == sorted(claimed.id for claimed in reply.won), reply
        return [next(claimed for claimed in reply.won if claimed.id == id_) for id_ in ids]

    def running(self, *, worker=None, solo=False, **options):
        """Insert and claim one execution; the attempt."""
        [claimed] = self.won(self.enqueue(**options), worker=worker, solo=solo)
        return claimed

    def finish(self, transition):
        """Try one transition; how the row stands."""
        [finished] = self.storage.finish([transition])
        return finished

    def done(self, transition):
        """Apply one transition, which must be allowed."""
        finished = self.finish(transition)
        assert finished.applied, finished
        return finished

    def get(self, id_):
        execution = self.storage.get(id_)
        assert execution is not None
        return execution

    def status(self, id_):
        return self.get(id_).status

    def cancel(self, id_):
        [moved] = self.storage.cancel([id_])
        return moved

    def retry(self, id_):
        [moved] = self.storage.retry([id_])
        return moved

    def delete(self, id_):
        [moved] = self.storage.delete([id_])
        return moved

    def lead(self, holder="leader"):
        """Take the leadership; its epoch."""
        epoch = self.storage.take_leadership(holder, observed=self.storage.leadership())
        assert epoch is not None
        return epoch

    def stage(self, *, limit=1_000):
        """What a new leader stages."""
        return self.storage.stage(epoch=self.lead(), limit=limit)

    def put_in(self, status, **options):
        """A new execution in that state, due now where it waits; its id."""
        match status:
            case ExecutionStatus.SCHEDULED:
                return self.enqueue(unpushed=True, **options)
            case ExecutionStatus.QUEUED:
                return self.enqueue(**options)
            case ExecutionStatus.CANCELLED:
                id_ = self.enqueue(**options)
                assert self.cancel(id_).changed
                return id_
        claimed = self.running(**options)
        match status:
            case ExecutionStatus.RETRYING:
                self.done(fail_or_retry(claimed))
            case ExecutionStatus.SUCCEEDED:
                self.done(lifecycle.succeed(claimed, result='"done"'))
            case ExecutionStatus.FAILED:
                self.done(fail(claimed))
        return claimed.id

    def attempt_of(self, id_):
        """The running attempt, or a forgery with the row's own numbers."""
        execution = self.get(id_)
        if execution.worker_id is not None:
            for attempt in self.storage.running(execution.worker_id):
                if attempt.id == id_:
                    return attempt
        return RunningAttempt(
            id=id_,
            attempt=execution.attempt,
            claim_token=new_token(),
            uncounted=execution.uncounted,
            max_attempts=execution.max_attempts,
            crashes=execution.crashes,
            alone=False,
            cancel_requested=False,
        )


def forged(claimed, **changes):
    """The same attempt with another number or token."""
    return replace(claimed, **changes)
