"""Tokens and the audit log (pure); both are for the role admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from butler.client.asks import Ask, as_model, given, picked
from butler.client.operations import operation, pages
from butler.client.paging import Part, by_cursor
from butler.client.resource import D, Resource
from butler.web.models.system import AuditLog, IssuedTokenShown, ShownToken, TokenList

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from butler.api_tokens import Role
    from butler.client.steps import Answer
    from butler.web.models.system import ShownEntry

    RoleLike = Role | Literal["viewer", "operator", "admin"]

PAGE_SIZE = 200


class Tokens(Resource[D]):
    """Who may use the API."""

    @operation("GET /tokens")
    def list(self) -> Ask[Sequence[ShownToken]]:
        """All tokens, by name, also those that were revoked; never what is secret of them."""
        return Ask(read=picked(TokenList, lambda found: found.tokens))

    @operation("POST /tokens")
    def create(
        self,
        name: str,
        *,
        role: RoleLike = "viewer",
        queues: Iterable[str] = (),
        tags: Iterable[str] = (),
        expires_at: datetime | None = None,
    ) -> Ask[IssuedTokenShown]:
        """Make a token; its ``secret`` is in this answer, and nowhere else afterwards.

        The one step that is not sent again when no answer came: that would be `TokenExists`, with
        a secret that nobody has read. Revoke it then, and make another.
        """
        body = given(
            {"name": name, "role": role, "queues": queues, "tags": tags, "expires_at": expires_at}
        )
        return Ask(read=as_model(IssuedTokenShown), body=body, repeatable=False)

    @operation("DELETE /tokens/{token}")
    def revoke(self, token: str) -> Ask[ShownToken]:
        """End a token, by its id or its name; raises `TokenNotFound`."""
        return Ask(read=as_model(ShownToken), place={"token": token})


class Audit(Resource[D]):
    """Who changed what, from where and why."""

    @pages("GET /audit")
    def list(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Ask[Part[ShownEntry]]:
        """Iterate over the entries, newest first; ``actor`` is the name of a token."""

        def read(answer: Answer) -> Part[ShownEntry]:
            page = as_model(AuditLog)(answer)
            return by_cursor(page.entries, page.next_cursor)

        query = {
            "actor": actor, "action": action, "target": target,
            "since": since, "until": until, "limit": page_size,
        }  # fmt: skip
        return Ask(read=read, query=query)
