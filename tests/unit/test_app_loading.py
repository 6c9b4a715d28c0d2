"""``--app``: what is said to somebody who named it wrong."""

from __future__ import annotations

import sys

import pytest

from butler.app_loading import load_app
from butler.errors import AppNotFound


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_of_app_loading.py").write_text(
        "from butler import Butler\nbutler = Butler()\nclass Order: ...\n"
    )
    yield str(tmp_path)
    sys.modules.pop("shop_of_app_loading", None)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("shop_of_app_loading.py", "wants a module, not a file: shop_of_app_loading$"),
        (
            "shop_of_app_loading.py:butler",
            "not a file: shop_of_app_loading:butler$",
        ),
        ("shop_of_app_loading:Order", "is a class, expected a Butler or a function"),
        ("shop_of_app_loading:buttler", 'did you mean "butler"'),
        ("shop_of_app_loadin:butler", "run it from your project's folder or pass --app-dir"),
    ],
)
def test_a_wrong_app_is_told_what_is_wrong_with_it(folder, target, said):
    with pytest.raises(AppNotFound, match=said):
        load_app(target, folder)
