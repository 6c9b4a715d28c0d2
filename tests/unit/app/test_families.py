"""Children and trees, and logs by their execution."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from butler import Butler
from butler.errors import ExecutionNotFound, InvalidOption
from butler.ids import new_id
from butler.storage.logs import LogLine
from butler.storage.records import NewExecution


@pytest.fixture
def butler():
    with Butler.in_memory() as butler:
        yield butler


def insert(butler, parent_id=None, *, task="t"):
    new = NewExecution(id=new_id(), task=task, queue="q", request=None, parent_id=parent_id)
    [inserted] = butler.storage.insert([new])
    return inserted.id


def shape(tree):
    """Ids in nested tuples, with an … where the tree was cut."""
    return (tree.id, *map(shape, tree.children), *(["…"] if tree.cut else []))


@pytest.fixture
def family(butler):
    """root, its children a and b, a's children c and d, c's child e."""
    root = insert(butler)
    a, b = insert(butler, root), insert(butler, root)
    c, d = insert(butler, a), insert(butler, a)
    return root, a, b, c, d, insert(butler, c)


def test_children_are_listed_newest_first_page_by_page(butler, family):
    root, a, b, *_ = family
    assert [child.id for child in butler.children(root).executions] == [b, a]
    first = butler.children(root, limit=1)
    assert [child.id for child in first.executions] == [b]
    second = butler.handle(root).children(cursor=first.next_cursor)
    assert [child.id for child in second.executions] == [a]


def test_a_tree_holds_all_generations_oldest_first(butler, family):
    root, a, b, c, d, e = family
    tree = butler.tree(root)
    assert shape(tree) == (root, (a, (c, (e,)), (d,)), (b,))
    assert [(depth, node.id) for depth, node in tree.walk()] == [
        (0, root),
        (1, a),
        (2, c),
        (3, e),
        (2, d),
        (1, b),
    ]
    assert shape(butler.tree(e)) == (e,)


def test_a_tree_of_few_generations_marks_who_has_more(butler, family):
    root, a, b, c, d, e = family
    assert shape(butler.tree(root, depth=1)) == (root, (a, "…"), (b,))
    assert shape(butler.tree(root, depth=2)) == (root, (a, (c, "…"), (d,)), (b,))
    assert shape(butler.tree(root, depth=3)) == (root, (a, (c, (e,)), (d,)), (b,))


def test_a_tree_of_few_executions_marks_where_some_are_left_out(butler, family):
    root, a, b, c, *_ = family
    assert shape(butler.tree(root, size=1)) == (root, "…")
    assert shape(butler.tree(root, size=2)) == (root, (a, "…"), "…")
    assert shape(butler.tree(root, size=4)) == (root, (a, (c, "…"), "…"), (b,))


def test_a_wide_tree_is_cut_at_its_size(butler):
    root = insert(butler)
    children = [insert(butler, root) for _ in range(1_005)]
    tree = butler.tree(root)
    assert [child.id for child in tree.children] == children[:999]
    assert tree.cut


def test_a_tree_tells_how_each_stands(butler):
    root = insert(butler, task="make")
    butler.cancel(root)
    tree = butler.tree(root)
    assert (tree.task, tree.status, tree.attempt, tree.progress) == ("make", "cancelled", 0, None)


@pytest.mark.parametrize("id_", ["0192f000-0000-7000-8000-000000000001", "nonsense"])
def test_there_is_no_tree_of_nothing(butler, id_):
    with pytest.raises(ExecutionNotFound):
        butler.tree(id_)
    assert butler.children(id_).executions == ()
    assert butler.logs(id_) == []


@pytest.mark.parametrize("bounds", [{"depth": 0}, {"depth": 101}, {"size": 0}, {"size": 1_001}])
def test_bounds_out_of_range_are_refused(butler, family, bounds):
    with pytest.raises(InvalidOption, match="must be in 1"):
        butler.tree(family[0], **bounds)


def test_coroutines_have_the_same_calls(butler, family):
    root, a, b, *_ = family
    line = LogLine(
        execution_id=root,
        attempt=1,
        number=1,
        at=datetime(2030, 1, 1, tzinfo=UTC),
        level=20,
        logger="x",
        message="hello",
    )
    butler.storage.write_logs([line])

    async def main():
        handle = butler.aio.handle(root)
        assert await butler.aio.logs(root) == await handle.logs() == [line]
        assert await handle.logs(after=line.id) == await butler.aio.logs(root, after=line.id) == []
        for page in (await handle.children(), await butler.aio.children(root)):
            assert [child.id for child in page.executions] == [b, a]
        assert await butler.aio.tree(root) == await butler.in_thread(lambda: butler.tree(root))

    asyncio.run(main())
