from __future__ import annotations

import math
import random

import pytest

from butler.histograms import BUCKETS_PER_E, RELATIVE_ERROR, Histogram, bucket_of, seconds_of


def exact(durations, q):
    """The quantile by its definition: the smallest duration that a share of q does not exceed."""
    ordered = sorted(durations)
    return ordered[max(1, math.ceil(q * len(ordered))) - 1]


SHAPES = {
    "uniform": lambda r: r.uniform(0.001, 10),
    "log-normal": lambda r: r.lognormvariate(-5, 2),
    "exponential": lambda r: r.expovariate(20),
    "two humps": lambda r: r.gauss(0.002, 0.0001) if r.random() < 0.9 else r.gauss(30, 1),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_a_quantile_is_right_to_one_per_cent(shape, q):
    source = random.Random(7)
    durations = [max(1e-6, SHAPES[shape](source)) for _ in range(5_000)]
    assert Histogram.of(durations).quantile(q) == pytest.approx(
        exact(durations, q), rel=RELATIVE_ERROR + 1e-9
    )


def test_any_duration_is_within_one_per_cent_of_its_buckets_value():
    for power in range(-60, 160):
        duration_s = 10 ** (power / 20)
        value = seconds_of(bucket_of(duration_s * 1e6))
        assert value == pytest.approx(duration_s, rel=RELATIVE_ERROR + 1e-9)


def test_merging_is_counting_together():
    source = random.Random(1)
    durations = [source.expovariate(3) for _ in range(900)]
    merged = Histogram()
    for first in (600, 0, 300):
        merged.merge(Histogram.of(durations[first : first + 300]))
    assert merged == Histogram.of(durations)
    assert merged.total == 900


def test_what_the_ledger_keeps_is_unpacked():
    packed = [(3 << 40) + 7, (500 << 40) + 1_000_000]
    assert Histogram.unpacked(packed).counts == {3: 7, 500: 1_000_000}
    assert Histogram.unpacked(None).total == 0


def test_an_empty_histogram_has_no_quantile():
    assert Histogram().quantile(0.5) is None


def test_counts_below_bounds_only_grow():
    counts = Histogram.of([0.001, 0.02, 0.02, 5]).at_most([0.01, 0.1, 1, 10])
    assert counts == {0.01: 1, 0.1: 3, 1: 3, 10: 4}


def test_the_scale_is_that_of_one_per_cent():
    assert pytest.approx(1 / math.log(1.01 / 0.99), rel=1e-12) == BUCKETS_PER_E
