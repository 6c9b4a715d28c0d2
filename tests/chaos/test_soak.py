"""The soak of ``make soak``, short: does it find nothing, and would it find something?"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


@pytest.mark.timeout(240)
def test_a_short_soak_with_kills_leaves_nothing_behind():
    command = [sys.executable, BENCHMARKS / "soak.py", "--seconds", "8", "--lease", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=230)
    assert done.returncode == 0, done.stderr[-6000:] + done.stdout[-1500:]
    outcome = json.loads(done.stdout)
    assert outcome["findings"] == []
    assert outcome["states"] == {"succeeded": outcome["executions"]}
    assert sum(outcome["kills"].values()) > 0


def test_a_soak_would_find_a_process_that_grows_and_not_one_that_is_young():
    from processes import Process
    from soak import growth, memory_findings

    def seen(pid, mib):
        return {pid: Process(pid=pid, parent=1, role="child", rss_mib=mib, cpu_s=0.0)}

    samples = [(at, seen(1, 60 + at) | seen(2, 60)) for at in range(0, 101, 5)]
    samples = [(at, seen_ | (seen(3, at) if at > 40 else {})) for at, seen_ in samples]
    grown = growth(samples, 100)
    assert {one["pid"]: round(one["grew_mib"]) for one in grown} == {1: 50, 2: 0}
    assert [finding[:26] for finding in memory_findings(grown, 100)] == [
        "child 1 grew by 50.0 MiB t"
    ]
