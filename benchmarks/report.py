"""``docs/benchmarks.json``, ``.md`` and ``images/benchmarks.svg`` from the results of `run.py`.

Results of measurements that a run did not make are kept from the file, with their own date and
machine: the long history is not measured every time.
"""

import json
import sys
from html import escape
from pathlib import Path

from kit import number
from peers_run import COUNTS

HEAD = """\
# Benchmarks

What Butler costs beside what one would use instead, and beside the bare servers. `make bench`
measures it on your machine and prints this table; `make bench ARGS="--write"` writes this page. How
the time is spent, and how to spend less, is in [performance.md](performance.md).

Every figure is a **ratio of two things measured in the same minute on the same servers**. The
absolute numbers beside it say what the ratio is made of; an hour later on the same machine they
differ by a factor of two. Ratios hold better, and not quite: Butler keeps every core busy, so that
what else the machine does costs it more than a system that mostly waits. Trust your own run.

![No-op jobs a second, by system, as multiples of RQ's SimpleWorker](images/benchmarks.svg)
"""
TAIL = """\
## How it is measured

- Two worker processes for every system, a task that does nothing but append 16 bytes to a file,
  results on where there are any; what else each is told stands in
  [`benchmarks/peers`](../benchmarks/peers/systems.py).
- Butler's jobs count when their end is durable in PostgreSQL (fsync on). The others' count when the
  task ran, which is before they have written anything about it.
- Rounds are taken in turn, Butler and then each other system; a ratio is the median of theirs, with
  the lowest and the highest beside it. Where these are far apart the machine had other work, and
  the median of a few rounds says little.
- The other systems are installed from PyPI into an environment of their own at the first run. One
  that cannot be installed or does not run is left out, and the run says so.
- Latency is from before the enqueue call until the task's first line. "The bare round trips" are
  one durable INSERT, one push to a waiting process and one claim, timed alone and added.

Each measurement is one script in [`benchmarks/`](../benchmarks/README.md) and takes `--json`.
"""


def write(result, docs):
    path = Path(docs, "benchmarks.json")
    kept = json.loads(path.read_text()) if path.exists() else {}
    for name, rows in result["rows"].items():
        kept[name] = {key: result[key] for key in ("at", "machine", "peers")} | {"rows": rows}
    path.write_text(json.dumps(kept, indent=2) + "\n")
    write_from(kept, docs)


def write_from(kept, docs):
    parts = [HEAD]
    for told in settings(kept):
        parts.append(table([(n, each) for n, each in kept.items() if setting(each) == told]))
        parts.append(told + "\n")
    parts += left_out(kept.get("throughput"))
    Path(docs, "benchmarks.md").write_text("\n".join([*parts, TAIL]))
    if "throughput" in kept:
        Path(docs, "images", "benchmarks.svg").write_text(picture(kept["throughput"]["rows"]))


def left_out(throughput):
    """The systems that were not there, or did not run."""
    if throughput is None:
        return []
    there = {row["beside"] for row in throughput["rows"]}
    missing = [name for name in COUNTS if name not in there]
    if not missing:
        return []
    return [f"Not measured, because it was not there or did not run: {', '.join(missing)}.\n"]


def settings(kept):
    return list(dict.fromkeys(setting(each) for each in kept.values()))


def setting(measured):
    machine = measured["machine"]
    return (
        f"Measured on {measured['at']}: {machine['cores']} cores ({machine['cpu']}) for servers, "
        f"producer and workers together, Python {machine['python']}, PostgreSQL "
        f"{machine['postgresql']} with fsync on, {machine['redis']}, rq {machine['rq']}"
        f"{peers(measured)}."
    )


def peers(measured):
    names = ["celery", "dramatiq", "huey", "oban", "pgqueuer", "procrastinate", "streaq", "taskiq"]
    found = [f"{name} {measured['peers'][name]}" for name in names if name in measured["peers"]]
    return ", " + ", ".join(found) if found else ""


def table(measured):
    lines = ["| | ratio | asked | Butler | beside |", "| --- | --- | --- | --- | --- |"]
    for _, each in measured:
        for row in each["rows"]:
            mark = {True: "", False: " ✗", None: ""}[row["met"]]
            ours, theirs = number(row["ours"]), number(row["theirs"])
            lines.append(
                f"| {row['what']} | **{row['ratio']:,.2f}**{mark}{spread(row)} | {row['asked']} "
                f"| {ours} {row['unit']} | {row['beside']}: {theirs} |"
            )
    return "\n".join(lines) + "\n"


def spread(row):
    """The lowest and the highest ratio, where there were several rounds."""
    if row.get("lowest") is None:
        return ""
    return f" ({row['lowest']:,.2f} to {row['highest']:,.2f})"


def picture(rows):
    """Bars of each system's rate as a multiple of RQ SimpleWorker's, slowest first."""
    rates = {row["beside"]: row["theirs"] for row in rows}
    base = rates.get("RQ SimpleWorker") or min(rates.values())
    # By ratios, not rates: each was taken beside Butler's rate of its own round.
    ours = next((r["ratio"] for r in rows if r["beside"] == "RQ SimpleWorker"), None)
    ours = ours or max(row["ours"] for row in rows) / base
    bars = sorted((ours / row["ratio"], row["beside"]) for row in rows)
    bars.append((ours, "Butler"))
    longest = max(value for value, _ in bars)
    height = 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{height * len(bars) + 44}" '
        'font-family="system-ui, sans-serif" font-size="14">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<text x="12" y="22" font-weight="600" fill="#1a1a1a">No-op jobs a second, two worker '
        "processes (RQ SimpleWorker = 1)</text>",
    ]
    for n, (value, name) in enumerate(bars):
        y, width = 34 + n * height, max(2, 480 * value / longest)
        colour = "#0f766e" if name == "Butler" else "#a8b3bd"
        parts.append(
            f'<text x="150" y="{y + 16}" text-anchor="end" fill="#1a1a1a">{escape(name)}</text>'
            f'<rect x="160" y="{y + 3}" width="{width:.0f}" height="18" rx="2" fill="{colour}"/>'
            f'<text x="{168 + width:.0f}" y="{y + 17}" fill="#1a1a1a">{value:.1f}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    here = Path(__file__).resolve().parents[1] / "docs"
    sys.exit(write_from(json.loads((here / "benchmarks.json").read_text()), here))
