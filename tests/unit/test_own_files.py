"""A process goes on while the files it came from are replaced."""

import pytest

from butler import queues
from butler.storage.postgres import statements


@pytest.mark.parametrize(
    ("module", "first", "later"),
    [(statements, "now", "claim"), (queues, "push", "unheld")],
    ids=["SQL", "Lua"],
)
def test_all_are_read_when_the_first_is_needed(module, first, later, monkeypatch):
    source = module.source if module is statements else module._source
    source.cache_clear()
    source(first)
    monkeypatch.setattr(module, "files", lambda _: pytest.fail("it is read later"))
    assert source(later)
