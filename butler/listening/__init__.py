"""Hearing what becomes of executions: one listener a process, however many wait."""

from butler.listening.listener import Listener

__all__ = ["Listener"]
