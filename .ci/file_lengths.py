"""Fail when a source file has grown too long to hold one reason to change."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_LINES = 400
SUFFIXES = {".py", ".js", ".css", ".sql", ".lua"}
# Other people's files are kept as they came.
SKIPPED_FOLDERS = {"__pycache__", "node_modules", "vendor", "build", "dist"}


def source_files(root: Path) -> Iterator[Path]:
    """Yield the files that Butler's authors wrote; hidden folders hold none but ``.ci``."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            name
            for name in subfolders
            if name not in SKIPPED_FOLDERS and (name == ".ci" or not name.startswith("."))
        )
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix in SUFFIXES:
                yield path


def main() -> int:
    """Print each file that is too long; return 1 if there is one."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    failed = 0
    for path in source_files(root):
        lines = path.read_bytes().count(b"\n")
        if lines >= LIMIT_LINES:
            failed = 1
            print(f"{path}: expected fewer than {LIMIT_LINES} lines, got {lines}; split it")
    return failed


if __name__ == "__main__":
    sys.exit(main())
