"""The part of `Storage` that knows who may use the REST API, and what was changed through it.

Three small things that only the web process writes: tokens, of which the ledger has no more than
a digest; the audit log, which is only ever added to; and for a day the replies to requests that
carried an ``Idempotency-Key``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

AUDIT_KEPT_DAYS = 365
REPLIES_KEPT_HOURS = 24
TAKEN_OVER_AFTER_S = 60.0
MAX_PAGE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token to be added; ``digest`` is the SHA-256 of its text, in hex.

    ``queues`` and ``tags`` are its scope: see `butler.scopes.Scope`.
    """

    id: str
    name: str
    digest: str
    role: str
    queues: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_by: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token as it stands; it is good until ``expires_at`` and as long as it is not revoked."""

    id: str
    name: str
    role: str
    queues: tuple[str, ...]
    tags: tuple[str, ...]
    created_by: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Somebody changed something, or tried to.

    ``action`` is what was done, as ``execution.cancel``; ``target`` what it was done to; ``status``
    the answer's, as HTTP has it. ``reason`` is what the caller said why.
    """

    id: str
    actor: str
    role: str
    action: str
    target: str | None
    status: int
    address: str | None = None
    request_id: str | None = None
    reason: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which entries to list, newest first; every filter must hold.

    ``action`` also finds what begins with it and a dot. ``after`` is the ``next_cursor`` of the
    page before, ``limit`` is 1..1000.
    """

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """A page of entries; ``next_cursor`` is None on the last one."""

    entries: tuple[AuditEntry, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """A request that may be sent again; ``owner`` is made anew for each time it is sent.

    ``seed`` is a UUIDv7: what the request makes gets its ids from it, so that a second try that
    takes over from a first one which died makes the same things.
    """

    key: str
    fingerprint: str
    owner: str
    seed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRequest:
    """How a request with this key stands; ``status`` and ``body`` are its answer, if it had one."""

    owner: str
    fingerprint: str
    seed: str
    status: int | None = None
    body: str | None = None


class AccessStorage(Protocol):
    """Tokens, the audit log, and replies that are kept."""

    def add_token(self, token: NewToken) -> bool:
        """Add a token; False when one that is not revoked has its name."""
        ...

    def token_of(self, digest: str) -> ApiToken | None:
        """The token with this digest, if it is good now, by the ledger's clock."""
        ...

    def tokens(self) -> list[ApiToken]:
        """All tokens, by name, the revoked ones too."""
        ...

    def has_tokens(self) -> bool:
        """Whether any token is good now."""
        ...

    def revoke_token(self, token_id: str) -> bool:
        """End a token; False when it was revoked before, or is not there."""
        ...

    def touch_tokens(self, token_ids: Sequence[str]) -> None:
        """Note that these are used now."""
        ...

    def write_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries, each once however often it is written; text is cleaned, never refused."""
        ...

    def audit(self, query: AuditQuery) -> AuditPage:
        """A page of entries, newest first."""
        ...

    def open_request(self, request: RequestKey) -> KeptRequest:
        """Begin a request, unless one with its key was answered or is being worked on.

        Where the reply's ``owner`` is the request's own, it is to be done. What was begun a minute
        ago and not answered is taken over; what is a day old is forgotten.
        """
        ...

    def close_request(self, request: RequestKey, *, status: int | None, body: str | None) -> None:
        """Keep the reply of a request that this one began; a ``status`` of None forgets it."""
        ...

    def prune_access(self, *, epoch: int) -> int:
        """Remove audit entries of more than a year ago, and forgotten replies; how many."""
        ...
