"""What was a hole in systems like this one, each with its test."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from butler.errors import InvalidOption, SettingsError
from butler.storage.access import AuditQuery
from butler.web import create_app
from butler.web.failures import FAILURES
from butler.web.serving import check_binding

LIST = "/api/v1/executions"


def test_an_address_that_others_reach_is_refused_without_a_token():
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.com", ""):
        with pytest.raises(SettingsError, match="token"):
            check_binding(host, has_tokens=False)
        assert check_binding(host, has_tokens=True) is False
    for host in ("127.0.0.1", "::1", "[::1]", "localhost"):
        assert check_binding(host, has_tokens=False) is True


@pytest.fixture
def development(butler):
    return create_app(butler, development=True)


def test_a_developer_on_this_machine_needs_no_token_until_there_is_one(client, butler, development):
    assert client(app=development).get("/api/v1/me").json()["role"] == "admin"
    butler.tokens.create("first")
    later = create_app(butler, development=True)
    assert client(app=later).get("/api/v1/me").status_code == 401


@pytest.mark.parametrize(
    ("address", "host", "headers"),
    [
        ("10.0.0.7", "localhost", {}),
        ("127.0.0.1", "evil.example", {}),
        ("127.0.0.1", "localhost", {"X-Forwarded-For": "127.0.0.1"}),
        ("127.0.0.1", "localhost", {"Forwarded": "for=127.0.0.1"}),
        ("127.0.0.1", "localhost", {"X-Real-IP": "127.0.0.1"}),
        ("127.0.0.1", "localhost", {"Via": "1.1 proxy"}),
    ],
)
def test_without_a_token_nobody_comes_through_a_proxy_or_by_another_name(
    client, development, address, host, headers
):
    stranger = client(app=development, address=address, host=host)
    assert stranger.get(LIST, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_without_a_token_no_other_sites_page_may_call(client, development, headers):
    answer = client(app=development).post(f"{LIST}/x/cancel", headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:butler:problem:cross-site")


def test_what_comes_without_a_content_type_is_no_json(operator):
    # A page can send this without asking first.
    answer = operator.post(LIST, content=b'{"task": "ping"}', headers={"Content-Type": ""})
    assert answer.status_code == 422


def test_other_origins_are_told_nothing_unless_they_are_named(butler, client):
    headers = {"Origin": "https://ops.example.com"}
    answer = client("viewer").get(LIST, headers=headers)
    assert "Access-Control-Allow-Origin" not in answer.headers
    named = create_app(butler, cors_origins=["https://ops.example.com"])
    answer = client("admin", app=named).get(LIST, headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://ops.example.com"
    with pytest.raises(InvalidOption, match="origins"):
        create_app(butler, cors_origins=["*"])


def test_a_revoked_token_is_refused(butler, client):
    viewer = client("viewer", name="ci")
    assert viewer.get(LIST).status_code == 200
    assert client("admin").delete("/api/v1/tokens/ci").status_code == 200
    assert viewer.get(LIST).status_code == 401


def test_a_tokens_secret_is_shown_once_and_kept_nowhere(butler, client):
    admin = client("admin")
    made = admin.post("/api/v1/tokens", json={"name": "x"}, headers={"Idempotency-Key": "k"})
    secret = made.json()["secret"]
    assert secret not in admin.get("/api/v1/tokens").text
    assert secret not in admin.get("/api/v1/audit").text
    assert secret not in repr(vars(butler.storage))
    assert TestClient(admin.app, headers={"Authorization": f"Bearer {secret}"}).get(LIST).is_success


def test_whoever_tries_tokens_is_made_to_wait_and_good_callers_are_not(client):
    good = client("viewer")
    assert good.get(LIST).is_success
    bad = client()
    bad.headers["Authorization"] = "Bearer btl_wrong"
    assert {bad.get(LIST).status_code for _ in range(FAILURES)} == {401}
    answer = bad.get(LIST)
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (429, True)
    assert good.get(LIST).is_success
    elsewhere = client(address="10.0.0.9")
    elsewhere.headers["Authorization"] = "Bearer btl_wrong"
    assert elsewhere.get(LIST).status_code == 401


def test_a_forwarded_address_counts_only_behind_a_trusted_proxy(butler, client):
    headers = {"X-Forwarded-For": "192.0.2.1, 203.0.113.5"}
    client("operator").post(f"{LIST}/x/cancel", headers=headers)
    trusting = create_app(butler, trusted_proxies=["127.0.0.0/8"])
    for app in (None, trusting):
        kind = {} if app is None else {"app": app}
        caller = client("operator", name=f"{app}", **kind)
        caller.post(LIST, json={"task": "ping"}, headers=headers)
    found = [entry.address for entry in butler.storage.audit(AuditQuery()).entries]
    assert found == ["203.0.113.5", "127.0.0.1"]


def test_secrets_are_masked_wherever_they_turn_up(butler, client):
    butler.enqueue("send", {"to": "ada", "key": "s3cret-value"}, unique_key="s3cret-value")
    with butler.worker():
        pass
    viewer = client("viewer")
    [listed] = viewer.get(LIST).json()["executions"]
    assert listed["request"] == {"to": "ada", "key": "***"}
    for path in (LIST, f"{LIST}/{listed['id']}", f"{LIST}/{listed['id']}/logs"):
        assert "s3cret-value" not in viewer.get(path).text


@pytest.mark.parametrize("name", ["password", "api_key", "client-secret"])
def test_a_secret_cannot_be_guessed_by_filters(client, name):
    answer = client("viewer").get(LIST, params={"task": "send", f"request.{name}": "guess"})
    assert answer.status_code == 422


def test_a_typed_secret_cannot_be_guessed_by_filters(butler, client):
    butler.enqueue("send", {"to": "ada", "key": "right"})
    viewer = client("viewer")
    for guess in ("right", "wrong"):
        found = viewer.get(LIST, params={"task": "send", "request.key": guess}).json()
        assert found == {"executions": [], "next_cursor": None, "truncated": False}


def test_what_is_outside_of_a_tokens_scope_does_not_exist_for_it(butler, client, enqueued):
    other = client("operator", queues=["default"])
    for method, path in [
        ("GET", ""),
        ("GET", "/logs"),
        ("GET", "/events"),
        ("GET", "/children"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("POST", "/rerun"),
        ("DELETE", ""),
    ]:
        assert other.request(method, f"{LIST}/{enqueued}{path}").status_code == 404
    assert other.get(LIST).json()["executions"] == []
    report = other.post(f"{LIST}/cancel", json={"ids": [enqueued]}).json()
    assert (report["changed"], report["unchanged"]) == (0, {"unknown": 1})
    matched = other.post(f"{LIST}/cancel", json={"filter": {"status": ["queued"]}}).json()
    assert matched["matched"] == 0
    assert butler.get(enqueued).status == "queued"


def test_a_token_enqueues_only_what_is_in_its_scope(client):
    caller = client("operator", tags=["post"])
    mail = {"task": "send", "request": {"to": "ada"}}
    assert caller.post(LIST, json=mail).status_code == 202
    assert caller.post(LIST, json={"task": "ping"}).status_code == 403
    assert caller.post(LIST, json={"task": "ping", "tags": ["post"]}).status_code == 202
    assert caller.get("/api/v1/workers").status_code == 403


def test_who_changed_what_from_where_and_why_is_written_down(butler, client, enqueued):
    caller = client("operator", name="ada")
    headers = {"Butler-Reason": "customer left", "X-Request-ID": "r-1"}
    assert caller.post(f"{LIST}/{enqueued}/cancel", headers=headers).is_success
    assert client("viewer", name="bob").post(f"{LIST}/{enqueued}/retry").status_code == 403
    refused, cancelled, made = butler.storage.audit(AuditQuery()).entries
    assert (made.action, made.target) == ("executions.enqueue", enqueued)
    assert (cancelled.actor, cancelled.role, cancelled.action) == (
        "ada",
        "operator",
        "executions.cancel",
    )
    assert (cancelled.target, cancelled.reason, cancelled.request_id, cancelled.address) == (
        enqueued,
        "customer left",
        "r-1",
        "127.0.0.1",
    )
    assert (refused.actor, refused.status) == ("bob", 403)


def test_a_request_id_that_could_forge_a_log_line_is_replaced(client):
    answer = client().get("/healthz", headers={"X-Request-ID": "a\tforged=1"})
    assert "forged" not in answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 501},
        {"limit": -1},
        {"limit": "9" * 5000},
        {"cursor": "x" * 37},
        {"text": "x" * 201, "task": "t"},
        {"nonsense": 1},
        [(f"request.f{n}", "x") for n in range(11)] + [("task", "t")],
    ],
)
def test_parameters_are_bounded(client, params):
    assert client("viewer").get(LIST, params=params).status_code == 422


def test_bodies_are_bounded_whatever_they_say_of_their_length(butler, client):
    small = create_app(butler, max_body_bytes=1_000)
    caller = client("operator", app=small)
    body = b'{"task": "' + b"x" * 2_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    assert caller.post(LIST, content=body, headers=headers).status_code == 413
    assert caller.post(LIST, content=iter([body]), headers=headers).status_code == 413
    assert caller.post(LIST, content=b"[" * 900, headers=headers).status_code in (400, 422)


def test_text_that_is_none_is_refused_and_not_stumbled_over(client):
    caller = client("operator")
    for body in (b'{"task": "\\ud800"}', b'{"task": "send", "request": {"to": "\\u0000"}}'):
        answer = caller.post(LIST, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
    assert caller.get(f"{LIST}/%00").status_code == 404
    assert caller.get("/api/v1/recurring-jobs/%00").status_code == 404


def test_each_parameter_of_each_endpoint_is_bounded(app):
    loose = [
        (method, path, each["name"])
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
        for each in operation.get("parameters", [])
        if each["in"] != "path" and not all(map(is_bounded, kinds_of(each["schema"])))
    ]
    assert loose == []


def kinds_of(schema):
    return [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]


def is_bounded(kind):
    match kind.get("type"):
        case "string":
            return bool({"maxLength", "enum", "format", "const"} & kind.keys())
        case "integer" | "number":
            return "maximum" in kind and bool({"minimum", "exclusiveMinimum"} & kind.keys())
        case "array":
            return "maxItems" in kind and all(map(is_bounded, kinds_of(kind["items"])))
    return "$ref" in kind or kind.get("type") == "boolean"


@pytest.mark.parametrize("name", ["os.system", "builtins.exec", "butler.app.Butler"])
def test_only_what_was_registered_as_a_task_can_be_asked_for(client, butler, name):
    answer = client("operator").post(LIST, json={"task": name, "request": "id"})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:butler:problem:unknown-task")
    assert butler.list().executions == ()


@pytest.mark.parametrize("markup", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>"])
def test_markup_in_what_callers_send_comes_back_as_json_that_no_browser_runs(
    client, butler, markup
):
    @butler.task(name=markup, description=markup, tags=[markup])
    def spoof(text: str) -> None: ...

    caller = client("admin")
    made = caller.post(LIST, json={"task": markup, "request": markup, "user_id": markup})
    assert made.status_code == 202
    for path in (
        LIST,
        f"{LIST}/{made.json()['id']}",
        "/api/v1/tasks",
        "/api/v1/stats/top",
        f"/api/v1/tasks/{quote(markup)}x",
        f"/{quote(markup)}",
    ):
        answer = caller.get(path, headers={"Accept": "text/html"})
        assert answer.headers["Content-Type"] in ("application/json", "application/problem+json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_schedule_that_would_burn_processor_time_is_refused_by_its_length(client):
    schedule = {"type": "cron", "expression": ",".join(["0-59"] * 20_000) + " * * * *"}
    for path, more in (("preview", {}), ("", {"name": "n", "task": "ping"})):
        body = {"schedule": schedule, **more}
        answer = client("operator", name=path).post(
            f"/api/v1/recurring-jobs/{path}".rstrip("/"), json=body
        )
        assert (answer.status_code, "at most" in answer.json()["detail"]) == (422, True)


def test_a_line_break_in_a_path_or_a_name_forges_no_log_line(client, caplog):
    caller = client("operator", name="ada")
    with caplog.at_level("INFO"):
        caller.post(f"{LIST}/x%0d%0aERROR%20forged%1b[31m/cancel")
        caller.post("/api/v1/queues/x%0aforged/pause")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("butler")]
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    ("time", "status"),
    [
        ("2026-01-01T00:00:00+23:59", 200),
        ("2026-01-01T00:00:00", 422),
        ("0001-01-01T00:00:00+01:00", 422),
    ],
)
def test_a_time_is_taken_as_the_ledger_can_hold_it_or_refused(
    client, butler, time, status, monkeypatch
):
    asked = []
    audit = butler.storage.audit
    monkeypatch.setattr(butler.storage, "audit", lambda query: asked.append(query) or audit(query))
    assert client("admin").get("/api/v1/audit", params={"since": time}).status_code == status
    assert all(query.since.utcoffset() == timedelta(0) for query in asked)
