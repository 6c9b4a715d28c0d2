"""A Butler in memory, its API, and both clients of it, which need no socket."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from a2wsgi import ASGIMiddleware
from client_kit import Mail, Receipt, Run

from butler import Butler, TaskContext
from butler.client import AsyncButlerClient, ButlerClient
from butler.web import create_app

URL = "http://jobs.example.com/"


@pytest.fixture
def butler():
    with Butler.in_memory() as butler:

        @butler.task(queue="mail", tags=["post"])
        def send(mail: Mail) -> str:
            return f"{mail.key.get_secret_value()} to {mail.to}"

        @butler.task
        def pay(amount: int, context: TaskContext) -> Receipt:
            context.report_progress(50, "counting")
            context.log.info("paying %s", amount)
            if amount < 0:
                raise ValueError("too little")
            return Receipt(number=amount)

        yield butler


@pytest.fixture
def app(butler):
    return create_app(butler)


@pytest.fixture
def token(butler):
    return butler.tokens.create("tests", role="admin").secret


@pytest.fixture
def blocking(app, token):
    """A `ButlerClient`; another application may answer it."""

    def make(app=app, token=token, **options):
        http = httpx.Client(transport=httpx.WSGITransport(ASGIMiddleware(app)))
        return ButlerClient(URL, token, http=http, **options)

    return make


@pytest.fixture
def awaited(app, token):
    """An `AsyncButlerClient`, whose coroutines are run where they are made: see `Run`."""
    with asyncio.Runner() as runner:

        def make(app=app, token=token, **options):
            http = httpx.AsyncClient(transport=httpx.ASGITransport(app))
            return Run(AsyncButlerClient(URL, token, http=http, **options), runner)

        yield make


@pytest.fixture(params=["blocking", "awaited"])
def make_client(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def client(make_client):
    """Each of the two clients; a test that takes this is run with both."""
    return make_client()
