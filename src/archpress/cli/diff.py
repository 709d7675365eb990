"""`archpress diff`: what changed between two nets, layer by layer."""

from typing import TYPE_CHECKING, Annotated

import typer

from archpress.architecture.shape_rules import format_shape
from archpress.cli.arguments import read_net, shape_of
from archpress.cli.options import NET, ClassesOption, InputOption, JsonOption
from archpress.cli.printing import console, print_json, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from archpress.architecture.difference import Difference, LayerChange, Side


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=NET)],
    after: Annotated[str, typer.Argument(metavar="B", help="Likewise.")],
    input_shape: InputOption = None,
    classes: ClassesOption = 10,
    every: Annotated[
        bool, typer.Option("--all", help="Also layers that are the same or only resized.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What changed from one net to another, layer by layer, and what it saves.

    Layers are aligned: one whose width changed is one row, others are removed or added.

    **Examples**

    archpress diff runs/demo/source.json runs/demo/compressed.json

    archpress diff mymodel.py:build resnet20 --input 3x32x32
    """
    from archpress.architecture.difference import Change, difference

    shape = shape_of(input_shape, "--input")
    found = difference(read_net(before, shape, classes), read_net(after, shape, classes))
    if as_json:
        print_json(found.to_dict())
        return
    screen = console()
    shown = [row for row in found.rows if every or not _only_follows(row)]
    if shown:
        screen.print(_layer_table(shown))
    screen.print(_totals_table(found))
    counts = ", ".join(f"{found.count(change)} {change.value}" for change in Change)
    hidden = len(found.rows) - len(shown)
    say(f"Layers: {counts}{f' ({hidden} not shown: --all)' if hidden else ''}")
    one, other = found.before.input_shape, found.after.input_shape
    if one != other:
        say(f"They read other images, {format_shape(one)} and {format_shape(other)}: see --input")


def _only_follows(row: "LayerChange") -> bool:
    """The same, or resized with a layer before it at no multiply-adds."""
    if row.before is None or row.after is None or row.fields:
        return False
    return row.before.macs == row.after.macs


def _layer_table(rows: "Sequence[LayerChange]") -> object:
    from archpress.report.wording import short_count
    from archpress.terminal import table

    signs = {"same": " ", "resized": " ", "changed": "~", "removed": "-", "added": "+"}
    cells = [
        [
            f"{signs[row.change]} {_pair(row, lambda side: side.name)}",
            "\n".join(f"{name} {old} -> {new}" for name, old, new in row.fields)
            or row.change.value,
            _pair(row, lambda side: format_shape(side.shape)),
            _pair(row, lambda side: f"{side.parameters:,}"),
            _pair(row, lambda side: short_count(side.macs)),
        ]
        for row in rows
    ]
    return table("", ["  layer", "change", "output", "parameters", "multiply-adds"], cells)


def _totals_table(found: "Difference") -> object:
    from archpress.terminal import table

    words = {"parameters": "parameters", "macs": "multiply-adds", "peak_memory": "peak bytes"}
    rows = [
        [
            words[total.name],
            f"{total.before:,}",
            f"{total.after:,}",
            "" if total.percent is None else f"{total.percent:+.1f} %",
        ]
        for total in found.totals
    ]
    return table("", ["", "A", "B", "change"], rows)


def _pair(row: "LayerChange", told: "Callable[[Side], str]") -> str:
    """Of both sides, once where they agree or one is missing."""
    texts = dict.fromkeys(told(side) for side in (row.before, row.after) if side)
    return " -> ".join(texts)
