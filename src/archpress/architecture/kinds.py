"""The table of layer kinds: what fields a kind has, what it does to shapes, what it costs.

`KINDS` has one row a kind; checks, costs, the paper's vector, tokens, the built network and the
exported source are derived from its rows. A kind that is not one call of one module has its code in
`network` and `source_lines` as well. Needs no torch.

A shape is `(C, H, W)` for a map and `(F,)` for a vector. One multiply-add counts as one; biases,
norms, activations and pools count none, as in `torch.utils.flop_counter` (which counts two).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from archpress.architecture.frozen_program import Program, read_program
from archpress.architecture.kind_rows import (
    activation,
    bias,
    bias_options,
    join,
    module_options,
    moving,
    none,
    norm,
    parameter,
    pool,
    side,
    weights_a_channel,
    window_options,
    without_module,
)
from archpress.architecture.layers import (
    OPTIONS,
    SIDES,
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
    channels_added,
    concatenated,
    convolved,
    convolved_by_channel,
    enlarged,
    flat,
    flattened,
    multiplied,
    one_channel,
    one_pixel,
    padded,
    resized,
    same,
    same_map,
    shuffled,
    sliced,
    window,
)

_PADS = {"zeros": "Zero", "reflect": "Reflection", "replicate": "Replication"}


def _pad(layer: Layer, shape: Shape) -> ModuleCall:
    mode = str(layer.option("mode"))
    sides = tuple(int(layer.option(one)) for one in SIDES)
    return ModuleCall(f"{_PADS.get(mode, 'Circular')}Pad2d", (sides,))


def _upsample(layer: Layer, shape: Shape) -> ModuleCall:
    options: dict[str, object] = {"scale_factor": int(layer.option("times"))}
    if layer.option("bilinear"):
        options |= {"mode": "bilinear", "align_corners": bool(layer.option("align_corners"))}
    return ModuleCall("Upsample", (), tuple(options.items()))


def _resizing(module: str) -> Kind:
    return moving(
        resized,
        lambda layer, shape: ModuleCall(
            module, ((int(layer.option("height")), int(layer.option("width"))),)
        ),
        *("height", "width"),
    )


def _program(layer: Layer) -> Program:
    return read_program(str(layer.option("program")))


def _as_programmed(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    program = _program(layer)
    if shapes[0] != program.input:
        raise RuleError(f"stays as it is and reads {program.input}, not {shapes[0]}")
    return program.output


# --- the table ---------------------------------------------------------------------------------

KINDS: dict[str, Kind] = {
    "conv": Kind(
        fields=frozenset({"kernel", "channels", "stride", "padding", "bias_free"}),
        shape=convolved,
        parameters=lambda layer, shape: (
            weights_a_channel(layer, shape) * layer.channels + bias(layer, layer.channels)
        ),
        macs=lambda layer, shape, out: weights_a_channel(layer, shape) * math.prod(out),
        module=lambda layer, shape: ModuleCall(
            "Conv2d",
            (shape[0], layer.channels, side(window(layer)[0])),
            window_options(layer) + module_options(layer) + bias_options(layer),
        ),
        paper_code=1,
        options=WINDOW_OPTIONS | {"groups", "dilation"},
    ),
    "depthwise": Kind(
        fields=frozenset({"kernel", "stride", "padding", "bias_free"}),
        shape=convolved_by_channel,
        parameters=lambda layer, shape: (
            shape[0] * math.prod(window(layer)[0]) + bias(layer, shape[0])
        ),
        macs=lambda layer, shape, out: math.prod(window(layer)[0]) * math.prod(out),
        module=lambda layer, shape: ModuleCall(
            "Conv2d",
            (shape[0], shape[0], side(window(layer)[0])),
            (
                *window_options(layer),
                ("groups", shape[0]),
                *module_options(layer),
                *bias_options(layer),
            ),
        ),
        options=WINDOW_OPTIONS | {"dilation"},
    ),
    "max_pool": pool("MaxPool2d", 2, "dilation"),
    "batch_norm": replace(
        norm(lambda shape: "BatchNorm2d" if len(shape) == 3 else "BatchNorm1d"), paper_code=3
    ),
    "relu": activation("ReLU", 0.0, code=4),
    "sigmoid": activation("Sigmoid", 0.0, 1.0, code=5),
    "dropout": Kind(
        fields=frozenset({"rate"}),
        shape=same,
        parameters=none,
        macs=none,
        module=lambda layer, shape: ModuleCall("Dropout", (layer.rate,)),
        paper_code=6,
        keeps_sign=True,
    ),
    "average_pool": pool("AvgPool2d", 7, "count_include_pad"),
    "linear": Kind(
        fields=frozenset({"channels", "bias_free"}),
        shape=flat,
        parameters=lambda layer, shape: (
            math.prod(shape) * layer.channels + bias(layer, layer.channels)
        ),
        macs=lambda layer, shape, out: math.prod(shape) * layer.channels,
        module=lambda layer, shape: ModuleCall(
            "Linear", (math.prod(shape), layer.channels), bias_options(layer)
        ),
        paper_code=8,
    ),
    "global_average_pool": Kind(
        fields=frozenset(),
        shape=averaged,
        parameters=none,
        macs=none,
        module=lambda layer, shape: ModuleCall("AdaptiveAvgPool2d", (1,)),
        keeps_sign=True,
    ),
    "add": join(Joining.ADD, added),
    "multiply": join(Joining.MULTIPLY, multiplied),
    "concat": join(Joining.CONCAT, concatenated),
    "relu6": activation("ReLU6", 0.0, 6.0),
    "leaky_relu": activation("LeakyReLU", -math.inf, math.inf, "negative_slope"),
    "elu": activation("ELU", -math.inf, math.inf, "alpha"),
    "gelu": activation("GELU", -math.inf, math.inf, "approximate"),
    "silu": activation("SiLU"),
    "hardswish": activation("Hardswish"),
    "tanh": activation("Tanh", -1.0, 1.0),
    "hardsigmoid": activation("Hardsigmoid", 0.0, 1.0),
    "layer_norm": norm(lambda shape: "LayerNorm"),
    "group_norm": norm(lambda shape: "GroupNorm", "groups", groups=True),
    "slice": moving(sliced, without_module, "begin", "end"),
    "channel_shuffle": moving(
        shuffled,
        lambda layer, shape: ModuleCall("ChannelShuffle", (int(layer.option("groups")),)),
        "groups",
    ),
    "mish": activation("Mish"),
    "selu": activation("SELU"),
    "celu": activation("CELU", -math.inf, math.inf, "alpha"),
    "softplus": activation("Softplus", 0.0, math.inf, "beta", "threshold"),
    "softsign": activation("Softsign", -1.0, 1.0),
    "logsigmoid": activation("LogSigmoid", -math.inf, 0.0, keeps_sign=False),
    "hardtanh": activation("Hardtanh", -math.inf, math.inf, "min_val", "max_val", keeps_sign=False),
    "hardshrink": activation("Hardshrink", -math.inf, math.inf, "lambd"),
    "softshrink": activation("Softshrink", -math.inf, math.inf, "lambd"),
    "tanhshrink": activation("Tanhshrink"),
    "prelu": Kind(
        fields=frozenset(),
        shape=same,
        parameters=lambda layer, shape: shape[0] if layer.option("per_channel") else 1,
        macs=none,
        module=lambda layer, shape: ModuleCall(
            "PReLU", (shape[0],) if layer.option("per_channel") else ()
        ),
        keeps_sign=True,
        options=frozenset({"per_channel"}),
    ),
    "softmax": replace(
        activation("Softmax", 0.0, 1.0), module=lambda layer, shape: ModuleCall("Softmax", (1,))
    ),
    "log_softmax": replace(
        activation("LogSoftmax", -math.inf, 0.0, keeps_sign=False),
        module=lambda layer, shape: ModuleCall("LogSoftmax", (1,)),
    ),
    "local_norm": replace(
        activation("LocalResponseNorm", -math.inf, math.inf, "size", "alpha", "beta", "k"),
        shape=same_map,
        module=lambda layer, shape: ModuleCall(
            "LocalResponseNorm",
            tuple(layer.option(name) for name in ("size", "alpha", "beta", "k")),
        ),
    ),
    "scale": replace(
        activation("", -math.inf, math.inf, "factor", "shift", keeps_sign=False),
        module=without_module,
    ),
    "gain": parameter("weight", 1.0),
    "offset": parameter("bias", 0.0),
    "channel_conv": Kind(
        fields=frozenset({"bias_free"}),
        shape=one_pixel,
        parameters=lambda layer, shape: int(layer.option("size")) + bias(layer, 1),
        macs=lambda layer, shape, out: int(layer.option("size")) * out[0],
        module=lambda layer, shape: ModuleCall(
            "Conv1d",
            (1, 1, int(layer.option("size"))),
            (("padding", int(layer.option("size")) // 2), *bias_options(layer)),
        ),
        options=frozenset({"size"}),
    ),
    "pad": moving(padded, _pad, *SIDES, "mode"),
    "pad_channels": moving(channels_added, without_module, "begin", fields=frozenset({"channels"})),
    "channel_mean": moving(one_channel),
    "channel_max": moving(one_channel),
    "flatten": moving(flattened, lambda layer, shape: ModuleCall("Flatten")),
    "adaptive_average_pool": _resizing("AdaptiveAvgPool2d"),
    "adaptive_max_pool": _resizing("AdaptiveMaxPool2d"),
    "upsample": moving(enlarged, _upsample, *("times", "bilinear", "align_corners")),
    "frozen": Kind(
        fields=frozenset(),
        shape=_as_programmed,
        parameters=lambda layer, shape: _program(layer).weights,
        macs=lambda layer, shape, out: _program(layer).macs,
        module=lambda layer, shape: ModuleCall("Frozen", (layer.option("program"),)),
        options=frozenset({"program"}),
    ),
}

# What is a function of each value alone, without weights.
ACTIVATIONS = (
    *("relu", "sigmoid", "relu6", "leaky_relu", "elu", "gelu", "silu", "hardswish", "tanh"),
    *("hardsigmoid", "mish", "selu", "celu", "softplus", "softsign", "logsigmoid", "hardtanh"),
    *("hardshrink", "softshrink", "tanhshrink"),
)
# Kinds that always stay as they are: nothing is known of what is in them.
STAYING = ("frozen",)
# Kinds of which nothing is proposed: they are what their options say, or stand where only their
# author would put them. Candidates have those that stay, and no others.
NOT_SEARCHED = (
    *STAYING,
    *("slice", "channel_shuffle", "softmax", "log_softmax", "local_norm", "scale", "gain"),
    *("offset", "channel_conv", "pad", "channel_mean", "channel_max", "flatten", "upsample"),
    *("adaptive_average_pool", "adaptive_max_pool"),
)
PAPER_KINDS = tuple(
    sorted((name for name in KINDS if KINDS[name].paper_code), key=lambda n: KINDS[n].paper_code)
)

_NUMERIC_FIELDS = {"kernel": 1, "channels": 1, "stride": 1, "padding": 0}  # field -> least value
_FEW = 13  # kinds that an error message lists
LARGEST_FIELD = 2**20  # no real layer comes near it; keeps products far from overflow in JSON


def output_shape(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    """The shape a layer gives for inputs of these shapes, after all rules of its kind.

    Raises:
        RuleError: the rule that is broken, with the value.
    """
    kind = KINDS.get(layer.kind)
    if kind is None:
        first, more = list(KINDS)[:_FEW], len(KINDS) - _FEW
        raise RuleError(
            f"unknown kind {layer.kind!r}; known are {', '.join(first)} and {more} more"
        )
    _check_fields(layer, kind)
    if kind.joining is Joining.NONE and len(shapes) != 1:
        raise RuleError(f"reads one input but {len(shapes)} are given")
    if kind.joining is not Joining.NONE and len(shapes) < 2:
        raise RuleError("joins at least two inputs but one is given")
    return _shape_of(layer, tuple(shapes))


@lru_cache(maxsize=2**16)
def _shape_of(layer: Layer, shapes: tuple[Shape, ...]) -> Shape:
    return KINDS[layer.kind].shape(layer, shapes)


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
    if layer.options:
        _check_options(layer, kind)
    if "rate" in kind.fields:
        if not 0.0 <= layer.rate < 1.0:
            raise RuleError(f"rate must be in [0, 1), not {layer.rate}")
    elif layer.rate:
        raise RuleError(f"has no rate, so it must be 0, not {layer.rate}")


GELUS = ("none", "tanh")  # what `approximate` may be
_COUNTS = {"groups", "dilation", "height", "width", "size", "times"}  # options that are 1 or more


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
        least = 1 if name in _COUNTS else 0
        if type(value) is int and value < least and name not in SIDES:
            raise RuleError(f"option {name} must be {least} or more, not {value}")
        if type(value) is float and not math.isfinite(value):
            raise RuleError(f"option {name} must be a finite number, not {value}")
        if name == "eps" and float(value) < 0:
            raise RuleError(f"option eps must be 0 or more, not {value}")
        if name == "approximate" and value not in GELUS:
            raise RuleError(f"option approximate must be {' or '.join(GELUS)}, not {value!r}")
    if layer.kind == "hardtanh":
        low, high = (float(layer.option(name)) for name in ("min_val", "max_val"))
        if low >= high:
            raise RuleError(f"option min_val, {low}, must be less than max_val, {high}")
    if layer.kind == "softshrink" and float(layer.option("lambd")) < 0:
        raise RuleError(f"option lambd must be 0 or more, not {layer.option('lambd')}")
