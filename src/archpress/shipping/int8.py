"""An ONNX file with eight bits for weights and activations, made by onnxruntime."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from archpress.architecture.onnx_writing import INPUT, require_onnx
from archpress.architecture.quiet import quiet
from archpress.data import Split
from archpress.errors import ExportError, reason
from archpress.shipping.onnx_file import finished_file
from archpress.shipping.trained import TrainedNet

BATCH = 64  # images a pass; the ranges do not depend on it


def to_int8(model: bytes, trained: TrainedNet, calibration: Split | None) -> bytes:
    """Quantise an ONNX file.

    Args:
        model: of `to_onnx`.
        trained: the network that it was made of.
        calibration: images, uint8, whose least and largest activations set the ranges, layer by
            layer; weights get a scale a channel. None: each pass sets its ranges itself.

    Raises:
        ExportError: a package is missing, or onnxruntime cannot quantise it.
    """
    require_onnx()
    import onnx
    from onnxruntime import quantization

    with TemporaryDirectory() as folder, quiet():
        before, after = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(onnx.shape_inference.infer_shapes(onnx.load_from_string(model)), before)
        try:
            if calibration is None:
                quantization.quantize_dynamic(
                    before,
                    after,
                    weight_type=quantization.QuantType.QUInt8,  # signed: 4 times slower on x86
                    per_channel=True,
                )
            else:
                quantization.quantize_static(
                    before,
                    after,
                    _reader(trained, calibration),
                    quant_format=quantization.QuantFormat.QDQ,
                    activation_type=quantization.QuantType.QUInt8,  # signed: up to 3 times slower
                    weight_type=quantization.QuantType.QInt8,
                    per_channel=True,
                )
        except Exception as error:  # the quantiser raises whatever its parts do
            raise ExportError(
                f"onnxruntime cannot quantise this network: {reason(error)}"
            ) from error
        quantised = onnx.load(after)
    return finished_file(quantised, trained)


def _reader(trained: TrainedNet, images: Split) -> object:
    """The images as onnxruntime's calibration reads them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = _batches(trained, images.images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self._batches, None)

    return Reader()


def _batches(trained: TrainedNet, images: Tensor) -> Iterator[dict[str, np.ndarray]]:
    for batch in torch.split(images, BATCH):
        normalised = trained.normalisation.apply(batch)
        yield {INPUT: np.ascontiguousarray(normalised.numpy())}
