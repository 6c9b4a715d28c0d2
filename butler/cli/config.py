"""``butler config``: the settings as this process would see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from pydantic import SecretStr

from butler.cli.opening import loaded_app
from butler.cli.options import app_options, command_settings, given_settings, json_option
from butler.cli.printing import put_json, put_table, say
from butler.redis_url import mask_url
from butler.settings import Settings, origins, unknown_variables

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group(epilog="\b\nExample:\n  butler config show --origin")
def command() -> None:
    """Show the settings."""


@command.command(
    epilog="""\b
Examples:
  butler config show --origin
  butler config show --app shop.main:butler --json
"""
)
@click.option("--origin", is_flag=True, help="Also where each value comes from.")
@json_option
@app_options
def show(*, origin: bool, as_json: bool, **_: object) -> None:
    """Show every setting as a process started here would see it; passwords are masked.

    With --app those of its Butler, whose arguments go over all else.
    """
    settings = command_settings()
    found = origins(**given_settings())
    if "app" in given_settings():
        of_app = loaded_app(settings).settings
        found |= _by_app(settings, of_app, name=f"the app {settings.app}")
        settings = of_app
    shown = {name: _shown(getattr(settings, name)) for name in Settings.model_fields}
    if as_json:
        forms = {n: {"value": v, "origin": found[n]} if origin else v for n, v in shown.items()}
        put_json(forms)
    else:
        columns = ("SETTING", "VALUE", "ORIGIN") if origin else ("SETTING", "VALUE")
        rows = [(name, _text(value), found[name])[: len(columns)] for name, value in shown.items()]
        put_table(columns, rows, empty="")
    for unknown in unknown_variables():
        say(f"warning: a variable that is no setting: {unknown}")


def _by_app(settings: Settings, of_app: Settings, *, name: str) -> Mapping[str, str]:
    """The settings that the app's own arguments changed."""
    return {
        field: name
        for field in Settings.model_fields
        if field not in given_settings() and getattr(of_app, field) != getattr(settings, field)
    }


def _shown(value: Any) -> Any:
    return mask_url(value.get_secret_value()) if isinstance(value, SecretStr) else value


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
