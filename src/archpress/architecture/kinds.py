"""The table of layer kinds: what fields a kind has, what it does to shapes, what it costs.

`KINDS` has one row a kind and is the only place that knows it; checks, costs, the paper's vector,
tokens, the built network and the exported source are all derived from its rows. Needs no torch.

A shape is `(C, H, W)` for a map and `(F,)` for a vector. One multiply-add counts as one; biases,
norms, activations and pools count none, as in `torch.utils.flop_counter` (which counts two).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from archpress.architecture.layers import (
    OPTIONS,
    WINDOW_OPTIONS,
    Joining,
    Kind,
    Layer,
    ModuleCall,
)
from archpress.architecture.shape_rules import (
    RuleError,
    Shape,
    added,
    averaged,
    concatenated,
    convolved,
    convolved_by_channel,
    flat,
    multiplied,
    normed_in_groups,
    pooled,
    same,
    shuffled,
    sliced,
    window,
)

# --- rows of a family --------------------------------------------------------------------------


def _none(layer: Layer, *shapes: Shape) -> int:
    return 0


def _weights_a_channel(layer: Layer, shape: Shape) -> int:
    """Of a convolution, for one channel of its output."""
    return shape[0] // int(layer.option("groups")) * math.prod(window(layer)[0])


def _bias(layer: Layer, channels: int) -> int:
    return 0 if layer.bias_free else channels


def _side(extents: tuple[int, int]) -> int | tuple[int, int]:
    return extents[0] if extents[0] == extents[1] else extents


def _window_options(layer: Layer) -> tuple[tuple[str, Any], ...]:
    _, stride, padding = map(_side, window(layer))
    named = (("stride", stride, 1), ("padding", padding, 0))
    return tuple((name, value) for name, value, usual in named if value != usual)


def _options(layer: Layer) -> tuple[tuple[str, Any], ...]:
    """Those that are options of the module under the same name."""
    return tuple(pair for pair in layer.options if pair[0] not in WINDOW_OPTIONS)


def _bias_options(layer: Layer) -> tuple[tuple[str, Any], ...]:
    return (("bias", False),) if layer.bias_free else ()


def _pool(module: str, code: int, *options: str) -> Kind:
    return Kind(
        fields=frozenset({"kernel", "stride", "padding"}),
        shape=pooled,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: ModuleCall(module, (_side(window(layer)[0]),), _pooling(layer)),
        paper_code=code,
        keeps_sign=True,
        options=WINDOW_OPTIONS | {"ceil_mode", *options},
    )


def _pooling(layer: Layer) -> tuple[tuple[str, Any], ...]:
    """A pool's stride is its kernel where it is not said, so it always is."""
    options = dict(_window_options(layer))
    return (("stride", options.pop("stride", 1)), *options.items(), *_options(layer))


def _norm(module: Callable[[Shape], str], *options: str, groups: bool = False) -> Kind:
    """Parameters for each channel, where it has any."""

    def arguments(layer: Layer, shape: Shape) -> tuple[int, ...]:
        return (int(layer.option("groups")), shape[0]) if groups else (shape[0],)

    def named(layer: Layer) -> tuple[tuple[str, Any], ...]:
        pairs = [pair for pair in _options(layer) if pair[0] != "groups"]
        is_layer_norm = [("elementwise_affine", v) if n == "affine" else (n, v) for n, v in pairs]
        return tuple(is_layer_norm if module((1,)) == "LayerNorm" else pairs)

    return Kind(
        fields=frozenset(),
        shape=normed_in_groups if groups else same,
        parameters=lambda layer, shape: 2 * shape[0] if layer.option("affine") else 0,
        macs=_none,
        module=lambda layer, shape: ModuleCall(
            module(shape), arguments(layer, shape), named(layer)
        ),
        options=frozenset({"eps", "affine", *options}),
    )


def _activation(
    module: str,
    low: float = -math.inf,
    high: float = math.inf,
    *options: str,
    code: int = 0,
    keeps_sign: bool = True,
) -> Kind:
    return Kind(
        fields=frozenset(),
        shape=same,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: ModuleCall(module, (), _options(layer)),
        paper_code=code,
        keeps_sign=keeps_sign,
        output_range=(low, high),
        options=frozenset(options),
    )


def _moving(
    shape: Callable[[Layer, Sequence[Shape]], Shape],
    module: Callable[[Layer, Shape], ModuleCall | None],
    *options: str,
) -> Kind:
    """Values move or are left out, none changes."""
    return Kind(
        fields=frozenset(),
        shape=shape,
        parameters=_none,
        macs=_none,
        module=module,
        keeps_sign=True,
        options=frozenset(options),
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
        shape=convolved,
        parameters=lambda layer, shape: (
            _weights_a_channel(layer, shape) * layer.channels + _bias(layer, layer.channels)
        ),
        macs=lambda layer, shape, out: _weights_a_channel(layer, shape) * math.prod(out),
        module=lambda layer, shape: ModuleCall(
            "Conv2d",
            (shape[0], layer.channels, _side(window(layer)[0])),
            _window_options(layer) + _options(layer) + _bias_options(layer),
        ),
        paper_code=1,
        options=WINDOW_OPTIONS | {"groups", "dilation"},
    ),
    "depthwise": Kind(
        fields=frozenset({"kernel", "stride", "padding", "bias_free"}),
        shape=convolved_by_channel,
        parameters=lambda layer, shape: (
            shape[0] * math.prod(window(layer)[0]) + _bias(layer, shape[0])
        ),
        macs=lambda layer, shape, out: math.prod(window(layer)[0]) * math.prod(out),
        module=lambda layer, shape: ModuleCall(
            "Conv2d",
            (shape[0], shape[0], _side(window(layer)[0])),
            (
                *_window_options(layer),
                ("groups", shape[0]),
                *_options(layer),
                *_bias_options(layer),
            ),
        ),
        options=WINDOW_OPTIONS | {"dilation"},
    ),
    "max_pool": _pool("MaxPool2d", 2, "dilation"),
    "batch_norm": replace(
        _norm(lambda shape: "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"), paper_code=3
    ),
    "relu": _activation("ReLU", 0.0, code=4),
    "sigmoid": _activation("Sigmoid", 0.0, 1.0, code=5),
    "dropout": Kind(
        fields=frozenset({"rate"}),
        shape=same,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: ModuleCall("Dropout", (layer.rate,)),
        paper_code=6,
        keeps_sign=True,
    ),
    "average_pool": _pool("AvgPool2d", 7, "count_include_pad"),
    "linear": Kind(
        fields=frozenset({"channels", "bias_free"}),
        shape=flat,
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
        shape=averaged,
        parameters=_none,
        macs=_none,
        module=lambda layer, shape: ModuleCall("AdaptiveAvgPool2d", (1,)),
        keeps_sign=True,
    ),
    "add": _join(Joining.ADD, added),
    "multiply": _join(Joining.MULTIPLY, multiplied),
    "concat": _join(Joining.CONCAT, concatenated),
    "relu6": _activation("ReLU6", 0.0, 6.0),
    "leaky_relu": _activation("LeakyReLU", -math.inf, math.inf, "negative_slope"),
    "elu": _activation("ELU", -math.inf, math.inf, "alpha"),
    "gelu": _activation("GELU", -math.inf, math.inf, "approximate"),
    "silu": _activation("SiLU"),
    "hardswish": _activation("Hardswish"),
    "tanh": _activation("Tanh", -1.0, 1.0),
    "hardsigmoid": _activation("Hardsigmoid", 0.0, 1.0),
    "layer_norm": _norm(lambda shape: "LayerNorm"),
    "group_norm": _norm(lambda shape: "GroupNorm", "groups", groups=True),
    "slice": _moving(sliced, lambda layer, shape: None, "begin", "end"),
    "channel_shuffle": _moving(
        shuffled,
        lambda layer, shape: ModuleCall("ChannelShuffle", (int(layer.option("groups")),)),
        "groups",
    ),
}

ACTIVATIONS = tuple(
    name
    for name, kind in KINDS.items()
    if not kind.fields
    and kind.joining is Joining.NONE
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
    _check_options(layer, kind)
    if "rate" in kind.fields:
        if not 0.0 <= layer.rate < 1.0:
            raise RuleError(f"rate must be in [0, 1), not {layer.rate}")
    elif layer.rate:
        raise RuleError(f"has no rate, so it must be 0, not {layer.rate}")


def _check_options(layer: Layer, kind: Kind) -> None:
    names = [name for name, _ in layer.options]
    if names != sorted(set(names)):
        raise RuleError(f"options must stand once each, by name, not {', '.join(names)}")
    for name, value in layer.options:
        if name not in kind.options:
            raise RuleError(f"has no option {name!r}; it has {', '.join(sorted(kind.options))}")
        usual = OPTIONS[name]
        if type(value) is not type(usual):
            raise RuleError(f"option {name} must be a {type(usual).__name__}, not {value!r}")
        if value == usual:
            raise RuleError(f"option {name} is {value!r} as usual, so it must be left out")
        if name in WINDOW_OPTIONS and value == getattr(layer, name.removesuffix("_width")):
            raise RuleError(f"option {name} is as its height, {value}, so it must be left out")
        if type(value) is int and value < 0:
            raise RuleError(f"option {name} must be 0 or more, not {value}")
