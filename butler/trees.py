"""The executions that an execution has enqueued, those that these have enqueued, and so on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from butler.errors import ExecutionNotFound, InvalidOption
from butler.ids import is_id
from butler.storage.base import MAX_BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from butler.executions import ExecutionStatus, Progress
    from butler.storage.base import Storage
    from butler.storage.records import Standing

MAX_DEPTH = 100
MAX_SIZE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionTree:
    """An execution and what it has enqueued, oldest first, each with its own.

    ``cut`` is true where children are left out, because the tree was bounded.
    """

    id: str
    task: str
    status: ExecutionStatus
    attempt: int
    progress: Progress | None
    children: tuple[ExecutionTree, ...]
    cut: bool

    def walk(self, depth: int = 0) -> Iterator[tuple[int, ExecutionTree]]:
        """Each execution with its depth, this one first with ``depth``, children after parents."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass(slots=True)
class _Node:
    standing: Standing
    children: list[_Node] = field(default_factory=list)
    cut: bool = False

    def to_tree(self) -> ExecutionTree:
        standing = self.standing
        return ExecutionTree(
            id=standing.id,
            task=standing.task,
            status=standing.status,
            attempt=standing.attempt,
            progress=standing.progress,
            children=tuple(child.to_tree() for child in self.children),
            cut=self.cut,
        )


def read_tree(storage: Storage, execution_id: str, *, depth: int, size: int) -> ExecutionTree:
    """The tree below an execution, one statement a generation.

    Raises `ExecutionNotFound`, and `InvalidOption` for a ``depth`` that is not in 1..100 or a
    ``size`` that is not in 1..1,000.
    """
    if not 1 <= depth <= MAX_DEPTH:
        raise InvalidOption(f"depth must be in 1..{MAX_DEPTH}, got {depth!r}")
    if not 1 <= size <= MAX_SIZE:
        raise InvalidOption(f"size must be in 1..{MAX_SIZE}, got {size!r}")
    standings = storage.standings([execution_id]) if is_id(execution_id) else []
    if not standings:
        raise ExecutionNotFound(execution_id)
    root = _Node(standings[0])
    room = size - 1
    generation = [root]
    for level in range(1, depth + 2):
        # Of those below the last level only whether there are any.
        generation = _read_children(storage, generation, room=room if level <= depth else 0)
        room -= len(generation)
        if not generation:
            break
    return root.to_tree()


def _read_children(storage: Storage, parents: Sequence[_Node], *, room: int) -> list[_Node]:
    """Give parents their children, ``room`` at most, and mark those that have more."""
    by_id = {parent.standing.id: parent for parent in parents}
    read = storage.children(list(by_id), limit=MAX_BATCH)
    kept: list[_Node] = []
    for child in read:
        parent = by_id[child.parent_id]
        if len(kept) < room:
            node = _Node(child.standing)
            parent.children.append(node)
            kept.append(node)
        else:
            parent.cut = True
    if len(read) == MAX_BATCH:
        # Nothing is known of what comes behind.
        for parent in reversed(parents):
            parent.cut = True
            if parent.standing.id == read[-1].parent_id:
                break
    return kept
