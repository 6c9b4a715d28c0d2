"""``butler check`` finds what is wrong, all of it at once."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest
import redis as redis_py

from butler.checking import fleet, ledger, limits, machine, redis
from butler.checking.findings import Level
from butler.ids import new_id, new_token
from butler.limiting import LimitRule, make_rule
from butler.queues import WireKeys
from butler.storage.limits import LimitRow
from butler.storage.postgres.facts import ServerFacts
from butler.storage.records import Leadership, TaskDefinition, WorkerRegistration


def by_topic(ran):
    return {finding["topic"]: finding for finding in ran.json["findings"]}


def facts(**changes):
    plain = {
        "name": "db",
        "version": 180_006,
        "pooled": False,
        "clock_ahead_s": 0.0,
        "clock_error_s": 0.0,
        "connections": 97,
        "used": 3,
        "read_only": False,
    }
    return ServerFacts(**(plain | changes))


def test_a_sound_installation_has_no_problem(run_butler, butler):
    tasks = butler.tasks()
    butler.storage.register_tasks(tasks)
    butler.storage.register_worker(
        WorkerRegistration(
            id=new_id(),
            name="w",
            host="h",
            pid=1,
            supervisor_id="s",
            queues=("default",),
            tasks=tuple(task.name for task in tasks),
            concurrency=4,
        )
    )
    seat = butler.storage.leadership()
    butler.storage.take_leadership("s1", observed=seat)
    ran = run_butler("check", "--json", "--strict")
    assert (ran.code, ran.err) == (0, "0 problems, 0 warnings\n")
    assert {finding["level"] for finding in ran.json["findings"]} == {"ok"}
    text = run_butler("check")
    assert text.lines[0].startswith("ok       versions           Python 3.")


def test_everything_that_is_wrong_is_found_at_once(run_butler, tmp_path):
    (tmp_path / "butler.py").write_text("")
    (tmp_path / "broken_app.py").write_text("1 / 0")
    ran = run_butler(
        "check",
        "--json",
        BUTLER_REDIS_URL="redis://:hunter2@127.0.0.1:1/0",
        BUTLER_DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/x",
        BUTLER_POLSIZE="1",
        BUTLER_APP="broken_app",
    )
    assert ran.code == 1
    assert ran.err == "4 problems, 1 warning\n"
    found = by_topic(ran)
    for topic, text in {
        "names": "butler.py hides the package",
        "settings": "BUTLER_POLSIZE",
        "app": "butler.py hides the package",
        "postgres": "127.0.0.1:1/x cannot be used",
        "redis": "Redis cannot be reached",
    }.items():
        assert text in found[topic]["found"]
    assert "hunter2" not in ran.out


def test_missing_urls_and_an_app_that_raises_are_findings_too(run_butler, tmp_path):
    (tmp_path / "broken_app.py").write_text("1 / 0")
    ran = run_butler(
        "check", "--json", "--app", "broken_app", BUTLER_REDIS_URL=None, BUTLER_DATABASE_URL=None
    )
    found = by_topic(ran)
    assert "importing broken_app raised ZeroDivisionError" in found["app"]["found"]
    assert "no database_url is set" in found["postgres"]["found"]
    assert "no redis_url is set" in found["redis"]["found"]


def test_a_schema_that_is_not_there_names_the_command_and_stops_nothing_else(run_butler):
    ran = run_butler("check", "--json", BUTLER_DATABASE_SCHEMA="nothing")
    found = by_topic(ran)
    assert found["schema"]["level"] == "problem"
    assert found["schema"]["found"].endswith("it has none of Butler's tables")
    assert found["schema"]["advice"] == "run: butler migrate"
    assert found["redis"]["level"] == "ok"
    auto = run_butler("check", "--json", BUTLER_DATABASE_SCHEMA="nothing", BUTLER_MIGRATE="auto")
    assert by_topic(auto)["schema"]["level"] == "warning"
    assert auto.code == 0
    assert run_butler("check", "--strict", BUTLER_DATABASE_SCHEMA="nothing").code == 1


def test_a_schema_of_another_build_is_a_problem(run_butler, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE butler.migrations SET checksum = 'x' WHERE number = 1")
    found = by_topic(run_butler("check", "--json"))
    assert "another build of Butler" in found["schema"]["found"]


def test_tasks_without_a_worker_and_a_missing_scheduler_are_warnings(run_butler, butler):
    butler.storage.register_tasks(butler.tasks()[:1])
    ran = run_butler("check", "--json")
    found = by_topic(ran)
    assert ran.code == 0
    assert found["workers"]["level"] == "warning"
    assert "no worker knows" in found["workers"]["found"]
    assert found["scheduler"]["advice"] == "start butler-scheduler"


def test_a_foreign_ledger_on_a_queue_is_a_problem(run_butler, butler, redis_url):
    butler.storage.register_tasks(butler.tasks())
    with redis_py.Redis.from_url(redis_url) as client:
        client.set(WireKeys.ledger("default"), new_token())
    found = by_topic(run_butler("check", "--json"))
    assert found["redis ledger"]["level"] == "problem"
    assert "queue default is also pushed to by ledger" in found["redis ledger"]["found"]


@pytest.mark.parametrize(
    ("policy", "limit", "level"),
    [
        ("noeviction", 0, "ok"),
        ("allkeys-lru", 0, "warning"),
        ("allkeys-lru", 10_000_000, "problem"),
    ],
)
def test_a_redis_that_throws_keys_away_is_found(run_butler, redis_url, policy, limit, level):
    with redis_py.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", limit)
        try:
            found = by_topic(run_butler("check", "--json"))
        finally:
            client.config_set("maxmemory", 0)
            client.config_set("maxmemory-policy", "noeviction")
    assert found["redis memory"]["level"] == level


def test_a_redis_without_persistence_is_a_warning():
    kept = redis.check_persistence({"aof_enabled": 1}, saves="")
    assert kept.level is Level.OK
    assert redis.check_persistence({"aof_enabled": 0}, saves="3600 1").level is Level.OK
    assert redis.check_persistence({"aof_enabled": 0}, saves=None).level is Level.OK
    assert redis.check_persistence({"aof_enabled": 0}, saves="").level is Level.WARNING


@pytest.mark.parametrize(
    ("changes", "level", "text"),
    [
        ({}, Level.OK, "PostgreSQL 18.6"),
        ({"version": 130_011}, Level.PROBLEM, "PostgreSQL 13.11 at db is too old"),
        ({"read_only": True}, Level.PROBLEM, "is a standby"),
    ],
)
def test_a_server_that_cannot_be_used_is_a_problem(changes, level, text):
    finding = next(ledger.check_server(facts(**changes)))
    assert finding.level is level
    assert text in finding.found


def test_a_pooler_is_told():
    found = [finding.topic for finding in ledger.check_server(facts(pooled=True))]
    assert "pooler" in found


def test_connections_are_counted_for_all_that_run(butler):
    for _ in range(3):
        butler.storage.register_worker(
            WorkerRegistration(
                id=new_id(), name="w", host="h", pid=1, supervisor_id="s", queues=("q",), tasks=(),
                concurrency=1,
            )
        )  # fmt: skip
    workers = butler.storage.workers()
    # Three workers, their supervisor, a scheduler and a producer.
    enough = ledger.check_connections(facts(connections=100), workers, pool_size=4)
    assert (enough.level, "make 24" in enough.found) == (Level.OK, True)
    crowded = ledger.check_connections(facts(connections=25), workers, pool_size=4)
    assert crowded.level is Level.WARNING
    short = ledger.check_connections(facts(connections=23), workers, pool_size=4)
    assert short.level is Level.PROBLEM
    pooled = ledger.check_connections(facts(connections=5, pooled=True), workers, pool_size=4)
    assert pooled.level is Level.OK


@pytest.mark.parametrize(
    ("ahead_s", "error_s", "level"),
    [(0.5, 0, Level.OK), (-30, 0.1, Level.WARNING), (30, 29, Level.OK)],
)
def test_a_clock_is_wrong_only_by_what_the_question_does_not_explain(ahead_s, error_s, level):
    assert ledger.check_clock("clock", ahead_s, error_s).level is level


def test_missing_time_zones_are_a_problem(monkeypatch):
    assert machine.check_time_zones().level is Level.OK
    monkeypatch.setattr(machine, "_ZONES", ("Europe/Berlin", "Atlantis/Capital"))
    finding = machine.check_time_zones()
    assert (finding.level, finding.advice) == (Level.PROBLEM, "pip install tzdata")
    assert "Atlantis/Capital" in finding.found


def test_a_leader_is_named():
    finding = fleet.check_scheduler(Leadership(holder="s1", epoch=1, counter=1))
    assert (finding.level, finding.found) == (Level.OK, "s1 leads")


def limit_row(name="render", kind="key", given=None, **fields):
    rule = given or LimitRule()
    unsaid = {"declared": None, "paused_at": None, "running": 0}
    return LimitRow(
        **({**unsaid, "name": name, "kind": kind, "given": given, "rule": rule} | fields)
    )


def test_limits_on_what_there_is_are_in_order():
    keyed = {"limit": {"max_concurrency": 1, "keys": {"concurrency": "mail server"}}}
    tasks = [TaskDefinition(name="send", options=keyed)]
    rule = make_rule(max_concurrency=1, rate="1/day")
    rows = [
        limit_row("send", "task", rule),
        limit_row("mail server", "key", rule),
        limit_row("queue:default", "queue", rule),
        limit_row("customer:1", "key", running=1),
    ]
    (finding,) = limits.check_limits(rows, tasks, [])
    assert (finding.level, finding.found) == (
        Level.OK,
        "4 names, each with something to limit",
    )


@pytest.mark.parametrize(
    ("row", "found", "advice"),
    [
        (
            limit_row("rendr", "key", make_rule(max_concurrency=1)),
            "'rendr' is limited, which is no task's name and no task's key; "
            'did you mean "render"?',
            "butler limits remove 'rendr'",
        ),
        (
            limit_row("queue:mial", "queue", make_rule(max_concurrency=1)),
            "the queue 'mial' is limited, which no task names and no worker serves; "
            'did you mean "mail"?',
            "butler queues limit mial --remove",
        ),
        (
            limit_row("render", "task", make_rule(rate="1/1000 days")),
            "'render' may start once in 1,000 days (1/1000 days)",
            "what waits for that will hardly run: allow more",
        ),
        (
            limit_row("queue:mail", "queue", paused_at=datetime(2026, 11, 24, 8, tzinfo=UTC)),
            "the queue 'mail' is paused since 2026-11-24 08:00:00Z",
            "butler queues resume mail",
        ),
    ],
)
def test_limits_that_make_no_sense_and_pauses_are_named_with_what_to_do(row, found, advice):
    tasks = [TaskDefinition(name="render", options={"queue": "mail"})]
    (finding,) = limits.check_limits([row], tasks, [])
    assert (finding.level, finding.found, finding.advice) == (Level.WARNING, found, advice)
