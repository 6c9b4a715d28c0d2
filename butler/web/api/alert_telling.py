"""``/alert-silences`` and ``/alert-channels``: who is told of alerts, and who is not."""

from fastapi import Request

from butler.api_tokens import Role
from butler.web.models.monitoring import (
    ChannelList,
    NewSilence,
    ShownSilence,
    SilenceList,
    Tested,
)
from butler.web.problems import NOT_FOUND, Problem
from butler.web.routes import Resource, note
from butler.web.services import CallerDep, WebDep

silences = Resource("alert-silences")
channels = Resource("alert-channels")


@silences.route_for("GET", "", role=Role.VIEWER, whole_ledger=True)
async def find(web: WebDep) -> SilenceList:
    """Silences that have not ended, soonest end first."""
    return SilenceList.model_validate({"silences": await web.call(web.butler.alerts.silences)})


@silences.route_for("POST", "", role=Role.OPERATOR, status_code=201, whole_ledger=True)
async def create(new: NewSilence, request: Request, web: WebDep, caller: CallerDep) -> ShownSilence:
    """Tell nobody of matching alerts for that long; what is open at the end is told then."""
    made = await web.call(lambda: web.butler.alerts.silence(**new.model_dump(), by=caller.name))
    note(request, target=made.id, rule=made.rule, subject=made.subject, for_s=new.for_s)
    return ShownSilence.model_validate(made)


@silences.route_for(
    "DELETE",
    "/{silence_id}",
    role=Role.OPERATOR,
    status_code=204,
    answers=(404,),
    whole_ledger=True,
)
async def end(silence_id: str, web: WebDep) -> None:
    """End a silence now."""
    if not await web.call(lambda: web.butler.alerts.end_silence(silence_id)):
        raise Problem(NOT_FOUND, f"no silence {silence_id!r}, or it has ended")


@channels.route_for("GET", "", role=Role.VIEWER, whole_ledger=True)
async def names(web: WebDep) -> ChannelList:
    """The channels in this process's settings (`alert_channels`), by name."""
    return ChannelList(channels=await web.call(web.butler.alerts.channels))


@channels.route_for(
    "POST", "/{channel}/test", role=Role.OPERATOR, answers=(404, 502), whole_ledger=True
)
async def test(channel: str, web: WebDep) -> Tested:
    """Send a test message through a channel, from here and now."""
    if channel not in await web.call(web.butler.alerts.channels):
        raise Problem(NOT_FOUND, f"no channel named {channel!r}")
    await web.call(lambda: web.butler.alerts.test(channel))
    return Tested(channel=channel)
