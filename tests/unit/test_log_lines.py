"""What a line of the commands' log tells, in both forms."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest

from butler.context import running_context
from butler.log import log_event
from butler.log_lines import ConsoleLines, JsonLines


class Lines(logging.Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def lines():
    handler = Lines()
    logger = logging.getLogger("test.lines")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield handler
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.fixture
def logger():
    return logging.getLogger("test.lines")


@pytest.fixture
def task():
    token = running_context.set(SimpleNamespace(execution_id="e-1", attempt=2))
    yield
    running_context.reset(token)


def test_in_a_task_a_line_for_people_names_execution_attempt_and_worker(lines, logger, task):
    lines.setFormatter(ConsoleLines("w-1"))
    logger.info("sent %s", 7)
    [line] = lines.lines
    assert line.endswith("INFO    test.lines: sent 7 execution=e-1 attempt=2 worker=w-1")


def test_outside_of_a_task_it_names_the_worker(lines, logger):
    lines.setFormatter(ConsoleLines("w-1"))
    log_event(logger, logging.INFO, "execution.succeeded", id="e-2", attempt=1)
    assert lines.lines[0].endswith("execution.succeeded id=e-2 attempt=1 worker=w-1")


def test_a_process_that_is_no_worker_adds_nothing(lines, logger):
    lines.setFormatter(ConsoleLines(None))
    logger.info("hello")
    assert lines.lines[0].endswith(": hello")


def test_a_line_for_programs_is_one_object(lines, logger, task):
    lines.setFormatter(JsonLines("w-1"))
    logger.info("two\nlines ü", extra={"order": 7, "what": {1}})
    [line] = lines.lines
    assert "\n" not in line
    assert line.isascii()
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "info",
        "logger": "test.lines",
        "message": "two\nlines ü",
        "execution_id": "e-1",
        "attempt": 2,
        "worker": "w-1",
        "order": 7,
        "what": "{1}",
    }


def test_an_event_has_its_fields_beside_its_name(lines, logger):
    lines.setFormatter(JsonLines(None))
    log_event(logger, logging.WARNING, "execution.failed", id="e-3", attempt=1, error="a b")
    found = json.loads(lines.lines[0])
    assert (found["event"], found["level"]) == ("execution.failed", "warning")
    assert (found["execution_id"], found["attempt"], found["error"]) == ("e-3", 1, "a b")
    assert "id" not in found


def test_an_errors_traceback_is_a_field(lines, logger):
    lines.setFormatter(JsonLines(None))
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("it failed")
    assert json.loads(lines.lines[0])["traceback"].endswith("ValueError: boom")
