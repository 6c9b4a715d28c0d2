"""For an application's own tests; ``docs/testing.md`` shows how.

Loaded lazily, because pytest imports the plugin beside it in every run on a machine that has
Butler installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from butler.testing.asserting import assert_enqueued as assert_enqueued
    from butler.testing.asserting import assert_not_enqueued as assert_not_enqueued
    from butler.testing.contexts import MadeContext as MadeContext
    from butler.testing.contexts import make_context as make_context
    from butler.testing.memory import in_memory as in_memory
    from butler.testing.pending import arun_pending as arun_pending
    from butler.testing.pending import run_pending as run_pending

_HOMES = {
    "MadeContext": "butler.testing.contexts",
    "arun_pending": "butler.testing.pending",
    "assert_enqueued": "butler.testing.asserting",
    "assert_not_enqueued": "butler.testing.asserting",
    "in_memory": "butler.testing.memory",
    "make_context": "butler.testing.contexts",
    "run_pending": "butler.testing.pending",
}

__all__ = [
    "MadeContext",
    "arun_pending",
    "assert_enqueued",
    "assert_not_enqueued",
    "in_memory",
    "make_context",
    "run_pending",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'butler.testing' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
