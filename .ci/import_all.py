"""Import every module of the installed packages, and fail where one came from somewhere else."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from pkgutil import walk_packages

PACKAGES = ("butler", "butler_workers", "butler_scheduler")
# Imported by whoever has the framework; no extra brings it.
FOREIGN = "butler.contrib.django."


def main() -> None:
    """Raises what the import of a module raises."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        folder = Path(package.__file__ or "").parent
        assert folder.is_relative_to(sys.prefix), f"{name} was imported from {folder}"
        for module in walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__") and not module.name.startswith(FOREIGN):
                importlib.import_module(module.name)


if __name__ == "__main__":
    main()
