"""Hosts for tests: network namespaces on a switch of their own, whose cables can be pulled.

Nothing of it is connected to this machine's own network: the switch is a namespace too, and the
test itself reaches the servers through their unix sockets.
"""

import contextlib
import ctypes
import http.client
import os
import subprocess
import threading
from pathlib import Path

from namespaces import need_root_and

from butler.embedded import EmbeddedServices
from butler.embedded.servers import EmbeddedPostgres, EmbeddedRedis

CLONE_NEWNET = 0x40000000
# Reserved for documentation (RFC 5737): such an address is nobody's.
NETWORK = "192.0.2"


class Network:
    """A switch with hosts; ``with`` makes it and takes it away."""

    def __init__(self, names):
        # Unique, so that what a killed run left is in nobody's way.
        prefix = f"butler-{os.getpid()}"
        self._switch = f"{prefix}-switch"
        self.hosts = {
            name: Host(name, f"{prefix}-{name}", self._switch, f"{NETWORK}.{number}")
            for number, name in enumerate(names, start=1)
        }

    def __enter__(self):
        need_root_and("ip", "unshare", "hostname")
        try:
            ip("netns", "add", self._switch)
            ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
            ip("-n", self._switch, "link", "set", "bridge", "up")
            for host in self.hosts.values():
                host.connect()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_):
        self._remove()

    def _remove(self):
        for host in self.hosts.values():
            host.end()
        # The cables go with the namespaces.
        for namespace in (self._switch, *(host.namespace for host in self.hosts.values())):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


class Host:
    """One host: its address, its cable, and the processes that run there."""

    def __init__(self, name, namespace, switch, address):
        self.name = name
        self.namespace = namespace
        self.address = address
        self._switch = switch
        self._processes = []

    def connect(self):
        ip("netns", "add", self.namespace)
        cable = ["link", "add", self.name, "type", "veth", "peer", "name", "eth0"]
        ip("-n", self._switch, *cable, "netns", self.namespace)
        ip("-n", self._switch, "link", "set", self.name, "master", "bridge", "up")
        ip("-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            ip("-n", self.namespace, "link", "set", device, "up")

    def pull_cable(self):
        ip("-n", self._switch, "link", "set", self.name, "down")

    def plug_in(self):
        ip("-n", self._switch, "link", "set", self.name, "up")

    def start(self, command, *, environment, log):
        """Start a command on this host, under the host's own name."""
        named = 'hostname "$0" && exec "$@"'
        inside = ["ip", "netns", "exec", self.namespace, "unshare", "--uts"]
        with log.open("ab") as file:
            process = subprocess.Popen(
                [*inside, "sh", "-c", named, self.name, *command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self._processes.append(process)
        return process

    def end(self):
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()

    def get(self, port, path):
        """What a process of this host answers on the host's loopback address; "" for nothing."""
        return self.run_there(lambda: _get(port, path))

    def run_there(self, work):
        """Call a function in this host's network; what it starts stays there."""
        returned, raised = [], []

        def enter_and_work():
            # A namespace belongs to a thread, so this one takes it along when it ends.
            try:
                with Path("/run/netns", self.namespace).open() as namespace:
                    _setns(namespace.fileno())
                returned.append(work())
            except BaseException as error:
                raised.append(error)

        thread = threading.Thread(target=enter_and_work)
        thread.start()
        thread.join()
        if raised:
            raise raised[0]
        return returned[0]


class ServedRedis(EmbeddedRedis):
    """The embedded Redis, on the address of its host too."""

    address = ""

    def _argv(self):
        served = ["--port", "6379", "--bind", self.address, "--protected-mode", "no"]
        return [*super()._argv(), *served]


class ServedPostgres(EmbeddedPostgres):
    """The embedded PostgreSQL, on the address of its host too."""

    address = ""

    def _prepare(self, lock):
        super()._prepare(lock)
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NETWORK}.0/24 trust\n")

    def _argv(self):
        return [*super()._argv(), "-c", f"listen_addresses={self.address}"]


class ServingHost:
    """Redis and PostgreSQL on a host: ``services`` by their sockets, ``urls`` by its address."""

    def __init__(self, host, folder, *, prefer):
        self._host = host
        self.services = EmbeddedServices(folder, prefer=prefer)
        options = {
            "sockets": self.services.redis.sockets,
            "durable": True,
            "prefer": prefer,
            "timeout_s": 60.0,
        }
        self.services.redis = ServedRedis(self.services.path, **options)
        self.services.postgres = ServedPostgres(self.services.path, **options)
        for server in (self.services.redis, self.services.postgres):
            server.address = host.address
        self.urls = {
            "BUTLER_REDIS_URL": f"redis://{host.address}:6379/0",
            "BUTLER_DATABASE_URL": f"postgresql://butler@{host.address}/butler",
        }

    def __enter__(self):
        self._host.run_there(self.services.start)
        return self

    def __exit__(self, *_):
        self.services.stop()


def ip(*arguments):
    """Run ip(8); what it complains of is the error."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"ip {' '.join(arguments)}: {done.stderr.strip()}; network namespaces must be allowed here"
    )


def _setns(descriptor):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except OSError:
        return ""
    finally:
        connection.close()
