"""One execution's push is made ready while its row is committed, and sent only when it is."""

import pytest

from butler.clock import SYSTEM_CLOCK
from butler.errors import QueueUnavailable, StorageUnavailable
from butler.ids import new_id
from butler.pushing import Pusher
from butler.storage.memory import MemoryStorage
from butler.storage.records import NewExecution
from butler.writing import write_and_push


class Ledger(MemoryStorage):
    """A ledger that leaves its caller time, and may vanish in it."""

    vanishes_after = 1_000

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def insert_meanwhile(self, executions, meanwhile):
        meanwhile()
        if self.steps.count("committed") == self.vanishes_after:
            raise StorageUnavailable("gone")
        self.steps.append("committed")
        return self.insert(executions)


class Wire:
    """Queues that are far away; ``refuses`` is an earlier push that Redis did not take.

    Of many, ``lost`` is the push whose answer, which is read before the next one, is an error.
    """

    refuses = False
    waits = False
    lost = None

    def __init__(self, steps):
        self.steps = steps
        self.pushes = self.answered = 0

    def prepare(self, entry):
        self.steps.append("prepared")
        if self.refuses:
            raise QueueUnavailable("out of memory")
        return None if self.waits else lambda: self.steps.append(f"sent {entry.id}")

    def push(self, entries):
        self.settle()
        self.steps += [f"pushed {entry.id}" for entry in entries]
        self.pushes += 1

    def settle(self):
        owed = range(self.answered, self.pushes)
        self.answered = self.pushes
        if self.lost in owed:
            raise QueueUnavailable("out of memory")


@pytest.fixture
def steps():
    return []


@pytest.fixture
def ledger(steps):
    return Ledger(steps)


@pytest.fixture
def wire(steps):
    return Wire(steps)


@pytest.fixture
def write_all(ledger, wire):
    pusher = Pusher(wire, clock=SYSTEM_CLOCK)

    def write_all(executions):
        return write_and_push(executions, storage=ledger, pusher=pusher, clock=SYSTEM_CLOCK)

    return write_all


@pytest.fixture
def write(write_all):
    return lambda execution: write_all([execution])[0]


def new(**options):
    return NewExecution(id=new_id(), task="noop", queue="mail", request=None, **options)


def test_the_push_is_ready_before_the_commit_and_sent_after_it(write, steps):
    execution = new()
    assert write(execution).pushed
    assert steps == ["prepared", "committed", f"sent {execution.id}"]


def test_a_row_whose_commit_failed_is_not_pushed(write, ledger, steps):
    ledger.vanishes_after = 0
    with pytest.raises(StorageUnavailable):
        write(new())
    assert steps == ["prepared"]


def test_what_is_not_due_is_not_sent_although_it_was_made_ready(write, steps):
    assert not write(new(delay_s=60)).pushed
    assert steps == ["prepared", "committed"]


def test_a_push_that_is_waited_for_comes_after_the_commit(write, wire, steps):
    wire.waits = True
    execution = new()
    assert write(execution).pushed
    assert steps == ["prepared", "committed", f"pushed {execution.id}"]


def test_an_earlier_push_that_was_refused_leaves_the_rest_to_the_scheduler(write, wire, ledger):
    wire.refuses = True
    first, second = new(), new()
    assert not write(first).pushed
    assert not write(second).pushed
    # The first is found by the reconciler, the second by the stager.
    assert [ledger.get(each.id).status for each in (first, second)] == ["queued", "scheduled"]


def in_steps(executions):
    return [f"pushed {each.id}" for each in executions]


def test_of_many_chunks_each_is_pushed_while_the_next_one_is_written(write_all, steps, monkeypatch):
    monkeypatch.setattr("butler.writing.MAX_BATCH", 2)
    batch = [new() for _ in range(5)]
    assert all(reply.pushed for reply in write_all(batch))
    assert steps == [
        *("committed", *in_steps(batch[:2])),
        *("committed", *in_steps(batch[2:4])),
        *("committed", *in_steps(batch[4:])),
    ]


@pytest.mark.parametrize(("lost", "pushed"), [(0, 0), (1, 2), (2, 4)])
def test_of_many_chunks_those_are_pushed_whose_answer_was_good(
    write_all, wire, ledger, monkeypatch, lost, pushed
):
    monkeypatch.setattr("butler.writing.MAX_BATCH", 2)
    wire.lost = lost
    batch = [new() for _ in range(5)]
    assert [reply.pushed for reply in write_all(batch)] == [True] * pushed + [False] * (5 - pushed)
    assert all(ledger.get(each.id) for each in batch)


def test_what_was_written_before_an_error_is_pushed_and_counted(
    write_all, ledger, steps, monkeypatch
):
    monkeypatch.setattr("butler.writing.MAX_BATCH", 2)
    batch = [new() for _ in range(4)]
    ledger.vanishes_after = 1
    with pytest.raises(StorageUnavailable) as caught:
        write_all(batch)
    assert caught.value.__notes__ == ["the first 2 of 4 are written"]
    assert steps == ["committed", *in_steps(batch[:2])]
