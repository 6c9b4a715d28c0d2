"""``/alerts``: what is wrong, and was; saying that somebody looks at it."""

from typing import Annotated

from fastapi import Query

from butler.api_tokens import Role
from butler.errors import AlertNotFound
from butler.monitoring.alerts.alert import Alert, AlertState
from butler.web.alert_scopes import visible_alerts
from butler.web.callers import Caller
from butler.web.models.monitoring import AlertList, ShownAlert
from butler.web.routes import Resource
from butler.web.services import CallerDep, Web, WebDep

router = Resource("alerts")


@router.route_for("GET", "", role=Role.VIEWER)
async def find(
    web: WebDep,
    caller: CallerDep,
    state: Annotated[list[AlertState], Query(max_length=3)] = [],  # noqa: B006 - FastAPI copies
    rule: Annotated[str | None, Query(max_length=100)] = None,
    subject: Annotated[str | None, Query(max_length=500)] = None,
    cursor: Annotated[str | None, Query(max_length=36)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AlertList:
    """List alerts, newest first; every filter must hold."""

    def step() -> AlertList:
        page = web.butler.alerts.list(
            state=state, rule=rule, subject=subject, cursor=cursor, limit=limit
        )
        alerts = web.masks.alerts(visible_alerts(web, caller, page.alerts))
        return AlertList.model_validate({"alerts": alerts, "next_cursor": page.next_cursor})

    return await web.call(step)


@router.route_for("GET", "/{alert_id}", role=Role.VIEWER, answers=(404,))
async def get(alert_id: str, web: WebDep, caller: CallerDep) -> ShownAlert:
    """One alert: what is wrong, since when, the likely cause, and what to do."""
    return await web.call(lambda: _shown(web, _visible(web, caller, alert_id)))


@router.route_for("POST", "/{alert_id}/acknowledge", role=Role.OPERATOR, answers=(404,))
async def acknowledge(alert_id: str, web: WebDep, caller: CallerDep) -> ShownAlert:
    """Say that somebody looks at it: it is not escalated any more. Twice changes nothing."""

    def step() -> ShownAlert:
        _visible(web, caller, alert_id)
        return _shown(web, web.butler.alerts.ack(alert_id, by=caller.name))

    return await web.call(step)


def _visible(web: Web, caller: Caller, alert_id: str) -> Alert:
    """The alert; raises `AlertNotFound` also outside of the scope."""
    for alert in visible_alerts(web, caller, [web.butler.alerts.get(alert_id)]):
        return alert
    raise AlertNotFound(alert_id)


def _shown(web: Web, alert: Alert) -> ShownAlert:
    return ShownAlert.model_validate(web.masks.alerts([alert])[0])
