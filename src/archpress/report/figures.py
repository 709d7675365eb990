"""The figures of the report, each in the colours of a theme."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from archpress.report import wording
from archpress.report.record import TimesRecord
from archpress.report.themes import SYMBOLS, Theme
from archpress.report.trials import BestSoFar, Cost, TrialPoint, front

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
WORST = 10  # percent of the trials, whose accuracies stretch neither an axis nor a colour scale
MANY = 600  # trials from which marks are small and plain: they overlap, and are drawn faster
HOVER = "%{text}<extra></extra>"  # of trials
HOVER_LENGTH = 46  # characters of a line of hover text that fit on a phone
COST_TITLES: dict[Cost, str] = {
    "parameters": "parameters",
    "macs": "multiply-adds an image",
    "milliseconds": "measured latency (ms)",
}
ACCURACY_TITLE = "validation accuracy, trial recipe (%)"


def origin_order(points: Iterable[TrialPoint]) -> tuple[str, ...]:
    """The proposers of trials, in the order of their first trial: one colour each everywhere."""
    return tuple(dict.fromkeys(point.origin for point in points))


def cost_figure(
    points: Sequence[TrialPoint],
    cost: Cost,
    theme: Theme,
    *,
    marked: Mapping[str, TrialPoint],
    lines: Mapping[str, float],
) -> "Figure":
    """Accuracy of all trials against a cost, with the Pareto front.

    Args:
        points: done trials, one recipe.
        cost: the horizontal axis, logarithmic.
        theme: colours.
        marked: label -> trial that gets a ring, e.g. "source".
        lines: label -> cost at which an upright line is drawn, e.g. "limit".
    """
    figure = blank_figure(theme, COST_TITLES[cost], ACCURACY_TITLE)
    ticks = _log_ticks([getattr(point, cost) for point in points])
    told = [f"{tick:g}" if tick < 1 else wording.short_count(tick) for tick in ticks]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=told)
    for index, origin in enumerate(origin_order(points)):
        group = [point for point in points if point.origin == origin]
        figure.add_scatter(
            x=[getattr(point, cost) for point in group],
            y=[point.percent for point in group],
            mode="markers",
            name=f"{escape(origin)} ({len(group)})",
            marker=_marker(theme, index, many=len(points) > MANY),
            **of_trials(group, origin, x=cost, y="accuracy"),
            hovertemplate=HOVER,
        )
    best = front(points, cost)
    figure.add_scatter(
        x=[getattr(point, cost) for point in best],
        y=[point.percent for point in best],
        mode="lines",
        line={"shape": "hv", "width": 1.5, "color": theme.muted},
        name="Pareto front",
        hoverinfo="skip",
    )
    for label, point in marked.items():
        _ring(figure, label, getattr(point, cost), point.percent, theme)
    for label, place in lines.items():
        _line(figure, label, place, theme)
    _leave_out_failures(figure, [point.percent for point in points], theme)
    return figure


def _leave_out_failures(figure: "Figure", percents: Sequence[float], theme: Theme) -> None:
    """Where a few nets learned next to nothing, the axis is for the others, and says so."""
    most, best = np.percentile(percents, (WORST, 100)).tolist()
    low = most - (best - most)
    left_out = sum(percent < low for percent in percents)
    if not left_out:
        return
    figure.update_yaxes(range=[low, best + 0.05 * (best - low)])
    figure.add_annotation(
        text=f"{left_out} below {low:.0f} %: in the table",
        **{"x": 0.01, "xref": "paper", "xanchor": "left"},
        **{"y": 0.01, "yref": "paper", "yanchor": "bottom"},
        showarrow=False,
        font={"color": theme.muted, "size": 12},
    )


def prediction_figure(points: Sequence[TrialPoint], theme: Theme) -> "Figure":
    """Predicted against measured accuracy, coloured by round, with the diagonal."""
    known = [point for point in points if point.predicted is not None]
    predicted = [point.expected_percent or 0.0 for point in known]
    measured = [point.percent for point in known]
    figure = blank_figure(theme, "predicted before the training (%)", "measured, trial recipe (%)")
    _diagonal(figure, [*predicted, *measured], theme)
    rounds = [point.round for point in known]
    several, many = max(rounds) > min(rounds), len(known) > MANY
    figure.add_scatter(
        x=predicted,
        y=measured,
        mode="markers",
        showlegend=False,
        marker={
            "size": 5 if many else 9,
            "color": rounds if several else theme.accent,
            "colorscale": list(enumerate(theme.rounds)),
            "showscale": several,
            "colorbar": _round_bar(theme, rounds),
            "line": edge(theme, many=many),
        },
        **of_trials(known, "trials", x="expected", y="accuracy"),
        hovertemplate=HOVER,
    )
    return figure


def times_figure(times: TimesRecord, theme: Theme) -> "Figure":
    """Predicted against measured latency, both logarithmic, with the diagonal."""
    predicted, measured = zip(*times.points, strict=True)
    figure = blank_figure(theme, "predicted from the layers (ms)", "measured (ms)")
    ticks = _log_ticks([*predicted, *measured])
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    _diagonal(figure, [*predicted, *measured], theme)
    figure.add_scatter(
        x=predicted,
        y=measured,
        mode="markers",
        showlegend=False,
        marker={"size": 8, "color": theme.accent, "opacity": 0.85},
        meta={"series": "architectures"},
        hovertemplate="predicted %{x:.3g} ms<br>measured %{y:.3g} ms<extra></extra>",
    )
    return figure


def best_figure(best: BestSoFar, theme: Theme) -> "Figure":
    """The best so far against the number of trained architectures."""
    scale = 100 if best.unit == "accuracy" else 1
    title = "best accuracy so far (%)" if scale == 100 else "fewest parameters so far"
    before = (None, *best.values)
    steps = [  # where it changes, and the end
        (number, value)
        for number, value in enumerate(best.values, start=1)
        if value is not None and (value != before[number - 1] or number == len(best.values))
    ]
    figure = blank_figure(theme, "architectures trained", title)
    figure.add_scatter(
        x=[number for number, _ in steps],
        y=[round(scale * value, 3) for _, value in steps],
        mode="lines",
        line={"shape": "hv", "width": 2.5, "color": theme.accent},
        meta={"series": "best so far"},
        showlegend=False,
        hovertemplate="after %{x}: %{y:,.4~r}" + (" %" if scale == 100 else "") + "<extra></extra>",
    )
    figure.update_xaxes(range=[0, len(best.values) * 1.02])
    return figure


def stage_figure(seconds: Mapping[str, float], theme: Theme) -> "Figure":
    """Wall time of each stage, the first on top."""
    figure = blank_figure(theme, "wall time (s)", "")
    figure.add_bar(
        x=list(seconds.values()),
        y=[escape(stage) for stage in seconds],
        orientation="h",
        marker={"color": theme.accent},
        text=[wording.duration(value) for value in seconds.values()],
        textposition="auto",
        insidetextfont={"color": theme.surface},
        cliponaxis=False,
        hovertemplate="%{y}: %{text}<extra></extra>",
        showlegend=False,
        meta={"series": "this run"},
    )
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_layout(height=110 + 38 * len(seconds), bargap=0.35, meta={"y": "stage"})
    return figure


def of_trials(points: Sequence[TrialPoint], series: str, **columns: str) -> dict[str, Any]:
    """Of a trace of trials: which they are, and in which columns the page has its values.

    Args:
        points: in the order of the trace.
        series: what they are called where the figure is saved as a table.
        columns: of `page_values`, by x, y and, of markers, color.
    """
    return {
        "customdata": [point.number - 1 for point in points],
        "text": [hover(point) for point in points],
        "meta": {"series": escape(series), "columns": columns},
    }


def hover(point: TrialPoint) -> str:
    """What is said of a trial that is pointed at, in plotly's markup."""
    expected = point.expected_percent
    lines = [
        f"<b>{wording.percent(point.accuracy)}</b> · {wording.count(point.parameters)} parameters"
        f" · {wording.short_count(point.macs)} macs",
        f"{escape(point.origin)}, round {point.round}, trial {point.number}",
        *([] if expected is None else [f"{expected:.2f} % expected"]),
        *map(escape, textwrap.wrap(point.outline, HOVER_LENGTH)),
    ]
    return "<br>".join(lines)


def blank_figure(theme: Theme, x_title: str, y_title: str) -> "Figure":
    """Axes, fonts and colours of all figures, without values.

    Where a figure is saved as a table, traces without a name or a `meta` with a "series" are left
    out; "also" of a `meta` has more of its columns, and the `meta` of the layout titles that the
    axes lack.
    """
    from plotly.graph_objects import Figure

    axis = {
        "gridcolor": theme.grid,
        "linecolor": theme.grid,
        "zerolinecolor": theme.grid,
        "tickcolor": theme.grid,
        "tickfont": {"color": theme.muted, "size": 12},
        "automargin": True,
    }
    title = {"font": {"color": theme.muted, "size": 13}, "standoff": 10}
    return Figure(
        layout={
            "template": {},
            "font": {"family": FONT, "size": 13, "color": theme.ink},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "height": 430,
            "margin": {"l": 8, "r": 16, "t": 16, "b": 8},
            "dragmode": False,  # a finger on a figure scrolls the page
            "xaxis": axis | {"title": title | {"text": x_title}},
            "yaxis": axis | {"title": title | {"text": y_title}},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "hoverlabel": {
                "align": "left",
                "bgcolor": theme.surface,
                "bordercolor": theme.muted,
                "font": {"family": FONT, "size": 12, "color": theme.ink},
            },
        }
    )


def _line(figure: "Figure", label: str, place: float, theme: Theme) -> None:
    figure.add_vline(x=place, line={"color": theme.muted, "width": 1, "dash": "dot"})
    figure.add_annotation(
        x=math.log10(place),  # annotations on a logarithmic axis want the power
        y=0.01,
        yref="paper",
        xanchor="right",
        yanchor="bottom",
        text=label,
        showarrow=False,
        font={"color": theme.muted, "size": 12},
    )


def _diagonal(figure: "Figure", values: Sequence[float], theme: Theme) -> None:
    """A perfect prediction."""
    ends = [min(values), max(values)]
    figure.add_scatter(
        x=ends, y=ends, mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": theme.muted, "width": 1, "dash": "dot"},
    )  # fmt: skip


def _log_ticks(values: Sequence[float]) -> list[float]:
    """Round numbers around the values, few enough for a phone."""
    low, high = math.floor(math.log10(min(values))), math.floor(math.log10(max(values))) + 1
    steps = {1: (1, 2, 5), 2: (1, 2, 5), 3: (1, 3)}.get(high - low, (1,))  # by powers of ten
    round_ones = [float(f"{step}e{power}") for power in range(low, high + 1) for step in steps]
    least, most = min(values), max(values)
    if sum(least <= one <= most for one in round_ones) > 1:
        return round_ones
    return [float(f"{one:.2g}") for one in np.linspace(least, most, 4)]  # of one size


def _marker(theme: Theme, index: int, *, many: bool) -> dict[str, Any]:
    return {
        "color": theme.origins[index % len(theme.origins)],
        "symbol": SYMBOLS[index % len(SYMBOLS)],
        "size": 5 if many else 8,
        "opacity": 0.6 if many else 0.85,
        "line": edge(theme, many=many),
    }


def edge(theme: Theme, *, many: bool) -> dict[str, Any]:
    """Around marks, so that some that overlap can be told apart."""
    return {"width": 0 if many else 0.5, "color": theme.surface}


def _ring(figure: "Figure", label: str, x: float, y: float, theme: Theme) -> None:
    colour = theme.ink if label == "source" else theme.accent
    figure.add_scatter(
        x=[x],
        y=[y],
        mode="markers+text",
        marker={
            "symbol": "circle-open",
            "size": 17,
            "color": colour,
            "line": {"width": 2.5, "color": colour},
        },
        text=[f"<b>{escape(label)}</b>"],
        textposition="bottom center",
        textfont={"color": colour, "size": 13},
        meta={"series": escape(label)},
        showlegend=False,
        hoverinfo="skip",
        cliponaxis=False,
    )


def _round_bar(theme: Theme, rounds: Sequence[int]) -> dict[str, Any]:
    return {
        "title": {"text": "round", "side": "top", "font": {"color": theme.muted, "size": 12}},
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "y": 1.02,
        "yanchor": "bottom",
        "len": 0.5,
        "thickness": 10,
        "tickfont": {"color": theme.muted},
        "tickvals": sorted(set(rounds)) if len(set(rounds)) <= 8 else None,
        "outlinewidth": 0,
    }
