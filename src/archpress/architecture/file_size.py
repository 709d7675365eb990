"""How many bytes the weights of a net take in a file, known before there are any.

The file is `weights.safetensors` of a run folder: float32, parameters and what norms keep of the
images they have seen. Its format is a length of eight bytes, a JSON header that is filled up to a
multiple of eight, and the tensors without gaps (https://github.com/huggingface/safetensors).
"""

import json
import math
from collections.abc import Iterator

from archpress.architecture.architecture import BYTES_PER_VALUE, Architecture
from archpress.architecture.layers import ModuleCall
from archpress.architecture.network import layer_names, module_call

LENGTH = ALIGNMENT = 8  # bytes
COUNTER, _COUNTER_SIZE = "num_batches_tracked", 8  # of a batch norm, int64


def weights_file_size(architecture: Architecture) -> int:
    """Bytes of `weights.safetensors`, exactly.

    >>> from archpress.architecture.zoo import named
    >>> net = named("tiny")
    >>> net.parameters, weights_file_size(net)
    (6330, 27560)
    """
    tensors = []
    for index, name in enumerate(layer_names(architecture)):
        call = module_call(architecture, index)
        if call is not None:
            tensors += [(f"{name}.{part}", shape) for part, shape in _tensors(call)]
    header: dict[str, object] = {}
    end = 0
    for name, shape in sorted(tensors, key=lambda one: (not one[0].endswith(COUNTER), one[0])):
        is_counter = name.endswith(COUNTER)
        size = _COUNTER_SIZE if is_counter else BYTES_PER_VALUE * math.prod(shape)
        end, begin = end + size, end
        dtype = "I64" if is_counter else "F32"
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (begin, end)}
    text = len(json.dumps(header, separators=(",", ":")))
    return LENGTH + ALIGNMENT * math.ceil(text / ALIGNMENT) + end


def _tensors(call: ModuleCall) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each tensor that a module keeps."""
    options = dict(call.options)
    match call.name:
        case "Conv2d":
            read, channels, kernel = call.arguments
            window = kernel if isinstance(kernel, tuple) else (kernel, kernel)
            weight = (channels, read // options.get("groups", 1), *window)
        case "Linear":
            read, channels = call.arguments
            weight = (channels, read)
        case "BatchNorm1d" | "BatchNorm2d":
            weight = call.arguments
            yield from (("running_mean", weight), ("running_var", weight))
            yield COUNTER, ()
        case "LayerNorm" | "GroupNorm":
            weight = call.arguments[-1:]
        case "PReLU":
            weight, options["bias"] = call.arguments or (1,), False
        case "Conv1d":
            read, channels, kernel = call.arguments
            weight = (channels, read, kernel)
        case "ParameterDict":
            yield from ((name, shape) for name, shape, _ in call.arguments)
            return
        case _:
            return
    if options.get("affine", options.get("elementwise_affine", True)):
        yield "weight", weight
        if options.get("bias", True):
            yield "bias", weight[:1]
