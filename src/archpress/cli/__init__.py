"""The commands: each reads its arguments, calls one room, and prints."""

from archpress.cli.commands import app, main

__all__ = ["app", "main"]
