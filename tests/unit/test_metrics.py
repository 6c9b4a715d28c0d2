"""Every metric is documented, and what is drawn and alerted on is there; counters never fall."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from butler_scheduler.exporter import READ_EVERY_S, Exporter
from butler_scheduler.probing import SchedulerHealth
from butler_workers.probing import SupervisorHealth
from ruamel.yaml import YAML
from scheduler_kit import Bench

from butler import lifecycle
from butler.clock import ManualClock
from butler.executions import ErrorRecord
from butler.histograms import Histogram
from butler.ids import new_id, new_token
from butler.monitoring import ledger_metrics
from butler.monitoring.ledger_metrics import LedgerMetrics
from butler.monitoring.metrics import Metric, exposition, histogram_samples
from butler.storage.memory import MemoryStorage
from butler.storage.records import Claim, NewExecution, WorkerRegistration
from butler.web.request_metrics import RequestMetrics

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text())
RULES = YAML(typ="safe").load(ROOT / "deploy" / "prometheus-rules.yml")["groups"]
BOOM = ErrorRecord(type="ValueError", message="boom")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SUFFIXES = ("_bucket", "_sum", "_count")


class Scene:
    """A ledger in which executions end, and its metrics."""

    def __init__(self):
        self.clock = ManualClock(NOON)
        self.storage = MemoryStorage(clock=self.clock)
        self.worker = WorkerRegistration(
            id=new_id(),
            name="w",
            host="alpha",
            pid=1,
            supervisor_id=new_id(),
            queues=("q",),
            tasks=(),
            concurrency=1,
        )
        self.storage.register_worker(self.worker)
        self.ledger = LedgerMetrics(self.storage, clock=self.clock)

    def end(self, task="t", *, fails=False, run_s=2.0):
        id_ = new_id()
        self.storage.insert([NewExecution(id=id_, task=task, queue="q", request=None)])
        claim = Claim(worker_id=self.worker.id, token=new_token(), ids=(id_,))
        [claimed] = self.storage.claim(claim).won
        self.clock.advance(run_s)
        ended = lifecycle.fail(claimed, error=BOOM) if fails else None
        self.storage.finish([ended or lifecycle.succeed(claimed, result=None)])

    def read(self):
        self.ledger.refresh()
        return {metric.name: metric for metric in self.ledger.metrics()}

    def value(self, name, **labels):
        return sum(
            sample.value
            for sample in self.read()[name].samples
            if labels.items() <= sample.labels.items()
        )


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def everything(scene):
    """All metrics that there are, by name."""
    scene.end()
    scheduler = SchedulerHealth(list, leads=bool, ledger=tuple, clock=scene.clock)
    worker = SupervisorHealth({}, slots=1, lease_s=1)
    web = RequestMetrics()
    web.answered("executions", status=200, took_s=0.1)
    found = [
        *scheduler.metrics(),
        *worker.metrics(),
        *scene.read().values(),
        *web.metrics(streams=0),
    ]
    assert len({metric.name for metric in found}) == len(found)
    return {metric.name: metric for metric in found}


def documented():
    rows = re.findall(
        r"^\| `(butler_\w+)` \| (\w+) \| (.*?) \|",
        (ROOT / "docs/metrics.md").read_text(),
        re.MULTILINE,
    )
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_every_metric_is_documented_with_its_kind(everything):
    kinds = {name: kind for name, (kind, _) in documented().items()}
    assert {name: metric.kind for name, metric in everything.items()} == kinds


def test_labels_are_those_documented_and_no_others(everything):
    for name, (_, labels) in documented().items():
        assert labels <= {"task", "queue", "outcome", "host", "resource"}
        for sample in everything[name].samples:
            assert set(sample.labels) - {"le"} == labels, name


def test_names_follow_the_conventions(everything):
    for name, metric in everything.items():
        assert name.startswith("butler_")
        assert (metric.kind == "counter") == name.endswith("_total"), name
        assert metric.help.endswith("."), name


def names_in(expression):
    for name in re.findall(r"\bbutler_\w+", expression):
        base = next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), name)
        yield base if base in documented() else name


def expressions():
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    queries = [v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query"]
    return [*panels, *queries, *(rule["expr"] for group in RULES for rule in group["rules"])]


@pytest.mark.parametrize("expression", expressions())
def test_what_is_drawn_and_alerted_on_is_a_metric(expression):
    assert set(names_in(expression)) <= set(documented())
    assert list(names_in(expression)) != []
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)
    for outcome in re.findall(r'outcome=~?"([^"]+)"', expression):
        assert set(outcome.split("|")) <= {*lifecycle_outcomes()}


def lifecycle_outcomes():
    from butler.storage.stats import Ending

    return [ending.value for ending in Ending]


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
        assert panel["description"].endswith(".")
        assert panel["datasource"]["uid"] == "${datasource}"


def test_rules_say_what_how_bad_and_what_to_do():
    names = [rule["alert"] for group in RULES for rule in group["rules"]]
    assert len(set(names)) == len(names)
    for group in RULES:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert set(rule["annotations"]) == {"summary", "description"}
            assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


def test_each_rule_of_prometheus_is_tried_when_it_holds_and_when_all_is_well():
    tests = YAML(typ="safe").load(ROOT / "deploy" / "prometheus-rules-test.yml")["tests"]
    names = {rule["alert"] for group in RULES for rule in group["rules"]}
    tried = [
        (case["alertname"], "exp_alerts" in case) for t in tests for case in t["alert_rule_test"]
    ]
    assert {name for name, holds in tried if holds} == names
    assert {case["alertname"] for case in tests[0]["alert_rule_test"]} == names
    assert not any("exp_alerts" in case for case in tests[0]["alert_rule_test"])
    for test in tests:
        for series in test["input_series"]:
            assert set(names_in(series["series"])) <= set(documented())


def test_the_ledgers_metrics_count_what_ended(scene):
    scene.end("a", run_s=2)
    scene.end("a", fails=True)
    scene.end("b")
    assert scene.value("butler_executions_total", task="a", outcome="succeeded") == 1
    assert scene.value("butler_attempts_total", outcome="failed") == 1
    assert scene.value("butler_attempt_run_seconds", task="a", le="2.5") == 2
    assert scene.value("butler_attempt_run_seconds", task="a", le="1") == 0
    assert scene.value("butler_queue_workers", queue="q") == 1
    assert scene.value("butler_workers", host="alpha") == 1


def test_counters_never_fall_as_days_pass_and_statistics_go(scene):
    epoch = scene.storage.take_leadership("us", observed=scene.storage.leadership())
    seen = []
    for _ in range(100):
        scene.end()
        seen.append(scene.value("butler_executions_total"))
        scene.clock.advance(86_400)
        scene.storage.prune_stats(epoch=epoch, limit=1_000)
    assert seen == list(range(1, 101))


def test_tasks_beyond_the_first_five_hundred_are_one(scene, monkeypatch):
    monkeypatch.setattr(ledger_metrics, "MAX_TASKS", 2)
    for task in "cab":
        scene.end(task)
    assert scene.value("butler_executions_total", task="_other") == 1
    scene.end("aa")
    scene.end("a")
    assert scene.value("butler_executions_total", task="_other") == 2
    assert scene.value("butler_executions_total", task="a") == 2


def test_a_histogram_is_cumulative_and_ends_with_all():
    histogram = Histogram.of([0.001, 0.2, 0.2, 9_000])
    samples = list(histogram_samples(histogram, total_s=9_000.401, labels={"task": "t"}))
    text = exposition([Metric("x_seconds", "histogram", "X.", tuple(samples))])
    lines = text.splitlines()[2:]
    assert lines[0] == 'x_seconds_bucket{task="t",le="0.005"} 1'
    assert 'x_seconds_bucket{task="t",le="0.25"} 3' in lines
    assert lines[-3:] == [
        'x_seconds_bucket{task="t",le="+Inf"} 4',
        'x_seconds_sum{task="t"} 9000.401',
        'x_seconds_count{task="t"} 4',
    ]


def test_the_ledger_is_read_while_somebody_asks_and_shown_by_the_leader_alone():
    bench = Bench()
    exporter = Exporter(bench.ledger, leader=bench.leader, clock=bench.clock)
    bench.tick(exporter)
    assert "picture" not in bench.ledger.calls
    assert exporter.metrics() == []
    assert bench.tick(exporter) == READ_EVERY_S
    assert len(exporter.metrics()) > 1
    bench.clock.advance(61)
    assert exporter.metrics() == []
    standby = Bench(leading=False)
    exporter = Exporter(standby.ledger, leader=standby.leader, clock=standby.clock)
    exporter.metrics()
    standby.tick(exporter)
    assert exporter.metrics() == []
