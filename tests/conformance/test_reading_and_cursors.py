from __future__ import annotations

from datetime import timedelta

import pytest
import recurring_kit
from ledger_driver import fail, new_execution

from butler.errors import ButlerError
from butler.executions import ErrorRecord, ExecutionStatus
from butler.ids import new_id
from butler.recurring.job import FireOutcome
from butler.scopes import Scope
from butler.storage.records import ExecutionQuery
from butler.storage.recurring_records import FireRow, RecurringStep

S = ExecutionStatus


def found(storage, **query):
    return [execution.id for execution in storage.find(ExecutionQuery(**query)).executions]


def pages(storage, *, between=lambda: None, **query):
    """The ids of each page."""
    page = storage.find(ExecutionQuery(**query))
    yield [execution.id for execution in page.executions]
    while page.next_cursor is not None:
        between()
        page = storage.find(ExecutionQuery(after=page.next_cursor, **query))
        yield [execution.id for execution in page.executions]


def test_an_empty_ledger_has_one_empty_page(storage):
    page = storage.find(ExecutionQuery())
    assert (page.executions, page.next_cursor) == ((), None)
    assert storage.count(ExecutionQuery()) == {}


def test_an_unknown_execution_is_none(storage):
    assert storage.get(new_id()) is None
    assert storage.events(new_id()) == []


def test_the_newest_come_first(storage, ledger):
    ids = [ledger.enqueue() for _ in range(5)]
    assert list(reversed(ids)) == found(storage)


def test_a_listing_shows_executions_without_their_attempts(storage, ledger):
    id_ = ledger.put_in(S.FAILED)
    [listed] = storage.find(ExecutionQuery()).executions
    read = ledger.get(id_)
    assert len(read.attempts) == 1
    assert listed.attempts == ()
    for name in ("id", "status", "request", "error", "attempt", "created_at", "finished_at"):
        assert getattr(read, name) == getattr(listed, name)


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 6), (4, [4, 2]), (6, [6]), (7, [6])])
def test_pages_are_cut_and_the_last_has_no_cursor(storage, ledger, limit, sizes):
    ids = [ledger.enqueue() for _ in range(6)]
    cut = list(pages(storage, limit=limit))
    assert sizes == [len(page) for page in cut]
    assert list(reversed(ids)) == [id_ for page in cut for id_ in page]


def test_paging_sees_every_row_once_while_others_are_inserted(storage, ledger):
    ids = [reply.id for reply in storage.insert([new_execution() for _ in range(25)])]
    seen = [id_ for page in pages(storage, limit=4, between=ledger.enqueue) for id_ in page]
    assert len(seen) == len(set(seen))
    assert set(ids) <= set(seen)


def test_paging_goes_on_when_the_cursors_own_row_is_deleted(storage, ledger):
    ids = [ledger.put_in(S.CANCELLED) for _ in range(5)]
    first = storage.find(ExecutionQuery(limit=2))
    ledger.delete(first.executions[-1].id)
    rest = storage.find(ExecutionQuery(after=first.next_cursor))
    assert ids[2::-1] == [execution.id for execution in rest.executions]


@pytest.mark.parametrize("limit", [0, -1, 1_001])
def test_a_limit_out_of_range_is_refused(storage, limit):
    with pytest.raises(ButlerError, match="limit"):
        storage.find(ExecutionQuery(limit=limit))


@pytest.mark.parametrize("after", ["", "nonsense", "' OR 1=1 --", "a\x00"])
def test_a_cursor_that_is_none_is_refused(storage, after):
    with pytest.raises(ButlerError, match="after"):
        storage.find(ExecutionQuery(after=after))


@pytest.mark.parametrize("status", S)
def test_finding_by_status(storage, ledger, status):
    ids = {status: ledger.put_in(status) for status in S}
    assert [ids[status]] == found(storage, status=frozenset({status}))


def test_finding_by_several_statuses(storage, ledger):
    ids = {status: ledger.put_in(status) for status in S}
    finished = frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED})
    assert {ids[status] for status in finished} == set(found(storage, status=finished))


@pytest.mark.parametrize(
    ("filters", "options"),
    [
        ({"task": "Pay"}, {"task": "Pay"}),
        ({"queue": "mail"}, {"queue": "mail"}),
        ({"tag": "red"}, {"tags": ("blue", "red")}),
        ({"user_id": "u-1"}, {"user_id": "u-1"}),
        ({"unique_key": "k"}, {"unique_key": "k"}),
    ],
    ids=["task", "queue", "tag", "user_id", "unique_key"],
)
def test_finding_by_what_was_asked_for(storage, ledger, filters, options):
    wanted = ledger.enqueue(**options)
    ledger.enqueue(tags=("redder",), user_id="u-2", unique_key="kk")
    ledger.enqueue()
    assert [wanted] == found(storage, **filters)
    assert storage.count(ExecutionQuery(**filters)) == {S.QUEUED: 1}


def test_finding_children(storage, ledger):
    parent = ledger.enqueue()
    child = ledger.enqueue(parent_id=parent)
    assert [child] == found(storage, parent_id=parent)
    assert found(storage, parent_id=child) == []
    assert found(storage, parent_id="nonsense") == []


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("refused by ÄRGER", True),
        ("100%", True),
        ("_", False),
        ("%", True),
        ("connection", True),
        ("traceback", False),
        ("\\", False),
    ],
)
def test_finding_by_the_text_of_an_error(storage, ledger, text, hit):
    claimed = ledger.running()
    error = ErrorRecord(
        type="OSError", message="Connection refused by Ärger (100%)", traceback="Traceback"
    )
    ledger.done(fail(claimed, error=error))
    ledger.put_in(S.FAILED)
    ledger.enqueue()
    assert ([claimed.id] if hit else []) == found(storage, text=text)


def test_finding_by_age(storage, ledger):
    old, new = ledger.enqueue(), ledger.enqueue()
    born = {id_: ledger.get(id_).created_at for id_ in (old, new)}
    middle = born[old] + (born[new] - born[old]) / 2
    assert [new] == found(storage, created_after=middle)
    assert [old] == found(storage, created_before=middle)
    long_ago = born[old] - timedelta(days=1)
    assert [new, old] == found(storage, created_after=long_ago)
    assert found(storage, created_before=long_ago) == []


def test_every_filter_must_hold(storage, ledger):
    wanted = ledger.enqueue(queue="mail", user_id="u")
    ledger.enqueue(queue="mail")
    ledger.enqueue(user_id="u")
    assert [wanted] == found(storage, queue="mail", user_id="u")
    assert found(storage, queue="mail", user_id="u", status=frozenset({S.FAILED})) == []


def test_pages_keep_the_filters(storage, ledger):
    ids = [ledger.enqueue(queue=("mail", "default")[index % 2]) for index in range(10)]
    seen = [id_ for page in pages(storage, limit=2, queue="mail") for id_ in page]
    assert ids[-2::-2] == seen


def test_counting_by_status(storage, ledger):
    for status in S:
        ledger.put_in(status)
    ledger.put_in(S.FAILED)
    expected = dict.fromkeys(S, 1) | {S.FAILED: 2}
    assert expected == storage.count(ExecutionQuery())
    assert all(isinstance(status, ExecutionStatus) for status in storage.count(ExecutionQuery()))


def test_counting_ignores_the_page(storage, ledger):
    ids = [ledger.enqueue() for _ in range(5)]
    assert storage.count(ExecutionQuery(limit=2, after=ids[1])) == {S.QUEUED: 5}


def test_counting_obeys_the_filters(storage, ledger):
    ledger.put_in(S.FAILED, queue="mail")
    ledger.put_in(S.QUEUED, queue="mail")
    ledger.put_in(S.QUEUED)
    assert storage.count(ExecutionQuery(queue="mail")) == {S.FAILED: 1, S.QUEUED: 1}
    assert storage.count(ExecutionQuery(status=frozenset({S.FAILED}))) == {S.FAILED: 1}


def test_finding_the_executions_of_a_recurring_job(storage, ledger):
    ledger.enqueue()
    job, fired = fired_job(storage)
    assert [fired] == found(storage, recurring_job_id=job)
    assert found(storage, recurring_job_id=new_id()) == []
    assert found(storage, recurring_job_id="nonsense") == []
    assert storage.count(ExecutionQuery(recurring_job_id=job)) == {S.QUEUED: 1}


@pytest.mark.parametrize(
    ("path", "value", "hit"),
    [
        (("to",), "ada", True),
        (("to",), "ad", False),
        (("to",), '"ada"', False),
        (("size",), "7", True),
        (("size",), "7.0", False),
        (("ratio",), "1.50", True),
        (("urgent",), "true", True),
        (("none",), "null", False),
        (("absent",), "ada", False),
        (("lines",), '["a"]', False),
        (("lines", "0"), "a", True),
        (("lines", "1"), "a", False),
        (("by", "name"), "bob", True),
        (("by",), "bob", False),
        (("to", "0"), "a", False),
        (("size", "0"), "7", False),
        (("to\0",), "ada", False),
    ],
)
def test_finding_by_a_field_of_the_request(storage, ledger, path, value, hit):
    request = (
        '{"to": "ada", "size": 7, "ratio": 1.50, "urgent": true, "none": null, "lines": ["a"], '
        '"by": {"name": "bob"}}'
    )
    id_ = ledger.enqueue(request=request)
    ledger.enqueue(request=None)
    assert ([id_] if hit else []) == found(storage, request=((path, value),))


def test_finding_by_several_fields_of_the_request(storage, ledger):
    wanted = ledger.enqueue(request='{"to": "ada", "n": 1}')
    ledger.enqueue(request='{"to": "ada", "n": 2}')
    assert [wanted] == found(storage, request=((("to",), "ada"), (("n",), "1")))


def test_finding_by_start_and_end(storage, ledger):
    waiting, over = ledger.enqueue(), ledger.put_in(S.SUCCEEDED)
    read = ledger.get(over)
    later = timedelta(seconds=1)
    assert [over] == found(storage, started_after=read.started_at)
    assert found(storage, started_before=read.started_at) == []
    assert [over] == found(storage, finished_before=read.finished_at + later)
    assert found(storage, finished_after=read.finished_at + later) == []
    assert waiting not in found(storage, finished_after=read.created_at)


@pytest.mark.parametrize(
    ("within", "hits"),
    [
        (Scope(), [0, 1, 2]),
        (Scope(queues=frozenset({"mail"})), [0, 1]),
        (Scope(tags=frozenset({"x", "y"})), [1, 2]),
        (Scope(queues=frozenset({"mail", "none"}), tags=frozenset({"x"})), [1]),
        (Scope(queues=frozenset({"\0"})), []),
    ],
)
def test_a_scope_hides_what_is_outside(storage, ledger, within, hits):
    ids = [
        ledger.enqueue(queue="mail"),
        ledger.enqueue(queue="mail", tags=("x", "z")),
        ledger.enqueue(tags=("y",)),
    ]
    assert [ids[index] for index in reversed(hits)] == found(storage, within=within)
    assert sum(storage.count(ExecutionQuery(within=within)).values()) == len(hits)


def test_a_page_ends_where_enough_rows_were_looked_at_and_goes_on_from_there(storage, ledger):
    wanted = ledger.enqueue(queue="mail")
    others = [ledger.enqueue() for _ in range(5)]
    first = storage.find(ExecutionQuery(queue="mail", scan=3))
    assert (first.executions, first.truncated, first.next_cursor) == ((), True, others[2])
    second = storage.find(ExecutionQuery(queue="mail", scan=3, after=first.next_cursor))
    assert ([each.id for each in second.executions], second.truncated) == ([wanted], True)
    third = storage.find(ExecutionQuery(queue="mail", scan=3, after=second.next_cursor))
    assert (third.executions, third.truncated, third.next_cursor) == ((), False, None)


def test_filters_with_an_index_look_at_what_they_find_alone(storage, ledger):
    failed = ledger.put_in(S.FAILED, queue="mail")
    mine = ledger.enqueue(user_id="u")
    for _ in range(5):
        ledger.enqueue()
    bad = frozenset({S.FAILED})
    assert [failed] == found(storage, status=bad, scan=2)
    assert [failed] == found(storage, status=bad, queue="mail", task="Send Mail", scan=2)
    assert [mine] == found(storage, user_id="u", scan=2)
    assert not storage.find(ExecutionQuery(user_id="u", queue="default", scan=2)).truncated


def test_what_may_be_large_is_left_out_where_it_is_not_wanted(storage, ledger):
    id_ = ledger.put_in(S.SUCCEEDED, request='{"n": 1}')
    [lean] = storage.find(ExecutionQuery(with_request=False, with_result=False)).executions
    assert (lean.id, lean.request, lean.result) == (id_, None, None)
    [full] = storage.find(ExecutionQuery()).executions
    assert full.request == {"n": 1}


def fired_job(storage):
    """A recurring job's id, and that of the execution of its one fire."""
    new, definition = new_execution(), recurring_kit.definition()
    assert storage.insert_recurring([definition]) == [True]
    fire = FireRow(fire_at=storage.now(), outcome=FireOutcome.FIRED, manual=True, execution=new)
    step = RecurringStep(job_id=definition.id, version=None, fires=(fire,), tracks=False)
    [reply] = storage.fire_recurring([step])
    assert reply.entries
    return definition.id, new.id
