"""All measurements on the same servers, in one run: a table, a JSON file, a picture, a page.

``run.py [NAME...]`` runs some of them. With ``--write`` the results go into ``docs/`` as
``benchmarks.json``, ``images/benchmarks.svg`` and ``benchmarks.md``; without, only the table is
printed. ``--all-peers`` adds to `throughput` the
systems that no budget names. The long history (`history`, ten
million rows, some ten minutes and 8 GB) runs only where it is named.
"""

import argparse
import importlib
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import peers_run
import report
from kit import machine, print_rows, servers, show

NAMES = ["throughput", "enqueue", "latency", "io_bound", "progress", "idle", "imports", "limits"]
ON_DEMAND = ["history"]
DOCS = Path(__file__).resolve().parents[1] / "docs"


def defaults(module, given):
    """The options of one measurement: its own defaults, and what this run was told."""
    found = {flag.removeprefix("--").replace("-", "_"): value for flag, value, _ in module.OPTIONS}
    return argparse.Namespace(**found | {key: v for key, v in given.items() if key in found})


def measured(names, given, where, *, all_peers):
    """Rows by measurement."""
    found = {}
    for name in names:
        module = importlib.import_module(name)
        show(f"── {name}: {module.__doc__.splitlines()[0]}")
        options = defaults(module, given)
        if all_peers and name == "throughput":
            options.beside = ",".join(peers_run.COUNTS)
        found[name] = module.measure(where, options)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES + ON_DEMAND))
    parser.add_argument("--rounds", type=int, help="rounds of each measurement")
    parser.add_argument("--all-peers", action="store_true", help="beside all ten systems")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.*")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {*NAMES, *ON_DEMAND}
    if unknown:
        parser.error(f"no measurement named {', '.join(sorted(unknown))}")

    given = {} if arguments.rounds is None else {"rounds": arguments.rounds}
    with servers() as where:
        found = measured(arguments.names or NAMES, given, where, all_peers=arguments.all_peers)
        result = {
            "at": time.strftime("%Y-%m-%d"),
            "machine": machine(where),
            "peers": peers_run.versions(),
            "rows": {
                name: [asdict(each) | {"met": each.met, "asked": each.asked} for each in rows]
                for name, rows in found.items()
            },
        }
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        print_rows([each for rows in found.values() for each in rows])
    if arguments.write:
        report.write(result, DOCS)


if __name__ == "__main__":
    sys.exit(main())
