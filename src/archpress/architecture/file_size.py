"""How many bytes the weights of a net take in a file, known before there are any.

The file is `weights.safetensors` of a run folder: float32, parameters and what norms keep of the
images they have seen; of frozen layers what they have. Its format is a length of eight bytes, a
JSON header that is filled up to a multiple of eight, and the tensors without gaps
(https://github.com/huggingface/safetensors).
"""

import json
import math
from collections.abc import Iterator

from archpress.architecture.architecture import Architecture
from archpress.architecture.blocks import written_names
from archpress.architecture.frozen_program import SIZES, read_program
from archpress.architecture.layers import ModuleCall
from archpress.architecture.network import module_call

LENGTH = ALIGNMENT = 8  # bytes
SPLIT_SEED = "split_seed"  # by which the images were divided, in the head of the file
SEED_DIGITS = 20  # so that it takes the same room, whatever it is
COUNTER = "num_batches_tracked"  # of a batch norm, int64
# In the order in which the format has them, and by its names.
_CODES = {
    **{"int64": "I64", "float32": "F32", "int32": "I32", "int16": "I16"},
    **{"uint8": "U8", "int8": "I8", "bool": "BOOL"},
}
_ORDER = ("int64", "float32", "int32", "int16", "int8", "uint8", "bool")


def weights_file_size(architecture: Architecture) -> int:
    """Bytes of `weights.safetensors`, exactly.

    >>> from archpress.architecture.zoo import named
    >>> net = named("tiny")
    >>> net.parameters, weights_file_size(net)
    (6330, 27744)
    """
    tensors = []
    for index, name in enumerate(written_names(architecture)):
        call = module_call(architecture, index)
        if call is not None:
            found = _typed_tensors(call)
            tensors += [(f"{name}.{part}", shape, dtype) for part, shape, dtype in found]
    header: dict[str, object] = {"__metadata__": {SPLIT_SEED: "0" * SEED_DIGITS}}
    end = 0
    for name, shape, dtype in sorted(tensors, key=lambda one: (_ORDER.index(one[2]), one[0])):
        end, begin = end + SIZES[dtype] * math.prod(shape), end
        header[name] = {
            "dtype": _CODES[dtype],
            "shape": shape,
            "data_offsets": (begin, end),
        }
    text = len(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode())
    return LENGTH + ALIGNMENT * math.ceil(text / ALIGNMENT) + end


def _typed_tensors(call: ModuleCall) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Name, shape and type of each tensor that a module keeps."""
    if call.name == "Frozen":
        program = read_program(call.arguments[0])
        for held in (*program.parameters, *program.buffers):
            yield held.name, held.shape, held.dtype
        return
    for name, shape in _tensors(call):
        yield name, shape, "int64" if name == COUNTER else "float32"


def _tensors(call: ModuleCall) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of each tensor that a module of torch keeps."""
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
