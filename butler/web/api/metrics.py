"""``/metrics``: for Prometheus, which sends a token of the role viewer."""

from fastapi.responses import PlainTextResponse, Response

from butler.api_tokens import Role
from butler.monitoring.metrics import CONTENT_TYPE, exposition
from butler.web.routes import Resource
from butler.web.services import WebDep

router = Resource("metrics", prefix="/metrics")

_TEXT = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


@router.route_for(
    "GET",
    "",
    role=Role.VIEWER,
    whole_ledger=True,
    response_class=PlainTextResponse,
    responses=_TEXT,
)
async def metrics(web: WebDep) -> Response:
    """What this process has answered, in Prometheus' text form.

    The ledger's own numbers are at the leading scheduler's `/metrics`.
    """
    found = web.metrics.metrics(streams=len(web.streams))
    return Response(
        exposition(found), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"}
    )
