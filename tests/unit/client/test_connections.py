"""What happens to connections: answers that are lost, threads, forks, loops and closing."""

from __future__ import annotations

import os
import sys

import httpx
import pytest
from a2wsgi import ASGIMiddleware

from butler.client import AsyncButlerClient, ButlerClient
from butler.errors import ApiUnavailable, InvalidOption, SettingsError


class Forgetful(httpx.BaseTransport):
    """Does what is asked, and loses the first answers."""

    def __init__(self, app, losses):
        self._transport = httpx.WSGITransport(ASGIMiddleware(app))
        self.losses = losses

    def handle_request(self, request):
        response = self._transport.handle_request(request)
        if self.losses:
            self.losses -= 1
            response.read()
            raise httpx.ReadError("connection reset by peer")
        return response


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("butler.client.exchange.FIRST_PAUSE_S", 0)


def test_an_enqueue_whose_answer_is_lost_is_done_once(app, token, butler):
    http = httpx.Client(transport=Forgetful(app, losses=3))
    client = ButlerClient("http://jobs", token, http=http)
    handle = client.enqueue("pay", 1)
    assert handle.created
    assert [each.id for each in butler.list().executions] == [handle.id]


def test_another_process_repeats_with_a_key_of_its_own_choice(app, token, butler):
    forgetful = Forgetful(app, losses=1)
    client = ButlerClient("http://jobs", token, retries=0, http=httpx.Client(transport=forgetful))
    with pytest.raises(ApiUnavailable) as lost:
        client.enqueue("pay", 1, idempotency_key="order-7")
    assert lost.value.idempotency_key == "order-7"
    handle = client.enqueue("pay", 1, idempotency_key="order-7")
    assert [each.id for each in butler.list().executions] == [handle.id]


def test_a_delete_whose_answer_is_lost_is_no_error(app, token, butler):
    client = ButlerClient("http://jobs", token, http=httpx.Client(transport=Forgetful(app, 0)))
    id_ = client.enqueue("pay", 1).id
    client.cancel(id_)
    client = ButlerClient("http://jobs", token, http=httpx.Client(transport=Forgetful(app, 1)))
    client.delete(id_)
    assert butler.get(id_) is None


def test_nothing_is_connected_before_it_is_needed_and_closing_twice_is_fine():
    client = ButlerClient("http://127.0.0.1:9")
    client.close()
    with client, pytest.raises(ApiUnavailable, match="ConnectError"):
        client.me()
    client.close()


def test_a_client_makes_connections_of_its_own_after_a_fork():
    client = ButlerClient("http://127.0.0.1:9")
    before = client.driver._http
    assert client.driver._http is before
    child = os.fork()
    if child == 0:
        os._exit(client.driver._http is before)
    assert os.waitpid(child, 0)[1] == 0
    client.close()


def test_an_http_client_of_the_callers_own_stays_open(app, token):
    with httpx.Client(transport=httpx.WSGITransport(ASGIMiddleware(app))) as http:
        ButlerClient("http://jobs", token, http=http).close()
        assert not http.is_closed


def test_url_and_token_come_from_the_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("BUTLER_URL", "BUTLER_TOKEN", "BUTLER_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="BUTLER_URL"):
        ButlerClient()
    monkeypatch.setenv("BUTLER_URL", "https://jobs.example.com/butler/")
    (tmp_path / "token").write_text("btl_secret\n")
    monkeypatch.setenv("BUTLER_TOKEN_FILE", str(tmp_path / "token"))
    manner = ButlerClient().driver.manner
    assert manner.url == "https://jobs.example.com/butler"
    assert manner.headers["Authorization"] == "Bearer btl_secret"
    assert AsyncButlerClient(token="other").driver.manner.headers["Authorization"] == "Bearer other"
    assert "btl_secret" not in repr(manner)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"url": "jobs.example.com"}, "https://"),
        ({"timeout_s": 0}, "timeout_s must be > 0, got 0"),
        ({"retries": -1}, "retries must be >= 0, got -1"),
    ],
)
def test_what_cannot_work_is_said_at_once(options, wrong):
    with pytest.raises(InvalidOption, match=wrong):
        ButlerClient(**{"url": "http://jobs", "token": "t"} | options)


def test_without_httpx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(SettingsError, match=r"pip install 'butler-tasks\[client\]'"):
        ButlerClient("http://localhost", "t").me()
