"""Every snippet of README.md and docs/ is run; `markdown_snippets` says what is done with each."""

import os
from pathlib import Path

import pytest
from command_lines import check_command
from markdown_snippets import matches, read_blocks
from run_page import run_page

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page, terminal, tmp_path):
    done = run_page(page, root=ROOT, folder=tmp_path, environment=terminal)
    assert done.returncode == 0, done.stderr


BROKEN = {
    "wrong output": ("```python\nprint(1)  # → 2\n```", "the page promises\n2"),
    "an error": ("```python\n1 / 0\n```", "ZeroDivisionError"),
    "a language that is left out": ("```\nx\n```", "language ''"),
    "an unknown directive": ("<!-- skip -->\n```python\nx\n```", "no directive"),
    "no reason": ("<!-- not run -->\n```python\nx\n```", "does not fit"),
    "a command of somebody else": ("```sh\npip install x\n```", "is not checked"),
    "an unknown option": ("```sh\nbutler-worker --queue a\n```", "No such option"),
    "an unknown command": ("```sh\nbutler migrat\n```", "no command 'butler migrat'"),
    "a command that fails": ("<!-- run -->\n```sh\nfalse\n```", "exit 1"),
    "a process that ends": (
        "<!-- run in background -->\n```sh\nfalse\n```\n<!-- run -->\n```sh\nsleep 1\n```",
        "ended with 1",
    ),
    "a file that is no JSON": ("```json\n{]\n```", "page.md:2"),
    "another JSON": (
        "<!-- run -->\n```sh\necho '[1]'\n```\n<!-- output -->\n```json\n[2]\n```",
        "the page promises\n[2]",
    ),
    "output of nothing": ("<!-- output -->\n```text\nx\n```", "output of nothing"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_page_that_does_not_is_found_out_with_its_line(text, expected, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n")
    done = run_page(page, folder=tmp_path, root=tmp_path, environment=dict(os.environ))
    assert done.returncode == 1
    assert "page.md:" in done.stderr
    assert expected in done.stderr


def test_a_file_and_its_snippets_share_a_folder_and_a_namespace(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- file: shop.py -->\n```python\nPRICE = 3\n```\n"
        "```python\nfrom shop import PRICE\n```\n"
        "```python\nprint(PRICE)  # → 3\n```\n"
        '<!-- run -->\n```sh\npython -c "import shop; print(shop.PRICE)"  # a comment\n```\n'
        "<!-- output -->\n```json\n 3\n```\n"
    )
    done = run_page(page, folder=tmp_path, root=tmp_path, environment=dict(os.environ))
    assert done.returncode == 0, done.stderr


def test_every_directive_of_a_page_stands_above_a_block():
    for page in PAGES:
        lines = page.read_text().splitlines()
        comments = [n for n, line in enumerate(lines) if line.startswith("<!--")]
        assert [n for n in comments if not lines[n + 1].startswith("```")] == []


NOT_RUN = {
    "needs APScheduler",
    "it would install packages",
    "needs Celery",
    "needs Dramatiq",
    "needs a web framework",
    "needs an application's models",
    "needs asyncpg and its connection",
    "runs until it is stopped",
    "shows what is raised",
    "what is printed has its own ids and times",
    "it installs",
    "it serves until it is stopped",
    "no scheduler leads here, so it ends with 2",
}


def test_only_what_cannot_run_here_is_not_run():
    left_out = {
        block.argument
        for page in PAGES
        for block in read_blocks(page, root=ROOT)
        if block.directive == "not run"
    }
    assert left_out <= NOT_RUN


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb", "a  \nb\n", True),
        ("a … d", "a b\nc d", True),
        ("a … d", "a b c", False),
        ("a.c", "abc", False),
        ("a", "a\nb", False),
    ],
)
def test_an_ellipsis_stands_for_anything_and_nothing_else_does(expected, printed, same):
    assert matches(expected, printed) is same


def test_variables_before_a_command_and_makes_targets_are_understood():
    check_command("BUTLER_APP=a:b butler-worker --queues a,b", ROOT)
    check_command("make test ARGS=-x", ROOT)
    with pytest.raises(ValueError, match="no target tset"):
        check_command("make tset", ROOT)
