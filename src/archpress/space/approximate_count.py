"""How many nets keep a limit on parameters, where the exact count has too much to keep.

The same dynamic programming with two things made coarser, both such that costs stay nearly right on
average: channels in groups that count as their mean, and parameters in buckets between which a cost
is shared.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import KINDS
from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import Shape
from archpress.space.chains import SHORTEST, ChainState, Steps
from archpress.space.space import SearchSpace

Array = NDArray[np.float64]
BUCKETS = 256  # of parameters, up to the limit
GROWTH = 1.25  # from the channels of one group to those of the next


def approximate_log10(space: SearchSpace, max_parameters: int) -> float:
    """About the logarithm of the number of architectures of at most so many parameters.

    Off by less than 0.01 in three spaces of 10^12 nets that can be counted exactly (docs/paper.md).

    Args:
        space: its choices; its limits are not looked at.
        max_parameters: of a net.

    Returns:
        Logarithm to base 10; minus infinity where there is no such net.
    """
    steps = Steps(space)
    prices = _Prices(_Groups.of(space), max_parameters / BUCKETS)
    start = np.zeros((len(prices.groups.means), BUCKETS + 1))
    start[-1, 0] = 1.0
    ways, scale, total = {steps.start: start}, 0.0, -math.inf
    for _ in range(SHORTEST, space.most_layers + 1):
        ways = _one_more(steps, ways, prices)
        largest = max((float(one.max()) for one in ways.values()), default=0.0)
        if not largest:
            break
        ways = {place: one / largest for place, one in ways.items()}
        scale += math.log(largest)
        ended = _ended(steps, ways, prices)
        if ended:
            total = float(np.logaddexp(total, scale + math.log(ended)))
    return total / math.log(10)


@dataclass(frozen=True)
class _Groups:
    """Channels that count as one; the last group is that of the input, which no layer chooses.

    Attributes:
        means: of the channels of each group.
        sizes: how many choices of channels each group stands for; 0 for the last.
    """

    means: Array
    sizes: Array

    @classmethod
    def of(cls, space: SearchSpace) -> "_Groups":
        step, low, members = space.round_channels, space.least_channels, []
        while low <= space.most_channels:
            high = min(max(low, step * math.floor(low * GROWTH / step)), space.most_channels)
            members.append(range(low, high + 1, step))
            low = high + step
        means = [(one[0] + one[-1]) / 2 for one in members]
        sizes = [float(len(one)) for one in members]
        return cls(np.array([*means, space.input_shape[0]]), np.array([*sizes, 0.0]))


class _Prices:
    """What layers cost for inputs of each group, in buckets.

    Args:
        groups: of channels.
        width: parameters of a bucket.
    """

    def __init__(self, groups: _Groups, width: float) -> None:
        self.groups, self._width = groups, width
        self._known: dict[tuple[Layer, Shape], tuple[float, ...]] = {}

    def of(self, layer: Layer, sides: Shape) -> tuple[float, ...]:
        """One number a group; of one channel where the layer chooses them."""
        if (layer, sides) not in self._known:
            parameters = KINDS[layer.kind].parameters
            self._known[layer, sides] = tuple(
                float(parameters(layer, (mean, *sides))) / self._width for mean in self.groups.means
            )
        return self._known[layer, sides]


def _one_more(
    steps: Steps, ways: dict[ChainState, Array], prices: _Prices
) -> dict[ChainState, Array]:
    """The ways after any one layer more.

    Layers of the same cost that lead to the same place are taken together first: a convolution's
    stride and padding do not cost anything.
    """
    together: dict[tuple[tuple[float, ...], bool], dict[ChainState, Array]] = defaultdict(dict)
    for place, amounts in ways.items():
        for step in steps.after(place.sides):
            key = prices.of(step.layer, place.sides), bool(step.widths)
            there, known = step.place_after(place), together[key]
            known[there] = known[there] + amounts if there in known else amounts
    found: dict[ChainState, Array] = {}
    for (costs, chooses_width), arriving in together.items():
        amounts = np.stack(list(arriving.values()))  # P G B
        spent = np.zeros_like(amounts)
        if chooses_width:
            for source, target, cost in _pairs(costs, prices.groups):
                share = prices.groups.sizes[target]
                _add_later(spent[:, target], share * amounts[:, source], cost)
        else:
            for group, cost in enumerate(costs):
                _add_later(spent[:, group], amounts[:, group], cost)
        for place, one in zip(arriving, spent, strict=True):
            found[place] = found[place] + one if place in found else one
    return found


def _pairs(costs: tuple[float, ...], groups: _Groups) -> Iterator[tuple[int, int, float]]:
    """Groups of input and output that are affordable, with the cost in buckets."""
    for source, each in enumerate(costs):
        for target, mean in enumerate(groups.means):
            if groups.sizes[target] and each * mean <= BUCKETS:
                yield source, target, each * mean


def _add_later(into: Array, amounts: Array, cost: float) -> None:
    """Add amounts, `... x B`, a number of buckets later, shared between the two nearest."""
    whole = math.floor(cost)
    if whole > BUCKETS:
        return
    part, kept = cost - whole, BUCKETS + 1 - whole
    into[..., whole:] += (1 - part) * amounts[..., :kept]
    if part and kept > 1:
        into[..., whole + 1 :] += part * amounts[..., : kept - 1]


def _ended(steps: Steps, ways: dict[ChainState, Array], prices: _Prices) -> float:
    """The ways that can end here with the head."""
    buckets, total = np.arange(BUCKETS + 1), 0.0
    for place, amounts in ways.items():
        if place.has_conv:
            heads = np.array(prices.of(steps.head, place.sides))[:, None]
            within = (BUCKETS - buckets - heads + 0.5).clip(0, 1)
            total += float((amounts * within).sum())
    return total
