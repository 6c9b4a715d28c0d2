"""What a child has started, as its supervisor reads it at any moment."""

from __future__ import annotations

import os

import pytest
from butler_workers.started import StartedTable, StartedView

from butler.ids import new_id

LONG_AGO, NEVER = 1.0, None


class Watched:
    """The table's memory; looks through the supervisor's eyes after each write."""

    def __init__(self, memory, look):
        self._memory, self._look = memory, look

    def __setitem__(self, where, what):
        self._memory[where] = what
        self._look()

    def __getattr__(self, name):
        return getattr(self._memory, name)


@pytest.fixture
def view():
    view = StartedView(1)
    yield view
    view.close()


def test_an_entry_never_shows_the_time_of_the_attempt_that_had_it_before(view):
    table, seen = StartedTable(os.dup(view.fd), 1), []
    table.end(table.start(new_id(), 1, LONG_AGO))
    table._memory = Watched(table._memory, lambda: seen.append((view.overdue(), view.entries())))
    id_ = new_id()
    table.start(id_, 2, NEVER)
    assert [overdue for overdue, _ in seen if overdue] == []
    assert [set(entries) for _, entries in seen if entries] == [{id_}]
    assert view.entries()[id_].attempt == 2
