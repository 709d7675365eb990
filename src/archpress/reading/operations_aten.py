"""The operations of torch.export's graphs that are layers; a third table beside `operations`.

Most are called as the function of PyTorch, or the method of a tensor, of the same name. `ATEN` has
those that are not; in both, an operation that works in place is known by the name of the other.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import torch

from archpress.architecture.shape_rules import RuleError
from archpress.reading.operations import FUNCTIONS, Handler
from archpress.reading.operations_elementwise import (
    activation,
    between,
    concatenate,
    dropout_called,
    hardtanh,
    prelu,
    softmax,
    subtract,
)
from archpress.reading.operations_parts import pad, picked, split, take
from archpress.reading.operations_pools import (
    adaptive_pool,
    average_pool,
    max_pool,
    upsample,
)
from archpress.reading.operations_shapes import same, view, whole_again
from archpress.reading.operations_weights import (
    addmm,
    batch_norm,
    conv,
    group_norm,
    instance_norm,
    layer_norm,
    linear,
    matrix_product,
)
from archpress.reading.traced_values import Step, Value, Weight, plain


def _convolution(
    x: Value,
    weight: Weight,
    bias: Weight | None,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
) -> Step:
    plain("transposed", bool(transposed), False, "use a convolution that is not turned round")
    return conv(x, weight, bias, stride, padding, dilation, groups)


def _batch_norm(
    x: Value,
    weight: Weight | None,
    bias: Weight | None,
    running_mean: Weight | None,
    running_var: Weight | None,
    *numbers: Any,  # noqa: ANN401 training, where the operation has it; momentum, eps; more
) -> Step:
    training, _, eps = (numbers if isinstance(numbers[0], bool) else (False, *numbers))[:3]
    return batch_norm(x, running_mean, running_var, weight, bias, training, eps=eps)


def _group_norm(
    x: Value,
    weight: Weight | None,
    bias: Weight | None,
    images: int,
    channels: int,
    pixels: int,
    groups: int,
    eps: float,
) -> list[object]:
    return [group_norm(x, groups, weight, bias, eps)]


def _first(handler: Handler, *arguments: object, **options: object) -> list[object]:
    """Of an operation that gives statistics or places beside its result."""
    return [handler(*arguments, **options)]


def _gelu(x: Value, *, approximate: str = "none") -> object:
    return activation("gelu", x, approximate)


def _elu(x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> object:
    plain("scale", (scale, input_scale), (1.0, 1.0), "use ELU")
    return activation("elu", x, alpha)


def _strided(x: Value, sizes: list[Any], strides: list[int], offset: int | None = None) -> Value:
    """One pixel a channel in another place of memory, as a mean of a turned map is written."""
    is_same = tuple(sizes) == x.sizes and x.sizes[2:] == (1, 1) and strides[1] == 1
    if not is_same or offset:
        raise RuleError("takes values by their place in memory: take them by channels")
    return x


def _size(size: Any) -> Any:  # noqa: ANN401 two numbers, or none where there are factors
    return list(size) if size else None


def _indexed(x: Value, places: list[object]) -> object:
    """By numbers along the last of these axes, of which there is one."""
    if any(one is not None for one in places[:-1]):
        raise RuleError("takes values by several indices: take channels by their number")
    return picked(x, places[-1], len(places) - 1)


def _shuffled(x: Value, groups: int) -> object:
    return whole_again(replace(x, groups=groups, shuffled=True))


ATEN: dict[str, Handler] = {
    "conv2d": conv,
    "convolution": _convolution,
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": partial(_first, _batch_norm),
    "_native_batch_norm_legit": partial(_first, _batch_norm),
    "native_batch_norm": partial(_first, _batch_norm),
    "cudnn_batch_norm": partial(_first, _batch_norm),
    "linear": linear,
    "addmm": addmm,
    "mm": matrix_product,
    "matmul": matrix_product,
    "layer_norm": layer_norm,
    "native_layer_norm": partial(_first, layer_norm),
    "group_norm": group_norm,
    "native_group_norm": _group_norm,
    "max_pool2d": max_pool,
    "max_pool2d_with_indices": partial(_first, max_pool),
    "adaptive_max_pool2d": partial(_first, partial(adaptive_pool, "max_pool")),
    "gelu": _gelu,
    "elu": _elu,
    "hardtanh": hardtanh,
    "clamp": between,
    "clamp_min": between,
    "clamp_max": lambda x, most: between(x, None, most),
    "rsub": lambda x, other: subtract(other, x),
    "_adaptive_avg_pool2d": partial(adaptive_pool, "average_pool"),
    "adaptive_avg_pool2d": partial(adaptive_pool, "average_pool"),
    "avg_pool2d": average_pool,
    "cat": concatenate,
    "dropout": dropout_called,
    "feature_dropout": dropout_called,
    "native_dropout": partial(_first, dropout_called),
    "_unsafe_view": view,
    "as_strided": _strided,
    "channel_shuffle": _shuffled,
    "split_with_sizes": split,
    "slice": take,
    "index": _indexed,
    "log_sigmoid": partial(activation, "logsigmoid"),
    "pad": pad,
    "constant_pad_nd": lambda x, sides, value=0: pad(x, sides, value=value),
    "reflection_pad2d": lambda x, sides: pad(x, sides, "reflect"),
    "replication_pad2d": lambda x, sides: pad(x, sides, "replicate"),
    "_softmax": lambda x, dim, *_: softmax("softmax", x, dim),
    "_log_softmax": lambda x, dim, *_: softmax("log_softmax", x, dim),
    "upsample_nearest2d": lambda x, size, *scales: upsample(x, _size(size), *scales[:1]),
    "upsample_bilinear2d": lambda x, size, align, *scales: upsample(
        x, _size(size), scales[0] if scales else None, "bilinear", align
    ),
    "instance_norm": lambda x, weight, bias, mean, var, use, momentum, eps, *_: instance_norm(
        x, mean, var, weight, bias, use, momentum, eps
    ),
    "prelu": prelu,
    "_prelu_kernel": prelu,
}
_UNCHANGED = (
    *("_to_copy", "to", "contiguous", "clone", "detach", "alias", "lift_fresh", "lift_fresh_copy"),
    *("expand_as", "type_as", "float"),
)
ATEN.update(dict.fromkeys(_UNCHANGED, same))
ELEMENTWISE_ATEN = frozenset({_gelu, _elu})


def operation(name: str) -> Handler | None:
    """How to take an operation, by its name without the overload."""
    for one in (name, name.removesuffix("_")):
        handler = ATEN.get(one) or FUNCTIONS.get(one) or FUNCTIONS.get(getattr(torch, one, None))
        if handler is not None:
            return handler
    return None
