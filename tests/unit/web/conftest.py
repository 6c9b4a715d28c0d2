"""A Butler in memory, its API, and clients with tokens of each role."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, SecretStr
from starlette.testclient import TestClient

from butler import Butler
from butler.web import create_app


class Mail(BaseModel):
    to: str
    key: SecretStr = SecretStr("hush-hush")


@pytest.fixture
def butler():
    with Butler.in_memory() as butler:

        @butler.task(queue="mail", tags=["post"])
        def send(mail: Mail) -> str:
            return mail.to

        @butler.task
        def ping() -> None: ...

        yield butler


@pytest.fixture
def app(butler):
    return create_app(butler)


@pytest.fixture
def client(butler, app):
    """Makes a client with a token of this role and scope; without a role, one without a token."""

    def make(role=None, *, app=app, name=None, address="127.0.0.1", host="localhost", **scope):
        client = TestClient(app, base_url=f"http://{host}", client=(address, 1234))
        if role is not None:
            name = name or f"{role} {scope}"
            issued = butler.tokens.create(name, role=role, **scope)
            client.headers["Authorization"] = f"Bearer {issued.secret}"
        return client

    return make


@pytest.fixture
def operator(client):
    return client("operator")


@pytest.fixture
def enqueued(operator):
    """The id of a waiting execution."""
    answer = operator.post("/api/v1/executions", json={"task": "send", "request": {"to": "ada"}})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]
