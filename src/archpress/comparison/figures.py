"""The figures of a comparison, each in the colours of a theme."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from archpress.comparison.contestants import OURS
from archpress.comparison.curves import Band
from archpress.report.figures import blank_figure
from archpress.report.themes import SYMBOLS, Theme

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DASHES = ("solid", "dash", "dot", "dashdot")  # where the colours begin again


def curve_figure(
    bands: Sequence[tuple[str, Band]], title: str, scale: float, theme: Theme
) -> "Figure":
    """Means over seeds against the number of trained architectures, with 95 % bands.

    Args:
        bands: (arm, values); ours is drawn thicker.
        title: of the upright axis.
        scale: that values are multiplied by, 100 for percent.
        theme: colours.
    """
    figure = blank_figure(theme, "architectures trained", title)
    opacity = min(0.14, 0.6 / max(len(bands), 1))
    for index, (arm, band) in enumerate(bands):  # below all lines
        for end, values in (("low", band.low), ("high", band.high)):
            figure.add_scatter(
                x=_steps(band),
                y=[scale * value for value in values],
                fill="tonexty" if end == "high" else None,
                fillcolor=_transparent(_look(arm, index, theme)[0], opacity),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                showlegend=False,
                legendgroup=arm,
                meta={"series": f"{escape(arm)}, {end} end of the 95 % interval"},
            )
    for index, (arm, band) in enumerate(bands):
        colour, dash = _look(arm, index, theme)
        figure.add_scatter(
            x=_steps(band),
            y=[scale * value for value in band.mean],
            mode="lines",
            name=escape(arm),
            meta={"series": f"{escape(arm)}, mean"},
            legendgroup=arm,
            line={"color": colour, "dash": dash, "width": 3.5 if arm == OURS else 1.8},
            hovertemplate=f"{escape(arm)} after %{{x}}: %{{y:.2f}}<extra></extra>",
        )
    figure.update_yaxes(range=[scale * end for end in _range([band for _, band in bands])])
    return figure


def _range(bands: Sequence[Band]) -> tuple[float, float]:
    """All means, and of the bands what does not press the means together: few seeds, wide bands."""
    low, high = min(min(one.mean) for one in bands), max(max(one.mean) for one in bands)
    margin = 0.4 * (high - low) or 0.02 * high
    lowest, highest = min(min(one.low) for one in bands), max(max(one.high) for one in bands)
    edge = 0.1 * margin
    return max(lowest, low - margin) - edge, min(highest, high + margin) + edge


def final_figure(
    values: Sequence[tuple[str, Sequence[float]]], title: str, scale: float, theme: Theme
) -> "Figure":
    """One point a final training, and the mean of each arm as a bar across them.

    Args:
        values: (arm, one value a seed), the first on top.
        title: of the lower axis.
        scale: that values are multiplied by, 100 for percent.
        theme: colours.
    """
    figure = blank_figure(theme, title, "")
    for index, (arm, ones) in enumerate(values):
        colour, _ = _look(arm, index, theme)
        scaled = [scale * one for one in ones]
        figure.add_scatter(
            x=scaled,
            y=[escape(arm)] * len(scaled),
            mode="markers",
            marker={"color": colour, "size": 9, "opacity": 0.75, "symbol": SYMBOLS[0]},
            hovertemplate="%{y}: %{x:.2f}<extra></extra>",
            meta={"series": "one training each"},
            showlegend=False,
        )
        figure.add_scatter(
            x=[sum(scaled) / len(scaled)],
            y=[escape(arm)],
            mode="markers",
            marker={
                "symbol": "line-ns",
                "size": 22,
                "line": {"width": 3, "color": theme.ink},
            },
            hovertemplate=f"%{{y}}: mean %{{x:.2f}}, n = {len(scaled)}<extra></extra>",
            meta={"series": "mean"},
            showlegend=False,
        )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(height=120 + 36 * len(values), meta={"y": "arm"})
    return figure


def _look(arm: str, index: int, theme: Theme) -> tuple[str, str]:
    """Colour and dash; ours has the accent to itself."""
    if arm == OURS:
        return theme.accent, "solid"
    count = len(theme.origins)
    return theme.origins[index % count], DASHES[index // count % len(DASHES)]


def _steps(band: Band) -> list[int]:
    return [band.start + step for step in range(len(band.mean))]


def _transparent(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:.2f})"
