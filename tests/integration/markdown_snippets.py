"""What stands in a page's fenced blocks, and what is to be done with each.

A block is told what happens to it by its language, and by a comment on the line above it, which no
reader sees:

    ```python                        run, in order, in one namespace a page
    ```sh                            each line a command of ours, whose options must exist
    ```json, ```toml, ```ini         must be readable (a json block may hold a value a line)
    ```text                          a picture; not looked at
    <!-- file: tasks.py -->          written into the page's folder, whatever the language
    <!-- run -->                     sh: run for real, line by line; each must end with 0
    <!-- run in background -->       sh: started, and ended with the page
    <!-- output -->                  text: what the block before printed, … stands for anything;
                                     json: the same value, however it is laid out
    <!-- not run: reason -->         nothing; a reason is needed

In a python block, ``print(...)  # → text`` promises a line of output, with the same …
"""

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\S*)\s*$")
DIRECTIVE = re.compile(r"^<!-- (file|run|run in background|output|not run)(?:: (.+))? -->$")

# For each directive: the languages it may stand above, and whether it needs an argument.
ALLOWED = {
    "file": ({"python", "toml", "ini", "json", "text"}, True),
    "run": ({"sh"}, False),
    "run in background": ({"sh"}, False),
    "output": ({"text", "json"}, False),
    "not run": ({"python", "sh"}, True),
}
LANGUAGES = {"python", "sh", "ini", "json", "toml", "text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; ``line`` is that of its first line of text, from 1."""

    page: str
    line: int
    language: str
    directive: str
    argument: str
    text: str

    @property
    def place(self):
        """Where it stands, as an editor opens it."""
        return f"{self.page}:{self.line}"


def read_blocks(page, *, root):
    """The blocks of a markdown file in order; raises ValueError for one nobody could run."""
    name = str(page.relative_to(root))
    lines = page.read_text().splitlines()
    blocks, number = [], 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        if fence is None:
            number += 1
            continue
        first = number + 1
        end = first
        while end < len(lines) and lines[end] != "```":
            end += 1
        above = lines[number - 1] if number else ""
        blocks.append(_block(name, first, fence[1], above, "\n".join(lines[first:end]) + "\n"))
        number = end + 1
    return blocks


def _block(page, first, language, above, text):
    place = f"{page}:{first + 1}"
    directive, argument = "", ""
    if above.startswith("<!--"):
        match = DIRECTIVE.match(above)
        if match is None:
            raise ValueError(f"{place}: no directive {above!r}; see {Path(__file__).name}")
        directive, argument = match[1], match[2] or ""
        languages, needs_argument = ALLOWED[directive]
        if language not in languages or bool(argument) is not needs_argument:
            raise ValueError(f"{place}: {above!r} does not fit a block of {language or 'nothing'}")
    if language not in LANGUAGES:
        expected = ", ".join(sorted(LANGUAGES))
        raise ValueError(f"{place}: language {language!r} is not one of {expected}")
    return Block(
        page=page,
        line=first + 1,
        language=language,
        directive=directive,
        argument=argument,
        text=text,
    )


def commands_of(text):
    """The commands of an sh block: continued lines joined, comments and empty lines dropped."""
    joined = re.sub(r"\\\n\s*", "", text)
    stripped = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in stripped if line]


def matches(expected, printed):
    """Whether printed text is what was promised; … stands for anything, lines are stripped."""
    pattern = ".*?".join(re.escape(part) for part in _tidy(expected).split("…"))
    return re.fullmatch(pattern, _tidy(printed), re.DOTALL) is not None


def _tidy(text):
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
