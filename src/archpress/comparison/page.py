"""`compare.html`: a comparison as one file that needs nothing else."""

from collections.abc import Iterator

from archpress.comparison import tables
from archpress.comparison.curves import Band, Goal, band, best_so_far
from archpress.comparison.figures import curve_figure, final_figure
from archpress.comparison.result import Comparison
from archpress.report.drawing import Drawing, drawing
from archpress.report.drawing import render as render_template
from archpress.whole_files import write_text

PAGE = "compare.html"


def write_page(comparison: Comparison) -> None:
    """Write `compare.html` into the folder of the comparison, whole or not at all."""
    write_text(comparison.folder / PAGE, render(comparison))


def render(comparison: Comparison) -> str:
    """The page as text."""
    return render_template(
        "compare.html",
        "archpress.comparison",
        _draw(comparison),
        comparison=comparison,
        tables=tables,
    )


def _draw(comparison: Comparison) -> Iterator[Drawing]:
    """The figures that there are values for."""
    goals: list[Goal] = ["accuracy"]
    if {"min_accuracy", "max_accuracy_loss"} & comparison.limits.keys():
        goals.append("compression")
    for goal in goals:
        bands = list(_bands(comparison, goal))
        if bands:
            yield _curve_drawing(bands, goal)
    finals = list(_finals(comparison))
    if finals:
        yield drawing(
            "finals",
            f"Points: final {comparison.judged_on} accuracy of each training by arm; bars: means.",
            lambda theme: final_figure(
                finals, f"final {comparison.judged_on} accuracy (%)", 100, theme
            ),
        )


def _curve_drawing(bands: list[tuple[str, Band]], goal: Goal) -> Drawing:
    title = f"best trial {goal} within the limits"
    scale = 100.0 if goal == "accuracy" else 1.0
    unit = " (%)" if goal == "accuracy" else " (times)"
    ends = "; ".join(f"{arm} {scale * one.mean[-1]:.2f}" for arm, one in bands)
    return drawing(
        f"{goal}-curves",
        f"Lines, one an arm: {title}{unit}, against architectures trained. At the end: {ends}.",
        lambda theme: curve_figure(bands, title + unit, scale, theme),
    )


def _bands(comparison: Comparison, goal: Goal) -> Iterator[tuple[str, Band]]:
    for contestant in comparison.contestants:
        curves = [
            best_so_far(run.trials, run.objective, goal, comparison.source["parameters"])
            for run in comparison.of(contestant.name)
        ]
        found = band(curves, comparison.budget)
        if found is not None:
            yield contestant.name, found


def _finals(comparison: Comparison) -> Iterator[tuple[str, list[float]]]:
    for contestant in comparison.contestants:
        values = [comparison.accuracy(run) for run in comparison.of(contestant.name)]
        known = [value for value in values if value is not None]
        if known:
            yield contestant.name, known
