"""Fires what is due: the ``butler-scheduler`` command."""
