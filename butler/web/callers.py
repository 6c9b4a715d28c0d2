"""Who is calling: their name, role and scope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from butler.api_tokens import Role, scope_of
from butler.scopes import EVERYTHING, Scope

if TYPE_CHECKING:
    from starlette.requests import Request

    from butler.storage.access import ApiToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody who was let in. What is outside of ``scope`` does not exist for them."""

    name: str
    role: Role
    scope: Scope = EVERYTHING
    token_id: str | None = None

    @classmethod
    def of(cls, token: ApiToken) -> Caller:
        """Whoever sends this token."""
        return cls(name=token.name, role=Role(token.role), scope=scope_of(token), token_id=token.id)


Authenticate = Callable[["Request"], "Caller | Awaitable[Caller | None] | None"]

DEVELOPER = Caller(name="development", role=Role.ADMIN)
