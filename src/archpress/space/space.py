"""`SearchSpace`: where to look, as one frozen value: choices for each field, and limits."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from archpress.architecture import KINDS, Architecture, Layer
from archpress.architecture.architecture import chain
from archpress.architecture.kinds import NOT_SEARCHED, PAPER_KINDS
from archpress.architecture.layers import Joining
from archpress.architecture.shape_rules import format_shape
from archpress.errors import SpaceError
from archpress.space.form import Form
from archpress.space.kept import Kept, kept_of
from archpress.space.limits import Limits, told_cost
from archpress.space.widths import Widths, widths_of


@dataclass(frozen=True)
class SearchSpace:
    """All architectures from some choices that end in a linear layer and keep the limits.

    Attributes:
        input_shape: `(C, H, W)`.
        classes: outputs of the last, linear layer.
        kinds: names in `archpress.architecture.KINDS`.
        kernels, strides, paddings: choices of windows, in pixels, rising.
        least_channels, most_channels: range of the channels that a layer may choose.
        most_layers: length of the longest architecture.
        dropout_rate: of every dropout layer.
        most_activations: values of all outputs together for one image; bounds the time to train.
        limits: cost limits; accuracy limits are for others to judge.
        round_channels: the channels that a layer may choose are its multiples.
        kept: layers that all nets have; they need not be among the choices.

    Raises:
        SpaceError: a choice is empty or unknown, or no net of the space keeps the limits.
    """

    input_shape: tuple[int, int, int]
    classes: int
    kinds: tuple[str, ...]
    kernels: tuple[int, ...] = (1, 2, 3, 5)
    strides: tuple[int, ...] = (1, 2)
    paddings: tuple[int, ...] = (0, 1, 2)
    least_channels: int = 4
    most_channels: int = 512
    most_layers: int = 50
    dropout_rate: float = 0.1
    most_activations: int | None = None
    limits: Limits = field(default_factory=Limits)
    round_channels: int = field(default=1, repr=False)
    kept: Kept | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check the choices and that there is a net at all."""
        unknown = set(self.kinds) - set(KINDS)
        if unknown:
            raise SpaceError(f"unknown layer kinds {sorted(unknown)}; known are {', '.join(KINDS)}")
        for needed in ("conv", "linear"):
            if needed not in self.kinds:
                raise SpaceError(f"a search space needs the kind {needed!r}")
        for name, least in (("kernels", 1), ("strides", 1), ("paddings", 0)):
            values = getattr(self, name)
            if not values or list(values) != sorted(set(values)) or values[0] < least:
                raise SpaceError(f"{name} must be rising numbers from {least}, not {values}")
        if self.classes < 1:
            raise SpaceError(f"classes must be at least 1, not {self.classes}")
        if not 0 <= self.dropout_rate < 1:
            raise SpaceError(f"dropout_rate must be in [0, 1), not {self.dropout_rate}")
        if not 1 <= self.least_channels <= self.most_channels:
            raise SpaceError(
                f"channels from {self.least_channels} to {self.most_channels} are no range"
            )
        if self.least_channels % self.round_channels or self.most_channels % self.round_channels:
            raise SpaceError(
                f"channels from {self.least_channels} to {self.most_channels} must begin and end "
                f"with a multiple of {self.round_channels}"
            )
        if self.most_layers < 3:
            raise SpaceError(f"most_layers must be at least 3, not {self.most_layers}")
        self._require_a_net()

    def _require_a_net(self) -> None:
        """Refuse limits that not even the smallest nets keep, naming the nearest miss."""
        nets = [net for net in self.smallest_nets() if self.out_of_form(net) is None]
        size = format_shape(self.input_shape)
        if not nets and self.kept is not None:
            raise SpaceError(f"no net with the layers that stay has {self.form_text} elsewhere")
        if not nets:
            raise SpaceError(f"no kernel of {self.kernels} fits images of {size}")
        net = self.smallest_within_limits()
        if self.too_costly(net) is None:
            return
        misses = ", ".join(
            f"{name}={told_cost(allowed)} but it has {told_cost(found)}"
            for name, allowed, found in self.limits.broken(net)
        )
        misses = misses or str(self.too_costly(net))
        what = "net with the layers that stay" if self.kept else "net"
        if self.widths_alone:
            what = "widths of the source's layers"
        raise SpaceError(
            f"no {what} can keep these limits: even the smallest for images of {size} and "
            f"{self.classes} classes is too large ({misses})"
        )

    def smallest_nets(self) -> Iterator[Architecture]:
        """Nets of one convolution: which is smallest depends on the cost that is limited.

        Where layers are kept, the source with as little beside them as can be.
        """
        if self.kept is not None:
            yield from self.kept.smallest_nets
            return
        head = Layer("linear", channels=self.classes)
        pools = ("global_average_pool",) if "global_average_pool" in self.kinds else ()
        for stride in (self.strides[0], self.strides[-1]):
            for kernel in (self.kernels[0], self.kernels[-1]):
                padding = self.paddings[0]
                if kernel > min(self.input_shape[1:]) + 2 * padding:
                    continue
                conv = Layer("conv", kernel, self.least_channels, stride, padding)
                yield chain(self.input_shape, conv, *map(Layer, pools), head)

    def smallest_within_limits(self) -> Architecture:
        """The first of the smallest nets of the form that keeps the limits.

        There is one when the space is made. If its latency model has learned since that there is
        none, the net that misses them least.
        """
        nets = [net for net in self.smallest_nets() if self.out_of_form(net) is None]
        keeping = (net for net in nets if self.too_costly(net) is None)
        return next(keeping, None) or min(nets, key=self.limits.miss)

    # --- membership ---

    def why_not(self, architecture: Architecture) -> str | None:
        """The first reason why an architecture is not in the space; None where it is."""
        if architecture.input_shape != self.input_shape:
            return f"input shape {architecture.input_shape} is not {self.input_shape}"
        if len(architecture.layers) > self.most_layers:
            return f"{len(architecture.layers)} layers are more than {self.most_layers}"
        last = architecture.layers[-1]
        if last.kind != "linear" or last.channels != self.classes:
            return f"the last layer is no linear layer with {self.classes} outputs"
        if not any(layer.kind == "conv" for layer in architecture.layers):
            return "no convolution"
        reason = self.out_of_form(architecture)
        if reason or self.widths_alone:
            return reason or self.too_costly(architecture)
        places = self.kept.places(architecture) if self.kept else None
        staying = frozenset(places.values()) if places else ()
        for index, layer in enumerate(architecture.layers):
            if index in staying:
                continue
            reason = self._layer_outside(layer, is_last=index == len(architecture.layers) - 1)
            if not reason and layer.inputs != (1,) and not self.has_joins:
                offsets = f"input offsets {layer.inputs}"
                reason = f"{offsets}, but without joins a layer reads the one before it"
            if reason:
                return f"layer {index} ({layer.kind}): {reason}"
        return self.too_costly(architecture)

    def too_costly(self, architecture: Architecture) -> str | None:
        """The limit that an architecture breaks, in words; None where it keeps all."""
        if self.most_activations is not None and architecture.activations > self.most_activations:
            return (
                f"{architecture.activations:,} activations are more than {self.most_activations:,}"
            )
        for name, allowed, found in self.limits.broken(architecture):
            return f"{told_cost(found)} is over {name}={told_cost(allowed)}"
        return None

    def contains(self, architecture: Architecture) -> bool:
        """Whether an architecture is in the space and keeps its limits."""
        return self.why_not(architecture) is None

    def _layer_outside(self, layer: Layer, *, is_last: bool) -> str | None:
        if layer.kind not in self.kinds:
            return f"the kind is not among {', '.join(self.kinds)}"
        for name, choices in (
            ("kernel", self.kernels),
            ("stride", self.strides),
            ("padding", self.paddings),
        ):
            if name in KINDS[layer.kind].fields and getattr(layer, name) not in choices:
                return f"{name} {getattr(layer, name)} is not among {choices}"
        least, most = self.least_channels, self.most_channels
        free = KINDS[layer.kind].chooses_channels and not is_last
        if free and not least <= layer.channels <= most:
            return f"{layer.channels} channels are not in {least} to {most}"
        if "rate" in KINDS[layer.kind].fields and not layer.rate and self.dropout_rate:
            return "rate 0 does nothing"
        return None

    def allows(self, architecture: Architecture, limits: Limits) -> bool:
        """Whether a net could be a result: it has the form and keeps these limits on costs."""
        return limits.allow(architecture) and self.out_of_form(architecture) is None

    def out_of_form(self, architecture: Architecture) -> str | None:
        """Why a net is not of the form asked for, in words; None where it is, whatever it costs."""
        if self.round_channels == 1 and self.kept is None:
            return None
        fixed: frozenset[int] = frozenset()
        if self.kept is not None:
            reason = self.kept.why_not(architecture)
            if reason or self.widths_alone:
                return reason
            fixed = self.kept.fixed(architecture)
        for index, layer in enumerate(architecture.layers[:-1]):
            if layer.channels % self.round_channels and index not in fixed:
                return (
                    f"layer {index} ({layer.kind}): {layer.channels} channels are no multiple of "
                    f"{self.round_channels}"
                )
        return None

    @property
    def form_text(self) -> str:
        """By which runs know what was asked for; "" where nothing was."""
        rounded = f"multiples of {self.round_channels}" if self.round_channels > 1 else ""
        beside = f" beside {self.kept.rows}" if self.kept else ""
        return rounded + beside + (", widths alone" if self.widths_alone else "")

    @property
    def widths_alone(self) -> Widths | None:
        """The source whose widths are all that changes; None where other things may."""
        return self.kept if isinstance(self.kept, Widths) else None

    @property
    def all_kinds(self) -> tuple[str, ...]:
        """Kinds of layers in nets of the space: those that may be chosen, then those that stay."""
        staying = self.kept.kinds if self.kept else ()
        return (*self.kinds, *(kind for kind in staying if kind not in self.kinds))

    @property
    def widths(self) -> range:
        """The channels that a layer may choose."""
        return range(self.least_channels, self.most_channels + 1, self.round_channels)

    def nearest_width(self, channels: float) -> int:
        """Of the channels that a layer may choose, the nearest to a number."""
        step = self.round_channels
        wanted = step * math.floor(channels / step + 0.5)
        return min(max(wanted, self.least_channels), self.most_channels)

    @property
    def has_joins(self) -> bool:
        """Whether layers may join."""
        return any(KINDS[kind].joining is not Joining.NONE for kind in self.kinds)

    def with_limits(self, limits: Limits) -> "SearchSpace":
        """The same choices under other limits."""
        return replace(self, limits=limits)


def paper_space(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    limits: Limits | None = None,
    max_macs: int | None = None,
) -> SearchSpace:
    """The space of section 9 of the paper; the ranges are read off its appendix (our guess).

    Args:
        input_shape: `(C, H, W)`.
        classes: outputs of the last layer.
        limits: by default what we take for "too large to be practical".
        max_macs: where less than that is.
    """
    limits = limits or Limits(max_parameters=15 * 10**6, max_macs=2 * 10**9)
    if max_macs is not None:
        limits = replace(limits, max_macs=min(max_macs, limits.max_macs or max_macs))
    return SearchSpace(
        input_shape,
        classes,
        kinds=PAPER_KINDS,
        kernels=(1, 2, 3),
        strides=(1, 2, 3),
        paddings=(0, 1),
        least_channels=1,
        most_channels=512,
        most_layers=50,
        dropout_rate=0.5,
        most_activations=4 * 10**6,
        limits=limits,
    )


# Kinds that the default space adds to those of the source: what hand-made small nets are made of.
DEFAULT_KINDS = (
    "conv",
    "depthwise",
    "batch_norm",
    "relu",
    "max_pool",
    "average_pool",
    "global_average_pool",
    "dropout",
    "add",
    "linear",
)


def space_around(
    source: Architecture, limits: Limits | None = None, form: Form | None = None
) -> SearchSpace:
    """The default space for compressing a net: its own choices, and those of small nets.

    Nothing in it has more parameters or multiply-adds than the source, or more than half of its
    activations, where no layers are kept: on a CPU they, not the multiply-adds, decide how long a
    small net trains.

    Args:
        source: need not be in it.
        limits: the user's.
        form: likewise.

    Raises:
        SpaceError: no net of the space keeps the limits, none has the form, or the source does not
            end in a linear layer.
    """
    limits, form = limits or Limits(), form or Form()
    last = source.layers[-1]
    if last.kind != "linear":
        raise SpaceError(
            f"the source must end in a linear layer over its classes, not in {last.kind!r}"
        )
    used = {layer.kind for layer in source.layers}
    without = {*DEFAULT_KINDS, *NOT_SEARCHED}
    bounds = replace(
        limits,
        max_parameters=min(limits.max_parameters or source.parameters, source.parameters),
        max_macs=min(limits.max_macs or source.macs, source.macs),
    )
    side = min(source.input_shape[1:])
    kernels = {kernel for kernel in (1, 2, 3, 5) if kernel <= side}
    kernels |= {layer.kernel for layer in source.layers if layer.kernel}
    strides = {1, 2} | {layer.stride for layer in source.layers if layer.stride}
    paddings = {0, 1, 2} | {layer.padding for layer in source.layers}
    widths = [layer.channels for layer in source.layers[:-1] if layer.channels]
    step = form.round_channels
    widest = max(64, *(layer.channels for layer in source.layers))
    if step > widest:
        raise SpaceError(f"no width up to {widest} is a multiple of round_channels={step}")
    least = step * math.ceil((min(4, *widths) if widths else 4) / step)
    most = step * (widest // step)
    kept: Kept | None
    if form.widths_only:
        kept = widths_of(source, form, least, most)
    else:
        kept = kept_of(source, form.kept, least)
    activations = source.activations if kept else source.activations // 2
    return SearchSpace(
        source.input_shape,
        source.classes,
        kinds=DEFAULT_KINDS + tuple(kind for kind in KINDS if kind in used - without),
        kernels=tuple(sorted(kernels)),
        strides=tuple(sorted(strides)),
        paddings=tuple(sorted(paddings)),
        least_channels=least,
        most_channels=most,
        most_layers=8 * math.ceil(max(40, len(source.layers) + 8) / 8),
        most_activations=max(activations, 8 * math.prod(source.input_shape)),
        limits=bounds,
        round_channels=step,
        kept=kept,
    )
