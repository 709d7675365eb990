"""Puts the layers that stay into proposals, where the proposals come nearest to having them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from archpress.architecture import Layer
from archpress.space.kept import Kept

GAP = 1.0  # of a layer without a counterpart
FIELD = 0.25 * GAP  # of each field that differs between two layers of one kind
ELSEWHERE = 0.5 * GAP  # of a counterpart as far away in its net as it can be
COMPARED = ("kernel", "channels", "stride", "padding", "bias_free")


@dataclass(frozen=True, slots=True)
class Anchored:
    """A proposal with the layers that stay.

    Attributes:
        rows: the layers before the head.
        head: the last layer.
        staying: rows that must stand as they are.
        needs: of some of them the channels that they must read.
    """

    rows: list[Layer]
    head: Layer
    staying: frozenset[int]
    needs: Mapping[int, int]


def anchor(kept: Kept, body: Sequence[Layer], head: Layer) -> Anchored:
    """The proposal, with each run of layers that stay in the place of what is most like it.

    Other layers stay as they are, whether they can stand there or not. What read a layer that gave
    way reads its counterpart, or else the end of the run. Where nothing gave way, all that read the
    layer before the run reads its end.

    Args:
        kept: what stays.
        body: layers of any kind, before the head.
        head: used where the source's own does not stay.
    """
    weaving = _Weaving(kept, body, aligned(kept.source.layers[:-1], body))
    weaving.lay_out()
    return weaving.wired(head)


def aligned(before: Sequence[Layer], after: Sequence[Layer]) -> dict[int, int]:
    """Counterparts of layers, by Needleman and Wunsch (1970); only layers of one kind have any."""
    m, n = len(before), len(after)
    cost = [[GAP * (m - i + n - j) for j in range(n + 1)] for i in range(m + 1)]
    for i in reversed(range(m)):
        for j in reversed(range(n)):
            apart = min(GAP + cost[i + 1][j], GAP + cost[i][j + 1])
            if before[i].kind == after[j].kind:
                apart = min(
                    apart, _unlikeness(before[i], after[j], i / m - j / n) + cost[i + 1][j + 1]
                )
            cost[i][j] = apart
    pairs: dict[int, int] = {}
    i = j = 0
    while i < m and j < n:
        if cost[i][j] == GAP + cost[i + 1][j]:
            i += 1
        elif cost[i][j] == GAP + cost[i][j + 1]:
            j += 1
        else:
            pairs[i] = j
            i, j = i + 1, j + 1
    return pairs


def _unlikeness(one: Layer, other: Layer, apart: float) -> float:
    differing = sum(bool(getattr(one, name) != getattr(other, name)) for name in COMPARED)
    return FIELD * differing + ELSEWHERE * abs(apart)


@dataclass
class _Weaving:
    """Rows of a proposal and of the runs, laid out in one order, then told where they read.

    Attributes:
        kept: what stays.
        body: of the proposal.
        pairs: source row -> row of the body that is most like it.
        order: for each new row whether it stays, and its row in the source or in the body.
        moved: row of the body -> new row that stands for it; -1 is the image.
        staying: source row -> new row.
        detours: (body row, row that it read, new row that it reads): from there on, all do.
    """

    kept: Kept
    body: Sequence[Layer]
    pairs: Mapping[int, int]
    order: list[tuple[bool, int]] = field(default_factory=list)
    moved: dict[int, int] = field(default_factory=lambda: {-1: -1})
    staying: dict[int, int] = field(default_factory=dict)
    detours: list[tuple[int, int, int]] = field(default_factory=list)

    @cached_property
    def _last(self) -> int:
        """Row of the source's head."""
        return len(self.kept.source.layers) - 1

    def lay_out(self) -> None:
        """Set the order."""
        cursor = 0
        for run in self.kept.runs:
            low, high = self._stretch(run, cursor)
            self._pass_on(range(cursor, low))
            for row in run:
                self.staying[row] = len(self.order)
                if row < self._last:
                    self.order.append((True, row))
            end = len(self.order) - 1
            for row in range(low, high):
                self.moved[row] = end
            for row in run:
                if row in self.pairs and low <= self.pairs[row] < high:
                    self.moved[self.pairs[row]] = self.staying[row]
            if low == high:
                self.detours.append((low, low - 1, end))
            cursor = high
        self._pass_on(range(cursor, len(self.body)))

    def _stretch(self, run: range, cursor: int) -> tuple[int, int]:
        """Rows of the body that give way to a run."""
        matched = [self.pairs[row] for row in run if row in self.pairs]
        before = [self.pairs[row] for row in range(run.start) if row in self.pairs]
        low = min(matched) if matched else 1 + max(before, default=-1)
        high = 1 + max(matched) if matched else low
        if run.stop > self._last:  # nothing comes behind it
            low, high = (low if matched else len(self.body)), len(self.body)
        if run.start == 0:
            low, high = 0, high if matched else 0
        return max(low, cursor), max(high, low, cursor)

    def _pass_on(self, rows: range) -> None:
        for row in rows:
            self.moved[row] = len(self.order)
            self.order.append((False, row))

    def wired(self, head: Layer) -> Anchored:
        """The layers with the offsets of this order."""
        layers = []
        for place, (stays, row) in enumerate(self.order):
            layer = self.kept.source.layers[row] if stays else self.body[row]
            reads = self._reads_of_run(row) if stays else self._reads(layer, row)
            layers.append(_at(layer, place, reads))
        if self._last in self.staying:
            head, reads = self.kept.source.layers[-1], self._reads_of_run(self._last)
        else:
            reads = self._reads(head, len(self.body))
        layers.append(_at(head, len(self.order), reads))
        self._read_ends(layers)
        *rows, head = layers
        staying = {place for row, place in self.staying.items() if row < self._last}
        needs = {self.staying[row]: channels for row, channels in self.kept.needs.items()}
        return Anchored(rows, head, frozenset(staying), needs)

    def _reads(self, layer: Layer, row: int) -> list[int]:
        """What a row of the body reads, in new rows."""
        found = []
        for source in [max(row - offset, -1) for offset in layer.inputs if offset > 0] or [row - 1]:
            reads = self.moved[source]
            for begin, read, end in self.detours:
                if row >= begin and source == read:
                    reads = end
            found.append(reads)
        return found

    def _reads_of_run(self, row: int) -> list[int]:
        """What a row that stays reads: its own run, what lies before it, or what is most alike."""
        run = next(run for run in self.kept.runs if row in run)
        begin = self.staying[run.start]
        found = []
        for source in self.kept.source.input_indices(row):
            if source == run.start - 1:
                found.append(begin - 1)
                continue
            while source not in self.staying and source not in self.pairs and source >= 0:
                source -= 1
            if source in self.staying:
                found.append(self.staying[source])
            else:
                found.append(min(self.moved[self.pairs.get(source, -1)], begin - 1))
        return found

    def _read_ends(self, layers: list[Layer]) -> None:
        """Let the row behind a run read its end where nothing does."""
        read = {place - offset for place, layer in enumerate(layers) for offset in layer.inputs}
        own = {*self.staying.values()}
        for run in self.kept.runs:
            end = self.staying[run.stop - 1]
            if end not in read and end + 1 < len(layers) and end + 1 not in own:
                behind = layers[end + 1]
                layers[end + 1] = replace(behind, inputs=(1, *behind.inputs[1:]))


def _at(layer: Layer, place: int, reads: Sequence[int]) -> Layer:
    return replace(layer, inputs=tuple(place - source for source in reads))
