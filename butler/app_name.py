"""What an application is called that does not say so: the module that makes its Butler."""

from __future__ import annotations

import sys
from pathlib import Path


def module_of_caller() -> str:
    """The name of the nearest module outside of Butler that is calling.

    For a script its name without ``.py``, so that it is called the same when it is imported.
    """
    frame = sys._getframe(1)  # noqa: SLF001 - inspect.stack() reads source files
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    name = str(frame.f_globals.get("__name__") or "")
    if name != "__main__":
        return name
    spec = frame.f_globals.get("__spec__")
    file = frame.f_globals.get("__file__")
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    return Path(file).stem if file else name


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "butler"
