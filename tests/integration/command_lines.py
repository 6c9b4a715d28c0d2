"""Command lines in pages, held against the real commands."""

import re
import shlex

import click


def all_commands():
    """Our commands by name: ``butler``, ``butler demo``, ``butler-worker`` …"""
    from butler_scheduler.cli import main as scheduler
    from butler_workers.cli import main as worker

    from butler.cli import cli

    found = {}
    _walk("butler", cli, found)
    found["butler-worker"] = worker
    found["butler-scheduler"] = scheduler
    return found


def options_of(command):
    """The options a person can write, without ``--help``: each with its parameter."""
    return {
        max(parameter.opts, key=len): parameter
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    }


def check_command(line, root):
    """Raise ValueError when a line is no command of ours, or not one it understands."""
    words = shlex.split(line)
    while words and re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    if not words or words[0] == "export":
        return
    if words[0] == "make":
        _check_make(words[1:], root)
        return
    commands = all_commands()
    if words[0] not in commands:
        raise ValueError(f"{line!r} is not checked: <!-- run --> or <!-- not run: reason -->")
    name = words.pop(0)
    while isinstance(commands[name], click.Group) and words and not words[0].startswith("-"):
        name = f"{name} {words.pop(0)}"
        if name not in commands:
            raise ValueError(f"there is no command {name!r}")
    command = commands[name]
    context = click.Context(command, info_name=name)
    try:
        command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        raise ValueError(f"{line}: {error.format_message()}") from None


def _check_make(targets, root):
    there = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    unknown = [word for word in targets if "=" not in word and word not in there]
    if unknown:
        raise ValueError(f"the Makefile has no target {', '.join(unknown)}")


def _walk(name, command, found):
    found[name] = command
    if isinstance(command, click.Group):
        for sub in command.list_commands(click.Context(command)):
            child = command.get_command(click.Context(command), sub)
            if child is not None and not child.hidden:
                _walk(f"{name} {sub}", child, found)
