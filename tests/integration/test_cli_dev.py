"""``butler dev``: servers, a worker that follows the code, a scheduler; all gone at the end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fleet import wait_for

from butler import Butler
from butler.dev.session import DevSession
from butler.dev.sources import Sources

BIN = Path(sys.executable).parent
APP = """
from butler import Butler, Interval

butler = Butler()

@butler.recurring(Interval(3600))
@butler.task(queue="answers")
def answer() -> int:
    return {number}
"""


class Dev:
    """A running ``butler dev``."""

    def __init__(self, folder, *options, **env):
        self.log = folder / "dev.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith("BUTLER_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [BIN / "butler", "dev", *options],
                cwd=folder,
                env={**kept, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def text(self):
        return self.log.read_text()

    def wait_for(self, pattern, *, times=1):
        def found():
            assert self.process.poll() is None, self.text()
            return len(re.findall(pattern, self.text())) >= times

        wait_for(found, timeout_s=90, what=f"{pattern} {times} times in:\n{self.text()}")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shop.py").write_text(APP.format(number=1))
    return tmp_path


def test_dev_runs_everything_follows_the_code_and_leaves_nothing_behind(folder):
    dev = Dev(folder, "--app", "shop:butler")
    try:
        dev.wait_for("worker.started")
        urls = dict(re.findall(r"export BUTLER_(\w+)_URL='(.+)'", dev.text()))
        with Butler(urls["REDIS"], urls["DATABASE"]) as butler:
            assert butler.enqueue("answer").result(timeout_s=30) == 1
            # Only the scheduler makes it run.
            assert butler.enqueue("answer", delay_s=0.2).result(timeout_s=30) == 1
            assert [job.name for job in butler.recurring.list().jobs] == ["answer"]
            os.kill(redis_pid(butler), signal.SIGKILL)
            dev.wait_for("redis ended: starting it again")
            (folder / "shop.py").write_text("not python")
            dev.wait_for("the worker ended with 1; it starts again when a file changes")
            (folder / "shop.py").write_text(APP.format(number=22))
            dev.wait_for("worker.started", times=2)
            assert butler.enqueue("answer").result(timeout_s=30) == 22
        assert "shop.py changed: restarting worker and scheduler" in dev.text()
    finally:
        code = dev.end()
    assert code == 0
    wait_for(lambda: not processes_of(folder), what="all processes to end")
    assert (folder / ".butler").is_dir()


def test_dev_uses_servers_that_are_named_and_starts_none(folder, redis_url, database_url):
    dev = Dev(
        folder,
        "--app",
        "shop:butler",
        BUTLER_REDIS_URL=redis_url,
        BUTLER_DATABASE_URL=database_url,
    )
    try:
        dev.wait_for("worker.started")
    finally:
        assert dev.end() == 0
    assert not (folder / ".butler").exists()


def redis_pid(butler):
    return int(butler.redis.info("server")["process_id"])


def processes_of(folder):
    """Ids of processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if os.fsencode(folder) in line:
            found.append(entry.name)
    return found


# What the command is made of


def test_only_the_applications_own_code_is_followed(tmp_path):
    for name in ("a.py", "sub/b.py", "butler.toml", ".git/c.py", "env/d.py", "node_modules/e.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / "env/pyvenv.cfg").touch()
    (tmp_path / "notes.txt").touch()
    sources = Sources(tmp_path)
    assert sources.changed() == []
    for name in ("a.py", "sub/b.py", ".git/c.py", "env/d.py", "node_modules/e.py", "notes.txt"):
        (tmp_path / name).write_text("12")
    (tmp_path / "butler.toml").unlink()
    (tmp_path / "new.py").touch()
    assert sources.changed() == ["a.py", "butler.toml", "new.py", "sub/b.py"]
    assert sources.changed() == []


class FakeProcess:
    def __init__(self):
        self.starts = 0
        self.ends = 0
        self.ended_with = None

    def start(self):
        self.starts += 1
        self.ended_with = None

    def ask_to_end(self):
        pass

    def end(self):
        self.ends += 1


class FakeServer:
    name = "redis"
    pid = 7
    starts = 0

    def start(self):
        self.starts += 1
        self.pid = 8


class ScriptedChanges:
    """What changed at each look; stops the session after the last."""

    def __init__(self, *looks):
        self.looks = list(looks)
        self.session = None

    def changed(self):
        look = self.looks.pop(0)
        if not self.looks:
            self.session.stop()
        return look() or [] if callable(look) else look


def run_session(*looks, monkeypatch, servers=(), **processes):
    monkeypatch.setattr("butler.dev.session.LOOK_EVERY_S", 0)
    said = []
    changes = ScriptedChanges(*looks)
    changes.session = DevSession(processes, servers=servers, sources=changes, say=said.append)
    changes.session.run()
    return said


@pytest.mark.parametrize("name", ["worker", "scheduler"])
def test_what_ended_is_told_once_and_waits_for_a_change(name, monkeypatch):
    processes = {"worker": FakeProcess(), "scheduler": FakeProcess()}

    def die():
        processes[name].ended_with = 3

    said = run_session(die, [], [], ["a.py"], [], monkeypatch=monkeypatch, **processes)
    assert said == [
        f"the {name} ended with 3; it starts again when a file changes",
        "a.py changed: restarting worker and scheduler",
    ]
    assert [process.starts for process in processes.values()] == [2, 2]


def test_a_server_that_ended_is_started_again(monkeypatch):
    server = FakeServer()

    def die():
        server.pid = None

    said = run_session(die, [], [], servers=[server], worker=FakeProcess(), monkeypatch=monkeypatch)
    assert said == ["redis ended: starting it again"]
    assert server.starts == 1


def test_many_changed_files_are_counted(monkeypatch):
    said = run_session(["a", "b", "c", "d", "e"], worker=FakeProcess(), monkeypatch=monkeypatch)
    assert said == ["a, b, c and 2 more changed: restarting worker"]
