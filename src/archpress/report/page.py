"""`write_report`: a finished run folder as one HTML file that needs nothing else."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archpress.architecture import Architecture
from archpress.errors import StoreError
from archpress.evaluation.trial import Trial
from archpress.report import figures, wording
from archpress.report.content import Content, gather
from archpress.report.figures import THEMES, Theme
from archpress.report.record import ResultRecord, read_result
from archpress.report.trials import Cost, front
from archpress.store import Store, TrialFilter

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

REPORT_FILE = "report.html"
SOURCE_FILE, COMPRESSED_FILE, TRIALS_FILE = "source.json", "compressed.json", "trials.db"


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure for the page.

    Attributes:
        name: id in the page.
        label: what a person who cannot see it should know.
        height: pixels that are kept free for it.
        themes: JSON of a figure for each theme by name, safe inside a script element.
    """

    name: str
    label: str
    height: int
    themes: str


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder.

    The file holds everything it shows, plotly.js included, and asks the network for nothing.

    Args:
        run: folder with `result.json` and, as far as the run got, `source.json`,
            `compressed.json` and `trials.db`.

    Returns:
        The path of the report.

    Raises:
        StoreError: the result or the trials cannot be read, or the report cannot be written.
        ArchitectureError: one of the architecture files holds none.
    """
    result = read_result(run)
    content = gather(
        result,
        _architecture(run / SOURCE_FILE),
        _architecture(run / COMPRESSED_FILE),
        _trials(run / TRIALS_FILE, result),
    )
    path = run / REPORT_FILE
    try:
        path.write_text(render(content), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write the report {path}: {error}") from None
    return path


def render(content: Content) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("archpress.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawings = {drawing.name: drawing for drawing in draw(content)}
    return environment.get_template("report.html").render(
        content=content, result=content.result, drawings=drawings, wording=wording,
        plotlyjs=get_plotlyjs(),
    )  # fmt: skip


def draw(content: Content) -> Iterator[Drawing]:
    """The figures that the content has values for."""
    if content.points:
        yield _cost_drawing(content, "parameters")
        yield _cost_drawing(content, "macs")
    if content.predicted_count:
        yield _drawing(
            "predictions",
            f"Scatter of {content.predicted_count} trials: predicted against measured accuracy.",
            lambda theme: figures.prediction_figure(content.points, theme),
        )
    if any(value is not None for value in content.best.values):
        yield _drawing("best", _best_label(content), lambda theme: figures.best_figure(
            content.best, theme
        ))  # fmt: skip
    if content.result.seconds:
        yield _drawing(
            "stages",
            "Bars of wall time: " + _listed(content.result.seconds),
            lambda theme: figures.stage_figure(content.result.seconds, theme),
        )


def _cost_drawing(content: Content, cost: Cost) -> Drawing:
    limits = {row.name: row.limit for row in content.result.limits}
    lines = {"limit": limits[f"max_{cost}"]} if f"max_{cost}" in limits else {}
    if "source" not in content.marked:
        lines["source"] = getattr(content.result.source, cost)
    accuracies = [point.accuracy for point in content.points]
    label = (
        f"Scatter of {len(accuracies)} trials: validation accuracy, "
        f"{wording.percent(min(accuracies))} to {wording.percent(max(accuracies))}, against "
        f"{figures.COST_TITLES[cost]}; {len(front(content.points, cost))} lie on the Pareto front."
    )
    return _drawing(
        cost,
        label,
        lambda theme: figures.cost_figure(
            content.points, cost, theme, marked=content.marked, lines=lines
        ),
    )


def _best_label(content: Content) -> str:
    last = content.best.values[-1]
    if last is None:
        return content.best.rule
    say = wording.percent if content.best.unit == "accuracy" else wording.count
    return f"{content.best.rule} After {len(content.best.values)} trials: {say(last)}."


def _listed(seconds: Mapping[str, float]) -> str:
    return "; ".join(f"{stage} {wording.duration(value)}" for stage, value in seconds.items())


def _drawing(name: str, label: str, make: "Callable[[Theme], Figure]") -> Drawing:
    made = {theme.name: make(theme) for theme in THEMES}
    height = int(made[THEMES[0].name].layout.height)
    text = json.dumps({theme: json.loads(figure.to_json()) for theme, figure in made.items()})
    return Drawing(name, label, height, text.replace("<", "\\u003c"))


def _architecture(path: Path) -> Architecture | None:
    return Architecture.load(path) if path.exists() else None


def _trials(path: Path, result: ResultRecord) -> list[Trial]:
    """The trials of this run's data under its trial recipe."""
    recipe = result.recipes.get("trial", {}).get("key")
    if recipe is None or not path.exists():
        return []
    with Store(path) as store:
        return store.trials(TrialFilter(data=result.data.key, recipe=recipe))
