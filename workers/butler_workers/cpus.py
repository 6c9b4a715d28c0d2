"""How many CPUs this process may use: what its affinity and its cgroups allow.

A quota (``docker run --cpus``, Kubernetes' limits, systemd's ``CPUQuota=``) stands in the process's
own cgroup or in any above it, and the smallest one holds. Where these folders are depends on the
host: version 1 or 2, and whether a container sees the whole tree, only its part, or its part under
the name it has outside. So the kernel is asked: ``cgroup`` tells the paths, ``mountinfo`` where
each tree is mounted, and from which of its folders on.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc/self")


def available_cpus(proc: Path = PROC) -> int:
    """CPUs this process may use, a part of one counting as one; ``proc`` is its folder there."""
    cpus = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    return max(1, math.ceil(min(cpus, cgroup_cpus(proc))))


def cgroup_cpus(proc: Path = PROC) -> float:
    """The smallest quota of this process's cgroups, in CPUs; infinite without any."""
    try:
        paths = _own_paths(proc)
        mounts = list(_mounts(proc))
    except (OSError, ValueError):
        return math.inf
    quotas = [
        _quota(folder)
        for kind, root, mounted_at in mounts
        if kind in paths
        for folder in _upwards(paths[kind], root=root, mounted_at=mounted_at)
    ]
    return min(quotas, default=math.inf)


def _own_paths(proc: Path) -> dict[str, str]:
    """This process's path in the tree of version 2, and in that of version 1's CPU controller."""
    paths = {}
    for line in (proc / "cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            paths["cgroup2"] = path
        elif "cpu" in controllers.split(","):
            paths["cgroup"] = path
    return paths


def _mounts(proc: Path) -> Iterator[tuple[str, str, Path]]:
    """Kind, root and place of each mounted tree that may hold a quota (proc_pid_mountinfo(5))."""
    for line in (proc / "mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            root, mounted_at = mount.split(" ")[3:5]
            yield kind, root, Path(mounted_at)


def _upwards(path: str, *, root: str, mounted_at: Path) -> Iterator[Path]:
    """The folder of a cgroup and those above it, as far as they are visible here."""
    own = PurePosixPath(path)
    # A path that leads out of what is mounted: the nearest that can be seen is the mount itself.
    visible = own.is_relative_to(root) and ".." not in own.parts
    folder = mounted_at / own.relative_to(root) if visible else mounted_at
    yield folder
    while folder != mounted_at:
        folder = folder.parent
        yield folder


def _quota(folder: Path) -> float:
    """The CPUs a cgroup may use by itself, whatever those above it allow."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii").strip()
                for name in ("quota", "period")
            )
        # "max" in version 2, -1 in version 1.
        return int(quota) / int(period) if quota.isdigit() else math.inf
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
