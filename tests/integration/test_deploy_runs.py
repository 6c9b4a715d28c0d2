"""What deploy/ would run in containers runs here as processes: servers, dashboard, the build."""

import base64
import http.client
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from deployed import DEPLOY, ROOT, compose, service_command, stages
from fleet import wait_for
from namespaces import children_of, popen_as_pid_one

from butler import Butler
from butler.client import ButlerClient
from butler.embedded.binaries import find_redis
from butler.errors import UnknownTask

# In one group, so that the image's environment is built once.
pytestmark = [pytest.mark.xdist_group("deploy"), pytest.mark.timeout(400)]

BIN = Path(sys.executable).parent


@pytest.fixture
def secrets(tmp_path):
    """The folder that make-secrets makes."""
    script = shutil.copy(DEPLOY / "make-secrets", tmp_path)
    subprocess.run([script], check=True)
    return tmp_path / "secrets"


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_make_secrets_makes_each_secret_of_compose_for_services_and_for_nobody_else(secrets):
    declared = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
    assert modes(secrets) == dict.fromkeys(declared, 0o644)
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700


def test_make_secrets_writes_urls_of_the_services_with_the_passwords_they_ask_for(secrets):
    postgres = urlsplit((secrets / "database_url").read_text().strip())
    assert postgres.password == (secrets / "postgres_password").read_text().strip()
    service = compose()["services"]["postgres"]["environment"]
    assert (postgres.username, postgres.path) == (
        service["POSTGRES_USER"],
        f"/{service['POSTGRES_DB']}",
    )
    queue = urlsplit((secrets / "redis_url").read_text().strip())
    assert f"requirepass {queue.password}\n" == (secrets / "redis.conf").read_text()
    assert {postgres.hostname, queue.hostname} <= compose()["services"].keys()


def test_make_secrets_never_replaces_a_password(secrets):
    before = (secrets / "redis_url").read_text()
    again = subprocess.run([secrets.parent / "make-secrets"], capture_output=True, check=False)
    assert again.returncode == 1
    assert b"nothing was changed" in again.stderr
    assert (secrets / "redis_url").read_text() == before


def test_the_command_of_redis_starts_one_that_asks_for_the_password_and_never_evicts(
    secrets, tmp_path, servers_origin
):
    program, config, *options = service_command("redis")
    assert program == "redis-server"
    command = [find_redis(prefer=servers_origin).path, secrets / Path(config).name, *options]
    command += ["--port", "0", "--unixsocket", tmp_path / "redis.sock", "--dir", tmp_path]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for((tmp_path / "redis.sock").exists, what="the server", timeout_s=20)
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(tmp_path / "redis.sock"))
            stranger.sendall(b"PING\r\n")
            assert stranger.recv(100).startswith(b"-NOAUTH")
        password = urlsplit((secrets / "redis_url").read_text().strip()).password
        options = {"unix_socket_path": str(tmp_path / "redis.sock"), "decode_responses": True}
        with redis.Redis(**options, password=password) as client:
            assert client.config_get("maxmemory-policy", "appendonly") == {
                "maxmemory-policy": "noeviction",
                "appendonly": "yes",
            }
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def start_dashboard(secrets, redis_url, tmp_path):
    """Starts rq-dashboard as compose.yaml does, on a free port of the loopback address."""
    (secrets / "redis_url").write_text(redis_url)
    started = []

    def start():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        shell, flags, script = service_command("rq-dashboard")
        assert "--bind 0.0.0.0 --port 9181" in script
        script = script.replace("--bind 0.0.0.0 --port 9181", f"--bind 127.0.0.1 --port {port}")
        script = script.replace("/run/secrets", str(secrets))
        environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        # Its own dependencies warn of what they will change; Python's flags are pytest's affair.
        environment.pop("PYTHONWARNINGS", None)
        with (tmp_path / "dashboard.log").open("ab") as log:
            process = subprocess.Popen(
                [shell, flags, script], env=environment, stdout=log, stderr=log
            )
        started.append(process)
        return process, f"http://127.0.0.1:{port}/"

    yield start
    for process in started:
        process.kill()
        process.wait()


def status_of(url, *, password=None):
    headers = {}
    if password is not None:
        word = base64.b64encode(f"butler:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {word}"
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", "/", headers=headers)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def test_the_dashboard_shows_nothing_without_its_password(start_dashboard, secrets):
    _, url = start_dashboard()
    wait_for(lambda: status_of(url) == 401, timeout_s=30, what="a dashboard that asks")
    password = (secrets / "dashboard_password").read_text().strip()
    assert status_of(url, password=f"{password}x") == 401
    assert status_of(url, password=password) == 200


def test_the_dashboard_does_not_start_with_an_empty_password(start_dashboard, secrets):
    (secrets / "dashboard_password").write_text("\n")
    process, _ = start_dashboard()
    assert process.wait(30) != 0


def test_the_command_of_the_api_serves_who_has_a_token_until_it_is_stopped(
    redis_url, database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr("butler.client.exchange.LONGEST_PAUSE_S", 0.2)
    for name, url in (("redis_url", redis_url), ("database_url", database_url)):
        (tmp_path / name).write_text(url + "\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "BUTLER_REDIS_URL_FILE": str(tmp_path / "redis_url"),
        "BUTLER_DATABASE_URL_FILE": str(tmp_path / "database_url"),
        "BUTLER_WEB_HOST": "0.0.0.0",
        "BUTLER_WEB_PORT": port,
    }
    with Butler(redis_url, database_url) as butler:
        token = butler.tokens.create("ops", role="operator").secret
    options = {"cwd": tmp_path, "env": environment}
    with (tmp_path / "log").open("wb") as log:
        process = popen_as_pid_one(service_command("web"), **options, stdout=log, stderr=log)
    try:
        with ButlerClient(f"http://127.0.0.1:{port}", token, retries=500) as client:
            assert client.is_ready()
            subprocess.run(["butler", "probe", "web", "--ready"], **options, check=True)
            assert client.me().name == "ops"
            with pytest.raises(UnknownTask):
                client.enqueue("nothing")
            watched = client.watch(timeout_s=60)
            assert next(watched).kind == "ready"
            (api,) = children_of(process.pid)
            os.kill(api, 15)
            assert process.wait(30) == 0
            watched.close()
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """Does what the Dockerfile's first stage says, below a folder of its own; returns that."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "src").mkdir()
    (folder / "opt").mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("BUTLER_")
    }
    environment |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "EXTRAS": ""}
    # pip's word for --no-compile: few of the files it would compile are ever imported.
    environment["PIP_NO_COMPILE"] = "no"
    for name, value in stages(DEPLOY / "Dockerfile")[0]:
        if name == "COPY":
            *sources, target = value.split()
            _copy(sources, folder / "src" / target)
        elif name == "RUN":
            command = value.removeprefix("--mount=type=cache,target=/root/.cache/pip").strip()
            for path in ("/src/", "/opt/"):
                command = command.replace(path, f"{folder}{path}")
            done = subprocess.run(
                ["sh", "-c", command],
                cwd=folder / "src",
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return folder


def _copy(sources, target):
    for source in sources:
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, target)


def test_the_builds_steps_make_an_environment_with_the_three_commands(image):
    commands = image / "opt" / "butler" / "bin"
    for command in ("butler", "butler-worker", "butler-scheduler"):
        done = subprocess.run([commands / command, "--help"], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    code = "import butler; print(butler.__file__)"
    where = subprocess.run(
        [commands / "python", "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    assert where.stdout.startswith(str(commands.parent))


def test_the_images_worker_runs_the_example_as_pid_one_with_the_urls_in_files(
    image, redis_url, database_url, tmp_path
):
    for name, url in (("redis_url", redis_url), ("database_url", database_url)):
        (tmp_path / name).write_text(url + "\n")
    environment = {
        "PATH": f"{image}/opt/butler/bin:/usr/bin:/bin",
        "BUTLER_APP": "shop.main:butler",
        "BUTLER_PROCESSES": "1",
        "BUTLER_REDIS_URL_FILE": str(tmp_path / "redis_url"),
        "BUTLER_DATABASE_URL_FILE": str(tmp_path / "database_url"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        # As the image says it, for another address.
        environment["BUTLER_HTTP_HOST"] = "127.0.0.1"
        environment["BUTLER_HTTP_PORT"] = str(probe.getsockname()[1])
    command = service_command("worker")
    health = ["butler", "probe", "worker", "--ready"]
    options = {"cwd": DEPLOY / "example_app", "env": environment}
    with (tmp_path / "log").open("wb") as log:
        process = popen_as_pid_one(command, **options, stdout=log, stderr=log)
    try:
        wait_for(
            lambda: (
                subprocess.run(health, **options, capture_output=True, check=False).returncode == 0
            ),
            timeout_s=40,
            what="a worker that is ready",
        )
        with Butler(redis_url, database_url) as butler:
            handle = butler.enqueue("write_receipt", {"number": 7, "email": "ada@example.com"})
            assert handle.result(timeout_s=20)["text"] == "Thank you, ada@example.com!"
        (worker,) = children_of(process.pid)
        os.kill(worker, 15)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
