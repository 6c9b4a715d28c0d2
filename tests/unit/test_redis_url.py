"""Redis URLs: what they name, and that nobody gets to see what is secret in them."""

from __future__ import annotations

import pytest

from butler.connections import clone_redis, connect_redis
from butler.errors import SettingsError
from butler.redis_url import is_sentinel_url, mask_url, read_sentinel_url


def test_a_sentinel_url_names_sentinels_their_master_and_whose_password_is_whose():
    address = read_sentinel_url(
        "redis+sentinel://app:p%40ss@one:26380,two,[::1]:7/my%20master/3"
        "?sentinel_username=watch&sentinel_password=dog&client_name=shop"
    )
    assert address.sentinels == (("one", 26380), ("two", 26379), ("::1", 7))
    assert address.service == "my master"
    assert address.master_url == "redis://app:p%40ss@master/3?client_name=shop"
    assert address.credentials == {"username": "watch", "password": "dog"}


def test_tls_reaches_the_master_and_the_sentinels():
    client = connect_redis("rediss+sentinel://one/mymaster?ssl_ca_certs=/ca.pem", timeout_s=2)
    pool = client.connection_pool
    (sentinel,) = pool.sentinel_manager.sentinels
    for kwargs in (pool.connection_kwargs, sentinel.connection_pool.connection_kwargs):
        assert kwargs["ssl_ca_certs"] == "/ca.pem"
        assert kwargs["socket_timeout"] == 2
    assert "SSL" in pool.connection_class.__name__
    assert "SSL" in sentinel.connection_pool.connection_class.__name__


@pytest.mark.parametrize(
    "url", ["redis+sentinel://:pw@one,two:7/mymaster/2", "redis://:pw@one:7/2"]
)
def test_a_clone_reaches_the_same_server_in_another_time_and_retries_nothing(url):
    client = connect_redis(url, timeout_s=5)
    twin = clone_redis(client, timeout_s=0.4)
    assert twin.connection_pool is not client.connection_pool
    kwargs = twin.connection_pool.connection_kwargs
    assert (kwargs["password"], kwargs["db"]) == ("pw", 2)
    assert (kwargs["socket_timeout"], kwargs["socket_connect_timeout"]) == (0.4, 0.4)
    assert kwargs["retry"].get_retries() == 0


def test_the_sentinels_of_a_clone_are_asked_in_its_time():
    client = connect_redis("redis+sentinel://one,two:7/mymaster", timeout_s=5)
    manager = clone_redis(client, timeout_s=0.4).connection_pool.sentinel_manager
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in manager.sentinels]
    assert [(each["host"], each["port"]) for each in asked] == [("one", 26379), ("two", 7)]
    assert {each["socket_timeout"] for each in asked} == {0.4}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://:pw@h", "redis_url must start with one of redis://, rediss://, unix://"),
        ("redis+sentinel://h", "must look like redis+sentinel://host:26379,host2:26379/mymaster/0"),
        ("redis+sentinel://:pw@h/mymaster/x", "must look like"),
        ("redis+sentinel://h:x/mymaster", "'h:x' is no host:port"),
        ("redis+sentinel://:pw@h/m?sentinel_pasword=pw", "sentinel_pasword"),
        ("redis://:pw@h?ssl_ca=1", "unexpected keyword argument 'ssl_ca'"),
        ("redis://:pw@h?socket_timeout=pw", "socket_timeout"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_before_anything_connects(url, message):
    with pytest.raises(SettingsError) as caught:
        connect_redis(url)
    assert message in str(caught.value)
    assert ":pw@" not in str(caught.value)


def test_plain_urls_are_no_sentinel_urls():
    assert [is_sentinel_url(f"{scheme}://h") for scheme in ("redis", "rediss", "unix")] == [
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h/0", "redis://h/0"),
        ("redis://:hunter2@h/0", "redis://:***@h/0"),
        (
            "postgresql://app:hunter2@a,b/db?sslmode=require",
            "postgresql://app:***@a,b/db?sslmode=require",
        ),
        (
            "redis+sentinel://a:hunter2@h/m?sentinel_password=hunter2&db=1",
            "redis+sentinel://a:***@h/m?sentinel_password=***&db=1",
        ),
        ("unix://u:hunter2@/tmp/s?password=hunter2", "unix://u:***@/tmp/s?password=***"),
        ("host=db user=app password='hunter2 \\' x' ", "host=db user=app password=*** "),
        ("postgresql://db?sslpassword=hunter2", "postgresql://db?sslpassword=***"),
    ],
)
def test_passwords_are_masked_wherever_they_stand(url, shown):
    assert mask_url(url) == shown
