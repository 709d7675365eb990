"""Total repair: any layers, or any real numbers, become an architecture of the space.

What decoders, edits and users propose need not be a net. Here every proposal becomes one, inside
the space and its limits, changed as little as is easy, and each kind of change is counted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import KINDS, Architecture, Layer, simplify
from archpress.architecture.kinds import PAPER_KINDS, output_shape
from archpress.architecture.layers import Joining
from archpress.architecture.shape_rules import RuleError, Shape
from archpress.errors import ArchitectureError
from archpress.space.anchoring import aligned, anchor
from archpress.space.joins import in_pairs
from archpress.space.space import SearchSpace
from archpress.space.ties import CONSTANT
from archpress.space.width_costs import scaled_costs
from archpress.space.widths import Widths


@dataclass(frozen=True, slots=True)
class Repaired:
    """An architecture of the space, and how often each kind of repair was needed."""

    architecture: Architecture
    repairs: Mapping[str, int]


def repair(layers: Sequence[Layer], space: SearchSpace) -> Repaired:
    """The architecture of the space that these layers mean.

    Fields move to the nearest choice; a window that does not fit gets a smaller kernel; a layer
    that cannot stand where it is goes, and what read it reads its input; branches that are added
    get equal channels, and joins of more than two become joins of two; a linear layer over the
    classes ends the net; then channels shrink by one factor, and if that is not enough layers go,
    until all limits are kept.

    Args:
        layers: any layers with integer fields, valid as a net or not, none at all included.
        space: where the result must lie.
    """
    assembly = _Assembly(space)
    body = in_pairs(layers)
    head = Layer("linear", channels=space.classes)
    if body and body[-1].kind == "linear":
        proposed = body.pop()
        assembly.repairs["classes"] += proposed.channels != space.classes
        head = replace(head, inputs=proposed.inputs, bias_free=bool(proposed.bias_free))
    architecture = assembly.net(body, head)
    if space.too_costly(architecture):
        assembly.repairs["limits"] += 1
        architecture = _within_limits(architecture, space)
    return Repaired(architecture, +assembly.repairs)


def repair_vectors(vectors: NDArray[np.floating], space: SearchSpace) -> Repaired:
    """The architecture of the space nearest to real numbers of the paper's form.

    Args:
        vectors: `L x 5` reals (type, kernel, channels, stride, padding), NaN and infinity included;
            each is rounded to the nearest integer in its range.
        space: where the result must lie.
    """
    values = np.nan_to_num(np.asarray(vectors, dtype=np.float64).reshape(-1, 5), posinf=2.0**20)
    rows = np.rint(values.clip(0, 2**20)).astype(int).tolist()
    layers = []
    for code, kernel, channels, stride, padding in rows:
        kind = PAPER_KINDS[min(max(code, 1), len(PAPER_KINDS)) - 1]
        layers.append(Layer(kind, kernel, channels, stride, padding))
    return repair(layers, space)


class _CannotStandError(Exception):
    """Layers that are to stay as they are cannot, among the others that were proposed."""


class _Assembly:
    """Puts proposed layers together one by one; each keeps its place or is bypassed."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.repairs: Counter[str] = Counter()
        self.staying: frozenset[int] = frozenset()  # rows that are neither changed nor bypassed
        self.needs: Mapping[int, int] = {}  # of some of them the channels that they read

    def net(self, proposed: Sequence[Layer], head: Layer) -> Architecture:
        """As `architecture`, with the layers that the space keeps."""
        kept = self.space.kept
        if kept is None:
            return self.architecture(proposed, head)
        if isinstance(kept, Widths):
            like = kept.like(proposed)
            self.repairs["kept layers"] += like.layers[:-1] != tuple(proposed)
            return like
        anchored = anchor(kept, proposed, head)
        self.staying, self.needs = anchored.staying, anchored.needs
        try:
            found = self.architecture(anchored.rows, anchored.head)
        except _CannotStandError:
            found = None
        if found is not None and kept.has(found):
            return found
        self.repairs["kept layers"] += 1
        widths = {
            row: self.space.nearest_width(proposed[place].channels)
            for row, place in aligned(kept.source.layers[:-1], proposed).items()
        }
        rounded = {
            row: self.space.nearest_width(layer.channels)
            for row, layer in enumerate(kept.source.layers)
        }
        resized = kept.resized(rounded | widths)
        nets = (resized, *kept.smallest_nets) if resized else kept.smallest_nets
        return next(net for net in nets if self.space.out_of_form(net) is None)

    def architecture(self, proposed: Sequence[Layer], head: Layer) -> Architecture:
        """A valid net in the space's choices; limits on costs are not looked at.

        Args:
            proposed: the layers before the head.
            head: linear, over the classes; reads the layer before it where its input is gone.
        """
        rows = list(proposed)
        if self.staying and len(rows) > self.space.most_layers - 1:
            raise _CannotStandError
        if len(rows) > self.space.most_layers - 1:
            self.repairs["length"] += 1
            rows = rows[: self.space.most_layers - 1]
            head = replace(head, inputs=(1,))
        self.tied: dict[int, int] = {}
        self._assemble_tied(rows)
        if not any(layer.kind == "conv" for layer in self.layers):
            if self.staying:
                raise _CannotStandError
            self.repairs["no convolution"] += 1
            rows = [self._first_conv(), *rows[: self.space.most_layers - 2]]
            self._assemble_tied(rows)
        offset = head.inputs[0] if head.inputs and head.inputs[0] > 0 else 1
        reads = self.place[max(len(rows) - offset, -1)]
        if not self.space.has_joins:
            reads = len(self.layers) - 1
        head = replace(head, inputs=(len(self.layers) - reads,))
        try:
            return Architecture(self.space.input_shape, (*self.layers, head))
        except ArchitectureError as error:  # our own mistake: every layer was checked
            raise AssertionError(f"repair gave an invalid net: {error}") from error

    def _first_conv(self) -> Layer:
        space = self.space
        return Layer("conv", 3, space.least_channels, space.strides[0], space.paddings[0])

    def _assemble_tied(self, rows: list[Layer]) -> None:
        """Fill `self.layers`, channels of rows changed until branches can be added."""
        for _ in range(sum(_joins(row) for row in rows) + len(self.needs)):
            tied = self._assemble(rows)
            if tied is None:
                return
            self.repairs["tied channels"] += 1
            rows[tied[0]] = replace(rows[tied[0]], channels=tied[1])
        self._assemble(rows, ties=False)

    def _assemble(self, rows: Sequence[Layer], *, ties: bool = True) -> tuple[int, int] | None:
        """Fill `self.layers`; (row, channels) where branches need equal channels to be added."""
        self.repairs["field"] = self.repairs["dropped layer"] = 0  # of the last attempt alone
        self.layers: list[Layer] = []
        self.shapes: dict[int, Shape] = {-1: self.space.input_shape}
        self.place: dict[int, int] = {-1: -1}  # row -> index in self.layers, or of what it reads
        self.row_of: dict[int, int] = {}
        for row, layer in enumerate(rows):
            sources = [self.place[max(row - offset, -1)] for offset in layer.inputs if offset > 0]
            if not sources or not self.space.has_joins:
                sources = [len(self.layers) - 1]
            if row in self.staying:
                fitted: Layer | None = layer
            else:
                fitted, sources = self._fit(layer, sources)
                fitted = self._as_wide(fitted, row)
            tie = self._tie(rows, fitted, sources) if ties else None
            if ties and row in self.needs:
                tie = self._needed(rows, self.needs[row], sources[0])
            if tie is not None:
                return tie
            self._place(row, fitted, sources)
        return None

    def _place(self, row: int, layer: Layer | None, sources: list[int]) -> None:
        if layer is not None:
            try:
                shape = output_shape(layer, [self.shapes[source] for source in sources])
            except RuleError:
                layer = None
        if layer is None:
            if row in self.staying:
                raise _CannotStandError
            self.repairs["dropped layer"] += 1
            self.place[row] = sources[0]
            return
        index = len(self.layers)
        self.layers.append(replace(layer, inputs=tuple(index - source for source in sources)))
        self.shapes[index], self.place[row], self.row_of[index] = shape, index, row

    def _tie(
        self, rows: Sequence[Layer], layer: Layer | None, sources: list[int]
    ) -> tuple[int, int] | None:
        """For an `add` of maps that differ in channels alone: the row to change, and to what."""
        if layer is None or KINDS[layer.kind].joining is not Joining.ADD:
            return None
        shapes = [self.shapes[source] for source in sources]
        if len({shape[1:] for shape in shapes}) > 1 or len({shape[0] for shape in shapes}) == 1:
            return None
        choosers = {self._chooser(source): self.shapes[source][0] for source in sources}
        rows_that_choose = [r for r in choosers if r is not None and r not in self.staying]
        if not rows_that_choose:
            return None
        last = max(rows_that_choose)
        wanted = next((count for row, count in choosers.items() if row != last), None)
        if wanted is None or rows[last].channels == wanted:
            return None
        if self.staying & choosers.keys():
            self.tied[last] = wanted  # to what stays, whatever it has
        elif wanted not in self.space.widths:
            return None
        return last, wanted

    def _needed(self, rows: Sequence[Layer], channels: int, source: int) -> tuple[int, int] | None:
        """For a layer that stays and reads other channels than it must: the row to change."""
        chooser = self._chooser(source)
        if chooser is None or chooser in self.staying or self.shapes[source][0] == channels:
            return None
        if rows[chooser].channels == channels == self.tied.get(chooser):
            return None  # it was changed, and that is not what is read
        self.tied[chooser] = channels
        return chooser, channels

    def _as_wide(self, layer: Layer | None, row: int) -> Layer | None:
        """With the channels of what stays, where it is added to that."""
        return replace(layer, channels=self.tied[row]) if layer and row in self.tied else layer

    def _chooser(self, index: int) -> int | None:
        """The row that the channels of a layer's output hang on; None for the image and concats."""
        while index >= 0:
            layer = self.layers[index]
            if KINDS[layer.kind].chooses_channels or layer.kind in CONSTANT:
                return self.row_of[index]
            if KINDS[layer.kind].joining is Joining.CONCAT:
                return None
            index -= layer.inputs[0]
        return None

    def _fit(self, layer: Layer, sources: list[int]) -> tuple[Layer | None, list[int]]:
        """The layer with its fields at choices of the space; None where it cannot stand here."""
        kind = KINDS.get(layer.kind)
        if kind is None or layer.kind not in self.space.kinds:
            return None, sources
        if kind.joining is Joining.NONE:
            sources = sources[:1]
        elif len(sources) < 2:
            return None, sources
        shape = self.shapes[sources[0]]
        kernel, stride, padding = 0, 0, 0
        if kind.has_window:
            if len(shape) != 3:
                return None, sources
            window = self._window(layer, min(shape[1:]))
            if window is None:
                return None, sources
            kernel, padding = window
            stride = _nearest(layer.stride, self.space.strides)
        channels = int(self.space.nearest_width(layer.channels)) if "channels" in kind.fields else 0
        rate = (layer.rate or self.space.dropout_rate) if "rate" in kind.fields else 0.0
        bias_free = bool(layer.bias_free) and "bias_free" in kind.fields
        fitted = Layer(layer.kind, kernel, channels, stride, padding, layer.inputs, bias_free, rate)
        self.repairs["field"] += fitted != replace(layer, rate=rate)
        return fitted, sources

    def _window(self, layer: Layer, side: int) -> tuple[int, int] | None:
        """Kernel and padding that fit a map of this side, near to what was asked."""
        padding = _nearest(layer.padding, self.space.paddings)
        fits = [k for k in self.space.kernels if k <= side + 2 * padding]
        kernel = _nearest(layer.kernel, fits or self.space.kernels[:1])
        if layer.kind.endswith("_pool"):
            allowed = [p for p in self.space.paddings if p <= min(padding, kernel // 2)]
            if not allowed:
                return None
            padding = allowed[-1]
        return kernel, padding


def _joins(layer: Layer) -> bool:
    return layer.kind in KINDS and KINDS[layer.kind].joining is not Joining.NONE


def _nearest(value: int, choices: Sequence[int]) -> int:
    return min(choices, key=lambda choice: (abs(choice - value), choice))


# --- limits ------------------------------------------------------------------------------------


def _within_limits(architecture: Architecture, space: SearchSpace) -> Architecture:
    """Narrower, and where that is not enough shorter or coarser, until the limits are kept."""
    for _ in range(space.most_layers):  # of widths alone the narrowest keeps them
        narrowed = narrow_to_fit(architecture, space)
        if narrowed is not None:
            return narrowed
        shorter = _shorter(architecture, space)
        if shorter is None:
            break
        architecture = shorter
    return space.smallest_within_limits()


def narrow_to_fit(architecture: Architecture, space: SearchSpace) -> Architecture | None:
    """The widest net, all channels scaled by one factor of at most 1, that keeps the limits.

    None where even the narrowest exceeds them. Also the baseline "uniform narrowing".
    """
    architecture = _with_kept(architecture, space)
    costs = scaled_costs(architecture, space)

    def keeps_limits(factor: float) -> bool:
        if costs and (known := costs.keep_limits(factor)) is not None:
            return known
        return space.too_costly(_scaled(architecture, factor, space)) is None

    low, high = 0.0, 1.0  # `low` keeps the limits, `high` does not
    if keeps_limits(high):
        return _scaled(architecture, high, space)
    if not keeps_limits(low):
        return None
    for _ in range(12):  # 2^-12 is finer than one channel in 4096
        middle = (low + high) / 2
        low, high = (middle, high) if keeps_limits(middle) else (low, middle)
    return _scaled(architecture, low, space)


def scale_channels(architecture: Architecture, factor: float, space: SearchSpace) -> Architecture:
    """All chosen channels but the classes times one factor, the nearest that the space has."""
    return _scaled(_with_kept(architecture, space), factor, space)


def _scaled(architecture: Architecture, factor: float, space: SearchSpace) -> Architecture:
    if space.widths_alone:
        return space.widths_alone.scaled(architecture, factor)
    fixed = space.kept.fixed(architecture) if space.kept else ()
    *body, head = architecture.layers
    layers = [
        replace(layer, channels=space.nearest_width(layer.channels * factor))
        if layer.channels and row not in fixed
        else layer
        for row, layer in enumerate(body)
    ]
    try:
        return Architecture(architecture.input_shape, (*layers, head))
    except ArchitectureError:  # a shortcut from the image: its channels cannot be scaled
        return _Assembly(space).net(layers, head)


def _with_kept(architecture: Architecture, space: SearchSpace) -> Architecture:
    """The net where it has what the space keeps, else the nearest that has."""
    if space.kept is None or space.kept.has(architecture):
        return architecture
    *body, head = simplify(architecture).layers
    return _Assembly(space).net(body, head)


def _shorter(architecture: Architecture, space: SearchSpace) -> Architecture | None:
    """Made cheaper by its structure; None where it cannot be."""
    *body, last = architecture.layers
    head = replace(last, inputs=(1,))
    for saving in _savings(architecture, body, space):
        rebuilt = _Assembly(space).net(saving, head)
        if rebuilt != architecture:
            return rebuilt
        if space.kept is None:
            return None
    return None


def _savings(
    architecture: Architecture, body: list[Layer], space: SearchSpace
) -> Iterator[list[Layer]]:
    """Structural savings: average before the head, else a coarser start, else fewer layers."""
    shape = architecture.input_shapes(len(architecture.layers) - 1)[0]
    if "global_average_pool" in space.kinds and len(shape) == 3 and shape[1:] != (1, 1):
        kept = body[: space.most_layers - 2]
        yield [*kept, Layer("global_average_pool")]
    for index, layer in enumerate(body):
        if layer.kind == "conv":
            if layer.stride < space.strides[-1] and architecture.is_chain:
                yield [*body[:index], replace(layer, stride=space.strides[-1]), *body[index + 1 :]]
            break
    yield body[: len(body) // 2]
