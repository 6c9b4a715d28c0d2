"""Butler's settings in a Django project: ``settings.BUTLER``, and where the database is.

``BUTLER = {"REDIS_URL": "redis://cache/0", "RETENTION_DAYS": 14}`` holds any of Butler's settings
in capital letters, and one more: ``"DATABASE"``, the alias in ``DATABASES`` whose PostgreSQL the
ledger is in (``default`` if that is one).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from butler.errors import SettingsError, did_you_mean
from butler.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASE = "DATABASE"
# What libpq understands of DATABASES[...]["OPTIONS"]; the rest are arguments of Django's own.
_LIBPQ_OPTIONS = re.compile(
    "channel_binding|connect_timeout|gssencmode|options|passfile|service|target_session_attrs|"
    "tcp_user_timeout|keepalives\\w*|ssl\\w+"
)


def read_settings() -> Settings:
    """Butler's settings for this project; raises `SettingsError`.

    ``settings.BUTLER`` comes before variables and ``butler.toml``; the URL of ``DATABASES`` is used
    where none of them has one.
    """
    return load_settings(**project_arguments())


def project_arguments() -> dict[str, Any]:
    """What the project says, by Butler's own names; raises `SettingsError`."""
    arguments = _butler_arguments()
    if load_settings(**arguments).database_url is None:
        arguments |= {"database_url": project_database_url()}
    return {name: value for name, value in arguments.items() if value is not None}


def _butler_arguments() -> dict[str, Any]:
    known = {name.upper(): name for name in Settings.model_fields}
    given = {key: value for key, value in _given().items() if key != DATABASE}
    for key in given:
        if key not in known:
            raise SettingsError(
                f"settings.BUTLER[{key!r}] is no setting of Butler"
                f"{did_you_mean(str(key).upper(), [*known, DATABASE])}; the keys are what "
                f"`butler config show` lists, in capital letters, and {DATABASE!r}"
            )
    return {known[key]: value for key, value in given.items()}


def project_database_url() -> str | None:
    """The URL of the PostgreSQL that the project's own models are in; None where it has none.

    Read from Django's connection, so that a test run gets its test database. Raises `SettingsError`
    where ``BUTLER["DATABASE"]`` names something else than a PostgreSQL database.
    """
    from django.db import connections

    wanted = _given().get(DATABASE)
    alias = wanted or "default"
    if alias not in connections:
        if wanted is None:
            return None
        raise SettingsError(
            f'settings.BUTLER["DATABASE"] is {wanted!r}, and DATABASES has only '
            f"{', '.join(map(repr, connections))}"
        )
    connection = connections[alias]
    if connection.vendor == "postgresql":
        return _url_of(connection.settings_dict)
    if wanted is None:
        return None
    raise SettingsError(
        f'settings.BUTLER["DATABASE"] is {wanted!r}, which is {connection.display_name}: the '
        'ledger needs PostgreSQL; name another alias, or set BUTLER["DATABASE_URL"]'
    )


def _given() -> Mapping[str, Any]:
    from django.conf import settings

    given = getattr(settings, "BUTLER", {})
    if not isinstance(given, dict):
        raise SettingsError(
            f'settings.BUTLER must be a dict such as {{"REDIS_URL": "redis://cache/0"}}, '
            f"got {type(given).__name__}"
        )
    return given


def _url_of(database: Mapping[str, Any]) -> str:
    """As libpq reads it: a host that is a folder, or more than one, goes into the query."""
    options = {k: v for k, v in database["OPTIONS"].items() if _LIBPQ_OPTIONS.fullmatch(k)}
    query = {key: str(value) for key, value in sorted(options.items())}
    for key in ("host", "port"):
        if value := str(database[key.upper()] or ""):
            query[key] = value
    user, password = (quote(str(database[key] or ""), safe="") for key in ("USER", "PASSWORD"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    name = quote(str(database["NAME"] or ""), safe="")
    return f"postgresql://{login}/{name}" + (
        f"?{urlencode(query, quote_via=quote)}" if query else ""
    )
