"""Write the tables of docs/configuration.md from the settings; --check only compares."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from butler.setting_sources import variable_of
from butler.settings import Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
# The first setting of each table; they follow each other as in `Settings`.
TABLES = {
    "redis_url": "Servers",
    "task_timeout_s": "Tasks",
    "alert_channels": "Alerts",
    "app": "Commands",
    "queues": "Workers and schedulers",
    "web_host": "The REST API",
    "url": "Clients of the REST API",
}
REQUIRED = ("redis_url", "database_url")
HEAD = "| variable | in `butler.toml` | default | meaning |\n| --- | --- | --- | --- |\n"
PLACE = re.compile(r"(?<=^## Settings\n\n).*?(?=^## )", re.MULTILINE | re.DOTALL)


def tables() -> str:
    """All settings, a table a group."""
    text = ""
    for name, field in Settings.model_fields.items():
        if name in TABLES:
            text += f"\n### {TABLES[name]}\n\n{HEAD}"
        cells = (f"`{variable_of(name)}`", f"`{name}`", default(name, field), field.description)
        text += f"| {' | '.join(cells)} |\n"
    return text.lstrip() + "\n"


def default(name: str, field: FieldInfo) -> str:
    """A default as a cell."""
    value = field.default
    if name in REQUIRED:
        return "required"
    if value is None:
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{str(value).lower()}`"


def main() -> None:
    """Rewrite the page, or end with 1 if it would change."""
    before = PAGE.read_text(encoding="utf-8")
    after = PLACE.sub(lambda _: tables(), before, count=1)
    if before == after:
        return
    if "--check" in sys.argv:
        sys.exit(f"{PAGE.name} is not what the settings say: make docs")
    PAGE.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
