import pytest
from butler_scheduler.cli import main
from butler_scheduler.process import SchedulerProcess
from click.testing import CliRunner

from butler.errors import SchemaOutdated


@pytest.fixture
def run(monkeypatch, tmp_path):
    for name in ("BUTLER_APP", "BUTLER_REDIS_URL", "BUTLER_DATABASE_URL", "BUTLER_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **env: CliRunner().invoke(main, arguments, env=env)


@pytest.fixture
def urls():
    return {"BUTLER_REDIS_URL": "redis://nowhere", "BUTLER_DATABASE_URL": "postgresql://nowhere/x"}


def test_help_shows_an_example_the_variables_and_the_exit_codes(run):
    result = run("--help")
    assert result.exit_code == 0
    for text in ("butler-scheduler --app shop.main:butler", "BUTLER_REDIS_URL", "Exit codes"):
        assert text in result.output


def test_a_missing_url_is_a_usage_error_that_names_the_variable(run):
    result = run(BUTLER_REDIS_URL="redis://nowhere")
    assert result.exit_code == 2
    assert "BUTLER_DATABASE_URL" in result.output


def test_an_app_that_is_not_there_is_a_usage_error_that_says_where_it_looked(run, tmp_path):
    result = run("--app", "no_such_app:butler")
    assert result.exit_code == 2
    assert "no_such_app" in result.output


def test_an_outdated_schema_ends_it_with_3_and_the_message(run, urls, monkeypatch):
    def refuse(self):
        raise SchemaOutdated("run: butler db migrate")

    monkeypatch.setattr(SchedulerProcess, "run", refuse)
    result = run(**urls)
    assert result.exit_code == 3
    assert "butler db migrate" in result.output


def test_it_needs_no_app_and_no_user_code(run, urls, monkeypatch):
    ran = []
    monkeypatch.setattr(SchedulerProcess, "run", lambda self: ran.append(self._butler))
    result = run(**urls)
    assert result.exit_code == 0
    assert [butler.settings.need_redis_url() for butler in ran] == ["redis://nowhere"]


def test_with_an_app_it_takes_the_urls_from_there(run, monkeypatch, tmp_path):
    tmp_path.joinpath("shop_of_the_test.py").write_text(
        "from butler.app import Butler\nbutler = Butler('redis://r', 'postgresql://d/x')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ran = []
    monkeypatch.setattr(SchedulerProcess, "run", lambda self: ran.append(self._butler))
    result = run("--app", "shop_of_the_test:butler")
    assert result.exit_code == 0, result.output
    assert [butler.settings.need_redis_url() for butler in ran] == ["redis://r"]
