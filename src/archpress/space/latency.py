"""`LatencyModel`: how long nets take on one device, by the layers they are made of.

A net's time is taken as a sum over its layers, and each kind of layer as a price a call, a price a
value read or written, a price a multiply-add and one a weight. The prices are fitted to nets that
were timed whole: timed alone, layers take half of the time that they take in a net.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import Architecture
from archpress.architecture.frozen_program import program_digest

Array = NDArray[np.float64]
LEAST_TIMED = 12  # nets; fewer say nothing about so many prices
BATCH_OF_VECTORS = 16  # channels that a kernel handles at once: fewer cost as much
FOLDS = 5
DOUBT = 0.15  # relative; from here on an outlier counts less than its square


@dataclass(frozen=True, slots=True)
class LatencyConditions:
    """What a latency is measured with.

    Attributes:
        batch: images a pass.
        threads: of the backend.
        backend: "torch" or "onnxruntime".
        device: "cpu", "cuda" or "mps".
        machine: a name for people, e.g. of the processor.
    """

    batch: int = 1
    threads: int = 1
    backend: str = "torch"
    device: str = "cpu"
    machine: str = ""

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        where = self.machine or self.device
        if self.machine and self.device != "cpu":
            where += f" ({self.device})"
        return f"{self.backend}, {where}, batch {self.batch}, {threads}"


@dataclass(frozen=True, slots=True)
class Fit:
    """How well prices tell the time of nets that they were not fitted to, five-fold.

    Attributes:
        error: mean relative error.
        within: relative error that nine of ten nets are within.
        kendall: rank correlation of predicted and measured.
        n: nets timed.
    """

    error: float
    within: float
    kendall: float
    n: int


class LatencyModel:
    """Milliseconds of a pass: measured where a net was timed, else the sum of its layers' prices.

    It learns from each net that is timed, so it is the one value here that changes.

    Args:
        conditions: of all its times.
        timed: nets with their milliseconds; at least `LEAST_TIMED` before it predicts.
    """

    def __init__(
        self, conditions: LatencyConditions, timed: Iterable[tuple[Architecture, float]] = ()
    ) -> None:
        self.conditions = conditions
        self._nets: list[Architecture] = []
        self._measured: dict[str, float] = {}
        self._prices: dict[str, float] = {}
        self.learn(timed)

    def __repr__(self) -> str:
        return f"LatencyModel({self.conditions})"  # by which a run knows its earlier rounds

    @property
    def timed(self) -> list[tuple[Architecture, float]]:
        """Nets with their milliseconds, in the order in which they were timed."""
        return [(net, self._measured[net.key]) for net in self._nets]

    @property
    def prices(self) -> Mapping[str, float]:
        """Milliseconds by the name of a quantity, of those that `quantities` counts."""
        return self._prices

    def learn(self, timed: Iterable[tuple[Architecture, float]]) -> None:
        """Take in more nets and fit the prices anew; a net timed again keeps its last time."""
        for net, milliseconds in timed:
            if net.key not in self._measured:
                self._nets.append(net)
            self._measured[net.key] = milliseconds
        if len(self._nets) >= LEAST_TIMED:
            self._prices = _fitted(self._nets, self._times())

    def measured(self, net: Architecture) -> float | None:
        """Milliseconds of a net that was timed."""
        return self._measured.get(net.key)

    def milliseconds(self, net: Architecture) -> float:
        """Measured, or else predicted."""
        known = self._measured.get(net.key)
        return known if known is not None else self.predicted(net)

    def predicted(self, net: Architecture) -> float:
        """From the layers alone."""
        return _sum(quantities(net), self._prices)

    def by_layer(self, net: Architecture) -> list[float]:
        """Predicted milliseconds of each layer; what a pass costs beside them is in none."""
        return [_sum(_of_layer(net, index), self._prices) for index in range(len(net.layers))]

    def held_out(self, seed: int = 0) -> Array:
        """Each net timed as the others predict it, five-fold: `n x 2`, predicted and measured."""
        times = self._times()
        order = np.random.default_rng(seed).permutation(len(times))
        guessed = np.empty(len(times))
        for fold in range(FOLDS):
            held = order[fold::FOLDS]
            rest = np.setdiff1d(order, held)
            prices = _fitted([self._nets[i] for i in rest], times[rest])
            guessed[held] = [_sum(quantities(self._nets[i]), prices) for i in held]
        return np.stack([guessed, times], axis=1)

    def _times(self) -> Array:
        return np.array([self._measured[net.key] for net in self._nets])


def fit_of(pairs: Array) -> Fit:
    """How good predictions are, `n x 2`, predicted and measured."""
    from scipy.stats import kendalltau  # as below: workers, which fit nothing, start without it

    guessed, times = pairs.T
    errors = np.abs(guessed / times - 1)
    tau = float(kendalltau(guessed, times).statistic)
    return Fit(float(errors.mean()), float(np.quantile(errors, 0.9)), tau, len(times))


def quantities(net: Architecture) -> Counter[str]:
    """How much of everything that has a price is in a net: a pass, and what its layers have."""
    total = Counter({"pass": 1.0})
    for index in range(len(net.layers)):
        total.update(_of_layer(net, index))
    return total


def _of_layer(net: Architecture, index: int) -> dict[str, float]:
    """Calls, thousands of values moved, millions of multiply-adds, thousands of weights.

    Of a frozen layer calls alone, and each program by itself.
    """
    layer, macs = net.layers[index], net.layer_macs[index] / 1e6
    if layer.kind == "frozen":  # it is the same in each net that has it
        return {f"frozen {program_digest(str(layer.option('program')))} call": 1.0}
    read = sum(math.prod(shape) for shape in net.input_shapes(index))
    found = {
        f"{layer.kind} call": 1.0,
        f"{layer.kind} values": (read + math.prod(net.shapes[index])) / 1e3,
    }
    if macs:
        window = " at a point" if layer.kernel == 1 else ""
        found[f"{layer.kind}{window} macs"] = macs
        found[f"{layer.kind} weights"] = net.layer_parameters[index] / 1e3
    if layer.kind == "conv":
        thin = net.shapes[index][0]
        filled = math.ceil(thin / BATCH_OF_VECTORS) * BATCH_OF_VECTORS
        found["conv macs, vectors filled"] = macs * filled / thin
    return found


def _sum(amounts: Mapping[str, float], prices: Mapping[str, float]) -> float:
    return sum(amount * prices.get(name, 0.0) for name, amount in amounts.items()) or 1e-6


def _fitted(nets: Sequence[Architecture], times: Array) -> dict[str, float]:
    """Prices of at least 0 that make relative errors small, outliers counting less."""
    from scipy.optimize import least_squares

    amounts = [quantities(net) for net in nets]
    names = sorted(set().union(*amounts))
    table = np.array([[one[name] for name in names] for one in amounts]) / times[:, None]
    scale = table.mean(0)
    start = np.full(len(names), 1 / len(names))
    found = least_squares(
        lambda prices: table @ (prices / scale) - 1,
        start,
        jac=lambda prices: table / scale,
        bounds=(0, np.inf),
        loss="soft_l1",
        f_scale=DOUBT,
        max_nfev=200,
    )
    return dict(zip(names, map(float, found.x / scale), strict=True))
