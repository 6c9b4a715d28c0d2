"""What the tests of PostgresStorage share: executions, workers, a proxy that loses replies."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import psycopg
from psycopg.conninfo import conninfo_to_dict

from butler.ids import new_id, new_token
from butler.storage.records import Claim, NewExecution, WorkerRegistration


def new_execution(**options):
    defaults = {"id": new_id(), "task": "Send Mail", "queue": "default", "request": '{"n": 1}'}
    return NewExecution(**(defaults | options))


def add_worker(storage):
    """The id of a new worker."""
    worker = WorkerRegistration(
        id=new_id(),
        name="w",
        host="alpha",
        pid=1,
        supervisor_id="s",
        queues=("default",),
        tasks=("Send Mail",),
        concurrency=4,
    )
    storage.register_worker(worker)
    return worker.id


def insert_many(storage, count, **options):
    """The ids of new queued executions."""
    executions = [new_execution(**options) for _ in range(count)]
    storage.insert(executions)
    return tuple(new.id for new in executions)


def start_many(storage, count, **options):
    """Attempts that run under a worker of their own."""
    ids = insert_many(storage, count, **options)
    claim = Claim(worker_id=add_worker(storage), token=new_token(), ids=ids)
    return storage.claim(claim).won


def until(condition, *, within_s=20):
    """What ``condition`` returns once it is true; fails when it never is."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        time.sleep(0.02)


def in_thread(call):
    """Start a call; the function returned waits for its end and gives its result or error."""
    outcome = []

    def run():
        try:
            outcome.append(call())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join():
        thread.join(timeout=60)
        assert outcome, "the call did not end"
        return outcome[0]

    return join


class LossyProxy:
    """A TCP door to a server on a unix socket. It can swallow the next reply, and close.

    ``swallow_replies`` counts how many replies are still to be lost; each loss ends the connection,
    after the server has done what it was asked. ``shut`` refuses all further connections.
    """

    def __init__(self, database_url):
        options = conninfo_to_dict(database_url)
        self._server = f"{options['host']}/.s.PGSQL.{options.get('port', 5432)}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = []
        self.swallow_replies = 0
        self.then_shut = False
        self.url = (
            f"postgresql://{options['user']}:secret@127.0.0.1:"
            f"{self._listener.getsockname()[1]}/{options['dbname']}"
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def shut(self):
        # A listener that is only closed may still accept for the thread that waits on it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self):
        self.shut()
        for each in self._sockets:
            each.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._sockets += [client, server]
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _carry(self, client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
        self._end(client, server)

    def _answer(self, server, client):
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if self.swallow_replies:
                    self.swallow_replies -= 1
                    if self.then_shut:
                        self.shut()
                    break
                client.sendall(data)
        self._end(client, server)

    @staticmethod
    def _end(*sockets):
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def custom_plan(connection, statement, params):
    cursor = psycopg.ClientCursor(connection)
    rows = cursor.execute(f"EXPLAIN {statement}", params).fetchall()
    return "\n".join(line for (line,) in rows)
