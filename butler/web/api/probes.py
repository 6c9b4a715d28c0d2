"""``/healthz``, ``/readyz``: for load balancers and orchestrators, without a token."""

import asyncio

from fastapi import APIRouter, Request, Response

from butler.errors import ButlerError
from butler.queue_facts import QueueFacts
from butler.web.openapi import problem_response
from butler.web.problems import UNAVAILABLE, Problem
from butler.web.services import web_of

READY_WITHIN_S = 5.0

router = APIRouter(tags=["probes"])


@router.get("/healthz", operation_id="healthz")
async def healthz() -> dict[str, str]:
    """This process answers. No server is asked, so that an outage restarts nothing."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="readyz", responses={503: problem_response(503)})
async def readyz(request: Request, response: Response) -> dict[str, str]:
    """The ledger and Redis answer within five seconds."""
    butler = web_of(request).butler
    response.headers["Cache-Control"] = "no-store"
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            await butler.in_thread(butler.storage.now)
            await butler.in_thread(lambda: QueueFacts(butler.redis).ping())
    except (ButlerError, TimeoutError) as error:
        raise Problem(UNAVAILABLE, "the ledger or Redis does not answer") from error
    return {"status": "ok"}
