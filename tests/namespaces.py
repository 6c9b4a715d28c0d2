"""Linux namespaces for tests: what a container's engine would use, without one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def need_root_and(*programs):
    """Skip for whoever may not make namespaces; CI is root, and fails on a skip."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root: CI runs this test")
    need_programs(*programs)


def need_programs(*programs):
    """Skip where programs of the system are missing; CI installs them, and fails on a skip."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (see .ci/run for the packages)")


def popen_as_pid_one(command, **options):
    """Start a command as the first process of a PID namespace; it dies with us, at the latest."""
    need_root_and("unshare")
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    return subprocess.Popen([*unshare, *command], stdin=subprocess.DEVNULL, **options)


def children_of(pid):
    """The process ids of a process's children, as they are called out here."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in children.split()]


def is_zombie(pid):
    """Whether a process has ended and nobody has waited for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False
