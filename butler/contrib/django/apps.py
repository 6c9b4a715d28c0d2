"""The Django app."""

from __future__ import annotations

from django.apps import AppConfig


class ButlerConfig(AppConfig):
    """Tells the project's Butler where tasks are, once Django knows its apps."""

    name = "butler.contrib.django"
    label = "butler"
    verbose_name = "Butler"

    def ready(self) -> None:
        """Name the ``tasks`` modules of the installed apps; they are imported when first needed."""
        from butler.contrib.django import butler

        butler.include_apps()
