from __future__ import annotations

import re

from butler.monitoring.metrics import CONTENT_TYPE


def numbers(answer):
    """Each sample of an exposition, by its name and labels."""
    assert answer.status_code == 200
    lines = (line.rpartition(" ") for line in answer.text.splitlines() if line[0] != "#")
    return {name: float(value) for name, _, value in lines}


def test_requests_are_counted_by_resource_and_outcome(client):
    viewer, stranger = client("viewer"), client()
    viewer.get("/api/v1/executions")
    viewer.get("/api/v1/executions/nothing")
    viewer.get("/api/v1/nowhere")
    stranger.get("/api/v1/tasks")
    stranger.get("/healthz")
    answer = viewer.get("/metrics")
    assert answer.headers["Content-Type"] == CONTENT_TYPE
    found = numbers(answer)
    assert {name: n for name, n in found.items() if name.startswith("butler_web_requests_t")} == {
        'butler_web_requests_total{resource="executions",outcome="answered"}': 1,
        'butler_web_requests_total{resource="executions",outcome="refused"}': 1,
        'butler_web_requests_total{resource="none",outcome="refused"}': 1,
        'butler_web_requests_total{resource="probes",outcome="answered"}': 1,
        'butler_web_requests_total{resource="tasks",outcome="refused"}': 1,
    }
    assert found['butler_web_request_seconds_count{resource="executions"}'] == 2
    assert found["butler_web_strangers_total"] == 1
    assert found["butler_web_requests_in_flight"] == 1


def test_what_fails_is_told_apart_from_what_is_refused(client, butler, monkeypatch):
    def broken(query):
        raise RuntimeError

    monkeypatch.setattr(butler.storage, "find", broken)
    viewer = client("viewer")
    assert viewer.get("/api/v1/executions").status_code == 500
    found = numbers(viewer.get("/metrics"))
    assert found['butler_web_requests_total{resource="executions",outcome="failed"}'] == 1


def test_a_path_that_a_caller_made_up_is_no_label(client):
    viewer = client("viewer")
    viewer.get("/api/v1/executions/made-up-by-me")
    viewer.get("/made-up-by-me")
    assert "made-up" not in viewer.get("/metrics").text


def test_metrics_are_for_viewers_that_are_bound_to_nothing(client):
    assert client().get("/metrics").status_code == 401
    assert client("viewer", queues=["mail"]).get("/metrics").status_code == 403
    names = re.findall(r"^# TYPE (\w+)", client("viewer").get("/metrics").text, re.MULTILINE)
    assert names == sorted(set(names), key=names.index)
