"""Text from anywhere is made fit to be stored, and never refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from butler.codec import Codec
from butler.errors import InvalidRequest
from butler.text import clean_text, describe_error

if TYPE_CHECKING:
    from collections.abc import Callable

ANY_TEXT = st.text(alphabet=st.characters())


def storable(text: str) -> bool:
    text.encode()
    return "\0" not in text


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class WrongStr:
    def __str__(self) -> Any:
        return 5  # noqa: PLE0307  # the mistake that is tried here


class LyingStr(str):
    def __str__(self) -> str:
        return self

    def __len__(self) -> int:
        return 0


def caught(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as exc:
        return exc
    raise AssertionError("nothing was raised")


def test_clean_text_within_the_limit_is_left_alone() -> None:
    assert clean_text("größe 🎩\n\x1b", 20) == "größe 🎩\n\x1b"


def test_nul_and_lone_surrogates_are_replaced() -> None:
    assert clean_text("a\0b\ud800c\udfff", 100) == "a\ufffdb\ufffdc\ufffd"


def test_what_is_cut_is_counted_in_a_mark_that_fits_within_the_limit() -> None:
    assert clean_text("a" * 100, 50) == "a" * 27 + "… [cut: 73 characters]"


@given(ANY_TEXT, st.integers(min_value=-1, max_value=60))
def test_the_result_is_never_over_the_limit_and_always_storable(text: str, limit: int) -> None:
    cleaned = clean_text(text, limit)
    assert len(cleaned) <= max(limit, 0)
    assert storable(cleaned)


@given(st.text(alphabet="ab", min_size=40, max_size=300))
def test_the_mark_counts_exactly_what_is_missing(text: str) -> None:
    cleaned = clean_text(text, 39)
    kept, _, rest = cleaned.partition("… [cut: ")
    assert text.startswith(kept)
    assert len(kept) + int(rest.removesuffix(" characters]")) == len(text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (ValueError("x"), "x"),
        (Unprintable(), "<str() of this Unprintable failed: RuntimeError>"),
        (WrongStr(), "<str() of this WrongStr failed: TypeError>"),
        (LyingStr("a\0"), "a\ufffd"),
    ],
)
def test_what_is_no_text_is_turned_into_some(value: Any, expected: str) -> None:
    assert clean_text(value, 100) == expected


def test_an_error_is_described_by_its_qualified_type_message_and_traceback() -> None:
    error = describe_error(caught(lambda: int("x")))
    assert (error.type, error.message) == (
        "ValueError",
        "invalid literal for int() with base 10: 'x'",
    )
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert error.traceback.endswith("ValueError: invalid literal for int() with base 10: 'x'\n")
    assert describe_error(Unprintable()).type == f"{__name__}.Unprintable"


def test_an_error_whose_str_raises_is_described_all_the_same() -> None:
    error = describe_error(Unprintable())
    assert error.message == "<str() of this Unprintable failed: RuntimeError>"
    assert "Unprintable" in error.traceback


def test_causes_contexts_notes_and_groups_are_in_the_traceback() -> None:
    def fail() -> None:
        try:
            raise KeyError("inner")
        except KeyError as exc:
            error = ExceptionGroup("several", [ValueError("one"), OSError("two")])
            error.add_note("a note")
            raise error from exc

    traceback = describe_error(caught(fail)).traceback
    for part in ("KeyError: 'inner'", "direct cause", "ValueError: one", "OSError: two", "a note"):
        assert part in traceback


def test_text_in_an_error_is_cleaned() -> None:
    error = describe_error(ValueError("a\0\ud800"))
    assert error.message == "a\ufffd\ufffd"
    assert storable(json.dumps(error.to_json(), ensure_ascii=False))


def test_a_long_traceback_keeps_its_beginning_and_its_last_lines() -> None:
    error = describe_error(ValueError("x" * 100_000 + "END"), message_limit=50, traceback_limit=200)
    assert len(error.message) <= 50
    assert len(error.traceback) <= 200
    assert error.traceback.startswith("ValueError: xxx")
    assert "… [cut: " in error.traceback
    assert error.traceback.endswith("xEND\n")


@given(st.integers(min_value=0, max_value=300))
def test_no_traceback_is_over_its_limit(limit: int) -> None:
    error = describe_error(ValueError("\0" * 1000), traceback_limit=limit)
    assert len(error.traceback) <= limit


def test_a_deep_recursion_is_described_in_bounded_text() -> None:
    def deeper(n: int) -> int:
        return deeper(n + 1) if n % 2 else deeper(n - 1) + 1 if n < -1 else deeper(n + 3)

    error = describe_error(caught(lambda: deeper(1)))
    assert error.type == "RecursionError"
    assert error.traceback.count("\n") < 500


def run_in(module: str, function: Callable[[], object]) -> BaseException:
    """Call ``function`` from a frame that belongs to ``module``."""
    names: dict[str, Any] = {"__name__": module, "function": function}
    exec("def run():\n    function()", names)
    return caught(names["run"])


def users_task() -> None:
    run_in("butler.context", lambda: None)
    raise ValueError("mine")


def test_a_traceback_begins_at_the_task_and_not_in_butler() -> None:
    exc = run_in("butler_workers.slots", users_task)
    # The frame of caught() comes first here, where a worker has only its own.
    exc.__traceback__ = exc.__traceback__.tb_next
    traceback = describe_error(exc).traceback
    assert "users_task" in traceback
    assert ", in run\n" not in traceback


def test_frames_of_butler_below_the_tasks_own_stay() -> None:
    def task() -> None:
        raise run_in("butler.app", users_task)

    assert ", in run\n" in describe_error(caught(task)).traceback


def test_an_error_of_butler_itself_keeps_all_its_frames() -> None:
    names: dict[str, Any] = {"__name__": "butler_workers.slots"}
    exec("def run():\n    raise ValueError('ours')", names)
    exc = caught(names["run"])
    exc.__traceback__ = exc.__traceback__.tb_next
    assert ", in run\n" in describe_error(exc).traceback


def test_a_request_that_does_not_fit_is_described_with_its_field_errors() -> None:
    class Order(BaseModel):
        id: int

    exc = caught(lambda: Codec(Order, label="request").decode('{"id": "x"}'))
    assert isinstance(exc, InvalidRequest)
    error = describe_error(exc)
    assert error.type == "butler.errors.InvalidRequest"
    assert [entry["loc"] for entry in error.details] == [("id",)]
    assert json.loads(json.dumps(error.to_json()))["details"][0]["loc"] == ["id"]


def test_a_broken_chain_of_causes_does_not_break_the_description() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert describe_error(first).message == "1"
