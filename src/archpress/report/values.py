"""`page_values`: the trials of a page and their nets, once for its figures, tables and panels."""

import base64
import json
import zlib
from collections.abc import Sequence

from archpress.architecture import Architecture
from archpress.report import wording
from archpress.report.explorer import Explorer, Shown
from archpress.report.figures import hover
from archpress.report.layer_table import layer_cells
from archpress.report.record import ResultRecord
from archpress.report.training import Training
from archpress.report.trials import TrialPoint
from archpress.run_files import STORE_FILE

KEY_DIGITS = 12  # of a key in a command: two of a million trials begin alike once in 500 runs


def page_values(
    points: Sequence[TrialPoint], result: ResultRecord, explorer: Explorer | None = None
) -> str:
    """What the page's scripts unpack; empty where there is nothing to show.

    The columns have one entry a trial, in the order of training; figures name them in the `meta`
    of a trace and have the numbers of their trials in its `customdata`. Layer tables are lists of
    indices of rows.

    Args:
        points: the trials.
        result: of the run.
        explorer: its nets for other limits, and the places of trials on its map.
    """
    shown = explorer.shown if explorer else ()
    if not points and not shown:
        return ""
    rows = _Rows()
    limits: list[dict[str, object]] = [
        {**panel_item(one), "layers": rows.of(one.net)} for one in shown
    ]
    return packed(
        {
            "columns": _columns(points, explorer),
            "outlines": [point.outline for point in points],
            "hovers": [hover(point) for point in points],
            "layers": [rows.of(point.architecture) for point in points],
            "limits": limits,
            "rows": list(rows.known),
            "command": Training.of(result).command(f"{STORE_FILE}:KEY", "KEY"),
        }
    )


def panel_item(shown: Shown) -> dict[str, object]:
    """What a panel shows of a net for a limit, but its layers."""
    return {
        "title": shown.title,
        "say": shown.say.replace(" %", "\u00a0%"),
        "costs": [*costs(shown.net), shown.accuracy],
        "command": shown.command,
        "place": shown.place,
    }


def layer_rows(net: Architecture) -> list[tuple[str, str, str, str]]:
    """Rows of its table of layers: what, shape of the output, parameters, macs; as text."""
    return [
        (cell.text, cell.shape, wording.count(cell.parameters), wording.count(cell.macs))
        for cell in layer_cells(net)
    ]


def costs(net: Architecture) -> tuple[str, str, str]:
    """Parameters, multiply-adds and peak memory, as text."""
    return wording.count(net.parameters), wording.count(net.macs), wording.memory(net.peak_memory)


def packed(value: object) -> str:
    """JSON, compressed, as text that is safe inside a script element: a sixth of its size.

    >>> zlib.decompress(base64.b64decode(packed({"a": 1}))).decode()
    '{"a":1}'
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _columns(points: Sequence[TrialPoint], explorer: Explorer | None) -> dict[str, list[object]]:
    places = {point.key: place for point, place in explorer.trials} if explorer else {}
    found = [places.get(point.key, (None, None)) for point in points]
    return {
        "accuracy": [point.percent for point in points],
        "expected": [point.expected_percent for point in points],
        "parameters": [point.parameters for point in points],
        "macs": [point.macs for point in points],
        "milliseconds": [point.milliseconds for point in points],
        "memory": [wording.memory(point.architecture.peak_memory) for point in points],
        "origin": [point.origin for point in points],
        "round": [point.round for point in points],
        "time": [wording.duration(point.seconds) for point in points],
        "key": [point.key[:KEY_DIGITS] for point in points],
        "across": [across for across, _ in found],
        "up": [up for _, up in found],
    }


class _Rows:
    """Rows of layer tables, each kept once."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str, str, str], int] = {}

    def of(self, net: Architecture) -> list[int]:
        """The rows of a net, by index."""
        return [self.known.setdefault(row, len(self.known)) for row in layer_rows(net)]
