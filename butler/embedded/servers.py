"""The two embedded servers, one class each: where they live, how they start, when they are ready.

Locks. Every process of a server holds an flock on the server's lock file, inherited through the
keeper (`launch`), so "nothing of the last server is alive" is a fact and not a guess from
a pid file, whose number may belong to another process after a reboot. Whoever has that lock may
remove the pid files that `kill -9` left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from typing import IO, TYPE_CHECKING, ClassVar

from butler.embedded import launch
from butler.embedded.binaries import Origin, ServerBinary, find_postgres, find_redis
from butler.errors import EmbeddedUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

POLL_S = 0.01
GRACE_S = 15.0  # from the orderly signal to SIGKILL
LOG_LIMIT_BYTES = 5_000_000
DATABASE = "butler"
POSTGRES_PORT = 5432  # only part of the socket's name; nothing listens on TCP


class EmbeddedServer(ABC):
    """One server in one folder: ``start``, ``stop``, ``kill``, and its ``pid``.

    Starting what runs and stopping what does not are fine. A process forked from the one that
    started the server cannot stop it.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    death_signal: ClassVar[signal.Signals]
    renounce_root: ClassVar[bool] = False

    def __init__(
        self, folder: Path, *, sockets: Path, durable: bool, prefer: Origin, timeout_s: float
    ) -> None:
        self.folder = folder
        self.data = folder / self.name
        self.log = folder / f"{self.name}.log"
        self.sockets = sockets
        self.durable = durable
        self.prefer: Origin = prefer
        self.timeout_s = timeout_s
        self.binary: ServerBinary | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._starter: int | None = None
        self._log_start = 0
        self._deadline = 0.0

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs, else None."""
        running = self._keeper is not None and self._keeper.poll() is None
        return self._pid if running else None

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises ``EmbeddedUnavailable``, with the end of the server's log, when it does not come up.
        """
        self.begin()
        self.wait_ready()

    def begin(self) -> None:
        """Start the server without waiting for it; ``wait_ready`` does that."""
        if self.pid is not None:
            return
        self.binary = self._find()
        self._rotate_log()
        with self._locked() as lock:
            self._prepare(lock)
            self._log_start = self._log_size()
            self._deadline = time.monotonic() + self.timeout_s
            self._keeper, self._pid = self._launch(self._argv(), lock=lock)
            self._starter = os.getpid()

    def wait_ready(self) -> None:
        """Return once the server answers, or raise ``EmbeddedUnavailable``."""
        while not self._is_ready():
            if self.pid is None:
                self._wait_gone()
                raise self._failure("ended while it was starting", since=self._log_start)
            if time.monotonic() > self._deadline:
                self.stop()
                problem = f"was not ready within {self.timeout_s:g} s"
                raise self._failure(problem, since=self._log_start)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop the server in an orderly way and wait for its end."""
        self.begin_stop()
        self._wait_gone()

    def begin_stop(self) -> None:
        """Ask the server to stop, without waiting for it."""
        if self._keeper is not None and self._starter == os.getpid():
            self._keeper.terminate()

    def kill(self) -> None:
        """SIGKILL the server and wait until none of its processes is left; data stays."""
        pid = self.pid
        if pid is not None and self._starter == os.getpid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._wait_gone()

    @abstractmethod
    def _find(self) -> ServerBinary:
        """Find the program to run."""

    @abstractmethod
    def _prepare(self, lock: int) -> None:
        """Make the folder ready for a start; nothing of an earlier server is alive."""

    @abstractmethod
    def _argv(self) -> list[str]:
        """Return the server's command line."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the server started last takes connections."""

    def _wait_gone(self) -> None:
        keeper = self._keeper
        if keeper is None or self._starter != os.getpid():
            return
        try:
            keeper.wait(GRACE_S + 5)
        except subprocess.TimeoutExpired:
            keeper.kill()
            keeper.wait()
        self._keeper = self._pid = None

    def _launch(
        self, argv: Sequence[str], *, lock: int, stdin: IO[bytes] | int = subprocess.DEVNULL
    ) -> tuple[subprocess.Popen[bytes], int | None]:
        """Run a program under a keeper; the pid is None when it could not be started."""
        order: launch.Order = {
            "argv": list(argv),
            "parent": os.getpid(),
            "renounce_root": self.renounce_root,
            "folder": str(self.folder),
            "data": str(self.data),
            "lock": lock,
            "stop_signal": self.stop_signal,
            "death_signal": self.death_signal,
            "grace_s": GRACE_S,
        }
        with self.log.open("ab") as log:
            keeper = subprocess.Popen(  # noqa: S603 - this package's own script
                [sys.executable, "-I", "-S", launch.__file__, json.dumps(order)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.folder,
                env=_environment(),
                pass_fds=(lock,),
                start_new_session=True,  # a Ctrl-C in the terminal is Butler's alone to obey
            )
        assert keeper.stdout is not None
        with keeper.stdout as answer:
            line = answer.readline()
        return keeper, int(line) if line else None

    @contextlib.contextmanager
    def _locked(self) -> Generator[int]:
        """Hold the server's lock, once every process of its last run is gone."""
        descriptor = os.open(self.folder / f"{self.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + GRACE_S + 5
            while not try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise self._failure("of an earlier start is still running", since=0)
                time.sleep(POLL_S)
            yield descriptor
        finally:
            os.close(descriptor)

    def _log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _rotate_log(self) -> None:
        if self._log_size() > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _failure(self, problem: str, *, since: int) -> EmbeddedUnavailable:
        """An error that shows what the log says since that offset."""
        text = self.log.read_bytes()[since:].decode(errors="replace") if self.log.exists() else ""
        tail = "\n".join(f"  {line}" for line in text.splitlines()[-15:]) or "  (nothing)"
        program = self.binary.path if self.binary else self.name
        return EmbeddedUnavailable(
            f"the embedded {self.name} ({program}) {problem}; {self.log} ends with:\n{tail}"
        )


class EmbeddedRedis(EmbeddedServer):
    """Valkey (or Redis) on a unix socket, append-only, never evicting."""

    name = "redis"
    stop_signal = signal.SIGTERM
    death_signal = signal.SIGKILL  # SIGTERM waits for a running script; the file is whole anyway

    @property
    def socket_path(self) -> Path:
        """Where the server listens."""
        return self.sockets / "redis.sock"

    def _find(self) -> ServerBinary:
        return find_redis(prefer=self.prefer)

    def _prepare(self, lock: int) -> None:  # noqa: ARG002 - the other server needs it
        self.data.mkdir(mode=0o700, exist_ok=True)

    def _argv(self) -> list[str]:
        assert self.binary is not None
        options = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "everysec" if self.durable else "no",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        flags = [word for key, value in options.items() for word in (f"--{key}", value)]
        return [str(self.binary.path), *flags]

    def _is_ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.socket_path))
                client.sendall(b"PING\r\n")
                # "-LOADING …" while the append-only file is being read
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL on a unix socket, with a database and a superuser called ``butler``."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast: ends the sessions, writes a checkpoint
    death_signal = signal.SIGQUIT  # immediate: the next start recovers from the log
    renounce_root = True

    @property
    def socket_path(self) -> Path:
        """Where the server listens; clients are given the folder."""
        return self.sockets / f".s.PGSQL.{POSTGRES_PORT}"

    def _find(self) -> ServerBinary:
        made_by = self.data / "PG_VERSION"
        major = int(made_by.read_text()) if made_by.exists() else None
        return find_postgres(prefer=self.prefer, major=major)

    def _prepare(self, lock: int) -> None:
        if not self.data.exists():
            self._create_cluster(lock)
        # Their pids may be other processes' by now, and PostgreSQL would wait for those.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self.socket_path.with_name(self.socket_path.name + ".lock").unlink(missing_ok=True)

    def _create_cluster(self, lock: int) -> None:
        """Make the data folder beside its place and rename it: half a cluster is never found."""
        assert self.binary is not None
        fresh = self.data.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        since = self._log_size()
        initdb = [str(self.binary.path.with_name("initdb")), "-D", str(fresh), "-U", DATABASE]
        initdb += ["-A", "trust", "-E", "UTF8", "--no-locale", "--no-instructions"]
        if not self.durable:
            initdb.append("--no-sync")
        self._run(initdb, lock=lock, since=since)
        single = [str(self.binary.path), "--single", "-D", str(fresh)]
        single += ["-c", "exit_on_error=on", *self._durability(), "postgres"]
        self._run(single, lock=lock, since=since, text=f"CREATE DATABASE {DATABASE}\n")
        fresh.rename(self.data)

    def _run(self, argv: Sequence[str], *, lock: int, since: int, text: str = "") -> None:
        """Run one of PostgreSQL's programs to its end, as the server will run."""
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
        with os.fdopen(reading, "rb") as stdin:
            keeper, _ = self._launch(argv, lock=lock, stdin=stdin)
        try:
            code = keeper.wait(self.timeout_s)
        except subprocess.TimeoutExpired:
            problem = f"could not be set up within {self.timeout_s:g} s"
            raise self._failure(problem, since=since) from None
        finally:
            keeper.terminate()
            keeper.wait()
        if code != 0:
            raise self._failure(f"could not be set up (exit code {code})", since=since)

    def _argv(self) -> list[str]:
        assert self.binary is not None
        # -k takes a list: in quotes, a comma or a space is part of the path.
        folder = '"' + str(self.sockets).replace('"', '""') + '"'
        settings = {
            "listen_addresses": "",
            "port": str(POSTGRES_PORT),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "cluster_name": "butler",
        }
        flags = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        start = [str(self.binary.path), "-D", str(self.data), "-k", folder]
        return [*start, *flags, *self._durability()]

    def _durability(self) -> list[str]:
        if self.durable:
            return []
        return ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]

    def _is_ready(self) -> bool:
        # As pg_ctl does: the first line is the pid, the eighth says "ready".
        with contextlib.suppress(OSError, IndexError, ValueError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return int(lines[0]) == self._pid and lines[7].strip() == "ready"
        return False


def try_lock(descriptor: int) -> bool:
    """Take an exclusive flock if it is free."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _environment() -> dict[str, str]:
    """The caller's, without what would bend PostgreSQL's settings, in a locale that always is."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
