"""Which Butler a command speaks for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from butler.cli.options import command_settings, given_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from butler.app import Butler
    from butler.settings import Settings


@contextmanager
def open_app() -> Iterator[Butler]:
    """The application's Butler where one is named, else one of the settings alone."""
    settings = command_settings()
    butler = loaded_app(settings) if settings.app else _of(settings)
    with butler:
        yield butler


@contextmanager
def open_ledger() -> Iterator[Butler]:
    """A Butler for looking and steering, which needs none of the application's code.

    The application is imported only if the command names it, or if the URLs are nowhere else: its
    code may not even be installed where an operator sits.
    """
    settings = command_settings()
    complete = settings.redis_url is not None and settings.database_url is not None
    by_app = "app" in given_settings() or (settings.app is not None and not complete)
    butler = loaded_app(settings) if by_app else _of(settings)
    with butler:
        yield butler


def settings_with_app() -> Settings:
    """The settings for a command that only needs to know where things are: the app's, if named."""
    settings = command_settings()
    if "app" in given_settings() or (settings.app is not None and settings.database_url is None):
        return loaded_app(settings).settings
    return settings


def loaded_app(settings: Settings) -> Butler:
    """The Butler that ``app`` names; a usage error when nothing does."""
    from butler.app_loading import load_app

    if settings.app is None:
        raise click.UsageError(
            "no app: pass --app MODULE:NAME, set BUTLER_APP, or write app = ... into butler.toml"
        )
    return load_app(settings.app, settings.app_dir)


def _of(settings: Settings) -> Butler:
    from butler.app import Butler

    settings.need_redis_url()
    settings.need_database_url()
    return Butler(settings=settings)
