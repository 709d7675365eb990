"""All chains of a space's layers: what may follow what, and samples that favour none of them.

A chain has two layers or more, all with biases, a convolution among them, and ends in the linear
layer over the classes. Nets that compute the same from other layers are different chains, as in the
paper. The paper's own sampler (`sampling`) is uniform in lengths, types and fields, not in chains.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import KINDS, Architecture, Layer
from archpress.architecture.kinds import output_shape
from archpress.architecture.layers import Joining
from archpress.architecture.shape_rules import RuleError, Shape
from archpress.errors import SpaceError
from archpress.space.space import SearchSpace
from archpress.space.width_costs import UNTOLD

Rng = np.random.Generator
SHORTEST = 2  # section 9: at least one convolution and one linear layer


@dataclass(frozen=True, slots=True)
class ChainState:
    """What the layers so far have come to, but for the channels.

    Attributes:
        sides: height and width of the map; empty for a vector.
        has_conv: whether one of the layers is a convolution.
    """

    sides: Shape
    has_conv: bool


@dataclass(frozen=True, slots=True)
class NextLayer:
    """A layer that may come next, whatever the channels.

    Attributes:
        layer: with one channel where it chooses channels.
        sides: of its output.
        widths: channels that it may choose; empty where it keeps its input's.
    """

    layer: Layer
    sides: Shape
    widths: range

    def place_after(self, place: ChainState) -> ChainState:
        """Where this layer leads."""
        return ChainState(self.sides, place.has_conv or self.layer.kind == "conv")


class Steps:
    """What may follow what in a space, whatever its limits.

    Args:
        space: its choices count; kinds that join layers are left out.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.start = ChainState(space.input_shape[1:], has_conv=False)
        self.head = Layer("linear", channels=space.classes)
        self._layers = tuple(layers_of(space))
        self.widths = space.widths
        self._known: dict[Shape, tuple[NextLayer, ...]] = {}
        self._ways: dict[ChainState, Counter[tuple[ChainState, bool]]] = {}

    def ways_from(self, place: ChainState) -> Counter[tuple[ChainState, bool]]:
        """How many layers lead from a place to another, without and with a choice of channels."""
        if place not in self._ways:
            self._ways[place] = Counter(
                (step.place_after(place), bool(step.widths)) for step in self.after(place.sides)
            )
        return self._ways[place]

    def after(self, sides: Shape) -> tuple[NextLayer, ...]:
        """All layers that may follow a map of these sides, or a vector."""
        if sides not in self._known:
            self._known[sides] = tuple(self._after(sides))
        return self._known[sides]

    def _after(self, sides: Shape) -> Iterator[NextLayer]:
        for layer in self._layers:
            try:
                out = output_shape(layer, [(1, *sides)])
            except RuleError:
                continue
            chooses = KINDS[layer.kind].chooses_channels
            yield NextLayer(layer, out[1:], self.widths if chooses else range(0))


def layers_of(space: SearchSpace) -> Iterator[Layer]:
    """One layer for each choice of the fields, with one channel where channels are chosen."""
    for kind in space.kinds:
        if KINDS[kind].joining is not Joining.NONE or kind in UNTOLD:
            continue
        fields = KINDS[kind].fields
        choices = (
            values if name in fields else (0,)
            for name, values in (
                ("kernel", space.kernels),
                ("channels", (1,)),
                ("stride", space.strides),
                ("padding", space.paddings),
            )
        )
        rate = space.dropout_rate if "rate" in fields else 0.0
        for kernel, channels, stride, padding in product(*choices):
            yield Layer(kind, kernel, channels, stride, padding, rate=rate)


class ChainSampler:
    """Draws chains of a space, each with the same probability unless they are tilted.

    Args:
        space: its choices; its limits are not looked at.
        tilt: a chain weighs the product of `channels ** -tilt` over the layers that choose them.
        steps: of the space, where they are known already.

    Attributes:
        log_total: natural logarithm of the weight of all chains together.

    Raises:
        SpaceError: the space has no chain.
    """

    def __init__(
        self, space: SearchSpace, tilt: float = 0.0, *, steps: Steps | None = None
    ) -> None:
        self._steps, self._tilt = steps or Steps(space), tilt
        self._widths = np.array(space.widths)
        weights = self._widths**-tilt
        self._width_weight = float(weights.sum())
        self._width_chances = weights / self._width_weight
        self._known: dict[
            tuple[ChainState, int], tuple[Sequence[NextLayer], NDArray[np.float64]]
        ] = {}
        self._ends, scales = self._weights_of_ends()
        start = self._steps.start
        logs = np.array(
            [
                scale + math.log(ends[start]) if ends[start] else -math.inf
                for ends, scale in zip(self._ends, scales, strict=True)
            ]
        )
        self.log_total = float(np.logaddexp.reduce(logs))
        if math.isinf(self.log_total):
            raise SpaceError("no chain of layers of this space is a net")
        self._body_chances = np.exp(logs - self.log_total)

    def draw(self, count: int, rng: Rng) -> Iterator[tuple[Architecture, float]]:
        """Chains, each with the natural logarithm of one over its weight."""
        for _ in range(count):
            place, layers = self._steps.start, []
            for left in range(int(rng.choice(len(self._ends), p=self._body_chances)), 0, -1):
                steps, chances = self._options(place, left)
                step = steps[rng.choice(len(steps), p=chances)]
                layers.append(self._with_width(step, rng))
                place = step.place_after(place)
            chosen = [layer.channels for layer in layers if layer.channels]
            net = Architecture(self._steps.space.input_shape, (*layers, self._steps.head))
            yield net, self._tilt * float(np.log(chosen).sum())

    def _with_width(self, step: NextLayer, rng: Rng) -> Layer:
        one = step.layer
        if not step.widths:
            return one
        width = int(rng.choice(self._widths, p=self._width_chances))
        return Layer(one.kind, one.kernel, width, one.stride, one.padding)

    def _options(
        self, place: ChainState, left: int
    ) -> tuple[Sequence[NextLayer], NDArray[np.float64]]:
        """What may come next with `left` layers before the head, and how probable each is."""
        if (place, left) not in self._known:
            steps, ends = self._steps.after(place.sides), self._ends[left - 1]
            weights = np.array(
                [self._weight(bool(s.widths)) * ends[s.place_after(place)] for s in steps]
            )
            self._known[place, left] = steps, weights / weights.sum()
        return self._known[place, left]

    def _weight(self, chooses_width: bool) -> float:
        return self._width_weight if chooses_width else 1.0

    def _weights_of_ends(self) -> tuple[list[dict[ChainState, float]], list[float]]:
        """By layers left before the head, the weight of all ways on from each place; log scales.

        Each dictionary is divided by `exp(scale)`: the weights of long chains are beyond floats.
        """
        ends = [{place: float(place.has_conv) for place in self._places()}]
        scales = [0.0]
        for _ in range(self._steps.space.most_layers - 1):
            raw = {place: self._weight_on(place, ends[-1]) for place in ends[-1]}
            largest = max(raw.values()) or 1.0
            ends.append({place: weight / largest for place, weight in raw.items()})
            scales.append(scales[-1] + math.log(largest))
        return ends, scales

    def _weight_on(self, place: ChainState, ends: dict[ChainState, float]) -> float:
        return sum(
            number * self._weight(chooses_width) * ends.get(following, 0.0)
            for (following, chooses_width), number in self._steps.ways_from(place).items()
        )

    def _places(self) -> set[ChainState]:
        """All that can be reached."""
        newest = found = {self._steps.start}
        for _ in range(self._steps.space.most_layers - 1):
            ways = (self._steps.ways_from(place) for place in newest)
            newest = {following for way in ways for following, _ in way} - found
            found = found | newest
        return found
