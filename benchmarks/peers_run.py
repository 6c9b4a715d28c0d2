"""The other systems, in an environment of their own, on the same servers as Butler.

The environment is made at first use, in ``.bench/peers`` beside this folder, from
``peers/requirements.txt``. Those that want a newer Python than this one have another beside it,
made with ``BENCH_NEWER_PYTHON`` or the first ``python3.12`` or newer on the path. A system that
cannot be installed or does not run is said, not faked.
"""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent / "peers"
PLACE = HERE.parents[1] / ".bench" / "peers"
NEWER_PLACE = PLACE.with_name("peers-newer")
# By name: what it is imported as.
WANT_NEWER = {"Oban": "oban"}
NEWER = (3, 12)
# How many jobs take some three seconds.
COUNTS = {
    "RQ forking": 200,
    "RQ SimpleWorker": 1_000,
    "Procrastinate": 600,
    "Celery": 1_200,
    "streaQ": 2_000,
    "Taskiq": 2_500,
    "Dramatiq": 5_000,
    "Huey": 6_000,
    "Oban": 6_000,
    "PgQueuer": 20_000,
}


class PeerMissing(Exception):
    """A system is not here, or did not run; says why."""


@cache
def python(system=""):
    """The Python that has the other systems, or this one; makes its environment at first use."""
    given = os.environ.get("BENCH_PEERS_PYTHON")
    found = Path(given) if given else _environment(PLACE, sys.executable, "requirements.txt")
    module = WANT_NEWER.get(system)
    if module is None or _runs(found, f"import {module}"):
        return found
    return _environment(NEWER_PLACE, _newer_python(system), "requirements-newer.txt")


def _environment(place, base, requirements):
    found = place / "bin" / "python"
    if not (place / "installed").exists():
        print(f"installing other systems into {place}", file=sys.stderr)
        install = ["-m", "pip", "install", "-q", "--disable-pip-version-check"]
        for command in (
            [base, "-m", "venv", "--clear", place],
            [found, *install, "-r", HERE / requirements],
        ):
            if subprocess.run(command, check=False).returncode:
                raise PeerMissing(f"the systems of {requirements} could not be installed")
        (place / "installed").touch()
    return found


def _newer_python(system):
    names = [os.environ.get("BENCH_NEWER_PYTHON"), *(f"python3.{n}" for n in range(NEWER[1], 20))]
    for name in filter(None, names):
        found = shutil.which(name)
        if found and _runs(found, f"import sys; assert sys.version_info >= {NEWER}"):
            return found
    wanted = ".".join(map(str, NEWER))
    raise PeerMissing(
        f"{system} wants Python {wanted} or newer: none is on the path, and BENCH_NEWER_PYTHON "
        "names none"
    )


def _runs(python, code):
    return not subprocess.run([python, "-c", code], check=False, capture_output=True).returncode


def versions():
    """What pip says is in the environments, by name in lower case."""
    newer = {}
    for system, module in WANT_NEWER.items():
        found = _versions(system)
        newer |= {module: found[module]} if module in found else {}
    return newer | _versions("")


def _versions(system):
    try:
        command = [python(system), "-m", "pip", "list", "--format=json"]
        command.append("--disable-pip-version-check")
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    except (PeerMissing, subprocess.CalledProcessError):
        return {}
    return {each["name"].lower(): each["version"] for each in found}


def measure(system, *, servers, one_by_one=0, latencies=0):
    """Rates a second and latencies in ms of one system; raises `PeerMissing`."""
    return _run(system, servers, COUNTS[system], one_by_one, latencies)


def enqueue(system, *, servers, count, one_by_one):
    """The rates a second of its enqueues alone; raises `PeerMissing`."""
    return _run(system, servers, count, one_by_one, -1)


def _run(system, servers, *numbers):
    environment = {
        **os.environ,
        "BENCH_REDIS": servers.redis_url,
        "BENCH_PG": servers.peer_url,
        "BENCH_ENDS": str(servers.folder / "peer_ends"),
    }
    try:
        done = subprocess.run(
            [python(system), HERE / "run.py", system, *map(str, numbers)],
            cwd=HERE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"{system} took longer than {error.timeout} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise PeerMissing(f"{system} did not run: {said[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
