"""Edits: small random changes of an architecture, and the neighbourhood they span."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from archpress.architecture import ACTIVATIONS, KINDS, Architecture, Layer
from archpress.errors import SpaceError
from archpress.space.repair import repair
from archpress.space.space import SearchSpace

Rng = np.random.Generator


@dataclass(slots=True, eq=False)
class _Node:
    """A layer in a list that is being edited; sources are nodes, so that nothing shifts.

    Equal to itself alone: twin branches hold layers alike that must not be taken for each other.
    """

    layer: Layer
    sources: "list[_Node | None]"  # None is the image


def _open(architecture: Architecture) -> list[_Node]:
    """The body, without the linear head, which `edit` puts back."""
    nodes: list[_Node] = []
    for index, layer in enumerate(architecture.layers[:-1]):
        read = [
            nodes[source] if source >= 0 else None for source in architecture.input_indices(index)
        ]
        nodes.append(_Node(layer, read))
    return nodes


def _close(nodes: list[_Node]) -> list[Layer]:
    place: dict[int, int] = {id(node): index for index, node in enumerate(nodes)}
    layers = []
    for index, node in enumerate(nodes):
        offsets = [index - (place[id(s)] if s is not None else -1) for s in node.sources]
        layers.append(replace(node.layer, inputs=tuple(offsets)))
    return layers


def _delete(nodes: list[_Node], node: _Node) -> None:
    nodes.remove(node)
    for other in nodes:
        other.sources = [node.sources[0] if s is node else s for s in other.sources]


def _insert_after(nodes: list[_Node], index: int, layers: list[Layer]) -> None:
    """A chain of layers between node `index` (-1: the image) and all that read it."""
    before = nodes[index] if index >= 0 else None
    readers = [node for node in nodes[index + 1 :] if any(s is before for s in node.sources)]
    source = before
    for position, layer in enumerate(layers, start=index + 1):
        node = _Node(layer, [source])
        nodes.insert(position, node)
        source = node
    for reader in readers:
        reader.sources = [source if s is before else s for s in reader.sources]


# --- the edits: each changes the list in place and may do nothing -------------------------------


def _remove(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """A layer, or a convolution with the norm and activation behind it."""
    if len(nodes) < 2:
        return
    index = int(rng.integers(len(nodes)))
    doomed = [nodes[index]]
    if nodes[index].layer.kind in {"conv", "depthwise"}:
        for node in nodes[index + 1 : index + 3]:
            if node.layer.kind != "batch_norm" and node.layer.kind not in ACTIVATIONS:
                break
            doomed.append(node)
    for node in doomed:
        _delete(nodes, node)


def _resize(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """Channels of one layer, by a factor of 0.4 to 1.6."""
    choosers = [node for node in nodes if KINDS[node.layer.kind].chooses_channels]
    if choosers:
        node = choosers[int(rng.integers(len(choosers)))]
        factor = math.exp(rng.uniform(math.log(0.4), math.log(1.6)))
        node.layer = replace(node.layer, channels=max(1, round(node.layer.channels * factor)))


def _resize_all(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """Channels of all layers, by a tilt: one factor at the front, another at the back."""
    front, back = np.exp(rng.uniform(math.log(0.5), math.log(1.5), size=2))
    for index, node in enumerate(nodes):
        if KINDS[node.layer.kind].chooses_channels:
            factor = front + (back - front) * index / len(nodes)
            node.layer = replace(node.layer, channels=max(1, round(node.layer.channels * factor)))


def _window(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """Another kernel (padded to keep the size) or another stride."""
    sliding = [node for node in nodes if KINDS[node.layer.kind].has_window]
    if not sliding:
        return
    node = sliding[int(rng.integers(len(sliding)))]
    if rng.random() < 0.7:
        kernel = int(rng.choice(space.kernels))
        padding = kernel // 2 if "pool" not in node.layer.kind else 0
        node.layer = replace(node.layer, kernel=kernel, padding=padding)
    else:
        node.layer = replace(node.layer, stride=int(rng.choice(space.strides)))


def _insert(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """A conv-BN-ReLU block, or one layer of any kind."""
    index = int(rng.integers(-1, len(nodes)))
    widths = [node.layer.channels for node in nodes[: index + 1] if node.layer.channels]
    width = widths[-1] if widths else 16
    if rng.random() < 0.5:
        kernel = int(rng.choice([k for k in space.kernels if k % 2] or space.kernels))
        kinds = [kind for kind in ("batch_norm", "relu") if kind in space.kinds]
        block = [Layer("conv", kernel, width, 1, kernel // 2), *map(Layer, kinds)]
        _insert_after(nodes, index, block)
    else:
        kind = str(rng.choice([k for k in space.kinds if k not in {"add", "concat", "linear"}]))
        kernel = int(rng.choice(space.kernels))
        stride = 2 if "pool" in kind and 2 in space.strides else space.strides[0]
        _insert_after(nodes, index, [Layer(kind, kernel, width, stride, kernel // 2)])


def _swap(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """Two neighbours of a chain change places."""
    pairs = [
        (first, second)
        for first, second in pairwise(nodes)
        if len(first.sources) == 1 and second.sources == [first]
    ]
    if pairs:
        first, second = pairs[int(rng.integers(len(pairs)))]
        first.layer, second.layer = second.layer, first.layer


def _skip(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """A shortcut that is added around one or two convolutions that keep the size."""
    if "add" not in space.kinds:
        return
    ends = [
        i
        for i, node in enumerate(nodes)
        if node.layer.kind in ACTIVATIONS or node.layer.kind == "add"
    ]
    if len(ends) < 2:
        return
    start = int(rng.integers(len(ends) - 1))
    stop = min(start + int(rng.integers(1, 3)), len(ends) - 1)
    _insert_after(nodes, ends[stop], [Layer("add")])
    nodes[ends[stop] + 1].sources.append(nodes[ends[start]])


def _head(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """Global average pooling before the head comes or goes."""
    if nodes and nodes[-1].layer.kind == "global_average_pool":
        _delete(nodes, nodes[-1])
    elif "global_average_pool" in space.kinds:
        nodes.append(_Node(Layer("global_average_pool"), [nodes[-1] if nodes else None]))


def _separate(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """A convolution becomes depthwise and pointwise."""
    convs = [i for i, n in enumerate(nodes) if n.layer.kind == "conv" and n.layer.kernel > 1]
    if not convs or "depthwise" not in space.kinds:
        return
    index = convs[int(rng.integers(len(convs)))]
    layer = nodes[index].layer
    nodes[index].layer = Layer("conv", 1, layer.channels, 1, 0, bias_free=layer.bias_free)
    depthwise = Layer("depthwise", layer.kernel, 0, layer.stride, layer.padding)
    source = nodes[index].sources[0]
    nodes.insert(index, _Node(depthwise, [source]))
    nodes[index + 1].sources = [nodes[index]]


def _activation(nodes: list[_Node], space: SearchSpace, rng: Rng) -> None:
    """Another activation."""
    choices = [kind for kind in ACTIVATIONS if kind in space.kinds]
    active = [node for node in nodes if node.layer.kind in ACTIVATIONS]
    if active and len(choices) > 1:
        active[int(rng.integers(len(active)))].layer = Layer(str(rng.choice(choices)))


Edit = Callable[[list[_Node], SearchSpace, Rng], None]
EDITS: dict[Edit, float] = {  # edit -> how often, relative to the others
    _remove: 2.0,
    _resize: 3.0,
    _resize_all: 1.0,
    _window: 1.5,
    _insert: 1.5,
    _swap: 1.0,
    _skip: 0.7,
    _head: 0.5,
    _separate: 0.7,
    _activation: 0.3,
}
_WEIGHTS = np.array(list(EDITS.values())) / sum(EDITS.values())


def edit(
    architecture: Architecture, space: SearchSpace, rng: Rng, *, edits: int = 1
) -> Architecture:
    """An architecture of the space, some random edits away (after repair possibly the same).

    Args:
        architecture: any that ends in a linear layer; need not be in the space.
        space: where the result lies.
        rng: source of randomness.
        edits: how many edits.
    """
    widths = space.widths_alone
    if widths is not None:
        return repair(widths.edited(architecture, rng, edits=edits).layers, space).architecture
    nodes = _open(architecture)
    for number in rng.choice(len(EDITS), size=edits, p=_WEIGHTS):
        list(EDITS)[number](nodes, space, rng)
    head = replace(architecture.layers[-1], inputs=(1,))
    return repair([*_close(nodes), head], space).architecture


MOST_EDITS = 6
SMALLEST_SHARE = 1 / 30  # of the parameters allowed: small nets are cheap and teach too


def sample_neighbourhood(
    source: Architecture, space: SearchSpace, rng: Rng, *, smallest: float = SMALLEST_SHARE
) -> Iterator[Architecture]:
    """Endless architectures around a source, each a few edits away and of any size allowed.

    The size is drawn first, log-uniform up to the limit on parameters, so that a source far above
    the limits still gives nets of all sizes below. May repeat; `distinct` drops repeats.

    Args:
        source: need not be in the space.
        space: where the samples lie.
        rng: source of randomness.
        smallest: share of the allowed parameters that sizes go down to.
    """
    most = space.limits.most_parameters or source.parameters
    while True:
        size = math.exp(rng.uniform(math.log(most * smallest), math.log(most)))
        limits = replace(space.limits, max_parameters=max(1, round(size)))
        try:
            target = space.with_limits(limits)
        except SpaceError:
            target = space
        edits = int(rng.integers(1, MOST_EDITS + 1))
        yield edit(source, target, rng, edits=edits)
