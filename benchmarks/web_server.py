"""``butler web`` as a process, for the measurements of the API, and the plainest client of it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from kit import HERE, TASKS, wait_until


@contextmanager
def serving():
    """The process and its port, once it answers; stopped at the end."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "butler", "web", "--app", TASKS, "--port", str(port)],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE), "BUTLER_LOG_LEVEL": "warning"},
    )
    try:
        wait_until(lambda: answers(port), process)
        yield process, port
    finally:
        process.terminate()
        process.wait(30)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError):
        return Connection(port).ask("GET", "/healthz")[0] == 200
    return False


class Connection:
    """One keep-alive connection; costs as little as a client can, for it shares the processors."""

    def __init__(self, port, *, token=None):
        self._token = token
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def ask(self, method, path, body=b""):
        """The status and the body's bytes; ``body`` is bytes of JSON."""
        self._socket.sendall(request(method, path, body, token=self._token))
        status = int(self._file.readline().split()[1])
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, self._file.read(length)

    def timed(self, method, path, body=b""):
        """Milliseconds, and the answer; it must be a success."""
        began = time.perf_counter()
        status, answer = self.ask(method, path, body)
        took = (time.perf_counter() - began) * 1000
        assert status < 300, answer
        return took, json.loads(answer)

    def close(self):
        self._file.close()
        self._socket.close()


def request(method, path, body=b"", *, token=None):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if token is not None:
        head += f"Authorization: Bearer {token}\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
