"""Telling systemd how a worker or scheduler stands (``Type=notify``)."""

from __future__ import annotations

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send ``READY=1`` and the like to where systemd listens; elsewhere this does nothing.

    NOTIFY_SOCKET is systemd's own protocol (sd_notify(3)), not a setting.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)
