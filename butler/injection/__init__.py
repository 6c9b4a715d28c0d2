"""Providers: what a task needs beside its request, made for it by the worker (``Provide``)."""

from butler.injection.markers import Provide, Provided, Scope

__all__ = ["Provide", "Provided", "Scope"]
