"""The table of layer kinds: what fields a kind has, what it does to shapes, what it costs.

`KINDS` has one row a kind and is the only place that knows it; checks, costs, the paper's vector,
tokens, the built network and the exported source are all derived from its rows. Needs no torch.

A shape is `(C, H, W)` for a map and `(F,)` for a vector. One multiply-add counts as one; biases,
norms, activations and pools count none, as in `torch.utils.flop_counter` (which counts two).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: the paper's five fields, where it reads from, and what the paper's vector lacks.

    Fields that a kind does not have are 0 (see `KINDS`).

    Attributes:
        kind: a name in `KINDS`.
        kernel: side of the square window, in pixels.
        channels: channels (or features) of the output, for kinds that choose them.
        stride: step of the window, in pixels.
        padding: zeros added on each side, in pixels.
        inputs: backward offsets of the layers it reads; 1 is the layer before. The input of the
            network is the layer before the first.
        bias_free: convolution or linear layer without a bias.
        rate: share of values that a dropout layer zeroes in training, in [0, 1).
    """

    kind: str
    kernel: int = 0
    channels: int = 0
    stride: int = 0
    padding: int = 0
    inputs: tuple[int, ...] = (1,)
    bias_free: bool = False
    rate: float = 0.0


class Joining(StrEnum):
    """How many inputs a kind reads and how it merges them."""

    NONE = "none"
    ADD = "add"
    CONCAT = "concat"


class RuleError(ValueError):
    """A layer breaks a rule of its kind; the message has the rule and the value."""


@dataclass(frozen=True, slots=True)
class ModuleCall:
    """`torch.nn.NAME(*arguments, **options)`, as data: built by `network`, written by `export`."""

    name: str
    arguments: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table.

    Attributes:
        fields: the fields of `Layer` that this kind has, beside kind and inputs.
        shape: (layer, shapes of the inputs) -> shape of the output; raises RuleError.
        parameters: (layer, shape of the first input) -> number of weights.
        macs: (layer, shape of the first input, shape of the output) -> multiply-adds, one image.
        module: (layer, shape of the first input) -> the module; None for joins.
        paper_code: the paper's number of the type (section 9), 1 to 8; 0 where it has none.
        joining: how inputs are merged.
        keeps_sign: the output is non-negative wherever every input is.
        output_range: bounds that the output always keeps, whatever the input.
    """

    fields: frozenset[str]
    shape: Callable[[Layer, Sequence[Shape]], Shape]
    parameters: Callable[[Layer, Shape], int]
    macs: Callable[[Layer, Shape, Shape], int]
    module: Callable[[Layer, Shape], ModuleCall | None]
    paper_code: int = 0
    joining: Joining = Joining.NONE
    keeps_sign: bool = False
    output_range: tuple[float, float] = (-math.inf, math.inf)

    @property
    def has_window(self) -> bool:
        """Whether a window slides over a map."""
        return "kernel" in self.fields

    @property
    def chooses_channels(self) -> bool:
        """Whether the layer sets the number of channels."""
        return "channels" in self.fields


# --- shape rules -------------------------------------------------------------------------------


def _require_map(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise RuleError(f"needs a map of C x H x W but its input is a vector of {shape[0]} values")
    return shape[0], shape[1], shape[2]


def _slide(layer: Layer, height: int, width: int) -> tuple[int, int]:
    if layer.kernel > min(height, width) + 2 * layer.padding:
        raise RuleError(
            f"kernel {layer.kernel} does not fit a {height}x{width} map "
            f"with padding {layer.padding}"
        )
    return (
        (height + 2 * layer.padding - layer.kernel) // layer.stride + 1,
        (width + 2 * layer.padding - layer.kernel) // layer.stride + 1,
    )


def _convolved(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    _, height, width = _require_map(shapes[0])
    return (layer.channels, *_slide(layer, height, width))


def _convolved_by_channel(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    channels, height, width = _require_map(shapes[0])
    return (channels, *_slide(layer, height, width))


def _pooled(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    if layer.padding > layer.kernel // 2:
        raise RuleError(
            f"padding {layer.padding} is more than half of the pooling kernel {layer.kernel}"
        )
    return _convolved_by_channel(layer, shapes)


def _averaged(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    return (_require_map(shapes[0])[0], 1, 1)


def _flat(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    return (layer.channels,)


def _same(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    return shapes[0]


def _added(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    if any(shape != shapes[0] for shape in shapes):
        raise RuleError(f"cannot add outputs of shapes {_listed(shapes)}; they must be equal")
    return shapes[0]


def _concatenated(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    if any(shape[1:] != shapes[0][1:] or len(shape) != len(shapes[0]) for shape in shapes):
        raise RuleError(
            f"cannot concatenate outputs of shapes {_listed(shapes)}; height and width must agree"
        )
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _listed(shapes: Sequence[Shape]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


# --- rows of a family --------------------------------------------------------------------------


def _none(layer: Layer, *shapes: Shape) -> int:
    return 0


def _bias(layer: Layer, channels: int) -> int:
    return 0 if layer.bias_free else channels


def _window_options(layer: Layer) -> tuple[tuple[str, Any], ...]:
    options: list[tuple[str, Any]] = []
    if layer.stride != 1:
        options.append(("stride", layer.stride))
    if layer.padding:
        options.append(("padding", layer.padding))
    return tuple(options)


def _bias_options(layer: Layer) -> tuple[tuple[str, Any], ...]:
    return (("bias", False),) if layer.bias_free else ()


def _pool(module: str, code: int) -> Kind:
    return Kind(
        fields=frozenset({"kernel", "stride", "padding"}),
        shape=_pooled,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: ModuleCall(
            module,
            (layer.kernel,),
            (("stride", layer.stride), *((("padding", layer.padding),) if layer.padding else ())),
        ),
        paper_code=code,
        keeps_sign=True,
    )


def _activation(
    module: str,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    code: int = 0,
    keeps_sign: bool = True,
) -> Kind:
    return Kind(
        fields=frozenset(),
        shape=_same,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: ModuleCall(module),
        paper_code=code,
        keeps_sign=keeps_sign,
        output_range=(low, high),
    )


def _join(how: Joining, shape: Callable[[Layer, Sequence[Shape]], Shape]) -> Kind:
    return Kind(
        fields=frozenset(),
        shape=shape,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: None,
        joining=how,
        keeps_sign=True,
    )


# --- the table ---------------------------------------------------------------------------------

KINDS: dict[str, Kind] = {
    "conv": Kind(
        fields=frozenset({"kernel", "channels", "stride", "padding", "bias_free"}),
        shape=_convolved,
        parameters=lambda layer, shape: (
            shape[0] * layer.channels * layer.kernel**2 + _bias(layer, layer.channels)
        ),
        macs=lambda layer, shape, out: shape[0] * layer.kernel**2 * math.prod(out),
        module=lambda layer, shape: ModuleCall(
            "Conv2d",
            (shape[0], layer.channels, layer.kernel),
            _window_options(layer) + _bias_options(layer),
        ),
        paper_code=1,
    ),
    "depthwise": Kind(
        fields=frozenset({"kernel", "stride", "padding", "bias_free"}),
        shape=_convolved_by_channel,
        parameters=lambda layer, shape: shape[0] * layer.kernel**2 + _bias(layer, shape[0]),
        macs=lambda layer, shape, out: layer.kernel**2 * math.prod(out),
        module=lambda layer, shape: ModuleCall(
            "Conv2d",
            (shape[0], shape[0], layer.kernel),
            (*_window_options(layer), ("groups", shape[0]), *_bias_options(layer)),
        ),
    ),
    "max_pool": _pool("MaxPool2d", 2),
    "batch_norm": Kind(
        fields=frozenset(),
        shape=_same,
        parameters=lambda layer, shape: 2 * shape[0],
        macs=_none,
        module=lambda layer, shape: ModuleCall(
            "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d", (shape[0],)
        ),
        paper_code=3,
    ),
    "relu": _activation("ReLU", 0.0, code=4),
    "sigmoid": _activation("Sigmoid", 0.0, 1.0, code=5),
    "dropout": Kind(
        fields=frozenset({"rate"}),
        shape=_same,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: ModuleCall("Dropout", (layer.rate,)),
        paper_code=6,
        keeps_sign=True,
    ),
    "average_pool": _pool("AvgPool2d", 7),
    "linear": Kind(
        fields=frozenset({"channels", "bias_free"}),
        shape=_flat,
        parameters=lambda layer, shape: (
            math.prod(shape) * layer.channels + _bias(layer, layer.channels)
        ),
        macs=lambda layer, shape, out: math.prod(shape) * layer.channels,
        module=lambda layer, shape: ModuleCall(
            "Linear", (math.prod(shape), layer.channels), _bias_options(layer)
        ),
        paper_code=8,
    ),
    "global_average_pool": Kind(
        fields=frozenset(),
        shape=_averaged,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: ModuleCall("AdaptiveAvgPool2d", (1,)),
        keeps_sign=True,
    ),
    "add": _join(Joining.ADD, _added),
    "concat": _join(Joining.CONCAT, _concatenated),
    "relu6": _activation("ReLU6", 0.0, 6.0),
    "leaky_relu": _activation("LeakyReLU"),
    "elu": _activation("ELU"),
    "gelu": _activation("GELU"),
    "silu": _activation("SiLU"),
    "hardswish": _activation("Hardswish"),
    "tanh": _activation("Tanh", -1.0, 1.0),
}

ACTIVATIONS = tuple(
    name
    for name, kind in KINDS.items()
    if not kind.fields
    and name.endswith(("relu", "relu6", "elu", "gelu", "silu", "hardswish", "tanh", "sigmoid"))
)
PAPER_KINDS = tuple(
    sorted((name for name in KINDS if KINDS[name].paper_code), key=lambda n: KINDS[n].paper_code)
)

_NUMERIC_FIELDS = {"kernel": 1, "channels": 1, "stride": 1, "padding": 0}  # field -> least value
LARGEST_FIELD = 2**20  # no real layer comes near it; keeps products far from overflow in JSON


def output_shape(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    """The shape a layer gives for inputs of these shapes, after all rules of its kind.

    Raises:
        RuleError: the rule that is broken, with the value.
    """
    kind = KINDS.get(layer.kind)
    if kind is None:
        raise RuleError(f"unknown kind {layer.kind!r}; known are {', '.join(KINDS)}")
    _check_fields(layer, kind)
    if kind.joining is Joining.NONE and len(shapes) != 1:
        raise RuleError(f"reads one input but {len(shapes)} are given")
    if kind.joining is not Joining.NONE and len(shapes) < 2:
        raise RuleError("joins at least two inputs but one is given")
    return kind.shape(layer, shapes)


def _check_fields(layer: Layer, kind: Kind) -> None:
    for field, least in _NUMERIC_FIELDS.items():
        value = getattr(layer, field)
        if type(value) is not int:  # 3.0 or numpy's 3 would give an equal layer another key
            raise RuleError(f"{field} must be an integer, not {value!r}")
        if field not in kind.fields:
            if value != 0:
                raise RuleError(f"has no {field}, so it must be 0, not {value}")
        elif not least <= value <= LARGEST_FIELD:
            raise RuleError(f"{field} must be {least} to {LARGEST_FIELD}, not {value}")
    if type(layer.bias_free) is not bool:
        raise RuleError(f"bias_free must be true or false, not {layer.bias_free!r}")
    if layer.bias_free and "bias_free" not in kind.fields:
        raise RuleError("has no bias, so bias_free must be false")
    if "rate" in kind.fields:
        if not 0.0 <= layer.rate < 1.0:
            raise RuleError(f"rate must be in [0, 1), not {layer.rate}")
    elif layer.rate:
        raise RuleError(f"has no rate, so it must be 0, not {layer.rate}")
