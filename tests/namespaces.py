"""Linux namespaces for tests: what a container's engine would use, without one."""

import os
import shutil
import subprocess
from pathlib import Path


def need_root_and(*programs):
    """Fail, saying what is missing: these tests are never skipped."""
    assert os.geteuid() == 0, "namespaces need root: run this test as root, as CI does"
    need_programs(*programs)


def need_programs(*programs):
    """Fail, saying which programs of the system are missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    assert missing == [], f"not installed: {', '.join(missing)} (see .ci/run for the packages)"


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
