"""`archpress table`: how near each way to search comes to the best row of a published table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archpress.cli.options import JsonOption, QuietOption
from archpress.cli.printing import console, print_json, terminal_progress
from archpress.errors import ArchpressError
from archpress.paths import typed_path

if TYPE_CHECKING:
    from archpress.search.problem import Arm
    from archpress.search.table import Lookups
    from archpress.space import Row, RowSpace

MOST = 10**9  # look-ups, or a choice


def table(
    file: Annotated[
        Path,
        typer.Argument(
            parser=typed_path,
            metavar="FILE",
            help="CSV: x0, x1, ... (whole), accuracy (percent), parameters.",
        ),
    ],
    max_accuracy_loss: Annotated[
        float, typer.Option(help="Percentage points that a row may be below the source.")
    ] = 0.5,
    lookups: Annotated[str, typer.Option(help="Tell the best so far after so many.")] = "25,50,100",
    seeds: Annotated[int, typer.Option(help="Searches of each arm.")] = 20,
    arms: Annotated[
        str, typer.Option(help="Of default, random, evolution, tpe, nsga2, gp.")
    ] = "default,random,evolution,tpe",
    source: Annotated[
        str | None, typer.Option(help="Choices, e.g. 2,2,2; by default the largest of each.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search a table of trained nets for the smallest that is about as accurate as the source.

    Nothing is trained: each look-up stands for one training. All arms know the source's accuracy;
    its own look-up counts for those that make it, as default does first.

    **Example:** archpress table nets.csv --max-accuracy-loss 0.5 --arms default,random --seeds 5
    """
    from archpress.evaluation import torch_threads
    from archpress.search.table import read_table, search_table
    from archpress.space import RowSpace

    counts = _whole_numbers(lookups, "--lookups", least=1)
    if counts != sorted(set(counts)):
        raise ArchpressError(f"--lookups must be rising numbers, not {lookups}")
    if seeds < 1:
        raise ArchpressError(f"--seeds must be at least 1, not {seeds}")
    if not 0 <= max_accuracy_loss <= 100:
        raise ArchpressError(
            f"--max-accuracy-loss is percentage points from 0 to 100, not {max_accuracy_loss}"
        )
    read = read_table(file)
    row = read.source(None if source is None else _whole_numbers(source, "--source", least=0))
    chosen = _arms(arms, RowSpace(read.rows, row))
    progress = terminal_progress(quiet=quiet)
    with torch_threads(1), progress:
        found = search_table(
            read,
            row,
            chosen,
            max_accuracy_loss=max_accuracy_loss / 100,
            lookups=counts,
            seeds=seeds,
            progress=progress,
        )
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, seeds)


def _whole_numbers(text: str, option: str, *, least: int) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and least <= int(part) <= MOST for part in parts):
        raise ArchpressError(
            f"{option} must be whole numbers from {least} to {MOST:,} with commas, e.g. 25,50, "
            f"not {text!r}"
        )
    return [int(part) for part in parts]


def _arms(names: str, space: "RowSpace") -> "list[Arm[Row]]":
    from archpress.baselines import SEARCHES
    from archpress.search.choices import choice_arm

    makers = {name: maker for name, maker in SEARCHES.items() if name != "narrowing"}
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in wanted:
        if name != "default" and name not in makers:
            known = ", ".join(["default", *makers])
            raise ArchpressError(f"no arm for tables is called {name!r}; known are {known}")
    return [choice_arm(space) if name == "default" else makers[name]() for name in wanted]


def _print(found: "Lookups", seeds: int) -> None:
    from archpress.terminal import table as text_table

    rows = []
    for name, values in found.reached.items():
        cells = [f"{mean:.2f}" for mean in values.mean(0)]
        if seeds > 1:
            cells = [f"{m} ± {s:.2f}" for m, s in zip(cells, values.std(0, ddof=1), strict=True)]
        rows.append([name, *cells, f"{found.seconds[name]:.1f}"])
    over = f"mean ± standard deviation, {seeds} seeds" if seeds > 1 else "one seed"
    title = f"Compression reached ({over}); the table's best: "
    heads = ["arm", *(f"{n} look-ups" for n in found.lookups), "seconds a search"]
    console().print(text_table(f"{title}{found.optimum:.2f}", heads, rows))
