"""`write_report`: a finished run folder as one HTML file that needs nothing else."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from archpress.architecture import Architecture
from archpress.compression.timing import TIMES
from archpress.errors import StoreError
from archpress.evaluation import load_times
from archpress.evaluation.trial import Trial
from archpress.report import figures, wording
from archpress.report.content import Content, gather
from archpress.report.drawing import Drawing, drawing
from archpress.report.drawing import render as render_template
from archpress.report.explorer import Explorer, guess_text, read_explorer
from archpress.report.map_figure import map_figure
from archpress.report.record import ResultRecord, read_result
from archpress.report.themes import Theme
from archpress.report.training import Training
from archpress.report.trials import Cost, front
from archpress.report.values import page_values
from archpress.run_files import COMPRESSED_FILE, REPORT_FILE, SOURCE_FILE, STORE_FILE
from archpress.store import Store, TrialFilter
from archpress.whole_files import write_text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LIMITS: dict[Cost, str] = {
    "parameters": "max_parameters",
    "macs": "max_macs",
    "milliseconds": "max_latency",
}


@dataclass(frozen=True, slots=True)
class Sketch:
    """A figure that can be drawn in any theme.

    Attributes:
        name: of it.
        label: what a person who cannot see it should know.
        make: draws it.
    """

    name: str
    label: str
    make: "Callable[[Theme], Figure]"


def write_report(run: Path) -> Path:
    """Write `report.html` into a run folder.

    The file holds everything it shows, plotly.js included, and asks the network for nothing.

    Args:
        run: folder with `result.json` and, as far as the run got, `source.json`,
            `compressed.json`, `trials.db` and `explorer.json`.

    Returns:
        The path of the report.

    Raises:
        StoreError: the result or the trials cannot be read, or the report cannot be written.
        ArchitectureError: one of the architecture files holds none.
    """
    content, explorer = read_content(run)
    path = run / REPORT_FILE
    try:
        write_text(path, render(content, explorer))
    except OSError as error:
        raise StoreError(f"cannot write the report {path}: {error}") from None
    return path


def read_content(run: Path) -> tuple[Content, Explorer | None]:
    """What a run folder holds for the report.

    Raises:
        StoreError, ArchitectureError: as of `write_report`.
    """
    result = read_result(run)
    trials = _trials(run / STORE_FILE, result)
    content = gather(
        result,
        _architecture(run / SOURCE_FILE),
        _architecture(run / COMPRESSED_FILE),
        trials,
        load_times(run / TIMES) if (run / TIMES).exists() else None,
    )
    return content, read_explorer(run, result, content.points)


def render(content: Content, explorer: Explorer | None = None) -> str:
    """The page as text."""
    return render_template(
        "report.html",
        "archpress.report",
        draw(content, explorer),
        content=content,
        result=content.result,
        explorer=explorer,
        values=page_values(content.points, content.result, explorer),
        needs_data=Training.of(content.result).needs_data,
        guess_text=guess_text,
    )


def draw(content: Content, explorer: Explorer | None = None) -> Iterator[Drawing]:
    """The figures that the content has values for."""
    return (drawing(one.name, one.label, one.make) for one in sketches(content, explorer))


def sketches(content: Content, explorer: Explorer | None = None) -> "Iterator[Sketch]":
    """The same, without the drawing."""
    if explorer and explorer.record.nets:
        yield Sketch(
            "map",
            f"Map of {len(explorer.trials)} trials and {len(explorer.record.nets)} nets for other "
            "limits, on the two axes along which their embeddings differ most.",
            lambda theme: map_figure(explorer, theme),
        )
    if content.points:
        yield _of_cost(content, "parameters")
        yield _of_cost(content, "macs")
    if len(content.timed) > 1:
        yield _of_cost(content, "milliseconds")
    if content.result.latency.points:
        times = content.result.latency
        yield Sketch(
            "times",
            f"Scatter of {times.n} architectures: predicted against measured latency.",
            lambda theme: figures.times_figure(times, theme),
        )
    if content.predicted_count:
        yield Sketch(
            "predictions",
            f"Scatter of {content.predicted_count} trials: predicted against measured accuracy.",
            lambda theme: figures.prediction_figure(content.points, theme),
        )
    if any(value is not None for value in content.best.values):
        yield Sketch("best", _best_label(content), lambda theme: figures.best_figure(
            content.best, theme
        ))  # fmt: skip
    if content.result.seconds:
        yield Sketch(
            "stages",
            "Bars of wall time: " + _listed(content.result.seconds),
            lambda theme: figures.stage_figure(content.result.seconds, theme),
        )


def _of_cost(content: Content, cost: Cost) -> "Sketch":
    limits = {row.name: row.limit for row in content.result.limits}
    limit = LIMITS[cost]
    lines = {"limit": limits[limit]} if limit in limits else {}
    if "source" not in content.marked and cost != "milliseconds":
        lines["source"] = getattr(content.result.source, cost)
    points = content.timed if cost == "milliseconds" else content.points
    marked = {label: point for label, point in content.marked.items() if point in points}
    accuracies = [point.accuracy for point in points]
    label = (
        f"Scatter of {len(accuracies)} trials: validation accuracy, "
        f"{wording.percent(min(accuracies))} to {wording.percent(max(accuracies))}, against "
        f"{figures.COST_TITLES[cost]}; {len(front(points, cost))} lie on the Pareto front."
    )
    return Sketch(
        cost,
        label,
        lambda theme: figures.cost_figure(points, cost, theme, marked=marked, lines=lines),
    )


def _best_label(content: Content) -> str:
    last = content.best.values[-1]
    if last is None:
        return content.best.rule
    say = wording.percent if content.best.unit == "accuracy" else wording.count
    return f"{content.best.rule} After {len(content.best.values)} trials: {say(last)}."


def _listed(seconds: Mapping[str, float]) -> str:
    return "; ".join(f"{stage} {wording.duration(value)}" for stage, value in seconds.items())


def _architecture(path: Path) -> Architecture | None:
    return Architecture.load(path) if path.exists() else None


def _trials(path: Path, result: ResultRecord) -> list[Trial]:
    """The trials of this run's data, trial recipe and seed; a shared store brought others too."""
    recipe = result.recipes.get("trial", {}).get("key")
    if recipe is None or not path.exists():
        return []
    with Store(path) as store:
        return store.trials(TrialFilter(data=result.data.key, recipe=recipe, seed=result.seed))
