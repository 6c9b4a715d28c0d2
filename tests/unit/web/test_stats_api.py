from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from butler.errors import TaskFailed

STATS = "/api/v1/stats"


@pytest.fixture
def ended(butler):
    """Two that succeeded on the queue mail, and one that failed on another."""

    @butler.task(queue="other")
    def fail(secret: dict[str, str]) -> None:
        raise ValueError(f"no luck with {secret['password']}")

    sent = [butler.enqueue("send", {"to": to}) for to in ("ada", "bob")]
    failed = butler.enqueue("fail", {"password": "s3cret-value"}, max_attempts=1)
    with butler.worker():
        for handle in sent:
            handle.result(timeout_s=60)
        with pytest.raises(TaskFailed):
            failed.result(timeout_s=60)


@pytest.mark.parametrize(
    ("params", "counts"),
    [
        ({}, (3, 2, 1)),
        ({"last_s": 60}, (3, 2, 1)),
        ({"queue": "mail"}, (2, 2, 0)),
        ({"task": "fail"}, (1, 0, 1)),
    ],
)
def test_a_summary_counts_what_ended(client, ended, params, counts):
    found = client("viewer").get(f"{STATS}/summary", params=params).json()
    assert (found["ended"], found["succeeded"], found["failed"]) == counts
    assert found["run"]["p95_s"] >= 0


def test_a_series_has_the_empty_steps_too(client, ended):
    found = client("viewer").get(f"{STATS}/timeseries", params={"last_s": 600}).json()["points"]
    assert len(found) in (10, 11)
    assert sum(point["ended"] for point in found) == 3
    days = {"step": "day", "last_s": 86_400 * 3}
    assert len(client("admin").get(f"{STATS}/timeseries", params=days).json()["points"]) in (3, 4)


def test_the_top_is_by_task_or_by_queue(client, ended):
    viewer = client("viewer")
    tasks = viewer.get(f"{STATS}/top", params={"order": "failed"}).json()["rows"]
    assert [row["name"] for row in tasks] == ["fail", "send"]
    queues = viewer.get(f"{STATS}/top", params={"by": "queue", "order": "ended", "limit": 1}).json()
    assert [row["name"] for row in queues["rows"]] == ["mail"]


def test_errors_are_grouped_and_tell_no_secret(client, butler, ended):
    viewer = client("viewer")
    [found] = viewer.get(f"{STATS}/errors").json()["errors"]
    assert (found["task"], found["type"], found["number"]) == ("fail", "ValueError", 1)
    assert found["message"] == "no luck with ***"
    butler.delete(found["execution_id"])
    [found] = viewer.get(f"{STATS}/errors", params={"task": "fail"}).json()["errors"]
    assert found["message"] is None


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("summary", {"last_s": 60, "since": "2026-01-01T00:00:00Z"}),
        ("summary", {"since": "2026-01-01T00:00:00"}),
        ("summary", {"last_s": 0}),
        ("summary", {"last_s": 1e12}),
        ("summary", {"since": "2999-01-01T00:00:00Z"}),
        ("timeseries", {"step": "second"}),
        ("timeseries", {"last_s": 86_400 * 2}),
        ("top", {"by": "user"}),
        ("top", {"limit": 1_001}),
        ("errors", {"order": "luck"}),
    ],
)
def test_a_window_that_cannot_be_is_refused(client, path, params):
    assert client("viewer").get(f"{STATS}/{path}", params=params).status_code == 422


def test_until_ends_a_window(client, ended):
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    params = {"last_s": 86_400, "until": hour_ago}
    assert client("viewer").get(f"{STATS}/summary", params=params).json()["ended"] == 0


def test_a_token_with_queues_sees_the_numbers_of_those_alone(client, ended):
    one = client("viewer", queues=["mail"])
    assert one.get(f"{STATS}/summary").json()["ended"] == 2
    assert one.get(f"{STATS}/summary", params={"queue": "other"}).status_code == 404
    assert [row["name"] for row in one.get(f"{STATS}/top").json()["rows"]] == ["send"]
    two = client("viewer", queues=["mail", "other"])
    assert two.get(f"{STATS}/summary").status_code == 403
    assert two.get(f"{STATS}/summary", params={"queue": "other"}).json()["ended"] == 1
    tagged = client("viewer", tags=["post"])
    assert tagged.get(f"{STATS}/summary", params={"queue": "mail"}).status_code == 403
    assert one.get(f"{STATS}/errors").status_code == 403
