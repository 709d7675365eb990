"""What changed between two architectures, layer by layer."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from archpress.architecture.architecture import Architecture
from archpress.architecture.frozen_program import told_program
from archpress.architecture.layers import OPTIONS, Layer, Option
from archpress.architecture.network import layer_names

FIELDS = ("kernel", "channels", "stride", "padding", "bias_free", "rate")
_TOTALS = ("parameters", "macs", "peak_memory")


class Change(StrEnum):
    """What became of a layer; one that is resized only follows a change before it."""

    SAME = "same"
    RESIZED = "resized"
    CHANGED = "changed"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True, slots=True)
class Side:
    """A layer in one of the two nets.

    Attributes:
        name: as in the built network: `conv1`.
        shape: of its output.
        parameters: of the layer.
        macs: likewise, of one image.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class LayerChange:
    """A layer and its counterpart.

    Attributes:
        change: what became of it.
        kind: of the layer.
        before, after: in the first and the second net; None where it is not in it.
        fields: what differs, (name, before, after): fields and options of the layer, and "reads"
            for the layers it reads, by their names, where that changed.
    """

    change: Change
    kind: str
    before: Side | None
    after: Side | None
    fields: tuple[tuple[str, Option, Option], ...] = ()


@dataclass(frozen=True, slots=True)
class Total:
    """A cost of both nets: parameters, multiply-adds, or bytes of activations at the peak."""

    name: str
    before: int
    after: int

    @property
    def percent(self) -> float | None:
        """The change in percent of what it was; None where that was 0."""
        return 100 * (self.after - self.before) / self.before if self.before else None


@dataclass(frozen=True)
class Difference:
    """Two architectures beside each other.

    Attributes:
        before, after: the two.
        pairs: (index in `before`, index in `after`) of each row; None where it has none.
    """

    before: Architecture
    after: Architecture
    pairs: tuple[tuple[int | None, int | None], ...]

    @cached_property
    def rows(self) -> tuple[LayerChange, ...]:
        """Of all layers, in the order of both nets."""
        return tuple(_rows(self))

    @property
    def totals(self) -> tuple[Total, ...]:
        """Parameters, multiply-adds and peak memory, in bytes."""
        return tuple(Total(n, getattr(self.before, n), getattr(self.after, n)) for n in _TOTALS)

    def count(self, change: Change) -> int:
        """How many rows changed so."""
        return sum(row.change is change for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "before": self.before.key,
            "after": self.after.key,
            "input_shapes": [self.before.input_shape, self.after.input_shape],
            "layers": [{**asdict(row), "fields": _by_name(row)} for row in self.rows],
            "counts": {change.value: self.count(change) for change in Change},
            "totals": {
                total.name: {
                    "before": total.before,
                    "after": total.after,
                    "percent": total.percent,
                }
                for total in self.totals
            },
        }


def _by_name(row: LayerChange) -> dict[str, dict[str, Option]]:
    return {name: {"before": old, "after": new} for name, old, new in row.fields}


def difference(before: Architecture, after: Architecture) -> Difference:
    """Align two architectures, by the cheapest way to turn one into the other.

    Layers of one kind may be counterparts, the cheaper the more alike they are; removing or adding
    one costs 1. So a layer whose width changed stays one row, and what has no like is removed or
    added.

    >>> from archpress.architecture import Layer, chain
    >>> head = Layer("linear", channels=2)
    >>> wide = chain((1, 8, 8), Layer("conv", 3, 8, 1, 1), Layer("relu"), head)
    >>> thin = chain((1, 8, 8), Layer("conv", 3, 4, 1, 1), head)
    >>> [row.change.value for row in difference(wide, thin).rows]
    ['changed', 'removed', 'resized']
    """
    return Difference(before, after, _aligned(before, after))


# --- alignment ---------------------------------------------------------------------------------

GAP = 1.0  # of a layer without a counterpart
UNLIKE = 3 * GAP  # of two kinds: dearer than removing one and adding the other
MOST = 1.5 * GAP  # of two layers of one kind, whatever their fields: cheaper than both gaps
FIELD = 0.2 * GAP  # of each field that differs
OTHER_SIZE = 0.4 * GAP  # where the maps are of other sizes: most likely another stage of the net


def _unlikeness(before: Architecture, i: int, after: Architecture, j: int) -> float:
    one, other = before.layers[i], after.layers[j]
    if one.kind != other.kind:
        return UNLIKE
    differ = sum(1 for _ in _changed_fields(one, other)) + (before.shapes[i] != after.shapes[j])
    other_size = before.shapes[i][1:] != after.shapes[j][1:]
    return min(FIELD * differ + OTHER_SIZE * other_size, MOST)


def _aligned(
    before: Architecture, after: Architecture
) -> tuple[tuple[int | None, int | None], ...]:
    """Needleman and Wunsch (1970), from the last layers to the first."""
    m, n = len(before.layers), len(after.layers)
    cost = [[GAP * (m - i + n - j) for j in range(n + 1)] for i in range(m + 1)]
    unlike = [[_unlikeness(before, i, after, j) for j in range(n)] for i in range(m)]
    for i in reversed(range(m)):
        for j in reversed(range(n)):
            cost[i][j] = min(
                unlike[i][j] + cost[i + 1][j + 1], GAP + cost[i + 1][j], GAP + cost[i][j + 1]
            )
    pairs: list[tuple[int | None, int | None]] = []
    i = j = 0
    while i < m or j < n:
        if i < m and j < n and cost[i][j] == unlike[i][j] + cost[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif i < m and (j == n or cost[i][j] == GAP + cost[i + 1][j]):
            pairs.append((i, None))
            i += 1
        else:
            pairs.append((None, j))
            j += 1
    return tuple(pairs)


# --- rows --------------------------------------------------------------------------------------


def _rows(found: Difference) -> Iterator[LayerChange]:
    before, after = found.before, found.after
    names = layer_names(before), layer_names(after)
    partner = {i: j for i, j in found.pairs if i is not None and j is not None} | {-1: -1}
    matched = {*partner.values()}
    for i, j in found.pairs:
        one = None if i is None else _side(before, i, names[0])
        other = None if j is None else _side(after, j, names[1])
        if i is None or j is None:
            change = Change.ADDED if i is None else Change.REMOVED
            kind = after.layers[j].kind if j is not None else before.layers[i or 0].kind
            yield LayerChange(change, kind, one, other)
            continue
        fields = [*_changed_fields(before.layers[i], after.layers[j])]
        reads = [partner[source] for source in _read(before, i, {*partner})]
        if sorted(reads) != sorted(_read(after, j, matched)):
            fields.append(("reads", _named(before, i, names[0]), _named(after, j, names[1])))
        is_same = before.input_shapes(i) == after.input_shapes(j)
        change = Change.CHANGED if fields else Change.SAME if is_same else Change.RESIZED
        yield LayerChange(change, before.layers[i].kind, one, other, tuple(fields))


def _side(net: Architecture, index: int, names: tuple[str, ...]) -> Side:
    return Side(
        names[index],
        net.shapes[index],
        net.layer_parameters[index],
        net.layer_macs[index],
    )


def _changed_fields(one: Layer, other: Layer) -> Iterator[tuple[str, Option, Option]]:
    for name in FIELDS:
        before, after = getattr(one, name), getattr(other, name)
        if before != after:
            yield name, before, after
    if one.options == other.options:
        return
    for name in OPTIONS:
        if one.option(name) != other.option(name):
            values = one.option(name), other.option(name)
            yield name, *(map(told_program, map(str, values)) if name == "program" else values)


def _read(net: Architecture, index: int, with_partner: set[int]) -> list[int]:
    """What a layer reads, past layers that have no counterpart."""
    sources = []
    for source in net.input_indices(index):
        while source not in with_partner:
            source = net.input_indices(source)[0]
        sources.append(source)
    return sources


def _named(net: Architecture, index: int, names: tuple[str, ...]) -> str:
    return ", ".join("image" if i < 0 else names[i] for i in net.input_indices(index))
