"""What tasks log in real workers: in threads, coroutines and processes; and the commands for it."""

import contextlib
import json
import select
import signal
import socket
import threading
from datetime import UTC, datetime

import pytest
from butler_workers.control import ControlLine
from butler_workers.isolated import IsolatedRunner
from fleet import live_workers, wait_for
from fleet_app import Item
from postgres_scenes import insert_many
from talkers import TALKERS, said

from butler.storage.logs import LogLine

NOW = datetime(2030, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


@pytest.fixture
def start(butler, fleet, monkeypatch):
    def start(*options, **environment):
        fleet.environment |= environment
        fleet.start_worker(*options)
        wait_for(lambda: len(live_workers(butler)) == 1, what="a worker", fleet=fleet)

    return start


def test_every_form_of_task_has_its_lines_and_stderr_has_what_its_level_says(butler, fleet, start):
    start("--log-level", "warning")
    handles = {name: butler.enqueue(name, Item(n=2)) for name in TALKERS}
    for name, handle in handles.items():
        handle.result(timeout_s=60)
        logger = f"butler.task.{name}"
        assert said(handle) == [
            (20, logger, "from the context"),
            (30, "shop.library", "from a library"),
            (20, logger, "line 0"),
            (20, logger, "line 1"),
            (20, logger, "done"),
        ]
    shown = fleet.logs()
    assert shown.count("from a library") == shown.count("from print") == len(TALKERS)
    assert "from the context" not in shown
    assert "execution.succeeded" not in shown


def test_print_is_kept_where_that_is_wanted_and_levels_where_they_are_set(butler, fleet, start):
    start(BUTLER_CAPTURE_PRINT="true", BUTLER_CAPTURE_LOG_LEVEL="warning")
    for name in TALKERS:
        handle = butler.enqueue(name, Item(n=2))
        handle.result(timeout_s=60)
        assert said(handle) == [
            (30, "shop.library", "from a library"),
            (20, "stdout", "from print"),
        ]
    # Seen as before by whoever reads the worker's own output.
    assert fleet.logs().count("from the context") == len(TALKERS)


def test_an_interrupt_waits_until_a_line_has_gone(butler):
    class Interrupted(BaseException):
        pass

    def interrupt(*_):
        raise Interrupted

    ours, theirs = socket.socketpair()
    runner = IsolatedRunner(butler, ControlLine(theirs))
    main = threading.get_ident()
    read = bytearray()

    def interrupt_and_read():
        select.select([ours], [], [], 10)
        # More than fits: its sender is waiting.
        signal.pthread_kill(main, signal.SIGUSR1)
        ours.settimeout(5)
        with contextlib.suppress(TimeoutError):
            while not read.endswith(b"\n"):
                read.extend(ours.recv(65_536))

    before = signal.signal(signal.SIGUSR1, interrupt)
    reader = threading.Thread(target=interrupt_and_read)
    reader.start()
    try:
        with pytest.raises(Interrupted):
            runner._send_line((1, 1.0, 20, "shop", "x" * 2_000_000))
        reader.join(15)
    finally:
        signal.signal(signal.SIGUSR1, before)
        ours.close()
        theirs.close()
    assert json.loads(read)["entry"] == [1, 1.0, 20, "shop", "x" * 2_000_000]


# The commands


def write(butler, execution_id, *messages, attempt=1, **options):
    lines = [
        LogLine(
            execution_id=execution_id,
            attempt=attempt,
            number=number,
            at=NOW,
            **{"level": 20, "logger": "shop", **options},
            message=message,
        )
        for number, message in enumerate(messages, start=1)
    ]
    butler.storage.write_logs(lines)
    return lines


def test_logs_prints_lines_that_cannot_act_on_a_terminal(run_butler, butler):
    [id_] = insert_many(butler.storage, 1)
    write(butler, id_, "hello", "evil \x1b[2J\r\n2030-01-01  forged", logger="sh\x1b[0mop")
    write(butler, id_, "again", attempt=2, level=30)
    ran = run_butler("executions", "logs", id_)
    assert ran.code == 0
    assert ran.lines == [
        "2030-01-01 12:30:15.123Z  1  INFO     sh\\x1b[0mop  hello",
        "2030-01-01 12:30:15.123Z  1  INFO     sh\\x1b[0mop  evil \\x1b[2J\\x0d",
        "    2030-01-01  forged",
        "2030-01-01 12:30:15.123Z  2  WARNING  shop  again",
    ]


def test_logs_prints_json_a_line_of_one_level_and_all_pages(run_butler, butler):
    [id_] = insert_many(butler.storage, 1)
    for attempt in (1, 2, 3):
        write(butler, id_, *["quiet"] * 700, attempt=attempt)
    [loud] = write(butler, id_, "loud", attempt=4, level=40)
    assert len(run_butler("executions", "logs", id_).lines) == 2_101
    [line] = run_butler("executions", "logs", id_, "--level", "warning", "--json").lines
    assert json.loads(line) == {
        "id": loud.id,
        "attempt": 4,
        "at": "2030-01-01T12:30:15.123456Z",
        "level": 40,
        "logger": "shop",
        "message": "loud",
        "cut": False,
    }


def test_logs_of_nothing_is_an_error(run_butler):
    ran = run_butler("executions", "logs", "0198c0de-0000-7000-8000-000000000000")
    assert ran.code == 1
    assert "0198c0de-0000-7000-8000-000000000000" in ran.err


def test_logs_follows_until_the_end_and_tells_a_growing_mark_once(run_butler, butler):
    [id_] = insert_many(butler.storage, 1)
    write(butler, id_, "first")
    mark = {"execution_id": id_, "attempt": 1, "number": 1_001, "at": NOW, "cut": True}
    mark |= {"level": 20, "logger": "butler"}
    butler.storage.write_logs([LogLine(**mark, message="… [cut: 1 line]")])

    def go_on():
        butler.storage.write_logs([LogLine(**mark, message="… [cut: 2 lines]")])
        write(butler, id_, "second", attempt=2)
        butler.cancel(id_)

    timer = threading.Timer(1.2, go_on)
    timer.start()
    ran = run_butler("executions", "logs", id_, "--follow")
    timer.join()
    assert ran.code == 0
    assert [line.split("  ")[-1] for line in ran.lines] == ["first", "… [cut: 2 lines]", "second"]


def test_tree_draws_what_came_of_an_execution(run_butler, butler, fleet, start):
    start()
    handle = butler.enqueue("family", Item(n=2))
    handle.result(timeout_s=60)
    wait_for(
        lambda: (
            {str(node.status) for _, node in butler.tree(handle.id).walk()} == {"succeeded"}
            and len(list(butler.tree(handle.id).walk())) == 7
        ),
        what="a family",
        fleet=fleet,
    )
    ran = run_butler("executions", "tree", handle.id, "--depth", "1")
    first, second = butler.tree(handle.id).children
    assert ran.lines == [
        f"{handle.id}  family  succeeded",
        f"├─ {first.id}  family  succeeded",
        "│  └─ …",
        f"└─ {second.id}  family  succeeded",
        "   └─ …",
    ]
    whole = run_butler("executions", "tree", handle.id, "--json").json
    assert [len(child["children"]) for child in whole["children"]] == [2, 2]
    assert (whole["id"], whole["cut"], whole["progress"]) == (handle.id, False, None)
