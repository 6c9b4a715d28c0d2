"""Redis URLs, read and shown (pure): one server, a unix socket, or Sentinels that know the master.

``redis+sentinel://user:password@one:26379,two:26379/mymaster/0?sentinel_password=…``: user and
password are the master's, those of the Sentinels are parameters; ``rediss+sentinel://`` speaks TLS
to all of them. Other parameters are redis-py's own (``ssl_ca_certs``, ``client_name`` …).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from butler.errors import SettingsError

PLAIN_SCHEMES = ("redis://", "rediss://", "unix://")
SENTINEL_SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
SENTINEL_PORT = 26379
_CREDENTIALS = frozenset({"sentinel_username", "sentinel_password"})
_SECRETS = (
    (re.compile(r"(://[^:/@\s?]*):[^@\s]*@"), r"\1:***@"),
    (re.compile(r"([?&]\w*password=)[^&#\s]*", re.IGNORECASE), r"\1***"),
    (re.compile(r"(\bpassword\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE), r"\1***"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelAddress:
    """Where Sentinels are, and which master to ask them for.

    ``master_url`` is a plain URL with the master's credentials, database and parameters, and a host
    that means nothing. ``credentials`` are the Sentinels' own, as redis-py names them.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    master_url: str
    credentials: dict[str, str] = field(default_factory=dict)


def is_sentinel_url(url: str) -> bool:
    """Whether the URL names Sentinels; raises `SettingsError` for a scheme nobody knows."""
    if url.startswith(SENTINEL_SCHEMES):
        return True
    if url.startswith(PLAIN_SCHEMES):
        return False
    known = ", ".join((*PLAIN_SCHEMES, *SENTINEL_SCHEMES))
    raise SettingsError(f"redis_url must start with one of {known}; got {mask_url(url)!r}")


def read_sentinel_url(url: str) -> SentinelAddress:
    """The parts of a Sentinel URL; raises `SettingsError`, saying what it must look like."""
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    if not hosts or not service or not re.fullmatch(r"\d*", database):
        raise SettingsError(
            "redis_url must look like redis+sentinel://host:26379,host2:26379/mymaster/0; "
            f"got {mask_url(url)!r}"
        )
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    scheme = parts.scheme.removesuffix("+sentinel")
    credentials = {name: parameters.pop(name) for name in _CREDENTIALS & parameters.keys()}
    query = f"?{urlencode(parameters)}" if parameters else ""
    at = f"{user}@" if user else ""
    return SentinelAddress(
        sentinels=tuple(_host_and_port(host, url) for host in hosts.split(",")),
        service=unquote(service),
        master_url=f"{scheme}://{at}master/{database or 0}{query}",
        credentials={k.removeprefix("sentinel_"): v for k, v in credentials.items()},
    )


def mask_url(url: str) -> str:
    """The URL, of Redis or Postgres, with its passwords replaced, for logs and messages."""
    for pattern, masked in _SECRETS:
        url = pattern.sub(masked, url)
    return url


def _host_and_port(text: str, url: str) -> tuple[str, int]:
    matched = re.fullmatch(r"(\[[^]]+\]|[^:]+)(?::(\d+))?", text.strip())
    if matched is None:
        raise SettingsError(f"redis_url: {text!r} is no host:port, in {mask_url(url)!r}")
    return matched[1].strip("[]"), int(matched[2] or SENTINEL_PORT)
