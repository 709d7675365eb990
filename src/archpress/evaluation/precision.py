"""In which numbers a training computes: float32, or bfloat16 where the processor is faster so."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast, get_args

import torch
from torch import nn

from archpress.architecture.frozen import Frozen
from archpress.errors import EvaluationError

Precision = Literal["float32", "bfloat16"]
PRECISION_NAMES = ("auto", *get_args(Precision))
AMPERE = (8, 0)  # compute capability of NVIDIA's first with units for bfloat16


def choose_precision(name: str, device: str = "cpu") -> Precision:
    """The precision to train in.

    Args:
        name: "float32", "bfloat16", or "auto": bfloat16 where the device has matrix units for it,
            which are AMX of a CPU and those of NVIDIA's from Ampere on.
        device: as `choose_device` names it, not "auto".

    Raises:
        EvaluationError: another name, or bfloat16 on MPS.
    """
    if name not in PRECISION_NAMES:
        known = ", ".join(PRECISION_NAMES)
        raise EvaluationError(f"no precision is called {name!r}; known are {known}")
    if name == "auto":
        return "bfloat16" if _has_units(device) else "float32"
    precision = cast("Precision", name)
    _refuse_mps(precision, device)
    return precision


def precision_of(network: nn.Module, precision: Precision, device: torch.device) -> Precision:
    """What a network computes in where its recipe says a precision.

    Parts that stay as they are (`Frozen`) may not bear mixed numbers, and depthwise and other
    grouped convolutions took 1.3 to 1.6 times as long in bfloat16 on a CPU: such networks compute
    in float32.

    Raises:
        EvaluationError: bfloat16 on MPS.
    """
    _refuse_mps(precision, device.type)
    for module in network.modules():
        is_grouped = isinstance(module, nn.Conv2d) and module.groups > 1
        if isinstance(module, Frozen) or (is_grouped and device.type == "cpu"):
            return "float32"
    return precision


def computing(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Where forward passes compute in a precision of `precision_of`; weights stay float32."""
    if precision == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def _has_units(device: str) -> bool:
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device) >= AMPERE
    told = getattr(torch.cpu, "get_capabilities", dict)  # older torch does not tell
    capabilities: dict[str, object] = told()
    return device == "cpu" and bool(capabilities.get("amx_bf16"))


def _refuse_mps(precision: Precision, device: str) -> None:
    if precision == "bfloat16" and device == "mps":
        raise EvaluationError("bfloat16 is for cpu and cuda; on mps nets train in float32")
