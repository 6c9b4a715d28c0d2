"""Where the installed commands ``butler`` and ``butler-worker`` begin.

A user's own ``butler.py`` in a folder of the path hides the package ``butler``, and whatever is
imported from it fails with words that do not say so. This module is outside of it, and looks first.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

EXIT_HIDDEN = 3


def butler() -> None:
    """The command ``butler``."""
    refuse_hidden_package("butler")
    from butler import interpreter
    from butler.pid_one import obey_sigterm

    interpreter.collect_seldom()
    obey_sigterm()
    from butler.cli import main

    main()


def worker() -> None:
    """The command ``butler-worker``."""
    refuse_hidden_package("butler-worker")
    from butler import interpreter
    from butler.pid_one import obey_sigterm

    interpreter.collect_seldom()
    obey_sigterm()
    from butler_workers.cli import main

    main(prog_name="butler-worker")


def refuse_hidden_package(command: str) -> None:
    """End the process, naming the file, where ``import butler`` would find something else."""
    spec = importlib.util.find_spec("butler")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if spec is None or any(Path(place, "app_loading.py").exists() for place in places):
        return
    sys.stderr.write(
        f"{command}: {spec.origin or places[0]} hides the package 'butler' from the processes "
        "started there: rename it (tasks.py, app.py, …)\n"
    )
    sys.exit(EXIT_HIDDEN)
