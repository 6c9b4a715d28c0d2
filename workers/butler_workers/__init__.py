"""Runs tasks: the ``butler-worker`` command."""


def run(execution_id: str) -> None:
    """What the RQ job of every execution calls, under a name that is short: see `entry`."""
    from butler_workers import entry

    entry.run(execution_id)
