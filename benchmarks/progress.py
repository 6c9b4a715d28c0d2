"""What a call of ``context.report_progress`` costs, and how many rows many calls leave."""

import sys

from kit import Row, ask, clear, main, row, show, workers

OPTIONS = [("--calls", 10_000, "calls of one task"), ("--rounds", 5, "rounds")]
EVENTS = "SELECT count(*) FROM butler.execution_events WHERE kind = 'progress'"
BUDGET_US = 5.0
BUDGET_ROWS = 100


def measure(servers, arguments):
    from bench_tasks import Reports, report_often

    costs, left = [], []
    with workers(processes=1):
        for number in range(1, arguments.rounds + 1):
            handle = report_often.enqueue(Reports(calls=arguments.calls))
            costs.append(handle.result(timeout_s=60).us_a_call)
            left.append(ask(servers, EVENTS)[0][0])
            clear(servers)
            show(f"round {number}: {costs[-1]:.2f} us a call, {left[-1]} rows")
    rows: list[Row] = [
        row(
            *("report_progress, a call", "us", [(cost, BUDGET_US) for cost in costs]),
            beside=f"the promised {BUDGET_US:g} us",
            at_most=1,
        ),
        row(
            *(f"rows of {arguments.calls:,} calls", "", [(each, BUDGET_ROWS) for each in left]),
            beside=f"the promised {BUDGET_ROWS}",
            at_most=1,
        ),
    ]
    return rows


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
