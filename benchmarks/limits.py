"""What limits cost those they are not for, and fairness, in parts: see their modules."""

import sys

import fairness
import limited
from kit import main

PARTS = {"limited": limited.measure, "fairness": fairness.measure}
OPTIONS = [
    ("--parts", "limited", f"which of {', '.join(PARTS)}"),
    ("--waiting", 100_000, "executions of one tenant that wait before another's one"),
    ("--count", 20_000, "executions of a measurement of throughput"),
    ("--rounds", 5, "rounds of each measurement"),
]


def measure(servers, arguments):
    return [each for part in arguments.parts.split(",") for each in PARTS[part](servers, arguments)]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
