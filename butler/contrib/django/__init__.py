"""Butler for Django projects: ``from butler.contrib.django import butler``.

With ``"butler.contrib.django"`` in ``INSTALLED_APPS`` the project has one Butler. It reads
``settings.BUTLER``, keeps its ledger in the project's PostgreSQL unless told otherwise, knows the
tasks in the ``tasks.py`` of every installed app, and looks after Django's connections around each
attempt. ``manage.py butler worker`` (and every other command) runs with all of that.
"""

from butler.contrib.django.project import DjangoButler

butler = DjangoButler()
"""The project's Butler. Making it connects to nothing and reads no settings."""

__all__ = ["DjangoButler", "butler"]
