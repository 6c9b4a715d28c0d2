"""No server and no worker: pytest, and the fixture `butler` that comes with Butler."""

from collections.abc import Iterator

import pytest
from tasks import Order, OutOfStock, Shop, confirm, open_shop, place

from butler import Butler, ExecutionStatus
from butler.testing import assert_enqueued, assert_not_enqueued, make_context, run_pending

ORDER = Order(number=7, email="ann@example.com")


class FakeShop(Shop):
    def __init__(self, stock: int) -> None:
        self.stock = stock

    def reserve(self, number: int) -> bool:
        self.stock -= 1
        return self.stock >= 0


@pytest.fixture
def shop(butler: Butler) -> Iterator[FakeShop]:
    """A shop in the place of the real one, for every task of the test."""
    fake = FakeShop(stock=1)
    with butler.override(open_shop, fake):
        yield fake


def test_a_task_is_a_function(butler: Butler) -> None:
    context = make_context(butler)
    assert place(ORDER, context, shop=FakeShop(stock=1)) == 7
    assert_enqueued(confirm, request=ORDER, user_id="ann@example.com")


def test_an_order_is_placed_and_confirmed(butler: Butler, shop: FakeShop) -> None:
    handle = place.enqueue(ORDER)
    run_pending(butler)
    assert handle.result() == 7
    assert assert_enqueued(confirm).result == "confirmed 7 to ann@example.com"
    assert shop.stock == 0


def test_what_is_out_of_stock_is_tried_again_and_given_up(butler: Butler, shop: FakeShop) -> None:
    shop.stock = 0
    handle = place.enqueue(ORDER)
    run_pending(butler)
    assert handle.status is ExecutionStatus.RETRYING
    # The next attempts are minutes away: move the clock.
    run_pending(butler, fast_forward=True)
    assert handle.execution().attempts_used == 3
    assert_not_enqueued(confirm)


def test_the_error_is_the_tasks(butler: Butler) -> None:
    with pytest.raises(OutOfStock):
        place(ORDER, make_context(), shop=FakeShop(stock=0))


def test_it_also_runs_in_the_background(butler: Butler, shop: FakeShop) -> None:
    with butler.worker():
        assert place.enqueue(ORDER).result(timeout_s=10) == 7
