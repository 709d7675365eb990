"""The command line: every command in the order in which `--help` lists them, and how it ends."""

import signal
import sys
import threading
from collections.abc import Sequence
from typing import Annotated

import typer

from archpress.cli.analyse import analyse
from archpress.cli.compare import compare
from archpress.cli.compress import compress
from archpress.cli.count import count
from archpress.cli.diff import diff
from archpress.cli.export import export
from archpress.cli.inspect import inspect
from archpress.cli.listings import data, zoo
from archpress.cli.merge import merge
from archpress.cli.printing import say
from archpress.cli.profile import profile
from archpress.cli.reproduce import reproduce
from archpress.cli.runs import fit, report, trials
from archpress.cli.table import table
from archpress.cli.training import evaluate, train
from archpress.cli.watch import watch
from archpress.errors import ArchpressError
from archpress.version import __version__

BAD_INPUT, STOPPED = 2, 130  # exit codes
# Commands that go on from what they had.
RESUMED = {"compress", "compare", "analyse", "reproduce", "train"}

app = typer.Typer(
    name="archpress",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Give it a CNN, labelled images and limits; get back a smaller net, trained and measured.",
    epilog="Start with: archpress compress conv7 --data fashion-mnist-sample "
    "--max-parameters 93000 --run runs/first",
)


def _told_version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_told_version, is_eager=True, help="Print the version, and end."
        ),
    ] = False,
) -> None:
    """What goes before a command."""


for command in (
    compress,
    watch,
    evaluate,
    train,
    fit,
    trials,
    report,
    data,
    zoo,
    inspect,
    diff,
    export,
    profile,
    compare,
    count,
    reproduce,
    merge,
    analyse,
    table,
):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; bad input is one sentence on standard error and exit code 2.

    SIGTERM, as schedulers and containers send it, stops it as Ctrl-C does.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app(arguments, standalone_mode=True)
    except ArchpressError as error:
        say(f"archpress: {error}", error=True)
        sys.exit(BAD_INPUT)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        say(f"archpress: cannot read or write{where}: {error.strerror or error}", error=True)
        sys.exit(BAD_INPUT)
    except SystemExit as stop:
        if stop.code == STOPPED:
            given = sys.argv[1:] if arguments is None else arguments
            is_resumed = bool(RESUMED.intersection(given[:1]))
            rest = "; the same command goes on from here" if is_resumed else ""
            say(f"archpress: stopped{rest}", error=True)
        raise
