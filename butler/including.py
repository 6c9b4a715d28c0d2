"""`Include`: the modules in which a Butler's tasks are, imported when they are first needed.

Never in the constructor: a tasks module that says ``from shop.main import butler`` would then be
imported while ``shop.main`` is still being imported, and find no ``butler`` in it. So the import
waits for the start of a worker, a scheduler or a command, or for the first enqueue that needs to
know a task.

What such a module defines is registered: functions under a bare ``@task``, and `Task` classes
that can be made without arguments. What it registers itself, with whichever Butler, is left as it
is.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import weakref
from typing import TYPE_CHECKING, Any

from butler.errors import AppNotFound, DefinitionError
from butler.fork_lock import ForkSafeLock
from butler.function_tasks import FunctionTask
from butler.tasks import Task, class_binding, class_spec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    from butler.app import Butler

TASKS = "tasks"


class Include:
    """Names of modules, or of packages whose ``tasks`` modules are meant, at any depth."""

    def __init__(self, names: Iterable[str]) -> None:
        if isinstance(names, str):
            raise DefinitionError(
                f"include must be a list of module names, got {names!r}: write include=[{names!r}]"
            )
        self._names = tuple(names)
        for name in self._names:
            if not all(part.isidentifier() for part in str(name).split(".")):
                raise DefinitionError(f"include must hold names of modules, got {name!r}")
        self._lock = ForkSafeLock()
        self._loading = False
        self._loaded = not self._names

    @property
    def loaded(self) -> bool:
        """Whether there is nothing left to import."""
        return self._loaded

    def load(self, butler: Butler) -> None:
        """Import and register, once; what fails is tried again at the next call.

        Raises `AppNotFound` for a module that is not there; what its code raises is not hidden.
        """
        if self._loaded:
            return
        with self._lock:
            if not self._is_due():
                return
            self._loading = True
            try:
                for name in self._names:
                    self._load_one(name, butler)
                self._loaded = True
            finally:
                self._loading = False

    def covers(self, module: str) -> bool:
        """Whether loading, which is not done yet, imports this module."""
        return not self._loaded and any(
            module == name or module.startswith(f"{name}.") for name in self._names
        )

    def _is_due(self) -> bool:
        # An included module may itself ask for tasks while it is imported, in this very thread.
        return not (self._loaded or self._loading)

    def _load_one(self, name: str, butler: Butler) -> None:
        known = len(butler.registry)
        root = _import(name, name)
        modules = [root, *(_import(found, name) for found in _tasks_modules(root))]
        for module in modules:
            for task in _unclaimed_tasks(module):
                butler.register_included(task)
        if len(modules) == 1 and hasattr(root, "__path__") and len(butler.registry) == known:
            raise AppNotFound(
                f"include names the package {name!r}, and there is no task in it: looked for "
                f"modules called {TASKS!r} in {', '.join(root.__path__)}"
            )


def load_includes_for(module: str) -> None:
    """Let the Butlers that are waiting to import this module do so."""
    for butler in list(_waiting):
        if butler.include.loaded:
            _waiting.discard(butler)
        elif not butler.closed and butler.include.covers(module):
            butler.import_tasks()


def watch(butler: Butler) -> None:
    """Remember a Butler for `load_includes_for`, while it lives and has something to import."""
    if not butler.include.loaded:
        _waiting.add(butler)


_waiting: weakref.WeakSet[Butler] = weakref.WeakSet()


def _import(name: str, included: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            raise
        raise AppNotFound(
            f"no module named {missing!r} for include={included!r}: looked in the folder of the "
            "app (--app-dir, or the current one) and in the installed packages"
        ) from error


def _tasks_modules(root: ModuleType) -> Iterator[str]:
    """In a package: its modules called ``tasks``; in one that is called so: all of them."""
    for path in getattr(root, "__path__", ()):
        is_tasks = root.__name__.rpartition(".")[2] == TASKS
        yield from _found_in(path, prefix=f"{root.__name__}.", every=is_tasks)


def _found_in(path: str, *, prefix: str, every: bool) -> Iterator[str]:
    # Without importing what is passed by: a package may hold anything beside its tasks.
    modules = {found.name: found.ispkg for found in pkgutil.iter_modules([path])}
    modules |= {name: True for name in _folders(path) if name not in modules}
    for name, is_package in sorted(modules.items()):
        wanted = name == TASKS or (every and name != "__main__")
        if wanted:
            yield prefix + name
        if is_package:
            yield from _found_in(f"{path}/{name}", prefix=f"{prefix}{name}.", every=wanted)


def _folders(path: str) -> list[str]:
    """Folders that may be packages without an ``__init__.py``, which pkgutil does not see."""
    try:
        entries = list(os.scandir(path))
    except OSError:  # a package in a zip file
        return []
    found = (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    return [name for name in found if name.isidentifier() and name != "__pycache__"]


def _unclaimed_tasks(module: ModuleType) -> Iterator[Any]:
    for value in list(vars(module).values()):
        if _home(value) == module.__name__ and _is_unclaimed(value):
            yield value


def _home(value: Any) -> str | None:
    """The module in which a task is defined, not those that import it; None for anything else."""
    if isinstance(value, FunctionTask):
        return getattr(value.fn, "__module__", None)
    if isinstance(value, type) and issubclass(value, Task):
        return value.__module__
    return None


def _is_unclaimed(task: FunctionTask[Any, Any, Any] | type[Task[Any, Any]]) -> bool:
    """Whether nobody registered it, and it can be: no abstract class, no arguments to be made."""
    if isinstance(task, FunctionTask):
        return not task.binding.claimed
    if class_binding(task).claimed:
        return False
    try:
        class_spec(task, instantiable=True)
    except DefinitionError:
        return False
    return True
