"""What limits cost those they are not for, in parts: see their modules."""

import sys

import limited
from kit import main

PARTS = {"limited": limited.measure}
OPTIONS = [
    ("--parts", ",".join(PARTS), "which of them"),
    ("--count", 20_000, "executions of a measurement of throughput"),
    ("--rounds", 5, "rounds of each measurement"),
]


def measure(servers, arguments):
    return [each for part in arguments.parts.split(",") for each in PARTS[part](servers, arguments)]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
