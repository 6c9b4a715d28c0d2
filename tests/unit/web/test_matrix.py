"""Every endpoint for every role: who is let in, and who is not."""

from __future__ import annotations

import re

import pytest

from butler import Butler
from butler.api_tokens import Role
from butler.web import create_app
from butler.web.routes import ROLE, WHOLE_LEDGER

with Butler.in_memory() as _butler:
    PATHS = create_app(_butler).openapi()["paths"]

ENDPOINTS = [
    (method.upper(), path, operation[ROLE])
    for path, item in PATHS.items()
    for method, operation in item.items()
    if ROLE in operation
]


def ask(client, method, path):
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{name}}}", "nothing")
    return client.request(method, path, json={} if method in ("POST", "PATCH", "PUT") else None)


@pytest.mark.parametrize(("method", "path", "needed"), ENDPOINTS, ids=lambda value: str(value))
def test_an_endpoint_is_open_to_its_role_and_above_and_shut_to_others(client, method, path, needed):
    stranger = ask(client(), method, path)
    assert (stranger.status_code, stranger.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
    if path.endswith("stream") or (path.endswith("/events") and "execution" not in path):
        return  # what is open here goes on for ever
    for role in Role:
        status = ask(client(role.value), method, path).status_code
        assert (status == 403) == (not role.may(Role(needed))), (role, status)
        assert status < 500


def test_what_is_about_the_whole_ledger_is_shut_to_a_token_with_a_scope(client):
    bound = [client("admin", queues=["mail"]), client("admin", tags=["post"])]
    whole = [
        (method, path)
        for path, item in PATHS.items()
        for method, operation in item.items()
        if WHOLE_LEDGER in operation
    ]
    assert len(whole) > 15
    for method, path in whole:
        assert [ask(caller, method.upper(), path).status_code for caller in bound] == [403, 403]


def test_what_asks_for_no_role_is_a_probe():
    asked = {path for _, path, _ in ENDPOINTS}
    assert PATHS.keys() - asked == {"/healthz", "/readyz"}


def test_nothing_is_changed_by_get():
    assert {method for method, _, role in ENDPOINTS if role == "operator"} <= {
        "POST",
        "PATCH",
        "PUT",
        "DELETE",
    }
    assert all(role in ("viewer", "admin") for method, _, role in ENDPOINTS if method == "GET")
