"""The API within another application: links, what ends with it, streams where there are none."""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager

import pytest
from a2wsgi import ASGIMiddleware
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Response

ORDER = {"task": "send", "request": {"to": "ada"}}


@pytest.fixture
def headers(butler):
    return {"Authorization": f"Bearer {butler.tokens.create('ops', role='operator').secret}"}


@pytest.fixture
def within(butler, app):
    """A user's own FastAPI application, which closes the Butler when it ends."""

    @asynccontextmanager
    async def lifespan(_):
        async with butler.aio:
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/butler", app)
    return outer


def test_links_have_the_prefix_and_the_document_names_it(within, headers, butler):
    with TestClient(within, headers=headers) as client:
        made = client.post("/butler/api/v1/executions", json=ORDER)
        assert made.headers["Location"] == f"/butler/api/v1/executions/{made.json()['id']}"
        assert client.get(made.headers["Location"]).json()["task"] == "send"
        document = client.get("/butler/api/v1/openapi.json").json()
        assert document["servers"] == [{"url": "/butler"}]
    assert butler.closed


def test_links_have_the_prefix_in_starlette_below_a_prefix_of_a_proxy(app, headers):
    outer = Starlette(routes=[Mount("/a", Mount("/b", app))])
    client = TestClient(outer, headers=headers, root_path="/ops")
    made = client.post("/ops/a/b/api/v1/executions", json=ORDER)
    assert made.headers["Location"] == f"/ops/a/b/api/v1/executions/{made.json()['id']}"


def test_links_have_the_prefix_behind_wsgi(app, headers):
    outer = DispatcherMiddleware(Response("home"), {"/butler": ASGIMiddleware(app)})
    client = Client(outer)
    made = client.post("/butler/api/v1/executions", json=ORDER, headers=headers)
    assert made.headers["Location"] == f"/butler/api/v1/executions/{made.json['id']}"
    assert client.get(made.headers["Location"], headers=headers).json["task"] == "send"


@pytest.mark.parametrize("path", ["events", "executions/{id}/stream"])
def test_behind_wsgi_a_stream_is_refused_and_takes_no_thread(app, headers, enqueued, path):
    answer = Client(ASGIMiddleware(app)).get(f"/api/v1/{path.format(id=enqueued)}", headers=headers)
    assert answer.status_code == 501
    assert answer.json["type"] == "urn:butler:problem:no-streams"


class Uvicorn:
    """As far as its handler of signals is asked."""

    should_exit = False

    def handle_exit(self, *_):
        self.should_exit = True


def test_streams_end_when_the_server_is_told_to_stop_and_not_before(app, headers, monkeypatch):
    server = Uvicorn()
    monkeypatch.setattr(signal, "getsignal", lambda _: server.handle_exit)
    client = TestClient(app, headers=headers)
    with client.stream("GET", "/api/v1/events", params={"timeout_s": 60}) as stream:
        lines = stream.iter_lines()
        while next(lines) != "event: ready":
            pass
        server.handle_exit()
        assert [line for line in lines if line.startswith("event:")] == []
    assert client.get("/api/v1/events").status_code == 503
