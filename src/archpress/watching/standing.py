"""Where a search stands by its trials: the front, the best so far, what failed."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from archpress.judging import front as front_of
from archpress.watching.rows import TrialRow, Which

Unit = Literal["accuracy", "parameters"]
JUDGED = ("max_parameters", "max_macs", "max_peak_memory")  # limits that a row can be held against
# A least accuracy speaks of final trainings: what it asks of a trial hangs on the source's own.
PLAN_LIMITS = (*JUDGED, "max_file_size", "max_latency", "max_latency_share", "min_accuracy")
LATEST, REASONS, REASON_LENGTH = 12, 20, 300  # rows of the tables; characters of a reason


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a search stands.

    Attributes:
        points: done trials of the run, in the order in which they ended.
        failed: number of failed trials of the run.
        reasons: (why trials failed, how often), the most frequent first.
        rule: what "best" means here, as a sentence.
        unit: of the best.
        best: (number of the trial, value) whenever there was a new best.
        fronts: cost -> numbers of the trials on its Pareto front, the cheapest first.
        latest: rows of any recipe, the last first.
    """

    points: tuple[TrialRow, ...] = ()
    failed: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    rule: str = ""
    unit: Unit = "accuracy"
    best: tuple[tuple[int, float], ...] = ()
    fronts: Mapping[str, tuple[int, ...]] | None = None
    latest: tuple[TrialRow, ...] = ()


def which_of(plan: Mapping[str, Any], rows: Sequence[TrialRow]) -> Which | None:
    """The trials of the run by its plan; without one, those of the most frequent recipe."""
    match plan:
        case {"data": str(data), "trial_recipe": str(recipe), "seed": int(seed)}:
            return Which(data, recipe, seed)
    common = Counter((row.data, row.recipe) for row in rows).most_common(1)
    return Which(*common[0][0], None) if common else None


def standing_of(rows: Sequence[TrialRow], plan: Mapping[str, Any]) -> Standing:
    """Where the search stands.

    Args:
        rows: of the store, in the order in which they came.
        plan: of the run; may be empty.
    """
    which = which_of(plan, rows)
    own = [row for row in rows if which and which.has(row)]
    points = tuple(row for row in own if row.state == "done" and _known(row.accuracy))
    failures = [row for row in own if row.state != "done"]
    reasons = Counter((row.error or "no reason kept")[:REASON_LENGTH] for row in failures)
    rule, unit, best = _best(points, limits_of(plan))
    return Standing(
        points,
        len(failures),
        tuple(reasons.most_common(REASONS)),
        rule,
        unit,
        tuple(best),
        {cost: front(points, cost) for cost in ("parameters", "macs")},
        tuple(sorted(rows, key=lambda row: row.created)[: -LATEST - 1 : -1]),
    )


def limits_of(plan: Mapping[str, Any]) -> dict[str, float]:
    """The limits of a plan that are numbers."""
    limits = plan.get("limits")
    found = limits.items() if isinstance(limits, dict) else ()
    return {name: value for name, value in found if _is_number(value)}


def front(points: Sequence[TrialRow], cost: str) -> tuple[int, ...]:
    """Numbers, from 1, of those that are more accurate than all that cost no more."""
    costs = [getattr(point, cost) for point in points]
    accuracies = [point.accuracy or 0.0 for point in points]
    return tuple(at + 1 for at in front_of(costs, accuracies))


def _best(
    points: Sequence[TrialRow], limits: Mapping[str, float]
) -> tuple[str, Unit, Iterator[tuple[int, float]]]:
    """As the search itself compares trials, as far as the plan and they tell."""
    source = next((p.accuracy for p in points if p.origin == "source"), None)
    others = [name for name in PLAN_LIMITS if name in limits]
    if limits and not others and source is not None:
        least = source - limits.get("max_accuracy_loss", 0.0) - 1e-9  # rounding
        sizes = [-p.parameters if (p.accuracy or 0.0) >= least else None for p in points]
        rule = (
            "Fewest parameters of a trial that is as accurate as the limit asks, "
            "held against the source's own trial."
        )
        return rule, "parameters", ((n, -value) for n, value in _rises(sizes))
    rule = "Highest accuracy of a trial"
    if judged := [name for name in others if name in JUDGED]:
        rule += " that keeps to the limits on costs"
    if unjudged := [name for name in others if name not in JUDGED]:
        told = " and ".join(name.split("_", 1)[1].replace("_", " ") for name in unjudged)
        rule += f"; the limit on {told} is not looked at here"
    accuracies = [
        p.accuracy if all(_cost(p, name) <= limits[name] for name in judged) else None
        for p in points
    ]
    return f"{rule}.", "accuracy", _rises(accuracies)


def _rises(values: Sequence[float | None]) -> Iterator[tuple[int, float]]:
    """(number from 1, value) whenever a value is above all before it."""
    highest = -math.inf
    for number, value in enumerate(values, start=1):
        if value is not None and value > highest:
            highest = value
            yield number, value


def _cost(row: TrialRow, limit: str) -> int:
    value: int = getattr(row, limit.removeprefix("max_"))
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
