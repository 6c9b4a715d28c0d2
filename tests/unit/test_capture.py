"""Which records and prints are kept for which attempt, and what the process sees of it."""

from __future__ import annotations

import asyncio
import contextvars
import io
import logging
import sys
import threading

import pytest

from butler import TaskContext
from butler.capture import LogCapture, PrintCapture, capturing
from butler.context import running_context
from butler.log import configure_logging
from butler.settings import Settings
from butler.testing.contexts import make_context

library = logging.getLogger("shop.library")


def settings(level="info", *, print_too=False):
    return Settings(capture_log_level=level, capture_print=print_too)


@pytest.fixture
def context():
    return make_context(task="send.mail")


@pytest.fixture
def running(context):
    token = running_context.set(context)
    yield context
    running_context.reset(token)


@pytest.fixture
def root():
    """A root logger that lets everything through, as nobody has configured it."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.setLevel(logging.DEBUG)
    root.handlers[:] = []
    yield root
    root.setLevel(level)
    root.handlers[:] = handlers


def kept(context):
    """(level, logger, message) of what was kept."""
    return [line[2:] for line in context._control.take_lines()]


def test_the_context_has_a_logger_of_the_tasks_name(running, root):
    with capturing(settings()):
        running.log.info("%d items", 3)
        running.log.debug("not kept")
    assert kept(running) == [(20, "butler.task.send.mail", "3 items")]


def test_the_contexts_records_carry_whose_they_are_and_the_callers_extra(running, root):
    seen = []
    handler = logging.Handler()
    handler.emit = seen.append
    root.addHandler(handler)
    running.log.warning("careful", extra={"order": 7})
    [record] = seen
    assert (record.execution_id, record.attempt, record.task) == (
        running.execution_id,
        1,
        "send.mail",
    )
    assert record.order == 7


def test_records_of_any_logger_are_kept_with_their_traceback(running, root):
    with capturing(settings()):
        library.info("hello %s", "you")
        try:
            raise KeyError("lost")
        except KeyError:
            library.exception("broken")
    first, second = kept(running)
    assert first == (20, "shop.library", "hello you")
    assert second[:2] == (40, "shop.library")
    assert second[2].startswith("broken\nTraceback (most recent call last):\n")
    assert second[2].endswith("KeyError: 'lost'")


@pytest.mark.parametrize("name", ["butler", "butler.app", "butler_workers.worker", "butler.tasks"])
def test_butlers_own_records_are_not_kept(running, root, name):
    with capturing(settings()):
        logging.getLogger(name).warning("internal")
        logging.getLogger("butlers.pantry").warning("a user's")
    assert kept(running) == [(30, "butlers.pantry", "a user's")]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
        ("off", []),
    ],
)
def test_the_setting_says_from_which_level_on(running, root, level, expected):
    with capturing(settings(level)):
        for name in ("debug", "info", "warning", "error"):
            getattr(library, name)(name)
    assert expected == [message for _, _, message in kept(running)]


def test_nothing_is_kept_where_no_task_runs_or_nobody_captures(context, root):
    with capturing(settings()):
        library.warning("outside")
    token = running_context.set(context)
    library.warning("nobody captures")
    running_context.reset(token)
    assert kept(context) == []


def test_a_record_that_cannot_be_formatted_is_kept_as_it_is(running, root):
    class Rude:
        def __str__(self):
            raise RuntimeError("no")

    with capturing(settings()):
        for message, *arguments in (("%d items", "many"), (Rude(),)):
            LogCapture().handle(
                logging.LogRecord("x", 30, __file__, 1, message, tuple(arguments), None)
            )
    first, second = kept(running)
    assert first[2] == "'%d items' could not be formatted: TypeError"
    assert second[2].endswith("could not be formatted: RuntimeError")


def test_threads_in_a_copy_of_the_context_are_the_tasks_and_others_are_not(running, root):
    own = contextvars.copy_context()
    with capturing(settings()):
        for run, *arguments in ((library.info, "alone"), (own.run, library.info, "own")):
            thread = threading.Thread(target=run, args=arguments)
            thread.start()
            thread.join(10)
    assert [message for _, _, message in kept(running)] == ["own"]


def test_coroutines_beside_each_other_keep_their_own(root):
    contexts = [make_context(task=name) for name in ("a", "b")]

    async def run(context):
        running_context.set(context)
        for _ in range(3):
            library.info(context.task)
            await asyncio.sleep(0)
        await asyncio.to_thread(library.info, f"{context.task} in a thread")

    async def main():
        await asyncio.gather(*map(run, contexts))

    with capturing(settings()):
        asyncio.run(main())
    for context in contexts:
        name = context.task
        assert [line[2] for line in kept(context)] == [*[name] * 3, f"{name} in a thread"]


def test_overlapping_blocks_keep_a_line_once_from_the_lowest_level(running, root):
    before = root.handlers[:]
    with capturing(settings("error")):
        with capturing(settings("info")):
            library.info("both")
        library.info("only error is left")
        library.error("error")
    assert [message for _, _, message in kept(running)] == ["both", "error"]
    assert root.handlers == before


def test_the_root_logger_is_lowered_only_where_its_handlers_filter(running, root, capsys):
    configure_logging("warning")
    with capturing(settings("info")):
        library.info("kept and not shown")
        library.warning("kept and shown")
        assert not logging.getLogger("butler_workers.worker").isEnabledFor(logging.INFO)
    assert (root.level, logging.getLogger("butler_workers").level) == (30, logging.NOTSET)
    assert [message for _, _, message in kept(running)] == ["kept and not shown", "kept and shown"]
    shown = capsys.readouterr().err
    assert "kept and shown" in shown
    assert "not shown" not in shown


def test_an_applications_own_levels_are_left_alone(running, root):
    root.setLevel(logging.WARNING)
    root.handlers[:] = []
    seen = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())
    root.addHandler(handler)
    with capturing(settings("info")):
        library.info("not let through")
        running.log.info("always let through")
        assert root.level == logging.WARNING
    assert [message for _, _, message in kept(running)] == ["always let through"]
    assert seen == ["always let through"]


def test_a_warning_is_shown_in_a_process_without_logging_as_it_would_be(running, root, capsys):
    root.handlers[:] = []
    with capturing(settings()):
        library.info("quiet")
        library.warning("loud")
        library.addHandler(logging.NullHandler())
        library.warning("handled")
    library.handlers.clear()
    assert capsys.readouterr().err == "loud\n"


def test_what_is_printed_is_kept_where_that_is_wanted(running, root, monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    print("nobody captures")
    with capturing(settings(print_too=True)), capturing(settings(print_too=True)):
        print("a", "b")
        print("c", file=sys.stderr)
        sys.stdout.writelines(["d\n", "e"])
        assert isinstance(sys.stdout, PrintCapture)
        assert not sys.stdout.isatty()
    assert (sys.stdout, sys.stderr) == (out, err)
    running._control.end_lines()
    assert kept(running) == [
        (20, "stdout", "a b"),
        (20, "stderr", "c"),
        (20, "stdout", "d"),
        (20, "stdout", "e"),
    ]
    assert out.getvalue() == "nobody captures\na b\nd\ne"
    assert err.getvalue() == "c\n"


def test_what_is_printed_outside_a_task_or_unasked_is_not_kept(context, root, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with capturing(settings(print_too=True)):
        print("outside")
    token = running_context.set(context)
    with capturing(settings()):
        print("unasked")
    running_context.reset(token)
    assert kept(context) == []


def test_a_context_made_for_a_test_has_a_logger_as_well(caplog):
    context = make_context(task="t")
    with caplog.at_level(logging.INFO):
        context.log.info("seen")
    assert isinstance(context, TaskContext)
    assert caplog.messages == ["seen"]
