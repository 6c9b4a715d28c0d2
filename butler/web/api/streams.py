"""``/executions/{id}/stream`` and ``/events``: what becomes of executions, as it happens."""

from typing import Annotated, Any

from fastapi import Header, Query, Request, Response
from pydantic import Field

from butler.api_tokens import Role
from butler.changes import ChangeKind
from butler.web.api.executions import read
from butler.web.live.execution import ExecutionSource
from butler.web.live.ledger import LedgerSource, Wanted
from butler.web.live.places import ExecutionPlace, FeedPlace
from butler.web.live.stream import EventStream
from butler.web.models.executions import ShownChange
from butler.web.openapi import STREAM
from butler.web.problems import NO_STREAMS, Problem
from butler.web.routes import Resource
from butler.web.services import CallerDep, WebDep

LONGEST_S = 86_400
MAX_IDS = 100

executions = Resource("executions")
events = Resource("events")

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=100,
        description="The `id` of the last event that was received: what came since is sent first.",
    ),
]
TimeoutS = Annotated[
    float | None, Query(ge=0, le=LONGEST_S, description="End the stream after so many seconds.")
]
Kinds = Annotated[
    list[ChangeKind],
    Query(max_length=10, description="Which kinds besides states; all by default."),
]
_EXAMPLE = (
    "event: state\n"
    "id: 1.running.0\n"
    'data: {"kind":"state","execution_id":"01a20ce4-0f0f-7136-b583-20899cea7136","task":"pack",'
    '"queue":"default","status":"running","attempt":1,"percent":null,"message":null,'
    '"at":"2026-11-24T12:00:00Z","line":null}\n\n'
)


def _streamed(description: str) -> dict[int | str, dict[str, Any]]:
    """What the document says of an answer that goes on."""
    content = {STREAM: {"example": _EXAMPLE}}
    return {200: {"model": ShownChange, "description": description, "content": content}}


def check_server(request: Request) -> None:
    """Raise a `Problem` behind WSGI: a stream would take a thread, and not notice who leaves."""
    if "wsgi_environ" in request.scope:
        raise Problem(NO_STREAMS, "this server speaks WSGI: ask again and again instead")


@executions.route_for(
    "GET",
    "/{execution_id}/stream",
    role=Role.VIEWER,
    answers=(404, 501),
    status_code=200,
    response_class=EventStream,
    responses=_streamed("Server-sent events; the `data` of each is this, as JSON.")
    | {204: {"description": "Its end was told: do not come back."}},
)
async def stream(
    execution_id: str,
    request: Request,
    web: WebDep,
    caller: CallerDep,
    last_event_id: LastEventId = None,
    kind: Kinds = list(ChangeKind),  # noqa: B006 - FastAPI copies it
    timeout_s: TimeoutS = None,
) -> Response:
    """Follow an execution: how it stands and what it has logged, then each change, until its end.

    Server-sent events named `state`, `progress` and `log`. Each log line comes exactly once, before
    the state that ends the attempt that logged it. With `Last-Event-ID`, which browsers send by
    themselves, a stream that broke off goes on where it was, in any process.
    """
    check_server(request)
    web.streams.check_room()

    def step() -> Any:
        found = read(web, caller, execution_id)
        return found, web.masks.secrets(found)

    place = ExecutionPlace.read(last_event_id)
    found, secrets = await web.call(step)
    if place.over and place.is_at(found):
        return Response(status_code=204)
    source = ExecutionSource(web, found, secrets=secrets, kinds=frozenset(kind), place=place)
    return EventStream(source, web=web, request=request, timeout_s=timeout_s)


@events.route_for(
    "GET",
    "",
    role=Role.VIEWER,
    answers=(501,),
    status_code=200,
    response_class=EventStream,
    responses=_streamed("Server-sent events; the `data` of most is this, as JSON."),
)
async def follow(
    request: Request,
    web: WebDep,
    caller: CallerDep,
    last_event_id: LastEventId = None,
    kind: Annotated[
        list[ChangeKind],
        Query(max_length=10, description="Which kinds; `state` and `progress` by default."),
    ] = [ChangeKind.STATE, ChangeKind.PROGRESS],  # noqa: B006 - FastAPI copies it
    execution_id: Annotated[
        list[Annotated[str, Field(max_length=36)]],
        Query(max_length=MAX_IDS, description="Of these alone; first, how they stand now."),
    ] = [],  # noqa: B006
    task: Annotated[str | None, Query(max_length=200)] = None,
    queue: Annotated[str | None, Query(max_length=100)] = None,
    tag: Annotated[str | None, Query(max_length=100)] = None,
    timeout_s: TimeoutS = None,
) -> EventStream:
    """Follow all executions that exist for the caller, or a part of them; it goes on for ever.

    Server-sent events named `state`, `progress` and, where asked for, `log`. `ready` says that what
    happens from then on will be told: open the stream, wait for it, then read what you show. With
    `Last-Event-ID` comes before it how those stand now that have changed since; some may come
    twice. `missed` says that there may be more than was told: read again what you show. Both carry
    only a time, as `at`.
    """
    check_server(request)
    web.streams.check_room()
    wanted = Wanted(
        kinds=frozenset(kind),
        ids=frozenset(execution_id),
        task=task,
        queue=queue,
        tag=tag,
    )
    since = FeedPlace.read(last_event_id)
    source = LedgerSource(web, scope=caller.scope, wanted=wanted, since=since)
    return EventStream(source, web=web, request=request, timeout_s=timeout_s)
