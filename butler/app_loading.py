"""Finding the application's Butler for the commands: ``--app module:name``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from butler.errors import AppNotFound, did_you_mean

if TYPE_CHECKING:
    from types import ModuleType

    from butler.app import Butler


def load_app(target: str, app_dir: str | None = None) -> Butler:
    """The Butler at ``module:name`` (or a factory there), or the only one in ``module``.

    ``app_dir`` (default: the current folder) is searched first. Raises `AppNotFound`, saying
    where it looked; an error inside the application's own modules is not hidden.
    """
    folder = str(Path(app_dir or ".").resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module_name, _, name = target.partition(":")
    module = _import(module_name, folder, target)
    return _named(module, name, target) if name else _only(module, target)


def _import(module_name: str, folder: str, target: str) -> ModuleType:
    if not module_name:
        raise AppNotFound(f"--app must be module:name, got {target!r}")
    _refuse_shadow(folder)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(f"{missing}."):
            raise
        raise AppNotFound(
            f"no module named {missing!r} for --app {target}: looked in {folder} and then in "
            "the installed packages; run it from your project's folder or pass --app-dir"
        ) from error


def _refuse_shadow(folder: str) -> None:
    shadow = Path(folder, "butler.py")
    if shadow.exists():
        raise AppNotFound(
            f"{shadow} hides the package 'butler' from the processes started there: rename it "
            "(tasks.py, app.py, …)"
        )


def _named(module: ModuleType, name: str, target: str) -> Butler:
    from butler.app import Butler

    found = getattr(module, name, None)
    if found is None:
        raise AppNotFound(
            f"{module.__name__} has no {name!r} (--app {target})"
            f"{did_you_mean(name, (n for n in vars(module) if not n.startswith('_')))}"
        )
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
