"""``butler web`` as a process: streams that end with it, and go on with the next one."""

import http.client
import json
import signal
import socket
import subprocess
import sys

import pytest
from fleet import wait_for
from fleet_app import Item

PATIENCE_S = 60


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Follower:
    """An open stream; ``events`` are read one by one, until it ends."""

    def __init__(self, port, path, *, token, last_id=None):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {token}"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        self._connection.request("GET", path, headers=headers)
        self.answer = self._connection.getresponse()
        self.last_id = last_id

    def events(self):
        name = None
        for line in iter(self.answer.readline, b""):
            field, _, value = line.decode().strip().partition(": ")
            if field == "event":
                name = value
            elif field == "id":
                self.last_id = value
            elif field == "data":
                yield name, json.loads(value)

    def close(self):
        self.answer.close()
        self._connection.close()

    def until(self, wanted):
        found = []
        for name, data in self.events():
            found.append((name, data))
            if wanted(name, data):
                return found
        raise AssertionError(f"it ended with {found}")


@pytest.fixture
def follow(butler, port):
    """Opens streams with a token; closes them at the end."""
    token = butler.tokens.create("looker").secret
    opened = []

    def start(path, last_id=None):
        follower = Follower(port, path, token=token, last_id=last_id)
        opened.append(follower)
        return follower

    yield start
    for follower in opened:
        follower.close()


@pytest.fixture
def web(terminal, port):
    """Starts the command; stops what is left of it."""
    started = []

    def start():
        command = [sys.executable, "-m", "butler", "web", "--port", str(port)]
        process = subprocess.Popen(command, env=terminal, stderr=subprocess.PIPE, text=True)
        started.append(process)
        wait_for(lambda: _answers(port), what="an answer")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def _answers(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
        connection.close()
    except OSError:
        return False
    return status == 200


def test_streams_end_with_the_process_and_go_on_in_the_next(butler, fleet, web, follow):
    fleet.start_worker()
    process = web()
    waiting = butler.enqueue("work", Item(n=1), delay_s=600)
    path = f"/api/v1/executions/{waiting.id}/stream"
    one, everything = follow(path), follow("/api/v1/events")
    assert next(one.events())[1]["status"] == "scheduled"
    assert next(everything.events())[0] == "ready"
    done = butler.enqueue("work", Item(n=2))

    def over(name, data):
        return name == "state" and data["status"] == "succeeded"

    assert everything.until(over)[-1][1]["execution_id"] == done.id
    process.send_signal(signal.SIGTERM)
    assert list(one.events()) == []
    assert list(everything.events()) == []
    assert process.wait(PATIENCE_S) == 0, process.stderr.read()

    meanwhile = butler.enqueue("work", Item(n=3))
    assert meanwhile.result(timeout_s=PATIENCE_S) == 3
    butler.cancel(waiting.id)
    web()
    again = follow(path, one.last_id)
    assert [data["status"] for _, data in again.events()] == ["cancelled"]
    assert follow(path, again.last_id).answer.status == 204
    back = follow("/api/v1/events", everything.last_id)
    told = back.until(lambda name, _: name == "ready")
    states = {data["execution_id"]: data["status"] for name, data in told if name == "state"}
    assert states[meanwhile.id] == "succeeded"
    assert "missed" not in [name for name, _ in told]
