"""Options of a task and of one enqueue: what is taken, what is refused and how it is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from butler.errors import DefinitionError, InvalidOption
from butler.executions import Priority
from butler.option_texts import MAX_TAGS, merge_tags
from butler.options import check_enqueue_options, task_options
from butler.retries import RetryPolicy

NOW = datetime(2030, 1, 1, tzinfo=UTC)
BAD_TEXTS = ["", "a\0b", "a\ud800b", 5, "x" * 1_000]


def test_a_task_has_sensible_options_by_default():
    options = task_options({"name": "send"}, where="task")
    assert options.queue == "default"
    assert options.priority is Priority.NORMAL
    assert options.timeout_s == 300
    assert options.retry == RetryPolicy()
    assert options.unique_key is None
    assert options.tags == options.aliases == ()


def test_no_timeout_is_written_as_none():
    assert task_options({"name": "send", "timeout_s": None}, where="task").timeout_s is None


def test_none_stands_for_the_default_of_every_other_task_option():
    options = task_options({"name": "send", "queue": None, "tags": None, "retry": None}, where="")
    assert options == task_options({"name": "send"}, where="")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout_s": -1}, "task: timeout_s must be > 0, got -1"),
        ({"timeout_s": 0}, "timeout_s must be > 0, got 0"),
        ({"timeout_s": True}, "timeout_s must be seconds"),
        ({"timeout_s": float("nan")}, "timeout_s must be a finite number"),
        ({"priority": "urgent"}, "priority must be 'high', 'normal' or 'low', got 'urgent'"),
        ({"queue": "a.b"}, "queue must be 1 to 100 letters"),
        ({"queue": "a:b"}, "queue must be 1 to 100 letters"),
        ({"retry": 3}, "retry must be a RetryPolicy, got 3"),
        ({"isolation": "fork"}, "isolation must be 'async', 'thread' or 'process', got 'fork'"),
        ({"tags": "mail"}, "tags must be a list or tuple of str, got 'mail'"),
        ({"tags": 5}, "tags must be a list or tuple of str, got 5"),
        ({"tags": [str(n) for n in range(MAX_TAGS + 1)]}, "tags must be at most 50, got 51"),
        ({"unique_key": ""}, "unique_key must have 1 to 500 characters, got an empty one"),
        ({"timeout": 5}, "no option 'timeout'; did you mean \"timeout_s\"?"),
        ({"tag": ["x"]}, "no option 'tag'; did you mean \"tags\"?"),
        ({"max_atempts": 5}, "write retry=RetryPolicy(max_attempts=...)"),
        ({"delay_s": 5}, "write delay_s=... where the task is enqueued"),
    ],
)
def test_a_task_option_that_cannot_work_fails_at_definition(given, message):
    with pytest.raises(DefinitionError) as caught:
        task_options({"name": "send", **given}, where="task")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", BAD_TEXTS)
@pytest.mark.parametrize("option", ["name", "tags", "unique_key", "aliases"])
def test_text_of_a_task_option_that_no_ledger_can_hold_is_refused(option, text):
    value = [text] if option in ("tags", "aliases") else text
    with pytest.raises(DefinitionError):
        task_options({"name": "send", option: value}, where="task")


@pytest.mark.parametrize("text", BAD_TEXTS)
@pytest.mark.parametrize("option", ["tags", "unique_key", "user_id", "queue"])
def test_text_of_an_enqueue_option_that_no_ledger_can_hold_is_refused(option, text):
    with pytest.raises(InvalidOption, match=option):
        check_enqueue_options({option: [text] if option == "tags" else text})


def test_enqueue_options_are_given_back_in_their_inner_form():
    noon = datetime(2030, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    checked = check_enqueue_options(
        {"run_at": noon, "priority": "high", "tags": ["a", "a", "b"], "max_attempts": 1}
    )
    assert checked == {
        "run_at": datetime(2030, 1, 1, 10, tzinfo=UTC),
        "priority": Priority.HIGH,
        "tags": ("a", "b"),
        "max_attempts": 1,
    }


def test_durations_are_seconds_or_timedeltas():
    checked = check_enqueue_options({"delay_s": timedelta(minutes=1), "timeout_s": 2})
    assert checked == {"delay_s": 60.0, "timeout_s": 2.0}


def test_an_enqueue_option_that_is_none_is_left_to_the_task():
    given = {"delay_s": None, "run_at": None, "queue": None, "timeout_s": None, "tags": None}
    assert check_enqueue_options(given) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout_s": -1}, "timeout_s must be > 0, got -1"),
        ({"delay_s": -1}, "delay_s must be >= 0, got -1"),
        ({"delay_s": 1e12}, "delay_s must be <= 315360000"),
        ({"run_at": NOW.replace(tzinfo=None)}, "run_at must carry a time zone"),
        ({"run_at": "now"}, "run_at must be a datetime, got 'now'"),
        (
            {"run_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))},
            "run_at must be in years 1..9999",
        ),
        (
            {"delay_s": 1, "run_at": datetime(2030, 1, 1, tzinfo=UTC)},
            "delay_s and run_at exclude each other",
        ),
        ({"max_attempts": 0}, "max_attempts must be an int in 1..1000000, got 0"),
        ({"max_attempts": True}, "max_attempts must be an int in 1..1000000, got True"),
        ({"max_attempts": 1.5}, "max_attempts must be an int"),
        ({"delay": 1}, "no option 'delay'; did you mean \"delay_s\"?"),
        ({"retry": RetryPolicy()}, "write max_attempts=..."),
        ({"eta": 1}, "write run_at=... where the task is enqueued"),
    ],
)
def test_an_enqueue_option_out_of_range_is_refused(given, message):
    with pytest.raises(InvalidOption) as caught:
        check_enqueue_options(given)
    assert message in str(caught.value)


def test_tags_of_task_and_enqueue_are_merged_in_order_each_once():
    assert merge_tags(("a", "b"), ("b", "c")) == ("a", "b", "c")


def test_too_many_tags_together_are_refused():
    tags = tuple(str(n) for n in range(MAX_TAGS))
    with pytest.raises(InvalidOption, match="at most 50, got 51"):
        merge_tags(tags, ("one more",))


def test_options_that_other_processes_need_are_json():
    options = task_options(
        {"name": "send", "unique_key": lambda _: "x", "aliases": ["s"]}, where=""
    )
    assert options.to_json() == {
        "queue": "default",
        "priority": "normal",
        "max_attempts": 3,
        "timeout_s": 300.0,
        "isolation": "thread",
        "memory_limit_mb": None,
        "unique_key": None,
        "unique_key_is_computed": True,
        "concurrency_key": None,
        "rate_key": None,
        "fair_by": None,
        "retention_days": None,
        "limit": None,
        "aliases": ["s"],
    }
