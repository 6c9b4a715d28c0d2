from __future__ import annotations

import threading

import pytest

from butler.options import EnqueueOptions
from butler.web.models.executions import NewExecution

LIST = "/api/v1/executions"


def test_an_execution_is_enqueued_found_cancelled_retried_and_deleted(operator, butler):
    new = {"task": "send", "request": {"to": "ada"}, "user_id": "u", "tags": ["x"]}
    made = operator.post(LIST, json=new)
    id_ = made.json()["id"]
    assert (made.status_code, made.headers["Location"]) == (202, f"{LIST}/{id_}")
    found = operator.get(f"{LIST}/{id_}").json()
    assert (found["status"], found["tags"], found["user_id"]) == ("queued", ["post", "x"], "u")
    assert operator.post(f"{LIST}/{id_}/retry").status_code == 409
    assert operator.delete(f"{LIST}/{id_}").status_code == 409
    assert operator.post(f"{LIST}/{id_}/cancel").json() == {"id": id_, "cancelled": True}
    assert operator.post(f"{LIST}/{id_}/cancel").json() == {"id": id_, "cancelled": False}
    assert operator.post(f"{LIST}/{id_}/retry").json()["status"] == "queued"
    again = operator.post(f"{LIST}/{id_}/rerun").json()["id"]
    assert operator.get(f"{LIST}/{again}").json()["rerun_of"] == id_
    operator.post(f"{LIST}/{id_}/cancel")
    assert operator.delete(f"{LIST}/{id_}").status_code == 204
    assert operator.get(f"{LIST}/{id_}").status_code == 404


def test_an_execution_says_what_it_waits_for_and_who_holds_that_to_those_who_may_see_it(
    client, butler
):
    started, go = threading.Event(), threading.Event()

    @butler.task(max_concurrency=1)
    def once(n: int) -> None:
        started.set()
        go.wait(60)

    with butler.worker(queues=["default"]):
        holder = once.enqueue(1)
        assert started.wait(60)
        waiting = once.enqueue(2, queue="mail")
        wait = {"limit": "once", "part": "concurrency", "wait_s": 0.0}
        viewer, of_mail = client("viewer"), client("viewer", queues=["mail"])
        for caller, held_by in ((viewer, [holder.id]), (of_mail, [])):
            found = caller.get(f"{LIST}/{waiting.id}").json()
            assert found["waits_for"] == [{**wait, "held_by": held_by}]
            listed = caller.get(LIST, params={"queue": "mail"}).json()["executions"]
            assert [each["waits_for"] for each in listed] == [found["waits_for"]]
        assert viewer.get(f"{LIST}/{holder.id}").json()["waits_for"] == []
        assert [each["waits_for"] for each in viewer.get(LIST).json()["executions"]] == [
            [{**wait, "held_by": [holder.id]}],
            [],
        ]
        go.set()


def test_what_an_enqueue_can_say_can_be_said_over_http():
    # A transaction is a connection in the caller's process.
    said = EnqueueOptions.__annotations__.keys() - {"transaction"}
    assert NewExecution.model_fields.keys() - {"task", "request"} == said


def test_a_key_names_what_a_tasks_limit_holds_for(operator, butler):
    @butler.task(max_concurrency=1)
    def sync_shop(shop: int) -> None: ...

    with butler.worker():
        pass  # its start is what makes the limit known
    new = {"task": "sync_shop", "request": 7, "concurrency_key": "shop-7"}
    made = operator.post(LIST, json=new)
    assert made.status_code == 202
    [held] = butler.storage.prospects([made.json()["id"]])
    assert (held.limit, held.part) == ("shop-7", "concurrency")
    assert operator.post(LIST, json=new | {"concurrency_key": "queue:x"}).status_code == 422
    unlimited = operator.post(LIST, json={"task": "ping", "concurrency_key": "x"})
    assert unlimited.status_code == 422


def test_many_are_enqueued_with_options_of_their_own_or_none_at_all(operator, butler):
    mails = [{"task": "send", "request": {"to": f"{n}"}, "user_id": f"{n}"} for n in range(3)]
    made = operator.post(f"{LIST}/batch", json={"executions": mails})
    assert made.status_code == 202
    users = [butler.get(each["id"]).user_id for each in made.json()["executions"]]
    assert users == ["0", "1", "2"]
    bad = [*mails, {"task": "send", "request": {"to": 1}}]
    assert operator.post(f"{LIST}/batch", json={"executions": bad}).status_code == 422
    assert len(butler.list().executions) == 3


@pytest.mark.parametrize(
    ("params", "hits"),
    [
        ({"task": "ping"}, ["ping"]),
        ({"queue": "mail"}, ["send"]),
        ({"tag": "post"}, ["send"]),
        ({"status": ["queued", "failed"]}, ["ping", "send"]),
        ({"task": "send", "request.to": "ada"}, ["send"]),
        ({"task": "send", "request.to": "bob"}, []),
        ({"created_after": "2020-01-01T00:00:00Z", "text": "boom"}, []),
    ],
)
def test_executions_are_filtered(operator, enqueued, params, hits):
    operator.post(LIST, json={"task": "ping"})
    found = operator.get(LIST, params=params)
    assert [each["task"] for each in found.json()["executions"]] == hits


def test_a_listing_is_read_page_by_page(operator):
    ids = [operator.post(LIST, json={"task": "ping"}).json()["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = operator.get(LIST, params=params).json()
        seen += [each["id"] for each in page["executions"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_a_step_for_all_that_match_is_counted_first(operator, butler):
    for _ in range(3):
        operator.post(LIST, json={"task": "ping"})
    selection = {"filter": {"task": "ping"}, "dry_run": True}
    counted = operator.post(f"{LIST}/cancel", json=selection).json()
    assert (counted["matched"], counted["changed"], counted["dry_run"]) == (3, 3, True)
    assert len(butler.list(status="queued").executions) == 3
    done = operator.post(f"{LIST}/cancel", json=selection | {"dry_run": False, "limit": 2}).json()
    assert (done["changed"], done["next_cursor"] is not None) == (2, True)
    rest = selection | {"dry_run": False, "cursor": done["next_cursor"]}
    assert operator.post(f"{LIST}/cancel", json=rest).json()["changed"] == 1
    retried = operator.post(f"{LIST}/retry", json={"filter": {"status": ["cancelled"]}}).json()
    assert retried["changed"] == 3
    deleted = operator.post(f"{LIST}/delete", json={"filter": {"task": "ping"}}).json()
    assert deleted["unchanged"] == {"queued": 3}


@pytest.mark.parametrize("body", [{}, {"filter": {}}, {"ids": ["a"], "filter": {"task": "x"}}])
def test_a_step_for_everything_by_mistake_is_refused(operator, body):
    assert operator.post(f"{LIST}/cancel", json=body).status_code == 422


def test_a_request_with_the_same_key_is_done_once_and_answered_twice(operator, butler):
    headers = {"Idempotency-Key": "order-7"}
    new = {"task": "send", "request": {"to": "ada"}}
    first, second = (operator.post(LIST, json=new, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(butler.list().executions) == 1
    other = operator.post(LIST, json=new | {"user_id": "u"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "urn:butler:problem:key-reused")


def test_a_request_that_was_refused_may_be_sent_again_with_its_key(operator):
    headers = {"Idempotency-Key": "k"}
    assert operator.post(LIST, json={"task": "sned"}, headers=headers).status_code == 422
    assert operator.post(LIST, json={"task": "ping"}, headers=headers).status_code == 202


def test_keys_of_different_callers_are_different_keys(operator, client, butler):
    headers = {"Idempotency-Key": "k"}
    for caller in (operator, client("operator", name="other")):
        caller.post(LIST, json={"task": "ping"}, headers=headers)
    assert len(butler.list().executions) == 2


def test_what_a_caller_has_already_is_not_sent_again(operator, enqueued):
    first = operator.get(f"{LIST}/{enqueued}")
    tag = {"If-None-Match": first.headers["ETag"]}
    again = operator.get(f"{LIST}/{enqueued}", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    operator.post(f"{LIST}/{enqueued}/cancel")
    assert operator.get(f"{LIST}/{enqueued}", headers=tag).status_code == 200


def test_long_answers_are_compressed(operator):
    for _ in range(20):
        operator.post(LIST, json={"task": "ping"})
    answer = operator.get(LIST, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.json()["executions"]) == 20


def test_a_request_that_does_not_fit_says_where(operator):
    answer = operator.post(LIST, json={"task": "send", "request": {"to": 1}})
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:butler:problem:invalid-request"
    assert problem["errors"] == [
        {"loc": ["request", "to"], "msg": "Input should be a valid string", "type": "string_type"}
    ]


def test_a_ledger_that_is_away_is_503_and_its_address_is_not_told(operator, butler, monkeypatch):
    from butler.errors import StorageUnavailable

    def away(query):
        raise StorageUnavailable("no answer from postgres://db.internal")

    monkeypatch.setattr(butler.storage, "find", away)
    answer = operator.get(LIST)
    assert (answer.status_code, "db.internal" in answer.text) == (503, False)


def test_what_nobody_foresaw_is_a_problem_with_the_requests_id(operator, butler, monkeypatch):
    def broken(query):
        raise RuntimeError("secret words")

    monkeypatch.setattr(butler.storage, "find", broken)
    answer = operator.get(LIST, headers={"X-Request-ID": "r-7"})
    assert (answer.status_code, answer.json()["request_id"]) == (500, "r-7")
    assert "secret words" not in answer.text


def test_probes_need_no_token(client):
    assert client().get("/healthz").json() == {"status": "ok"}
    assert client().get("/readyz").json() == {"status": "ok"}


def test_tasks_are_listed_with_their_schemas(operator):
    names = [task["name"] for task in operator.get("/api/v1/tasks").json()["tasks"]]
    assert names == ["ping", "send"]
    found = operator.get("/api/v1/tasks", params={"tag": "post"}).json()["tasks"]
    assert found[0]["request_schema"]["properties"]["to"]["type"] == "string"
    assert operator.get("/api/v1/tasks/ping").status_code == 200
    assert operator.get("/api/v1/tasks/pong").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "kind", "places", "says"),
    [
        ({"task": "send", "request": {}}, "invalid-request", [["request", "to"]], "Field required"),
        ({"task": "sent"}, "unknown-task", [[]], "did you mean"),
        ({"task": "ping", "replace": True}, "invalid", [[]], "replace needs a unique_key"),
    ],
)
def test_of_many_the_first_that_does_not_fit_is_named(operator, wrong, kind, places, says):
    many = {"executions": [{"task": "ping"}, {"task": "ping"}, wrong, wrong]}
    answer = operator.post(f"{LIST}/batch", json=many)
    told = answer.json()

    assert (answer.status_code, told["type"]) == (422, f"urn:butler:problem:{kind}")
    assert told["detail"].startswith("executions.2: ")
    assert [each["loc"] for each in told["errors"]] == [["executions", 2, *p] for p in places]
    assert says in told["errors"][0]["msg"]


def test_a_body_that_is_not_called_json_is_told_what_it_was_called(operator):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in (LIST, f"{LIST}/cancel"):
        told = operator.post(path, content=b'{"task": "ping"}', headers=form).json()
        assert told["detail"].endswith(
            "must be application/json, got application/x-www-form-urlencoded"
        )


def test_a_method_that_a_path_does_not_have_is_told_all_it_has(operator):
    answer = operator.put(LIST)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")
