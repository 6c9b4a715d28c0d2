"""The processes of a benchmark and what they cost, read from /proc (Linux)."""

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ROLES = {
    "butler_workers.child": "child",
    "butler_workers.isolated": "isolated",
    "butler_workers": "worker",
    "butler_scheduler": "scheduler",
}


@dataclass(frozen=True)
class Process:
    """One living process; ``role`` is worker, child, isolated or scheduler."""

    pid: int
    parent: int
    role: str
    rss_mib: float
    cpu_s: float


def living(mark):
    """Our processes, by pid, that were started with this text in their environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (process := _read(entry, mark.encode())):
            found[process.pid] = process
    return found


def below(processes, pid):
    """The pids of a process and all it has started."""
    family = {pid}
    while more := {p.pid for p in processes.values() if p.parent in family} - family:
        family |= more
    return family


def _read(folder, mark):
    try:
        if mark not in (folder / "environ").read_bytes():
            return None
        words = (folder / "cmdline").read_bytes().decode().split("\0")
        # After the name in brackets, which may have spaces: state, parent …
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        pages = int((folder / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    role = next((ROLES[word] for word in words if word in ROLES), None)
    if role is None or fields[0] == "Z":
        return None
    return Process(
        pid=int(folder.name),
        parent=int(fields[1]),
        role=role,
        rss_mib=pages * PAGE_BYTES / MIB,
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
    )
