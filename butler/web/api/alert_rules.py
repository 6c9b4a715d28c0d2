"""``/alert-rules``: when to alert, about what, and whom to tell."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Request, Response

from butler.api_tokens import Role
from butler.errors import StaleUpdate
from butler.monitoring.alerts.rule import AlertRule
from butler.monitoring.alerts.rules import default_rule
from butler.web.models.monitoring import NewRule, RuleGiven, RuleList, ShownAlertRule
from butler.web.preconditions import etag_of, version_asked_for
from butler.web.routes import Resource, note
from butler.web.services import Web, WebDep

router = Resource("alert-rules")

Name = Annotated[str, Path(max_length=100, description="The rule's name.")]


@router.route_for("GET", "", role=Role.VIEWER, whole_ledger=True)
async def find(web: WebDep) -> RuleList:
    """All rules, the built-in ones first, as they are or as they were changed."""
    return RuleList.model_validate({"rules": await web.call(web.butler.alert_rules.list)})


@router.route_for(
    "POST", "", role=Role.OPERATOR, status_code=201, answers=(409,), whole_ledger=True
)
async def create(new: NewRule, request: Request, response: Response, web: WebDep) -> ShownAlertRule:
    """Make a rule of your own."""
    options = {name: value for name, value in new.options().items() if value is not None}
    made = await web.call(lambda: web.butler.alert_rules.create(new.name, new.kind, **options))
    note(request, target=made.name, kind=made.kind.value)
    response.headers["Location"] = f"{request.url.path}/{quote(made.name, safe='')}"
    return _shown(made, response)


@router.route_for("GET", "/{rule:path}", role=Role.VIEWER, answers=(404,), whole_ledger=True)
async def get(rule: Name, response: Response, web: WebDep) -> ShownAlertRule:
    """One rule, by its name."""
    return _shown(await web.call(lambda: web.butler.alert_rules.get(rule)), response)


@router.route_for(
    "PATCH", "/{rule:path}", role=Role.OPERATOR, answers=(404, 412, 428), whole_ledger=True
)
async def update(
    rule: Name, change: RuleGiven, request: Request, response: Response, web: WebDep
) -> ShownAlertRule:
    """Change what is given and leave the rest; null goes back to the default.

    `If-Match` must hold the rule's `ETag` (or `*`): of two people who edit it at once, the second
    is told. `enabled` false switches it off.
    """
    version = version_asked_for(request)
    note(request, target=rule, fields=sorted(change.model_fields_set))
    changed = await web.call(lambda: _updated(web, rule, change, version))
    return _shown(changed, response)


@router.route_for(
    "DELETE",
    "/{rule:path}",
    role=Role.OPERATOR,
    status_code=204,
    answers=(404, 412),
    whole_ledger=True,
)
async def delete(rule: Name, request: Request, web: WebDep) -> None:
    """Remove a rule; a built-in one goes back to what it was."""
    version = version_asked_for(request, needed=False)

    def step() -> None:
        found = web.butler.alert_rules.get(rule)
        if version not in (None, found.version):
            raise StaleUpdate(rule, expected=version, found=found.version)
        web.butler.alert_rules.delete(rule)

    await web.call(step)


def _updated(web: Web, name: str, change: RuleGiven, version: int | None) -> AlertRule:
    rules = web.butler.alert_rules
    default = default_rule(name, rules.get(name).kind)
    options: dict[str, Any] = {
        option: getattr(default, option) if value is None else value
        for option, value in change.options().items()
    }
    return rules.update(name, version=version, **options)


def _shown(rule: AlertRule, response: Response) -> ShownAlertRule:
    response.headers["ETag"] = etag_of(rule.version)
    return ShownAlertRule.model_validate(rule)
