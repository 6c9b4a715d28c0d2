"""``/events``: who is told of what, and what is not lost."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from butler.context import TaskContext  # noqa: TC001 - tasks' annotations are read
from butler.web import create_app
from butler.web.live import catching_up
from butler.web.live import feed as feeds
from tests.unit.web.conftest import Mail
from tests.unit.web.stream_kit import opened

EVENTS = "/api/v1/events"
DONE = ("succeeded", "failed", "cancelled")


@pytest.fixture
def token(butler):
    return butler.tokens.create("looker", role="viewer").secret


@pytest.fixture
def talk(butler):
    @butler.task(queue="mail")
    def talk(mail: Mail, context: TaskContext) -> None:
        context.log.info("my key is %s", mail.key.get_secret_value())
        context.report_progress(50, f"half of {mail.key.get_secret_value()}")

    return talk


async def until_ready(stream):
    events = []
    while not events or events[-1].name != "ready":
        events.append(await stream.event())
    return events


async def until(stream, wanted):
    """All events up to the one that this is true of."""
    events = [await stream.event()]
    while not wanted(events[-1]):
        events.append(await stream.event())
    return events


def ends(count):
    """True at the so-many-th end."""
    left = iter(range(count))

    def wanted(event):
        over = event.name == "state" and event.data["status"] in DONE
        return over and next(left) == count - 1

    return wanted


def about(handle):
    return lambda event: event.data.get("execution_id") == handle.id


def states(events, task=None):
    return [
        event.data["status"]
        for event in events
        if event.name == "state" and task in (None, event.data["task"])
    ]


def test_a_stream_is_ready_first_and_then_told_of_everything(app, butler, token, talk):
    async def scene():
        url = f"{EVENTS}?kind=state&kind=progress&kind=log"
        async with opened(app, url, token=token) as stream:
            assert [event.name for event in await until_ready(stream)] == ["ready"]
            await talk.aenqueue(Mail(to="ada"))
            events = await until(stream, lambda event: event.name == "state")
            with butler.worker():
                events += await until(stream, ends(1))
        return events

    events = asyncio.run(scene())
    assert states(events)[0] == "queued"
    assert states(events)[-1] == "succeeded"
    assert {event.data["task"] for event in events} == {"talk"}
    said = [event.data["line"]["message"] for event in events if event.name == "log"]
    said += [event.data["message"] for event in events if event.name == "progress"]
    assert "hush" not in str(said)


def test_what_is_logged_and_reported_is_told_without_secrets(app, butler, token):
    go_on = threading.Event()

    @butler.task
    def wait(mail: Mail, context: TaskContext) -> None:
        context.log.info("my key is %s", mail.key.get_secret_value())
        context.report_progress(50, f"half of {mail.key.get_secret_value()}")
        assert go_on.wait(30)

    async def scene():
        url = f"{EVENTS}?kind=state&kind=progress&kind=log&task=wait"
        async with opened(app, url, token=token) as stream:
            await until_ready(stream)
            await wait.aenqueue(Mail(to="ada"))
            with butler.worker():
                found = {}
                while not {"log", "progress"} <= found.keys():
                    event = await stream.event()
                    found[event.name] = event
                go_on.set()
        return found

    found = asyncio.run(scene())
    assert found["log"].data["line"]["message"] == "my key is ***"
    assert found["progress"].data["message"] == "half of ***"
    assert found["progress"].data["percent"] == 50


def test_nothing_of_another_scope_is_ever_sent(app, butler, talk):
    """Neither live, nor to those that come back, nor to those that name what they may not see."""
    mail_only = butler.tokens.create("mail", role="viewer", queues=["mail"]).secret
    tagged_only = butler.tokens.create("post", role="viewer", tags=["post"]).secret

    async def seen(secret, url, last_id=None):
        async with opened(app, url, token=secret, last_id=last_id) as stream:
            ready = await until_ready(stream)
            await butler.aio.enqueue("ping")
            await butler.aio.enqueue("send", {"to": "ada"})
            return ready + await until(stream, lambda event: event.data["task"] == "send")

    async def scene():
        first = await butler.aio.enqueue("ping")
        long_ago = "1000.abcdef01.1"
        found = []
        for secret in (mail_only, tagged_only):
            found += await seen(secret, EVENTS)
            found += await seen(secret, EVENTS, last_id=long_ago)
        async with opened(app, f"{EVENTS}?execution_id={first.id}", token=mail_only) as stream:
            found += await until_ready(stream)
        return found

    events = asyncio.run(scene())
    assert {event.data["task"] for event in events if "task" in event.data} == {"send"}


@pytest.mark.parametrize("query", ["task=send", "queue=mail", "tag=post"])
def test_a_part_can_be_asked_for(app, butler, token, query):
    async def scene():
        async with opened(app, f"{EVENTS}?{query}", token=token) as stream:
            await until_ready(stream)
            await butler.aio.enqueue("ping")
            await butler.aio.enqueue("send", {"to": "ada"})
            return await stream.event()

    assert asyncio.run(scene()).data["task"] == "send"


def test_of_executions_that_are_named_it_tells_first_how_they_stand(app, butler, token):
    async def scene():
        named = [await butler.aio.enqueue("ping") for _ in range(2)]
        await butler.aio.enqueue("ping")
        url = f"{EVENTS}?" + "&".join(f"execution_id={each.id}" for each in named)
        async with opened(app, url, token=token) as stream:
            events = await until_ready(stream)
            with butler.worker():
                events += await until(stream, ends(2))
        return {each.id for each in named}, events

    ids, events = asyncio.run(scene())
    assert [event.name for event in events[:3]] == ["state", "state", "ready"]
    assert {event.data["execution_id"] for event in events if event.name == "state"} == ids


def test_in_the_same_process_a_stream_goes_on_exactly_where_it_was(app, butler, token):
    async def scene():
        async with opened(app, EVENTS, token=token) as other:
            await until_ready(other)
            async with opened(app, EVENTS, token=token) as stream:
                await until_ready(stream)
                handle = await butler.aio.enqueue("ping")
                [before] = await until(stream, lambda event: event.name == "state")
            last = await butler.aio.enqueue("ping")
            await until(other, about(last))
            async with opened(app, EVENTS, token=token, last_id=before.id) as stream:
                return handle, last, await until_ready(stream)

    handle, last, events = asyncio.run(scene())
    assert [event.data.get("execution_id") for event in events] == [last.id, None]
    assert handle.id != last.id


def test_another_process_tells_what_ended_meanwhile(app, butler, token):
    async def scene():
        async with opened(app, EVENTS, token=token) as stream:
            [ready] = await until_ready(stream)
            handle = await butler.aio.enqueue("ping")
            await stream.event()
        with butler.worker():
            await handle.result(timeout_s=30)
        restarted = create_app(butler)
        async with opened(restarted, EVENTS, token=token, last_id=ready.id) as stream:
            return await until_ready(stream)

    events = asyncio.run(scene())
    assert states(events) == ["succeeded"]
    assert "missed" not in [event.name for event in events]


def test_who_comes_back_to_more_than_can_be_told_is_told_so(app, butler, token, monkeypatch):
    monkeypatch.setattr(catching_up, "BARE", replace(catching_up.BARE, limit=2))

    async def scene():
        for _ in range(5):
            await butler.aio.enqueue("ping")
        async with opened(app, EVENTS, token=token, last_id="1000.abcdef01.1") as stream:
            return await until_ready(stream)

    names = [event.name for event in asyncio.run(scene())]
    assert names[-2:] == ["missed", "ready"]


def test_a_slow_client_is_told_that_it_missed_some_and_gets_the_newest(
    app, butler, token, monkeypatch
):
    monkeypatch.setattr(feeds, "EVENTS_KEPT", 3)

    async def scene():
        async with opened(app, EVENTS, token=token) as slow:
            await until_ready(slow)
            slow.takes.clear()
            async with opened(app, EVENTS, token=token) as quick:
                await until_ready(quick)
                for _ in range(12):
                    last = await butler.aio.enqueue("ping")
                    await until(quick, about(last))
            slow.takes.set()
            return last, await until(slow, about(last))

    _, events = asyncio.run(scene())
    assert "missed" in [event.name for event in events]
    assert len(events) < 12


def test_many_streams_share_one_thread_and_one_subscription(app, butler, token):
    # Listeners of other tests in this process may still idle.
    before = set(threading.enumerate())

    async def scene():
        async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(opened(app, EVENTS, token=token)) for _ in range(50)
            ]
            for each in [group.create_task(until_ready(stream)) for stream in streams]:
                await each
            began = [t.name for t in set(threading.enumerate()) - before]
            return [
                name for name in began if name == "butler-listener"
            ], butler.redis.pubsub_numpat()

    assert asyncio.run(scene()) == (["butler-listener"], 1)


def test_terminal_states_are_told_without_redis_and_after_it_is_back(app, butler, token):
    server = butler.redis.connection_pool.connection_kwargs["server"]

    async def scene():
        async with opened(app, EVENTS, token=token) as stream:
            await until_ready(stream)
            handle = await butler.aio.enqueue("ping")
            other = await butler.aio.enqueue("ping")
            await until(stream, about(other))
            server.connected = False
            await butler.aio.cancel(handle.id)
            events = await until(stream, ends(1))
            server.connected = True
            await butler.aio.cancel(other.id)
            events += await until(stream, ends(1))
            return [handle.id, other.id], events

    ids, events = asyncio.run(scene())
    told = [e.data["execution_id"] for e in events if states([e]) == ["cancelled"]]
    assert told == ids


def test_a_silent_stream_tells_where_it_is(app, token, monkeypatch):
    monkeypatch.setattr("butler.web.live.stream.KEEP_ALIVE_S", 0.02)

    async def scene():
        async with opened(app, EVENTS, token=token) as stream:
            await until_ready(stream)
            await stream._until(lambda: stream.body.count(b"id: ") >= 2)

    asyncio.run(scene())


def test_nobody_listens_when_nobody_reads(app, butler, token):
    async def scene():
        async with opened(app, EVENTS, token=token) as stream:
            await until_ready(stream)

    asyncio.run(scene())
    assert len(butler.listener._followers) == 0


def test_a_place_that_is_none_is_refused(client):
    answer = client("viewer").get(EVENTS, headers={"Last-Event-ID": "1.running.3"})
    assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (
        422,
        ["header", "Last-Event-ID"],
    )
