from __future__ import annotations

import pytest

from butler import lifecycle
from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.ids import new_id
from butler.storage.base import MAX_BATCH


def found(storage, *parents, limit=100):
    return [(c.parent_id, c.standing.id) for c in storage.children(parents, limit=limit)]


def test_children_come_parent_by_parent_each_oldest_first(storage, ledger):
    first, second = ledger.enqueue(), ledger.enqueue()
    of_second = [ledger.enqueue(parent_id=second) for _ in range(2)]
    of_first = [ledger.enqueue(parent_id=first) for _ in range(3)]
    ledger.enqueue()
    expected = [(second, id_) for id_ in of_second] + [(first, id_) for id_ in of_first]
    assert expected == found(storage, second, first)
    assert expected == found(storage, second, first, second)


def test_a_child_comes_with_how_it_stands(storage, ledger):
    parent = ledger.enqueue()
    claimed = ledger.running(parent_id=parent)
    ledger.done(lifecycle.succeed(claimed, result="1"))
    [child] = storage.children([parent], limit=1)
    standing = child.standing
    assert (standing.status, standing.attempt) == (ExecutionStatus.SUCCEEDED, 1)
    assert standing.task == "Send Mail"


def test_a_limit_leaves_the_parents_before_the_last_one_complete(storage, ledger):
    parents = [ledger.enqueue() for _ in range(3)]
    children = {parent: [ledger.enqueue(parent_id=parent) for _ in range(3)] for parent in parents}
    whole = [(parent, id_) for parent in parents for id_ in children[parent]]
    for limit in range(1, 10):
        assert whole[:limit] == found(storage, *parents, limit=limit)


def test_what_is_no_parent_has_no_children(storage, ledger):
    assert found(storage, ledger.enqueue(), new_id(), "nonsense") == []
    assert found(storage) == []


def test_a_batch_that_is_too_large_is_refused(storage):
    with pytest.raises(InvalidOption, match="at most 1000 items, got 1001"):
        storage.children([new_id()] * (MAX_BATCH + 1), limit=1)
