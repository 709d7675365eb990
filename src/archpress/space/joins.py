"""Joins of more than two as joins of two, which compute the same."""

from collections.abc import Sequence
from dataclasses import replace

from archpress.architecture import Architecture, Layer


def in_pairs(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with each join of more than two as joins of two, one after the other.

    They compute the same. Offsets that reach too far stay as they are, for `repair` to mend.
    """
    if all(len(layer.inputs) <= 2 for layer in layers):
        return list(layers)
    result: list[Layer] = []
    place = {-1: -1}
    for row, layer in enumerate(layers):
        sources = [place[max(row - offset, -1)] for offset in layer.inputs if offset > 0]
        while len(sources) > 2:
            index = len(result)
            pair = (index - sources[0], index - sources[1])
            result.append(replace(layer, inputs=pair))
            sources = [index, *sources[2:]]
        place[row] = len(result)
        offsets = tuple(len(result) - source for source in sources)
        result.append(replace(layer, inputs=offsets or layer.inputs))
    return result


def with_joins_of_two(architecture: Architecture) -> Architecture:
    """The same function, each join of more than two as joins of two: what a token can hold."""
    layers = in_pairs(architecture.layers)
    if len(layers) == len(architecture.layers):
        return architecture
    return Architecture(architecture.input_shape, tuple(layers))
