"""The figures of an analysis, each in the colours of a theme."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from archpress.report.figures import blank_figure
from archpress.report.themes import Theme
from archpress.reproduction.analysis import PathPoint, Study

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

Measure = Literal["accuracy", "compression"]
Colour = Literal["accuracy", "parameters"]
MEASURES: tuple[Measure, ...] = ("accuracy", "compression")
COLOURS: tuple[Colour, ...] = ("accuracy", "parameters")
FILTERS_A_ROW = 8


def filter_figure(filters: NDArray[np.float64], fields: Sequence[str], theme: Theme) -> "Figure":
    """Each filter of the first convolution as a small picture: fields down, layers across.

    Args:
        filters: `W x C x 3`.
        fields: names of the C channels.
        theme: colours.
    """
    figure = blank_figure(theme, "", "")
    count, channels, width = filters.shape
    rows = math.ceil(count / FILTERS_A_ROW)
    canvas = np.full((rows * (channels + 1) - 1, FILTERS_A_ROW * (width + 1) - 1), np.nan)
    for number, one in enumerate(filters):
        top, left = (
            number // FILTERS_A_ROW * (channels + 1),
            number % FILTERS_A_ROW * (width + 1),
        )
        canvas[top : top + channels, left : left + width] = one
    largest = float(np.abs(filters).max()) or 1.0
    names = [[f"{fields[row % (channels + 1) % channels]}"] * canvas.shape[1]
             for row in range(canvas.shape[0])]  # fmt: skip
    figure.add_heatmap(
        z=[[None if math.isnan(v) else float(v) for v in row] for row in canvas],
        text=names,
        zmin=-largest,
        zmax=largest,
        colorscale=[(0.0, theme.origins[1]), (0.5, theme.surface), (1.0, theme.accent)],
        hovertemplate="%{text}: %{z:.3f}<extra></extra>",
        xgap=1,
        ygap=1,
        colorbar={"title": {"text": "weight"}, "thickness": 10},
        meta={"series": "filters"},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed")
    figure.update_layout(height=120 + 9 * canvas.shape[0])
    return figure


def path_figure(
    before: Sequence[PathPoint],
    after: Sequence[PathPoint],
    measure: Measure,
    source_parameters: int,
    theme: Theme,
) -> "Figure":
    """Predicted (lines) and true (points) values by step, before and after the fine-tuning.

    Args:
        before: the first descent.
        after: the second.
        measure: accuracy, or compression.
        source_parameters: that compression is measured against.
        theme: colours.
    """
    title = "accuracy (%)" if measure == "accuracy" else "compression (times)"
    figure = blank_figure(theme, "step of the descent", title)
    for index, (name, points) in enumerate((("before tuning", before), ("after tuning", after))):
        colour = (theme.muted, theme.accent)[index]
        steps = [point.step for point in points]
        figure.add_scatter(
            x=steps,
            y=[_value(point, measure, source_parameters, predicted=True) for point in points],
            mode="lines",
            name=f"predicted, {name}",
            line={"color": colour, "width": 2, "dash": ("dot", "solid")[index]},
        )
        figure.add_scatter(
            x=steps,
            y=[_value(point, measure, source_parameters, predicted=False) for point in points],
            mode="markers",
            name=f"{'trained' if measure == 'accuracy' else 'decoded'}, {name}",
            marker={"color": colour, "size": 7, "symbol": ("circle-open", "circle")[index]},
        )
    if measure == "compression":
        figure.update_yaxes(type="log")
    return figure


def _value(
    point: PathPoint, measure: Measure, source_parameters: int, *, predicted: bool
) -> float | None:
    if measure == "accuracy":
        accuracy = point.predicted_accuracy if predicted else point.accuracy
        return None if accuracy is None else 100 * accuracy
    parameters = point.predicted_parameters if predicted else point.parameters
    return source_parameters / parameters if parameters and parameters > 0 else None


def map_figure(
    study: Study, samples: Sequence[tuple[float, int]], colour: Colour, theme: Theme
) -> "Figure":
    """Samples on the two principal axes, and the first descent among them.

    Args:
        study: places of both.
        samples: accuracy and parameters of each.
        colour: what the samples are coloured by.
        theme: colours.
    """
    figure = blank_figure(theme, "first principal axis", "second principal axis")
    by_accuracy = colour == "accuracy"
    values = [100 * accuracy if by_accuracy else math.log10(size) for accuracy, size in samples]
    figure.add_scatter(
        x=study.places[:, 0].tolist(),
        y=study.places[:, 1].tolist(),
        mode="markers",
        name=f"{len(samples)} samples",
        marker={
            "size": 8,
            "color": values,
            "colorscale": list(enumerate(theme.rounds)),
            "colorbar": {
                "title": {"text": "accuracy (%)" if by_accuracy else "log10 parameters"},
                "thickness": 10,
            },
            "line": {"width": 0.5, "color": theme.surface},
        },
        text=[f"{100 * accuracy:.1f} %, {size:,} parameters" for accuracy, size in samples],
        hovertemplate="%{text}<extra></extra>",
    )
    figure.add_scatter(
        x=study.path[:, 0].tolist(),
        y=study.path[:, 1].tolist(),
        mode="lines+markers",
        name="descent",
        line={"color": theme.origins[1], "width": 2},
        marker={"size": 4},
        hovertemplate="step %{pointNumber}<extra></extra>",
    )
    return figure
