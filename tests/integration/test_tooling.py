"""The project's own tools do what CONTRIBUTING.md says of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_tool(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def run_pytest_without_skips(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sample.py").write_text(source)
    flags = ["-p", "tests.no_skips", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    return run_tool(sys.executable, "-m", "pytest", *flags, "-c", "/dev/null", folder)


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\ndef test_it(): pytest.skip('no server')",
        "import pytest\n@pytest.mark.skip(reason='no server')\ndef test_it(): pass",
        "import pytest\npytest.skip('no server', allow_module_level=True)",
    ],
    ids=["in the test", "by a mark", "a whole module"],
)
def test_a_skip_fails_the_run_in_ci_and_names_its_reason(tmp_path: Path, source: str) -> None:
    done = run_pytest_without_skips(tmp_path, source)
    assert done.returncode != 0
    assert "was skipped, and CI runs every test" in done.stdout
    assert "no server" in done.stdout


def test_a_run_without_a_skip_passes_in_ci(tmp_path: Path) -> None:
    done = run_pytest_without_skips(tmp_path, "def test_it(): pass")
    assert done.returncode == 0, done.stdout


def test_a_file_of_400_lines_is_too_long_and_one_of_399_is_not(tmp_path: Path) -> None:
    (tmp_path / "short.sql").write_text("\n" * 399)
    (tmp_path / "long.lua").write_text("\n" * 400)
    done = run_tool(sys.executable, ".ci/file_lengths.py", tmp_path)
    assert done.returncode == 1
    expected = f"{tmp_path}/long.lua: expected fewer than 400 lines, got 400; split it\n"
    assert done.stdout == expected


def test_make_help_describes_every_target() -> None:
    done = run_tool("make", "help")
    described = {line.split()[1] for line in done.stdout.splitlines() if len(line.split()) > 2}
    assert described >= {"help", "install", "demo", "test", "check", "bench"}
