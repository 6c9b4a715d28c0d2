"""`DjangoButler`: a Butler that lives by its Django project's settings and apps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from butler.app import Butler
from butler.contrib.django.connections import DjangoConnections
from butler.errors import AppNotFound, SettingsError
from butler.including import TASKS, Include, watch

if TYPE_CHECKING:
    from butler.settings import Settings

APP = "butler.contrib.django"
SETTINGS_VARIABLE = "DJANGO_SETTINGS_MODULE"


class DjangoButler(Butler):
    """The Butler of a Django project; a project needs one, and `butler.contrib.django` has it.

    Its settings are those of ``settings.BUTLER``, then variables and ``butler.toml``; its name,
    which marks what code declares, is that of the package the project's settings are in.
    """

    def __init__(self) -> None:
        project = os.environ.get(SETTINGS_VARIABLE, "").partition(".")[0]
        super().__init__(name=project or "django")
        self._apps_included = False
        self.add_middleware(DjangoConnections())

    @property
    def settings(self) -> Settings:
        """The settings, read at first use; raises `SettingsError`, naming the key in BUTLER."""
        if self._settings is None:
            from butler.contrib.django.configuration import read_settings

            self._settings = read_settings()
        return self._settings

    def import_tasks(self) -> None:
        """Import ``tasks`` of every installed app; sets Django up first where nobody has.

        Raises `SettingsError` where Django does not know its settings, and `AppNotFound` where
        this app is not installed.
        """
        if not self._apps_included:
            _set_up()
        if not self._apps_included:
            raise AppNotFound(
                f"{APP} is not installed, so it cannot know where the tasks are: "
                f"add {APP!r} to INSTALLED_APPS"
            )
        super().import_tasks()

    def include_apps(self) -> None:
        """Take the ``tasks`` modules of the installed apps for what ``include`` is elsewhere."""
        from django.apps import apps
        from django.utils.module_loading import module_has_submodule

        self.include = Include(
            f"{config.name}.{TASKS}"
            for config in apps.get_app_configs()
            if config.name != APP and module_has_submodule(config.module, TASKS)
        )
        watch(self)
        self._apps_included = True


def _set_up() -> None:
    import django
    from django.apps import apps
    from django.core.exceptions import ImproperlyConfigured

    # While the apps are being loaded, somebody sets Django up already.
    if apps.ready or apps.apps_ready:
        return
    try:
        django.setup()
    except ImproperlyConfigured as error:
        if os.environ.get(SETTINGS_VARIABLE):
            raise
        raise SettingsError(
            f"Django does not know its settings: set {SETTINGS_VARIABLE}, or run the command as "
            "`python manage.py butler ...`, which does"
        ) from error
