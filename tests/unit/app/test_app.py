"""The `Butler` facade: made lazily, closed once, tasks registered with it."""

from __future__ import annotations

import gc
import sys

import pytest

from butler.app import Butler
from butler.errors import (
    ButlerError,
    DefinitionError,
    SettingsError,
    TaskNotBound,
)
from butler.function_tasks import task
from tests.unit.app.app_kit import (
    Email,
    Mail,
    Receipt,
    SendEmail,
    Sender,
    finish,
    ping,
    send,
)


def test_making_a_butler_reads_no_setting_and_connects_to_nothing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUTLER_POOL_SIZE", "no number")
    butler = Butler("redis://nowhere.invalid", "postgresql://nowhere.invalid/x")
    butler.register(ping)
    butler.close()


def test_a_missing_redis_url_is_found_before_anything_is_written(monkeypatch, tmp_path, storage):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BUTLER_REDIS_URL", raising=False)
    with Butler(storage=storage) as butler:
        butler.register(ping)
        with pytest.raises(SettingsError, match="no redis_url is set"):
            butler.enqueue(ping)
    assert storage.count(butler_query()) == {}


def butler_query():
    from butler.storage.records import ExecutionQuery

    return ExecutionQuery()


def test_from_env_names_the_url_that_is_missing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BUTLER_REDIS_URL", raising=False)
    monkeypatch.setenv("BUTLER_DATABASE_URL", "postgresql://x")
    with pytest.raises(SettingsError, match="set BUTLER_REDIS_URL or BUTLER_REDIS_URL_FILE"):
        Butler.from_env()


def test_in_memory_enqueues_and_finishes():
    with Butler.in_memory() as butler:
        butler.register(send)
        handle = butler.enqueue(send, Email(to="a"))
        assert handle.pushed
        finish(butler.storage, handle.id, '{"id": "1"}')
        assert handle.result() == Receipt(id="1")


def test_in_memory_without_fakeredis_names_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "fakeredis", None)
    with pytest.raises(ButlerError, match=r"pip install 'butler-tasks\[testing\]'"):
        Butler.in_memory()


def test_a_closed_butler_refuses_to_work(butler):
    butler.close()
    butler.close()
    with pytest.raises(ButlerError, match="this Butler is closed"):
        butler.enqueue(ping)


def test_what_was_given_is_not_closed(redis, storage, monkeypatch):
    closed = []
    monkeypatch.setattr(storage, "close", lambda: closed.append("storage"))
    monkeypatch.setattr(redis, "close", lambda: closed.append("redis"))
    with Butler(redis=redis, storage=storage) as butler:
        butler.enqueue(butler.register(ping))
    assert closed == []


def test_a_fork_makes_its_own_connections(butler, monkeypatch):
    before = butler.pusher
    assert butler.pusher is before
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert butler.pusher is not before


# Registering


def test_a_name_is_registered_once(butler):
    @task(name="send")
    def other() -> None: ...

    with pytest.raises(DefinitionError, match="a task named 'send' is already registered"):
        butler.register(other)
    with pytest.raises(DefinitionError, match="already registered"):
        butler.task(name="send")(lambda: None)
    assert butler.register(send) is send


def test_tasks_lists_what_is_registered_by_tag(butler):
    assert [t.name for t in butler.tasks()] == ["SendEmail", "ping", "send", "sync_user"]
    assert [t.name for t in butler.tasks(tag="mail")] == ["send"]


def test_the_decorator_of_a_butler_registers(butler):
    @butler.task(tags=["x"])
    def made() -> None: ...

    assert butler.registry.get("made") is made.spec
    assert made.enqueue().created


def test_a_task_of_two_butlers_needs_to_be_told_which(butler, stranger):
    stranger.register(send)
    with pytest.raises(TaskNotBound, match=r"2 Butlers: say which, butler\.enqueue\(send"):
        send.enqueue(Email(to="a"))
    assert butler.enqueue(send, Email(to="a")).created
    stranger.close()
    assert send.enqueue(Email(to="a")).created


def test_a_butler_that_is_gone_no_longer_binds_its_tasks():
    @task
    def lonely() -> None: ...

    Butler().register(lonely)
    gc.collect()
    with pytest.raises(TaskNotBound, match="not registered with an open Butler"):
        lonely.enqueue()


def test_an_unregistered_task_is_refused_because_no_worker_would_know_it(stranger):
    for each in (send, SendEmail, Sender()):
        with pytest.raises(TaskNotBound, match="is not registered with this Butler"):
            stranger.enqueue(each, Email(to="a"))


def test_an_instance_of_a_task_class_serves_all_its_attempts(butler):
    mail = butler.register(Mail("localhost"))
    spec = butler.registry.get("Mail")
    assert spec.invoke(Email(to="a"), None) == Receipt(id="localhost")
    assert butler.enqueue(mail, Email(to="a")).execution().task == "Mail"
    assert Mail.enqueue(Email(to="a")).execution().task == "Mail"


def test_a_class_that_needs_arguments_is_not_registered_as_a_class(butler):
    with pytest.raises(DefinitionError, match="register an instance"):
        butler.register(Mail)
