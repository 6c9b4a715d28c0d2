"""How the commands find an application, and what a fork does to one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from fleet import wait_for

BIN = Path(sys.executable).parent
COMMANDS = ("butler", "butler-worker", "butler-scheduler")

TASKS = """
from butler import task

@task
def ship(request: int) -> int:
    return request * 2
"""
MAIN = """
from butler import Butler

butler = Butler(include=["shop.tasks"])

def make():
    return butler
"""


@pytest.fixture
def shop(tmp_path):
    """A project folder whose app and tasks do not import each other."""
    folder = tmp_path / "project"
    (folder / "shop").mkdir(parents=True)
    for name, text in (("__init__", ""), ("tasks", TASKS), ("main", MAIN)):
        (folder / "shop" / f"{name}.py").write_text(text)
    return folder


@pytest.fixture
def environment(redis_url, database_url):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BUTLER_", "PYTHON"))}
    return {**kept, "BUTLER_REDIS_URL": redis_url, "BUTLER_DATABASE_URL": database_url}


def run(command, *arguments, cwd, env, timeout_s=60):
    return subprocess.run(
        [BIN / command, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def start(command, *arguments, cwd, env, log):
    with log.open("ab") as file:
        return subprocess.Popen(
            [BIN / command, *arguments],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def stop(process):
    process.terminate()
    assert process.wait(30) == 0


@pytest.mark.parametrize("target", ["shop.main:butler", "shop.main:make", "shop.main"])
def test_a_worker_finds_the_app_and_imports_what_it_includes(
    target, shop, environment, butler, tmp_path
):
    log = tmp_path / "worker.log"
    options = ["--app", target, "--app-dir", str(shop), "--processes", "1"]
    worker = start("butler-worker", *options, cwd="/", env=environment, log=log)
    try:
        wait_for(
            lambda: "ship" in [task.name for task in butler.storage.task_definitions()],
            what=f"the task to be announced: {log.read_text()}",
        )
        assert butler.enqueue("ship", 21).result(timeout_s=30) == 42
    finally:
        stop(worker)


def test_two_butlers_in_one_module_must_be_named(shop, environment):
    (shop / "shop" / "main.py").write_text(MAIN + "\nother = Butler()\n")
    done = run("butler-worker", "--app", "shop.main", cwd=shop, env=environment)
    assert done.returncode == 3
    assert "shop.main holds several (butler, other): name one as shop.main:name" in done.stderr


def test_an_included_module_that_is_missing_ends_a_worker_with_its_name(shop, environment):
    (shop / "shop" / "tasks.py").unlink()
    done = run("butler-worker", "--app", "shop.main:butler", cwd=shop, env=environment)
    assert done.returncode == 3
    assert "no module named 'shop.tasks' for include='shop.tasks'" in done.stderr


@pytest.mark.parametrize("name", ["butler.py", "butler/__init__.py"])
def test_a_worker_names_a_file_of_the_project_that_hides_the_package(shop, environment, name):
    shadow = shop / name
    shadow.parent.mkdir(exist_ok=True)
    shadow.write_text("")
    done = run("butler-worker", "--app", "shop.main:butler", cwd=shop, env=environment)
    assert done.returncode == 3
    assert f"{shadow} hides the package 'butler'" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_names_a_hidden_package_even_where_it_cannot_be_imported(
    command, shop, environment
):
    """On the path before the installed package: nothing of ``butler`` can be imported then."""
    shadow = shop / "butler.py"
    shadow.write_text("from butler import Butler\n")
    done = run(command, "--help", cwd=shop, env={**environment, "PYTHONPATH": str(shop)})
    assert done.returncode == 3
    assert done.stderr.startswith(f"{command}: {shadow} hides the package 'butler'")


@pytest.mark.parametrize("module", ["butler_workers", "butler_scheduler"])
def test_so_does_python_dash_m_in_that_folder(module, shop, environment):
    (shop / "butler.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=shop,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "butler.py hides the package 'butler'" in done.stderr


GUNICORN_APP = """
import os, sys, threading
from butler import Butler

butler = Butler(include=["shop.tasks"])
butler.enqueue("ship", 1)
before = os.getpid()

def keep_asking():
    while os.getpid() == before:
        butler.get(butler.enqueue("ship", 2).id)

# Whatever this thread holds when gunicorn forks must not stay shut in the workers.
threading.Thread(target=keep_asking, daemon=True).start()

def app(environ, start_response):
    assert os.getpid() != before
    handle = butler.enqueue("ship", 3, tags=["served", str(os.getpid())])
    assert butler.get(handle.id).request == 3
    start_response("200 OK", [])
    return [f"{os.getpid()} {handle.pushed}".encode()]
"""


def test_a_butler_that_worked_before_gunicorn_forked_works_in_each_of_its_workers(
    shop, environment, butler, tmp_path
):
    (shop / "web.py").write_text(GUNICORN_APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    log = tmp_path / "gunicorn.log"
    options = ["--preload", "--workers", "3", "--bind", address, "web:app"]
    on_path = {**environment, "PYTHONPATH": str(shop)}
    server = start("gunicorn", *options, cwd=shop, env=on_path, log=log)
    try:
        served = set()

        def all_served():
            assert server.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"http://{address}/", timeout=20) as answer:
                    pid, pushed = answer.read().decode().split()
            except ConnectionError:
                return False
            except urllib.error.URLError as error:
                if isinstance(error.reason, ConnectionError):
                    return False
                raise AssertionError(log.read_text()) from error
            assert pushed == "True"
            served.add(pid)
            return len(served) == 3

        wait_for(all_served, what="all three workers to serve")
        page = butler.list(tag="served", limit=1000)
        assert {tag for e in page.executions for tag in e.tags} - {"served"} == served
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
