"""`archpress watch`: a page that shows a run as it goes."""

from contextlib import suppress
from typing import Annotated

import typer

from archpress.cli.options import RunArgument
from archpress.cli.printing import say


def watch(
    run: RunArgument,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 is any that is free.")
    ] = 0,
) -> None:
    """Serve a live page about a run while it works in another process; Ctrl-C ends it.

    The page tells stage, rate, time left, the best so far and failed trials, draws the trials, and
    shows the net that the search would name now for another limit on parameters.
    It reads the run folder only, and answers this machine alone.

    **Example:** archpress watch runs/demo
    """
    from archpress.watching import Watched, WatchServer

    with WatchServer(Watched(run), port) as server:
        say(f"Watching {run} at {server.url} (Ctrl-C ends it)")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
