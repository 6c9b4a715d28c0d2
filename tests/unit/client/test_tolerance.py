"""A client and a server of different releases."""

from __future__ import annotations

import json

import httpx
import pytest
from pydantic import ValidationError

from butler.client import ButlerClient
from butler.client.tolerance import read_model
from butler.web.models.executions import ExecutionDetail, ExecutionPage, ShownChange

SUMMARY = {
    "id": "7",
    "task": "pay",
    "status": "queued",
    "queue": "default",
    "priority": "normal",
    "request": 1,
    "attempt": 0,
    "attempts_used": 0,
    "max_attempts": 3,
    "run_at": "2026-01-01T00:00:00Z",
    "created_at": "2026-01-01T00:00:00Z",
}


def test_what_an_older_server_does_not_say_is_nothing():
    page = read_model(ExecutionPage, json.dumps({"executions": [SUMMARY, SUMMARY]}))

    assert (page.next_cursor, page.truncated) == (None, False)
    assert [(e.tags, e.reason, e.progress, e.max_attempts) for e in page.executions] == [
        ([], None, None, 3)
    ] * 2


def test_what_a_newer_server_says_besides_is_ignored():
    said = SUMMARY | {"result": 1, "crashes": 0, "weather": "fine"}
    assert read_model(ExecutionDetail, json.dumps(said)).result == 1


def test_what_every_server_says_must_be_there():
    with pytest.raises(ValidationError, match="task"):
        read_model(ExecutionDetail, json.dumps({**SUMMARY, "crashes": 0, "task": None}))
    with pytest.raises(ValidationError, match="id"):
        read_model(ExecutionDetail, "{}")
    with pytest.raises(ValidationError, match="status"):
        read_model(ShownChange, json.dumps({"kind": "state", "execution_id": "7"}))


def test_a_client_reads_a_page_of_an_older_server():
    body = {"executions": [SUMMARY]}
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=body)))
    with ButlerClient("http://jobs", "btl_x", http=http) as client:
        page = client.page()

    assert [(e.id, e.tags, e.error) for e in page.executions] == [("7", (), None)]
