"""How processes of ours set up the interpreter they run in."""

from __future__ import annotations

import subprocess
import sys


def test_collections_are_seldom_and_leave_what_is_there_at_the_end_alone() -> None:
    code = (
        "import atexit, gc\n"
        "def tell(): print(gc.get_threshold(), gc.get_freeze_count() > 1000)\n"
        "atexit.register(tell)\n"  # runs after what is registered later
        "from butler import interpreter\n"
        "interpreter.collect_seldom()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(10000, 20, 20) True\n"
