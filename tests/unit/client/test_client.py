"""What a client does through the API, in memory; every test runs with both clients."""

from __future__ import annotations

from datetime import timedelta

import pytest
from client_kit import Mail, Receipt, open_alert
from pydantic import SecretStr

from butler import Cron, ExecutionStatus
from butler.client import RemoteTask
from butler.errors import (
    AlertNotFound,
    AlertRuleExists,
    AlertRuleNotFound,
    ApiError,
    ApiNotFound,
    ExecutionNotFound,
    IllegalTransition,
    InvalidOption,
    InvalidRequest,
    NotAllowed,
    NotAuthenticated,
    RecurringJobExists,
    RecurringJobNotFound,
    StaleUpdate,
    TaskCancelled,
    TaskFailed,
    TokenExists,
    TokenNotFound,
    UnknownTask,
    WaitTimeout,
)


def test_a_task_is_enqueued_by_its_name_and_its_result_is_plain_data(client, butler):
    handle = client.enqueue("pay", 7)
    assert (handle.created, handle.pushed) == (True, True)
    with butler.worker():
        assert handle.result(timeout_s=30) == {"number": 7}
    assert handle.execution() == client.get(handle.id)
    assert handle.execution().status is ExecutionStatus.SUCCEEDED


def test_what_is_read_is_what_the_library_itself_reads(client, butler):
    id_ = client.enqueue("pay", -1, max_attempts=1, user_id="ada", tags=["a", "b"]).id
    with butler.worker(), pytest.raises(TaskFailed, match="too little"):
        client.handle(id_).result(timeout_s=30)
    assert client.get(id_) == butler.get(id_)
    assert [each.id for each in client.list()] == [id_]
    [line] = client.logs(id_)
    assert line == butler.logs(id_)[0]


def test_a_result_is_of_the_type_that_was_asked_for(client, butler):
    handle = client.enqueue("pay", 7, result=Receipt)
    with butler.worker():
        assert handle.result(timeout_s=30) == Receipt(number=7)
    assert client.handle(handle.id, result=Receipt).result() == Receipt(number=7)
    with pytest.raises(InvalidRequest, match="result of 'pay'"):
        client.handle(handle.id, result=str).result()


def test_a_remote_task_has_its_types_with_it_and_its_secrets_arrive(client, butler):
    send = RemoteTask("send", Mail, str)
    with butler.worker():
        sent = client.enqueue(send, Mail(to="ada", key=SecretStr("sesame"))).result(timeout_s=30)
        # In what is shown the secret is masked, also where a result repeats it.
        assert sent == "*** to ada"
    assert butler.list().executions[0].request["key"] == "sesame"
    with pytest.raises(InvalidRequest, match="request of 'send'"):
        client.enqueue(send, {"from": "ada"})


def test_options_of_an_enqueue_are_those_of_the_library(client, butler):
    first = client.enqueue("send", Mail(to="ada"), unique_key="ada", delay_s=60, queue="slow")
    again = client.enqueue("send", {"to": "bob"}, unique_key="ada", replace=True)
    assert (again.id, again.created, again.replaced) == (first.id, False, True)
    assert butler.get(first.id).request["to"] == "bob"


def test_many_are_enqueued_at_once_and_all_or_none(client, butler):
    handles = client.enqueue_many([("pay", 1), (RemoteTask("pay", int, Receipt), 2)], user_id="u")
    with butler.worker():
        assert [handle.result(timeout_s=30) for handle in handles] == [
            {"number": 1},
            Receipt(number=2),
        ]
    assert client.enqueue_many([]) == []
    with pytest.raises(InvalidRequest):
        client.enqueue_many([("pay", 1), ("pay", "one")])
    assert len(butler.list().executions) == 2


def test_a_listing_goes_through_all_pages_and_a_filter_holds_for_each(client):
    ids = [client.enqueue("pay", number).id for number in range(5)]
    client.enqueue("send", {"to": "ada"})
    assert [each.id for each in client.list(task="pay", page_size=2)] == ids[::-1]
    assert [each.request for each in client.list(task="send", request={"to": "ada"})] == [
        {"to": "ada", "key": "***"}
    ]
    page = client.page(status=["queued", "running"], limit=4)
    assert len(page.executions) == 4
    assert len(client.page(cursor=page.next_cursor).executions) == 2


def test_waiting_ends_when_the_time_is_over_and_the_execution_goes_on(client):
    handle = client.enqueue("pay", 1)
    with pytest.raises(WaitTimeout, match=r"not over after 0\.01 s"):
        handle.result(timeout_s=0.01)
    with pytest.raises(WaitTimeout):
        list(handle.events(timeout_s=0.01))
    assert handle.execution().status is ExecutionStatus.QUEUED


def test_of_what_is_over_the_end_is_handed_over(client, butler):
    handle = client.enqueue("pay", 1)
    with butler.worker():
        handle.result(timeout_s=30)
    [last] = handle.events()
    assert (last.status, last.attempt, last.percent) == (ExecutionStatus.SUCCEEDED, 1, 50.0)


def test_executions_are_cancelled_retried_run_again_and_deleted(client):
    handle = client.enqueue("pay", 1)
    assert client.cancel(handle.id) is True
    assert handle.cancel() is False
    with pytest.raises(TaskCancelled):
        handle.result()
    assert client.retry(handle.id).status is ExecutionStatus.QUEUED
    with pytest.raises(IllegalTransition, match="queued"):
        client.delete(handle.id)
    again = client.rerun(handle.id)
    assert again.execution().rerun_of == handle.id
    client.cancel(handle.id)
    assert client.delete(handle.id) is None
    with pytest.raises(ExecutionNotFound) as missing:
        client.get(handle.id)
    assert missing.value.execution_id == handle.id


def test_a_step_for_many_counts_first(client):
    ids = [client.enqueue("pay", number).id for number in range(3)]
    counted = client.cancel_matching(task="pay", status="queued", dry_run=True)
    assert (counted.dry_run, counted.matched, counted.changed) == (True, 3, 3)
    assert client.cancel_many(ids[:1]).changed == 1
    assert client.cancel_matching(task="pay", status=["queued"]).changed == 2
    assert client.retry_matching(task="pay", limit=2).changed == 2
    assert client.retry_many(ids).changed == 1
    client.cancel_many(ids)
    assert client.delete_many(ids[:1], dry_run=True).changed == 1
    assert client.delete_matching(task="pay").changed == 3
    with pytest.raises(InvalidOption, match="at least one field"):
        client.delete_matching()


def test_family_and_history_of_an_execution_can_be_read(client, butler):
    parent = client.enqueue("pay", 1)
    assert list(client.children(parent.id)) == []
    assert client.tree(parent.id).children == []
    with butler.worker():
        parent.result(timeout_s=30)
    assert [event.message for event in client.history(parent.id)] == ["counting"]


def test_recurring_jobs_are_made_changed_steered_and_removed(client, butler):
    jobs = client.recurring
    job = jobs.create("payday", "pay", Cron("0 9 1 * *"), request=5, description="monthly")
    with pytest.raises(RecurringJobExists, match="payday"):
        jobs.create("payday", "pay", Cron("0 9 1 * *"), request=5)
    changed = jobs.update("payday", version=job.version, max_fires=12)
    assert (changed.max_fires, changed.description) == (12, "monthly")
    with pytest.raises(StaleUpdate, match="version"):
        jobs.update("payday", version=job.version, request=6)
    assert jobs.update("payday", version=None, request=6, description=None).description == ""
    assert jobs.pause("payday").enabled is False
    assert [each.name for each in jobs.list(status="paused")] == ["payday"]
    assert jobs.resume("payday").enabled is True
    assert jobs.trigger("payday", 8).execution().request == 8
    assert jobs.trigger("payday").execution().request == 6
    assert [fire.manual for fire in jobs.history("payday", page_size=1)] == [True, True]
    assert len(jobs.preview("payday", count=3)) == 3
    assert len(jobs.preview_schedule({"type": "interval", "every_s": 60}, count=2)) == 2
    assert jobs.statistics("payday").executions == {"queued": 2}
    assert jobs.health("payday").level == "healthy"
    assert jobs.bulk("pause", ["payday"], dry_run=True).done == ["payday"]
    assert jobs.bulk_matching("pause", task="pay").done == ["payday"]
    jobs.delete("payday", version=jobs.get("payday").version)
    with pytest.raises(RecurringJobNotFound, match="payday"):
        jobs.get("payday")


def test_tokens_are_made_and_revoked_and_the_log_says_by_whom_and_why(make_client):
    client = make_client(reason="spring cleaning")
    made = client.tokens.create("robot", role="operator", queues=["mail"])
    assert made.secret.startswith("btl_")
    with pytest.raises(TokenExists, match="robot"):
        client.tokens.create("robot")
    robot = make_client(token=made.secret)
    assert (robot.me().name, robot.me().queues) == ("robot", ["mail"])
    with pytest.raises(NotAllowed, match="scope"):
        robot.enqueue("pay", 1)
    assert client.tokens.revoke("robot").revoked_at is not None
    with pytest.raises(TokenNotFound):
        client.tokens.revoke("nobody")
    assert {token.name for token in client.tokens.list()} == {"tests", "robot"}
    entries = list(client.audit.list(actor="tests", action="tokens.revoke", page_size=1))
    assert {entry.reason for entry in entries} == {"spring cleaning"}


def test_queues_are_paused_and_limited_and_what_is_not_there_is_said_not_to_be(client, butler):
    client.enqueue("pay", 1)
    assert client.queues.pause("default").paused
    assert [queue.paused for queue in client.queues.list() if queue.name == "default"] == [True]
    assert not client.queues.resume("default").paused
    assert client.queues.limit("default", rate="100/minute").limit.rate == "100/minute"
    assert client.queues.unlimit("default").limit is None
    assert client.queues.get("default").depth == 1
    with pytest.raises(ApiNotFound, match="did you mean") as missing:
        client.queues.pause("defalt")
    assert (missing.value.status, missing.value.type) == (404, "urn:butler:problem:not-found")
    # Names of limits may hold whatever a path may not.
    assert client.limits.set("a/b?c", max_concurrency=2).rule.max_concurrency == 2
    assert client.limits.get("a/b?c").given.max_concurrency == 2
    assert [each.name for each in client.limits.list(page_size=1)] == ["a/b?c"]
    client.limits.reset("a/b?c")


def test_statistics_are_those_of_the_library(client, butler):
    with butler.worker():
        client.enqueue("pay", 1).result(timeout_s=30)
        with pytest.raises(TaskFailed):
            client.enqueue("pay", -1, max_attempts=1).result(timeout_s=30)
    since = butler.storage.now() - timedelta(minutes=1)
    assert (client.stats.summary(since=since).succeeded, client.stats.summary().failed) == (1, 1)
    points = client.stats.timeseries(since=timedelta(minutes=2), task="pay")
    assert sum(point.ended for point in points) == 2
    assert [row.name for row in client.stats.top(by="task", limit=1)] == ["pay"]
    [group] = client.stats.errors(since=timedelta(hours=1), task="pay")
    assert (group.type, group.message) == ("ValueError", "too little")


def test_alerts_can_be_read_acknowledged_and_silenced(client, butler):
    alert = open_alert(butler)
    assert [each.id for each in client.alerts.list(state="open", page_size=1)] == [alert.id]
    assert client.alerts.ack(alert.id).acknowledged_by == "tests"
    assert client.alerts.get(alert.id).summary == alert.summary
    with pytest.raises(AlertNotFound):
        client.alerts.get("01a20ce4-0f0f-7136-b583-20899cea7136")
    silence = client.alerts.silence(for_s=timedelta(hours=1), rule="queue-*", reason="moving")
    assert [each.id for each in client.alerts.silences()] == [silence.id]
    client.alerts.end_silence(silence.id)
    with pytest.raises(ApiNotFound, match="has ended"):
        client.alerts.end_silence(silence.id)
    assert client.alerts.channels() == []
    with pytest.raises(ApiNotFound, match="no channel"):
        client.alerts.test("nowhere")


def test_rules_are_made_changed_and_removed(client):
    rules = client.alert_rules
    made = rules.create("slow-mail", "queue_age", applies_to="mail", threshold=60)
    with pytest.raises(AlertRuleExists, match="slow-mail"):
        rules.create("slow-mail", "queue_age")
    changed = rules.update("slow-mail", version=made.version, enabled=False)
    assert (changed.enabled, changed.applies_to) == (False, "mail")
    with pytest.raises(StaleUpdate):
        rules.update("slow-mail", version=made.version, enabled=True)
    assert "slow-mail" in [rule.name for rule in rules.list()]
    rules.delete("slow-mail", version=None)
    with pytest.raises(AlertRuleNotFound, match="slow-mail"):
        rules.get("slow-mail")


def test_health_and_metrics_can_be_read(client):
    assert client.health().checks
    assert "butler_web" in client.metrics()


def test_all_executions_are_watched_for_a_while(awaited, blocking):
    client = awaited()
    [ready, *_] = client.watch(queue="mail", timeout_s=0.2)
    assert (ready.kind, ready.change) == ("ready", None)
    with pytest.raises(InvalidOption, match="kind"):
        list(client.watch(kind="nonsense", timeout_s=0.2))
    # Behind WSGI, as this one is served, there are no streams.
    with pytest.raises(ApiError, match="WSGI"):
        list(blocking().watch())


def test_tasks_workers_and_the_server_tell_about_themselves(client, butler):
    assert [task.name for task in client.tasks.list(tag="post")] == ["send"]
    assert client.tasks.get("pay").request_schema == {"type": "integer"}
    with pytest.raises(UnknownTask, match="did you mean"):
        client.tasks.get("pya")
    with butler.worker():
        [worker] = client.workers.list()
        assert client.workers.get(worker.id).concurrency == worker.concurrency
    assert client.is_alive()
    assert client.is_ready()


@pytest.mark.parametrize("task", ["a b?c=d#e", "{job}", "%2e", ".", ".."])
def test_a_name_is_never_read_as_a_path(client, task):
    with pytest.raises(UnknownTask) as unknown:
        client.tasks.get(task)
    assert repr(task) in str(unknown.value)


def test_what_is_refused_is_raised_as_the_library_raises_it_with_the_servers_words(client):
    with pytest.raises(UnknownTask, match="no task named 'pya'; did you mean \"pay\""):
        client.enqueue("pya", 1)
    with pytest.raises(InvalidRequest, match="integer") as refused:
        client.enqueue("pay", "one")
    assert refused.value.errors[0]["loc"] == ["request"]
    with pytest.raises(InvalidOption, match="timeout_s"):
        client.enqueue("pay", 1, timeout_s=-1)
    with pytest.raises(ExecutionNotFound) as missing:
        client.get("01a20ce4-0f0f-7136-b583-20899cea7136")
    assert "request" in missing.value.__notes__[0]


def test_a_bad_token_is_said_to_be_one(make_client):
    with pytest.raises(NotAuthenticated, match="unknown") as refused:
        make_client(token="btl_nonsense").me()
    assert refused.value.status == 401
