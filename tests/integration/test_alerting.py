"""The bad day of benchmarks/bad_day.py, short: real servers, workers, a scheduler and a webhook."""

import sys
from pathlib import Path

from butler import Butler

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


def test_on_a_bad_day_five_troubles_are_told_once_and_no_other(
    redis_url, database_url, tmp_path, monkeypatch
):
    monkeypatch.setenv("BUTLER_REDIS_URL", redis_url)
    monkeypatch.setenv("BUTLER_DATABASE_URL", database_url)
    from bad_day import bad_day

    log = tmp_path / "log"
    with log.open("wb") as logs, Butler() as butler, bad_day(butler, quick=True, logs=logs) as day:
        try:
            day.prepare()
            day.run()
        except AssertionError as error:
            error.add_note(log.read_text()[-6_000:])
            raise
    assert day.findings() == []
