"""The pytest plugin, in sessions of its own as a user has them."""

import os
import subprocess
import sys

import pytest

TASKS = """
from butler import Butler
butler = Butler()

@butler.task
def double(request: int) -> int:
    return 2 * request
"""


@pytest.fixture
def run_pytest(tmp_path):
    def run(test, *options, ini=""):
        (tmp_path / "tasks.py").write_text(TASKS)
        (tmp_path / "test_it.py").write_text(test)
        (tmp_path / "pytest.ini").write_text(
            f"[pytest]\npythonpath = .\nfilterwarnings = error\n{ini}\n"
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BUTLER_")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *options],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_fixture_is_an_empty_butler_in_memory(run_pytest):
    done = run_pytest(
        "from butler import task\n"
        "from butler.testing import run_pending\n"
        "@task\n"
        "def work(request: int) -> int:\n    return request\n"
        "def test_one(butler):\n"
        "    assert butler.tasks() == []\n"
        "    butler.register(work)\n"
        "    work.enqueue(1)\n"
        "    assert run_pending(butler)[0].result == 1\n"
        "def test_two(butler):\n"
        "    assert butler.list().executions == ()\n"
        "    with butler.worker():\n"
        "        assert butler.enqueue(butler.register(work), 2).result(timeout_s=10) == 2\n"
    )
    assert "2 passed" in done.stdout, done.stdout


def test_the_fixture_is_the_applications_own_butler_where_it_is_named(run_pytest):
    done = run_pytest(
        "from butler.testing import run_pending\n"
        "from tasks import double\n"
        "def test_one(butler):\n"
        "    double.enqueue(4)\n"
        "    assert run_pending(butler)[0].result == 8\n"
        "def test_two(butler):\n"
        "    assert run_pending(butler) == []\n",
        ini="butler_app = tasks:butler",
    )
    assert "2 passed" in done.stdout, done.stdout


def test_a_fixture_of_the_users_own_comes_first(run_pytest):
    done = run_pytest(
        "import pytest\n"
        "@pytest.fixture\n"
        "def butler():\n    return 'mine'\n"
        "def test_one(butler):\n    assert butler == 'mine'\n"
    )
    assert "1 passed" in done.stdout, done.stdout


def test_a_wrong_setting_says_where_it_looked(run_pytest):
    done = run_pytest("def test_one(butler): ...\n", ini="butler_app = nowhere:butler")
    assert "no module named 'nowhere'" in done.stdout


def test_a_session_that_does_not_use_it_loads_nothing_of_butler_but_its_name(run_pytest):
    done = run_pytest(
        "import sys\n"
        "def test_one():\n"
        "    loaded = {name for name in sys.modules if name.startswith('butler')}\n"
        "    assert loaded == {'butler', 'butler.testing', 'butler.testing.plugin'}\n"
        "    assert not {'redis', 'rq', 'psycopg', 'pydantic', 'click'} & set(sys.modules)\n",
        # Whatever else is installed here has its own reasons.
        "-p",
        "no:cacheprovider",
    )
    assert "1 passed" in done.stdout, done.stdout
