"""The files in deploy/ fit the programs they are for, the real commands, and one another."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from butler_workers.supervisor import DRAIN_SLACK_S
from command_lines import check_command
from deployed import (
    DEPLOY,
    ROOT,
    UNITS,
    compose,
    compose_variables,
    env_example,
    seconds,
    service_command,
    stages,
    unit,
    value_of,
)
from namespaces import need_programs

from butler.cli.probe import DEFAULT_PORTS
from butler.setting_sources import PREFIX, variable_of
from butler.settings import SECRETS, Settings

BIN = Path(sys.executable).parent
OUR_SERVICES = ("migrate", "worker", "scheduler", "web")
SETTINGS = {variable_of(name): field for name, field in Settings.model_fields.items()}
SECRET_FILES = {f"{variable_of(name)}_FILE" for name in SECRETS}
IMAGE = DEPLOY / "Dockerfile"
EXAMPLE = DEPLOY / "example_app" / "Dockerfile"


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def words_of(instruction):
    """The words of a CMD or HEALTHCHECK in its JSON form."""
    return json.loads(instruction[instruction.index("[") :])


def the(stage, name):
    (value,) = [value for instruction, value in stage if instruction == name]
    return value


# --- Dockerfiles


@pytest.mark.parametrize(
    ("path", "ignored"),
    # The example stands on the image beside it, which has a WORKDIR and is not from a registry.
    [(IMAGE, []), (EXAMPLE, ["--ignore=DL3006", "--ignore=DL3045"])],
    ids=["image", "example"],
)
def test_hadolint_finds_nothing_in_a_dockerfile(path, ignored):
    done = run(BIN / "hadolint", *ignored, path)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_a_mistake(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM debian:12\nCMDD true\n")
    assert run(BIN / "hadolint", tmp_path / "Dockerfile").returncode == 1


def test_the_image_is_made_in_two_stages_and_its_user_is_a_number_that_is_not_root():
    build, image = stages(IMAGE)
    assert the(build, "FROM").endswith("AS build")
    assert the(image, "COPY").startswith("--from=build ")
    user, group = map(int, the(image, "USER").split(":"))
    assert min(user, group) >= 1000
    assert image.index(("USER", the(image, "USER"))) < image.index(("CMD", the(image, "CMD")))
    assert [name for name, _ in [*build, *image] if name == "ADD"] == []
    assert "USER" not in [name for name, _ in stages(EXAMPLE)[0]]


def test_the_image_is_stopped_by_the_signal_that_drains():
    assert the(stages(IMAGE)[1], "STOPSIGNAL") == "SIGTERM"


def test_the_build_takes_what_is_in_the_repository_and_nothing_else_is_sent_to_it():
    copied = [value.split()[:-1] for name, value in stages(IMAGE)[0] if name == "COPY"]
    sources = {source for sources in copied for source in sources}
    assert {source for source in sources if not (ROOT / source).exists()} == set()
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == sources


def test_the_example_application_is_the_one_its_image_names():
    (stage,) = stages(EXAMPLE)
    source, target = the(stage, "COPY").split()
    assert source == target == "shop"
    app = dict(word.split("=", 1) for word in the(stage, "ENV").split())["BUTLER_APP"]
    code = f"from butler.app_loading import load_app; print(*load_app({app!r}, '.').registry)"
    done = run(sys.executable, "-c", code, cwd=EXAMPLE.parent)
    assert "write_receipt" in done.stdout, done.stderr


# --- The commands


def commands():
    """Every command line of ours in deploy/, by where it stands."""
    image = stages(IMAGE)[1]
    found = {"Dockerfile CMD": shlex.join(words_of(the(image, "CMD")))}
    found["Dockerfile HEALTHCHECK"] = shlex.join(words_of(the(image, "HEALTHCHECK")))
    for name in OUR_SERVICES:
        found[f"compose {name}"] = shlex.join(service_command(name))
        test = compose()["services"][name].get("healthcheck", {}).get("test")
        if test:
            found[f"compose {name} healthcheck"] = shlex.join(test[1:])
    for path in UNITS:
        words = shlex.split(value_of(path, "ExecStart"))
        found[path.name] = shlex.join([Path(words[0]).name, *words[1:]])
    return found


@pytest.mark.parametrize("where", commands())
def test_the_real_command_understands(where):
    check_command(commands()[where], ROOT)


def test_each_probe_asks_where_its_process_answers():
    image, services = stages(IMAGE)[1], compose()["services"]
    asked = {
        "worker": words_of(the(image, "HEALTHCHECK")),
        "scheduler": services["scheduler"]["healthcheck"]["test"][1:],
        "web": services["web"]["healthcheck"]["test"][1:],
    }
    for role, probe in asked.items():
        assert probe == ["butler", "probe", role]
        port = "BUTLER_WEB_PORT" if role == "web" else "BUTLER_HTTP_PORT"
        assert services[role]["environment"][port] == str(DEFAULT_PORTS[role])
    assert service_command("worker") == words_of(the(image, "CMD"))
    assert "BUTLER_HTTP_PORT=9410" in the(image, "ENV").split()
    assert the(image, "EXPOSE").split() == [str(port) for port in DEFAULT_PORTS.values()]


# --- compose.yaml


def test_compose_yaml_follows_the_compose_specification():
    done = run(
        BIN / "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        DEPLOY / "compose.yaml",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_specification_would_find_a_misspelt_key(tmp_path):
    text = (DEPLOY / "compose.yaml").read_text()
    (tmp_path / "compose.yaml").write_text(text.replace("depends_on:", "depend_on:"))
    checker = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    assert run(*checker, tmp_path / "compose.yaml").returncode == 1


def test_two_ports_are_published_and_on_the_loopback_address_only():
    published = {name: service.get("ports") for name, service in compose()["services"].items()}
    assert {name: ports for name, ports in published.items() if ports} == {
        "rq-dashboard": ["127.0.0.1:9181:9181"],
        "web": ["127.0.0.1:8000:8000"],
    }


def test_what_a_service_waits_for_is_there_and_can_be_waited_for():
    services = compose()["services"]
    for name, service in services.items():
        for other, condition in service.get("depends_on", {}).items():
            check = services[other].get("healthcheck", {})
            if condition["condition"] == "service_healthy":
                assert "test" in check, f"{name} waits for the health of {other}"
            else:
                assert condition["condition"] == "service_completed_successfully"
                assert services[other]["restart"] == "no"


def test_a_worker_has_time_to_drain_before_it_is_killed():
    drain_s = Settings.model_fields["drain_timeout_s"].default
    stop_s = seconds(compose()["services"]["worker"]["stop_grace_period"])
    unit_s = seconds(value_of(DEPLOY / "systemd" / "butler-worker@.service", "TimeoutStopSec"))
    assert min(stop_s, unit_s) > drain_s + DRAIN_SLACK_S


def test_there_are_two_workers_and_two_schedulers_and_the_servers_keep_what_they_have():
    services = compose()["services"]
    assert [int(services[name]["deploy"]["replicas"]) for name in ("worker", "scheduler")] == [2, 2]
    assert services["redis"]["volumes"] == ["redis:/data"]
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]
    assert set(compose()["volumes"]) == {"redis", "postgres"}


def test_our_processes_get_secrets_from_files_and_little_else():
    for name in OUR_SERVICES:
        service = compose()["services"][name]
        given = service["environment"]
        assert {variable for variable in given if variable.endswith("_FILE")} <= SECRET_FILES
        assert {Path(path).name for variable, path in given.items() if variable.endswith("_FILE")}
        for variable, path in given.items():
            if variable.endswith("_FILE"):
                assert Path(path).parent == Path("/run/secrets")
                assert Path(path).name in service["secrets"]
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"] is True
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_every_secret_is_declared_and_every_declared_one_is_used():
    used = {s for service in compose()["services"].values() for s in service.get("secrets", [])}
    assert used == set(compose()["secrets"])


# --- env.example


def test_env_example_has_the_variables_that_the_files_use_and_only_those():
    from_units = {
        found
        for path in UNITS
        for key, value in unit(path)
        if key == "ExecStart"
        for found in re.findall(r"\$\{(\w+)\}", value)
    }
    values, _ = env_example()
    ours = {name for name in values if name.startswith(PREFIX)}
    assert values.keys() - ours == compose_variables().keys() | from_units
    assert ours - SETTINGS.keys() == set()
    assert ours & {variable_of(secret) for secret in SECRETS} == set()


def test_env_example_says_what_holds_without_it(monkeypatch):
    values, commented = env_example()
    for name, default in compose_variables().items():
        assert values[name] == default
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    without = Settings()
    for name in values.keys() & SETTINGS.keys() - commented:
        monkeypatch.setenv(name, values[name])
    assert Settings() == without


def test_every_service_of_ours_reads_the_settings_of_the_env_file():
    for name in OUR_SERVICES:
        assert compose()["services"][name]["env_file"] == [{"path": ".env", "required": False}]


# --- systemd


@pytest.fixture
def installed(tmp_path):
    """The units as they are installed, their commands those of this environment."""
    for path in UNITS:
        text = path.read_text().replace("/opt/butler/bin/", f"{BIN}/")
        (tmp_path / path.name.replace("@", "@mail")).write_text(text)
    return tmp_path


def verify(folder):
    need_programs("systemd-analyze")
    done = run("systemd-analyze", "verify", *sorted(folder.iterdir()))
    about_ours = [line for line in done.stderr.splitlines() if "butler" in line]
    return done.returncode, about_ours


def test_systemd_finds_nothing_wrong_with_the_units(installed):
    assert len(list(installed.iterdir())) == 4
    assert verify(installed) == (0, [])


@pytest.mark.parametrize(
    ("line", "wrong"),
    [("KillMode=mixed", "KillMode=mixd"), ("Restart=always", "Restarts=always")],
)
def test_systemd_would_find_a_mistake(installed, line, wrong):
    path = installed / "butler-worker@mail.service"
    path.write_text(path.read_text().replace(line, wrong))
    assert verify(installed)[1] != []


@pytest.mark.parametrize(("path", "worst"), list(zip(UNITS, (6, 2, 2, 4), strict=True)))
def test_systemd_finds_a_unit_well_locked_in(path, worst, installed):
    need_programs("systemd-analyze")
    flags = ["--offline=true", f"--threshold={worst * 10}", "--no-pager"]
    there = installed / path.name.replace("@", "@mail")
    done = run("systemd-analyze", "security", *flags, there)
    assert done.returncode == 0, done.stdout[-300:]


def test_the_workers_unit_announces_drains_and_reloads_as_the_supervisor_does():
    path = DEPLOY / "systemd" / "butler-worker@.service"
    expected = {"Type": "notify", "KillMode": "mixed", "Restart": "always", "OOMPolicy": "continue"}
    assert {key: value_of(path, key) for key in expected} == expected
    assert value_of(path, "ExecReload") == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_gets_its_secrets_as_credentials(path):
    credentials = [value.split(":")[0] for key, value in unit(path) if key == "LoadCredential"]
    given = [value.split("=%d/") for key, value in unit(path) if key == "Environment"]
    files = {pair[0]: pair[1] for pair in given if len(pair) == 2}
    assert files.keys() <= SECRET_FILES
    assert sorted(files.values()) == sorted(credentials)
    assert f"{PREFIX}DATABASE_URL_FILE" in files


# --- README.md


def test_every_link_of_the_readme_leads_somewhere():
    text = (DEPLOY / "README.md").read_text()
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert len(targets) > 8
    assert [target for target in targets if not (DEPLOY / target).exists()] == []


def test_the_readme_names_settings_and_commands_that_exist():
    text = (DEPLOY / "README.md").read_text()
    known = SETTINGS.keys() | SECRET_FILES
    assert set(re.findall(r"BUTLER_[A-Z_]+", text)) <= known
    for line in re.findall(r"`(butler(?:-worker|-scheduler)? [a-z][^`]*)`", text):
        check_command(line, ROOT)
