"""The tasks one `Butler` knows, by name, by alias, and by what was registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from butler.errors import DefinitionError, UnknownTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from butler.task_spec import TaskSpec


class TaskRegistry:
    """Only names that are in here ever run in a worker."""

    def __init__(self) -> None:
        self._around: Callable[[TaskSpec], TaskSpec] | None = None
        self._added: dict[str, tuple[TaskSpec, tuple[object, ...]]] = {}
        self._specs: dict[str, TaskSpec] = {}
        self._aliases: dict[str, TaskSpec] = {}
        # By identity, because a task object need not be hashable; the source is kept alive.
        self._by_source: dict[int, tuple[Any, TaskSpec]] = {}

    def add(self, spec: TaskSpec, *, sources: tuple[object, ...]) -> None:
        """Take a task in; doing it again with the same sources changes nothing.

        ``sources`` are the objects it will be enqueued by. Raises `DefinitionError` when one of
        its names is another task's.
        """
        if sources and self.find_source(sources[0]) is not None:
            return
        for name in (spec.name, *spec.options.aliases):
            holder = self.find(name)
            if holder is not None:
                raise DefinitionError(
                    f"a task named {name!r} is already registered (as {holder.name!r}): "
                    "give one of them another name= or drop the alias"
                )
        self._added[spec.name] = (spec, sources)
        self._hold(spec, sources)

    def wrap(self, around: Callable[[TaskSpec], TaskSpec]) -> None:
        """Hold, in place of each task as it was added, what ``around`` makes of it."""
        self._around = around
        for spec, sources in list(self._added.values()):
            self._hold(spec, sources)

    def get(self, name: str) -> TaskSpec:
        """The task with this name or alias; raises `UnknownTask`, saying what was meant."""
        spec = self.find(name)
        if spec is None:
            raise UnknownTask(name, self.names())
        return spec

    def find(self, name: str) -> TaskSpec | None:
        """The task with this name or alias; None when there is none."""
        return self._specs.get(name) or self._aliases.get(name)

    def find_source(self, source: object) -> TaskSpec | None:
        """The task that was registered as this object; None when none was."""
        held = self._by_source.get(id(source))
        return held[1] if held else None

    def names(self) -> list[str]:
        """Every name and alias that may be enqueued and run, sorted."""
        return sorted({*self._specs, *self._aliases})

    def with_tag(self, tag: str | None = None) -> list[TaskSpec]:
        """The tasks that carry a tag (None: all), by name."""
        specs = sorted(self._specs.values(), key=lambda spec: spec.name)
        return [spec for spec in specs if tag is None or tag in spec.options.tags]

    def _hold(self, spec: TaskSpec, sources: tuple[object, ...]) -> None:
        held = self._around(spec) if self._around else spec
        self._specs[spec.name] = held
        self._aliases.update(dict.fromkeys(spec.options.aliases, held))
        self._by_source.update({id(source): (source, held) for source in sources})

    def __iter__(self) -> Iterator[TaskSpec]:
        return iter(self.with_tag())

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None
