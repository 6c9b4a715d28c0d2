"""Lists read a page by an index that has their order, however long the history is."""

from __future__ import annotations

import re

import pytest
from postgres_scenes import custom_plan

from butler.executions import ExecutionStatus
from butler.ids import new_id
from butler.storage.records import ExecutionQuery

pytestmark = pytest.mark.unused_ledger


def sent_by_find(storage, query):
    """The statement of a listing, with its parameters."""
    sent = []
    run = storage._connections.run
    storage._connections.run = lambda name, params: sent.append((name, params)) or run(name, params)
    storage.find(query)
    name, params = sent[0]
    return storage._connections.statements[name].decode(), params


@pytest.mark.parametrize(
    ("states", "indexes"),
    [
        (("running",), {"running"}),
        (("queued", "running"), {"queued", "running"}),
        (("scheduled", "queued", "running", "retrying"), {"due", "queued", "running"}),
    ],
)
def test_what_is_not_over_is_listed_by_the_indexes_of_its_states(
    states, indexes, storage, connection
):
    """With ``= ANY (...)`` none of them was used, and all of a long history was read."""
    connection.execute(
        "INSERT INTO butler.executions "
        "(id, task, queue, priority, status, max_attempts, run_at, created_at) "
        "SELECT gen_random_uuid(), 'mail', 'default', 'normal', 'succeeded', 3, now(), now() "
        "FROM generate_series(1, 20000) AS n"
    )
    connection.execute("ANALYZE butler.executions")
    query = ExecutionQuery(status=frozenset(map(ExecutionStatus, states)))
    plan = custom_plan(connection, *sent_by_find(storage, query))
    used = set(re.findall(r"executions_(\w+)", plan))
    assert used == indexes, plan


def test_a_page_of_many_children_is_read_in_its_order_and_not_sorted(storage, connection):
    parent = new_id()
    connection.execute(
        "INSERT INTO butler.executions "
        "(id, task, queue, priority, status, max_attempts, run_at, created_at, parent_id) "
        "SELECT gen_random_uuid(), 'mail', 'default', 'normal', 'succeeded', 3, now(), now(), "
        "CASE WHEN n %% 8 = 0 THEN %s::uuid END FROM generate_series(1, 20000) AS n",
        (parent,),
    )
    connection.execute("ANALYZE butler.executions")
    plan = custom_plan(connection, *sent_by_find(storage, ExecutionQuery(parent_id=parent)))
    assert "executions_parent" in plan, plan
    assert "Sort" not in plan, plan
