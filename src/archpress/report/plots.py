"""`run_figures`: the figures of the report, for a notebook or a page of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING

from archpress.compression import Result
from archpress.paths import typed_path
from archpress.report.page import read_content, sketches
from archpress.report.themes import DARK, LIGHT

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def run_figures(run: Path | str | Result, *, dark: bool = False) -> "dict[str, Figure]":
    """The figures of a finished run, by name, as plotly's: those that there are values for.

    | name | what it shows |
    |---|---|
    | "map" | trials in the embedding, and the path through the nets for other limits |
    | "parameters", "macs", "milliseconds" | accuracy against a cost, with the Pareto front |
    | "best" | the best so far against the number of trained architectures |
    | "predictions" | predicted against measured accuracy |
    | "times" | predicted against measured latency |
    | "stages" | wall time of each stage |

    Args:
        run: folder, or what `compress` gave back.
        dark: light marks on a dark ground.

    Raises:
        StoreError: the run has no result yet, or its files cannot be read.
    """
    content, explorer = read_content(run.folder if isinstance(run, Result) else typed_path(run))
    theme = DARK if dark else LIGHT
    made = {one.name: one.make(theme) for one in sketches(content, explorer)}
    for figure in made.values():
        figure.update_layout(dragmode="zoom", paper_bgcolor=theme.surface)
    return made
