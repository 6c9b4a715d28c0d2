"""Tokens, the audit log and kept replies in the memory ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from butler.errors import InvalidOption
from butler.ids import is_id
from butler.storage.access import (
    AUDIT_KEPT_DAYS,
    MAX_PAGE,
    REPLIES_KEPT_HOURS,
    TAKEN_OVER_AFTER_S,
    ApiToken,
    AuditEntry,
    AuditPage,
    KeptRequest,
)
from butler.storage.values import clean_json, clean_text

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from datetime import datetime

    from butler.clock import Clock
    from butler.storage.access import AuditQuery, NewToken, RequestKey
    from butler.storage.memory.workers import LeaderSeat

_REPLIES_KEPT = timedelta(hours=REPLIES_KEPT_HOURS)
_TAKEN_OVER_AFTER = timedelta(seconds=TAKEN_OVER_AFTER_S)


@dataclass(slots=True)
class _Request:
    kept: KeptRequest
    created_at: datetime
    taken_at: datetime


class MemoryAccess:
    """What makes a `MemoryStorage` an `AccessStorage`; everything happens under its lock."""

    _clock: Clock
    _lock: threading.Lock
    _seat: LeaderSeat

    def __init__(self) -> None:
        super().__init__()
        self._tokens: dict[str, tuple[str, ApiToken]] = {}
        self._audit: dict[str, AuditEntry] = {}
        self._requests: dict[str, _Request] = {}

    def add_token(self, token: NewToken) -> bool:
        """Add a token; False when one that is not revoked has its name."""
        with self._lock:
            if token.id in self._tokens:
                return True
            for digest, other in self._tokens.values():
                if digest == token.digest or (other.name == token.name and not other.revoked_at):
                    return False
            made = ApiToken(
                id=token.id,
                name=token.name,
                role=token.role,
                queues=token.queues,
                tags=token.tags,
                created_by=token.created_by,
                created_at=self._clock.now(),
                expires_at=token.expires_at,
                revoked_at=None,
                last_used_at=None,
            )
            self._tokens[token.id] = token.digest, made
            return True

    def token_of(self, digest: str) -> ApiToken | None:
        """The token with this digest, if it is good now."""
        with self._lock:
            now = self._clock.now()
            for kept, token in self._tokens.values():
                if kept == digest and _is_good(token, now=now):
                    return token
            return None

    def tokens(self) -> list[ApiToken]:
        """All tokens, by name."""
        with self._lock:
            newest_first = sorted(
                (token for _, token in self._tokens.values()),
                key=lambda token: token.revoked_at or self._clock.now(),
                reverse=True,
            )
        return sorted(newest_first, key=lambda token: token.name)

    def has_tokens(self) -> bool:
        """Whether any token is good now."""
        with self._lock:
            now = self._clock.now()
            return any(_is_good(token, now=now) for _, token in self._tokens.values())

    def revoke_token(self, token_id: str) -> bool:
        """End a token."""
        with self._lock:
            digest, token = self._tokens.get(token_id, ("", None))
            if token is None or token.revoked_at is not None:
                return False
            self._tokens[token_id] = digest, replace(token, revoked_at=self._clock.now())
            return True

    def touch_tokens(self, token_ids: Sequence[str]) -> None:
        """Note that these are used now."""
        with self._lock:
            for token_id in token_ids:
                if token_id in self._tokens:
                    digest, token = self._tokens[token_id]
                    used = replace(token, last_used_at=self._clock.now())
                    self._tokens[token_id] = digest, used

    def write_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries, each once."""
        with self._lock:
            for entry in entries:
                self._audit.setdefault(entry.id, _cleaned(entry, at=self._clock.now()))

    def audit(self, query: AuditQuery) -> AuditPage:
        """A page of entries, newest first."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
        if query.after is not None and not is_id(query.after):
            raise InvalidOption(f"after must be the next_cursor of a page, got {query.after!r}")
        with self._lock:
            ordered = sorted(self._audit.values(), key=lambda entry: entry.id, reverse=True)
        found = [entry for entry in ordered if _matches(entry, query)]
        shown = found[: query.limit]
        return AuditPage(
            entries=tuple(shown),
            next_cursor=shown[-1].id if len(found) > query.limit else None,
        )

    def open_request(self, request: RequestKey) -> KeptRequest:
        """Begin a request, unless one with its key was answered or is being worked on."""
        with self._lock:
            now = self._clock.now()
            known = self._requests.get(request.key)
            if known is not None and known.created_at >= now - _REPLIES_KEPT:
                kept = known.kept
                left = (
                    kept.status is None
                    and kept.fingerprint == request.fingerprint
                    and known.taken_at < now - _TAKEN_OVER_AFTER
                )
                if kept.owner != request.owner and left:
                    known.kept = replace(kept, owner=request.owner)
                    known.taken_at = now
                return known.kept
            kept = KeptRequest(
                owner=request.owner, fingerprint=request.fingerprint, seed=request.seed
            )
            self._requests[request.key] = _Request(kept, created_at=now, taken_at=now)
            return kept

    def close_request(self, request: RequestKey, *, status: int | None, body: str | None) -> None:
        """Keep the reply of a request that this one began."""
        with self._lock:
            known = self._requests.get(request.key)
            if known is None or known.kept.owner != request.owner:
                return
            if status is None:
                del self._requests[request.key]
            else:
                known.kept = replace(known.kept, status=status, body=body)

    def prune_access(self, *, epoch: int) -> int:
        """Remove old audit entries and forgotten replies."""
        with self._lock:
            if not self._seat.holds(epoch):
                return 0
            now = self._clock.now()
            before = now - timedelta(days=AUDIT_KEPT_DAYS)
            entries = [e.id for e in self._audit.values() if e.at is not None and e.at < before]
            requests = [k for k, r in self._requests.items() if r.created_at < now - _REPLIES_KEPT]
            for id_ in entries:
                del self._audit[id_]
            for key in requests:
                del self._requests[key]
            return len(entries) + len(requests)


def _is_good(token: ApiToken, *, now: datetime) -> bool:
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def _cleaned(entry: AuditEntry, *, at: datetime) -> AuditEntry:
    return replace(
        entry,
        at=at,
        actor=clean_text(entry.actor) or "",
        target=clean_text(entry.target),
        address=clean_text(entry.address),
        request_id=clean_text(entry.request_id),
        reason=clean_text(entry.reason),
        details=clean_json(entry.details),
    )


def _matches(entry: AuditEntry, query: AuditQuery) -> bool:
    action, at = query.action, entry.at
    assert at is not None
    return (
        query.actor in (None, entry.actor)
        and (action is None or action == entry.action or entry.action.startswith(f"{action}."))
        and query.target in (None, entry.target)
        and (query.since is None or at >= query.since)
        and (query.until is None or at < query.until)
        and (query.after is None or entry.id < query.after)
    )
