"""How the API is to be served, checked."""

from __future__ import annotations

import importlib.util
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from butler.errors import InvalidOption, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from butler.settings import Settings

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FRAMEWORKS = ("fastapi", "uvicorn")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """See `butler.web.create_app`."""

    development: bool
    cors_origins: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    secret_names: tuple[str, ...]
    max_body_bytes: int

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        development: bool,
        cors_origins: Iterable[str] | None,
        trusted_proxies: Iterable[str] | None,
        secret_names: Iterable[str] | None,
        max_body_bytes: int,
    ) -> Self:
        """Arguments over settings; raises `InvalidOption`."""
        if max_body_bytes < 1:
            raise InvalidOption(f"max_body_bytes must be >= 1, got {max_body_bytes!r}")
        origins = _chosen(cors_origins, settings.web_cors_origins)
        if "*" in origins:
            raise InvalidOption(
                "web_cors_origins must name origins like https://ops.example.com, got '*': any "
                "page that an operator opens could then read what Butler shows"
            )
        proxies = _chosen(trusted_proxies, settings.web_trusted_proxies)
        return cls(
            development=development,
            cors_origins=origins,
            trusted_proxies=tuple(_network(proxy) for proxy in proxies),
            secret_names=_chosen(secret_names, settings.secret_names),
            max_body_bytes=max_body_bytes,
        )

    def trusts(self, address: str) -> bool:
        """Whether what this neighbour says of where a request comes from is believed."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self.trusted_proxies)


def need_frameworks() -> None:
    """Raise `SettingsError`, naming the command, where the extra is not installed."""
    missing = [name for name in FRAMEWORKS if importlib.util.find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"the REST API needs {', '.join(missing)}: pip install 'butler-tasks[web]'"
        )


def _chosen(given: Iterable[str] | None, setting: str | None) -> tuple[str, ...]:
    if given is not None:
        return tuple(given)
    names = (name.strip() for name in (setting or "").split(","))
    return tuple(name for name in names if name)


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidOption(
            f"web_trusted_proxies must be addresses or networks like 10.0.0.0/8: {error}"
        ) from None
