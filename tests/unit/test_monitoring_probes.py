"""Probes and their numbers, over a real socket on loopback."""

import urllib.error
import urllib.request

import pytest

from butler.errors import SettingsError
from butler.monitoring.metrics import Sample, counter, exposition, gauge
from butler.monitoring.probes import Probed, ProbeServer, Verdict


@pytest.fixture
def server():
    servers = []

    def start(*, live=Verdict(True), ready=Verdict(True), metrics=()):
        probed = Probed(live=lambda: live, ready=lambda: ready, metrics=lambda: metrics)
        started = ProbeServer(probed, host="127.0.0.1", port=0)
        started.start()
        servers.append(started)
        return f"http://127.0.0.1:{started.port}"

    yield start
    for started in servers:
        started.stop()


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_probe_that_passes_answers_200(server):
    assert get(f"{server()}/livez") == (200, "ok\n")


def test_a_probe_that_fails_answers_503_with_the_reason(server):
    url = server(ready=Verdict(False, "no child serves"))
    assert get(f"{url}/readyz") == (503, "no child serves\n")
    assert get(f"{url}/livez") == (200, "ok\n")


def test_another_path_says_which_there_are(server):
    assert get(f"{server()}/")[0] == 404


def test_metrics_are_in_prometheus_form(server):
    url = server(metrics=(gauge("butler_slots", "Slots.", 16, worker="a"),))
    expected = (
        '# HELP butler_slots Slots.\n# TYPE butler_slots gauge\nbutler_slots{worker="a"} 16\n'
    )
    assert get(f"{url}/metrics") == (200, expected)


def test_labels_and_help_cannot_forge_a_line():
    forged = counter("x_total", 'a\n"b"', [Sample(1.5, {"task": 'evil"} 1\nup 1\\'})])
    assert exposition([forged]).splitlines() == [
        r"# HELP x_total a\n\"b\"",
        "# TYPE x_total counter",
        r'x_total{task="evil\"} 1\nup 1\\"} 1.5',
    ]


def test_a_port_in_use_is_a_clear_error(server):
    port = int(server().rsplit(":", 1)[1])
    probed = Probed(live=Verdict, ready=Verdict, metrics=tuple)
    with pytest.raises(SettingsError, match=rf"cannot serve probes on 127\.0\.0\.1:{port}"):
        ProbeServer(probed, host="127.0.0.1", port=port)
