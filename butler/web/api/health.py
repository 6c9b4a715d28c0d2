"""``/health``: how the ledger and its servers do."""

from butler.api_tokens import Role
from butler.web.models.monitoring import ShownHealth
from butler.web.routes import Resource
from butler.web.services import WebDep

router = Resource("health")


@router.route_for("GET", "", role=Role.VIEWER, whole_ledger=True)
async def report(web: WebDep) -> ShownHealth:
    """All checks, the worst first, each with a remedy; may be a second old.

    The answer is 200 whatever they find; `/readyz` is for load balancers.
    """
    return ShownHealth.model_validate(await web.health.get())
