"""The table in the docs is what the rules and their messages are."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_table_in_the_docs_is_made_of_the_built_in_rules():
    command = [sys.executable, ROOT / ".ci" / "alert_table.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
