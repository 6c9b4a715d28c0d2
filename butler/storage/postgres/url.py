"""Reading a database URL: what is passed on to libpq, and what may be shown to people."""

from __future__ import annotations

import re
from typing import Any

from butler.errors import SettingsError

_CONNECT_TIMEOUT_S = 10
_SECRETS = (
    (re.compile(r"(://[^:/@\s]*):[^@\s]*@"), r"\1:***@"),
    (re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE), r"\1***"),
)
_DRIVER_SUFFIX = re.compile(r"^(postgres(?:ql)?)\+\w+://")


def connect_options(url: str, *, timeout_s: float) -> dict[str, Any]:
    """The parameters of libpq for this URL, with what Butler adds where it says nothing.

    All of these act on this side or once at the start of a session, so that a pooler is no
    hindrance. ``tcp_user_timeout`` and keepalives end connections whose peer is gone without a
    word. ``read-write`` keeps off a standby. Raises `SettingsError` for what libpq cannot read.
    """
    options = _parsed(url)
    defaults: dict[str, Any] = {
        "application_name": "butler",
        "connect_timeout": max(2, min(_CONNECT_TIMEOUT_S, round(timeout_s))),
        "keepalives_idle": 30,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "target_session_attrs": "read-write",
        "tcp_user_timeout": round(timeout_s * 1000),
    }
    return defaults | options | {"client_encoding": "utf8"}


def described(url: str) -> str:
    """Which server and database, without user and password."""
    options = _parsed(url)
    host = options.get("host") or options.get("hostaddr") or "localhost"
    port = options.get("port") or "5432"
    database = options.get("dbname") or options.get("user") or ""
    return f"{host}:{port}/{database}"


def redacted(text: str) -> str:
    """The text without any password that a URL or a connection string in it holds."""
    for pattern, masked in _SECRETS:
        text = pattern.sub(masked, text)
    return text


def _parsed(url: str) -> dict[str, Any]:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        return dict(conninfo_to_dict(_DRIVER_SUFFIX.sub(r"\1://", url)))
    except ProgrammingError as error:
        # libpq's message quotes the string it cannot read, and a password with it.
        message = (
            f"the database URL cannot be read: {redacted(url)!r}; expected "
            "postgresql://user:password@host:port/database, with special characters %-escaped"
        )
        raise SettingsError(message) from error
