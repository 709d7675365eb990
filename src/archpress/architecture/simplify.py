"""Removes layers that do nothing: the same function from fewer layers.

Only exact rules, so a simplified net with the weights carried over (`network.carry_weights`) gives
the same outputs in evaluation:

- a layer that no output depends on is dropped;
- dropout of rate 0, a 1x1 pool of stride 1, an average over a 1x1 map, a factor of 1, a pad of no
  pixels are the identity;
- an activation that cannot change what it reads is dropped (ReLU after ReLU, after a sigmoid, after
  a pool of a ReLU; ReLU6 after ReLU6);
- batch norm of a batch norm is one batch norm, its constants folded into the first.
"""

import math
from dataclasses import dataclass, replace

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import KINDS
from archpress.architecture.layers import SIDES, Joining, Layer

_FREE = -math.inf


@dataclass(frozen=True, slots=True)
class Simplification:
    """How a simplified architecture came about.

    Attributes:
        architecture: the simplified one.
        kept: for each of its layers, the index of the original layer.
        folded: (removed batch norm, batch norm that takes its constants), original indices, in the
            order in which to fold.
    """

    architecture: Architecture
    kept: tuple[int, ...]
    folded: tuple[tuple[int, int], ...]


def simplify(architecture: Architecture) -> Architecture:
    """The architecture without the layers that do nothing; itself where there is none.

    >>> net = Architecture((1, 4, 4), (Layer("relu"), Layer("relu"), Layer("linear", channels=2)))
    >>> [layer.kind for layer in simplify(net).layers]
    ['relu', 'linear']
    """
    return trace_simplification(architecture).architecture


def trace_simplification(architecture: Architecture) -> Simplification:
    """`simplify`, with what became of each layer."""
    bypassed = _bypass(architecture, _identities(architecture))
    repeats = _repeated_norms(bypassed.architecture)
    if not repeats:
        return bypassed
    folded = _bypass(bypassed.architecture, {index for index, _ in repeats})
    return Simplification(
        folded.architecture,
        tuple(bypassed.kept[index] for index in folded.kept),
        tuple((bypassed.kept[removed], bypassed.kept[into]) for removed, into in repeats),
    )


def _bypass(architecture: Architecture, removed: set[int]) -> Simplification:
    """Without these layers, whose readers read their input instead, and without dead layers."""
    stands_for = {-1: -1}
    for index in range(len(architecture.layers)):
        source = architecture.input_indices(index)[0]
        stands_for[index] = stands_for[source] if index in removed else index
    kept = _reachable(architecture, stands_for)
    if len(kept) == len(architecture.layers):
        return Simplification(architecture, tuple(kept), ())
    if not kept:  # nothing but identities: the last layer stays, so that there is a net
        kept = [len(architecture.layers) - 1]
    layers = _rewired(architecture, kept, stands_for)
    return Simplification(Architecture(architecture.input_shape, layers), tuple(kept), ())


def _identities(architecture: Architecture) -> set[int]:
    """Indices of the layers that give out what they read, found in order.

    An identity's output keeps the bounds of its input, so that a later layer can use them.
    """
    ranges = {-1: (_FREE, math.inf)}  # nothing is known of the image
    identities = set()
    for index in range(len(architecture.layers)):
        if _is_identity(architecture, index, ranges):
            identities.add(index)
            ranges[index] = ranges[architecture.input_indices(index)[0]]
        else:
            ranges[index] = _output_range(architecture, index, ranges)
    return identities


def _repeated_norms(architecture: Architecture) -> list[tuple[int, int]]:
    """(batch norm, the one before it that can take its constants), in order."""
    readers = _reader_counts(architecture)
    takes: dict[int, int] = {}
    for index, layer in enumerate(architecture.layers):
        source = architecture.input_indices(index)[0]
        if (
            layer.kind == "batch_norm"
            and source >= 0
            and architecture.layers[source].kind == "batch_norm"
            and not layer.options
            and not architecture.layers[source].options
            and readers[source] == 1
        ):
            takes[index] = takes.get(source, source)
    return list(takes.items())


def _output_range(
    architecture: Architecture, index: int, ranges: dict[int, tuple[float, float]]
) -> tuple[float, float]:
    """Bounds that a layer's output keeps whatever the image."""
    layer = architecture.layers[index]
    kind = KINDS[layer.kind]
    low, high = kind.output_range
    sources = architecture.input_indices(index)
    if kind.keeps_sign and all(ranges[source][0] >= 0 for source in sources):
        low = max(low, 0.0)
    if layer.kind in {"max_pool", "average_pool", "global_average_pool", "relu"}:
        high = min(high, max(0.0, ranges[sources[0]][1]))
    return low, high


def _reader_counts(architecture: Architecture) -> dict[int, int]:
    readers = dict.fromkeys(range(-1, len(architecture.layers)), 0)
    readers[len(architecture.layers) - 1] = 1  # the caller reads the output
    for index in range(len(architecture.layers)):
        for source in architecture.input_indices(index):
            readers[source] += 1
    return readers


def _is_identity(
    architecture: Architecture, index: int, ranges: dict[int, tuple[float, float]]
) -> bool:
    layer = architecture.layers[index]
    if KINDS[layer.kind].joining is not Joining.NONE:
        return False
    source = architecture.input_indices(index)[0]
    shape = architecture.input_shapes(index)[0]
    match layer.kind:
        case "dropout":
            return layer.rate == 0
        case "max_pool" | "average_pool":
            window = (layer.kernel, layer.stride, layer.padding)
            return window == (1, 1, 0) and not layer.options
        case "global_average_pool":
            return shape[1:] == (1, 1)
        case "scale":
            return not layer.options
        case "pad":
            return not any(layer.option(side) for side in SIDES)
        case "pad_channels":
            return layer.channels == shape[0]
        case "flatten":
            return len(shape) == 1
        case "slice":
            return (layer.option("begin"), layer.option("end")) == (0, shape[0])
        case "relu" | "leaky_relu" | "elu":
            return ranges[source][0] >= 0
        case "relu6":
            return ranges[source][0] >= 0 and ranges[source][1] <= 6.0
    return False


def _reachable(architecture: Architecture, stands_for: dict[int, int]) -> list[int]:
    pending, seen = [stands_for[len(architecture.layers) - 1]], set[int]()
    while pending:
        index = pending.pop()
        if index < 0 or index in seen:
            continue
        seen.add(index)
        pending.extend(stands_for[source] for source in architecture.input_indices(index))
    return sorted(seen)


def _rewired(
    architecture: Architecture, kept: list[int], stands_for: dict[int, int]
) -> tuple[Layer, ...]:
    position: dict[int, int] = {-1: -1} | {old: new for new, old in enumerate(kept)}
    layers = []
    for new, old in enumerate(kept):
        sources = [position[stands_for[source]] for source in architecture.input_indices(old)]
        offsets = tuple(new - source for source in sources)
        layers.append(replace(architecture.layers[old], inputs=offsets))
    return tuple(layers)
