"""Servers on one host, a worker and a scheduler on each of two others; one of these is cut off."""

import os
import sys
import threading
from pathlib import Path

import psycopg
import pytest
from deployed import service_command
from fleet import TESTS, live_workers, wait_for
from fleet_app import Item
from hosts import Network, ServingHost

pytestmark = [pytest.mark.xdist_group("chaos"), pytest.mark.timeout(180)]

COUNT = 600
SECONDS = 0.05
# Short, so that the cut and what follows take seconds; two slots, so that work is left after it.
SETTINGS = {
    "BUTLER_APP": "fleet_app:butler",
    "BUTLER_PROCESSES": "1",
    "BUTLER_CONCURRENCY": "2",
    "BUTLER_LEASE_S": "3",
    "BUTLER_LEADER_LEASE_S": "2",
}


@pytest.fixture
def network():
    with Network(["host-a", "host-b", "host-c"]) as network:
        yield network


@pytest.fixture
def serving(network, tmp_path, servers_origin):
    with ServingHost(network.hosts["host-a"], tmp_path / "a", prefer=servers_origin) as serving:
        yield serving


@pytest.fixture
def own_services(serving):
    """What the ledger's fixtures build on: the servers of host a."""
    return serving.services


class Crew:
    """What compose.yaml runs of Butler, on one host."""

    def __init__(self, host, *, urls, folder):
        self._host = host
        self._folder = folder
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BUTLER_")}
        self._environment = {**kept, **SETTINGS, **urls, "PATH": path, "PYTHONPATH": str(TESTS)}
        self._processes = []

    def start(self, role):
        log = self._folder / f"{self._host.name}-{role}.log"
        command = service_command(role)
        # As the image and compose.yaml have it.
        port = {"worker": "9410", "scheduler": "9411"}[role]
        probes = {"BUTLER_HTTP_HOST": "0.0.0.0", "BUTLER_HTTP_PORT": port}
        environment = {**self._environment, **probes}
        process = self._host.start(command, environment=environment, log=log)
        self._processes.append(process)

    def has_failed(self):
        return any(process.poll() is not None for process in self._processes)

    def log(self, role):
        return (self._folder / f"{self._host.name}-{role}.log").read_text()

    def leads(self):
        return "butler_scheduler_leader 1" in self._host.get(9411, "/metrics").splitlines()

    def is_ready(self):
        return self._host.get(9410, "/readyz") == "ok\n"


@pytest.fixture
def crews(network, serving, ledger, tmp_path):
    hosts = [network.hosts[name] for name in ("host-b", "host-c")]
    yield [Crew(host, urls=serving.urls, folder=tmp_path) for host in hosts]
    # While the servers are there: without them a worker takes its time to give up its last words.
    for host in hosts:
        host.end()


class Crews:
    """Both of them, as `wait_for` asks a fleet."""

    def __init__(self, crews, folder):
        self._crews = crews
        self._folder = folder

    def has_failed(self):
        return any(crew.has_failed() for crew in self._crews)

    def logs(self):
        files = sorted(self._folder.glob("host-*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()[-1500:]}" for file in files)


class LeaderWatch(threading.Thread):
    """Counts how often it looked, and how often both schedulers said that they lead."""

    def __init__(self, one, other):
        super().__init__()
        self._one, self._other = one, other
        self._over = threading.Event()
        self.looks = 0
        self.two_led = 0

    def run(self):
        while not self._over.wait(0.1):
            # The first is asked again: it may have handed over between two questions.
            self.two_led += self._one.leads() and self._other.leads() and self._one.leads()
            self.looks += 1

    def end(self):
        self._over.set()
        self.join()


@pytest.fixture
def watch(crews):
    watch = LeaderWatch(*crews)
    watch.start()
    yield watch
    watch.end()


def succeeded_on(ledger, host):
    """How many executions have succeeded on that host."""
    query = (
        "SELECT count(*) FROM butler.executions e JOIN butler.workers w ON w.id = e.worker_id"
        " WHERE e.status = 'succeeded' AND w.name LIKE %s"
    )
    with psycopg.connect(ledger.database_url) as connection:
        return connection.execute(query, [f"{host}.%"]).fetchone()[0]


def workers_on(butler, host):
    """The workers on that host which the ledger believes alive."""
    return [worker for worker in live_workers(butler) if worker.name.startswith(f"{host}.")]


def test_a_host_that_is_cut_off_and_comes_back_loses_and_repeats_no_execution(
    butler, network, crews, watch, ledger, endings, tmp_path
):
    b, c = crews
    both = Crews(crews, tmp_path)
    b.start("scheduler")
    wait_for(b.leads, what="host b leads", fleet=both)
    c.start("scheduler")
    for crew in crews:
        crew.start("worker")
    wait_for(lambda: b.is_ready() and c.is_ready(), what="two workers", fleet=both)
    (before,) = workers_on(butler, "host-b")

    handles = butler.enqueue_many([("awork", Item(n=n, seconds=SECONDS)) for n in range(COUNT)])
    wait_for(lambda: succeeded_on(ledger, "host-b") > 20, what="work on host b", fleet=both)
    network.hosts["host-b"].pull_cable()
    wait_for(c.leads, timeout_s=20, what="host c leads", fleet=both)
    wait_for(lambda: not workers_on(butler, "host-b"), timeout_s=20, what="b is lost", fleet=both)
    assert not b.leads()
    assert not b.is_ready()
    network.hosts["host-b"].plug_in()

    wait_for(lambda: workers_on(butler, "host-b"), timeout_s=40, what="b is back", fleet=both)
    (after,) = workers_on(butler, "host-b")
    assert after.id != before.id
    wait_for(lambda: "worker.lost" in b.log("worker"), what="b knows that it was lost", fleet=both)
    for handle in handles:
        handle.result(timeout_s=40)
    assert endings() == {handle.id: 1 for handle in handles}
    wait_for(b.is_ready, what="host b is ready again", fleet=both)
    assert [b.leads(), c.leads()].count(True) == 1
    assert watch.looks > 20
    assert watch.two_led == 0
