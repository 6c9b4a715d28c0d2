"""Runs tasks: the ``butler-worker`` command."""
