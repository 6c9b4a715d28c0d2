"""The single insert goes to libpq itself, and leaves its caller the time that the commit takes."""

import psycopg
import pytest
from postgres_scenes import LossyProxy, insert_many, new_execution

from butler.errors import EnqueueUnknown, InvalidOption
from butler.executions import ExecutionStatus
from butler.storage.postgres import PostgresStorage


@pytest.fixture
def storage(database_url):
    storage = PostgresStorage(database_url, pool_size=1)
    yield storage
    storage.close()


@pytest.fixture
def proxy(database_url):
    proxy = LossyProxy(database_url)
    yield proxy
    proxy.close()


@pytest.fixture
def behind_proxy(proxy):
    """A storage whose replies can get lost; one connection, so that the next reply is ours."""
    storage = PostgresStorage(proxy.url, command_timeout_s=20, pool_size=1)
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
    (reply,) = storage.insert_meanwhile([new], lambda: seen.append("meanwhile"))
    assert (reply.id, reply.created, reply.status) == (new.id, True, ExecutionStatus.QUEUED)
    assert seen == ["meanwhile"]


def test_a_lost_reply_is_repeated_without_calling_anybody_twice(behind_proxy, proxy):
    insert_many(behind_proxy, 1)
    proxy.swallow_replies = 1
    new = new_execution()
    seen = []

    (reply,) = behind_proxy.insert_meanwhile([new], lambda: seen.append("meanwhile"))

    assert proxy.swallow_replies == 0
    assert (reply.id, reply.created) == (new.id, True)
    assert seen == ["meanwhile"]


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


def test_a_batch_of_one_kind_is_written_as_it_is(storage, database_url):
    shared = {"user_id": "jane", "tags": ("a", 'b"c'), "timeout_s": 2.5, "fingerprint": "f00d"}
    batch = [new_execution(request=f'{{"text": "{text}"}}', **shared) for text in ("a,b", "{}ü")]
    batch.append(new_execution(request=None, **shared))
    replies = storage.insert(batch)
    assert [(r.id, r.created, r.status) for r in replies] == [
        (new.id, True, ExecutionStatus.QUEUED) for new in batch
    ]
    for new, request in zip(batch, ({"text": "a,b"}, {"text": "{}ü"}, None), strict=True):
        row = written(database_url, new.id)
        assert (row["request"], row["status"]) == (request, "queued")
        for name in ("user_id", "timeout_s", "fingerprint"):
            assert row[name] == shared[name], name
        assert tuple(row["tags"]) == shared["tags"]


def test_a_batch_whose_reply_was_lost_is_written_once(behind_proxy, proxy, database_url):
    insert_many(behind_proxy, 2)
    batch = [new_execution() for _ in range(3)]
    proxy.swallow_replies = 1
    seen = []

    replies = behind_proxy.insert_meanwhile(batch, lambda: seen.append("meanwhile"))

    assert proxy.swallow_replies == 0
    assert [(r.id, r.created) for r in replies] == [(new.id, True) for new in batch]
    assert seen == ["meanwhile"]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM butler.executions").fetchone() == (5,)


def test_what_was_written_before_does_not_keep_its_batch_from_being_written(storage):
    batch = [new_execution() for _ in range(3)]
    storage.insert(batch[1:2])
    assert [reply.created for reply in storage.insert(batch)] == [True, True, True]


def test_a_request_larger_than_the_socket_takes_at_once_arrives(storage, database_url):
    text = "x" * 3_000_000
    batch = [new_execution(request=f'"{text}"') for _ in range(2)]
    storage.insert(batch)
    assert written(database_url, batch[1].id)["request"] == text


def test_each_way_of_writing_many_leaves_its_caller_the_time(storage):
    seen = []
    for batch in (
        [new_execution(), new_execution(user_id="jane")],
        [new_execution(unique_key="a"), new_execution()],
        [new_execution(delay_s=60)],
    ):
        storage.insert_meanwhile(batch, lambda: seen.append("meanwhile"))
    assert seen == ["meanwhile"] * 3


def test_a_server_that_stands_still_in_mid_insert_is_given_up_in_time(database_url):
    storage = PostgresStorage(database_url, command_timeout_s=0.5)
    insert_many(storage, 1)
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE butler.executions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(EnqueueUnknown):
            storage.insert([new_execution()])
    assert storage.insert([new_execution()])[0].created
    storage.close()
