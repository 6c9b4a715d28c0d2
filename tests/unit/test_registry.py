"""The registry: names, aliases and tags, and what it refuses."""

from __future__ import annotations

import pytest

from butler.errors import DefinitionError, UnknownTask
from butler.function_tasks import task
from butler.registry import TaskRegistry


def spec(name, **options):
    @task(name=name, **options)
    def fn() -> None: ...

    return fn.spec


@pytest.fixture
def registry():
    registry = TaskRegistry()
    for name, options in {
        "send": {"tags": ["mail", "slow"], "aliases": ["send_email"]},
        "ping": {"tags": ["slow"]},
    }.items():
        made = spec(name, **options)
        registry.add(made, sources=(made,))
    return registry


def test_a_task_is_found_by_name_and_by_alias(registry):
    assert registry.get("send") is registry.get("send_email")
    assert registry.get("send").name == "send"
    assert registry.find("nothing") is None


def test_names_hold_the_aliases_because_a_worker_runs_those_too(registry):
    assert registry.names() == ["ping", "send", "send_email"]
    assert len(registry) == 2
    assert "send_email" in registry
    assert "nothing" not in registry


def test_tasks_are_filtered_by_tag(registry):
    assert [s.name for s in registry] == ["ping", "send"]
    assert [s.name for s in registry.with_tag("slow")] == ["ping", "send"]
    assert [s.name for s in registry.with_tag("mail")] == ["send"]
    assert registry.with_tag("other") == []


def test_an_unknown_name_says_what_was_probably_meant(registry):
    with pytest.raises(UnknownTask, match="no task named 'sned'; did you mean"):
        registry.get("sned")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("send", {}),
        ("send_email", {}),
        ("other", {"aliases": ["ping"]}),
        ("other", {"aliases": ["send_email"]}),
    ],
)
def test_a_name_that_is_taken_is_refused(registry, name, options):
    made = spec(name, **options)
    with pytest.raises(DefinitionError, match="is already registered"):
        registry.add(made, sources=(made,))
    assert len(registry) == 2
    assert "other" not in registry


def test_registering_the_same_source_again_changes_nothing(registry):
    made = spec("again")
    registry.add(made, sources=(made,))
    registry.add(made, sources=(made,))
    assert len(registry) == 3


def test_a_task_is_found_by_what_was_registered(registry):
    made, source = spec("one"), object()
    registry.add(made, sources=(source,))
    assert registry.find_source(source) is made
    assert registry.find_source(object()) is None
