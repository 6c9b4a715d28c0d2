"""``/executions/{id}/stream``: what it tells, in which order, and where it goes on."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from butler.context import TaskContext  # noqa: TC001 - tasks' annotations are read
from butler.web.live import stream as streaming
from butler.web.live.execution import LINES_AT_ONCE
from tests.unit.web.conftest import Mail
from tests.unit.web.stream_kit import opened


@pytest.fixture
def go_on():
    return threading.Event()


@pytest.fixture
def tasks(butler, go_on):
    @butler.task
    def talk(mail: Mail, context: TaskContext) -> str:
        context.log.info("first of %s", mail.to)
        context.log.info("my key is %s", mail.key.get_secret_value())
        context.report_progress(50, f"half of {mail.key.get_secret_value()}")
        assert go_on.wait(30)
        context.log.warning("last")
        return mail.to

    @butler.task
    def chat() -> None:
        for number in range(LINES_AT_ONCE + 5):
            logging.getLogger("chat").warning("line %s", number)

    return talk, chat


@pytest.fixture
def token(butler):
    return butler.tokens.create("looker", role="viewer").secret


def path(handle, query=""):
    return f"/api/v1/executions/{handle.id}/stream{query}"


def shown(events):
    return [
        event.data["line"]["message"] if event.name == "log" else event.data["status"]
        for event in events
        if event.name != "progress"
    ]


def test_a_stream_begins_with_the_state_and_ends_after_the_last_line_and_the_end(
    app, butler, tasks, token, go_on
):
    talk, _ = tasks

    async def scene():
        handle = await talk.aenqueue(Mail(to="ada"))
        async with opened(app, path(handle), token=token) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert "content-length" not in stream.headers
            first = await stream.event()
            assert (first.name, first.data["status"]) == ("state", "queued")
            assert (first.data["task"], first.data["queue"]) == ("talk", "default")
            with butler.worker():
                found = [first]
                while found[-1].data["percent"] is None:
                    found.append(await stream.event())
                go_on.set()
                found += await stream.rest()
        return found

    events = asyncio.run(scene())
    logged = ["first of ada", "my key is ***", "last"]
    assert [event.data["line"]["message"] for event in events if event.name == "log"] == logged
    assert shown(events)[-2:] == ["last", "succeeded"]
    progress = next(event for event in events if event.data["percent"] is not None)
    assert (progress.data["percent"], progress.data["message"]) == (50, "half of ***")


def test_what_broke_off_goes_on_where_it_was_in_any_process(app, butler, tasks, token):
    from butler.web import create_app

    _, chat = tasks

    async def scene():
        handle = await chat.aenqueue()
        with butler.worker():
            await handle.aresult(timeout_s=30)
        async with opened(app, path(handle), token=token) as stream:
            whole = await stream.rest()
        place = whole[99].id
        async with opened(create_app(butler), path(handle), token=token, last_id=place) as stream:
            assert shown(await stream.rest()) == shown(whole[100:])
        async with opened(app, path(handle), token=token, last_id=whole[-1].id) as stream:
            assert stream.status == 204
        return whole

    whole = asyncio.run(scene())
    lines = [f"line {number}" for number in range(LINES_AT_ONCE + 5)]
    assert shown(whole) == [*lines, "succeeded"]


def test_lines_that_nobody_told_are_read_in_the_ledger(app, butler, tasks, token, monkeypatch):
    _, chat = tasks
    monkeypatch.setattr("butler_workers.notes.Notes._tell", lambda *_: None)

    async def scene():
        handle = await chat.aenqueue()
        async with opened(app, path(handle), token=token) as stream:
            await stream.event()
            with butler.worker():
                return await stream.rest()

    assert len(asyncio.run(scene())) == LINES_AT_ONCE + 6


def test_a_client_that_reads_nothing_misses_no_line_and_holds_few(app, butler, tasks, token, go_on):
    _, chat = tasks

    async def scene():
        handle = await chat.aenqueue()
        async with opened(app, path(handle), token=token) as stream:
            await stream.event()
            stream.takes.clear()
            with butler.worker():
                await handle.aresult(timeout_s=30)
                stream.takes.set()
                return await stream.rest()

    events = asyncio.run(scene())
    assert len([event for event in events if event.name == "log"]) == LINES_AT_ONCE + 5


def test_only_the_kinds_that_are_asked_for_come(app, butler, tasks, token, go_on):
    talk, _ = tasks
    go_on.set()

    async def scene():
        handle = await talk.aenqueue(Mail(to="ada"))
        with butler.worker():
            await handle.aresult(timeout_s=30)
        async with opened(app, path(handle, "?kind=state"), token=token) as stream:
            return await stream.rest()

    assert shown(asyncio.run(scene())) == ["succeeded"]


def test_a_stream_ends_after_its_timeout(app, tasks, token):
    talk, _ = tasks

    async def scene():
        handle = await talk.aenqueue(Mail(to="ada"))
        async with opened(app, path(handle, "?timeout_s=0.1"), token=token) as stream:
            return await stream.rest()

    assert shown(asyncio.run(scene())) in (["queued"], [])


@pytest.mark.parametrize("place", ["nonsense", "1.running", "1.gone.5", "-1.none.0", "1.none.٣"])
def test_a_place_that_is_none_is_refused(client, butler, place):
    handle = butler.enqueue("ping")
    answer = client("viewer").get(
        path(handle),
        headers={"Last-Event-ID": place.encode("latin-1", "replace").decode("latin-1")},
    )
    assert (answer.status_code, answer.json()["errors"][0]["loc"][0]) == (422, "header")


def test_what_is_outside_of_the_scope_or_nowhere_is_not_found(client, butler):
    handle = butler.enqueue("ping")
    assert client("viewer", queues=["mail"]).get(path(handle)).status_code == 404
    assert client("viewer").get("/api/v1/executions/nothing/stream").status_code == 404


def test_a_token_that_is_revoked_ends_its_streams(app, butler, token, monkeypatch):
    monkeypatch.setattr(streaming, "CHECK_S", 0.02)

    async def scene():
        handle = await butler.aio.enqueue("ping")
        async with opened(app, path(handle), token=token) as stream:
            await stream.event()
            butler.tokens.revoke("looker")
            app.state.web.gate.forget_tokens()
            return await stream.rest()

    assert asyncio.run(scene()) == []
    assert len(app.state.web.streams) == 0


def test_a_silent_stream_is_kept_alive(app, butler, token, monkeypatch):
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.02)

    async def scene():
        handle = await butler.aio.enqueue("ping")
        async with opened(app, path(handle), token=token) as stream:
            await stream.event()
            await stream._until(lambda: stream.body.count(b":\n\n") >= 2)

    asyncio.run(scene())


def test_a_client_that_takes_nothing_is_given_up(app, butler, token, monkeypatch):
    monkeypatch.setattr(streaming, "TAKEN_WITHIN_S", 0.02)
    monkeypatch.setattr(streaming, "KEEP_ALIVE_S", 0.02)

    async def scene():
        handle = await butler.aio.enqueue("ping")
        async with opened(app, path(handle), token=token) as stream:
            await stream.event()
            stream.takes.clear()
            await asyncio.wait_for(stream.answering, 30)
            assert not stream.over.is_set()

    asyncio.run(scene())


def test_a_server_that_stops_ends_its_streams_and_opens_none(app, butler, token, client):
    async def scene():
        handle = await butler.aio.enqueue("ping")
        async with opened(app, path(handle), token=token) as stream:
            await stream.event()
            app.state.web.streams.close()
            assert await stream.rest() == []
        return handle

    answer = client("viewer").get(path(asyncio.run(scene())))
    assert (answer.status_code, answer.json()["type"]) == (
        503,
        "urn:butler:problem:too-many-streams",
    )
