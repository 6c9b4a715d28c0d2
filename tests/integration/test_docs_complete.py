"""What a user can set is in the docs, each with its meaning; what the docs name is there.

Options of a command stand in the section of docs/ whose heading ends with the command, or with the
group it is in. Settings, and the options of tasks, stand in the first column of a table.
"""

import inspect
import re
from pathlib import Path

import pytest
from command_lines import all_commands, options_of

from butler.options import EnqueueOptions, TaskOptionFields
from butler.retries import RetryPolicy
from butler.setting_sources import PREFIX
from butler.settings import SECRETS, Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")]


def section(page, heading):
    """The text under a heading, up to the next one of its level or above."""
    lines = page.read_text().splitlines()
    first = lines.index(heading) + 1
    level = len(heading.split()[0])
    ends = re.compile(rf"#{{1,{level}}} ")
    rest = lines[first:]
    return "\n".join(rest[: next((n for n, line in enumerate(rest) if ends.match(line)), None)])


def rows(text):
    """The rows of the tables in a text, by their first cell without backticks and arguments."""
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return {match[1]: row for row in cells if (match := re.match(r"\W*`([^` ]+)", row[0]))}


def sections_of_commands():
    """The sections whose headings end with a command, by its name, from whichever page has them."""
    found = {}
    for page in DOCS.rglob("*.md"):
        for line in page.read_text().splitlines():
            heading = re.match(r"#+ .*`(butler[a-z -]*)`$", line)
            if heading:
                assert heading[1] not in found, f"{page}: a second section of {heading[1]}"
                found[heading[1]] = section(page, line)
    return found


@pytest.mark.parametrize("name", all_commands())
def test_every_option_of_a_command_is_in_its_section_or_its_groups(name):
    options, sections = options_of(all_commands()[name]), sections_of_commands()
    own = name
    while own and own not in sections:
        own = own.rpartition(" ")[0]
    assert own, f"no heading in docs/ ends with `{name}`"
    assert [option for option in options if option not in written(sections[own])] == []
    variables = [option.envvar for option in options.values() if option.envvar]
    assert [variable for variable in variables if f"`{variable}`" not in sections[own]] == []


def test_no_section_of_a_command_names_an_option_that_is_gone():
    commands = all_commands()
    for name, text in sections_of_commands().items():
        below = [command for command in commands if f"{command} ".startswith(f"{name} ")]
        there = {option for command in below for option in options_of(commands[command])}
        assert written(text) - there - {"--help"} == set(), f"the section of {name}"


def written(text):
    """The options in a text: each begins a piece of code."""
    return set(re.findall(r"`(--[a-z][a-z-]*)", text))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name):
    text = (DOCS / "configuration.md").read_text()
    row = rows(text)[PREFIX + name.upper()]
    default = Settings.model_fields[name].default
    shown = f"{default:g}" if isinstance(default, float) else f"{default}"
    assert default is None or f"`{shown}`".lower() in [cell.lower() for cell in row]
    assert name not in SECRETS or f"`{PREFIX}{name.upper()}_FILE`" in text


@pytest.mark.parametrize(
    ("page", "heading", "names"),
    [
        ("tasks.md", "## Options of a task", TaskOptionFields.__annotations__),
        ("tasks.md", "## Options of an enqueue", EnqueueOptions.__annotations__),
        ("retries.md", "## RetryPolicy", inspect.signature(RetryPolicy).parameters),
    ],
)
def test_every_option_of_a_task_an_enqueue_and_a_retry_policy_is_documented(page, heading, names):
    assert rows(section(DOCS / page, heading)).keys() == set(names)


def test_every_page_is_in_the_index():
    index = (DOCS / "README.md").read_text()
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)", _prose(page)):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{page}: {target} is not there"
        if anchor:
            assert anchor in anchors(there), f"{page}: {target} has no heading #{anchor}"


def test_every_test_that_a_guarantee_names_is_there():
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", (DOCS / "guarantees.md").read_text())
    assert len(named) > 20
    gone = [
        name
        for file, name in named
        if not re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert gone == []


def anchors(page):
    """What a heading is called in a link, as GitHub makes it."""
    titles = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _prose(page):
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
