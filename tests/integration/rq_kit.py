"""RQ's own commands as processes, beside a fleet of Butler's."""

import os
import subprocess
import sys

import pytest
import redis
from fleet import TESTS, Fleet, wait_for

from butler import Butler
from butler.executions import ExecutionStatus


class RqFleet(Fleet):
    """A fleet that also starts ``rq worker`` and runs ``rq`` commands."""

    def __init__(self, *, redis_url, **settings):
        super().__init__(redis_url=redis_url, app="rq_app:butler", **settings)
        self.redis_url = redis_url
        self.environment["BUTLER_APP"] = "rq_app:butler"

    def start_rq_worker(self, *options, queues=("default",)):
        command = ["rq.cli", "worker", "--url", self.redis_url, *options, *queues]
        return self._start("rq-worker", command)

    def run_rq_worker(self, *options, queues=("default",)):
        """In burst mode, to its end."""
        process = self.start_rq_worker("--burst", *options, queues=queues)
        assert process.wait(60) == 0, self.logs()

    def rq(self, command, *arguments):
        """What an ``rq`` command prints."""
        done = subprocess.run(
            [sys.executable, "-m", "rq.cli", command, "--url", self.redis_url, *arguments],
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def client(redis_url):
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def butler(redis_url, database_url):
    from rq_app import tasks

    with Butler(redis_url, database_url) as butler:
        for task in tasks:
            butler.register(task)
        yield butler


@pytest.fixture
def fleet(redis_url, database_url, tmp_path):
    fleet = RqFleet(redis_url=redis_url, database_url=database_url, folder=tmp_path)
    yield fleet
    fleet.end()


def status_of(handle):
    return handle.execution().status


def wait_until_running(handle, fleet):
    wait_for(lambda: status_of(handle) is ExecutionStatus.RUNNING, what="it runs", fleet=fleet)


def wait_for_status(job, status, fleet):
    wait_for(
        lambda: job.get_status(refresh=True) == status,
        what=f"{status}, is {job.get_status(refresh=True)}",
        fleet=fleet,
    )
