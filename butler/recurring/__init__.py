"""Recurring jobs: what they are, how they are decided, and how they are kept in a ledger."""

from butler.recurring.job import (
    FireOutcome,
    JobStatus,
    Misfire,
    Overlap,
    RecurringFire,
    RecurringJob,
    RecurringPage,
    RecurringStatistics,
)

__all__ = [
    "FireOutcome",
    "JobStatus",
    "Misfire",
    "Overlap",
    "RecurringFire",
    "RecurringJob",
    "RecurringPage",
    "RecurringStatistics",
]
