"""`ApiTokens`: who may use the REST API; ``butler.tokens``.

A token is 256 random bits that are shown once, when it is made. The ledger keeps their SHA-256: who
reads the database, or a backup of it, cannot call the API with what is found there. A slow hash
would add nothing, since there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from butler.errors import InvalidOption, TokenExists, TokenNotFound
from butler.ids import new_id
from butler.option_texts import MAX_TAG_CHARS, check_aware, check_text
from butler.options import MAX_NAME_CHARS
from butler.queue_names import check_queue_name
from butler.scopes import Scope
from butler.storage.access import ApiToken, NewToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from butler.storage.base import Storage

PREFIX = "btl_"
_LONGEST = 200


class Role(StrEnum):
    """What a caller may do: each role may do what the one before it may.

    A viewer looks. An operator also enqueues, cancels, retries, deletes, and steers recurring jobs,
    queues, limits and alerts. An admin also gives tokens and reads the audit log.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Whether it is enough where ``needed`` is asked for."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token that was just made; ``secret`` is what a caller sends, and is not kept anywhere."""

    token: ApiToken
    secret: str = field(repr=False)


class ApiTokens:
    """The tokens of a ledger. Raises `StorageUnavailable` when it is away."""

    def __init__(self, storage: Callable[[], Storage]) -> None:
        self._storage = storage

    def create(
        self,
        name: str,
        *,
        role: Role | str = Role.VIEWER,
        queues: Iterable[str] = (),
        tags: Iterable[str] = (),
        expires_at: datetime | None = None,
        created_by: str | None = None,
    ) -> IssuedToken:
        """Make a token; with ``queues`` or ``tags`` only what is in that scope exists for it.

        Raises `TokenExists` when one that is not revoked has the name, and `InvalidOption`.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        new = NewToken(
            id=new_id(),
            name=check_text("name", name, max_chars=MAX_NAME_CHARS),
            digest=digest_of(secret),
            role=_role(role),
            queues=tuple(dict.fromkeys(check_queue_name(queue) for queue in queues)),
            tags=tuple(dict.fromkeys(_tag(tag) for tag in tags)),
            created_by=created_by,
            expires_at=None if expires_at is None else check_aware("expires_at", expires_at),
        )
        if not self._storage().add_token(new):
            raise TokenExists(name)
        return IssuedToken(token=self.get(new.id), secret=secret)

    def list(self) -> list[ApiToken]:
        """All tokens, by name, also those that were revoked."""
        return self._storage().tokens()

    def find(self, token: str) -> ApiToken | None:
        """The token with this id or, if it is not revoked, this name."""
        found = self._storage().tokens()
        by_id = (each for each in found if each.id == token)
        by_name = (each for each in found if each.name == token and each.revoked_at is None)
        return next(by_id, None) or next(by_name, None)

    def get(self, token: str) -> ApiToken:
        """`find`, but raises `TokenNotFound`."""
        found = self.find(token)
        if found is None:
            raise TokenNotFound(token)
        return found

    def revoke(self, token: str) -> ApiToken:
        """End a token, by its id or its name; doing it twice changes nothing.

        Processes that serve the API notice within five seconds. Raises `TokenNotFound`.
        """
        found = self.get(token)
        self._storage().revoke_token(found.id)
        return self.get(found.id)

    def verify(self, secret: str) -> ApiToken | None:
        """The token that a caller has sent; None when it is not good (any longer)."""
        if not secret.startswith(PREFIX) or len(secret) > _LONGEST:
            return None
        return self._storage().token_of(digest_of(secret))


def scope_of(token: ApiToken) -> Scope:
    """What exists for whoever sends it."""
    return Scope(queues=frozenset(token.queues), tags=frozenset(token.tags))


def digest_of(secret: str) -> str:
    """What the ledger keeps of a token."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _role(role: Role | str) -> Role:
    try:
        return Role(role)
    except ValueError:
        raise InvalidOption(f"role must be one of {', '.join(Role)}, got {role!r}") from None


def _tag(tag: str) -> str:
    return check_text("each of tags", tag, max_chars=MAX_TAG_CHARS)
