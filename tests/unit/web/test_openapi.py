from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

from jsonschema import Draft202012Validator

from butler.web import problems
from butler.web.api import ROUTES
from butler.web.routes import ASKS, UNREPEATABLE

ROOT = Path(__file__).parents[3]


def test_the_frozen_document_and_the_reference_are_what_the_api_says():
    command = [sys.executable, ROOT / ".ci" / "openapi.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_endpoint_says_what_it_does_and_how_it_may_fail(app):
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            if path.startswith("/api/v1"):
                assert operation["description"], (method, path)
                assert {"401", "403", "422", "503"} <= operation["responses"].keys()


def test_each_change_says_which_headers_it_takes(app):
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            given = {each["name"]: each for each in operation.get("parameters", [])}
            changes = method != "get" and ASKS not in operation
            assert ("Butler-Reason" in given) == changes, (method, path)
            repeats = changes and UNREPEATABLE not in operation
            assert ("Idempotency-Key" in given) == repeats, (method, path)
            assert not repeats or "409" in operation["responses"], (method, path)
            edits = "428" in operation["responses"]
            assert ("If-Match" in given and given["If-Match"]["required"]) == edits, (method, path)


def test_each_body_has_an_example_that_fits_it(app):
    document = app.openapi()
    schemas = document["components"]["schemas"]
    bodies = [
        content["application/json"]["schema"]
        for item in document["paths"].values()
        for operation in item.values()
        if (content := operation.get("requestBody", {}).get("content"))
    ]
    names = {
        each["$ref"].rpartition("/")[2]
        for body in bodies
        for each in body.get("anyOf", [body])
        if "$ref" in each
    }
    assert len(names) > 10
    for name in names:
        fits = Draft202012Validator(schemas[name] | {"components": document["components"]})
        assert schemas[name].get("examples"), name
        for example in schemas[name]["examples"]:
            assert list(fits.iter_errors(example)) == [], name


def rows(heading):
    """The tables under a heading of the guide: the other cells by the first one."""
    text = (ROOT / "docs" / "rest-api.md").read_text()
    text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = (line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| `"))
    return {first.strip(" `"): [cell.strip() for cell in others] for first, *others in cells}


def test_the_guide_names_each_resource(app):
    paths = app.openapi()["paths"]
    tags = {each["tags"][0] for item in paths.values() for each in item.values()}
    assert rows("What there is").keys() == tags - {"metrics", "probes"}


def test_the_guide_names_each_problem_with_its_status():
    kinds = [kind for kind in vars(problems).values() if isinstance(kind, problems.ProblemKind)]
    documented = {slug: int(status) for slug, (status, _) in rows("Problems").items()}
    assert documented == {kind.slug: kind.status for kind in kinds}


def test_routes_are_not_made_once_more_by_each_application(app):
    assert all(route in app.routes for route in ROUTES)


def test_what_handlers_ask_for_is_not_fetched_in_a_thread():
    calls = {dependency.call for route in ROUTES for dependency in route.dependant.dependencies}
    assert len(calls) == 2
    assert all(map(inspect.iscoroutinefunction, calls))
