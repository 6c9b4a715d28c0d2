"""``butler enqueue`` and ``butler executions`` on real servers."""

from __future__ import annotations

import json
import threading

import pytest
from fleet import wait_for
from postgres_scenes import add_worker, new_execution

from butler import lifecycle
from butler.executions import ErrorRecord, ExecutionStatus
from butler.ids import new_id, new_token
from butler.storage.records import Claim, ProgressReport

HOSTILE = "evil \x1b[2J\r\nid  forged"
EXAMPLE = "0198c0de-0000-7000-8000-000000000000"


@pytest.fixture
def announced(butler):
    """The tasks of the fleet's app, known from the ledger as after a worker's start."""
    butler.storage.register_tasks(butler.tasks())
    return butler


def start(butler, execution_id):
    worker_id = add_worker(butler.storage)
    claim = Claim(worker_id=worker_id, token=new_token(), ids=(execution_id,))
    return butler.storage.claim(claim).won[0]


def fail(butler, execution_id, message="boom"):
    error = ErrorRecord(type="ValueError", message=message, traceback=f"Traceback\n  {message}")
    butler.storage.finish([lifecycle.fail(start(butler, execution_id), error=error)])


def succeed(butler, execution_id, result="1"):
    butler.storage.finish([lifecycle.succeed(start(butler, execution_id), result=result)])


# enqueue


def test_enqueue_prints_the_id_and_talks_on_stderr(run_butler, announced):
    ran = run_butler(
        "enqueue", "work", '{"n": 1}', "--tag", "x", "--user", "ada", "--priority", "high"
    )
    assert ran.code == 0
    execution = announced.get_or_raise(ran.out.strip())
    assert (execution.task, execution.request, execution.tags) == ("work", {"n": 1}, ("x",))
    assert (execution.user_id, execution.priority) == ("ada", "high")
    assert ran.err == f"work is enqueued: {execution.id}\n"


def test_enqueue_reads_its_request_from_stdin_and_prints_json(run_butler, announced):
    ran = run_butler("enqueue", "work", "-", "--delay", "1h", "--json", stdin='{"n": 2}')
    assert ran.json["created"] is True
    execution = announced.get_or_raise(ran.json["id"])
    assert execution.status is ExecutionStatus.SCHEDULED
    assert 3500 < (execution.run_at - execution.created_at).total_seconds() < 3700


def test_enqueue_may_replace_what_waits_and_set_an_end(run_butler, butler, announced):
    options = ("--unique-key", "k", "--delay", "1h", "--expires-at", "2h")
    first = run_butler("enqueue", "work", '{"n": 1}', *options)
    second = run_butler("enqueue", "work", '{"n": 2}', *options, "--replace")
    assert first.lines == second.lines
    assert "waits with this request now" in second.err
    execution = butler.get(second.lines[0])
    assert execution.request["n"] == 2
    assert 3600 < (execution.expires_at - execution.created_at).total_seconds() < 8000


def test_enqueue_with_a_held_unique_key_says_so(run_butler, announced):
    first = run_butler("enqueue", "work", '{"n": 1}', "--unique-key", "k")
    second = run_butler("enqueue", "work", '{"n": 1}', "--unique-key", "k")
    assert second.out == first.out
    assert "has an unfinished execution with this unique key" in second.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("wrok", '{"n": 1}'), 1, "no task named 'wrok'; did you mean \"work\"?"),
        (("work", '{"n": "one"}'), 1, "n: 'one' is not of type 'integer'"),
        (("work", "{n: 1}"), 2, "REQUEST is no JSON"),
        (("work", "{}", "--delay", "soon"), 2, "'soon' is no duration"),
        (("work", "{}", "--delay", "1h", "--at", "2h"), 1, "exclude each other"),
    ],
)
def test_enqueue_refuses_what_cannot_run_and_writes_nothing(
    run_butler, announced, arguments, code, message
):
    ran = run_butler("enqueue", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert announced.list().executions == ()


def test_enqueue_waits_for_the_result_or_the_failure(run_butler, announced):
    def work():
        for end in (succeed, fail):
            (queued,) = wait_for(lambda: announced.list(status="queued").executions)
            end(announced, queued.id)

    worker = threading.Thread(target=work)
    worker.start()
    done = run_butler("enqueue", "work", '{"n": 1}', "--wait", "30s")
    assert (done.code, done.out) == (0, "1\n")
    failed = run_butler("enqueue", "work", '{"n": 2}', "--wait", "30s")
    assert (failed.code, failed.out) == (1, "")
    assert "failed: ValueError: boom" in failed.err
    worker.join(30)
    late = run_butler("enqueue", "work", '{"n": 3}', "--wait", "0.1s", "--json")
    assert (late.code, late.json["status"]) == (3, "queued")


# list and show


def test_list_filters_pages_and_prints_ids(run_butler, announced):
    ids = [announced.enqueue("work", {"n": n}).id for n in range(3)]
    other = announced.enqueue("awork", {"n": 9}, tags=["t"], user_id="u")
    fail(announced, ids[0], "disk full")
    assert run_butler("executions", "list", "--ids").lines == [other.id, *reversed(ids)]
    for filters in (
        ("--status", "failed"),
        ("--text", "DISK"),
        ("--status", "failed", "--status", "running", "--task", "work", "--since", "1h"),
    ):
        assert run_butler("executions", "list", "--ids", *filters).lines == [ids[0]]
    for filters in (("--tag", "t"), ("--user", "u"), ("--task", "awork", "--queue", "default")):
        assert run_butler("executions", "list", "--ids", *filters).lines == [other.id]
    assert run_butler("executions", "list", "--until", "1h", "--ids").lines == []
    first = run_butler("executions", "list", "--limit", "3", "--json").json
    rest = run_butler("executions", "list", "--cursor", first["next_cursor"], "--json").json
    assert [e["id"] for e in (*first["executions"], *rest["executions"])] == [
        other.id,
        *reversed(ids),
    ]
    assert rest["next_cursor"] is None


def test_a_table_is_columns_in_utc_and_says_what_is_worth_knowing(run_butler, announced):
    failed = announced.enqueue("work", {"n": 1})
    fail(announced, failed.id, "disk full")
    ran = run_butler("executions", "list")
    header, row = ran.lines
    assert header.split() == ["ID", "TASK", "STATUS", "QUEUE", "ATTEMPTS", "CREATED", "NOTE"]
    assert row.startswith(f"{failed.id}  work  failed  default  1/3")
    assert row.endswith("Z  ValueError: disk full")
    nothing = run_butler("executions", "list", "--status", "running")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "no executions\n")


def test_a_name_and_an_error_of_a_users_cannot_act_on_a_terminal(run_butler, announced):
    row = new_execution(task=HOSTILE, tags=(HOSTILE,), user_id=HOSTILE, unique_key=HOSTILE)
    announced.storage.insert([row])
    fail(announced, row.id, HOSTILE)
    for arguments in (("list",), ("show", row.id), ("watch", row.id), ("list", "--json")):
        ran = run_butler("executions", *arguments)
        for forbidden in ("\x1b", "\r"):
            assert forbidden not in ran.out
        assert not any(line.startswith("id  forged") for line in ran.lines)
    assert r"evil \x1b[2J\x0d\x0aid  forged" in run_butler("executions", "list").out


def test_show_tells_everything_as_text_and_as_json(run_butler, announced):
    handle = announced.enqueue("work", {"n": 1}, tags=["a", "b"], user_id="ada", timeout_s=90)
    claimed = start(announced, handle.id)
    report = ProgressReport(
        execution_id=handle.id,
        attempt=claimed.attempt,
        claim_token=claimed.claim_token,
        percent=40,
        message="half",
    )
    announced.storage.report_progress([report])
    error = ErrorRecord(type="ValueError", message="boom", traceback="Traceback\n  line")
    announced.storage.finish([lifecycle.fail(claimed, error=error)])
    shown = run_butler("executions", "show", handle.id).out
    for text in (
        f"id          {handle.id}",
        "status      failed",
        "time limit  1 min 30 s",
        'request     {"n": 1',
        "error       ValueError: boom",
        "tags        a, b",
        "user        ada",
        "\ntraceback\n  Traceback\n    line\n",
        "ATTEMPT  OUTCOME",
        "40       half",
    ):
        assert text in shown
    form = run_butler("executions", "show", handle.id, "--json").json
    assert (form["status"], form["request"]["n"], form["tags"]) == ("failed", 1, ["a", "b"])
    assert [attempt["outcome"] for attempt in form["attempts"]] == ["failed"]
    assert [event["message"] for event in form["events"]] == ["half"]


@pytest.mark.parametrize("execution_id", [EXAMPLE, "nonsense"])
@pytest.mark.parametrize("command", ["show", "watch"])
def test_an_execution_that_is_not_there_is_an_error(run_butler, command, execution_id):
    ran = run_butler("executions", command, execution_id)
    assert (ran.code, ran.out) == (1, "")
    assert f"no execution {execution_id} in the ledger" in ran.err


# watch


def test_watch_follows_an_execution_to_its_end(run_butler, announced):
    handle = announced.enqueue("work", {"n": 1})
    entered = threading.Event()

    def work():
        entered.wait(30)
        claimed = start(announced, handle.id)
        report = ProgressReport(
            execution_id=handle.id,
            attempt=claimed.attempt,
            claim_token=claimed.claim_token,
            percent=40,
            message="half",
        )
        announced.storage.report_progress([report])
        seen.wait(30)
        announced.storage.finish([lifecycle.succeed(claimed, result="1")])

    seen = threading.Event()
    # What it prints is seen when it is over; that it looked is seen in the ledger's reads.
    get = type(announced).get_or_raise

    def watched(self, execution_id):
        execution = get(self, execution_id)
        entered.set()
        if execution.progress is not None:
            seen.set()
        return execution

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(announced), "get_or_raise", watched)
        worker = threading.Thread(target=work)
        worker.start()
        ran = run_butler("executions", "watch", handle.id, "--json")
        worker.join(30)
    changes = [json.loads(line) for line in ran.lines]
    assert ran.code == 0
    assert changes[0]["status"] == "queued"
    assert {"percent": 40.0, "message": "half"} in [change["progress"] for change in changes]
    assert changes[-1]["status"] == "succeeded"


def test_watch_tells_a_failure_and_a_timeout_by_its_exit_code(run_butler, announced):
    handle = announced.enqueue("work", {"n": 1})
    late = run_butler("executions", "watch", handle.id, "--timeout", "0.1s")
    assert (late.code, late.lines) == (3, ["work queued"])
    assert "still queued, and goes on" in late.err
    fail(announced, handle.id)
    ran = run_butler("executions", "watch", handle.id)
    assert (ran.code, ran.lines) == (1, ["work failed, ValueError: boom"])


# cancel, retry, rerun, delete


def test_cancel_ends_what_waits_asks_what_runs_and_says_what_it_could_not(run_butler, announced):
    waiting, running, over = (announced.enqueue("work", {"n": n}).id for n in range(3))
    start(announced, running)
    succeed(announced, over)
    missing = new_id()
    dry = run_butler("executions", "cancel", "--dry-run", waiting, running, over, missing)
    assert dry.lines == [
        f"{waiting}  queued: would be cancelled",
        f"{running}  running: would be asked to end",
        f"{over}  succeeded: nothing would be done",
        f"{missing}  not there: nothing would be done",
    ]
    assert announced.get(waiting).status is ExecutionStatus.QUEUED
    ran = run_butler("executions", "cancel", waiting, running, over, missing)
    assert ran.code == 1
    assert ran.lines == [f"{waiting}  cancelled", f"{running}  asked to end"]
    assert f"{over}: it is over: succeeded" in ran.err
    assert f"{missing}: there is no such execution" in ran.err
    assert announced.get(waiting).status is ExecutionStatus.CANCELLED
    assert announced.get(running).cancel_requested_at is not None


def test_ids_come_from_stdin_too(run_butler, announced):
    ids = [announced.enqueue("work", {"n": n}).id for n in range(3)]
    listed = run_butler("executions", "list", "--ids").out
    ran = run_butler("executions", "cancel", "-", "--json", stdin=listed)
    assert {(e["id"], e["done"]) for e in ran.json["executions"]} == {(i, True) for i in ids}
    assert ran.code == 0


def test_retry_opens_again_what_failed_and_refuses_the_rest(run_butler, announced):
    failed, queued = (announced.enqueue("work", {"n": n}).id for n in range(2))
    fail(announced, failed)
    dry = run_butler("executions", "retry", "--dry-run", "--json", failed, queued).json
    assert [e["would"] for e in dry["executions"]] == ["would be queued again", None]
    ran = run_butler("executions", "retry", failed, queued)
    assert (ran.code, ran.lines) == (1, [f"{failed}  queued again"])
    assert f"{queued}: it is queued: only a failed or cancelled one" in ran.err
    assert announced.get(failed).status is ExecutionStatus.QUEUED


def test_rerun_prints_the_new_ids(run_butler, announced):
    old = announced.enqueue("work", {"n": 1}).id
    ran = run_butler("executions", "rerun", old, EXAMPLE)
    (new,) = ran.lines
    assert announced.get(new).rerun_of == old
    assert ran.code == 1
    assert f"{EXAMPLE}: no execution" in ran.err
    form = run_butler("executions", "rerun", old, "--json").json["executions"][0]
    assert (form["id"], form["done"], form["created"]) == (old, True, True)


def test_delete_removes_only_what_is_finished(run_butler, announced):
    over, queued = (announced.enqueue("work", {"n": n}).id for n in range(2))
    succeed(announced, over)
    run_butler("executions", "delete", "--dry-run", over)
    assert announced.get(over) is not None
    ran = run_butler("executions", "delete", over, queued)
    assert (ran.code, ran.lines) == (1, [f"{over}  deleted"])
    assert f"{queued}: it is queued: only a finished one can be deleted" in ran.err
    assert announced.get(over) is None
