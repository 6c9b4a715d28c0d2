"""What an idle worker process takes: resident memory and processor time."""

import os
import sys
import time
from pathlib import Path

from kit import Row, main, row, show, workers

OPTIONS = [("--seconds", 10, "how long the processor's time is counted")]
BUDGET_MIB = 70.0
BUDGET_CPU = 0.01
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def children(pid):
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_mib(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 2**20


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(servers, arguments):
    with workers(processes=2) as supervisor:
        time.sleep(3)
        pids = children(supervisor.pid)
        before = sum(cpu_s(pid) for pid in pids)
        time.sleep(arguments.seconds)
        share = (sum(cpu_s(pid) for pid in pids) - before) / arguments.seconds / len(pids)
        memory = max(resident_mib(pid) for pid in pids)
        beside = resident_mib(supervisor.pid)
    show(f"{memory:.1f} MiB, {share:.2%} of a core; their supervisor {beside:.1f} MiB")
    rows: list[Row] = [
        row(
            *("idle worker, memory", "MiB", [(memory, BUDGET_MIB)]),
            beside=f"the promised {BUDGET_MIB:g} MiB",
            at_most=1,
        ),
        row(
            *("idle worker, processor", "%", [(share * 100, BUDGET_CPU * 100)]),
            beside="the promised 1 %",
            at_most=1,
        ),
    ]
    return rows


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
