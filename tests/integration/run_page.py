"""Runs one page's snippets in the current folder: ``python run_page.py PAGE ROOT``.

A process of its own, so that what a page does to modules, signals and connections ends with it.
Exit 1 names the block that did not do what the page says.
"""

import configparser
import contextlib
import io
import json
import linecache
import os
import re
import signal
import subprocess
import sys
import tomllib
import traceback
from dataclasses import replace
from pathlib import Path

from command_lines import check_command
from markdown_snippets import commands_of, matches, read_blocks

COMMAND_TIMEOUT_S = 90
END_S = 30
PROMISE = re.compile(r"#\s→ (.*)$")


class Broken(Exception):
    """A page that does not do what it says."""


class Page:
    """The blocks of a page, run in order."""

    def __init__(self, path, root):
        self.root = root
        self.blocks = read_blocks(path, root=root)
        self.namespace = {"__name__": "__main__", "__builtins__": __builtins__}
        self.printed = None
        self.background = []

    def run(self):
        """Run everything; raises `Broken`."""
        sys.path.insert(0, str(Path.cwd()))
        try:
            for block in self.blocks:
                self._step(block)
            self._check_background()
        finally:
            self._end_background()

    def _step(self, block):
        steps = {
            "": self._by_language,
            "not run": self._leave_out,
            "file": self._write_file,
            "output": self._expect_output,
            "run": self._run_commands,
            "run in background": self._start,
        }
        steps[block.directive](block)

    def _by_language(self, block):
        match block.language:
            case "python":
                self._run_python(block)
            case "sh":
                for command in commands_of(block.text):
                    self._check(block, lambda line=command: check_command(line, self.root))
            case "json":
                self._check(block, lambda: _read_json(block.text))
            case "ini":
                self._check(block, lambda: _read_ini(block.text))
            case "toml":
                self._check(block, lambda: tomllib.loads(block.text))

    def _leave_out(self, block):
        self.printed = None

    def _write_file(self, block):
        target = Path(block.argument)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block.text)

    def _check(self, block, check):
        try:
            check()
        except ValueError as error:
            raise Broken(f"{block.place}: {error}") from None

    def _run_python(self, block):
        # Line numbers and sources in tracebacks are those of the page.
        source = "\n" * (block.line - 1) + block.text
        linecache.cache[block.place] = (len(source), None, source.splitlines(True), block.place)
        output = io.StringIO()
        try:
            with contextlib.redirect_stdout(output):
                exec(compile(source, block.place, "exec"), self.namespace)
        except BaseException:
            raise Broken(f"{block.place}: {traceback.format_exc()}") from None
        self.printed = output.getvalue()
        promised = [m[1] for line in block.text.splitlines() if (m := PROMISE.search(line))]
        if promised:
            self._expect(block, "\n".join(promised))

    def _run_commands(self, block):
        self.printed = ""
        for command in commands_of(block.text):
            done = subprocess.run(
                command,
                shell=True,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
            if done.returncode:
                raise Broken(
                    f"{block.place}: {command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
                )
            self.printed += done.stdout

    def _start(self, block):
        for command in commands_of(block.text):
            log = Path(f"background-{len(self.background)}.log")
            with log.open("wb") as file:
                process = subprocess.Popen(
                    f"exec {command}",
                    shell=True,
                    stdout=file,
                    stderr=file,
                    stdin=subprocess.DEVNULL,
                )
            self.background.append((block, command, process, log))

    def _expect_output(self, block):
        if block.language == "json" and self.printed is not None:
            self.printed = json.dumps(json.loads(self.printed))
            block = replace(block, text=json.dumps(json.loads(block.text)))
        self._expect(block, block.text)

    def _expect(self, block, text):
        if self.printed is None:
            raise Broken(f"{block.place}: output of nothing: no block was run before it")
        if not matches(text, self.printed):
            logs = "".join(log.read_text()[-3000:] for *_, log in self.background)
            raise Broken(
                f"{block.place}: the page promises\n{text}\nand this was printed\n"
                f"{self.printed}\n{logs}"
            )

    def _check_background(self):
        for block, command, process, log in self.background:
            code = process.poll()
            if code is not None:
                raise Broken(f"{block.place}: {command} ended with {code}\n{log.read_text()}")

    def _end_background(self):
        for *_, process, _log in reversed(self.background):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for *_, process, _log in self.background:
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _read_ini(text):
    try:
        configparser.ConfigParser().read_string(text)
    except configparser.Error as error:
        raise ValueError(error) from None


def _read_json(text):
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


def run_page(page, *, root, folder, environment):
    """Run a page's snippets in a folder, in a process of its own; its messages are on stderr."""
    return subprocess.run(
        [sys.executable, __file__, page, root],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def main():
    """Run the page; 1 when it does not do what it says."""
    path, root = (Path(argument) for argument in sys.argv[1:3])
    code = 0
    try:
        Page(path, root).run()
    except (Broken, ValueError) as error:
        print(error, file=sys.stderr)
        code = 1
    sys.stderr.flush()
    sys.stdout.flush()
    # A page may leave threads and connections open, as a program at a prompt does.
    os._exit(code)


if __name__ == "__main__":
    main()
