"""Butler in a Django project: real Django, its settings, its command and its connections."""

import ast
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest

from butler import Butler

PROJECT = Path(__file__).parent / "django_project"
START = """
import django
django.setup()
from django.db import connection, connections, transaction
from butler.contrib.django import butler
from shop.models import Order
from shop.tasks import Packing, apack, backend, pack, pack_alone
"""
IN_A_TEST = """
import django
django.setup()
from django.db import transaction
from butler.testing import run_pending
from shop.models import Order
from shop.tasks import Packing, apack, pack


def test_only_a_blocking_task_is_in_the_transaction(butler):
    with transaction.atomic():
        order = Packing(order=Order.objects.create(item="book").id)
        packing, awaited = pack.enqueue(order), apack.enqueue(order)
        run_pending(butler)
        assert Order.objects.get(id=order.order).packed_by == packing.execution().result
        assert awaited.execution().error.type.endswith("DoesNotExist")
        transaction.set_rollback(True)
"""
TABLE = "CREATE TABLE shop_order (id bigserial PRIMARY KEY, item text NOT NULL, packed_by int)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The project; nothing that a test does is left in it."""
    return shutil.copytree(PROJECT, tmp_path_factory.mktemp("django") / "project")


@pytest.fixture
def environment(terminal, redis_url, database_url):
    kept = {k: v for k, v in terminal.items() if not k.startswith("BUTLER_")}
    return {
        **kept,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "PROJECT_REDIS_URL": redis_url,
        "PROJECT_DATABASE_URL": database_url,
    }


@pytest.fixture
def tables(redis_url, database_url):
    """Butler's tables, and the project's."""
    with Butler(redis_url, database_url) as butler, psycopg.connect(database_url) as connection:
        assert butler.storage.ledger_id()
        connection.execute(TABLE)


@pytest.fixture
def run(folder, environment):
    """Runs Python in the project's folder; returns what it printed."""

    def run(*arguments, code=0, **variables):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


@pytest.fixture
def script(run):
    """Runs lines after Django and the project's tasks were imported."""
    return lambda lines, **options: run("-c", START + textwrap.dedent(lines), **options)


def test_a_worker_of_manage_py_runs_the_tasks_of_every_app(run, script, tables):
    ids = script(
        """
        order = Order.objects.create(item="book")
        packing = Packing(order=order.id)
        for handle in pack.enqueue(packing), apack.enqueue(packing), pack_alone.enqueue(packing):
            print(handle.id)
        """
    ).split()
    run("manage.py", "butler", "worker", "--burst", "--processes", "1")
    results = script(f"print([butler.get(id_).result for id_ in {ids!r}])")
    pid, *items = json.loads(results.replace("'", '"'))
    assert pid > 0
    assert items == ["book", "book"]


def test_what_is_enqueued_in_an_atomic_block_commits_and_rolls_back_with_it(script, tables):
    printed = script(
        """
        def order(item):
            Order.objects.create(item=item)
            pack.enqueue(Packing(order=1), tags=[item], transaction=connection)

        with transaction.atomic():
            order("book")
        try:
            with transaction.atomic():
                order("pen")
                raise LookupError
        except LookupError:
            pass
        print([order.item for order in Order.objects.all()])
        print([tag for found in butler.list().executions for tag in found.tags])
        """
    )
    assert printed.splitlines() == ["['book']"] * 2


def test_an_attempt_in_a_thread_gets_a_connection_that_works(script, tables):
    printed = script(
        """
        from butler.contrib.django.connections import DjangoConnections

        def attempt(request, context):
            found = backend()
            connections["default"].close_at = 0 if request == "old" else None
            return found

        around = DjangoConnections()
        first = around.attempt("", None, attempt)
        again = around.attempt("old", None, attempt)
        after_it_grew_old = around.attempt("", None, attempt)
        with transaction.atomic():
            Order.objects.create(item="in a test's transaction")
            assert around.attempt("old", None, attempt) == after_it_grew_old
            assert Order.objects.count() == 1
        print(first == again, again == after_it_grew_old)
        """
    )
    assert printed == "True False\n"


def test_coroutines_query_side_by_side_and_leave_no_connection(script, tables):
    printed = script(
        """
        import asyncio, threading
        from asgiref.sync import sync_to_async
        from butler.contrib.django.connections import DjangoConnections

        met = threading.Barrier(3)

        def query():
            met.wait(60)  # three at a time, or never
            return backend()

        async def attempt(request, context):
            if request == "nothing":
                return threading.active_count()
            return await sync_to_async(query)()

        async def main():
            around, before = DjangoConnections(), threading.active_count()
            assert await around.aattempt("nothing", None, attempt) == before
            return await asyncio.gather(*(around.aattempt("", None, attempt) for _ in range(3)))

        print(len(set(asyncio.run(main()))))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE application_name = 'project' AND pid <> pg_backend_pid()"
            )
            print(cursor.fetchone()[0])
        """
    )
    assert printed.split() == ["3", "0"]


# Settings


def shown(run, **variables):
    """Each setting's value, as the command shows it."""
    return json.loads(run("manage.py", "butler", "config", "show", "--json", **variables))


def test_the_project_says_what_butler_needs(run, database_url):
    settings = shown(run)
    assert settings["retention_days"] == 7
    assert settings["app"] == "butler.contrib.django:butler"
    assert database_url.partition("?")[0].rpartition("/")[2] in settings["database_url"]
    own = shown(run, BUTLER_DATABASE_URL="postgresql:///elsewhere", BUTLER_RETENTION_DAYS="3")
    assert own["database_url"] == "postgresql:///elsewhere"
    assert own["retention_days"] == 7


def test_the_url_of_the_project_s_database_is_what_libpq_reads(script):
    printed = script(
        """
        from butler.contrib.django.configuration import project_database_url
        from psycopg.conninfo import conninfo_to_dict

        connections["default"].settings_dict.update(
            USER="me@shop", PASSWORD="p:/?#%w", NAME="a b", HOST="/var/run", PORT=6543,
            OPTIONS={"sslmode": "require", "isolation_level": 3, "pool": True},
        )
        print(conninfo_to_dict(project_database_url()))
        """
    )
    wanted = {"user": "me@shop", "password": "p:/?#%w", "dbname": "a b", "host": "/var/run"}
    assert ast.literal_eval(printed) == {**wanted, "port": "6543", "sslmode": "require"}


@pytest.mark.parametrize(
    ("butler", "said"),
    [
        ({"RETENTION_DAY": 1}, 'is no setting of Butler; did you mean "RETENTION_DAYS"?'),
        ({"RETENTION_DAYS": -1}, "retention_days"),
        ({"DATABASE": "nobody"}, "DATABASES has only 'default', 'other'"),
        ({"DATABASE": "other"}, "is SQLite: the ledger needs PostgreSQL"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(run, butler, said):
    stderr = run("manage.py", "butler", "tasks", "list", code=2, PROJECT_BUTLER=json.dumps(butler))
    assert said in stderr
    assert "Traceback" not in stderr


def test_the_tasks_of_every_installed_app_are_listed(run):
    listed = run("manage.py", "butler", "tasks", "list", "--settings", "project.settings")
    assert [line.split()[0] for line in listed.splitlines()[1:]] == ["apack", "pack", "pack_alone"]


def test_modules_are_found_where_manage_py_finds_them(run, tmp_path):
    for folder in "by_option", "by_variable":
        (tmp_path / folder / f"app_{folder}").mkdir(parents=True)
        (tmp_path / folder / f"app_{folder}" / "__init__.py").touch()
    listed = run(
        "manage.py", "butler", "tasks", "list", "--pythonpath", str(tmp_path / "by_option"),
        PYTHONPATH=str(tmp_path / "by_variable"),
        PROJECT_APPS='["butler.contrib.django", "app_by_option", "app_by_variable", "shop"]',
    )  # fmt: skip
    assert "pack_alone" in listed


def test_called_from_code_it_says_what_to_do_instead(script):
    printed = script(
        """
        from django.core.management import CommandError, call_command
        try:
            call_command("butler", "worker", "--burst")
        except CommandError as error:
            print(error)
        """
    )
    assert "run `manage.py butler worker --burst`" in printed


def test_in_a_test_s_transaction_a_blocking_task_sees_what_the_test_saved(run, folder, tables):
    (folder / "test_shop.py").write_text(IN_A_TEST)
    (folder / "pytest.ini").write_text("[pytest]\nbutler_app = butler.contrib.django:butler\n")
    run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py", PYTHONPATH=".")


def test_a_project_without_the_app_is_told_to_install_it(run, folder):
    stderr = run("-m", "butler_workers", "--app", "butler.contrib.django:butler", code=3,
                 PROJECT_APPS='["shop"]')  # fmt: skip
    assert "add 'butler.contrib.django' to INSTALLED_APPS" in stderr


def test_a_command_that_does_not_know_the_project_says_how_to_start_it(run):
    stderr = run("-m", "butler", "tasks", "list", "--app", "butler.contrib.django:butler", code=2,
                 DJANGO_SETTINGS_MODULE="")  # fmt: skip
    assert "run the command as `python manage.py butler ...`" in stderr


def test_importing_it_loads_no_django(environment):
    code = "import butler.contrib.django, sys; print('django' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout == "False\n"
