"""All checks in one go: one that fails never keeps the others from being made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from butler.checking import fleet, ledger, limits, machine, redis
from butler.checking.findings import Level, ok, problem
from butler.errors import ButlerError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from butler.app import Butler
    from butler.checking.findings import Finding
    from butler.settings import Settings
    from butler.storage.postgres.facts import ServerFacts


def check_installation(
    settings: Settings, *, app: Callable[[], Butler] | None
) -> Iterator[Finding]:
    """Look at everything; a finding each, as it is made.

    ``app`` imports the application, where one is named; without it only what the ledger knows of
    its tasks is looked at.
    """
    yield from machine.check_versions()
    yield machine.check_time_zones()
    yield from machine.check_names()
    butler = None
    if app is not None:
        butler, finding = _import(app, settings)
        yield finding
    settings = settings if butler is None else butler.settings
    with butler or _without_app(settings) as at_hand:
        ready = yield from _ledger(settings)
        reachable = yield from _guarded(
            "redis", "redis_url", lambda: redis.check_server(at_hand.redis)
        )
        if ready is not None:
            yield from _guarded("ledger", "the ledger", lambda: _fleet(at_hand, ready))
        if ready is not None and reachable:
            yield from _guarded("redis ledger", "redis_url", lambda: _ledgers(at_hand))


def _import(app: Callable[[], Butler], settings: Settings) -> tuple[Butler | None, Finding]:
    try:
        butler = app()
    except ButlerError as error:
        return None, problem("app", str(error))
    except Exception as error:  # noqa: BLE001 - whatever the application's own code raises
        text = f"importing {settings.app} raised {type(error).__name__}: {error}"
        return None, problem("app", text, "import it in a Python shell to see the traceback")
    return butler, ok("app", f"{settings.app} has {len(butler.registry)} tasks")


def _without_app(settings: Settings) -> Butler:
    from butler.app import Butler

    return Butler(settings=settings)


def _ledger(settings: Settings) -> Generator[Finding, None, ServerFacts | None]:
    """Checks of Postgres; returns what is known of it when the ledger can be used."""
    facts: ServerFacts | None = None

    def look() -> Iterator[Finding]:
        nonlocal facts
        from butler.storage.postgres.facts import read_server_facts

        found = read_server_facts(settings.need_database_url())
        yield from ledger.check_server(found)
        facts = found

    if not (yield from _guarded("postgres", "database_url", look)) or facts is None:
        return None
    schema = ledger.check_schema(
        settings.need_database_url(),
        schema=settings.database_schema,
        migrates=settings.migrate == "auto",
    )
    yield schema
    return facts if schema.level is Level.OK else None


def _fleet(butler: Butler, facts: ServerFacts) -> Iterable[Finding]:
    storage = butler.storage
    workers = storage.workers()
    announced = {task.name: task for task in storage.task_definitions()}
    tasks = announced | {task.name: task for task in butler.tasks()}
    yield ledger.check_connections(facts, workers, pool_size=butler.settings.pool_size)
    yield fleet.check_scheduler(storage.leadership())
    known = [tasks[name] for name in sorted(tasks)]
    yield from fleet.check_workers(known, workers)
    yield from limits.check_limits(storage.limits(), known, workers)


def _ledgers(butler: Butler) -> Iterable[Finding]:
    storage = butler.storage
    served = {queue for worker in storage.workers() for queue in worker.queues}
    named = {task.options.get("queue", "default") for task in storage.task_definitions()}
    return redis.check_ledgers(butler.redis, ledger_id=storage.ledger_id(), queues=served | named)


def _guarded(
    topic: str, setting: str, look: Callable[[], Iterable[Finding]]
) -> Generator[Finding, None, bool]:
    """The findings of a look; one that cannot be taken is a finding. Returns whether it could."""
    try:
        yield from look()
    except SettingsError as error:
        yield problem(topic, str(error))
    except ButlerError as error:
        yield problem(topic, str(error), f"is the server up, and does {setting} name it?")
    else:
        return True
    return False
