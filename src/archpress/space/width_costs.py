"""Costs as functions of channels: of one layer, and of a net all of whose widths are scaled.

All costs of a layer without options are bilinear in the channels that it reads and makes, so the
table of kinds is asked a few times, and then no network has to be made to know what one would cost.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import KINDS, Architecture, Layer
from archpress.architecture.architecture import BYTES_PER_VALUE
from archpress.architecture.kinds import NOT_SEARCHED, output_shape
from archpress.architecture.layers import Joining
from archpress.architecture.shape_rules import Shape
from archpress.space.limits import COSTS
from archpress.space.space import SearchSpace

# Kinds of which more than the channels before and after decides.
UNTOLD = (*NOT_SEARCHED, "pad_channels")
Terms = tuple[int, ...]  # four: of 1, channels read, channels made, and their product
AS_READ, CHOSEN, SCALED, JOINED, ADDED = range(5)  # where the channels of a layer come from


def layer_terms(layer: Layer, sides: Shape) -> tuple[Terms, Terms, Terms]:
    """Terms of a layer's parameters, multiply-adds and values of its output.

    Args:
        layer: without options, joining nothing, none of `UNTOLD`; any channels will do.
        sides: height and width of the map that it reads, into which it fits; empty for a vector.
    """
    return _terms(layer.kind, layer.kernel, layer.stride, layer.padding, layer.bias_free, sides)


@lru_cache(maxsize=100_000)
def _terms(
    name: str, kernel: int, stride: int, padding: int, bias_free: bool, sides: Shape
) -> tuple[Terms, Terms, Terms]:
    kind = KINDS[name]

    def at(read: int, made: int) -> NDArray[np.int64]:
        channels = made if kind.chooses_channels else 0
        one = Layer(name, kernel, channels, stride, padding, bias_free=bias_free)
        shape = (read, *sides)
        out = output_shape(one, [shape])
        found = (kind.parameters(one, shape), kind.macs(one, shape, out), int(np.prod(out)))
        return np.array(found, dtype=np.int64)

    two = at(2, 2)  # some norms do not take one channel
    if kind.chooses_channels:
        both = at(3, 3) - at(2, 3) - at(3, 2) + two
        reads, makes = at(3, 2) - two - 2 * both, at(2, 3) - two - 2 * both
        terms = [two - 2 * reads - 2 * makes - 4 * both, reads, makes, both]
    else:
        reads = at(3, 3) - two
        terms = [two - 2 * reads, reads, 0 * two, 0 * two]
    parameters, macs, values = np.stack(terms, axis=1).tolist()
    return tuple(parameters), tuple(macs), tuple(values)


@dataclass(frozen=True, slots=True)
class _Row:
    """What is known of a layer whatever the scale of the widths."""

    channels_from: int
    channels: int
    reads: tuple[int, ...]  # rows; -1 is the image
    frees: tuple[int, ...]  # rows whose values nobody needs after it
    area: int  # pixels of its output
    terms: tuple[Terms, Terms, Terms] | None  # None where it joins


class ScaledCosts:
    """Whether a net keeps the limits of its space when all chosen widths are scaled by one factor.

    Args:
        architecture: its layers have no options.
        space: with limits.
        fixed: rows whose channels stay.
    """

    def __init__(
        self, architecture: Architecture, space: SearchSpace, fixed: Collection[int]
    ) -> None:
        self._space, self._image = space, architecture.input_shape
        self._rows = [
            _row(architecture, index, index in fixed, freed)
            for index, freed in enumerate(_freed(architecture))
        ]

    def keep_limits(self, factor: float) -> bool | None:
        """Whether the limits are kept; None where branches that are added would not be equal."""
        limits, width = self._space.limits, self._space.nearest_width
        made, values = [self._image[0]], [math.prod(self._image)]  # of row i at i + 1
        parameters = macs = activations = 0
        live = peak = values[0]
        for row in self._rows:
            read = made[row.reads[0] + 1]
            origin = row.channels_from
            if origin == SCALED:
                channels = width(row.channels * factor)
            elif origin == CHOSEN:
                channels = row.channels
            elif origin == JOINED:
                channels = sum(made[source + 1] for source in row.reads)
            else:
                channels = read
                if origin == ADDED and any(made[source + 1] != read for source in row.reads):
                    return None
            size = channels * row.area
            if row.terms is not None:
                (one, of_read, of_made, of_both), (mac, mac_read, mac_made, mac_both), _ = row.terms
                both = read * channels
                parameters += one + of_read * read + of_made * channels + of_both * both
                macs += mac + mac_read * read + mac_made * channels + mac_both * both
            made.append(channels)
            values.append(size)
            activations += size
            live += size
            peak = max(peak, live)
            live -= sum(values[source + 1] for source in row.frees)
        return not any(
            most is not None and found > most
            for found, most in (
                (activations, self._space.most_activations),
                (parameters, limits.max_parameters),
                (macs, limits.max_macs),
                (BYTES_PER_VALUE * peak, limits.max_peak_memory),
            )
        )


def scaled_costs(architecture: Architecture, space: SearchSpace) -> ScaledCosts | None:
    """What a net that has what the space keeps would cost; None where channels do not tell."""
    limits = space.limits
    untold = set(COSTS) - {"max_parameters", "max_macs", "max_peak_memory"}
    if space.widths_alone or limits.limits_latency:
        return None
    if any(getattr(limits, name) is not None for name in untold):
        return None
    known = (Joining.NONE, Joining.ADD, Joining.CONCAT)
    for layer in architecture.layers:
        if layer.options or layer.kind in UNTOLD:
            return None
        if KINDS[layer.kind].joining not in known:
            return None
    fixed = space.kept.fixed(architecture) if space.kept else ()
    return ScaledCosts(architecture, space, fixed)


def _row(architecture: Architecture, index: int, is_fixed: bool, frees: tuple[int, ...]) -> _Row:
    layer, shape = architecture.layers[index], architecture.shapes[index]
    joining = KINDS[layer.kind].joining
    is_last = index == len(architecture.layers) - 1
    if joining is Joining.CONCAT:
        channels_from = JOINED
    elif joining is Joining.ADD:
        channels_from = ADDED
    elif not layer.channels:
        channels_from = AS_READ
    else:
        channels_from = CHOSEN if is_fixed or is_last else SCALED
    reads = architecture.input_indices(index)
    sides = architecture.input_shapes(index)[0][1:]
    terms = layer_terms(layer, sides) if joining is Joining.NONE else None
    return _Row(channels_from, layer.channels, reads, frees, math.prod(shape[1:]), terms)


def _freed(architecture: Architecture) -> list[tuple[int, ...]]:
    """For each row those, the image (-1) among them, that no later one reads; none for the last."""
    last_reader = {-1: 0}
    for index in range(len(architecture.layers)):
        last_reader[index] = index
        last_reader.update(dict.fromkeys(architecture.input_indices(index), index))
    freed: list[list[int]] = [[] for _ in architecture.layers]
    for source, reader in last_reader.items():
        freed[reader].append(source)
    return [*map(tuple, freed[:-1]), ()]
