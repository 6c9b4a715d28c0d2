"""Handing on the last spans of a process that ends: a worker leaves without Python's exit hooks."""

from __future__ import annotations

import contextlib
import sys

FLUSH_WITHIN_MS = 2_000


def flush_traces() -> None:
    """Let a tracer that is there send what it still has; loads nothing where there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        # An exporter of somebody else's must not change how this process ends.
        with contextlib.suppress(Exception):
            flush(FLUSH_WITHIN_MS)
