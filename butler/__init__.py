"""Typed, durable background tasks."""
