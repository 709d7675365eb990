"""The commands: each reads its arguments, calls the rooms, and prints."""

from archpress.cli.commands import app, main

__all__ = ["app", "main"]
