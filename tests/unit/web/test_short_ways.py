"""What goes past the framework is answered as the framework would."""

import json

import pytest
from starlette.testclient import TestClient

from butler.web import create_app, short_ways

LIST = "/api/v1/executions"
PING = {"task": "ping"}
CASES = {
    "one": (LIST, json.dumps(PING), {}),
    "many": (f"{LIST}/batch", json.dumps({"executions": [PING] * 3}), {}),
    "nothing": (LIST, "", {}),
    "no JSON": (LIST, "{", {}),
    "no text": (LIST, b'{"task": "\xff"}', {}),
    "nested too deeply": (LIST, '{"task": "ping", "request": ' + "[" * 100_000, {}),
    "another type": (LIST, json.dumps(PING), {"Content-Type": "text/plain"}),
    "a type of JSON": (LIST, json.dumps(PING), {"Content-Type": "application/a+json; b=c"}),
    "not an object": (LIST, "[]", {}),
    "unknown field": (LIST, json.dumps(PING | {"tsk": 1}), {}),
    "wrong in the middle": (f"{LIST}/batch", json.dumps({"executions": [PING, {"task": 7}]}), {}),
    "a number that is none": (LIST, '{"task": "ping", "delay_s": NaN}', {}),
    "unknown task": (LIST, json.dumps({"task": "pong"}), {}),
    "request that does not fit": (LIST, json.dumps({"task": "send", "request": {}}), {}),
    "unknown parameter": (f"{LIST}?a=b", json.dumps(PING), {}),
    "a bad time": (LIST, json.dumps(PING | {"run_at": "tomorrow"}), {}),
}


@pytest.mark.parametrize(("path", "body", "headers"), CASES.values(), ids=CASES)
def test_both_ways_answer_the_same(operator, path, body, headers, monkeypatch):
    headers = {"Content-Type": "application/json", "X-Request-ID": "one"} | headers
    short = operator.post(path, content=body, headers=headers)
    monkeypatch.setattr(short_ways.ShortWays, "_route", lambda *_: None)
    long = operator.post(path, content=body, headers=headers)

    assert long.status_code == short.status_code
    assert _headers(long) == _headers(short)
    assert _shape(long.json()) == _shape(short.json())


def test_a_mounted_api_has_its_short_ways_too(butler, operator, monkeypatch):
    from starlette.applications import Starlette
    from starlette.routing import Mount

    taken = []
    way = short_ways.ShortWays._route

    def note(self, scope):
        taken.append(way(self, scope))
        return taken[-1]

    monkeypatch.setattr(short_ways.ShortWays, "_route", note)
    outer = Starlette(routes=[Mount("/jobs", create_app(butler))])
    answer = TestClient(outer).post(f"/jobs{LIST}", json=PING, headers=dict(operator.headers))

    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/jobs{LIST}/{answer.json()['id']}"
    assert [route.name for route in taken] == ["executions.enqueue"]


def _headers(answer):
    """But for what differs from one execution to the next."""
    return {
        name: value[:-36] if name == "location" else value for name, value in answer.headers.items()
    }


def _shape(value):
    """The answer, with ids replaced by their form."""
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return "id" if isinstance(value, str) and len(value) == 36 else value
