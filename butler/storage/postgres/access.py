"""Tokens, the audit log and kept replies in PostgreSQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from butler.errors import InvalidOption
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
from butler.storage.postgres import literals, rows
from butler.storage.values import clean_json, clean_text, text_refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.access import AuditQuery, NewToken, RequestKey
    from butler.storage.postgres.connections import PostgresConnections

_REPLIES_KEPT = f"{REPLIES_KEPT_HOURS} hours"


class PostgresAccess:
    """What makes a `PostgresStorage` an `AccessStorage`."""

    _connections: PostgresConnections

    def add_token(self, token: NewToken) -> bool:
        """Add a token; False when one that is not revoked has its name."""
        params = {
            "id": token.id,
            "name": token.name,
            "digest": token.digest,
            "role": token.role,
            "queues": literals.texts(token.queues),
            "tags": literals.texts(token.tags),
            "created_by": token.created_by,
            "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
        }
        return bool(self._connections.run("token_add", params))

    def token_of(self, digest: str) -> ApiToken | None:
        """The token with this digest, if it is good now."""
        for row in self._connections.run("token_of", {"digest": digest}, hot=True):
            return _token(row)
        return None

    def tokens(self) -> list[ApiToken]:
        """All tokens, by name."""
        return [_token(row) for row in self._connections.run("tokens")]

    def has_tokens(self) -> bool:
        """Whether any token is good now."""
        return bool(self._connections.run("tokens_any")[0][0])

    def revoke_token(self, token_id: str) -> bool:
        """End a token."""
        if not literals.is_uuid(token_id):
            return False
        return bool(self._connections.run("token_revoke", {"id": token_id}))

    def touch_tokens(self, token_ids: Sequence[str]) -> None:
        """Note that these are used now."""
        self._connections.run("tokens_touch", {"ids": literals.uuids(token_ids)})

    def write_audit(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries, each once."""
        if entries:
            self._connections.run("audit_write", _columns(entries), hot=True)

    def audit(self, query: AuditQuery) -> AuditPage:
        """A page of entries, newest first."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise InvalidOption(f"limit must be in 1..{MAX_PAGE}, got {query.limit}")
        if query.after is not None and not literals.is_uuid(query.after):
            raise InvalidOption(f"after must be the next_cursor of a page, got {query.after!r}")
        if any(text_refusal(text) for text in (query.actor, query.action, query.target)):
            return AuditPage(entries=(), next_cursor=None)
        params = {
            "actor": query.actor,
            "action": query.action,
            "target": query.target,
            "since": None if query.since is None else query.since.isoformat(),
            "until": None if query.until is None else query.until.isoformat(),
            "after": query.after,
            "limit": str(query.limit + 1),
        }
        found = self._connections.run("audit_find", params)
        shown = found[: query.limit]
        return AuditPage(
            entries=tuple(_entry(row) for row in shown),
            next_cursor=shown[-1][0] if len(found) > query.limit else None,
        )

    def open_request(self, request: RequestKey) -> KeptRequest:
        """Begin a request, unless one with its key was answered or is being worked on."""
        params = {
            "key": request.key,
            "fingerprint": request.fingerprint,
            "owner": request.owner,
            "seed": request.seed,
            "kept": _REPLIES_KEPT,
            "taken_over_after": f"{TAKEN_OVER_AFTER_S} seconds",
        }
        while True:
            found = self._connections.run("request_open", params)
            found = found or self._connections.run("request_opened", {"key": request.key})
            for owner, fingerprint, seed, status, body in found:
                return KeptRequest(
                    owner=owner, fingerprint=fingerprint, seed=seed, status=status, body=body
                )
            # It was forgotten between the two.

    def close_request(self, request: RequestKey, *, status: int | None, body: str | None) -> None:
        """Keep the reply of a request that this one began."""
        params = {"key": request.key, "owner": request.owner}
        if status is None:
            self._connections.run("request_forget", params)
        else:
            kept = {"status": str(status), "body": body}
            self._connections.run("request_close", params | kept)

    def prune_access(self, *, epoch: int) -> int:
        """Remove old audit entries and forgotten replies."""
        params = {
            "epoch": str(epoch),
            "audit_kept": f"{AUDIT_KEPT_DAYS} days",
            "replies_kept": _REPLIES_KEPT,
        }
        return int(self._connections.run("prune_access", params)[0][0])


def _token(row: Sequence[Any]) -> ApiToken:
    """The columns of token_of and tokens."""
    id_, name, role, queues, tags, created_by, *times = row
    created_at, expires_at, revoked_at, last_used_at = times
    return ApiToken(
        id=id_,
        name=name,
        role=role,
        queues=tuple(queues),
        tags=tuple(tags),
        created_by=created_by,
        created_at=rows.in_utc(created_at),
        expires_at=rows.maybe_utc(expires_at),
        revoked_at=rows.maybe_utc(revoked_at),
        last_used_at=rows.maybe_utc(last_used_at),
    )


def _entry(row: Sequence[Any]) -> AuditEntry:
    """The columns of audit_find."""
    id_, at, actor, role, action, target, status, address, request_id, reason, details = row
    return AuditEntry(
        id=id_,
        at=rows.in_utc(at),
        actor=actor,
        role=role,
        action=action,
        target=target,
        status=status,
        address=address,
        request_id=request_id,
        reason=reason,
        details=details,
    )


def _columns(entries: Sequence[AuditEntry]) -> dict[str, str]:
    return {
        "ids": literals.uuids([entry.id for entry in entries]),
        "actors": literals.texts([clean_text(entry.actor) for entry in entries]),
        "roles": literals.texts([entry.role for entry in entries]),
        "actions": literals.texts([entry.action for entry in entries]),
        "targets": literals.texts([clean_text(entry.target) for entry in entries]),
        "statuses": literals.numbers([entry.status for entry in entries]),
        "addresses": literals.texts([clean_text(entry.address) for entry in entries]),
        "request_ids": literals.texts([clean_text(entry.request_id) for entry in entries]),
        "reasons": literals.texts([clean_text(entry.reason) for entry in entries]),
        "details": literals.texts([json.dumps(clean_json(entry.details)) for entry in entries]),
    }
