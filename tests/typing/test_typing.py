"""mypy and pyright infer ``Handle[Result]`` for each form of task, and refuse a wrong request.

mypy has nothing to say about the examples either.

``cases/good*.py`` must pass as they are; in ``cases/bad.py`` exactly the lines marked ``# error``
must fail. All run in a folder of their own, so that neither a configuration nor a cache of this
checkout decides.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES = Path(__file__).parent / "cases"
EXAMPLES = Path(__file__).parents[2] / "examples"
# Each folder with code of its own: example 07 has an application for each of two frameworks.
IN_PARTS = {"07_web_frameworks": ("fastapi_app", "django_site")}
TYPED = sorted(
    str(Path(path.name, part))
    for path in EXAMPLES.iterdir()
    if path.name[0].isdigit()
    for part in IN_PARTS.get(path.name, ("",))
)
# Django brings no types, and its stubs want a plugin that runs the project.
OPTIONS = {"07_web_frameworks/django_site": ["--disable-error-code=import-untyped"]}
GOOD = ("good.py", "good_client.py", "good_extending.py")
FILES = (*GOOD, "bad.py")

# Each checker runs once over the cases, in one process of the suite; the examples find what mypy
# has learned there of pydantic and of Butler.
pytestmark = [pytest.mark.xdist_group("typing"), pytest.mark.timeout(600)]


def marked_lines(name: str) -> set[int]:
    lines = (CASES / name).read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, start=1) if line.endswith("  # error")}


def run(command: list[str], *, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    # 0: nothing found, 1: errors found; anything else is a checker that did not run.
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(*files: str, folder: Path, cache: Path, more: Sequence[str] = ()) -> str:
    options = ["--strict", "--hide-error-context", "--no-error-summary", "--config-file="]
    options += [f"--cache-dir={cache}", *more]
    return run([sys.executable, "-m", "mypy", *options, *files], folder=folder)


def run_mypy(folder: Path, cache: Path) -> list[tuple[str, int, str]]:
    output = mypy(*FILES, folder=folder, cache=cache)
    found = re.findall(r"^(\w+\.py):(\d+): error: (.*)$", output, re.MULTILINE)
    return [(name, int(line), message) for name, line, message in found]


def run_pyright(folder: Path, cache: Path) -> list[tuple[str, int, str]]:
    config = {"include": list(FILES), "typeCheckingMode": "strict"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    report = json.loads(run(command, folder=folder))
    assert report["summary"]["filesAnalyzed"] == len(FILES)
    return [
        (Path(item["file"]).name, item["range"]["start"]["line"] + 1, item["message"])
        for item in report["generalDiagnostics"]
        if item["severity"] == "error"
    ]


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture(scope="module", params=[run_mypy, run_pyright], ids=["mypy", "pyright"])
def errors(request, tmp_path_factory, cache) -> dict[str, dict[int, str]]:
    """What a checker has to say, by file and line."""
    folder = tmp_path_factory.mktemp("typing")
    for case in CASES.glob("*.py"):
        shutil.copy(case, folder)
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for name, line, message in request.param(folder, cache):
        found[name][line] = message
    return found


def test_a_type_checker_infers_the_result_of_each_form_of_task(errors):
    assert {name: errors[name] for name in GOOD} == {name: {} for name in GOOD}


def test_a_type_checker_refuses_exactly_the_lines_that_are_wrong(errors):
    assert set(errors["bad.py"]) == marked_lines("bad.py"), errors["bad.py"]


# One after another: each has a module called tasks.
@pytest.mark.parametrize("name", TYPED)
def test_a_strict_type_checker_has_nothing_to_say_about_an_example(name, cache):
    more = OPTIONS.get(name, ())
    assert mypy(".", folder=EXAMPLES / name, cache=cache, more=more) == ""


def test_the_bad_cases_are_marked():
    assert len(marked_lines("bad.py")) > 30
