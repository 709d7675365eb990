"""onnxruntime, as all that runs an ONNX file starts it."""

from pathlib import Path
from typing import Any

from archpress.errors import EvaluationError, reason

SILENT = 4  # onnxruntime's severity "fatal"


def open_session(model: bytes | Path, *, threads: int = 1) -> Any:  # noqa: ANN401
    """An `onnxruntime.InferenceSession` on the CPU.

    Args:
        model: the ONNX file, or its path, where weights may lie in a file beside it.
        threads: that one pass may use.

    Raises:
        EvaluationError: onnxruntime is not installed, or cannot run the model.
    """
    try:
        import onnxruntime
    except ImportError:
        raise EvaluationError(
            "running ONNX files needs the package onnxruntime: pip install 'archpress[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = SILENT
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises classes of its own that share no other base
        raise EvaluationError(f"onnxruntime cannot run the network: {reason(error)}") from None
