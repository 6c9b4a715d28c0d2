from __future__ import annotations

import pytest

from butler.errors import QueueUnavailable
from butler.parks import Parks
from butler.queue_facts import QueueFacts
from butler.storage.access import AuditQuery
from butler.web import shared

QUEUES, LIMITS = "/api/v1/queues", "/api/v1/limits"


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch):
    """What a request did is seen by the next one."""
    monkeypatch.setattr(shared, "FRESH_S", 0.0)


def test_queues_are_listed_with_what_waits_on_them(operator, enqueued):
    default, mail = operator.get(QUEUES).json()["queues"]
    assert (default["name"], default["depth"], default["oldest_s"]) == ("default", 0, None)
    assert (mail["name"], mail["depth"], mail["oldest_s"] >= 0) == ("mail", 1, True)
    assert (mail["running"], mail["workers"], mail["paused"], mail["limit"]) == (0, 0, False, None)


def test_a_queue_says_how_fast_it_goes_and_who_serves_it(operator, butler, enqueued):
    with butler.worker():
        butler.handle(enqueued).result(timeout_s=60)
        mail = operator.get(f"{QUEUES}/mail").json()
    assert (mail["depth"], mail["workers"], mail["pace"]["failure_rate"]) == (0, 1, 0.0)
    assert mail["pace"]["ended_per_s"] > 0
    assert mail["pace"]["run_p95_s"] >= 0


def test_a_queue_is_paused_and_goes_on(operator, butler):
    assert operator.post(f"{QUEUES}/mail/pause").json()["paused"] is True
    assert butler.queues.paused() == ["mail"]
    assert operator.get(f"{QUEUES}/mail").json()["paused_at"] is not None
    assert operator.post(f"{QUEUES}/mail/resume").json()["paused"] is False
    assert butler.queues.paused() == []


def test_a_queue_is_limited_as_a_whole(operator, butler):
    said = {"max_concurrency": 4, "rate": "100/minute", "rate_burst": 10}
    assert operator.put(f"{QUEUES}/mail/limit", json=said).json()["limit"] == said
    assert operator.get(f"{LIMITS}/queue:mail").json()["rule"] == said
    assert operator.delete(f"{QUEUES}/mail/limit").json()["limit"] is None
    assert butler.limits.list() == []


def test_a_queue_that_nobody_has_named_is_not_there(operator):
    answer = operator.post(f"{QUEUES}/mial/pause")
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        """no queue named 'mial'; did you mean "mail"?""",
    )
    assert operator.get(f"{QUEUES}/_butler").status_code == 404


def test_queues_are_shown_while_redis_is_away(operator, butler, monkeypatch):
    def away(facts):
        raise QueueUnavailable("no answer")

    monkeypatch.setattr(QueueFacts, "names", away)
    assert len(operator.get(QUEUES).json()["queues"]) == 2


def test_a_pause_that_redis_did_not_hear_holds_and_is_written_down(operator, butler, monkeypatch):
    def away(parks, queues):
        raise QueueUnavailable("no answer from redis.internal")

    monkeypatch.setattr(Parks, "show_paused", away)
    answer = operator.post(f"{QUEUES}/mail/pause")
    assert (answer.status_code, "internal" in answer.text) == (503, False)
    assert butler.queues.paused() == ["mail"]
    [entry] = butler.storage.audit(AuditQuery()).entries
    assert (entry.action, entry.target, entry.status) == ("queues.pause", "mail", 503)


def test_a_queue_outside_of_a_tokens_scope_does_not_exist_for_it(client, butler, enqueued):
    mine = client("operator", queues=["default"])
    assert [each["name"] for each in mine.get(QUEUES).json()["queues"]] == ["default"]
    assert mine.post(f"{QUEUES}/default/pause").status_code == 200
    for method, path in [
        ("GET", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("DELETE", "/limit"),
    ]:
        answer = mine.request(method, f"{QUEUES}/mail{path}")
        assert (answer.status_code, "mail" in answer.json()["detail"][25:]) == (404, False)
    # With tags it may look at some of a queue, which is not the queue.
    assert client("viewer", tags=["post"]).get(QUEUES).json()["queues"] == []
    assert mine.get(LIMITS).status_code == 403
    assert butler.queues.paused() == ["default"]


def test_a_limit_is_set_over_what_code_says_and_taken_back(operator, butler):
    @butler.task(max_concurrency=2)
    def import_orders() -> None: ...

    with butler.worker():
        pass  # its start is what makes the code's word known
    declared = {"max_concurrency": 2, "rate": None, "rate_burst": None}
    path = f"{LIMITS}/import_orders"
    assert operator.get(path).json()["rule"] == declared
    assert operator.delete(path).status_code == 404
    said = {"max_concurrency": 1, "rate": None}
    changed = operator.put(path, json=said).json()
    assert (changed["rule"]["max_concurrency"], changed["declared"]) == (1, declared)
    lifted = operator.put(path, json={"max_concurrency": None, "rate": None}).json()
    assert lifted["rule"] == {"max_concurrency": None, "rate": None, "rate_burst": None}
    assert operator.delete(path).status_code == 204
    assert operator.get(path).json()["given"] is None


def test_limits_are_listed_page_by_page_and_by_kind(operator):
    for name in ("queue:mail", "customer/7", "customer/8"):
        path = f"{LIMITS}/{name}"
        assert operator.put(path, json={"max_concurrency": 1, "rate": None}).status_code == 200
    first = operator.get(LIMITS, params={"limit": 2}).json()
    assert [each["name"] for each in first["limits"]] == ["customer/7", "customer/8"]
    rest = operator.get(LIMITS, params={"cursor": first["next_cursor"]}).json()
    assert ([each["name"] for each in rest["limits"]], rest["next_cursor"]) == (
        ["queue:mail"],
        None,
    )
    keys = operator.get(LIMITS, params={"kind": "key"}).json()["limits"]
    assert [each["kind"] for each in keys] == ["key", "key"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"max_concurrency": 1},
        {"max_concurrency": 0, "rate": None},
        {"max_concurrency": None, "rate": "often"},
        {"max_concurrency": None, "rate": None, "rate_burst": 2},
    ],
)
def test_a_limit_that_says_too_little_or_nonsense_is_refused(operator, butler, body):
    for path in (f"{LIMITS}/x", f"{QUEUES}/mail/limit"):
        assert operator.put(path, json=body).status_code == 422
    assert butler.limits.list() == []
