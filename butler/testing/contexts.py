"""`make_context`: a context for calling a task's function directly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from butler.attempt_control import AttemptControl
from butler.clock import SYSTEM_CLOCK
from butler.context import TaskContext
from butler.errors import ButlerError
from butler.executions import Priority
from butler.ids import new_id, new_token
from butler.injection.injector import Injector
from butler.queue_names import DEFAULT_QUEUE
from butler.storage.records import Claimed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler.app import Butler

_MISSING: Any = object()


class MadeContext(TaskContext):
    """A context as a worker would make it, and what a test wants of it besides."""

    __slots__ = ("_state", "progress")

    def __init__(
        self, claimed: Claimed, butler: Butler, timeout_s: float | None, state: Any
    ) -> None:
        self.progress: list[tuple[float, str | None]] = []
        deadline = None if timeout_s is None else SYSTEM_CLOCK.monotonic() + timeout_s
        super().__init__(claimed, _RecordingControl(self.progress), butler, deadline)
        self._state = state

    @property
    def state(self) -> Any:
        """What was passed as ``state``, else the Butler's own."""
        return super().state if self._state is _MISSING else self._state

    def cancel(self, reason: str = "cancelled by the test") -> None:
        """Ask the task to end, as an operator's cancel would."""
        self._control.request_cancel(reason)


def make_context(
    butler: Butler | None = None,
    *,
    task: str = "test",
    attempt: int = 1,
    max_attempts: int = 3,
    queue: str = DEFAULT_QUEUE,
    user_id: str | None = None,
    tags: Iterable[str] = (),
    parent_id: str | None = None,
    execution_id: str | None = None,
    timeout_s: float | None = None,
    state: Any = _MISSING,
) -> MadeContext:
    """A context to call a task's function with; what the task reports is in ``.progress``.

    With a ``butler`` the task may enqueue others. ``state`` is ``context.state``. ``timeout_s``
    sets the deadline it sees; nothing interrupts it. ``.cancel()`` asks it to end.
    """
    claimed = Claimed(
        id=execution_id or new_id(),
        attempt=attempt,
        claim_token=new_token(),
        task=task,
        queue=queue,
        priority=Priority.NORMAL,
        request=None,
        uncounted=0,
        max_attempts=max_attempts,
        crashes=0,
        alone=False,
        timeout_s=timeout_s,
        user_id=user_id,
        tags=tuple(tags),
        parent_id=parent_id,
        fingerprint=None,
        created_at=SYSTEM_CLOCK.now(),
    )
    host = butler if butler is not None else cast("Butler", _NoButler())
    return MadeContext(claimed, host, timeout_s, state)


class _RecordingControl(AttemptControl):
    """Keeps every progress report, not the newest alone."""

    __slots__ = ("_reports",)

    def __init__(self, reports: list[tuple[float, str | None]]) -> None:
        super().__init__()
        self._reports = reports

    def report(self, percent: float, message: object = None) -> None:
        super().report(percent, message)
        taken = self.take_progress()
        assert taken is not None
        self._reports.append(taken)


class _NoButler:
    """Stands where a Butler would, and says so when it is needed."""

    def __init__(self) -> None:
        self.injector = Injector()

    @property
    def state(self) -> NoReturn:
        raise ButlerError("this context has no state: make_context(state=...)")

    def _place(self, *_: object, **__: object) -> NoReturn:
        raise ButlerError("this context enqueues nothing: make_context(butler)")

    async def _aplace(self, *_: object, **__: object) -> NoReturn:
        self._place()
