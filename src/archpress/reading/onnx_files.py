"""`.onnx` files: their graph as an `Architecture`, their initializers as its weights."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from archpress.architecture.kinds import ACTIVATIONS
from archpress.architecture.onnx_session import open_session
from archpress.architecture.shape_rules import RuleError
from archpress.errors import ArchitectureError, EvaluationError, told
from archpress.reading.operations_onnx import (
    ELEMENTWISE_ONNX,
    NEEDS_BATCH,
    NEEDS_OPSET,
    OF_VECTORS_ONNX,
    ONNX,
    READS_RESHAPED,
)
from archpress.reading.traced import (
    Layers,
    Traced,
    as_rows,
    check_not_shared,
    checked_output,
    in_batches,
)
from archpress.reading.traced_values import BATCH, Pointwise, Reshaped, Step, Value, Weight

if TYPE_CHECKING:
    import onnx

_BATCH = 3  # where the file leaves it free; unlike most sides and numbers of groups
_DOMAINS = ("", "ai.onnx")
_CONTROL = ("If", "Loop", "Scan", "SequenceMap")


@dataclass(frozen=True, slots=True)
class OnnxNet:
    """A file's graph, checked to have one input of images and one output.

    Attributes:
        path: of the file.
        model: what it holds, in ONNX's own classes.
        input_name: of the images.
        shape: `(C, H, W)`; None where the file leaves one of them free.
        batch: how many images it is for; None where that is free.
    """

    path: Path
    model: "onnx.ModelProto"
    input_name: str
    shape: tuple[int, int, int] | None
    batch: int | None


def load_onnx(path: Path) -> OnnxNet:
    """A file, its weights included, also where they lie in a file beside it.

    Raises:
        ArchitectureError: the package onnx is missing, the file is none, or it has not one input of
            images and one output.
    """
    try:
        import onnx
        import onnx.inliner
    except ImportError:
        raise ArchitectureError(
            f"{path} needs the package onnx: pip install 'archpress[onnx]'"
        ) from None
    try:
        model = onnx.load(path)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # of protobuf, of the file system, of files of weights
        raise ArchitectureError(
            f"{path} is no ONNX file that can be read ({told(error)})"
        ) from None
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in stored]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ArchitectureError(
            f"{path} has the inputs {', '.join(one.name for one in inputs) or 'none'} and the "
            f"outputs {', '.join(one.name for one in model.graph.output)}: export it with images "
            "alone in and the logits alone out"
        )
    kind = inputs[0].type.tensor_type
    sizes = [dim.dim_value or None for dim in kind.shape.dim]
    if len(sizes) != 4 or kind.elem_type != onnx.TensorProto.FLOAT:
        raise ArchitectureError(
            f"{path} reads {inputs[0].name}, which is no B x C x H x W of float32: export it so"
        )
    channels, height, width = sizes[1:]
    shape = (channels, height, width) if channels and height and width else None
    return OnnxNet(path, model, inputs[0].name, shape, sizes[0])


def read_onnx(net: OnnxNet, input_shape: tuple[int, int, int]) -> Traced:
    """The layers of a file, with its weights.

    Args:
        net: by `load_onnx`.
        input_shape: `(C, H, W)` of one image.

    Raises:
        ArchitectureError: a node has no layer; the message has its name, what it is, and the way
            round.
    """
    reader = _Reader(net, Layers(input_shape))
    for node in _needed(net.model.graph):
        reader.read(node)
    (output,) = net.model.graph.output
    value = reader.values.get(output.name)
    try:
        if isinstance(value, Pointwise):
            value = reader.layers.as_layers(value, output.name)
        traced = reader.layers.finished(checked_output(value))
    except RuleError as error:
        raise ArchitectureError(f"what {net.path.name} returns {error}") from None
    # Exporters keep equal vectors once, so that only a matrix that is read twice is shared.
    check_not_shared(traced, "node", least_axes=2)
    return traced


def onnx_outputs(net: OnnxNet) -> Callable[[Tensor], Tensor]:
    """What onnxruntime gives for images, `B x C x H x W`; `B x K`.

    Raises:
        EvaluationError: the package onnxruntime is missing or cannot run the file.
    """
    session = open_session(net.path)

    def outputs(images: Tensor) -> Tensor:
        try:
            (found,) = session.run(None, {net.input_name: images.numpy()})
        except Exception as error:  # onnxruntime has classes of its own
            raise EvaluationError(f"onnxruntime cannot run {net.path} ({told(error)})") from None
        return as_rows(torch.from_numpy(found))

    return in_batches(outputs, net.batch)


class _Reader:
    """Reads a graph node by node into `layers`."""

    def __init__(self, net: OnnxNet, layers: Layers) -> None:
        from onnx import numpy_helper

        self.net = net
        self.layers = layers
        self.batch = net.batch or _BATCH
        versions = {one.domain: one.version for one in net.model.opset_import}
        self.opset = next(versions[domain] for domain in _DOMAINS if domain in versions)
        self.values: dict[str, object] = {
            tensor.name: Weight(tensor.name, _tensor(numpy_helper.to_array(tensor)))
            for tensor in net.model.graph.initializer
        }
        self.values[net.input_name] = Value(-1, layers.input_shape)

    def read(self, node: "onnx.NodeProto") -> None:
        """Take one node of the graph, after all that it reads."""
        place = f"node {node.name or node.output[0]} ({node.op_type})"
        try:
            result = self._value(node)
            if isinstance(result, tuple):
                taken = list(result)
            else:
                if isinstance(result, Step) and "." not in result.path:
                    result = replace(result, path="")  # the node's name says more
                found = self.layers.taken(result, node.name or node.output[0])
                taken = found if isinstance(found, list) else [found]
        except RuleError as error:
            raise ArchitectureError(f"{place} {error}") from None
        except Exception as error:  # from the entry of the table
            raise ArchitectureError(
                f"{place} has inputs or attributes that no layer has ({told(error)})"
            ) from None
        self.values.update(zip(node.output, taken, strict=False))

    def _value(self, node: "onnx.NodeProto") -> object:
        from onnx import helper

        inputs = [self.values[name] if name else None for name in node.input]
        if node.op_type in _CONTROL:
            raise RuleError("is control flow: export the net without it")
        if _is_quantised(node.op_type):
            raise RuleError("is of a quantised net: export the net before it is quantised")
        if node.op_type == "Shape" and isinstance(inputs[0], Value):
            return self._shape(node, inputs[0])
        if all(one is None or isinstance(one, Weight) for one in inputs):
            return self._worked_out(node, inputs)
        handler = ONNX.get(node.op_type) if node.domain in _DOMAINS else None
        if handler is None:
            raise RuleError(
                "has no layer kind: use convolutions, linear layers, pools, batch, layer and group "
                f"norms, {', '.join(ACTIVATIONS)}, Add, Mul, Concat and Split"
            )
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        for name, value in attributes.items():
            attributes[name] = value.decode() if isinstance(value, bytes) else value
        if node.op_type not in ELEMENTWISE_ONNX:
            name = node.name or node.output[0]
            inputs = [self.layers.as_layers(one, name) for one in inputs]
        if node.op_type in OF_VECTORS_ONNX:
            inputs[0] = self.layers.as_vectors(inputs[0], node.name or node.output[0])
        if node.op_type not in READS_RESHAPED and any(isinstance(one, Reshaped) for one in inputs):
            raise RuleError("reads a map that is reshaped, as attention does: no layer does")
        more: dict[str, Any] = {}
        if node.op_type in NEEDS_BATCH:
            more["batch"] = self.batch
        if node.op_type in NEEDS_OPSET:
            more["opset"] = self.opset
        if node.op_type == "Split":
            more["outputs"] = len(node.output)
        return handler(attributes, *inputs, **more)

    def _shape(self, node: "onnx.NodeProto", x: Value) -> Weight:
        sizes = [self.batch if size == BATCH else size for size in x.sizes]
        ends = {one.name: one.i for one in node.attribute}
        return Weight("", torch.tensor(sizes[ends.get("start", 0) : ends.get("end", len(sizes))]))

    def _worked_out(self, node: "onnx.NodeProto", inputs: list[Any]) -> object:
        """What a node gives that does not depend on the images."""
        import numpy
        from onnx import TypeProto, helper
        from onnx.reference import ReferenceEvaluator

        arrays = {
            name: one.value.numpy() if one.value.dim() else numpy.array(one.value.item())
            for name, one in zip(node.input, inputs, strict=True)
            if one is not None
        }
        arrays = {name: value.astype(_kept(value)) for name, value in arrays.items()}
        given = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in arrays.items()
        ]
        wanted = [helper.make_value_info(name, TypeProto()) for name in node.output if name]
        graph = helper.make_graph([node], "constant", given, wanted)
        model = helper.make_model(graph, opset_imports=self.net.model.opset_import)
        found = ReferenceEvaluator(model).run(None, arrays)
        paths = [one.path for one in inputs if one is not None and one.path]
        path = paths[0] if len(paths) == 1 else "" if paths else node.output[0]
        return tuple(Weight(path, _tensor(numpy.asarray(array))) for array in found)


def _kept(array: Any) -> Any:  # noqa: ANN401 an array; its type
    import numpy

    return numpy.float32 if array.dtype == numpy.float64 else array.dtype


def _tensor(array: Any) -> Tensor:  # noqa: ANN401 an array of numpy
    tensor = torch.from_numpy(array.astype("float32") if array.dtype.kind == "V" else array.copy())
    return tensor.float() if tensor.is_floating_point() else tensor


def _is_quantised(operation: str) -> bool:
    names = ("quantize", "qlinear", "integer")
    return any(name in operation.lower() for name in names)


def _needed(graph: "onnx.GraphProto") -> list["onnx.NodeProto"]:
    """The nodes that the output depends on, in order."""
    names = {one.name for one in graph.output}
    needed = []
    for node in reversed(graph.node):
        if names.intersection(node.output):
            names.update(node.input)
            needed.append(node)
    return needed[::-1]
