"""A network as one ONNX file."""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from archpress.architecture.onnx_session import open_session
from archpress.architecture.onnx_writing import (
    DEFAULT_OPSET,
    INPUT,
    require_onnx,
    require_opset,
    to_onnx_model,
)
from archpress.errors import ExportError, reason
from archpress.shipping.trained import TrainedNet
from archpress.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

MOST_BYTES = 2**31 - 2**20  # of a protobuf, less what is not weights


def to_onnx(trained: TrainedNet, opset: int = DEFAULT_OPSET) -> bytes:
    """The network as an ONNX file with its weights inside.

    Input `images`, `B x C x H x W`, float32, normalised as in training; output `logits`, `B x K`;
    B is free. Mean, std and class names stand in its metadata.

    Args:
        trained: the network.
        opset: of the operators, 18 or higher.

    Raises:
        ExportError: a package is missing, the opset cannot be written, or torch cannot export it.
    """
    require_onnx()
    require_opset(opset)
    sizes = (math.prod(value.shape) * value.element_size() for value in _weights(trained))
    if sum(sizes) > MOST_BYTES:
        raise ExportError("one ONNX file holds weights of 2 GiB, and the network has more")
    model = to_onnx_model(trained.network, trained.architecture.input_shape, opset)
    return finished_file(model, trained)


def finished_file(model: "ModelProto", trained: TrainedNet) -> bytes:
    """The bytes of a model that onnx finds sound, with what a user of it must know.

    What the exporter notes of its own steps, paths of this machine included, is left out.

    Args:
        model: is changed.
        trained: the network that it was made of.

    Raises:
        ExportError: the model is not sound.
    """
    import onnx

    graph = model.graph
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.initializer,
        *graph.value_info,
    ):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.helper.set_model_props(model, trained.about())
    model.producer_name, model.producer_version = "archpress", __version__
    graph.name = "network"
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"onnx finds the exported network unsound: {reason(error)}") from error
    return bytes(model.SerializeToString())


class OnnxNetwork:
    """An ONNX file as a function of images.

    Args:
        model: the file.
        threads: of onnxruntime.

    Raises:
        EvaluationError: onnxruntime cannot run it.
    """

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        self._session = open_session(model, threads=threads)

    def __call__(self, images: Tensor) -> Tensor:
        """Logits, `B x K`, of images, `B x C x H x W`, float32, normalised."""
        given = np.ascontiguousarray(images.numpy())
        return torch.from_numpy(self._session.run(None, {INPUT: given})[0])


def _weights(trained: TrainedNet) -> list[Tensor]:
    return list(trained.network.state_dict().values())
