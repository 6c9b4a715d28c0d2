"""The old code in docs/migrating.md, which is not run, is Python all the same."""

from pathlib import Path

import pytest
from markdown_snippets import read_blocks

ROOT = Path(__file__).parents[2]
OLD = [
    block
    for block in read_blocks(ROOT / "docs" / "migrating.md", root=ROOT)
    if (block.language, block.directive) == ("python", "not run")
]


@pytest.mark.parametrize("block", OLD, ids=lambda block: block.argument)
def test_code_that_needs_what_is_not_installed_is_valid_all_the_same(block):
    compile(block.text, block.place, "exec")


def test_what_others_are_written_like_is_there():
    assert [block.argument for block in OLD] == [
        "needs Celery",
        "needs Dramatiq",
        "needs APScheduler",
    ]
