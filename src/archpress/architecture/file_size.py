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
_COUNTER = 8  # bytes of a batch norm's count of the batches seen, int64


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
    for name, shape in sorted(tensors, key=lambda one: (bool(one[1]), one[0])):
        size = BYTES_PER_VALUE * math.prod(shape) if shape else _COUNTER
        end, begin = end + size, end
        dtype = "F32" if shape else "I64"
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": (begin, end)}
    text = len(json.dumps(header, separators=(",", ":")))
    return LENGTH + ALIGNMENT * math.ceil(text / ALIGNMENT) + end


def _tensors(call: ModuleCall) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each tensor that a module keeps; the int64 one has no axis."""
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
            yield "num_batches_tracked", ()
        case "LayerNorm" | "GroupNorm":
            weight = call.arguments[-1:]
        case _:
            return
    if options.get("affine", options.get("elementwise_affine", True)):
        yield "weight", weight
        if options.get("bias", True):
            yield "bias", weight[:1]
