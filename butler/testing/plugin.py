"""The pytest plugin: the fixture ``butler``.

Without more it is an empty Butler in memory, to be given tasks: ``butler.register(send)``. With
``butler_app = "shop.main:butler"`` in pytest's settings it is the application's own, with its
ledger and queues in memory for the length of the test. A fixture ``butler`` of your own, in a
conftest or a module, comes before this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler import Butler


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know the setting ``butler_app``."""
    parser.addini(
        "butler_app", "The application's Butler, as module:name, for the fixture butler", default=""
    )


@pytest.fixture
def butler(request: pytest.FixtureRequest) -> Iterator[Butler]:
    """A Butler in memory: the application's own where ``butler_app`` is set, else an empty one."""
    from butler import Butler

    target = str(request.config.getini("butler_app"))
    if not target:
        with Butler.in_memory() as empty:
            yield empty
        return
    from butler.app_loading import load_app
    from butler.testing.memory import in_memory

    with in_memory(load_app(target, str(request.config.rootpath))) as own:
        yield own
