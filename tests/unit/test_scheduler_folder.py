from __future__ import annotations

import pytest
from butler_scheduler.folder import FOLD_EVERY_S, PRUNE_EVERY_S, Folder
from scheduler_kit import Bench


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def folder(bench):
    return Folder(bench.ledger, leader=bench.leader, batch=2, clock=bench.clock)


def test_it_folds_until_nothing_is_left_and_then_rests(bench, folder, monkeypatch):
    folded = [2, 2, 1]
    monkeypatch.setattr(bench.ledger.memory, "fold_stats", lambda **_: folded.pop(0))
    bench.ledger.answer_s = 0.25
    pauses = [bench.tick(folder) for _ in range(3)]
    assert pauses == [pytest.approx(0.75), pytest.approx(0.25), FOLD_EVERY_S]


def test_it_prunes_once_a_minute_and_sooner_while_there_is_more(bench, folder, monkeypatch):
    removed = [2, 0, 0]
    monkeypatch.setattr(bench.ledger.memory, "prune_stats", lambda **_: removed.pop(0))
    bench.tick(folder)
    bench.clock.advance(FOLD_EVERY_S)
    bench.tick(folder)
    assert removed == [0]
    bench.clock.advance(PRUNE_EVERY_S - 1)
    bench.tick(folder)
    assert removed == [0]
    bench.clock.advance(1)
    bench.tick(folder)
    assert removed == []


def test_it_packs_once_a_minute_and_sooner_while_there_is_more(bench, folder, monkeypatch):
    packed = [20, 1, 0, 0]
    monkeypatch.setattr(bench.ledger.memory, "pack_stats", lambda **_: packed.pop(0))
    for _ in range(3):
        bench.tick(folder)
        bench.clock.advance(FOLD_EVERY_S)
    assert packed == [0]
    bench.clock.advance(PRUNE_EVERY_S - FOLD_EVERY_S)
    bench.tick(folder)
    assert packed == []


def test_a_standby_folds_nothing():
    bench = Bench(leading=False)
    folder = Folder(bench.ledger, leader=bench.leader, clock=bench.clock)
    assert bench.tick(folder) == FOLD_EVERY_S
    assert "fold_stats" not in bench.ledger.calls
