"""The pause of the garbage collector while very many objects are made."""

import gc

import pytest

from butler.uncollected import MANY, uncollected


@pytest.fixture(autouse=True)
def collector():
    yield
    gc.enable()


def test_many_are_made_without_a_collection_which_goes_on_after():
    with uncollected(MANY):
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_ends_the_pause():
    with pytest.raises(ValueError, match="spoilt"), uncollected(MANY):
        raise ValueError("spoilt")
    assert gc.isenabled()


def test_few_are_not_worth_it():
    with uncollected(MANY - 1):
        assert gc.isenabled()


def test_a_collector_that_is_switched_off_stays_so():
    gc.disable()
    with uncollected(MANY):
        pass
    assert not gc.isenabled()
