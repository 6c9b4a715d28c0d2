"""The client has whatever the API has: every operation, parameter and option of openapi.json.

Where this fails, the API has grown: add the method to its resource in butler/client.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path

import pytest

import butler.client
from butler.client import AsyncButlerClient, ButlerClient, base, options
from butler.client.asks import API
from butler.client.resource import Resource
from butler.recurring.options import RecurringOptions
from butler.web.models.executions import ExecutionFilter, NewExecution
from butler.web.models.recurring import JobFilter, JobOptions

for module in pkgutil.iter_modules(butler.client.__path__):
    importlib.import_module(f"butler.client.{module.name}")

DOCUMENT = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text())
OPERATIONS = {
    f"{method.upper()} {path.removeprefix(API)}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
# Written by hand in both clients, for their types.
ENQUEUES = {base.ENQUEUE, base.ENQUEUE_MANY}
# A page's place and size have names of their own in a client that goes through all pages.
PAGING = {"cursor", "limit", "after", "before"}
SAID_OTHERWISE = {
    "GET /executions/{execution_id}/stream": {"kind"},  # events() shows all, result() needs none
    "GET /stats/summary": {"last_s"},  # since=timedelta(...)
    "GET /stats/timeseries": {"last_s"},
    "GET /stats/top": {"last_s"},
    "GET /stats/errors": {"last_s"},
}


def resources(kind=Resource):
    for below in kind.__subclasses__():
        yield below
        yield from resources(below)


# In an order that is the same in every process of the suite.
METHODS = sorted(
    {
        (f"{resource.__name__}.{name}", method)
        for resource in resources()
        for name, method in vars(resource).items()
        if getattr(method, "route", None)
    },
    key=lambda named: named[0],
)


def test_every_operation_of_the_api_has_a_method_and_no_method_asks_for_what_is_not_there():
    assert {method.route for *_, method in METHODS} | ENQUEUES == OPERATIONS.keys()


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_every_query_parameter_of_an_operation_is_an_argument(name, method):
    asked = {
        parameter["name"]
        for parameter in OPERATIONS[method.route].get("parameters", ())
        if parameter["in"] == "query"
    }
    signature = inspect.signature(method._call)
    there = set(signature.parameters)
    keywords = signature.parameters.get("filters")
    if keywords is not None:
        [typed] = re.findall(r"Unpack\[(\w+)\]", str(keywords.annotation))
        there |= getattr(options, typed).__annotations__.keys()
    assert asked - PAGING - SAID_OTHERWISE.get(method.route, set()) - there == set()
    if asked & PAGING:
        assert there & {"page_size", "limit", "after"}


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (options.RemoteOptions, NewExecution.model_fields.keys() - {"task", "request"}),
        (options.Filters, ExecutionFilter.model_fields.keys()),
        (options.JobFilters, JobFilter.model_fields.keys()),
        (RecurringOptions, JobOptions.model_fields.keys()),
    ],
)
def test_options_and_filters_are_those_that_the_api_takes(arguments, fields):
    assert arguments.__annotations__.keys() == set(fields)


def test_both_clients_have_the_same_names_and_signatures_of_what_is_written_twice():
    awaited = {"__aenter__": "__enter__", "__aexit__": "__exit__"}
    names = {awaited.get(name, name) for name in dir(AsyncButlerClient)}
    assert names == set(dir(ButlerClient))
    for name in ("enqueue", "enqueue_many", "handle", "__init__"):
        ours, theirs = (
            inspect.signature(getattr(client, name)).parameters
            for client in (ButlerClient, AsyncButlerClient)
        )
        assert [(each.name, each.kind, each.default) for each in ours.values()] == [
            (each.name, each.kind, each.default) for each in theirs.values()
        ]


def test_a_method_is_named_documented_and_signed_as_it_was_written():
    client = ButlerClient("http://localhost")
    assert client.cancel.__name__ == "cancel"
    assert str(inspect.signature(client.cancel)).startswith("(execution_id: ")
    assert all(inspect.getdoc(method) for *_, method in METHODS)
    assert inspect.iscoroutinefunction(AsyncButlerClient("http://localhost").enqueue)
