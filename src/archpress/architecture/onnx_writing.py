"""A network as a model of ONNX, by torch's exporter."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from archpress.architecture.quiet import quiet
from archpress.errors import ExportError, reason

if TYPE_CHECKING:
    from onnx import ModelProto

LOWEST_OPSET, DEFAULT_OPSET = 18, 18  # torch writes no lower one; runtimes since 2023 read it
INPUT, OUTPUT = "images", "logits"


def require_onnx() -> None:
    """Refuse to go on without the packages of the extra.

    Raises:
        ExportError: one of them is not installed; says how to install them.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ExportError(
            f"exporting to ONNX needs {error.name}: pip install 'archpress[onnx]'"
        ) from None


def require_opset(opset: int) -> None:
    """Refuse an opset that cannot be written here.

    Raises:
        ExportError: it is too low for torch, or too high for the onnx that is installed.
    """
    import onnx

    highest = onnx.defs.onnx_opset_version()
    if not LOWEST_OPSET <= opset <= highest:
        raise ExportError(f"the opset must be {LOWEST_OPSET} to {highest}, not {opset}")


def to_onnx_model(
    network: nn.Module, input_shape: tuple[int, int, int], opset: int = DEFAULT_OPSET
) -> "ModelProto":
    """A network as torch exports it; the batch is free.

    Args:
        network: in evaluation mode.
        input_shape: `(C, H, W)` of an image.
        opset: of the operators, see `require_opset`.

    Raises:
        ExportError: torch cannot export it, or in no such opset.
    """
    try:
        with quiet():
            program = torch.onnx.export(
                network,
                (torch.zeros(2, *input_shape),),
                dynamo=True,
                opset_version=opset,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever its parts do
        raise ExportError(f"torch cannot export this network to ONNX: {reason(error)}") from error
    assert program is not None
    model = program.model_proto
    if model.opset_import[0].version != opset:
        written = model.opset_import[0].version
        raise ExportError(f"torch writes this network in opset {written}, not in {opset}")
    return model
