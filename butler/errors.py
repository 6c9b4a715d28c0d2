"""Every error Butler raises, as one tree.

ButlerError
├── DefinitionError          a task, option or registration that can never work (also a TypeError)
├── TaskNotBound             a task that no Butler, or more than one, has registered
├── UnknownTask              a name nobody registered; says what was probably meant
├── InvalidRequest           a request that does not fit the task's type; carries the field errors
├── InvalidOption            an enqueue option out of range (also a ValueError)
├── InvalidSchedule          a schedule that cannot be read or never fires (also a ValueError)
├── ResultNotStorable        the work ran, its result cannot be kept
├── ExecutionNotFound        no execution has this id
├── IllegalTransition        the execution's state does not allow what was asked
├── UniqueKeyBusy            another open transaction has written the unique key, and did not end
├── TransactionRefused       the given transaction cannot carry an enqueue (also a ValueError)
├── RecurringJobNotFound     no recurring job has this name or id (also a LookupError)
├── RecurringJobExists       another recurring job has this name
├── StaleUpdate              somebody else changed the recurring job or alert rule since it was read
├── AlertNotFound            no alert has this id (also a LookupError)
├── AlertRuleNotFound        no alert rule has this name (also a LookupError)
├── AlertRuleExists          another alert rule has this name
├── DeliveryFailed           a message could not be delivered through an alert channel
├── TokenNotFound            no API token has this name or id (also a LookupError)
├── TokenExists              another API token has this name
├── EnqueueUnknown           the ledger went away in mid-commit and could not be asked again
├── TaskFailed               the awaited execution failed; carries it
├── TaskCancelled            the awaited execution was cancelled; carries it
├── WaitTimeout              the execution was not over in time (also a TimeoutError)
├── ApiError                 the REST API refused, and no other class here says why
│   ├── NotAuthenticated     it wants a good token
│   ├── NotAllowed           the token's role or scope does not allow this
│   ├── ApiNotFound          no queue, worker or limit has this name (also a LookupError)
│   └── ApiUnavailable       it does not answer, or only that it cannot now
├── StorageUnavailable       the ledger cannot be reached
├── SchemaOutdated           the ledger's schema is older (or newer) than this release can use
├── QueueUnavailable         Redis cannot be reached or cannot be used
├── AppNotFound              no Butler is where --app says, or no module where include says
├── SettingsError            a setting is missing or cannot be read
└── EmbeddedUnavailable      no server binaries are to be found, or they do not start

BlockingCallWarning (a RuntimeWarning): a blocking call stopped an event loop

TaskInterrupted (a BaseException: ``except Exception`` in a task must not swallow it)
├── TaskTimeout              raised in a task that outlived its ``timeout_s``
└── AttemptCancelled         raised by ``context.raise_if_cancelled()``
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from butler.executions import Execution


class ButlerError(Exception):
    """Whatever Butler raises on purpose."""


class DefinitionError(ButlerError, TypeError):
    """A task, option or registration that can never work; raised where it is written."""


class TaskNotBound(ButlerError):
    """A task was used that no Butler, or more than one, has registered."""


class UnknownTask(ButlerError):
    """No task has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        super().__init__(f"no task named {name!r}{did_you_mean(name, known)}")


class InvalidRequest(ButlerError, ValueError):
    """A request does not fit its task's type; nothing was written.

    ``errors`` is a list of ``{"loc": ..., "msg": ..., "type": ...}`` as pydantic gives them.
    """

    def __init__(self, message: str, errors: Sequence[dict[str, Any]] = ()) -> None:
        self.errors = list(errors)
        super().__init__(message)


class InvalidOption(ButlerError, ValueError):
    """An option is out of range: ``timeout_s must be > 0, got -1``."""


class InvalidSchedule(ButlerError, ValueError):
    """A schedule cannot be read, or would never fire."""


class ResultNotStorable(ButlerError):
    """The work ran, but its result cannot be kept (type, size, or text no JSON can hold)."""


class ExecutionNotFound(ButlerError, LookupError):
    """No execution has this id."""

    def __init__(self, execution_id: str, why: str | None = None) -> None:
        self.execution_id = execution_id
        why = why or (
            "its transaction was rolled back, it was deleted, or it belongs to another ledger"
        )
        super().__init__(f"no execution {execution_id} in the ledger: {why}")


class IllegalTransition(ButlerError):
    """What was asked is not allowed in the execution's present state."""


class UniqueKeyBusy(ButlerError):
    """Somebody's open transaction has just written this unique key, and may yet take it back.

    Nothing was written. ``unique_keys`` are those asked for; of a batch, one of them is busy.
    """

    def __init__(self, task: str, unique_keys: Sequence[str], *, waited_s: float) -> None:
        self.task = task
        self.unique_keys = tuple(unique_keys)
        which = f"the unique key {unique_keys[0]!r}"
        if len(unique_keys) > 1:
            which = f"one of {len(unique_keys)} unique keys ({unique_keys[0]!r}, …)"
        super().__init__(
            f"{which} of {task!r} is being written by another transaction, which did not end "
            f"within {waited_s:g} s (unique_wait_s); nothing was written: try again, or let that "
            "transaction end sooner"
        )


class TransactionRefused(ButlerError, ValueError):
    """The given transaction cannot carry an enqueue; nothing was written, and it can go on."""


class RecurringJobNotFound(ButlerError, LookupError):
    """No recurring job has this name or id."""

    def __init__(self, job: str) -> None:
        self.job = job
        super().__init__(f"no recurring job has the name or id {job!r}: butler recurring list")


class RecurringJobExists(ButlerError):
    """Another recurring job has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"there is a recurring job named {name!r} already: update it, or choose another name"
        )


class StaleUpdate(ButlerError):
    """Somebody else changed the recurring job or rule since it was read; nothing was written."""

    def __init__(self, name: str, *, expected: int, found: int) -> None:
        self.name = name
        super().__init__(
            f"{name!r} is at version {found}, and the change was made on version {expected}: "
            "read it again and repeat the change"
        )


class AlertNotFound(ButlerError, LookupError):
    """No alert has this id."""

    def __init__(self, alert_id: str) -> None:
        self.alert_id = alert_id
        super().__init__(f"no alert has the id {alert_id!r}: butler alerts list")


class AlertRuleNotFound(ButlerError, LookupError):
    """No alert rule has this name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        super().__init__(f"no alert rule named {name!r}{did_you_mean(name, known)}")


class AlertRuleExists(ButlerError):
    """Another alert rule has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"there is an alert rule named {name!r} already: update it")


class DeliveryFailed(ButlerError):
    """A message could not be delivered through an alert channel; the text holds no secret."""


class TokenNotFound(ButlerError, LookupError):
    """No API token has this id, or none that is not revoked this name."""

    def __init__(self, token: str) -> None:
        self.token = token
        super().__init__(f"no API token has the name or id {token!r}: butler token list")


class TokenExists(ButlerError):
    """Another API token, which is not revoked, has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"there is an API token named {name!r} already: revoke it, or choose another name"
        )


class EnqueueUnknown(ButlerError):
    """The ledger vanished in mid-commit; whether the execution exists could not be found out.

    ``execution_ids`` are the ids it would have: ask ``butler.get(id)`` when the ledger is back.
    Enqueueing the same request again could run it twice.
    """

    def __init__(self, execution_ids: Sequence[str]) -> None:
        self.execution_ids = tuple(execution_ids)
        self.execution_id = self.execution_ids[0]
        more = f" and {len(execution_ids) - 1} more" if len(execution_ids) > 1 else ""
        super().__init__(
            f"the ledger went away while {self.execution_id}{more} was being written: "
            "it may or may not exist; look it up by its id once the ledger is back"
        )


class TaskFailed(ButlerError):
    """The execution that was waited for ended as failed."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        error = execution.error
        reason = f"{error.type}: {error.message}" if error else "no error was recorded"
        super().__init__(f"{execution.task} {execution.id} failed: {reason}")


class TaskCancelled(ButlerError):
    """The execution that was waited for ended as cancelled."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        why = f": {execution.reason}" if execution.reason else ""
        super().__init__(f"{execution.task} {execution.id} was cancelled{why}")


class WaitTimeout(ButlerError, TimeoutError):
    """The execution was not over within ``timeout_s``; it goes on."""


class ApiError(ButlerError):
    """The REST API refused, or gave an answer that no other class here stands for.

    ``status`` is the HTTP status, None where no answer came; ``type`` the problem's URN, which
    never changes its meaning; ``errors`` the places that do not fit, with ``loc`` and ``msg``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        type: str | None = None,  # noqa: A002 - what RFC 9457 calls it
        errors: Sequence[dict[str, Any]] = (),
    ) -> None:
        self.status = status
        self.type = type
        self.errors = list(errors)
        super().__init__(message)


class NotAuthenticated(ApiError):
    """The REST API wants a good token: there was none, or it is unknown, revoked or expired."""


class NotAllowed(ApiError):
    """The token's role or scope does not allow this."""


class ApiNotFound(ApiError, LookupError):
    """The REST API has no such thing, or not for this token."""


class ApiUnavailable(ApiError):
    """The REST API did not answer, or only that it cannot now, however often it was asked.

    What was asked for may have been done. ``idempotency_key`` is what it was sent with, None for
    what only looks: the same call with the same key is done once.
    """

    def __init__(
        self, message: str, *, status: int | None = None, idempotency_key: str | None = None
    ) -> None:
        self.idempotency_key = idempotency_key
        super().__init__(message, status=status)


class StorageUnavailable(ButlerError):
    """The ledger cannot be reached; nothing was changed."""


class SchemaOutdated(ButlerError):
    """The ledger's schema is not one this release can work on."""


class QueueUnavailable(ButlerError):
    """Redis cannot be reached, or cannot be used (a cluster, an old version)."""


class AppNotFound(ButlerError):
    """No Butler is where ``--app`` says, or no module where its ``include`` says."""


class SettingsError(ButlerError, ValueError):
    """A setting is missing or cannot be read."""


class EmbeddedUnavailable(ButlerError):
    """No embedded servers can be started here."""


class BlockingCallWarning(RuntimeWarning):
    """A blocking call was made on a thread whose event loop it stops; names the awaited form."""


class TaskInterrupted(BaseException):
    """Raised inside a task to end it from outside."""


class TaskTimeout(TaskInterrupted):
    """The task outlived its ``timeout_s``."""


class AttemptCancelled(TaskInterrupted):
    """The execution was cancelled; raised by ``context.raise_if_cancelled()`` and its kin."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean "X"?``, or what there is, or an empty string when nothing is known."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        folded = {other.casefold(): other for other in names}
        close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
        close = [folded[match] for match in close]
    if close:
        return f'; did you mean "{close[0]}"?'
    if not names:
        return ""
    shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"; known: {shown}"
