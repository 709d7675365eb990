"""Which device a name means on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from archpress.errors import EvaluationError

DEVICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> str:
    """The device to train on.

    Args:
        name: "cpu", "cuda" (or "cuda:1"), "mps", or "auto": CUDA where there is one, else the CPU.
            Small nets gain little from MPS, so it is taken only where it is asked for.

    Returns:
        A name that torch knows.

    Raises:
        EvaluationError: no such device, or this machine has none.
    """
    kind, _, number = name.partition(":")
    if kind not in DEVICES or (kind != name and not (kind == "cuda" and number.isdecimal())):
        known = ", ".join(DEVICES)
        raise EvaluationError(f"no device is called {name!r}; known are {known}, and cuda:1")
    if kind == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise EvaluationError("device 'cuda' was asked for, but torch finds no CUDA device here")
    if number and int(number) >= torch.cuda.device_count():
        raise EvaluationError(
            f"device {name!r} was asked for, but the last one here is "
            f"'cuda:{torch.cuda.device_count() - 1}'"
        )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise EvaluationError("device 'mps' was asked for, but torch finds no such device here")
    return name


def cores() -> int:
    """CPU cores that this process may use; in a container often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use so many threads in this process, and as many as before afterwards.

    One while workers train: threads that wait for each other on a busy core made a fit ten times
    slower than one thread alone.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
