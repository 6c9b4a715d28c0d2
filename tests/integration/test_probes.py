"""``--http-port`` of the real commands, and ``butler probe``."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from fleet import live_workers, wait_for
from fleet_app import Item


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def metric(port, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", get(port, "metrics")[1], re.MULTILINE)
    return float(found.group(1)) if found else None


def probe(*arguments):
    command = [sys.executable, "-m", "butler", "probe", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_worker_is_ready_when_a_child_serves_and_counts_what_it_ran(butler, fleet, port):
    fleet.start_worker("--http-port", str(port), processes=2, concurrency=4)
    wait_for(lambda: get(port, "readyz")[0] == 200, what="ready", fleet=fleet)
    assert get(port, "livez") == (200, "ok\n")
    for handle in butler.enqueue_many([("work", Item(n=n)) for n in range(30)]):
        handle.result(timeout_s=20)
    total = 'butler_worker_attempts_total{outcome="succeeded"}'
    wait_for(lambda: metric(port, total) == 30, what="30 counted", fleet=fleet)
    assert metric(port, "butler_worker_slots") == 8


def test_counts_survive_the_death_of_a_child(butler, fleet, port):
    fleet.start_worker("--http-port", str(port))
    wait_for(lambda: live_workers(butler), what="a worker", fleet=fleet)
    butler.enqueue("work", Item()).result(timeout_s=20)
    total = 'butler_worker_attempts_total{outcome="succeeded"}'
    wait_for(lambda: metric(port, total) == 1, what="counted", fleet=fleet)
    os.kill(live_workers(butler)[0].pid, signal.SIGKILL)
    wait_for(
        lambda: metric(port, "butler_worker_processes_ended_total") == 1, what="seen", fleet=fleet
    )
    assert metric(port, total) == 1


def test_an_outage_of_postgres_ends_readiness_never_liveness_and_holds_up_no_stop(
    own_services, tmp_path, port
):
    from fleet import Fleet

    from butler.storage.migrate import migrate

    migrate(own_services.database_url)
    fleet = Fleet(
        redis_url=own_services.redis_url, database_url=own_services.database_url, folder=tmp_path
    )
    fleet.environment |= {"BUTLER_LEASE_S": "3", "BUTLER_HEARTBEAT_S": "1"}
    try:
        worker = fleet.start_worker("--http-port", str(port))
        wait_for(lambda: get(port, "readyz")[0] == 200, what="ready", fleet=fleet)
        own_services.postgres.kill()
        wait_for(lambda: get(port, "readyz")[0] == 503, what="not ready", fleet=fleet)
        assert "the ledger has not acknowledged a heartbeat" in get(port, "readyz")[1]
        assert get(port, "livez") == (200, "ok\n")
        own_services.postgres.start()
        wait_for(lambda: get(port, "readyz")[0] == 200, what="ready again", fleet=fleet)
        # An idle worker waits for no time-out of the ledger (30 s) when it is stopped.
        own_services.postgres.kill()
        worker.terminate()
        assert worker.wait(25) == 0
    finally:
        fleet.end()


def test_a_scheduler_says_whether_it_leads(butler, fleet, port):
    fleet.start_scheduler("--http-port", str(port))
    wait_for(lambda: get(port, "readyz") == (200, "leader\n"), what="it leads", fleet=fleet)
    assert metric(port, "butler_scheduler_leader") == 1


def test_systemd_is_told_when_a_scheduler_leads_and_when_it_stops(butler, fleet, tmp_path):
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(30)
        fleet.environment["NOTIFY_SOCKET"] = str(address)
        process = fleet.start_scheduler()
        assert listener.recv(100) == b"READY=1"
        process.send_signal(signal.SIGTERM)
        assert listener.recv(100) == b"STOPPING=1"
        assert process.wait(30) == 0


def test_butler_probe_asks_and_exits_accordingly(butler, fleet, port):
    fleet.start_worker("--http-port", str(port))
    wait_for(lambda: get(port, "readyz")[0] == 200, what="ready", fleet=fleet)
    well = probe("worker", "--port", str(port), "--ready")
    assert (well.returncode, well.stdout) == (0, "ok\n")
    fleet.end()
    gone = probe("worker", "--port", str(port))
    assert gone.returncode == 1
    assert "no answer from" in gone.stderr
