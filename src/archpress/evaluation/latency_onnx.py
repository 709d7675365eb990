"""How long an ONNX file takes on this machine: the same measure, by onnxruntime."""

import numpy as np
from torch.utils.benchmark import Timer

from archpress.architecture.onnx_session import open_session
from archpress.evaluation.latency import Stopwatch


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
