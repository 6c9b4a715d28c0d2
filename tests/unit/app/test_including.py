"""`Butler(include=...)`: modules that are imported when they are first needed, and not before."""

from __future__ import annotations

import importlib
import sys
import threading

import pytest

from butler.app import Butler
from butler.errors import AppNotFound, DefinitionError, TaskNotBound, UnknownTask

TASK = "from butler import task\n\n@task\ndef {name}() -> None: ...\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes modules into a folder that is on the path; forgets them afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(**files):
        for name, text in files.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            for folder in path.relative_to(tmp_path).parents:
                if folder.name:
                    (tmp_path / folder / "__init__.py").touch()
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        if name.split(".")[0] in {"shop", "billing"}:
            del sys.modules[name]


@pytest.fixture
def including(redis, storage):
    made = []

    def make(*include):
        made.append(Butler(include=include, redis=redis, storage=storage))
        return made[-1]

    yield make
    for butler in made:
        butler.close()


def names(butler):
    return [definition.name for definition in butler.tasks()]


def test_nothing_is_imported_by_the_constructor(project, including):
    project(shop__tasks="raise RuntimeError('imported')")
    butler = including("shop.tasks")
    assert "shop.tasks" not in sys.modules
    with pytest.raises(RuntimeError, match="imported"):
        butler.import_tasks()


def test_an_enqueue_by_name_imports_what_is_included(project, including):
    project(shop__tasks=TASK.format(name="ship"))
    assert including("shop.tasks").enqueue("ship").execution().task == "ship"


def test_a_bare_task_of_an_included_module_enqueues_itself_before_anything_was_imported(
    project, including
):
    project(shop__tasks=TASK.format(name="ship"))
    butler = including("shop.tasks")
    ship = importlib.import_module("shop.tasks").ship
    assert ship.enqueue().execution().task == "ship"
    assert names(butler) == ["ship"]


def test_the_app_and_its_tasks_may_import_each_other(project):
    project(
        shop__main=(
            "from butler.app import Butler\n"
            "from butler.in_memory import memory_redis\n"
            "from butler.storage.memory import MemoryStorage\n"
            "butler = Butler(\n"
            "    include=['shop.tasks'], redis=memory_redis(), storage=MemoryStorage()\n"
            ")\n"
            "import shop.tasks\n"
        ),
        shop__tasks=(
            "import shop.main\n"
            "from butler import task\n\n"
            "@task\ndef ship() -> None: ...\n\n"
            "def later(): return shop.main.butler.enqueue('ship')\n"
        ),
    )
    main = importlib.import_module("shop.main")
    with main.butler:
        assert sys.modules["shop.tasks"].later().created


def test_a_package_brings_its_tasks_modules_at_any_depth_and_no_others(project, including):
    project(
        billing__tasks=TASK.format(name="bill"),
        billing__refunds__tasks=TASK.format(name="refund"),
        billing__web="raise RuntimeError('not a tasks module')",
    )
    assert names(including("billing")) == ["bill", "refund"]


def test_a_package_called_tasks_brings_all_its_modules(project, including):
    project(
        shop__tasks__mail=TASK.format(name="mail"), shop__tasks__pdf__render=TASK.format(name="pdf")
    )
    assert names(including("shop")) == ["mail", "pdf"]
    assert names(including("shop.tasks")) == ["mail", "pdf"]


def test_packages_without_an_init_file_are_packages(project, including, tmp_path):
    project(billing__refunds__tasks=TASK.format(name="refund"))
    for init in tmp_path.rglob("__init__.py"):
        init.unlink()
    (tmp_path / "billing" / "not-a-package").mkdir()
    assert names(including("billing")) == ["refund"]


def test_tasks_that_a_module_only_imports_are_not_its_own(project, including):
    project(
        shop__tasks="from billing.tasks import bill\n" + TASK.format(name="ship"),
        billing__tasks=TASK.format(name="bill"),
    )
    assert names(including("shop.tasks")) == ["ship"]


def test_classes_are_found_unless_they_are_abstract_or_need_arguments(project, including):
    project(
        shop__tasks=(
            "from butler import Task\n"
            "class Base(Task[int, int]): ...\n"
            "class Ship(Base):\n    def execute(self, request, context): return 1\n"
            "class Mail(Base):\n"
            "    def __init__(self, host): ...\n"
            "    def execute(self, request, context): return 1\n"
        )
    )
    assert names(including("shop.tasks")) == ["Ship"]


def test_what_a_module_registers_with_another_butler_stays_there(project, including):
    project(
        shop__tasks=(
            "from butler import Butler, task\n"
            "other = Butler.in_memory()\n"
            "@other.task\ndef theirs() -> None: ...\n"
            "@task\ndef ours() -> None: ...\n"
        )
    )
    butler = including("shop.tasks")
    assert names(butler) == ["ours"]
    module = sys.modules["shop.tasks"]
    assert module.theirs.enqueue().created
    module.other.close()


def test_two_butlers_that_include_the_same_module_both_have_its_tasks_and_must_be_named(
    project, including
):
    project(shop__tasks=TASK.format(name="ship"))
    first, second = including("shop.tasks"), including("shop")
    assert names(first) == ["ship"]
    ship = sys.modules["shop.tasks"].ship
    with pytest.raises(TaskNotBound, match="2 Butlers: say which"):
        ship.enqueue()
    assert first.enqueue(ship).created
    assert second.enqueue(ship).created


def test_a_task_that_nobody_has_names_both_remedies(project):
    project(shop__tasks=TASK.format(name="ship"))
    ship = importlib.import_module("shop.tasks").ship
    with pytest.raises(TaskNotBound) as caught:
        ship.enqueue()
    for remedy in ("butler.register(ship)", "Butler(include=['shop.tasks'])"):
        assert remedy in str(caught.value)


def test_an_included_module_may_ask_for_tasks_while_it_is_imported(project, including):
    project(
        shop__tasks=(
            "import shop\nfrom butler.errors import UnknownTask\n"
            "try:\n    shop.butler.enqueue('nothing')\n"
            "except UnknownTask as error:\n    refused = error\n"
        ),
    )
    butler = including("shop.tasks")
    importlib.import_module("shop").butler = butler
    butler.import_tasks()
    assert isinstance(sys.modules["shop.tasks"].refused, UnknownTask)


def test_a_second_thread_waits_until_the_first_has_imported(project, including):
    project(
        shop__tasks="import shop\nshop.entered.set()\nassert shop.go_on.wait(10)\n"
        + TASK.format(name="ship")
    )
    shop = importlib.import_module("shop")
    shop.entered, shop.go_on = threading.Event(), threading.Event()
    butler = including("shop.tasks")
    first = threading.Thread(target=butler.import_tasks)
    first.start()
    assert shop.entered.wait(10)
    found = []
    second = threading.Thread(target=lambda: found.append(names(butler)))
    second.start()
    second.join(0.05)
    assert found == []
    shop.go_on.set()
    first.join(10)
    second.join(10)
    assert found == [["ship"]]


def test_a_module_that_is_not_there_is_named_and_tried_again(project, including):
    project(shop__main="")
    butler = including("shop.tasks")
    with pytest.raises(
        AppNotFound, match=r"no module named 'shop\.tasks' for include='shop.tasks'"
    ):
        butler.import_tasks()
    project(shop__tasks=TASK.format(name="ship"))
    assert names(butler) == ["ship"]


def test_what_an_included_module_itself_cannot_import_is_not_hidden(project, including):
    project(shop__tasks="import no_such_module_of_the_test")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_the_test"):
        including("shop.tasks").import_tasks()


def test_a_package_without_any_task_is_named(project, including):
    project(billing__web="")
    with pytest.raises(AppNotFound, match="include names the package 'billing'"):
        including("billing").import_tasks()


@pytest.mark.parametrize(
    ("include", "message"),
    [
        ("shop.tasks", r"write include=\['shop.tasks'\]"),
        (["shop/tasks.py"], r"names of modules, got 'shop/tasks.py'"),
        ([""], "names of modules, got ''"),
        ([None, 3], "names of modules, got 3"),
    ],
)
def test_an_include_that_can_never_work_is_refused_at_once(include, message):
    with pytest.raises(DefinitionError, match=message):
        Butler(include=include)
