"""The single insert goes to libpq itself, and leaves its caller the time that the commit takes."""

import psycopg
import pytest
from postgres_scenes import LossyProxy, insert_many, new_execution

from butler.errors import InvalidOption
from butler.executions import ExecutionStatus
from butler.storage.postgres import PostgresStorage


@pytest.fixture
def storage(database_url):
    storage = PostgresStorage(database_url, pool_size=1)
    yield storage
    storage.close()


def written(database_url, execution_id):
    """The row's columns, by name."""
    with psycopg.connect(database_url, row_factory=psycopg.rows.dict_row) as connection:
        query = "SELECT * FROM butler.executions WHERE id = %s"
        return connection.execute(query, [execution_id]).fetchone()


def test_the_time_of_the_commit_is_the_callers(storage):
    new = new_execution()
    seen = []
    reply = storage.insert_meanwhile(new, lambda: seen.append("meanwhile"))
    assert (reply.id, reply.created, reply.status) == (new.id, True, ExecutionStatus.QUEUED)
    assert seen == ["meanwhile"]


def test_a_lost_reply_is_repeated_without_calling_anybody_twice(database_url):
    proxy = LossyProxy(database_url)
    storage = PostgresStorage(proxy.url, command_timeout_s=20, pool_size=1)
    insert_many(storage, 1)
    proxy.swallow_replies = 1
    new = new_execution()
    seen = []

    reply = storage.insert_meanwhile(new, lambda: seen.append("meanwhile"))

    assert proxy.swallow_replies == 0
    assert (reply.id, reply.created) == (new.id, True)
    assert seen == ["meanwhile"]
    storage.close()
    proxy.close()


def test_a_statement_that_the_session_has_forgotten_is_sent_whole(storage):
    insert_many(storage, 1)
    with storage._connections._pool().connection() as connection:
        connection.execute("DEALLOCATE ALL")
    assert storage.insert([new_execution()])[0].created


def test_each_value_arrives_in_its_own_column(storage, database_url):
    new = new_execution(
        task='50 % "off"',
        request='{"text": "ünï 😀 %s"}',
        timeout_s=1.5,
        user_id="jane",
        tags=("a", 'b"c', "d\\e"),
        fingerprint="f00d",
        traceparent="00-1-2-03",
    )
    storage.insert([new])
    row = written(database_url, new.id)
    assert row["request"] == {"text": "ünï 😀 %s"}
    for name in ("task", "queue", "timeout_s", "user_id", "fingerprint", "traceparent"):
        assert row[name] == getattr(new, name), name
    assert row["tags"] == list(new.tags)
    assert row["max_attempts"] == new.max_attempts


@pytest.mark.parametrize("text", ["cut\0off", "\ud800"])
def test_text_that_libpq_would_cut_off_is_refused(storage, database_url, text):
    new = new_execution(user_id=text)
    with pytest.raises(InvalidOption, match="NUL"):
        storage.insert([new])
    assert written(database_url, new.id) is None
