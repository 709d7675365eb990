"""How long an ONNX file takes on this machine: the same measure, by onnxruntime."""

from typing import Any

import numpy as np
from torch.utils.benchmark import Timer

from archpress.errors import EvaluationError
from archpress.evaluation.latency import Stopwatch

SILENT = 4  # onnxruntime's severity "fatal"


def open_session(model: bytes, *, threads: int = 1) -> Any:  # noqa: ANN401
    """An `onnxruntime.InferenceSession` on the CPU.

    Args:
        model: the ONNX file.
        threads: that one pass may use.

    Raises:
        EvaluationError: onnxruntime is not installed, or cannot run the model.
    """
    try:
        import onnxruntime
    except ImportError:
        raise EvaluationError("ONNX files need more: pip install 'archpress[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = SILENT
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises classes of its own that share no other base
        reason = str(error).strip().splitlines()[0]
        raise EvaluationError(f"onnxruntime cannot run the network: {reason}") from None


def onnx_stopwatch(
    model: bytes, input_shape: tuple[int, int, int], *, batch: int = 1, threads: int = 1
) -> Stopwatch:
    """An ONNX file with one input that is ready to be timed on the CPU, see `measure_in_turns`.

    Args:
        model: the ONNX file.
        input_shape: `(C, H, W)` of an image.
        batch: images a pass.
        threads: of onnxruntime.

    Raises:
        EvaluationError: onnxruntime is not installed, or cannot run the model.
    """
    session = open_session(model, threads=threads)
    images = {session.get_inputs()[0].name: np.zeros((batch, *input_shape), np.float32)}
    timer = Timer("session.run(None, images)", globals={"session": session, "images": images})
    return Stopwatch(timer, batch, threads, "cpu", "onnxruntime")
