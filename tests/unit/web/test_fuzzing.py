"""Whatever the document allows, and what it does not: no answer is a 5xx, or one it does not name.

The cases are the same in every run. `BUTLER_TEST_EXAMPLES=500` makes more for each endpoint.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from butler import Butler, Interval
from butler.api_tokens import Role
from butler.web import create_app
from butler.web.callers import Caller

pytestmark = pytest.mark.xdist_group("fuzzing")

EXAMPLES = int(os.environ.get("BUTLER_TEST_EXAMPLES", "3"))
ADMIN = Caller(name="ada", role=Role.ADMIN)
# Another test holds this to what the API says.
DOCUMENT = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text())
# What only chance would find, in bodies.
KNOWN = {
    "task": "send",
    "request": {"to": "ada"},
    "schedule": {"type": "interval", "every_s": 60},
}
ENDPOINTS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


class Mail(BaseModel):
    to: str
    key: SecretStr = SecretStr("hush-hush")


@pytest.fixture(scope="module")
def butler():
    with Butler.in_memory() as butler:

        @butler.task(queue="mail", tags=["post"])
        def send(mail: Mail) -> str:
            return mail.to

        yield butler


@pytest.fixture(scope="module")
def ask(butler):
    """Sends a case as an admin, and checks the answer."""
    # Loading it takes a second, which only the process that runs these tests has to spend.
    from schemathesis.checks import not_a_server_error
    from schemathesis.python.asgi import get_client
    from schemathesis.specs.openapi import checks

    held = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]
    app = create_app(butler, authenticate=lambda request: ADMIN)
    with get_client(app) as session:

        def send(case):
            response = case.call(session=session, base_url="http://localhost")
            case.validate_response(response, checks=held)

        yield send


@pytest.fixture(scope="module")
def schema():
    import schemathesis

    return schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture
def there(butler):
    """What exists, by the names that paths have for it."""
    for job in butler.recurring.list().jobs:
        butler.recurring.delete(job.id)
    job = butler.recurring.create("Nightly", "send", Interval(60), request={"to": "ada"})
    butler.limits.set("mails", max_concurrency=1)
    return {
        "execution_id": butler.enqueue("send", {"to": "ada"}).id,
        "job": job.id,
        "task": "send",
        "queue": "mail",
        "name": "mails",
        "rule": "worker-lost",
        "silence_id": butler.alerts.silence(for_s=60).id,
        "token": butler.tokens.create(job.id).token.id,
    }


@pytest.mark.parametrize(("path", "method"), ENDPOINTS)
def test_no_answer_is_a_5xx_or_one_that_the_document_does_not_name(
    path, method, ask, schema, there
):
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(schema[path][method]), exists=st.booleans())
    def answered(case, exists):
        if exists:
            case.path_parameters |= {name: there.get(name, "x") for name in case.path_parameters}
            case.body = with_known(case.body)
        if path.endswith("/stream") or path == "/api/v1/events":
            case.query = {**(case.query or {}), "timeout_s": 0}
        ask(case)

    answered()


def cases(operation):
    """What the document allows, and what it does not."""
    from schemathesis import GenerationMode

    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    return st.one_of(operation.as_strategy(generation_mode=mode) for mode in modes)


def with_known(body):
    """A body that names the task that is there, wherever it names one."""
    if isinstance(body, dict):
        return {name: KNOWN.get(name, with_known(value)) for name, value in body.items()}
    return [with_known(each) for each in body] if isinstance(body, list) else body
