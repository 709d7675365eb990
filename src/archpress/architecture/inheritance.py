"""`inherit`: trained weights of a source, sliced for a candidate where layers correspond."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import KINDS
from archpress.architecture.layers import Joining, Layer, Option
from archpress.architecture.network import build, layer_names
from archpress.architecture.shape_rules import Shape
from archpress.randomness import seeded

WEIGHTED = ("conv", "depthwise", "linear", "batch_norm")
IMAGE = (-1,)  # the group of the image's channels

# Of channels of the source that are numbered together: the layer that gives them and, where they
# are values of a flattened map, its height and width.
Group = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Inheritance:
    """Where a candidate begins.

    Attributes:
        weights: of the whole network, by name; fresh where nothing was taken over.
        parameters: how many were taken over; running statistics are not counted.
    """

    weights: dict[str, Tensor]
    parameters: int


def inherit(
    candidate: Architecture, source: Architecture, weights: Mapping[str, Tensor], *, seed: int = 0
) -> Inheritance:
    """Weights for a candidate from those of the source.

    Layers of one kind are matched in their order. Of a wider source layer the channels with the
    largest weights are taken, the same ones wherever additions tie them together; kernels are cut
    or filled up around their centre. What follows a layer without a match starts fresh, as do
    channels that the source does not have. A frozen layer has all weights of its like.

    Args:
        candidate: to begin.
        source: whose weights they are.
        weights: state of the source's network, by name.
        seed: of what is fresh.

    >>> from archpress.architecture.zoo import named
    >>> tiny = named("tiny")
    >>> inherit(tiny, tiny, build(tiny).state_dict()).parameters == tiny.parameters
    True
    """
    with seeded(seed):
        fresh = {name: value.clone() for name, value in build(candidate).state_dict().items()}
    return _Heir(candidate, source, weights, fresh).inheritance()


@dataclass(frozen=True, eq=False, slots=True)
class _Channels:
    """Which channels of the source those of a layer are, of a candidate or of the source itself.

    Attributes:
        group: of the source's channels.
        indices: one a channel; -1: it is none of the source's.
    """

    group: Group
    indices: Tensor

    def are(self, other: "_Channels") -> bool:
        """Whether they are the same ones in the same order."""
        return self.group == other.group and torch.equal(self.indices, other.indices)

    def among(self, others: "_Channels") -> Tensor:
        """Where each stands among those of a layer of the source; -1: it does not."""
        place = torch.full((1 + int(max(self.indices.max(), others.indices.max())),), -1)
        place[others.indices] = torch.arange(len(others.indices))
        return torch.where(self.indices < 0, -1, place[self.indices])


class _Heir:
    """One inheritance being worked out, layer after layer."""

    def __init__(
        self,
        candidate: Architecture,
        source: Architecture,
        weights: Mapping[str, Tensor],
        fresh: dict[str, Tensor],
    ) -> None:
        self._candidate, self._source = candidate, source
        self._weights, self._fresh = weights, fresh
        self._names, self._source_names = layer_names(candidate), layer_names(source)
        self._given = _channels_of(source)
        self._order = self._orders()
        self._taken = 0

    def inheritance(self) -> Inheritance:
        matches = match_layers(self._candidate, self._source)
        parts = _same_parts(self._candidate, self._source)
        same_image = self._candidate.input_shape[0] == self._source.input_shape[0]
        known: dict[int, _Channels | None] = {-1: _image(self._source) if same_image else None}
        for index, layer in enumerate(self._candidate.layers):
            inputs = [known[i] for i in self._candidate.input_indices(index)]
            if layer.kind in WEIGHTED:
                known[index] = self._weighted(index, matches.get(index), inputs[0])
            elif layer.kind == "frozen":
                known[index] = self._whole(index, parts.get(index))
            elif KINDS[layer.kind].chooses_channels:  # zeros beside those of the input
                known[index] = None
            else:
                passed = _passed_on(KINDS[layer.kind].joining, inputs)
                known[index] = _moved(layer, self._candidate.input_shapes(index)[0], passed)
        return Inheritance(self._fresh, self._taken)

    def _weighted(self, index: int, match: int | None, reads: _Channels | None) -> _Channels | None:
        """Fill a layer's weights; what its outputs are."""
        kind = self._candidate.layers[index].kind
        keeps = kind in ("batch_norm", "depthwise")
        grouped = self._is_grouped(index, match)
        if match is None or grouped or reads is None or reads.group != self._read(match).group:
            return reads if kind == "batch_norm" else None
        columns = reads.among(self._read(match))
        if keeps:
            self._fill(index, match, columns, None)
            return reads
        if kind == "linear":
            expanded = self._features(index, match, columns)
            if expanded is None:
                return None
            columns = expanded
        group = self._given[match].group
        rows = _first(self._order[group], self._candidate.layers[index].channels)
        self._fill(index, match, rows, columns)
        return _Channels(group, rows)

    def _whole(self, index: int, match: int | None) -> _Channels | None:
        """Take all weights of a part that stays as it is; what its outputs are."""
        if match is None:
            return None
        name, other = self._names[index], self._source_names[match]
        for key in [key for key in self._fresh if key.startswith(f"{name}.")]:
            self._fresh[key] = self._weights[f"{other}.{key.removeprefix(f'{name}.')}"].clone()
        self._taken += self._candidate.layer_parameters[index]
        every = torch.arange(self._candidate.shapes[index][0])
        return _Channels(self._given[match].group, every)

    def _is_grouped(self, index: int, match: int | None) -> bool:
        """Whether channels of one of the two see only some of those before, or kernels differ."""
        layers = [self._candidate.layers[index]]
        layers += [] if match is None else [self._source.layers[match]]
        return layers[0].kind != "batch_norm" and any(layer.options for layer in layers)

    def _read(self, index: int) -> _Channels:
        """What a layer of the source reads."""
        read = self._source.input_indices(index)[0]
        return _image(self._source) if read < 0 else self._given[read]

    def _features(self, index: int, match: int, channels: Tensor) -> Tensor | None:
        """Of a linear layer: the source's features for the candidate's; None: they differ."""
        here = self._candidate.input_shapes(index)[0]
        there = self._source.input_shapes(match)[0]
        if here[1:] != there[1:]:
            return None
        return _spread(channels, here)

    def _fill(self, index: int, match: int, rows: Tensor, columns: Tensor | None) -> None:
        name, other = self._names[index], self._source_names[match]
        for key, fresh in self._fresh.items():
            layer, _, field = key.rpartition(".")
            value = self._weights.get(f"{other}.{field}") if layer == name else None
            if value is None:
                continue
            if fresh.ndim == 0:  # batches that a norm has seen
                self._fresh[key] = value.clone()
                continue
            taken, known = _sliced(value, fresh, rows, columns)
            self._fresh[key] = torch.where(known, taken, fresh)
            self._taken += int(known.sum()) if not field.startswith("running") else 0

    def _orders(self) -> dict[Group, Tensor]:
        """Of each group of the source: its channels, those with the largest weights first."""
        totals: dict[Group, Tensor] = {}
        for index, layer in enumerate(self._source.layers):
            if layer.kind in ("conv", "linear"):
                weight = self._weights[f"{self._source_names[index]}.weight"]
                size = weight.abs().flatten(1).sum(1)
                group = self._given[index].group
                totals[group] = totals[group] + size if group in totals else size
        return {group: size.argsort(descending=True, stable=True) for group, size in totals.items()}


def _first(order: Tensor, count: int) -> Tensor:
    """The first channels in the source's own order, then -1 for those that it does not have."""
    chosen = order[:count].sort().values
    return torch.cat([chosen, torch.full((count - len(chosen),), -1)])


def _sliced(
    value: Tensor, fresh: Tensor, rows: Tensor, columns: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Of the source's tensor what a candidate's of another shape takes, and where it does."""
    result, known = torch.zeros_like(fresh), torch.zeros_like(fresh, dtype=torch.bool)
    taken = value[rows.clamp(min=0)]
    is_known = rows >= 0
    if fresh.ndim == 1:
        return taken, is_known
    if columns is not None:
        taken = taken[:, columns.clamp(min=0)]
        grid = is_known[:, None] & (columns >= 0)
    else:
        grid = is_known[:, None].expand(-1, fresh.shape[1])
    if fresh.ndim == 2:
        return taken, grid
    here, there = _window(fresh.shape[-1], value.shape[-1])
    result[..., here, here] = taken[..., there, there]
    # Around a smaller kernel nothing was read, so nothing is: zeros, not fresh weights.
    known[:] = grid[..., None, None]
    return result, known


def _window(size: int, source_size: int) -> tuple[slice, slice]:
    """Where the centres of two kernels lie over each other."""
    common = min(size, source_size)
    here, there = (size - common) // 2, (source_size - common) // 2
    return slice(here, here + common), slice(there, there + common)


def _passed_on(joining: Joining, inputs: Sequence[_Channels | None]) -> _Channels | None:
    """Of a layer without weights: its input's channels, where all inputs agree."""
    first = inputs[0]
    if first is None or joining is Joining.CONCAT:
        return None
    agree = all(other is not None and other.are(first) for other in inputs[1:])
    return first if agree else None


def _moved(layer: Layer, shape: Shape, reads: _Channels | None) -> _Channels | None:
    """What a layer without weights makes of its input's channels, which has a shape."""
    if reads is None:
        return None
    match layer.kind:
        case "slice":
            part = reads.indices[int(layer.option("begin")) : int(layer.option("end"))]
            return _Channels(reads.group, part)
        case "channel_shuffle":
            mixed = reads.indices.reshape(int(layer.option("groups")), -1).T.flatten()
            return _Channels(reads.group, mixed)
        case "flatten":
            return _Channels(reads.group + shape[1:], _spread(reads.indices, shape))
        case "channel_mean" | "channel_max":  # of other channels it is another one
            return None
    return reads


def _spread(channels: Tensor, shape: Shape) -> Tensor:
    """The values of channels of a map, as they stand in a row where it is flattened."""
    area = math.prod(shape[1:])
    values = channels[:, None] * area + torch.arange(area)
    return torch.where(channels[:, None] < 0, -1, values).flatten()


def _image(net: Architecture) -> _Channels:
    return _Channels(IMAGE, torch.arange(net.input_shape[0]))


def _channels_of(net: Architecture) -> list[_Channels]:
    """What channels each layer gives; channels that are tied together are the same ones."""
    given: list[_Channels] = []
    for index, layer in enumerate(net.layers):
        reads = [_image(net) if i < 0 else given[i] for i in net.input_indices(index)]
        kind = KINDS[layer.kind]
        passed: _Channels | None = reads[0]
        if kind.joining is Joining.ADD and all(_is_whole(one, net) for one in reads):
            groups = {one.group for one in reads}
            least = min(groups)
            given = [_Channels(least, c.indices) if c.group in groups else c for c in given]
            passed = _Channels(least, reads[0].indices)
        elif kind.joining in (Joining.ADD, Joining.CONCAT):
            passed = _passed_on(kind.joining, reads)
        elif kind.chooses_channels or layer.kind == "frozen":
            passed = None
        channels = _moved(layer, net.input_shapes(index)[0], passed)
        own = torch.arange(net.shapes[index][0])
        given.append(_Channels((index,), own) if channels is None else channels)
    return given


def _is_whole(channels: _Channels, net: Architecture) -> bool:
    """Whether they are all of their group, in its order."""
    maker, *area = channels.group
    count = net.shapes[maker][0] if maker >= 0 else net.input_shape[0]
    return torch.equal(channels.indices, torch.arange(count * math.prod(area)))


def _same_parts(candidate: Architecture, source: Architecture) -> dict[int, int]:
    """Frozen layers of one program, candidate's index to source's, both in their order."""
    waiting: dict[Option, list[int]] = {}
    for index, layer in enumerate(source.layers):
        if layer.kind == "frozen":
            waiting.setdefault(layer.option("program"), []).append(index)
    found = {}
    for index, layer in enumerate(candidate.layers):
        if layer.kind == "frozen" and waiting.get(layer.option("program")):
            found[index] = waiting[layer.option("program")].pop(0)
    return found


def match_layers(candidate: Architecture, source: Architecture) -> dict[int, int]:
    """Weighted layers that correspond, candidate's index to source's, both in their order.

    The matching with the most layers of one kind; among those, of one stride, size of the output
    and kernel.
    """
    ours = [i for i, layer in enumerate(candidate.layers) if layer.kind in WEIGHTED]
    theirs = [i for i, layer in enumerate(source.layers) if layer.kind in WEIGHTED]
    best = [[0.0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    for i in range(len(ours) - 1, -1, -1):
        for j in range(len(theirs) - 1, -1, -1):
            alike = _alike(candidate, ours[i], source, theirs[j])
            together = alike + best[i + 1][j + 1] if alike else 0.0
            best[i][j] = max(together, best[i + 1][j], best[i][j + 1])
    matches, i, j = {}, 0, 0
    while i < len(ours) and j < len(theirs):
        alike = _alike(candidate, ours[i], source, theirs[j])
        if alike and best[i][j] == alike + best[i + 1][j + 1]:
            matches[ours[i]] = theirs[j]
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return matches


def _alike(candidate: Architecture, i: int, source: Architecture, j: int) -> float:
    one, other = candidate.layers[i], source.layers[j]
    if one.kind != other.kind:
        return 0.0
    same_place = candidate.shapes[i][1:] == source.shapes[j][1:]
    details = (one.stride == other.stride, same_place, one.kernel == other.kernel)
    return 1.0 + 0.1 * sum(details)
