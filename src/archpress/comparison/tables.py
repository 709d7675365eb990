"""The numbers of a comparison as text: `compare.md`, `compare.csv`, `trials.csv`."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from archpress.comparison.contestants import OURS
from archpress.comparison.result import Comparison, Summary
from archpress.comparison.verdict import Paired
from archpress.compression.result import Spread
from archpress.report import wording
from archpress.report.record import LimitRecord
from archpress.whole_files import write_text

MISSING = "-"


def write_tables(comparison: Comparison) -> None:
    """Write the three files into the folder of the comparison, each whole or not at all."""
    write_text(comparison.folder / "compare.md", markdown(comparison))
    write_text(comparison.folder / "compare.csv", _csv(comparison.rows()))
    write_text(comparison.folder / "trials.csv", _csv(trial_rows(comparison)))


def columns(comparison: Comparison) -> list[str]:
    """Heads of the columns of `summary_rows`."""
    best = "best trial accuracy" if comparison.goal == "accuracy" else "best trial compression"
    return [
        "arm",
        "seeds",
        f"final {comparison.judged_on} accuracy, mean ± sd",
        "standard error",
        "parameters, mean",
        "compression, mean ± sd",
        f"{best} at {comparison.budget}, mean ± sd",
        "architectures trained, mean",
        "own time, mean",
        "training time, mean",
        "failed trials",
        "limits kept",
    ]


def summary_rows(comparison: Comparison) -> list[list[str]]:
    """One an arm, as a person reads it."""
    return [_summary_row(one, comparison) for one in comparison.summaries]


def _summary_row(one: Summary, comparison: Comparison) -> list[str]:
    n_finals = one.accuracy.n if one.accuracy else 0
    failed = str(one.failed)
    if one.failed_finals:
        failed += f" (and {one.failed_finals} final)"
    best = _percent(one.best) if comparison.goal == "accuracy" else _times(one.best)
    searched = one.trained > 0
    error = one.standard_error
    return [
        one.arm,
        str(one.seeds),
        _percent(one.accuracy),
        MISSING if error is None else wording.points(error),
        MISSING if one.parameters is None else wording.count(one.parameters),
        _times(one.compression),
        best,
        f"{one.trained:.4g}" if searched else MISSING,
        wording.duration(one.own_seconds) if searched else MISSING,
        wording.duration(one.training_seconds) if searched else MISSING,
        failed if searched or one.failed_finals else MISSING,
        f"{one.kept} of {n_finals}" if n_finals else MISSING,
    ]


def brief_columns(comparison: Comparison) -> list[str]:
    """Heads of `brief_rows`."""
    best = "best trial" if comparison.goal == "accuracy" else "smallest trial"
    return ["arm", "seeds", f"{comparison.judged_on} accuracy", "compression", best, "trained"]


def brief_rows(comparison: Comparison) -> list[list[str]]:
    """The columns of `summary_rows` that fit 80 characters."""
    chosen = (0, 1, 2, 5, 6, 7)
    return [[row[index] for index in chosen] for row in summary_rows(comparison)]


PAIR_COLUMNS = (
    "default against",
    "pairs",
    "difference",
    "standard error",
    "p, t-test",
    "p, Wilcoxon",
)


def pair_rows(comparison: Comparison) -> list[list[str]]:
    """Ours against each other arm, in points or times."""

    def say(value: float, sign: str = "") -> str:
        if comparison.goal == "accuracy":
            return f"{100 * value:{sign}.2f} points"
        return f"{value:{sign}.3f} times"

    def chance(p_value: float | None) -> str:
        return MISSING if p_value is None else f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"

    def row(pair: Paired) -> list[str]:
        error = MISSING if pair.standard_error is None else say(pair.standard_error)
        tests = chance(pair.t_test), chance(pair.wilcoxon)
        return [pair.arm, str(pair.n), say(pair.mean, "+"), error, *tests]

    return [row(pair) for pair in comparison.pairs]


def facts(comparison: Comparison) -> list[tuple[str, str]]:
    """What was compared, and how."""
    source, data = comparison.source, comparison.data
    trial, final = comparison.recipes["trial"], comparison.recipes["final"]
    limits = [
        wording.limit(LimitRecord(name=name, limit=value, value=None, met=True))[0]
        for name, value in comparison.limits.items()
    ]
    size = f"{wording.count(source['parameters'])} parameters"
    images = f"{wording.count(data['train'])} for training, {wording.count(data['validation'])}"

    def training(recipe: Mapping[str, Any]) -> str:
        count = min(recipe["train_images"] or data["train"], data["train"])
        epochs = "epoch" if recipe["epochs"] == 1 else "epochs"
        rounded = "" if recipe["precision"] == "float32" else f", in {recipe['precision']}"
        return f"{recipe['epochs']} {epochs} of {wording.count(count)} images{rounded}"

    return [
        (
            "source",
            f"{source['name']}, {size}, {wording.short_count(source['macs'])} multiply-adds",
        ),
        ("images", f"{data['name']}: {images} for validation, {data['classes']} classes"),
        ("limits", ", ".join(limits)),
        ("budget", f"{comparison.budget} architectures a search, {comparison.batch} at a time"),
        ("seeds", f"{comparison.seeds}, from {comparison.first_seed}"),
        ("trial recipe", training(trial)),
        ("final recipe", f"{training(final)}, one training a seed"),
        *_ending_of_ours(comparison, training),
    ]


def _ending_of_ours(
    comparison: Comparison, training: Callable[[Mapping[str, Any]], str]
) -> Iterator[tuple[str, str]]:
    """What its final trainings have that those of other arms do not."""
    if not any(one.name == OURS and one.has_finalists for one in comparison.contestants):
        return
    if any(run.semifinalists for run in comparison.runs):
        yield f"semifinal of {OURS}", training(comparison.recipes["semifinal"])
    told = "validation chooses among finalists"
    if weight := comparison.distillation:
        told += f", and the best is distilled from the source and them, weight {weight:g}"
    yield f"final trainings of {OURS}", told


def about(comparison: Comparison) -> list[tuple[str, str]]:
    """Who took part."""
    return [(one.name, f"{one.about} ({one.kind})") for one in comparison.contestants]


def markdown(comparison: Comparison) -> str:
    """The verdict, both tables and the facts."""
    parts = [
        f"# {comparison.source['name']} on {comparison.data['name']}: arms compared",
        comparison.verdict,
        markdown_table(columns(comparison), summary_rows(comparison)),
    ]
    pairs = pair_rows(comparison)
    if pairs:
        what = (
            "compression"
            if comparison.goal == "compression"
            else (f"final {comparison.judged_on} accuracy")
        )
        parts += [f"Difference of {what}, seed by seed:", markdown_table(PAIR_COLUMNS, pairs)]
    parts += ["\n".join(f"- {what}: {value}" for what, value in facts(comparison)), NOTE]
    return "\n\n".join(parts) + "\n"


NOTE = (
    "sd: standard deviation over seeds; standard error: of the mean over seeds. Trials are shared "
    "among arms: an architecture and seed is trained once, and counts against the budget of every "
    "arm that asks for it. Training time is the sum over the trials of a search, whoever had "
    "them trained; own time is what the search needs beside them. Limits kept: by the validation "
    "accuracy of the final training."
)


def trial_rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Every trial of every search, in the order in which the search asked for it."""
    for run in comparison.runs:
        for order, trial in enumerate(run.trials, start=1):
            net = trial.architecture
            yield {
                "arm": run.arm,
                "seed": run.seed,
                "order": order,
                "accuracy": trial.accuracy,
                "parameters": net.parameters,
                "macs": net.macs,
                "seconds": round(trial.seconds, 3),
                "within_limits": trial.done and run.objective.feasible(net, trial.accuracy or 0.0),
                "origin": trial.origin,
                "round": trial.round,
                "predicted": trial.predicted,
                "key": net.key,
                "error": trial.error,
            }


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow(row)
    return text.getvalue()


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown; all columns but the first to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _percent(spread: Spread | None) -> str:
    if spread is None:
        return MISSING
    return wording.percent(spread.mean) + (f" ± {100 * spread.std:.2f}" if spread.n > 1 else "")


def _times(spread: Spread | None) -> str:
    if spread is None:
        return MISSING
    return f"{spread.mean:.2f}" + (f" ± {spread.std:.2f}" if spread.n > 1 else "")
