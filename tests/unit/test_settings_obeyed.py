"""What a setting says is what happens."""

from __future__ import annotations

import pytest
from butler_scheduler import cli as scheduler_cli
from butler_workers import cli as worker_cli
from butler_workers.heartbeats import Heartbeats
from click.testing import CliRunner

from butler.app import Butler
from butler.cli.probe import command as probe
from butler.errors import InvalidRequest, TaskFailed
from butler.function_tasks import task
from butler.in_memory import memory_redis
from butler.retries import RetryPolicy
from butler.setting_sources import variable_of
from butler.settings import Settings, load_settings
from butler.storage.memory import MemoryStorage
from butler.storage.retention import Retention


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)


@pytest.fixture
def with_settings():
    made = []

    def make(**settings):
        storage = settings.pop("storage", None) or MemoryStorage()
        redis, settings = memory_redis(), load_settings(**settings)
        made.append(Butler(redis=redis, storage=storage, settings=settings))
        return made[-1]

    yield make
    for butler in made:
        butler.close()


def plain() -> list[Butler]:
    @task
    def silent(request: str) -> str:
        return request * 10

    @task(retry=RetryPolicy(max_attempts=3), timeout_s=300)
    def outspoken(request: str) -> str:
        return request

    @task(timeout_s=None)
    def endless(request: str) -> str:
        return request

    return [silent, outspoken, endless]


def limits(butler, name):
    execution = butler.enqueue(name, "x").execution()
    return execution.max_attempts, execution.timeout_s


def test_tasks_that_state_nothing_are_tried_and_limited_as_the_settings_say(with_settings):
    butler = with_settings(max_attempts=7, task_timeout_s=9)
    for each in plain():
        butler.register(each)
    assert limits(butler, "silent") == (7, 9)
    # Also where it is what the default happens to be.
    assert limits(butler, "outspoken") == (3, 300)
    assert limits(butler, "endless") == (7, None)


def test_who_has_only_the_ledger_follows_the_settings_of_the_worker(with_settings):
    storage = MemoryStorage()
    worker = with_settings(max_attempts=7, task_timeout_s=9, storage=storage)
    for each in plain():
        worker.register(each)
    storage.register_tasks(worker.tasks())
    stranger = with_settings(max_attempts=2, storage=storage)
    assert limits(stranger, "silent") == (7, 9)
    assert limits(stranger, "outspoken") == (3, 300)


def test_a_request_may_be_as_long_as_the_setting_says(with_settings):
    storage = MemoryStorage()
    butler = with_settings(max_request_bytes=6, storage=storage)
    silent = butler.register(plain()[0])
    storage.register_tasks(butler.tasks())
    stranger = with_settings(max_request_bytes=6, storage=storage)
    assert silent.enqueue("1234").created
    for call in (silent.enqueue, lambda request: stranger.enqueue("silent", request)):
        with pytest.raises(InvalidRequest, match="takes 7 bytes as JSON, and the limit is 6"):
            call("12345")


def test_a_result_may_be_as_long_as_the_setting_says(with_settings):
    butler = with_settings(max_result_bytes=12)
    silent = butler.register(plain()[0])
    with butler.worker():
        assert silent.enqueue("1").result(timeout_s=30) == "1" * 10
        with pytest.raises(TaskFailed, match="takes 22 bytes as JSON, and the limit is 12"):
            silent.enqueue("22").result(timeout_s=30)


def test_redis_is_given_the_time_that_the_settings_say():
    settings = load_settings(
        redis_url="redis://h", redis_timeout_s=3, redis_push_timeout_s=0.1, redis_rest_s=60
    )
    with Butler(settings=settings, storage=MemoryStorage()) as butler:
        assert butler.redis.connection_pool.connection_kwargs["socket_timeout"] == 3
        pusher = butler.pusher
        kwargs = pusher._wire.redis.connection_pool.connection_kwargs
        assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (0.1, 0.1)
        assert pusher._rest_s == 60


def test_the_ledger_is_made_as_the_settings_say(monkeypatch):
    given = {}

    class Recording(MemoryStorage):
        def __init__(self, url, **options):
            super().__init__()
            given.update(url=url, **options)

    monkeypatch.setattr("butler.storage.postgres.PostgresStorage", Recording)
    chosen = {
        "pool_size": 9,
        "command_timeout_s": 8.0,
        "prepared_statements": False,
        "max_progress_updates": 7,
        "migrate": "auto",
    }
    settings = load_settings(database_url="postgresql://h", database_schema="jobs", **chosen)
    with Butler(settings=settings, redis=memory_redis()) as butler:
        assert butler.storage.ledger_id()
    assert given["url"] == "postgresql://h"
    assert given["schema"] == "jobs"
    assert {name: given[name] for name in chosen} == chosen


def test_a_supervisor_beats_as_often_as_the_settings_say(with_settings):
    class Asked(Exception):
        pass

    class Wake:
        def wait(self, seconds):
            raise Asked(seconds)

    heartbeats = Heartbeats(with_settings(lease_s=6), {}, health=None)
    heartbeats._wake = Wake()
    with pytest.raises(Asked, match=r"^2\.0$"):
        heartbeats._run()


# The commands: options over variables over butler.toml, and what the app says of itself below

APP = """
from butler.app import Butler
from butler.in_memory import memory_redis
from butler.settings import load_settings
from butler.storage.memory import MemoryStorage

butler = Butler(
    redis=memory_redis(), storage=MemoryStorage(), settings=load_settings(grace_s=4, lease_s=12)
)

@butler.task
def nothing() -> None: ...
"""


def test_a_worker_is_configured_by_options_variables_and_the_toml(monkeypatch, tmp_path):
    (tmp_path / "app_of_settings_obeyed.py").write_text(APP)
    (tmp_path / "butler.toml").write_text(
        'app = "app_of_settings_obeyed"\nqueues = ["a", "b"]\nconcurrency = 3\nprocesses = 2\n'
    )
    monkeypatch.setenv("BUTLER_CONCURRENCY", "4")
    monkeypatch.setenv("BUTLER_DRAIN_TIMEOUT_S", "6")
    seen = {}

    class Recording:
        def __init__(self, butler, config, *, processes, **_):
            seen.update(config=config, processes=processes)

        def run(self):
            return 0

    monkeypatch.setattr(worker_cli, "Supervisor", Recording)
    monkeypatch.setattr(worker_cli, "check_redis", lambda client: None)
    result = CliRunner().invoke(worker_cli.main, ["--drain-timeout", "5", "--log-level", "error"])
    assert result.exit_code == 0, result.output
    config = seen["config"]
    assert (config.app, config.queues) == ("app_of_settings_obeyed", ("a", "b"))
    assert (config.concurrency, seen["processes"]) == (4, 2)
    assert (config.drain_timeout_s, config.log_level) == (5, "error")
    assert (config.grace_s, config.lease_s) == (4, 12)


def test_a_scheduler_keeps_the_leases_that_the_settings_say(monkeypatch):
    seen = {}

    class Recording:
        def __init__(self, butler, **options):
            seen.update(options)

        def run(self):
            pass

        def stop(self):
            pass

    monkeypatch.setattr(scheduler_cli, "SchedulerProcess", Recording)
    env = {
        "BUTLER_REDIS_URL": "redis://h",
        "BUTLER_DATABASE_URL": "postgresql://h",
        "BUTLER_LEASE_S": "20",
        "BUTLER_LEADER_LEASE_S": "8",
    }
    result = CliRunner().invoke(scheduler_cli.main, [], env=env)
    assert result.exit_code == 0, result.output
    assert (seen["worker_lease_s"], seen["leader_lease_s"]) == (20, 8)


@pytest.mark.parametrize("flag", [[], ["--http-port", "4712"]])
@pytest.mark.parametrize("module", [worker_cli, scheduler_cli])
def test_probes_are_answered_where_option_or_variable_say(monkeypatch, tmp_path, module, flag):
    class Seen(Exception):
        pass

    def probe_server(probed, *, host, port):
        raise Seen(host, port)

    # A name of its own: the Butler of another test has read its settings already.
    app = f"probed_{tmp_path.name}"
    (tmp_path / f"{app}.py").write_text(APP)
    monkeypatch.setattr(module, "ProbeServer", probe_server)
    monkeypatch.setattr(worker_cli.Supervisor, "run", lambda self: 0)
    monkeypatch.setattr(worker_cli, "check_redis", lambda client: None)
    env = {"BUTLER_HTTP_PORT": "4711", "BUTLER_HTTP_HOST": "::1", "BUTLER_LOG_LEVEL": "error"}
    result = CliRunner().invoke(module.main, ["--app", app, *flag], env=env)
    assert repr(result.exception) == repr(Seen("::1", 4712 if flag else 4711)), result.output


def test_a_probe_asks_at_the_port_that_the_settings_say():
    result = CliRunner().invoke(probe, ["worker"], env={"BUTLER_HTTP_PORT": "1"})
    assert (result.exit_code, "http://127.0.0.1:1/livez" in result.output) == (1, True)


def test_what_is_over_is_kept_as_long_as_the_settings_say():
    settings = load_settings(
        redis_url="redis://h",
        database_url="postgresql://h/d",
        retention_days=9,
        retention_failed_days=90,
    )
    assert settings.retention.days == (9, 90, 9)
    assert load_settings().retention == Retention()
