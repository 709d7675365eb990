"""`archpress merge`: the trials of several stores in one."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from archpress.cli.options import JsonOption
from archpress.cli.printing import print_json, say
from archpress.paths import store_place

if TYPE_CHECKING:
    from archpress.store import Merged

OTHER = "Folder of a run, or a store: a file or a URL."


def merge(
    others: Annotated[list[str], typer.Argument(metavar="OTHER...", help=OTHER)],
    into: Annotated[
        str, typer.Option(metavar="STORE", help="That gets the trials; a new file is made.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Bring the trials of stores into one.

    A trial that is there stays, unless it failed and the other one did not. The same command again
    changes nothing.

    **Examples**

    archpress merge runs/a runs/b --into all.db

    archpress merge runs/a --into postgresql+psycopg://me@host/trials
    """
    from archpress.store import Store

    places = [store_place(other) for other in others]
    merged: list[Merged] = []
    with ExitStack() as stack:
        opened = [stack.enter_context(Store(place)) for place in places]
        store = stack.enter_context(Store(store_place(into, new=True)))
        for other in opened:
            merged.append(store.merge(other))
            if not as_json:
                say(f"{other.place}: {_told(merged[-1])}")
        total = store.count()
    if not as_json:
        say(f"{total} trials in {store.place}")
        return
    found = [
        {
            "store": other.place,
            "new": one.new,
            "replaced": one.replaced,
            "known": one.known,
            "differing": [trial.to_dict() for trial in one.differing],
        }
        for other, one in zip(opened, merged, strict=True)
    ]
    print_json({"trials": total, "merged": found})


def _told(merged: "Merged") -> str:
    text = f"{merged.new} new, {merged.known} known"
    if merged.replaced:
        text += f", {merged.replaced} in the place of failed ones"
    if merged.differing:
        text += f", {len(merged.differing)} with another result, which stay as they were:"
    for trial in merged.differing:
        result = trial.error or f"{trial.accuracy:.2%} there"
        text += f"\n  {trial.architecture.key[:8]} seed {trial.seed}: {result}"
    return text
