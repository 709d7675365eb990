"""What commands print: results on standard output, progress and notes on standard error."""

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from archpress.terminal import TerminalProgress


def console() -> "Console":
    """Standard output, for tables."""
    from rich.console import Console

    return Console(soft_wrap=False)


def terminal_progress(*, quiet: bool) -> "TerminalProgress":
    """Bars of long work on standard error, or lines where that is a file."""
    from rich.console import Console

    from archpress.terminal import TerminalProgress

    return TerminalProgress(Console(stderr=True), quiet=quiet)


def print_json(content: Any) -> None:  # noqa: ANN401
    """A result for programs, on standard output."""
    typer.echo(json.dumps(content, indent=1))


def say(text: str, *, error: bool = False) -> None:
    """A sentence for people; on standard output where it belongs to the result."""
    typer.echo(text, err=error)
