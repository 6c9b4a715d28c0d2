"""Fail unless a wheel holds exactly the files of the packages: ``wheel_files.py WHEEL``."""

from __future__ import annotations

import sys
from pathlib import Path
from zipfile import ZipFile

PACKAGES = ("butler", "workers/butler_workers", "scheduler/butler_scheduler")


def main() -> int:
    """Name what is missing and what is too much."""
    wanted = {
        path.relative_to(Path(package).parent).as_posix()
        for package in PACKAGES
        for path in Path(package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(sys.argv[1]) as wheel:
        there = {name for name in wheel.namelist() if ".dist-info/" not in name}
    for path in sorted(wanted - there):
        print(f"the wheel lacks {path}", file=sys.stderr)
    for path in sorted(there - wanted):
        print(f"the wheel has {path}, and the packages have not", file=sys.stderr)
    return int(wanted != there)


if __name__ == "__main__":
    sys.exit(main())
