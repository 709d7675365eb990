"""The trials of a run as points: which lie on the front, what was predicted, what was best when."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from archpress.architecture import Architecture
from archpress.evaluation.trial import Trial
from archpress.judging import front as front_of
from archpress.judging import running_best
from archpress.report.layer_table import outline
from archpress.report.record import ResultRecord
from archpress.space.latency import LatencyModel
from archpress.space.limits import COST_LIMITS, COSTS, ROUNDING, Limits

Cost = Literal["parameters", "macs", "milliseconds"]
RESAMPLES = 1000  # of the bootstrap behind an interval; its ends move by less than 0.01
LEAST_FOR_RANKS = 3  # points; two are always in perfect order or its reverse


@dataclass(frozen=True, slots=True)
class TrialPoint:
    """One done trial.

    Attributes:
        number: 1 for the first that was trained.
        accuracy: validation accuracy under the trial recipe, in [0, 1].
        parameters: of the architecture.
        macs: of one image.
        origin: who proposed it.
        round: of the search; 0 is before the first.
        predicted: accuracy expected before the training, or None.
        seconds: of the training.
        architecture: itself.
        outline: the architecture in one line.
        key: of the architecture.
        within: whether it keeps to the limits on costs.
        milliseconds: measured latency, or None.
    """

    number: int
    accuracy: float
    parameters: int
    macs: int
    origin: str
    round: int
    predicted: float | None
    seconds: float
    architecture: Architecture
    outline: str
    key: str
    within: bool
    milliseconds: float | None = None

    @property
    def percent(self) -> float:
        """The accuracy, to the digits that figures and tables need."""
        return round(100 * self.accuracy, 3)

    @property
    def expected_percent(self) -> float | None:
        """The accuracy expected before the training, likewise."""
        return None if self.predicted is None else round(100 * self.predicted, 3)


@dataclass(frozen=True, slots=True)
class RankAgreement:
    """Kendall's tau of predicted and measured accuracy, with a 95 % bootstrap interval."""

    tau: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class BestSoFar:
    """What was best after each trained architecture; None while nothing qualified.

    Attributes:
        rule: what "best" means here, as a sentence.
        unit: "accuracy" (a fraction) or "parameters".
        values: one for each trial, in the order of training.
    """

    rule: str
    unit: Literal["accuracy", "parameters"]
    values: tuple[float | None, ...]


def trial_points(trials: Iterable[Trial], limits: Limits) -> tuple[TrialPoint, ...]:
    """The done trials, in the order in which they ended."""
    done = [
        trial
        for trial in trials
        if trial.done and math.isfinite(trial.metrics.get("accuracy", math.nan))
    ]
    done.sort(key=lambda trial: trial.created)
    return tuple(_point(number, trial, limits) for number, trial in enumerate(done, start=1))


def _point(number: int, trial: Trial, limits: Limits) -> TrialPoint:
    architecture = trial.architecture
    return TrialPoint(
        number=number,
        accuracy=trial.metrics["accuracy"],
        parameters=architecture.parameters,
        macs=architecture.macs,
        origin=trial.origin or "unknown",
        round=trial.round,
        predicted=trial.predicted,
        seconds=trial.seconds,
        architecture=architecture,
        outline=outline(architecture),
        key=architecture.key,
        within=limits.allow(architecture),
        milliseconds=limits.latency.measured(architecture) if limits.latency else None,
    )


def failure_reasons(trials: Iterable[Trial]) -> tuple[tuple[str, int], ...]:
    """(error, how often) of the failed trials, the most frequent first."""
    reasons = Counter(trial.error or "no reason kept" for trial in trials if not trial.done)
    return tuple(reasons.most_common())


def cost_limits(result: ResultRecord, times: LatencyModel | None = None) -> Limits:
    """The limits of the run that are on costs.

    Args:
        result: of the run.
        times: of its nets; without them nothing is known of a limit on latency.
    """
    allowed = {record.name: record.limit for record in result.limits}
    costs = {name: int(limit) for name, limit in allowed.items() if name in COSTS}
    limits = replace(Limits(**costs), latency=times)  # type: ignore[arg-type]
    return replace(limits, max_latency=allowed.get("max_latency")) if times else limits


def find(points: Sequence[TrialPoint], architecture: Architecture | None) -> TrialPoint | None:
    """The first trial of this architecture."""
    key = None if architecture is None else architecture.key
    return next((point for point in points if point.key == key), None)


def front(points: Sequence[TrialPoint], cost: Cost) -> tuple[TrialPoint, ...]:
    """The Pareto front: more accurate than everything that costs no more; cheapest first.

    Args:
        points: of which the cost is known.
        cost: name of it.
    """
    costs = [getattr(point, cost) for point in points]
    return tuple(points[at] for at in front_of(costs, [point.accuracy for point in points]))


def rank_agreement(points: Iterable[TrialPoint], rng: np.random.Generator) -> RankAgreement | None:
    """How well the predictions ordered the trials; None where no order can be told.

    Args:
        points: those without a prediction are left out.
        rng: of the bootstrap.
    """
    pairs = np.array(
        [(point.predicted, point.accuracy) for point in points if point.predicted is not None],
        dtype=np.float64,
    ).reshape(-1, 2)
    if len(pairs) < LEAST_FOR_RANKS or np.ptp(pairs, axis=0).min() == 0:
        return None
    resampled = [_tau(pairs[rng.integers(len(pairs), size=len(pairs))]) for _ in range(RESAMPLES)]
    low, high = np.nanpercentile(resampled, (2.5, 97.5))
    return RankAgreement(_tau(pairs), float(low), float(high), len(pairs))


def _tau(pairs: NDArray[np.float64]) -> float:
    if np.ptp(pairs, axis=0).min() == 0:  # a resample of one point again and again
        return float("nan")
    return float(kendalltau(pairs[:, 0], pairs[:, 1]).statistic)


def best_so_far(
    points: Sequence[TrialPoint], result: ResultRecord, source: TrialPoint | None
) -> BestSoFar:
    """The best trial so far, by what the run was asked for.

    Limits on costs: the accuracy of the best net that keeps to them. Only limits on accuracy: the
    size of the smallest net that loses no more against the source's own trial.
    """
    loss = _allowed_loss(result)
    is_cost_limited = any(record.name in COST_LIMITS for record in result.limits)
    if loss is None or source is None or is_cost_limited:
        rule = "Highest accuracy of a trial"
        if is_cost_limited:
            rule += " whose architecture keeps to the limits on costs"
        reached = [point.accuracy if point.within else None for point in points]
        return BestSoFar(rule + ".", "accuracy", tuple(running_best(reached)))
    sizes = [
        float(point.parameters) if point.accuracy >= source.accuracy - loss - ROUNDING else None
        for point in points
    ]
    return BestSoFar(
        "Fewest parameters of a trial that loses no more accuracy against the source's own trial "
        f"({100 * source.accuracy:.2f} %) than the limit allows ({100 * loss:.2f} points).",
        "parameters",
        tuple(running_best(sizes, min)),
    )


def _allowed_loss(result: ResultRecord) -> float | None:
    """Accuracy that may be lost against the source, a fraction; None without such a limit."""
    told = {record.name: record.limit for record in result.limits}
    names = ("min_accuracy", "max_accuracy_loss")
    limits = Limits.of_dict({name: told[name] for name in names if name in told})
    if result.source.validation_accuracy is None:
        return limits.max_accuracy_loss
    return limits.against(result.source.validation_accuracy.mean).max_accuracy_loss
