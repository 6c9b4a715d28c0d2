from __future__ import annotations

import pytest

JOBS = "/api/v1/recurring-jobs"
DAILY = {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}
NEW = {"name": "Nightly", "task": "send", "schedule": DAILY, "request": {"to": "a", "key": "hush"}}


@pytest.fixture
def job(operator):
    made = operator.post(JOBS, json=NEW)
    assert made.status_code == 201, made.text
    return made


def test_a_job_is_made_and_read_by_its_id_and_its_name(operator, job):
    made = job.json()
    assert job.headers["Location"] == f"{JOBS}/{made['id']}"
    for name in (made["id"], "Nightly"):
        found = operator.get(f"{JOBS}/{name}").json()
        assert found["request"] == {"to": "a", "key": "***"}
        assert found["schedule"]["expression"] == "30 2 * * *"
    assert operator.post(JOBS, json=NEW).status_code == 409


def test_of_two_who_change_a_job_at_once_the_second_is_told(operator, job):
    path = f"{JOBS}/{job.json()['id']}"
    tag = {"If-Match": job.headers["ETag"]}
    assert operator.patch(path, json={"jitter_s": 5}).status_code == 428
    changed = operator.patch(path, json={"jitter_s": 5}, headers=tag)
    assert (changed.status_code, changed.json()["jitter_s"]) == (200, 5.0)
    assert operator.patch(path, json={"jitter_s": 6}, headers=tag).status_code == 412
    assert operator.delete(path, headers=tag).status_code == 412
    assert operator.delete(path, headers={"If-Match": changed.headers["ETag"]}).status_code == 204


def test_a_secret_that_was_shown_masked_stays_when_it_comes_back(operator, butler, job):
    path = f"{JOBS}/{job.json()['id']}"
    change = {"request": {"to": "b", "key": "***"}}
    assert operator.patch(path, json=change, headers={"If-Match": "*"}).status_code == 200
    assert butler.recurring.get("Nightly").request == {"to": "b", "key": "hush"}


def test_a_job_is_paused_resumed_and_triggered(operator, butler, job):
    path = f"{JOBS}/{job.json()['id']}"
    assert operator.post(f"{path}/pause").json()["status"] == "paused"
    assert operator.get(f"{path}/health").json()["reason"].startswith("is paused")
    assert operator.post(f"{path}/resume").json()["status"] == "active"
    health = operator.get(f"{path}/health").json()
    assert (health["job"], health["level"], health["remedy"]) == ("Nightly", "healthy", None)
    assert (health["last_success_at"], health["consecutive_failures"]) == (None, 0)
    made = operator.post(f"{path}/trigger").json()["id"]
    other = {"request": {"to": "bob"}}
    assert operator.post(f"{path}/trigger", json=other).status_code == 202
    assert len(operator.get(f"{path}/history").json()["fires"]) == 2
    assert operator.get(f"{path}/stats").json()["fires"] == {"fired": 2}
    found = operator.get("/api/v1/executions", params={"recurring_job": "Nightly"}).json()
    assert made in [each["id"] for each in found["executions"]]


def test_fire_times_are_previewed_also_of_schedules_that_are_not_saved(operator, client, job):
    path = f"{JOBS}/{job.json()['id']}"
    assert len(operator.get(f"{path}/preview", params={"count": 3}).json()["fires"]) == 3
    viewer = client("viewer")
    asked = viewer.post(f"{JOBS}/preview", json={"schedule": DAILY, "count": 2})
    assert [fire["local"][11:16] for fire in asked.json()["fires"]] == ["02:30", "02:30"]
    bad = {"schedule": DAILY | {"expression": "x"}}
    assert viewer.post(f"{JOBS}/preview", json=bad).status_code == 422


def test_one_step_for_many_jobs(operator, job):
    step = {"action": "pause", "filter": {"task": "send"}, "dry_run": True}
    assert operator.post(f"{JOBS}/bulk", json=step).json()["done"] == ["Nightly"]
    assert operator.get(f"{JOBS}/Nightly").json()["status"] == "active"
    named = {"action": "pause", "jobs": ["Nightly", "gone"]}
    report = operator.post(f"{JOBS}/bulk", json=named).json()
    assert (report["done"], list(report["failed"])) == (["Nightly"], ["gone"])
    assert operator.post(f"{JOBS}/bulk", json={"action": "pause"}).status_code == 422


def test_a_job_outside_of_a_tokens_scope_does_not_exist_for_it(client, job):
    other = client("operator", queues=["default"])
    assert other.get(JOBS).json()["jobs"] == []
    assert other.get(f"{JOBS}/Nightly").status_code == 404
    assert other.post(f"{JOBS}/Nightly/trigger").status_code == 404
    report = other.post(f"{JOBS}/bulk", json={"action": "pause", "jobs": ["Nightly"]}).json()
    assert list(report["failed"]) == ["Nightly"]
    assert other.post(JOBS, json=NEW | {"name": "Mine"}).status_code == 403
    moved = NEW | {"name": "Mine", "queue": "default"}
    assert other.post(JOBS, json=moved).status_code == 201
