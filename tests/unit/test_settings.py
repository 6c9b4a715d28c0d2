"""Settings: arguments over variables over ``butler.toml`` over defaults; secrets are masked."""

from __future__ import annotations

import os

import pytest

from butler import Butler
from butler.errors import SettingsError
from butler.setting_types import queues_to_serve
from butler.settings import SECRETS, Settings, load_settings, origins, unknown_variables


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith("BUTLER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_there_are_defaults():
    settings = load_settings()
    assert (settings.database_schema, settings.migrate, settings.pool_size) == (
        "butler",
        "never",
        4,
    )
    assert settings.redis_url is None


def test_arguments_go_over_variables_over_the_file_over_a_toml(monkeypatch, tmp_path):
    (tmp_path / "butler.toml").write_text('redis_url = "redis://toml"\npool_size = 7\n')
    assert load_settings().need_redis_url() == "redis://toml"
    secret = tmp_path / "secret"
    secret.write_text("redis://file\n")
    monkeypatch.setenv("BUTLER_REDIS_URL_FILE", str(secret))
    assert load_settings().need_redis_url() == "redis://file"
    monkeypatch.setenv("BUTLER_REDIS_URL", "redis://variable")
    assert load_settings().need_redis_url() == "redis://variable"
    assert load_settings(redis_url="redis://argument").need_redis_url() == "redis://argument"
    assert load_settings(redis_url=None).need_redis_url() == "redis://variable"
    assert load_settings().pool_size == 7


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("BUTLER_REDIS_URL", "")
    assert load_settings().redis_url is None


def test_secrets_are_masked():
    settings = load_settings(
        redis_url="redis://:hunter2@h", database_url="postgresql://u:hunter2@h"
    )
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)
    assert settings.need_database_url() == "postgresql://u:hunter2@h"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pool_size": 0}, "pool_size (BUTLER_POOL_SIZE): Input should be greater than"),
        ({"database_schema": "no schema"}, "database_schema (BUTLER_DATABASE_SCHEMA)"),
        ({"migrate": "always"}, "migrate (BUTLER_MIGRATE)"),
        ({"pol_size": 1}, "no setting 'pol_size'; did you mean \"pool_size\"?"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(arguments, message):
    with pytest.raises(SettingsError) as caught:
        load_settings(**arguments)
    assert message in str(caught.value)


def test_a_wrong_variable_is_refused_by_its_name(monkeypatch):
    monkeypatch.setenv("BUTLER_POOL_SIZE", "many")
    with pytest.raises(SettingsError, match="BUTLER_POOL_SIZE"):
        load_settings()


def test_a_misspelt_key_of_the_toml_is_refused(tmp_path):
    (tmp_path / "butler.toml").write_text("pol_size = 7\n")
    with pytest.raises(SettingsError, match='did you mean "pool_size"'):
        load_settings()


def test_a_toml_that_is_none_is_refused(tmp_path):
    (tmp_path / "butler.toml").write_text("= =")
    with pytest.raises(SettingsError, match="settings cannot be read"):
        load_settings()


def test_a_secret_file_that_cannot_be_read_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("BUTLER_DATABASE_URL_FILE", str(tmp_path / "absent"))
    with pytest.raises(SettingsError, match="BUTLER_DATABASE_URL_FILE cannot be read"):
        load_settings()


def test_a_missing_url_says_all_the_ways_to_give_it():
    with pytest.raises(SettingsError) as caught:
        load_settings().need_database_url()
    message = str(caught.value)
    for way in ("Butler(database_url=...)", "BUTLER_DATABASE_URL", "_FILE", "butler.toml"):
        assert way in message


def test_the_time_between_heartbeats_follows_the_lease():
    assert load_settings().heartbeat_every_s == 5
    assert load_settings(lease_s=6).heartbeat_every_s == 2
    assert load_settings(lease_s=6, heartbeat_s=1).heartbeat_every_s == 1
    with pytest.raises(SettingsError, match="heartbeat_s must be at most a third of lease_s"):
        load_settings(lease_s=6, heartbeat_s=3)


def test_queues_may_be_a_list_in_the_toml_and_are_checked(monkeypatch, tmp_path):
    (tmp_path / "butler.toml").write_text('queues = ["mail", "default"]\n')
    assert load_settings().queues == "mail,default"
    monkeypatch.setenv("BUTLER_QUEUES", "a, b")
    assert load_settings().queues == "a,b"
    with pytest.raises(SettingsError, match=r"queues \(BUTLER_QUEUES\): queue must be"):
        load_settings(queues="a,b.high")


def test_a_star_serves_the_default_queue_and_those_of_all_tasks():
    butler = Butler.in_memory()
    for queue in ("mail", "default", "billing"):
        butler.task(name=f"on {queue}", queue=queue)(lambda: None)
    tasks = butler.registry.with_tag()
    assert load_settings(queues="*").queues == "*"
    assert queues_to_serve("*", tasks) == ("default", "billing", "mail")
    assert queues_to_serve("mail,default", tasks) == ("mail", "default")


def test_each_value_says_where_it_comes_from(monkeypatch, tmp_path):
    (tmp_path / "butler.toml").write_text("pool_size = 7\nconcurrency = 3\nlease_s = 30\n")
    secret = tmp_path / "secret"
    secret.write_text("redis://file\n")
    monkeypatch.setenv("BUTLER_REDIS_URL_FILE", str(secret))
    monkeypatch.setenv("BUTLER_CONCURRENCY", "4")
    monkeypatch.setenv("BUTLER_MIGRATE", "")
    found = origins(lease_s=20, pool_size=None)
    assert {name: origin for name, origin in found.items() if origin != "default"} == {
        "lease_s": "argument",
        "concurrency": "BUTLER_CONCURRENCY",
        "redis_url": f"BUTLER_REDIS_URL_FILE={secret}",
        "pool_size": "butler.toml",
    }
    assert set(found) == set(Settings.model_fields)


def test_a_variable_that_is_no_setting_is_found_with_what_was_meant(monkeypatch):
    monkeypatch.setenv("BUTLER_POOLSIZE", "7")
    monkeypatch.setenv("BUTLER_DATABASE_URL_FILE", "x")
    assert unknown_variables() == ['BUTLER_POOLSIZE; did you mean "BUTLER_POOL_SIZE"?']


def test_urls_and_tokens_are_secrets():
    urls = {"redis_url", "database_url", "database_direct_url"}
    assert set(SECRETS) == {*urls, "alert_channels", "alert_webhook_secret", "token"}
