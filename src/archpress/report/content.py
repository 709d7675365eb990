"""`Content`: everything the report says, as text and values; the template only lays it out."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from archpress.architecture import Architecture
from archpress.evaluation.trial import Trial
from archpress.report import wording
from archpress.report.layer_table import LayerRow, compare_layers
from archpress.report.record import (
    NetRecord,
    ResultRecord,
    SpreadRecord,
    SurrogateRecord,
    TrustRecord,
)
from archpress.report.trials import (
    BestSoFar,
    RankAgreement,
    TrialPoint,
    best_so_far,
    cost_limits,
    failure_reasons,
    find,
    rank_agreement,
    trial_points,
)
from archpress.space.latency import LatencyModel


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit in words, the value found, and whether it is met."""

    limit: str
    value: str
    met: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and, in small print, how sure it is or how it compares."""

    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class NetTable:
    """Source, compressed and reference side by side.

    Attributes:
        heads: (role, name) of each column.
        rows: (quantity, one cell a column).
    """

    heads: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What the report says.

    Attributes:
        result: as read.
        limits: in the order of the result.
        nets: the table that comes first.
        points: done trials of this run's data and trial recipe.
        marked: label -> trial of the source and of the result, where there is one.
        agreement: of predicted and measured accuracy.
        best: the best so far.
        layers: source and result, aligned; empty where one of them is not there.
        failures: (reason, how often).
        surrogate: (what, value).
        rounds: round, n, expected, measured, error.
        path: step, n, error of the size, distance from what is decoded.
        recipes: names of the recipes.
        recipe_rows: (field, one value a recipe).
    """

    result: ResultRecord
    limits: tuple[LimitRow, ...]
    nets: NetTable
    points: tuple[TrialPoint, ...]
    marked: Mapping[str, TrialPoint]
    agreement: RankAgreement | None
    best: BestSoFar
    layers: tuple[LayerRow, ...]
    failures: tuple[tuple[str, int], ...]
    surrogate: tuple[tuple[str, str], ...]
    rounds: tuple[tuple[str, ...], ...]
    path: tuple[tuple[str, ...], ...]
    recipes: tuple[str, ...]
    recipe_rows: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def origins(self) -> tuple[tuple[str, str], ...]:
        """What the run can be repeated from: (what, value)."""
        seed = "not kept" if self.result.seed is None else str(self.result.seed)
        return (
            *self.result.versions.items(),
            ("seed", seed),
            ("key of the data", self.result.data.key),
        )

    @property
    def as_given(self) -> str:
        """What must be said of a source that was not trained here; else empty."""
        given = self.result.source.given
        return wording.as_given(given) if given else ""

    @property
    def predicted_count(self) -> int:
        """Number of trials with a prediction."""
        return sum(point.predicted is not None for point in self.points)

    @property
    def timed(self) -> tuple[TrialPoint, ...]:
        """Trials whose architecture was timed."""
        return tuple(point for point in self.points if point.milliseconds is not None)

    @property
    def total_seconds(self) -> float:
        """Wall time of all stages, seconds."""
        return sum(self.result.seconds.values())


def gather(
    result: ResultRecord,
    source: Architecture | None,
    compressed: Architecture | None,
    trials: Iterable[Trial],
    times: LatencyModel | None = None,
) -> Content:
    """The content of the report.

    Args:
        result: of the run.
        source: the net that was to be compressed.
        compressed: what came of it; None where nothing did.
        trials: of this run's data under its trial recipe, in any order.
        times: of the nets, where they were timed.
    """
    trials = list(trials)
    points = trial_points(trials, cost_limits(result, times))
    places = {"source": find(points, source), "result": find(points, compressed)}
    recipes, recipe_rows = _recipe_table(result.recipes)
    return Content(
        result=result,
        limits=tuple(LimitRow(*wording.limit(limit), limit.met) for limit in result.limits),
        nets=_net_table(result),
        points=points,
        marked={label: point for label, point in places.items() if point is not None},
        agreement=rank_agreement(points, np.random.default_rng(0)),
        best=best_so_far(points, result, places["source"]),
        layers=compare_layers(source, compressed) if source and compressed else (),
        failures=failure_reasons(trials),
        surrogate=_surrogate_rows(result.surrogate or SurrogateRecord(), result.trust),
        rounds=_round_rows(result.trust),
        path=_path_rows(result.trust),
        recipes=recipes,
        recipe_rows=recipe_rows,
    )


# --- the nets side by side ---


def _net_table(result: ResultRecord) -> NetTable:
    columns = [("source", result.source), ("compressed", result.compressed)]
    columns += [("plain net", result.reference)]
    nets = [(role, net) for role, net in columns if net is not None]
    source = result.source
    rows: list[tuple[str, Callable[[NetRecord], Cell]]] = [
        ("parameters", lambda net: _cost(net.parameters, source.parameters, wording.count)),
        ("multiply-adds an image", lambda net: _cost(net.macs, source.macs, wording.count)),
        (
            "peak memory of activations",
            lambda net: _cost(net.peak_memory, source.peak_memory, wording.memory),
        ),
        ("layers", lambda net: Cell(str(net.layers))),
        ("latency, median", lambda net: Cell(*wording.latency(net.latency))),
        ("validation accuracy", lambda net: _accuracy(net, net.validation_accuracy)),
        ("test accuracy", lambda net: _accuracy(net, net.test_accuracy)),
        ("distilled", lambda net: Cell("yes" if net.distilled else "no")),
    ]
    return NetTable(
        tuple((role, net.name) for role, net in nets),
        tuple((what, tuple(cell(net) for _, net in nets)) for what, cell in rows),
    )


def _accuracy(net: NetRecord, found: SpreadRecord | None) -> Cell:
    value, note = wording.accuracy(found)
    return Cell(value, wording.AS_GIVEN if net.given and found else note)


def _cost(value: float, of_source: float, say: Callable[[float], str]) -> Cell:
    """A cost and how many times less than the source's it is."""
    if value <= 0 or of_source <= 0 or value == of_source:
        return Cell(say(value))
    less = of_source / value
    said = wording.ratio(max(less, 1 / less))
    which = "less" if less > 1 else "more"
    return Cell(say(value), "as much" if said == "1" else f"{said} × {which}")


# --- what is said about the surrogate and the recipes ---


def _surrogate_rows(record: SurrogateRecord, trust: TrustRecord) -> tuple[tuple[str, str], ...]:
    of = "" if record.n is None else f" (n = {record.n} trained architectures)"

    def tau(value: float | None) -> str:
        known = value is not None and math.isfinite(value)
        return f"{value:.2f}{of}" if known else wording.MISSING

    def share(value: float | None) -> str:
        return wording.MISSING if value is None else f"{100 * value:.1f} %"

    error = record.channel_error_octaves
    return (
        ("Kendall's tau of expected and measured accuracy, held out", tau(record.kendall)),
        ("the same with the number of parameters as the guess", tau(record.kendall_parameters)),
        ("the same with the multiply-adds as the guess", tau(record.kendall_macs)),
        ("held-out accuracies inside the interval for half of them", share(record.within_half)),
        ("held-out accuracies inside the interval for 90 %", share(record.within_most)),
        ("layer kinds restored by encoding and decoding", share(record.kind_share)),
        ("architectures restored exactly", share(record.exact_share)),
        (
            "mean error of restored channels",
            wording.MISSING
            if error is None
            else f"{error:.2f} octaves (a factor of {2**error:.2f})",
        ),
        ("decodes that were valid before any repair", share(record.valid_share)),
        ("decodes of embeddings with noise that were new architectures", share(record.novel_share)),
        (
            "median way from an embedding to that of what it decodes to",
            wording.MISSING
            if trust.cycle is None
            else f"{trust.cycle:.2f} of the median distance between two architectures",
        ),
    )


def _round_rows(trust: TrustRecord) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            str(one.number),
            str(one.n),
            wording.percent(one.predicted),
            wording.percent(one.measured),
            wording.points(one.error),
        )
        for one in trust.rounds
    )


def _path_rows(trust: TrustRecord) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (str(one.step), str(one.n), f"{one.octaves:.2f}", f"{one.moved:.2f}") for one in trust.path
    )


def _recipe_table(
    recipes: Mapping[str, Mapping[str, Any]],
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    fields = dict.fromkeys(field for recipe in recipes.values() for field in recipe)
    rows = tuple(
        (
            field.replace("_", " "),
            tuple(_setting(recipe.get(field, "")) for recipe in recipes.values()),
        )
        for field in fields
    )
    return tuple(recipes), rows


def _setting(value: object) -> str:
    match value:
        case None | "" | [] | ():
            return "–"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(map(_setting, value))
    return str(value)
