"""In which numbers a training computes: float32, or bfloat16 where the processor is faster so."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast, get_args

import torch
from torch import nn

from archpress.errors import EvaluationError

Precision = Literal["float32", "bfloat16"]
PRECISIONS = ("auto", *get_args(Precision))
AMPERE = (8, 0)  # first of NVIDIA's with units for bfloat16


def choose_precision(name: str, device: str = "cpu") -> Precision:
    """The precision to train in.

    Args:
        name: "float32", "bfloat16", or "auto": bfloat16 where the device has units for it.
        device: as `choose_device` names it, not "auto".

    Raises:
        EvaluationError: another name, or bfloat16 on MPS.
    """
    if name not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise EvaluationError(f"no precision is called {name!r}; known are {known}")
    if name == "bfloat16" and device == "mps":
        raise EvaluationError("bfloat16 is for cpu and cuda; on mps nets train in float32")
    if name == "auto":
        return "bfloat16" if _has_units(device) else "float32"
    return cast("Precision", name)


def computing(
    network: nn.Module, precision: Precision, device: torch.device
) -> AbstractContextManager[object]:
    """Where a network's forward pass computes in a precision; its weights stay float32.

    Depthwise and other grouped convolutions are slower in bfloat16 on a CPU (a third less images a
    second in a net of them), so a network that has one computes in float32 there.
    """
    if precision == "float32" or device.type == "mps":
        return nullcontext()
    is_slower = device.type == "cpu" and any(
        isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules()
    )
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=not is_slower)


def _has_units(device: str) -> bool:
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= AMPERE
    return device == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))
