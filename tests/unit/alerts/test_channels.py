"""Webhooks are signed and go where they may; mail and apprise say what a webhook says."""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
import types
from datetime import UTC, datetime

import pytest

from butler.errors import DeliveryFailed, SettingsError
from butler.monitoring.alerts.alert import NoticeEvent
from butler.monitoring.alerts.channels import email as email_channel
from butler.monitoring.alerts.channels.addresses import address_of, is_public
from butler.monitoring.alerts.channels.channel import channels_of
from butler.monitoring.alerts.channels.webhook import Webhook, signature
from butler.monitoring.alerts.message import Message, without_passwords
from butler.settings import load_settings

MESSAGE = Message(
    id="m1",
    event=NoticeEvent.TEST,
    title="[test]\r\nBcc: all@example.com",
    body="nothing is wrong",
    at=datetime(2026, 3, 1, tzinfo=UTC),
)
PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",
    "100.64.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]


def resolving(monkeypatch, *addresses):
    """Let every name have these addresses, one list for each time it is asked."""
    answers = list(addresses)

    def getaddrinfo(host, port, **_):
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_inside_a_network_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_an_address_on_the_internet_is_public(address):
    assert is_public(ipaddress.ip_address(address))


def test_one_private_address_of_a_name_is_enough_to_refuse_it(monkeypatch):
    resolving(monkeypatch, ["93.184.215.14", "10.0.0.1"])
    with pytest.raises(DeliveryFailed, match=r"10\.0\.0\.1.*alert_allow_private"):
        address_of("example.com", 443, allow_private=False)
    assert address_of("example.com", 443, allow_private=True) == "93.184.215.14"


def test_a_name_that_changes_its_address_is_not_asked_twice(monkeypatch, receiver):
    """DNS rebinding: the connection goes to the address that was judged."""
    asked = []
    monkeypatch.setattr(
        "butler.monitoring.alerts.channels.webhook._connected",
        lambda address, port, host: asked.append(address) or (_ for _ in ()).throw(OSError("no")),
    )
    resolving(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    with pytest.raises(DeliveryFailed):
        Webhook("https://example.com/", secret=None, allow_private=False).send(MESSAGE)
    assert asked == ["93.184.215.14"]


def test_a_webhook_to_a_loopback_address_is_refused_unless_allowed(receiver):
    with pytest.raises(DeliveryFailed, match="not a public address"):
        Webhook(receiver.url, secret=None, allow_private=False).send(MESSAGE)
    Webhook(receiver.url, secret=None, allow_private=True).send(MESSAGE)
    [(path, headers, _)] = receiver.posts
    assert path == "/hook?a=1"
    assert headers["Butler-Message-Id"] == "m1"
    assert "Butler-Signature" not in headers


def test_a_webhook_is_signed_over_its_time_and_its_body(receiver):
    Webhook(receiver.url, secret="s3cret", allow_private=True).send(MESSAGE)
    [(_, headers, body)] = receiver.posts
    at = int(headers["Butler-Signature"].split(",")[0].removeprefix("t="))
    assert headers["Butler-Signature"] == signature("s3cret", body, at=at)
    assert signature("other", body, at=at) != headers["Butler-Signature"]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_any_answer_but_success_is_a_failure_and_redirects_are_not_followed(receiver, status):
    receiver.status = status
    with pytest.raises(DeliveryFailed, match=rf"127\.0\.0\.1 answered {status}"):
        Webhook(receiver.url, secret=None, allow_private=True).send(MESSAGE)
    assert [path for path, _, _ in receiver.posts] == ["/hook?a=1"]


class Smtp:
    """What smtplib's classes are asked for."""

    sent = ()
    offers_tls = True

    def __init__(self, host, port, timeout):
        self.said = [(host, port)]

    def ehlo(self):
        pass

    def has_extn(self, name):
        return self.offers_tls

    def starttls(self):
        self.said.append("tls")

    def login(self, user, password):
        self.said.append((user, password))

    def send_message(self, mail):
        self.sent.append((self.said, mail))

    def close(self):
        self.said.append("closed")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def smtp(monkeypatch):
    class Server(Smtp):
        pass

    Server.sent = []
    monkeypatch.setattr(email_channel.smtplib, "SMTP", Server)
    return Server


URL = "smtp://ada:p%40ss@mail.example.com:587/?from=b@example.com&to=c@example.com&to=d@example.com"


def test_mail_is_sent_over_tls_with_a_subject_of_one_line(smtp):
    email_channel.Email("mail", URL).send(MESSAGE)
    [(said, mail)] = smtp.sent
    assert said == [("mail.example.com", 587), "tls", ("ada", "p@ss")]
    assert mail["Subject"] == "[test] Bcc: all@example.com"
    assert mail["To"] == "c@example.com, d@example.com"
    assert (mail["Message-ID"], mail["Bcc"]) == ("<m1@butler>", None)
    assert mail.get_content() == "nothing is wrong\n"


def test_a_password_is_never_sent_without_tls(smtp):
    smtp.offers_tls = False
    with pytest.raises(DeliveryFailed, match="offers no TLS"):
        email_channel.Email("mail", URL).send(MESSAGE)
    assert smtp.sent == []


def test_apprise_gets_title_and_body_and_its_refusal_is_a_failure(monkeypatch):
    told = []

    class Apprise:
        def add(self, url):
            return url != "slack://bad"

        def notify(self, *, title, body):
            told.append((title, body))
            return len(told) == 1

    monkeypatch.setitem(sys.modules, "apprise", types.SimpleNamespace(Apprise=Apprise))
    channels = channels_of(load_settings(alert_channels="a=slack://token/x b=slack://bad"))
    channels["a"].send(MESSAGE)
    assert told == [(MESSAGE.title, MESSAGE.body)]
    for name in "ab":
        with pytest.raises(DeliveryFailed) as error:
            channels[name].send(MESSAGE)
        assert "token" not in str(error.value)


# What apprise itself imports.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_the_real_apprise_delivers_and_says_when_it_could_not(receiver):
    url = f"json://127.0.0.1:{receiver.port}/hook"
    channel = channels_of(load_settings(alert_channels=f"a={url}"))["a"]
    channel.send(MESSAGE)
    [(path, _, body)] = receiver.posts
    said = json.loads(body)
    assert (path, said["title"], said["message"]) == ("/hook", MESSAGE.title, MESSAGE.body)
    receiver.status = 500
    with pytest.raises(DeliveryFailed, match="could not deliver to channel 'a'"):
        channel.send(MESSAGE)
    unread = channels_of(load_settings(alert_channels="b=nonsense://x"))["b"]
    with pytest.raises(DeliveryFailed, match="cannot read the URL of channel 'b'"):
        unread.send(MESSAGE)


def test_without_apprise_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    channel = channels_of(load_settings(alert_channels="a=slack://token"))["a"]
    with pytest.raises(DeliveryFailed, match=r"butler-tasks\[alerts\]"):
        channel.send(MESSAGE)


@pytest.mark.parametrize(
    "text", ["https://example.com", "o ps=https://h", "a=https://h a=https://h", "m=smtp://h"]
)
def test_channels_that_cannot_be_read_are_refused_without_a_secret(text):
    with pytest.raises(SettingsError) as error:
        channels_of(load_settings(alert_channels=text))
    assert "https://" not in str(error.value)


def test_passwords_in_urls_are_masked_in_messages():
    assert without_passwords("see postgresql://ada:x@db/shop") == "see postgresql://***@db/shop"
