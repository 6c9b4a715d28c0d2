"""The whole way of an execution over Redis as people run it: Sentinels, TLS, users, prefixes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme
from fleet import Fleet, wait_for
from fleet_app import tasks
from redis_servers import RedisServer, Sentinels, TlsProxy, free_port, system_redis_with_tls

from butler import Butler
from butler.connections import check_redis
from butler.errors import QueueUnavailable, SettingsError

PASSWORD = "p@ss/word:1"
QUOTED = "p%40ss%2Fword%3A1"

# What a user of Redis must be allowed, as docs/configuration.md says.
RULES = (
    "~rq:* ~butler:* &rq:* &butler:* &butler:execution:* "
    "+@read +@write +@pubsub +@scripting +@connection +@transaction +@blocking +info +time"
)


def butler_at(redis_url, database_url):
    butler = Butler(redis_url, database_url)
    for task in tasks:
        butler.register(task)
    return butler


@pytest.fixture
def runs(database_url, tmp_path):
    """``runs(url)``: with a worker and a scheduler there, tasks, delays and cancels get through."""
    fleets = []

    def check(url, **environment):
        fleet = Fleet(redis_url=url, database_url=database_url, folder=tmp_path)
        fleet.environment |= environment
        fleets.append(fleet)
        fleet.start_worker()
        fleet.start_scheduler()
        with butler_at(url, database_url) as butler:
            handle = butler.enqueue("work", {"n": 3})
            assert handle.pushed
            assert handle.result(timeout_s=60) == 3
            assert butler.enqueue("awork", {"n": 4}, delay_s=0.2).result(timeout_s=60) == 4
            endless = butler.enqueue("endless", {"n": 1})
            wait_for(lambda: endless.status == "running", fleet=fleet)
            endless.cancel()
            wait_for(lambda: endless.status == "cancelled", fleet=fleet)
        return fleet

    yield check
    for fleet in fleets:
        fleet.end()


def no_trouble(fleet):
    return [line for line in fleet.logs().splitlines() if "ERROR" in line or "NOPERM" in line]


# Sentinels


@pytest.fixture
def sentinels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sentinels")
    servers = Sentinels(folder, password="masterpw", sentinel_password="watchpw")
    yield servers
    servers.end()


def test_sentinels_lead_to_the_master_and_to_its_heir(sentinels, runs, database_url):
    fleet = runs(sentinels.url)
    with butler_at(sentinels.url, database_url) as butler:
        assert butler.enqueue("work", {"n": 1}).result(timeout_s=30) == 1
        sentinels.master.kill()
        # Nobody is told: enqueues go on, and what could not be pushed is pushed by the scheduler.
        during = [butler.enqueue("work", {"n": n}) for n in range(5)]
        wait_for(lambda: leads(sentinels.replica), fleet=fleet, what="the replica to be promoted")
        assert [handle.result(timeout_s=60) for handle in during] == list(range(5))
        wait_for(lambda: butler.enqueue("work", {"n": 9}).pushed, what="a push to the new master")


def leads(server):
    with server.client(password="masterpw") as client:
        return client.info("replication")["role"] == "master"


def test_sentinels_that_are_all_away_cost_an_enqueue_no_more_than_a_server_would(
    sentinels, database_url
):
    with butler_at(sentinels.url, database_url) as butler:
        assert butler.enqueue("work", {"n": 1}).pushed
        sentinels.end()
        began = time.monotonic()
        assert not butler.enqueue("work", {"n": 2}).pushed
        # Refused connections fail at once; each Sentinel that hung would cost its 0.4 s.
        assert time.monotonic() - began < 2


# TLS


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def tls(tmp_path_factory, authority):
    """The port of a server that speaks TLS and wants a certificate, and files for a client."""
    folder = tmp_path_factory.mktemp("tls")
    files = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key", "server", "serverkey")}
    authority.cert_pem.write_to_path(files["ca"])
    mine = authority.issue_cert("client@example.org")
    mine.private_key_pem.write_to_path(files["key"])
    mine.cert_chain_pems[0].write_to_path(files["cert"])
    theirs = authority.issue_cert("localhost")
    program = system_redis_with_tls()
    if program is None:
        server = RedisServer(folder)
        proxy = TlsProxy(server.port, certificate=theirs, authority=authority)
        port = proxy.port
    else:
        theirs.private_key_pem.write_to_path(files["serverkey"])
        theirs.cert_chain_pems[0].write_to_path(files["server"])
        proxy = None
        config = (
            f"tls-cert-file {files['server']}\ntls-key-file {files['serverkey']}\n"
            f"tls-ca-cert-file {files['ca']}\ntls-auth-clients yes\n"
        )
        server, port = start_with_tls(folder, config, program)
    wait_for(server.answers)
    yield port, files
    if proxy is not None:
        proxy.end()
    server.kill()


def start_with_tls(folder, config, program):
    port = free_port()
    return RedisServer(folder, config=f"tls-port {port}\n{config}", program=program), port


def test_tls_checks_the_server_and_shows_our_certificate(tls, runs):
    port, files = tls
    url = (
        f"rediss://localhost:{port}/0?ssl_ca_certs={files['ca']}"
        f"&ssl_certfile={files['cert']}&ssl_keyfile={files['key']}"
    )
    assert no_trouble(runs(url)) == []


@pytest.mark.parametrize(
    "parameters", ["", "?ssl_ca_certs={ca}", "?ssl_certfile={cert}&ssl_keyfile={key}"]
)
def test_a_server_or_a_client_that_nobody_vouches_for_is_not_talked_to(tls, parameters):
    port, files = tls
    url = f"rediss://localhost:{port}/0{parameters.format(**files)}"
    with Butler(url, "postgresql://x") as butler, pytest.raises(QueueUnavailable):
        check_redis(butler.redis)


# Users, unix sockets, secrets


@pytest.fixture
def server_with_user(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("acl"))
    wait_for(server.answers)
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", f">{PASSWORD}", *RULES.split())
        client.execute_command("ACL", "SETUSER", "default", "off")
    yield server
    server.kill()


def test_a_user_with_no_more_rights_than_documented_is_enough(server_with_user, runs):
    fleet = runs(f"redis://app:{QUOTED}@127.0.0.1:{server_with_user.port}/0")
    assert no_trouble(fleet) == []


def test_the_rights_are_those_of_the_docs():
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert RULES in " ".join(page.read_text().split())


def test_a_wrong_password_is_told_without_the_password(server_with_user):
    url = f"redis://app:hunter2@127.0.0.1:{server_with_user.port}/0"
    with Butler(url, "postgresql://x") as butler, pytest.raises(QueueUnavailable) as caught:
        check_redis(butler.redis)
    assert "hunter2" not in str(caught.value)


def test_both_urls_come_from_files_and_over_a_unix_socket(services, runs, database_url, tmp_path):
    """The session's own servers listen on unix sockets, and Fleet's variables are taken away."""
    files = {}
    for name, url in (("REDIS", services.redis_url), ("DATABASE", database_url)):
        files[name] = tmp_path / name
        files[name].write_text(f"{url}\n")
    assert services.redis_url.startswith("unix://")
    fleet = runs(
        services.redis_url,
        BUTLER_REDIS_URL="",
        BUTLER_DATABASE_URL="",
        BUTLER_REDIS_URL_FILE=str(files["REDIS"]),
        BUTLER_DATABASE_URL_FILE=str(files["DATABASE"]),
    )
    assert no_trouble(fleet) == []


# Key prefix

PREFIXED = """
import sys
from butler import Butler
from fleet_app import tasks

with Butler(sys.argv[1], sys.argv[2]) as butler:
    for task in tasks:
        butler.register(task)
    handle = butler.enqueue("work", {"n": 5})
    assert handle.pushed
    assert handle.result(timeout_s=60) == 5
"""


def test_a_key_prefix_keeps_everything_under_it(database_url, tmp_path, tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("prefix"))
    wait_for(server.answers)
    url = f"redis://127.0.0.1:{server.port}/0"
    fleet = Fleet(redis_url=url, database_url=database_url, folder=tmp_path)
    fleet.environment["RQ_KEY_PREFIX"] = "shop"
    heard = server.client(decode_responses=True).pubsub()
    heard.psubscribe("*:execution:*")
    assert heard.get_message(timeout=60)["type"] == "psubscribe"
    fleet.start_worker()
    try:
        command = [sys.executable, "-c", PREFIXED, url, database_url]
        environment = {**os.environ, **fleet.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + fleet.logs()
        with server.client(decode_responses=True) as client:
            keys = set(client.keys("*"))
        channels = {word["channel"] for word in iter(heard.get_message, None)}
    finally:
        heard.close()
        fleet.end()
        server.kill()
    assert {key.partition(":")[0] for key in keys} == {"shop"}
    assert {channel.rpartition(":")[0] for channel in channels} == {"shop:butler:execution"}
    assert any(key.startswith("shop:butler:") for key in keys)


def test_a_cluster_is_refused_with_the_reason(tmp_path_factory):
    # By default 10,000 above the server's own, which may be more than there are.
    config = f"cluster-enabled yes\ncluster-port {free_port()}\n"
    server = RedisServer(tmp_path_factory.mktemp("cluster"), config=config)
    wait_for(server.answers)
    try:
        butler = Butler(f"redis://127.0.0.1:{server.port}/0", "postgresql://x")
        with butler, pytest.raises(QueueUnavailable, match="Cluster is not supported: one script"):
            check_redis(butler.redis)
    finally:
        server.kill()


def test_a_scheme_that_nobody_knows_is_refused_when_it_is_needed():
    wrong = pytest.raises(SettingsError, match="redis_url must start with one of")
    with Butler("http://h", "postgresql://x") as butler, wrong:
        _ = butler.redis
