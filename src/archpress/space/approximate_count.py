"""How many nets keep a limit on parameters, where the exact count has too much to keep.

The same dynamic programming with two things made coarser, both such that costs stay right on
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
from archpress.space.chains import Place, Step, Steps
from archpress.space.sampling import SHORTEST
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
    groups = _Groups.of(space)
    width = max_parameters / BUCKETS
    start = np.zeros((len(groups.means), BUCKETS + 1))
    start[groups.index(space.input_shape[0]), 0] = 1.0
    ways, scale, total = {steps.start: start}, 0.0, -math.inf
    for _ in range(SHORTEST, space.most_layers + 1):
        ways = _one_more(steps, ways, groups, width)
        largest = max((float(one.max()) for one in ways.values()), default=0.0)
        if not largest:
            break
        ways = {place: one / largest for place, one in ways.items()}
        scale += math.log(largest)
        ended = _ended(steps, ways, groups, width)
        if ended:
            total = float(np.logaddexp(total, scale + math.log(ended)))
    return total / math.log(10)


@dataclass(frozen=True)
class _Groups:
    """Channels that count as one.

    Attributes:
        means: of the channels of each group.
        sizes: how many choices of channels each group stands for; 0 for the input's own.
    """

    means: Array
    sizes: Array

    @classmethod
    def of(cls, space: SearchSpace) -> "_Groups":
        low, members = space.least_channels, []
        while low <= space.most_channels:
            high = min(max(low, math.floor(low * GROWTH)), space.most_channels)
            members.append(range(low, high + 1))
            low = high + 1
        means = [(one[0] + one[-1]) / 2 for one in members]
        sizes = [float(len(one)) for one in members]
        return cls(np.array([*means, space.input_shape[0]]), np.array([*sizes, 0.0]))

    def index(self, channels: int) -> int:
        """Of the group of the input's channels."""
        assert self.means[-1] == channels
        return len(self.means) - 1


def _one_more(
    steps: Steps, ways: dict[Place, Array], groups: _Groups, width: float
) -> dict[Place, Array]:
    """The ways after any one layer more.

    Layers of the same cost that lead to the same place are taken together first: a convolution's
    stride and padding do not cost anything.
    """
    together: dict[tuple[tuple[float, ...], bool], dict[Place, Array]] = defaultdict(dict)
    for place, amounts in ways.items():
        for step in steps.after(place.sides):
            key = tuple(_costs(step, place, groups) / width), bool(step.widths)
            there, known = step.place_after(place), together[key]
            known[there] = known[there] + amounts if there in known else amounts
    found: dict[Place, Array] = {}
    for (costs, chooses_width), arriving in together.items():
        amounts = np.stack(list(arriving.values()))  # P G B
        spent = np.zeros_like(amounts)
        if chooses_width:
            for source, target, cost in _pairs(costs, groups):
                share = groups.sizes[target]
                _add_later(spent[:, target], share * amounts[:, source], cost)
        else:
            for group, cost in enumerate(costs):
                _add_later(spent[:, group], amounts[:, group], cost)
        for place, one in zip(arriving, spent, strict=True):
            found[place] = found[place] + one if place in found else one
    return found


def _costs(step: Step, place: Place, groups: _Groups) -> Array:
    """Parameters for inputs of each group; of one channel where the layer chooses them."""
    return _parameters(step.layer, groups.means, place)


def _parameters(layer: Layer, channels: Array, place: Place) -> Array:
    count = KINDS[layer.kind].parameters
    return np.array([float(count(layer, (mean, *place.sides))) for mean in channels])


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


def _ended(steps: Steps, ways: dict[Place, Array], groups: _Groups, width: float) -> float:
    """The ways that can end here with the head."""
    buckets, total = np.arange(BUCKETS + 1), 0.0
    for place, amounts in ways.items():
        if place.has_conv:
            heads = _parameters(steps.head, groups.means, place) / width
            within = (BUCKETS - buckets - heads[:, None] + 0.5).clip(0, 1)
            total += float((amounts * within).sum())
    return total
