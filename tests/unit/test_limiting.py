"""How limits are written."""

from __future__ import annotations

import pytest

from butler.errors import InvalidOption
from butler.limiting import LimitRule, make_rule, parse_rate
from butler.options import TaskOptions


def test_rates_are_read_as_people_write_them():
    assert parse_rate("100/minute").interval_s == 0.6
    assert parse_rate("10 / 5 seconds").interval_s == 0.5
    assert (parse_rate("1000/second").burst, parse_rate("1/day", 4).burst) == (100, 4)


@pytest.mark.parametrize("text", ["", "fast", "0/minute", "10/fortnight", "1/0 seconds", 10])
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(InvalidOption, match=r"rate must .*"):
        parse_rate(text)


def test_a_rule_survives_the_ledger_and_the_last_to_speak_has_it():
    rule = make_rule(max_concurrency=3, rate="5/second", rate_burst=2)
    assert LimitRule.from_json(rule.to_json()) == rule
    lifted = LimitRule.from_json(rule.to_json(), LimitRule().to_json())
    assert lifted.says_nothing


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"concurrency_key": "a"}, "concurrency_key needs max_concurrency"),
        ({"rate_key": "a"}, "rate_key needs rate"),
        ({"rate_burst": 2}, "rate_burst needs a rate"),
        ({"max_concurrency": 0}, "max_concurrency must be an int"),
        ({"max_concurrency": 1, "concurrency_key": "queue:a"}, "must not begin with"),
    ],
)
def test_options_that_say_nothing_together_are_refused(options, words):
    with pytest.raises(InvalidOption, match=words):
        TaskOptions(name="a", **options)


def test_a_rule_says_what_it_allows_in_a_few_words():
    assert str(make_rule()) == "anything"
    assert str(make_rule(max_concurrency=2, rate="100/minute")) == "2 at once, 100/minute"
    assert str(make_rule(rate="1/day", rate_burst=5)) == "1/day, 5 together"
