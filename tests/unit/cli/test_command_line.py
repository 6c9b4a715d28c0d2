"""What holds for every command: help with an example, --json, options that name their variable."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from butler.cli import COMMANDS, cli
from butler.cli.options import SettingOption
from butler.setting_sources import variable_of
from butler.settings import Settings


def walk(command, name):
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for sub in command.list_commands(context):
            yield from walk(command.get_command(context, sub), f"{name} {sub}")


ALL = dict(walk(cli, "butler"))
LEAVES = {name: each for name, each in ALL.items() if not isinstance(each, click.Group)}


def run(*arguments, **env):
    return CliRunner().invoke(cli, arguments, env=env, prog_name="butler")


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)


@pytest.mark.parametrize("name", ALL)
def test_every_help_has_an_example_of_this_command(name):
    result = run(*name.split()[1:], "--help")
    assert result.exit_code == 0
    examples = result.output.partition("Example")[2]
    assert name in examples


NO_DATA = {
    "butler alerts test": "its exit code is the answer",
    "butler dev": "runs in the foreground and only talks",
    "butler probe": "its exit code is the answer",
    "butler web": "runs in the foreground and serves",
}


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_with_data_prints_json(name):
    options = {option for parameter in LEAVES[name].params for option in parameter.opts}
    assert ("--json" in options) is (name not in NO_DATA)


@pytest.mark.parametrize("name", ["butler executions cancel", "butler executions delete"])
def test_what_destroys_can_be_tried_dry(name):
    assert "--dry-run" in {o for parameter in LEAVES[name].params for o in parameter.opts}


def test_the_list_of_commands_says_what_their_own_help_says():
    for name, (_, short) in COMMANDS.items():
        assert ALL[f"butler {name}"].help.partition("\n")[0] == short


def test_the_list_of_commands_imports_none_of_them():
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom butler.cli import cli\n"
        "assert 'executions' in CliRunner().invoke(cli, ['--help']).output\n"
        "print(*(m for m in sys.modules if m.partition('.')[0] in "
        "{'redis', 'rq', 'psycopg', 'rich', 'pydantic_settings'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_misspelt_command_says_what_was_meant():
    result = run("exectuions", "list")
    assert result.exit_code == 2
    assert "no command 'exectuions'; did you mean \"executions\"?" in result.output


# Where a command has another default than the setting.
OWN_DEFAULTS = {("butler dev", "queues"): "those of all tasks"}
SETTING_OPTIONS = [
    (name, option)
    for name, each in LEAVES.items()
    for option in each.params
    if isinstance(option, SettingOption)
]


@pytest.mark.parametrize(
    ("name", "option"), SETTING_OPTIONS, ids=lambda value: getattr(value, "name", value)
)
def test_an_option_over_a_setting_shows_its_variable_and_default(name, option):
    default = OWN_DEFAULTS.get((name, option.name), Settings.model_fields[option.setting].default)
    assert variable_of(option.setting) in option.help
    if default is not None:
        assert f"default: {default}" in option.help
    assert option.default is None or "Sentinel" in repr(option.default)


def test_a_wrong_option_names_itself_and_the_variable():
    result = run("dev", "--app", "x", "--concurrency", "0")
    assert result.exit_code == 2
    assert "'--concurrency' (BUTLER_CONCURRENCY): 0 is not in the range" in result.output
    result = run("dev", "--app", "x", "--queues", "a.high")
    assert result.exit_code == 2
    assert "'--queues' (BUTLER_QUEUES): queue must be" in result.output


def test_a_missing_app_names_every_way_to_give_it():
    result = run("dev")
    assert result.exit_code == 2
    assert "pass --app MODULE:NAME, set BUTLER_APP, or write app = ..." in result.output
