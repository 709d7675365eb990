"""`Kept`: layers of a source that stay as they are in every candidate, in their order."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter

from archpress.architecture import Architecture, Layer, simplify
from archpress.architecture.kinds import NOT_SEARCHED, STAYING
from archpress.architecture.simplify import trace_simplification
from archpress.errors import ArchitectureError, SpaceError
from archpress.space.ties import EXACT, Rows, fixed_channels

_FIELDS = attrgetter(*(name for name in Layer.__slots__ if name != "inputs"))
NEEDING = (*EXACT, "channel_shuffle")  # kinds that stay and read as many channels as in the source


@dataclass(frozen=True)
class Kept:
    """Layers of a source that stay.

    Layers that follow each other in the source and stay are a run. A candidate has all runs, in
    order, each in one piece: its layers with all their fields, reading each other as in the source.
    What a run reads from outside may be another layer, of other channels. The run that begins the
    source begins a candidate, and the one that ends it ends one.

    Attributes:
        source: without layers that do nothing.
        rows: of the layers that stay, rising.
        least_channels: of other layers.
    """

    source: Architecture
    rows: tuple[int, ...]
    least_channels: int

    @cached_property
    def runs(self) -> tuple[range, ...]:
        """The rows of each run."""
        begins = [row for row in self.rows if row - 1 not in self.rows]
        ends = [row + 1 for row in self.rows if row + 1 not in self.rows]
        return tuple(map(range, begins, ends))

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """Of the layers that stay, each once."""
        return tuple(dict.fromkeys(self.source.layers[row].kind for row in self.rows))

    @cached_property
    def needs(self) -> dict[int, int]:
        """Channels that rows read and cannot do without."""
        return {
            row: self.source.input_shapes(row)[0][0]
            for row in self.rows
            if self.source.layers[row].kind in NEEDING
        }

    # --- where they are ---

    def places(self, net: Architecture) -> dict[int, int] | None:
        """For each row that stays the row in a net; None where not all are there and read.

        Where layers that are alike leave a choice: with as many weights, of maps as large, and as
        far from the begin as in the source.
        """
        last, live = len(self.source.layers), _live(net)
        choices: list[list[int]] = []
        for run in self.runs:
            starts = range(len(net.layers) - len(run) + 1)
            if run.start == 0:
                starts = starts[:1]
            if run.stop == last:
                starts = starts[-1:]
            choices.append([at for at in starts if self._is_at(run, net, at, live)])
        latest = len(net.layers)
        for run, ats in reversed([*zip(self.runs, choices, strict=True)]):
            ats[:] = [at for at in ats if at + len(run) <= latest]
            if not ats:
                return None
            latest = ats[-1]
        found: dict[int, int] = {}
        begin = 0
        for run, ats in zip(self.runs, choices, strict=True):
            left = [at for at in ats if at >= begin]
            if not left:
                return None
            at = min(left, key=lambda at: self._unlikeness(run, net, at)) if left[1:] else left[0]
            found.update(zip(run, range(at, at + len(run)), strict=True))
            begin = at + len(run)
        return found

    def _unlikeness(self, run: range, net: Architecture, at: int) -> tuple[bool, bool, float]:
        """Of a run and the rows from one on, which are alike in their fields."""
        source, begin = self.source, run.start
        return (
            source.layer_parameters[begin] != net.layer_parameters[at],
            source.shapes[begin][1:] != net.shapes[at][1:],
            abs(begin / len(source.layers) - at / len(net.layers)),
        )

    def _is_at(self, run: range, net: Architecture, at: int, live: Rows) -> bool:
        outside: dict[int, int] = {}
        for row, place in zip(run, range(at, at + len(run)), strict=True):
            if place not in live or not _alike(self.source.layers[row], net.layers[place]):
                return False
            reads, found = self.source.input_indices(row), net.input_indices(place)
            for source, other in zip(reads, found, strict=True):
                if source >= run.start and other != source + at - run.start:
                    return False
                if source < run.start and (
                    other >= at or outside.setdefault(source, other) != other
                ):
                    return False
        return True

    def fixed(self, net: Architecture) -> Rows:
        """Rows of a net whose channels cannot change beside what stays: it, and what it is tied to.

        Raises:
            SpaceError: what stays is not all there.
        """
        places = self.places(net)
        if places is None:
            raise SpaceError("the layers to keep are not all in the net, in their order")
        return fixed_channels(net, frozenset(places.values()))

    # --- nets that have them ---

    def resized(self, channels: Mapping[int, int]) -> Architecture | None:
        """The source with other channels where they may change; None where that is no net.

        Args:
            channels: by row; rows that may not change are passed over.
        """
        fixed = self.fixed(self.source)
        *body, head = self.source.layers
        layers = [
            replace(layer, channels=channels[row])
            if layer.channels and row in channels and row not in fixed
            else layer
            for row, layer in enumerate(body)
        ]
        return self._checked((*layers, head))

    @cached_property
    def smallest_nets(self) -> tuple[Architecture, ...]:
        """The source at its narrowest, and with all left out that can be, or all but what halves.

        Without what makes maps smaller there are fewer parameters, but more multiply-adds.
        """
        rows = range(len(self.source.layers))
        narrow = self.resized(dict.fromkeys(rows, self.least_channels)) or self.source
        halving = {row for row in rows if narrow.layers[row].stride > 1}
        nets = [narrow, self._shortest(narrow, set()), self._shortest(narrow, halving)]
        averaged = [one for net in nets if (one := self._averaged(net)) is not None]
        return tuple(simplify(net) for net in (*nets, *averaged))

    def why_not(self, net: Architecture) -> str | None:
        """Why what stays is not in a net, in words; None where it is."""
        if self.places(net) is None:
            return "the layers to keep are not all in it, in their order"
        return None

    def has(self, net: Architecture) -> bool:
        """Whether what stays is there, and a convolution, also without layers that do nothing."""
        if self.places(net) is None:
            return False
        simple = simplify(net)
        has_conv = any(layer.kind == "conv" for layer in simple.layers)
        return has_conv and self.places(simple) is not None

    def _checked(self, layers: Iterable[Layer]) -> Architecture | None:
        try:
            changed = Architecture(self.source.input_shape, tuple(layers))
        except ArchitectureError:
            return None
        return changed if self.has(changed) else None

    def _shortest(self, net: Architecture, but: set[int]) -> Architecture:
        """Without all stretches of other layers, and single layers, that can be left out.

        Args:
            net: with the rows of the source.
            but: rows that are not left out.
        """
        free = sorted({*range(len(net.layers) - 1)} - {*self.rows} - but)
        begins = [row for row in free if row - 1 not in free]
        ends = [row + 1 for row in free if row + 1 not in free]
        stretches = map(range, begins, ends)
        gone: set[int] = set()
        shortest = net
        for some in [*stretches, *([row] for row in free)]:
            shorter = self._checked(without(net, gone | set(some)))
            if shorter is not None:
                shortest, gone = shorter, gone | set(some)
        return shortest

    def _averaged(self, net: Architecture) -> Architecture | None:
        """With one value a channel before the head, where that is another net."""
        *body, head = net.layers
        shape = net.input_shapes(len(body))[0]
        if len(self.source.layers) - 1 in self.rows or len(shape) != 3 or shape[1:] == (1, 1):
            return None
        average = replace(Layer("global_average_pool"), inputs=head.inputs)
        return self._checked((*body, average, replace(head, inputs=(1,))))


def kept_of(source: Architecture, rows: Iterable[int], least_channels: int) -> Kept | None:
    """What stays of a source; None where nothing is to stay.

    Layers of `STAYING` kinds stay by themselves. Layers that do nothing are in no candidate, so
    they do not stay either; nor do layers of other kinds that are not searched, as far as the
    source is a net without them that costs no more.

    Args:
        source: that is compressed.
        rows: of its layers that are to stay.
        least_channels: of other layers.

    Raises:
        SpaceError: nothing would be left to change, or there is no convolution.
    """
    simple, staying = simple_with(source, rows)
    if not staying:
        return None
    simple, staying = _without_unsearched(simple, staying)
    if len(staying) == len(simple.layers):
        raise SpaceError("all layers are to be kept, so there is nothing to compress")
    if not any(layer.kind == "conv" for layer in simple.layers):
        raise SpaceError("layers cannot be kept in a net without a convolution")
    return Kept(simple, staying, least_channels)


def simple_with(source: Architecture, rows: Iterable[int]) -> tuple[Architecture, tuple[int, ...]]:
    """A source without layers that do nothing, and which of its rows are to stay."""
    wanted = {*rows} | {i for i, layer in enumerate(source.layers) if layer.kind in STAYING}
    simplification = trace_simplification(source)
    staying = tuple(new for new, old in enumerate(simplification.kept) if old in wanted)
    return simplification.architecture, staying


def _without_unsearched(
    net: Architecture, staying: tuple[int, ...]
) -> tuple[Architecture, tuple[int, ...]]:
    """Without layers of kinds that are not searched; those that cannot be left out stay too.

    Left out are those without which all layers that stay still do something, and nothing costs
    more.
    """
    row = 0
    while row < len(net.layers) - 1:
        if net.layers[row].kind not in NOT_SEARCHED or row in staying:
            row += 1
            continue
        shorter = _left_out(net, row, staying)
        if shorter is None:
            staying = tuple(sorted({*staying, row}))
            row += 1
        else:  # layers before this one may have gone with it
            net, staying = shorter
            row = 0
    return net, staying


def _left_out(
    net: Architecture, row: int, staying: tuple[int, ...]
) -> tuple[Architecture, tuple[int, ...]] | None:
    """A net without a row, simplified, with the rows that stay; None where that cannot be."""
    try:
        shorter = Architecture(net.input_shape, tuple(without(net, {row})))
    except ArchitectureError:
        return None
    if shorter.parameters > net.parameters or shorter.macs > net.macs:
        return None
    found, left = simple_with(shorter, (one - (one > row) for one in staying))
    return (found, left) if len(left) == len(staying) else None


def _alike(one: Layer, other: Layer) -> bool:
    """Whether all fields agree but where they read."""
    return len(one.inputs) == len(other.inputs) and _FIELDS(one) == _FIELDS(other)


def _live(net: Architecture) -> Rows:
    """Rows that the output depends on."""
    last = len(net.layers) - 1
    live = {last}
    for row in range(last, -1, -1):
        if row in live:
            live.update(net.input_indices(row))
    return frozenset(live)


def without(net: Architecture, gone: set[int]) -> list[Layer]:
    """The layers of a net but some; what read those reads what they read first."""
    stands: dict[int, int] = {-1: -1}
    layers: list[Layer] = []
    for row, layer in enumerate(net.layers):
        read = [stands[source] for source in net.input_indices(row)]
        if row in gone:
            stands[row] = read[0]
            continue
        stands[row] = len(layers)
        layers.append(replace(layer, inputs=tuple(len(layers) - source for source in read)))
    return layers
