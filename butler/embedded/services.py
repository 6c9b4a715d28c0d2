"""A real Redis and a real PostgreSQL in a folder, for trying Butler, developing and testing.

`EmbeddedServices` is the public name. `binaries` finds the programs, `servers`
starts, stops and kills each one, `launch` is the script that keeps one server's life
inside Butler's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from butler.errors import EmbeddedUnavailable, InvalidOption

if TYPE_CHECKING:
    from types import TracebackType

    from butler.embedded.binaries import Origin

# sockaddr_un, without its closing zero byte
SOCKET_PATH_LIMIT_BYTES = 107 if sys.platform == "linux" else 103
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"


class EmbeddedServices:
    """Redis and PostgreSQL in one folder, running as long as this process does.

    ``with EmbeddedServices(".butler") as services: Butler(redis=services.redis_url, …)``, or
    ``start()`` and ``stop()``. Data stays in the folder and is there at the next start. The servers
    listen on unix sockets only, in a folder that only its owner can enter. They end with this
    process, also when it is killed, but not with the thread that started them.

    The folder is made if need be (mode 0700); it must be empty or one that Butler made.
    ``durable=False`` turns off fsync: faster, for tests whose data may be lost with the machine.
    ``prefer="system"`` takes the machine's own servers before those of the wheels, the oldest
    first. ``timeout_s`` (> 0) is for each server's start. ``redis`` and ``postgres`` are the two
    servers, to ``kill``, ``stop`` and ``start`` one of them and to see its ``pid``.

    Raises ``EmbeddedUnavailable`` on Windows, when no server programs are found, when another
    process uses the folder, and when a server does not come up; ``InvalidOption`` for the options.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durable: bool = True,
        prefer: Origin = "wheels",
        timeout_s: float = 60.0,
    ) -> None:
        if sys.platform not in {"linux", "darwin"}:
            message = (
                f"embedded servers run on Linux and macOS, not on {sys.platform}: "
                "use servers of your own, BUTLER_REDIS_URL and BUTLER_DATABASE_URL"
            )
            raise EmbeddedUnavailable(message)
        if prefer not in {"wheels", "system"}:
            message = f'prefer must be "wheels" or "system", got {prefer!r}'
            raise InvalidOption(message)
        if not timeout_s > 0:
            message = f"timeout_s must be > 0, got {timeout_s!r}"
            raise InvalidOption(message)
        from butler.embedded.servers import EmbeddedPostgres, EmbeddedRedis

        self.path = Path(path).expanduser().resolve()
        self._sockets = socket_folder(self.path)
        self.redis = EmbeddedRedis(
            self.path, sockets=self._sockets, durable=durable, prefer=prefer, timeout_s=timeout_s
        )
        self.postgres = EmbeddedPostgres(
            self.path, sockets=self._sockets, durable=durable, prefer=prefer, timeout_s=timeout_s
        )
        self._lock: int | None = None
        self._owner: int | None = None

    @property
    def redis_url(self) -> str:
        """``unix:///…/redis.sock?db=0``; known before the start, and the same at every start."""
        return f"unix://{quote(str(self.redis.socket_path))}?db=0"

    @property
    def database_url(self) -> str:
        """``postgresql://butler@/butler?host=…``; known before the start, the same at every one."""
        return f"postgresql://butler@/butler?host={quote(str(self._sockets), safe='')}"

    def start(self) -> Self:
        """Start both servers and return once both answer; fine when they run already."""
        if self._lock is None:
            self._take_folder()
        try:
            for server in (self.redis, self.postgres):
                server.begin()
            for server in (self.redis, self.postgres):
                server.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop both servers in an orderly way; fine when they never ran, or were stopped before."""
        # A forked child has copies of these objects, and must not stop its parent's servers.
        if self._lock is None or self._owner != os.getpid():
            return
        servers = (self.redis, self.postgres)
        for server in servers:
            server.begin_stop()
        for server in servers:
            server.stop()
        self._remove_sockets()
        self._release_folder()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _take_folder(self) -> None:
        """Make the folder private and one's own, or say who has it."""
        from butler.embedded.servers import try_lock

        lock = self.path / "lock"
        if not lock.exists() and self.path.exists() and any(self.path.iterdir()):
            message = (
                f"{self.path} holds files that Butler did not make: "
                "give the embedded servers an empty folder, such as .butler"
            )
            raise EmbeddedUnavailable(message)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        if not try_lock(descriptor):
            holder = os.read(descriptor, 32).decode().strip() or "unknown"
            os.close(descriptor)
            message = (
                f"{self.path} is in use by process {holder} (or one it forked): "
                "stop that process, or give this one another folder"
            )
            raise EmbeddedUnavailable(message)
        os.truncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        self._lock, self._owner = descriptor, os.getpid()
        (self.path / ".gitignore").write_text("*\n")
        if self._sockets != self.path:
            _make_private(self._sockets)

    def _release_folder(self) -> None:
        import fcntl

        assert self._lock is not None
        # Closing is not enough: a process forked meanwhile has the descriptor too.
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        os.close(self._lock)
        self._lock = self._owner = None

    def _remove_sockets(self) -> None:
        """Remove what a killed server left, and the folder if it was made for the sockets."""
        for server in (self.redis, self.postgres):
            server.socket_path.unlink(missing_ok=True)
        postgres = self.postgres.socket_path
        postgres.with_name(postgres.name + ".lock").unlink(missing_ok=True)
        if self._sockets != self.path:
            with contextlib.suppress(OSError):
                self._sockets.rmdir()


def socket_folder(folder: Path) -> Path:
    """Return where the sockets of that data folder are: in it, or in a short temporary folder.

    The system limits a socket's path to about a hundred bytes, and database URLs cannot hold a
    comma in a host. The temporary folder's name follows from the data folder's, so that URLs stay
    the same from start to start and every process can tell them.
    """
    if _can_hold_sockets(folder):
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    name = f"butler-{os.geteuid()}-{digest}"
    places = [Path(parent, name) for parent in (tempfile.gettempdir(), "/tmp")]  # noqa: S108
    return next(filter(_can_hold_sockets, places))


def _can_hold_sockets(folder: Path) -> bool:
    length = len(os.fsencode(folder / LONGEST_SOCKET_NAME))
    text = str(folder)
    return length <= SOCKET_PATH_LIMIT_BYTES and "," not in text and text.isprintable()


def _make_private(folder: Path) -> None:
    """Make the folder, or make sure that the one there is ours alone: /tmp is everybody's."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not ours or stat.S_IMODE(found.st_mode) & 0o077:
        message = f"{folder} must be a folder of mode 0700 that belongs to you: remove it"
        raise EmbeddedUnavailable(message)
