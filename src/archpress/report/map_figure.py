"""The map of the embedding: trials, and the way through the nets for other limits."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from archpress.report import wording
from archpress.report.explorer import Explorer, ExplorerRecord, Point
from archpress.report.figures import MANY, WORST, blank_figure, edge, of_trials
from archpress.report.themes import Theme

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SMALL, LARGE = 5, 15  # pixels across, of the fewest and the most parameters
RING = 11  # pixels from the middle of what the panel shows
MARGIN = 0.08  # of the axes, around the points


def map_figure(explorer: Explorer, theme: Theme) -> "Figure":
    """Trials coloured by accuracy, sized by parameters; nets for other limits, and one descent.

    `customdata` has the number of a trial or of a net for a limit; the only shape is the ring
    around what the panel shows, which the page moves.
    """
    record = explorer.record
    shares = [f" ({100 * share:.0f} % of the spread)" for share in record.axes]
    titles = [
        f"{which} axis{share}" for which, share in zip(("first", "second"), shares, strict=True)
    ]
    figure = blank_figure(theme, *titles)
    everything = [*_front(record), *record.path, *(place for _, place in explorer.trials)]
    for axis, update in enumerate((figure.update_xaxes, figure.update_yaxes)):
        update(range=_around([place[axis] for place in everything]))
    _add_trials(figure, explorer, theme)
    if len(record.path) > 1:
        _add_descent(figure, record, theme)
    _add_front(figure, record, theme)
    start = record.nets[explorer.start].place
    figure.add_shape(
        name="pointer", type="circle",
        xsizemode="pixel", ysizemode="pixel", xanchor=start[0], yanchor=start[1],
        x0=-RING, x1=RING, y0=-RING, y1=RING, line={"width": 2.5, "color": theme.ink},
    )  # fmt: skip
    figure.update_layout(showlegend=False, height=460, hovermode="closest")
    return figure


def _front(record: ExplorerRecord) -> list[Point]:
    """Where the source lies, then nets for other limits, the largest first."""
    return [record.source, *(net.place for net in reversed(record.nets))]


def _add_trials(figure: "Figure", explorer: Explorer, theme: Theme) -> None:
    points = [point for point, _ in explorer.trials]
    trials = of_trials(points, "trials", x="across", y="up", color="accuracy")
    trials["meta"]["also"] = {"parameters": "parameters"}  # what the sizes show
    figure.add_scatter(
        x=[place[0] for _, place in explorer.trials],
        y=[place[1] for _, place in explorer.trials],
        **trials,
        mode="markers",
        marker={
            **_colours([point.percent for point in points], theme),
            "size": _sizes([point.parameters for point in points]),
            "opacity": 0.85,
            "line": edge(theme, many=len(points) > MANY),
        },
        hovertemplate="trial, %{marker.color:.1f} %<extra></extra>",
    )


def _add_descent(figure: "Figure", record: ExplorerRecord, theme: Theme) -> None:
    figure.add_scatter(
        x=[place[0] for place in record.path],
        y=[place[1] for place in record.path],
        mode="lines+markers",
        line={"width": 1.5, "color": theme.accent, "dash": "dot"},
        marker={"size": 5, "color": theme.accent},
        hoverinfo="skip",
        meta={
            "series": "one descent from the source",
            "also": {"step": [record.path_every * i for i in range(len(record.path))]},
        },
    )


def _add_front(figure: "Figure", record: ExplorerRecord, theme: Theme) -> None:
    path, count = _front(record), len(record.nets)
    figure.add_scatter(
        x=[place[0] for place in path],
        y=[place[1] for place in path],
        customdata=[count - 1, *reversed(range(count))],
        text=["source", *(wording.short_count(net.limit) for net in reversed(record.nets))],
        mode="lines+markers",
        line={"width": 1.5, "color": theme.muted},
        marker={
            "symbol": ["circle-open", *["square"] * count],
            "size": [15, *[9] * count],
            "color": [theme.ink, *[theme.origins[1]] * count],
            "line": {"width": [2.5, *[1] * count], "color": [theme.ink, *[theme.surface] * count]},
        },
        hovertemplate="%{text}<extra></extra>",
        meta={
            "series": "nets for other limits",
            "also": {
                "limit on parameters": [None, *(net.limit for net in reversed(record.nets))],
                "parameters": [None, *(net.parameters for net in reversed(record.nets))],
            },
        },
    )
    figure.add_annotation(
        x=path[0][0], y=path[0][1], text="<b>source</b>", showarrow=False, yshift=-16,
        font={"color": theme.ink, "size": 13},
    )  # fmt: skip


def _around(values: Sequence[float]) -> list[float]:
    """A range with a margin."""
    margin = MARGIN * (max(values) - min(values)) or 1.0
    return [min(values) - margin, max(values) + margin]


def _colours(accuracies: Sequence[float], theme: Theme) -> dict[str, Any]:
    """Of markers, with their scale above the figure."""
    ends = np.percentile(accuracies, (WORST, 100)).tolist() if accuracies else [0.0, 100.0]
    return {
        "color": list(accuracies),
        "colorscale": list(enumerate(theme.rounds)),
        "cmin": ends[0],
        "cmax": max(ends[1], ends[0] + 0.1),
        "colorbar": {
            "title": {
                "text": "accuracy of the brief trial (%)",
                "side": "top",
                "font": {"color": theme.muted, "size": 12},
            },
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "len": 0.6,
            "thickness": 10,
            "tickfont": {"color": theme.muted},
            "outlinewidth": 0,
        },
    }


def _sizes(parameters: Sequence[int]) -> list[float]:
    """Diameters of markers, by the logarithm."""
    logs = [math.log(max(value, 1)) for value in parameters]
    least, most = min(logs, default=0.0), max(logs, default=0.0)
    spread = most - least or 1.0
    return [round(SMALL + (LARGE - SMALL) * (value - least) / spread, 1) for value in logs]
