"""Transitions and claims as JSON, for the lines between the processes of one worker."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from butler.executions import AttemptOutcome, ErrorRecord, ExecutionStatus, Priority
from butler.lifecycle import Transition
from butler.storage.records import Claimed


def transition_to_json(transition: Transition) -> dict[str, Any]:
    """Plain values."""
    form = {field.name: getattr(transition, field.name) for field in fields(transition)}
    form["error"] = transition.error.to_json() if transition.error else None
    return form


def transition_from_json(form: dict[str, Any]) -> Transition:
    """What `transition_to_json` was given."""
    return Transition(
        **{
            **form,
            "status": ExecutionStatus(form["status"]),
            "outcome": AttemptOutcome(form["outcome"]),
            "error": ErrorRecord.from_json(form["error"]),
        }
    )


def claimed_to_json(claimed: Claimed) -> dict[str, Any]:
    """Plain values."""
    return {**asdict(claimed), "created_at": claimed.created_at.isoformat()}


def claimed_from_json(form: dict[str, Any]) -> Claimed:
    """What `claimed_to_json` was given."""
    return Claimed(
        **{
            **form,
            "priority": Priority(form["priority"]),
            "tags": tuple(form["tags"]),
            "created_at": datetime.fromisoformat(form["created_at"]),
        }
    )
