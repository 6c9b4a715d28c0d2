"""The SQL files, with the schema's name in place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from butler.errors import SettingsError

_LONGEST_IDENTIFIER_BYTES = 63
_PART = re.compile(r"\{(filters_\w+)\}")
_NAMED = re.compile(r"%\((\w+)\)s|%%")


def quoted_schema(schema: str) -> str:
    """The schema's name as an SQL identifier; `SettingsError` for one Postgres would not keep."""
    size = len(schema.encode("utf-8", "replace"))
    if not 1 <= size <= _LONGEST_IDENTIFIER_BYTES or "\0" in schema:
        raise SettingsError(
            f"schema must be a name of 1 to {_LONGEST_IDENTIFIER_BYTES} bytes without NUL, "
            f"got {schema!r}"
        )
    return '"' + schema.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedStatement:
    """A statement as the server takes it: ``$1`` for the first of ``parameters``, and so on."""

    name: bytes
    text: bytes
    parameters: tuple[str, ...]


class Statements:
    """The statements of one schema, by file name."""

    def __init__(self, schema: str) -> None:
        self._schema = quoted_schema(schema).replace("%", "%%")
        self._loaded: dict[str, bytes] = {}
        self._numbered: dict[str, NumberedStatement] = {}

    def __getitem__(self, name: str) -> bytes:
        """The statement in ``sql/<name>.sql``."""
        statement = self._loaded.get(name)
        if statement is None:
            statement = source(name).replace("{schema}", self._schema).encode()
            self._loaded[name] = statement
        return statement

    def numbered(self, name: str) -> NumberedStatement:
        """The same statement for libpq, which knows nothing of psycopg's placeholders."""
        statement = self._numbered.get(name)
        if statement is None:
            numbers: dict[str, int] = {}

            def place(found: re.Match[str]) -> str:
                if found[1] is None:
                    return "%"
                return f"${numbers.setdefault(found[1], len(numbers) + 1)}"

            text = _NAMED.sub(place, self[name].decode())
            statement = NumberedStatement(
                name=f"butler_{name}".encode(), text=text.encode(), parameters=tuple(numbers)
            )
            self._numbered[name] = statement
        return statement


@cache
def source(name: str) -> str:
    """The statement in a file, without its comments and indents.

    A line of it may name a part that it shares with others: ``{filters_held}`` is what is in
    ``sql/filters_held.sql``. psycopg keeps what it has parsed, but only of statements up to 4 kB.
    """
    lines = [line.strip() for line in _texts()[name].splitlines()]
    whole = "\n".join(line for line in lines if line and not line.startswith("--"))
    return _PART.sub(lambda part: source(part[1]), whole)


@cache
def _texts() -> dict[str, str]:
    """All files, by name, as they were when the first was needed (some 10 ms, 100 kB).

    A process goes on while its files are replaced by those of another release, which may have other
    statements, or the same with other parameters.
    """
    folder = files("butler.storage.postgres").joinpath("sql")
    return {
        file.name.removesuffix(".sql"): file.read_text(encoding="utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
