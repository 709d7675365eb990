"""Chains of layers by the thousand: arrays in, arrays out; `Architecture` is the form for people.

What a layer does to a chain hangs on the sides of the map before it, by the rules of its kind, and
on the channels before and after it, in which all its costs are bilinear. So the table of kinds is
asked once for each pair of sides and layer, and the rest is done for all chains at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import KINDS, Architecture, Layer
from archpress.architecture.architecture import BYTES_PER_VALUE
from archpress.architecture.kinds import output_shape
from archpress.architecture.shape_rules import RuleError, Shape
from archpress.space.chains import SHORTEST, layers_of
from archpress.space.limits import Limits
from archpress.space.space import SearchSpace
from archpress.space.width_costs import layer_terms

Rng = np.random.Generator
Ints = NDArray[np.int64]
NO_LAYER = -1
INVALID, UNKNOWN = -1, -2  # in the place of sides
_COSTS = 3  # parameters, multiply-adds, values of the output
_SEED, _ODD = 7, np.uint64(0x9E3779B97F4A7C15)  # of fingerprints: any, and any odd one
_TERMS = 4  # of a bilinear function: 1, in, out, in * out


@dataclass(frozen=True, eq=False, slots=True)
class ChainBatch:
    """Chains without their last layer, the linear one over the classes.

    Attributes:
        rows: `B x L`, which layer of `Chains.layers`; `NO_LAYER` behind the last.
        channels: `B x L`, that the layer has; 0 where its kind chooses none.
    """

    rows: Ints
    channels: Ints

    def __len__(self) -> int:
        """Number of chains."""
        return len(self.rows)

    def __getitem__(self, chosen: Any) -> "ChainBatch":  # noqa: ANN401  what numpy takes
        """Some of the chains."""
        return ChainBatch(self.rows[chosen], self.channels[chosen])

    @property
    def lengths(self) -> Ints:
        """Layers of each chain, the last one included."""
        lengths: Ints = (self.rows != NO_LAYER).sum(1) + 1
        return lengths

    def fingerprints(self) -> NDArray[np.uint64]:
        """`B x 2`: equal for equal chains, and for others with a probability of 2^-128.

        Chains that compute the same from other layers differ, unlike `Architecture.key`.
        """
        words = ((self.rows + 1) << 32 | self.channels).astype(np.uint64)
        factors = np.random.default_rng(_SEED).integers(
            2**63, size=(words.shape[1], 2), dtype=np.uint64
        )
        mixed = words[:, :, None] * _ODD
        mixed ^= mixed >> np.uint64(29)
        sums: NDArray[np.uint64] = (mixed * (2 * factors + np.uint64(1))).sum(1)
        return sums


@dataclass(frozen=True, eq=False, slots=True)
class ChainCosts:
    """What is known of each chain of a batch; costs are 0 where a layer does not fit.

    Attributes:
        fits: `B`, bool: whether every layer fits what comes before it.
        has_conv: `B`, bool.
        parameters: `B`, as of `Architecture`, with the last layer.
        macs: likewise.
        activations: likewise.
        peak_memory: likewise, in bytes.
    """

    fits: NDArray[np.bool_]
    has_conv: NDArray[np.bool_]
    parameters: Ints
    macs: Ints
    activations: Ints
    peak_memory: Ints

    def within(self, limits: Limits, most_activations: int | None = None) -> NDArray[np.bool_]:
        """`B`, bool: which of the chains that fit keep the limits on these costs."""
        keeps = self.fits.copy()
        for found, most in (
            (self.parameters, limits.max_parameters),
            (self.macs, limits.max_macs),
            (self.peak_memory, limits.max_peak_memory),
            (self.activations, most_activations),
        ):
            if most is not None:
                keeps &= found <= most
        return keeps


class Chains:
    """Draws, checks and counts chains of a space's layers, whole batches at a time.

    Args:
        space: its choices count; kinds that join layers, or pad channels, are left out.

    Attributes:
        layers: all that may be chosen, with one channel where channels are.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.layers = tuple(layers_of(space))
        self._head = Layer("linear", channels=space.classes)
        self._layers_and_head = (*self.layers, self._head)
        kinds = [layer.kind for layer in self.layers]
        by_kind = {
            kind: np.flatnonzero([k == kind for k in kinds]) for kind in dict.fromkeys(kinds)
        }
        self._first = np.array([rows[0] for rows in by_kind.values()])
        self._count = np.array([len(rows) for rows in by_kind.values()])
        self._chooses = np.array([KINDS[kind].chooses_channels for kind in kinds])
        self._convs = np.array([kind == "conv" for kind in kinds])
        self._widths = np.array(space.widths)
        self._sides: dict[Shape, int] = {}  # the number of each, by which the table is indexed
        self._following = np.empty((0, len(self._layers_and_head)), dtype=np.int64)
        self._costs = np.empty((0, len(self._layers_and_head), _COSTS, _TERMS), dtype=np.int64)
        self._number(space.input_shape[1:])

    def draw(self, count: int, rng: Rng) -> ChainBatch:
        """Chains as of section 9: uniform lengths, then uniform kinds, then uniform fields.

        They need not be valid.
        """
        most = self.space.most_layers - 1
        kinds = rng.integers(len(self._first), size=(count, most))
        rows = self._first[kinds] + rng.integers(self._count[kinds])
        channels = self._widths[rng.integers(len(self._widths), size=(count, most))]
        channels = np.where(self._chooses[rows], channels, 0)
        absent = np.arange(most) >= rng.integers(SHORTEST - 1, most + 1, size=(count, 1))
        return ChainBatch(np.where(absent, NO_LAYER, rows), np.where(absent, 0, channels))

    def costs(self, chains: ChainBatch) -> ChainCosts:
        """Whether the layers of each chain fit, and exact costs of those whose do."""
        count = len(chains)
        totals = np.zeros((count, _COSTS), dtype=np.int64)
        peak = np.zeros(count, dtype=np.int64)
        fits = np.ones(count, dtype=bool)
        running = np.arange(count)  # chains whose layers fit so far; those that ended get the head
        sides = np.zeros(count, dtype=np.int64)
        read = np.full(count, self.space.input_shape[0])
        values = np.full(count, int(np.prod(self.space.input_shape)))
        head = len(self.layers)
        for place in range(chains.rows.shape[1] + 1):
            if place < chains.rows.shape[1]:
                rows, channels = chains.rows[running, place], chains.channels[running, place]
            else:
                rows, channels = np.full(len(running), NO_LAYER), np.zeros(len(running), np.int64)
            ends = rows == NO_LAYER
            rows = np.where(ends, head, rows)
            channels = np.where(ends, self.space.classes, channels)
            following = self._after(2 * sides + (read == 1), rows)
            goes_on = following != INVALID
            fits[running[~goes_on]] = False
            if not goes_on.all():
                running, rows, channels = running[goes_on], rows[goes_on], channels[goes_on]
                sides, read, values = sides[goes_on], read[goes_on], values[goes_on]
                following, ends = following[goes_on], ends[goes_on]
            made = np.where(channels > 0, channels, read)
            found = self._evaluated(sides, rows, read, made)
            totals[running] += found
            peak[running] = np.maximum(peak[running], values + found[:, 2])
            stays = ~ends
            running, sides = running[stays], following[stays]
            read, values = made[stays], found[stays, 2]
        totals[~fits], peak[~fits] = 0, 0
        has_conv = self._convs[chains.rows] & (chains.rows != NO_LAYER)
        return ChainCosts(
            fits, has_conv.any(1), totals[:, 0], totals[:, 1], totals[:, 2], BYTES_PER_VALUE * peak
        )

    def layers_of_each(self, chains: ChainBatch) -> Iterator[tuple[Layer, ...]]:
        """The layers of one chain after the other, the last one included."""
        for rows, widths in zip(chains.rows.tolist(), chains.channels.tolist(), strict=True):
            chosen = (
                _with_channels(self.layers[row], width)
                for row, width in zip(rows, widths, strict=True)
                if row != NO_LAYER
            )
            yield (*chosen, self._head)

    def architectures(self, chains: ChainBatch) -> Iterator[Architecture]:
        """The chains as values.

        Raises:
            ArchitectureError: a layer does not fit.
        """
        for layers in self.layers_of_each(chains):
            yield Architecture(self.space.input_shape, layers)

    # --- the table of kinds, asked as needed ---

    def _number(self, sides: Shape) -> int:
        if sides not in self._sides:
            self._sides[sides] = len(self._sides)
            width = len(self._layers_and_head)
            unknown = np.full((2, width), UNKNOWN)
            self._following = np.concatenate([self._following, unknown])
            costs = np.zeros((1, width, _COSTS, _TERMS), dtype=np.int64)
            self._costs = np.concatenate([self._costs, costs])
        return self._sides[sides]

    def _after(self, maps: Ints, rows: Ints) -> Ints:
        """Numbers of the sides that layers lead to; `INVALID` where one does not fit.

        Args:
            maps: twice the number of the sides that are read, and one more for one channel, which
                some norms do not take.
            rows: of the layers.
        """
        following = self._following[maps, rows]
        unknown = np.flatnonzero(following == UNKNOWN)
        if len(unknown):
            for pair in np.unique(np.stack([maps[unknown], rows[unknown]], axis=1), axis=0):
                self._ask(*pair.tolist())
            following = self._following[maps, rows]
        return following

    def _ask(self, read: int, row: int) -> None:
        layer, number = self._layers_and_head[row], read // 2
        sides = tuple(self._sides)[number]
        try:
            out = output_shape(layer, [(1 if read % 2 else 2, *sides)])
        except RuleError:
            self._following[read, row] = INVALID
            return
        self._costs[number, row] = layer_terms(layer, sides)
        following = self._number(out[1:])  # which may make the table larger
        self._following[read, row] = following

    def _evaluated(self, sides: Ints, rows: Ints, read: Ints, made: Ints) -> Ints:
        """`B x 3` costs of one layer of each chain."""
        terms = np.stack([np.ones_like(read), read, made, read * made], axis=1)
        found: Ints = np.einsum("bct,bt->bc", self._costs[sides, rows], terms)
        return found


def _with_channels(layer: Layer, channels: int) -> Layer:
    if layer.channels == channels or not channels:
        return layer
    return replace(layer, channels=channels)
