"""`reproduce`: one row of Table 1, the paper's numbers beside ours."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archpress.comparison import Comparison, compare
from archpress.comparison.result import Summary
from archpress.comparison.tables import markdown_table
from archpress.data import ImageData
from archpress.report import wording
from archpress.reproduction.experiment import BASE, Experiment
from archpress.search import Progress
from archpress.whole_files import write_text

TABLE = "reproduce.md"
COLUMNS = ("", "n", "accuracy", "change", "parameters", "compression")


@dataclass(frozen=True)
class Reproduction:
    """What came of it.

    Attributes:
        experiment: what was to be done.
        comparison: of the methods; its base has no limits to keep.
    """

    experiment: Experiment
    comparison: Comparison

    def rows(self) -> list[tuple[str, ...]]:
        """The table: the paper's base and result, then ours; see `COLUMNS`."""
        row = self.experiment.row
        theirs = f"{row.base_parameters:,}"
        paper = [
            (f"{row.base}, the paper's", "", wording.percent(row.base_accuracy), "", theirs, ""),
            (
                "compressed, the paper's",
                "",
                wording.percent(row.accuracy),
                f"{100 * row.change:+.2f}",
                f"{row.parameters:,}",
                f"{row.compression:.2f}",
            ),
        ]
        summaries = {one.arm: one for one in self.comparison.summaries}
        base = summaries.get(BASE)
        return paper + [self._line(one, base) for one in summaries.values()]

    def _line(self, one: Summary, base: Summary | None) -> tuple[str, ...]:
        called = f"{self.experiment.row.base}, here" if one.arm == BASE else f"{one.arm}, here"
        accuracy = one.accuracy
        if accuracy is None:
            return called, str(one.seeds), "no net", "", "", ""
        spread = f" ± {100 * accuracy.std:.2f}" if accuracy.n > 1 else ""
        change = ""
        if base is not None and base.accuracy and one.arm != BASE:
            change = f"{100 * (accuracy.mean - base.accuracy.mean):+.2f}"
        return (
            called,
            str(accuracy.n),
            wording.percent(accuracy.mean) + spread,
            change,
            f"{one.parameters or 0:,.0f}",
            f"{one.compression.mean:.2f}" if one.compression else "",
        )

    def markdown(self) -> str:
        """Table, conditions, what is left out."""
        experiment, images = self.experiment, self.comparison.judged_on
        parts = [
            f"# Table 1, {experiment.row.data}, scale {experiment.scale.name}",
            f"Accuracy on {images} images, mean ± standard deviation over n runs; at most "
            f"{experiment.limits.max_parameters:,} parameters.",
            markdown_table(COLUMNS, self.rows()),
        ]
        if experiment.left_out:
            listed = "\n".join(f"- {sentence}" for sentence in experiment.left_out)
            parts.append(f"Other than in the paper:\n\n{listed}")
        return "\n\n".join(parts) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        row = self.experiment.row
        return {
            "data": row.data,
            "scale": self.experiment.scale.name,
            "max_parameters": self.experiment.limits.max_parameters,
            "left_out": self.experiment.left_out,
            "paper": {
                "base": row.base,
                "base_accuracy": row.base_accuracy,
                "accuracy": row.accuracy,
                "compression": row.compression,
            },
            "here": self.comparison.to_dict(),
        }


def reproduce(
    experiment: Experiment,
    images: ImageData,
    *,
    run: Path,
    device: str = "auto",
    workers: int | None = None,
    store: Path | str | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Train the base, let the methods compress it, and put the paper's numbers beside ours.

    Goes on from what the folder holds, as `compare` does, whose files are written too.

    Args:
        experiment: what to do.
        images: of the row's set.
        run: folder for all results.
        device: see `compare`.
        workers: likewise.
        store: likewise.
        cluster: likewise.
        progress: who listens.

    Raises:
        DataError, StoreError, SpaceError, EvaluationError: as of `compare`.
    """
    row, scale = experiment.row, experiment.scale
    comparison = compare(
        row.source,
        images,
        experiment.limits,
        run=run,
        arms=experiment.contestants(),
        budget=scale.nets,
        seeds=experiment.runs,
        settings=scale.settings,
        name=row.base,
        device=device,
        workers=workers,
        store=store,
        cluster=cluster,
        progress=progress,
    )
    reproduction = Reproduction(experiment, comparison)
    write_text(run / TABLE, reproduction.markdown())
    return reproduction
