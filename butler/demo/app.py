"""The application of the demo: tasks that index a folder tree.

An ordinary Butler application, as a user would write it; the workers of the demo are started with
``--app butler.demo.app:butler``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel

from butler import Butler, Interval, RetryPolicy, TaskContext

QUEUE = "demo"
CHUNK = 500
BEAT_S = 2

butler = Butler(name="demo")


class Folder(BaseModel):
    """A folder to index."""

    path: str


class File(BaseModel):
    """A file to read."""

    path: str


class FileFacts(BaseModel):
    """What was found in a file."""

    sha256: str
    size: int
    lines: int
    words: int


class FolderFacts(BaseModel):
    """How many files were enqueued."""

    files: int


class Note(BaseModel):
    """A line to write down."""

    text: str


def files_of(folder: str) -> list[str]:
    """The files below a folder, without caches and installed packages, in order."""
    skipped = {"__pycache__", "site-packages", "node_modules", ".git"}
    return sorted(
        str(path)
        for path in Path(folder).rglob("*")
        if not skipped.intersection(path.parts) and path.is_file() and not path.is_symlink()
    )


def read_facts(path: str) -> FileFacts:
    """Hash and count one file."""
    digest, size, lines, words = hashlib.sha256(), 0, 0, 0
    with Path(path).open("rb") as file:
        for line in file:
            digest.update(line)
            size += len(line)
            lines += 1
            words += len(line.split())
    return FileFacts(sha256=digest.hexdigest(), size=size, lines=lines, words=words)


@butler.task(queue=QUEUE, tags=["demo"])
def index_folder(request: Folder, context: TaskContext) -> FolderFacts:
    """List a folder and enqueue one task for each file in it."""
    files = files_of(request.path)
    for first in range(0, len(files), CHUNK):
        context.raise_if_cancelled()
        chunk = files[first : first + CHUNK]
        context.enqueue_many([(index_file, File(path=path)) for path in chunk])
        context.report_progress(
            100 * (first + len(chunk)) / len(files), f"{first + len(chunk)} files enqueued"
        )
    return FolderFacts(files=len(files))


@butler.task(queue=QUEUE, tags=["demo"])
def index_file(request: File, context: TaskContext) -> FileFacts:
    """Hash a file, and count its lines and words."""
    context.report_progress(0, Path(request.path).name)
    facts = read_facts(request.path)
    context.report_progress(100, f"{facts.lines} lines")
    return facts


@butler.task(queue=QUEUE, tags=["demo"], retry=RetryPolicy(max_attempts=3, base_s=1, jitter="none"))
def unsteady(request: Note, context: TaskContext) -> int:
    """Fail at the first attempt and succeed at the second."""
    if context.attempt == 1:
        raise ConnectionError(f"the mail server hung up on {request.text!r}")
    return context.attempt


@butler.task(queue=QUEUE, tags=["demo"], priority="high")
async def remind(request: Note) -> str:
    """Be on time: the demo schedules it two seconds ahead."""
    return request.text


@butler.recurring(Interval(BEAT_S), misfire="catch_up", overlap="allow")
@butler.task(queue=QUEUE, tags=["demo"], priority="high")
async def beat() -> None:
    """Fire every two seconds, as long as the demo lasts."""


@butler.task(queue=QUEUE, tags=["demo"])
async def watch(request: Folder, context: TaskContext) -> None:
    """Watch a folder until cancelled."""
    seconds = 0
    while True:
        await context.sleep(1)
        seconds += 1
        context.report_progress(min(seconds, 99), f"watching {request.path}")
