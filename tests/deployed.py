"""What is in deploy/, read as the programs it is for would read it."""

import io
import re
import shlex
from pathlib import Path

from dockerfile_parse import DockerfileParser
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def compose():
    """compose.yaml with its variables at their defaults."""
    text = (DEPLOY / "compose.yaml").read_text()
    # Outside of comments; $$ is a dollar that Compose leaves alone.
    filled = VARIABLE.sub(lambda found: found[2] or "", text.replace("$$", "\0"))
    return YAML(typ="safe").load(filled.replace("\0", "$"))


def compose_variables():
    """Name and default of each variable that compose.yaml takes from .env."""
    text = (DEPLOY / "compose.yaml").read_text().replace("$$", "")
    return dict(VARIABLE.findall(text))


def env_example():
    """Each variable in env.example with its value, and which of them are commented out."""
    lines = (DEPLOY / "env.example").read_text().splitlines()
    found = [re.fullmatch(r"(#?)([A-Z][A-Z0-9_]*)=(.*)", line) for line in lines]
    return {match[2]: match[3] for match in found if match}, {m[2] for m in found if m and m[1]}


def instructions(path):
    """The instructions of a Dockerfile, as (name, value), continued lines joined."""
    parser = DockerfileParser(fileobj=io.BytesIO(path.read_bytes()))
    every = [(step["instruction"], step["value"]) for step in parser.structure]
    return [step for step in every if step[0] != "COMMENT"]


def stages(path):
    """The instructions of each stage of a Dockerfile, each beginning with its FROM."""
    found = []
    for name, value in instructions(path):
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append((name, value))
    return found


def unit(path):
    """A unit's lines, as (key, value)."""
    lines = path.read_text().splitlines()
    return [tuple(line.split("=", 1)) for line in lines if "=" in line and not line.startswith("#")]


def value_of(path, key):
    """The value of a key that stands once in a unit."""
    (value,) = [value for name, value in unit(path) if name == key]
    return value


def seconds(text):
    """``60s`` or ``60`` as a number."""
    return float(str(text).removesuffix("s"))


def service_command(name):
    """What a service of compose.yaml runs, as words."""
    command = compose()["services"][name]["command"]
    return shlex.split(command) if isinstance(command, str) else command
