"""Finding the application's Butler for the commands: ``--app module:name``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from butler.errors import AppNotFound, did_you_mean

if TYPE_CHECKING:
    from types import ModuleType

    from butler.app import Butler


def load_app(target: str, app_dir: str | None = None) -> Butler:
    """The Butler at ``module:name`` (or a factory there), or the only one in ``module``.

    ``app_dir`` (default: the current folder) is searched first. What the Butler includes is
    imported too. Raises `AppNotFound`, saying where it looked; an error inside the application's
    own modules is not hidden.
    """
    folder = str(Path(app_dir or ".").resolve())
    for started_in in (folder, str(Path.cwd())):
        if (shadow := find_shadow(started_in)) is not None:
            raise AppNotFound(shadow_problem(shadow))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module_name, _, name = target.partition(":")
    module = _import(module_name, folder, target)
    butler = _named(module, name, target) if name else _only(module, target)
    butler.import_tasks()
    return butler


def find_shadow(folder: str) -> Path | None:
    """What in this folder hides the package ``butler`` from processes that are started there."""
    ours = Path(__file__).resolve().parent / "__init__.py"
    for candidate in (Path(folder, "butler.py"), Path(folder, "butler", "__init__.py")):
        if candidate.exists() and candidate.resolve() != ours:
            return candidate
    return None


def shadow_problem(shadow: Path) -> str:
    """Why that file must get another name."""
    return (
        f"{shadow} hides the package 'butler' from the processes started there: rename it "
        "(tasks.py, app.py, …)"
    )


def _import(module_name: str, folder: str, target: str) -> ModuleType:
    if not module_name:
        raise AppNotFound(f"--app must be module:name, got {target!r}")
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(f"{missing}."):
            raise
        if module_name.endswith(".py"):
            remedy = f"it wants a module, not a file: {target.replace('.py', '', 1)}"
        else:
            remedy = "run it from your project's folder or pass --app-dir"
        raise AppNotFound(
            f"no module named {missing!r} for --app {target}: looked in {folder} and then in "
            f"the installed packages; {remedy}"
        ) from error


def _named(module: ModuleType, name: str, target: str) -> Butler:
    from butler.app import Butler

    found = getattr(module, name, None)
    if found is None:
        raise AppNotFound(
            f"{module.__name__} has no {name!r} (--app {target})"
            f"{did_you_mean(name, (n for n in vars(module) if not n.startswith('_')))}"
        )
    if isinstance(found, type):
        raise AppNotFound(f"{target} is a class, expected a Butler or a function that makes one")
    if not isinstance(found, Butler) and callable(found):
        found = found()
    if not isinstance(found, Butler):
        raise AppNotFound(f"{target} is a {type(found).__name__}, expected a Butler")
    return found


def _only(module: ModuleType, target: str) -> Butler:
    from butler.app import Butler

    found = {name: value for name, value in vars(module).items() if isinstance(value, Butler)}
    if len({id(value) for value in found.values()}) == 1:
        return next(iter(found.values()))
    count = "no Butler" if not found else f"several ({', '.join(sorted(found))})"
    raise AppNotFound(f"{target} holds {count}: name one as {target}:name")
