"""``butler queues``, ``workers``, ``tasks``, ``config`` and ``migrate`` on real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from postgres_scenes import add_worker

from butler.storage.migrate import known_migrations

BIN = Path(sys.executable).parent
APP = (
    "from butler import Butler, task\nbutler = Butler()\n@butler.task(tags=['x'], queue='slow')\n"
    + ('def local() -> None:\n    """Only here."""\n')
)


@pytest.fixture
def announced(butler):
    butler.storage.register_tasks(butler.tasks())
    return butler


def test_queues_show_lists_states_and_workers(run_butler, announced):
    announced.enqueue("work", {"n": 1}, queue="mail", priority="high")
    announced.enqueue("work", {"n": 1}, queue="mail", delay_s=600)
    add_worker(announced.storage)
    header, *rows = run_butler("queues", "list").lines
    assert header.split()[:5] == ["QUEUE", "HIGH", "NORMAL", "LOW", "SCHEDULED"]
    assert [row.split() for row in rows if row.startswith("mail")] == [
        ["mail", "1", "0", "0", "1", "1", "0", "0", "0", "-", "-"]
    ]
    forms = {form["name"]: form for form in run_butler("queues", "list", "--json").json["queues"]}
    assert forms["mail"]["waiting"] == {"high": 1, "normal": 0, "low": 0}
    assert forms["mail"]["executions"]["scheduled"] == 1
    assert forms["default"]["workers"] == 1


def test_a_queue_that_is_paused_is_shown_as_paused_until_it_goes_on(run_butler, announced):
    def state(queue):
        [form] = [
            f for f in run_butler("queues", "list", "--json").json["queues"] if f["name"] == queue
        ]
        return form["paused"]

    # Also one that nothing was pushed to yet.
    assert run_butler("queues", "pause", "mail", "--json").json == {"queue": "mail", "paused": True}
    assert state("mail")
    assert [row.split()[-1] for row in run_butler("queues", "list").lines if "mail" in row] == [
        "paused"
    ]
    announced.enqueue("work", {"n": 1}, queue="mail")
    assert run_butler("queues", "resume", "mail").err == "queue mail goes on\n"
    assert not state("mail")


def test_workers_show_those_alive_and_all_when_asked(run_butler, announced):
    assert run_butler("workers", "list").err == "no workers\n"
    alive, stopped = add_worker(announced.storage), add_worker(announced.storage)
    announced.storage.stop_worker(stopped)
    (row,) = run_butler("workers", "list").lines[1:]
    assert row.endswith(alive)
    states = {
        w["id"]: w["state"]
        for w in run_butler("workers", "list", "--all", "--json").json["workers"]
    }
    assert states == {alive: "alive", stopped: "stopped"}


def test_tasks_are_those_announced_and_those_of_the_app(run_butler, announced, tmp_path):
    # One each, because a command closes the Butler it has used.
    for name in ("local_app", "local_app_again"):
        (tmp_path / f"{name}.py").write_text(APP)
    names = [row.split()[0] for row in run_butler("tasks", "list").lines[1:]]
    assert "work" in names
    assert "local" not in names
    ran = run_butler("tasks", "list", "--app", "local_app", "--tag", "x")
    (row,) = ran.lines[1:]
    assert row.split()[:3] == ["local", "slow", "x"]
    assert row.endswith("Only here.")
    (form,) = run_butler("tasks", "list", "--app", "local_app_again", "--tag", "x", "--json").json[
        "tasks"
    ]
    assert (form["name"], form["options"]["queue"]) == ("local", "slow")


def test_looking_needs_none_of_the_applications_code(run_butler, announced):
    """An operator's machine may have BUTLER_APP set and the application not installed."""
    assert run_butler("queues", "list", BUTLER_APP="not_installed").code == 0
    assert run_butler("tasks", "list", BUTLER_APP="not_installed").code == 1


def test_the_app_says_where_its_servers_are_where_nothing_else_does(
    run_butler, announced, tmp_path, redis_url, database_url
):
    (tmp_path / "urls_app.py").write_text(
        f"from butler import Butler\nbutler = Butler({redis_url!r}, {database_url!r})\n"
    )
    nowhere = {"BUTLER_REDIS_URL": None, "BUTLER_DATABASE_URL": None}
    announced.enqueue("work", {"n": 1})
    ran = run_butler("executions", "list", **nowhere, BUTLER_APP="urls_app")
    assert (ran.code, len(ran.lines)) == (0, 2)
    assert run_butler("migrate", "--status", **nowhere, BUTLER_APP="urls_app").code == 0
    lost = run_butler("executions", "list", **nowhere)
    assert lost.code == 2
    assert "no redis_url is set" in lost.err


# config


def test_config_shows_every_setting_with_its_origin_and_no_password(run_butler, tmp_path):
    (tmp_path / "butler.toml").write_text("pool_size = 7\n")
    env = {"BUTLER_REDIS_URL": "redis://u:hunter2@h/0", "BUTLER_LEASE_S": "30"}
    ran = run_butler("config", "show", "--origin", "--app-dir", "x", BUTLER_POLSIZE="1", **env)
    rows = {row.split()[0]: row.split()[1:] for row in ran.lines[1:]}
    assert rows["redis_url"] == ["redis://u:***@h/0", "BUTLER_REDIS_URL"]
    assert rows["pool_size"] == ["7", "butler.toml"]
    assert rows["lease_s"] == ["30.0", "BUTLER_LEASE_S"]
    assert rows["app_dir"] == ["x", "argument"]
    assert rows["concurrency"] == ["16", "default"]
    assert "hunter2" not in ran.out + ran.err
    assert 'BUTLER_POLSIZE; did you mean "BUTLER_POOL_SIZE"?' in ran.err
    form = run_butler("config", "show", "--origin", "--json", **env).json
    assert form["redis_url"] == {"value": "redis://u:***@h/0", "origin": "BUTLER_REDIS_URL"}
    assert run_butler("config", "show", "--json").json["prepared_statements"] is True


def test_config_of_an_app_shows_what_its_butler_was_given(run_butler, tmp_path):
    (tmp_path / "given_app.py").write_text(
        "from butler import Butler\nbutler = Butler('redis://of-the-app')\n"
    )
    form = run_butler("config", "show", "--origin", "--json", "--app", "given_app").json
    assert form["redis_url"] == {"value": "redis://of-the-app", "origin": "the app given_app"}


def test_a_setting_that_cannot_be_read_is_a_usage_error_with_its_variable(tmp_path):
    done = subprocess.run(
        [BIN / "butler", "config", "show"],
        cwd=tmp_path,
        env={**os.environ, "BUTLER_POOL_SIZE": "many"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("butler: settings cannot be used: pool_size (BUTLER_POOL_SIZE)")


def test_a_project_file_that_hides_the_package_is_named_by_every_command(tmp_path):
    (tmp_path / "butler.py").write_text("")
    done = subprocess.run(
        [BIN / "butler", "config", "show"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert f"warning: {tmp_path}/butler.py hides the package 'butler'" in done.stderr
    assert "pool_size" in done.stdout


# migrate


@pytest.fixture
def empty_database(services):
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE cli_migrations")
        yield services.database_url.replace("@/butler?", "@/cli_migrations?")
        connection.execute("DROP DATABASE cli_migrations WITH (FORCE)")


ALL = [migration.name for migration in known_migrations()]


def test_migrate_says_what_is_pending_and_then_applies_it(run_butler, empty_database):
    env = {"BUTLER_DATABASE_URL": empty_database, "BUTLER_DATABASE_SCHEMA": "jobs"}
    before = run_butler("migrate", "--status", **env)
    assert (before.code, before.lines) == (1, [f"pending  {name}" for name in ALL])
    assert "Run: butler migrate" in before.err
    assert run_butler("migrate", **env).lines == [f"applied {name}" for name in ALL]
    again = run_butler("migrate", **env)
    assert (again.code, again.out, again.err) == (0, "", "the schema is up to date\n")
    after = run_butler("migrate", "--status", "--json", **env)
    assert (after.code, after.json["applied"], after.json["problem"]) == (0, ALL, None)


def test_what_migrate_prints_does_the_same_by_hand(run_butler, empty_database):
    env = {"BUTLER_DATABASE_URL": empty_database, "BUTLER_DATABASE_SCHEMA": "jobs"}
    printed = run_butler("migrate", "--print", **env)
    assert printed.err == f"{len(ALL)} pending; nothing was changed\n"
    assert run_butler("migrate", "--status", **env).code == 1
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(printed.out)
    assert run_butler("migrate", "--status", "--json", **env).json["applied"] == ALL
    assert run_butler("migrate", "--json", **env).json == {"applied": []}
    assert run_butler("migrate", "--print", "--json", **env).json == {"pending": [], "sql": ""}


def test_migrate_status_and_print_exclude_each_other(run_butler):
    assert run_butler("migrate", "--status", "--print").code == 2
