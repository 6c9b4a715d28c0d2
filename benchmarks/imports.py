"""What ``import butler`` takes, beside ``import pydantic``, each in interpreters of their own."""

import subprocess
import sys
import time

from kit import main, percentile, row, show

OPTIONS = [("--rounds", 15, "interpreters started for each, in turn")]


def seconds(statement):
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def measure(servers, arguments):
    took = {"pass": [], "import pydantic": [], "import butler": []}
    for _ in range(arguments.rounds):
        for statement, found in took.items():
            found.append(seconds(statement))
    # The quickest quarter: whatever else the machine did only ever added.
    start, pydantic, butler = (percentile(found, 0.25) * 1000 for found in took.values())
    show(f"python {start:.0f} ms, pydantic {pydantic:.0f} ms, butler {butler:.0f} ms")
    pairs = [(butler - start, pydantic - start)]
    return [row("import butler", "ms", pairs, beside="import pydantic", at_most=1.5)]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__, options=OPTIONS))
