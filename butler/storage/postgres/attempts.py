"""Attempts: how they begin, report and end. The hot statements.

Each is one statement for a batch, and each is sorted by id before it is sent: the statements lock
rows in the order given, and two overlapping batches in different orders deadlock.

A claim or finish whose reply was lost is simply repeated. What it does not win then is looked up
under a new snapshot, and told apart from a stranger's by the claim token. That second statement is
sent only when something was not won, so that the common case stays one round trip.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from butler.errors import ResultNotStorable
from butler.executions import AttemptOutcome, ErrorRecord, ExecutionStatus
from butler.fingerprints import Fingerprint, fingerprint
from butler.lifecycle import Transition, is_error
from butler.storage.limits import Wait
from butler.storage.postgres import literals, rows
from butler.storage.postgres.batches import run_in_halves
from butler.storage.records import ClaimReply, Finished, Refused
from butler.storage.values import clean_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from butler.storage.postgres.connections import PostgresConnections
    from butler.storage.records import Claim, Claimed, ProgressReport

_Fence = tuple[str, int, str]
_by_execution_id = attrgetter("execution_id")
_first = itemgetter(0)
_REFUSED = " could not be stored: "


class PostgresAttempts:
    """Claims, progress and ends of attempts on one ledger."""

    def __init__(self, connections: PostgresConnections, *, max_progress_updates: int) -> None:
        self._connections = connections
        self._max_progress_updates = max_progress_updates

    def claim(self, claim: Claim) -> ClaimReply:
        """What the claim won, now or when it was made before; and how the other ids stand."""
        if not literals.is_uuid(claim.worker_id):
            return ClaimReply(worker_lost=True)
        ids = list(dict.fromkeys(claim.ids))
        params = {
            "worker_id": claim.worker_id,
            "token": claim.token,
            "solo": "t" if claim.solo else "f",
            "ids": literals.uuids(sorted(ids)),
        }
        found = self._connections.ask("claim", params)
        won: dict[str, Claimed] = {row[0]: rows.claimed(row) for row in found}
        refused: dict[str, Refused] = {}
        if len(won) < len(ids) or not ids:
            rest = [id_ for id_ in ids if id_ not in won]
            if not self._look_up(params, rest, won, refused):
                return ClaimReply(worker_lost=True)
        return ClaimReply(
            won=tuple([won[id_] for id_ in ids if id_ in won]),
            refused=tuple([refused[id_] for id_ in ids if id_ in refused]) if refused else (),
        )

    def _look_up(
        self,
        params: dict[str, str],
        rest: list[str],
        won: dict[str, Claimed],
        refused: dict[str, Refused],
    ) -> bool:
        """Sort the ids a claim did not win into won before and refused; False for a lost worker."""
        # One id that is no uuid becomes NULL and asks after the worker alone.
        asked = params | {"ids": literals.uuids([*filter(literals.is_uuid, rest), None])}
        found = self._connections.run("claim_rest", asked)
        expired = self._expire([row[0] for row in found if row[20]])
        limited, solo = list[str](), params["solo"] == "t"
        for row in found:
            id_, status, mine = row[0], rows.STATUS[row[18]], row[19]
            if mine:
                won[id_] = rows.claimed(row)
            elif id_ in expired:
                refused[id_] = expired[id_]
            elif id_ is not None:
                only_solo = status is ExecutionStatus.QUEUED and bool(row[10])
                if status is ExecutionStatus.QUEUED and row[21] and only_solo == solo:
                    limited.append(id_)
                refused[id_] = Refused(id=id_, status=status, alone=only_solo)
        for id_ in rest:
            if id_ not in won and id_ not in refused:
                refused[id_] = Refused(id=id_, status=None, alone=False)
        if limited:
            self._claim_limited(params, limited, won, refused)
        return bool(found)

    def _claim_limited(
        self,
        params: dict[str, str],
        ids: Sequence[str],
        won: dict[str, Claimed],
        refused: dict[str, Refused],
    ) -> None:
        """Claim what limits are on, in a statement of its own, in the order given."""
        found = self._connections.run("claim_limited", params | {"ids": literals.uuids(ids)})
        for row in found:
            if row[19] is None:
                won[row[0]] = rows.claimed_limited(row)
                del refused[row[0]]
            else:
                wait = Wait(limit=row[19], part=row[20], wait_s=row[21])
                refused[row[0]] = replace(refused[row[0]], wait=wait)

    def _expire(self, ids: Sequence[str]) -> dict[str, Refused]:
        """Cancel what a claim came too late for, and refuse it."""
        if not ids:
            return {}
        found = self._connections.run("expire_these", {"ids": literals.uuids(sorted(ids))})
        return {
            row[0]: Refused(
                id=row[0],
                status=ExecutionStatus.CANCELLED,
                alone=False,
                expired=rows.entry(row, fair_key=row[7]),
            )
            for row in found
        }

    def finish(self, transitions: Sequence[Transition]) -> list[Finished]:
        """How each transition ended; what the ledger refuses to hold is failed alone."""
        ids = [transition.execution_id for transition in transitions]
        positions = sorted(range(len(ids)), key=ids.__getitem__)
        ordered = [transitions[n] for n in positions]
        replies = run_in_halves(ordered, run=self._finish, alone=self._fail_alone)
        return [reply for _, reply in sorted(zip(positions, replies, strict=True), key=_first)]

    def _finish(self, transitions: Sequence[Transition]) -> list[Finished]:
        """One statement, for transitions sorted by id; and one more for those it did not apply."""
        ids = [transition.execution_id for transition in transitions]
        if len(set(ids)) < len(ids):  # two ends of one execution: the second sees the first's
            cut = 1 + next(n for n, (a, b) in enumerate(pairwise(ids)) if a == b)
            return [*self._finish(transitions[:cut]), *self._finish(transitions[cut:])]
        if {t.outcome for t in transitions} == {AttemptOutcome.SUCCEEDED}:
            written = self._connections.write("finish_succeeded", _successes(transitions))
            if written == len(ids):
                return [_succeeded(id_) for id_ in ids]
            replies = {}
        else:
            found = self._connections.ask("finish", _ends(transitions))
            replies = {row[0]: _finished(row, applied=True) for row in found}
        if len(replies) < len(ids):
            replies |= self._recognise([t for t in transitions if t.execution_id not in replies])
        return [replies[id_] for id_ in ids]

    def _recognise(self, rest: Sequence[Transition]) -> dict[str, Finished]:
        """Replies for attempts that were not running: ended by an earlier try, or given up.

        Whoever gave the attempt up wrote another outcome, so that a zombie is not taken for it.
        """
        found = self._connections.run("finish_rest", _fences(rest))
        return {
            transition.execution_id: _recognised(transition, row)
            for transition, row in zip(rest, found, strict=True)
        }

    def _fail_alone(self, transition: Transition, reason: str) -> Finished:
        what = "result" if transition.outcome is AttemptOutcome.SUCCEEDED else "outcome"
        reason = clean_text(reason) or ""
        message = f"the work ran, its {what}{_REFUSED}{reason}"
        failed = Transition(
            execution_id=transition.execution_id,
            attempt=transition.attempt,
            claim_token=transition.claim_token,
            status=ExecutionStatus.FAILED,
            outcome=AttemptOutcome.FAILED,
            error=ErrorRecord(type=ResultNotStorable.__name__, message=message),
            crashes=transition.crashes,
        )
        (reply,) = self._finish([failed])
        return replace(reply, rejected=reason if reply.applied else None)

    def report_progress(self, reports: Sequence[ProgressReport]) -> None:
        """Write the newest progress of each running attempt, and record what is to be kept."""
        ordered = sorted(reports, key=_by_execution_id)
        run_in_halves(ordered, run=self._report, alone=self._report_cleaned)

    def _report(self, reports: Sequence[ProgressReport]) -> list[None]:
        params = _reports(reports) | {"cap": str(self._max_progress_updates)}
        self._connections.run("report_progress", params, hot=True)
        return [None] * len(reports)

    def _report_cleaned(self, report: ProgressReport, _: str) -> None:
        """A report is never refused for its words."""
        self._report([replace(report, message=clean_text(report.message))])


def _fence(item: Transition | ProgressReport) -> _Fence:
    return item.execution_id, item.attempt, item.claim_token


def _succeeded(execution_id: str) -> Finished:
    status = ExecutionStatus.SUCCEEDED
    return Finished(id=execution_id, applied=True, status=status, entry=None)


def _finished(row: Sequence[Any], *, applied: bool) -> Finished:
    """The columns of finish: an entry, the status, the fair key."""
    entry = rows.entry(row, fair_key=row[8])
    return Finished(id=row[0], applied=applied, status=rows.STATUS[row[7]], entry=entry)


def _recognised(transition: Transition, row: Sequence[Any]) -> Finished:
    """The columns of finish_rest: those of finish, how the attempt ended, why it was refused."""
    if row[7] is None:
        return Finished(id=transition.execution_id, applied=False, status=None, entry=None)
    outcome, refusal = row[9], row[10]
    if refusal is None:
        found = _finished(row, applied=outcome == transition.outcome)
        return replace(found, entry=None) if found.status is ExecutionStatus.SUCCEEDED else found
    # An earlier try failed it alone: the value is not refused again where the fence stops it first.
    rejected = str(refusal).partition(_REFUSED)[2]
    return replace(_finished(row, applied=True), rejected=rejected or None)


def _fences(items: Sequence[Transition | ProgressReport]) -> dict[str, str]:
    return {
        "ids": literals.uuids([item.execution_id for item in items]),
        "attempts": literals.numbers([item.attempt for item in items]),
        "tokens": literals.uuids([item.claim_token for item in items]),
    }


def _successes(transitions: Sequence[Transition]) -> dict[str, str]:
    return _fences(transitions) | {"results": literals.texts([t.result for t in transitions])}


def _ends(transitions: Sequence[Transition]) -> dict[str, str | None]:
    errors = [None if t.error is None else json.dumps(t.error.to_json()) for t in transitions]
    known = [_fingerprint(t) for t in transitions]
    return _successes(transitions) | {
        "statuses": literals.texts([t.status for t in transitions]),
        "outcomes": literals.texts([t.outcome for t in transitions]),
        "counted": literals.flags([t.counted for t in transitions]),
        "delays_s": literals.numbers([t.delay_s for t in transitions]),
        "errors": literals.texts(errors),
        "reasons": literals.texts([t.reason for t in transitions]),
        "alone": literals.flags([t.alone for t in transitions]),
        "crashes": literals.numbers([t.crashes for t in transitions]),
        "fingerprints": literals.texts([None if each is None else each.id for each in known]),
        "traceparents": literals.optional([t.traceparent for t in transitions]),
        "places": literals.texts([None if each is None else each.place for each in known]),
    }


def _fingerprint(transition: Transition) -> Fingerprint | None:
    return fingerprint(transition.error) if transition.error and is_error(transition) else None


def _reports(reports: Sequence[ProgressReport]) -> dict[str, str]:
    newest = {_fence(report): n for n, report in enumerate(reports)}
    recorded: Counter[_Fence] = Counter()
    nth_record = []
    for report in reports:
        recorded[_fence(report)] += 1 if report.record else 0
        nth_record.append(recorded[_fence(report)] if report.record else 0)
    return _fences(reports) | {
        "percents": literals.numbers([report.percent for report in reports]),
        "messages": literals.texts([report.message for report in reports]),
        "newest": literals.flags([newest[_fence(r)] == n for n, r in enumerate(reports)]),
        "records": literals.numbers(nth_record),
        "all_records": literals.numbers([recorded[_fence(report)] for report in reports]),
    }
