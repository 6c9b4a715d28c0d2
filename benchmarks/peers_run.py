"""The other systems, in an environment of their own, on the same servers as Butler.

The environment is made at first use, in ``.bench/peers`` beside this folder, from
``peers/requirements.txt``. A system that cannot be installed or does not run is said, not faked.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent / "peers"
PLACE = HERE.parents[1] / ".bench" / "peers"
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


def python():
    """The Python that has the other systems; makes their environment at first use."""
    given = os.environ.get("BENCH_PEERS_PYTHON")
    found = Path(given) if given else PLACE / "bin" / "python"
    if not given and not (PLACE / "installed").exists():
        print(f"installing the other systems into {PLACE}", file=sys.stderr)
        venv.create(PLACE, with_pip=True, clear=True)
        install = ["-m", "pip", "install", "-q", "--disable-pip-version-check"]
        done = subprocess.run([found, *install, "-r", HERE / "requirements.txt"], check=False)
        if done.returncode:
            raise PeerMissing("the other systems could not be installed (pip failed)")
        (PLACE / "installed").touch()
    return found


def versions():
    """What pip says is in the environment, by name in lower case."""
    try:
        command = [python(), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
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
            [python(), HERE / "run.py", system, *map(str, numbers)],
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
