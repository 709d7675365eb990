"""Which layers of a net must have the same channels, and which cannot have others."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from archpress.architecture import KINDS, Architecture
from archpress.architecture.kinds import STAYING
from archpress.architecture.layers import Joining

Rows = frozenset[int]
Part = tuple[int, int] | None  # (row that chooses channels, values of each); None: nobody chooses
CONSTANT = ("slice", "channel_mean", "channel_max", *STAYING)  # kinds that give what they give
EXACT = (
    "slice",
    "pad_channels",
    *STAYING,
)  # kinds that read as many channels as they were made for
IMAGE = -1


def fixed_channels(net: Architecture, staying: Rows) -> Rows:
    """Rows whose channels cannot change beside layers that stay as they are.

    Args:
        net: with all of them.
        staying: rows; each keeps its channels, and what it reads has those that it needs.
    """
    ties = _Ties.of(net)
    for row in staying:
        layer = net.layers[row]
        if layer.channels:
            ties.fix([row])
        if layer.kind in EXACT or any(name == "groups" for name, _ in layer.options):
            ties.fix(ties.choosers(net.input_indices(row)[0]))
    return ties.fixed()


@dataclass(frozen=True, slots=True)
class Group:
    """Layers whose channels are equal and may change together.

    Attributes:
        rows: rising.
        step: what channels are multiples of, for convolutions and norms in groups.
        least: fewest channels.
    """

    rows: tuple[int, ...]
    step: int = 1
    least: int = 1


def free_groups(net: Architecture, staying: Rows) -> tuple[Group, ...]:
    """What may change in a net that keeps all its layers, in order of the first rows.

    Whatever multiples of their steps the groups get, from their least on, the result is a net.

    Args:
        net: its last layer keeps its channels.
        staying: rows that do as well.
    """
    ties = _Ties.of(net)
    ties.fix([*staying, len(net.layers) - 1])
    steps: dict[int, int] = {}
    least: dict[int, int] = {}
    for row, layer in enumerate(net.layers):
        source = net.input_indices(row)[0]
        read = ties.choosers(source)
        if layer.kind in EXACT:
            ties.fix([*read, *([row] if layer.channels else [])])
        groups = int(layer.option("groups")) if "groups" in KINDS[layer.kind].options else 1
        if groups == 1:
            continue
        divided = [*read, *([row] if layer.channels else [])]
        if any(net.layers[one].channels % groups for one in divided):
            ties.fix(divided)
            continue
        for one in divided:
            steps[one] = math.lcm(steps.get(one, 1), groups)
        if layer.kind == "group_norm" and math.prod(net.input_shapes(row)[0][1:]) == 1:
            least |= {one: max(least.get(one, 1), 2 * groups) for one in read}
    fixed = ties.fixed()
    found: dict[int, list[int]] = {}
    for row, layer in enumerate(net.layers):
        if layer.channels and row not in fixed:
            found.setdefault(ties.root(row), []).append(row)
    return tuple(
        Group(
            tuple(rows),
            math.lcm(*(steps.get(row, 1) for row in rows)),
            max(least.get(row, 1) for row in rows),
        )
        for rows in found.values()
    )


@dataclass
class _Ties:
    """Sets of rows with equal channels, as a forest; nobody's channels are a tree of their own.

    Attributes:
        parts: what the channels of each row's output consist of, in order.
        parent: row -> a row of its set.
        own: rows fixed one by one, not yet with their sets.
    """

    parts: dict[int, tuple[Part, ...]] = field(default_factory=lambda: {IMAGE: (None,)})
    parent: dict[int, int] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, net: Architecture) -> "_Ties":
        """All ties of a net."""
        ties = cls()
        for row in range(len(net.layers)):
            ties._read(net, row)
        return ties

    def choosers(self, row: int) -> list[int]:
        """Rows that the channels of a row's output hang on."""
        return [part[0] for part in self.parts[row] if part]

    def fix(self, rows: Iterable[int]) -> None:
        """These rows keep their channels."""
        self.own.update(rows)

    def fixed(self) -> Rows:
        """All rows that keep their channels: those, and all that are tied to them."""
        roots = {self.root(row) for row in self.own}
        return frozenset({row for row in self.parent if self.root(row) in roots} | self.own)

    def root(self, row: int) -> int:
        """The row that stands for a set."""
        while self.parent.get(row, row) != row:
            row = self.parent[row]
        return row

    def _read(self, net: Architecture, row: int) -> None:
        layer, kind = net.layers[row], KINDS[net.layers[row].kind]
        sources = net.input_indices(row)
        first = self.parts[sources[0]]
        if layer.channels:
            self.parent[row] = row
            first = ((row, 1),)
        elif layer.kind in CONSTANT:
            first = (None,)
        elif layer.kind == "flatten":
            values = math.prod(net.input_shapes(row)[0][1:])
            first = tuple(part and (part[0], part[1] * values) for part in first)
        elif kind.joining is Joining.CONCAT:
            first = tuple(part for source in sources for part in self.parts[source])
        elif kind.joining is not Joining.NONE:
            shapes = net.input_shapes(row)
            for source, shape in zip(sources[1:], shapes[1:], strict=True):
                if shape[0] == shapes[0][0]:
                    self._tie(first, self.parts[source])
                else:  # a gate of one value a pixel
                    self.fix(self.choosers(source))
        self.parts[row] = first

    def _tie(self, one: tuple[Part, ...], other: tuple[Part, ...]) -> None:
        """Let parts be as wide as each other; where that is no matter of pairs, nothing moves."""
        pairs = list(zip(one, other, strict=False))
        if len(one) != len(other) or any(a and b and a[1] != b[1] for a, b in pairs):
            self.fix(part[0] for part in (*one, *other) if part)
            return
        for a, b in pairs:
            if a and b:
                self.parent[self.root(a[0])] = self.root(b[0])
            else:
                self.fix(part[0] for part in (a, b) if part)
