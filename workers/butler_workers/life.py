"""`Life`: what an application opens around a worker's attempts, and what is provided meanwhile.

The lifespan is opened before the worker is known to anybody, so that one that fails leaves nothing
behind, and closed after the last attempt has ended; process-wide provided values go before it,
because they may need it. What is async happens on the event loop that runs the tasks. In between,
what tasks log is caught (`butler.capture`).
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from butler.capture import capturing
from butler.errors import ButlerError
from butler.log import log_event

if TYPE_CHECKING:
    from butler.app import Butler
    from butler_workers.slots import Slots

logger = logging.getLogger(__name__)

CLOSE_S = 5.0


class Life:
    """One Butler's application code around one worker of this process."""

    def __init__(self, butler: Butler, slots: Slots) -> None:
        self._butler = butler
        self._slots = slots
        self._begun = False
        self._open = ExitStack()

    def begin(self) -> None:
        """Open the lifespan; raises `ButlerError` when it does not open."""
        hook = self._butler.life
        try:
            if hook.is_async:
                self._slots.run_in_loop(hook.aopen(self._butler)).result()
            else:
                hook.open(self._butler)
        except Exception as error:
            logger.exception("lifespan.failed")
            raise lifespan_failed(error) from error
        # After the lifespan, which may set up logging.
        self._open.enter_context(capturing(self._butler.settings))
        self._begun = True

    def end(self) -> None:
        """Close everything, each within `CLOSE_S` where it is async; logs what fails. Once."""
        if not self._begun:
            return
        self._begun = False
        self._open.close()
        self._butler.injector.close(CLOSE_S)
        hook = self._butler.life
        try:
            if hook.is_async:
                self._slots.run_in_loop(hook.aclose()).result(CLOSE_S)
            else:
                hook.close()
        except Exception as error:  # noqa: BLE001 - the worker ends all the same
            log_event(logger, logging.ERROR, "lifespan.not_closed", error=repr(error))


def lifespan_failed(error: Exception) -> ButlerError:
    """Why a worker does not start."""
    return ButlerError(
        f"the lifespan failed before the worker started: {type(error).__name__}: {error}"
    )
