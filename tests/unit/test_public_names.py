"""What ``butler`` itself offers: every name resolves, and none hides a module."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import butler


@pytest.mark.parametrize("name", butler.__all__)
def test_a_public_name_resolves(name):
    assert getattr(butler, name) is not None
    assert name in dir(butler)


def test_no_public_name_is_a_modules_name_but_errors():
    # Otherwise ``import butler.task as m`` would give the function.
    modules = {module.name for module in pkgutil.iter_modules(butler.__path__)}
    assert modules & set(butler.__all__) == {"errors"}
    assert butler.errors is importlib.import_module("butler.errors")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'butler' has no attribute 'Butlre'"):
        butler.Butlre  # noqa: B018
