"""The state of a long training in a file, so that one that was killed goes on from there."""

import hashlib
import pickle
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from archpress.whole_files import whole_file

SECONDS = 60.0  # between two writings; trials of seconds never write one


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a training was after an epoch.

    Attributes:
        epoch: that is done, 1 for the first.
        seconds: that the training has taken so far.
        train_loss: mean over the epoch's steps.
        curve: validation accuracies so far.
        network: its weights and running statistics.
        optimizer: its state.
        order: state of the generator of batches and augmentation.
        dropout: state of torch's global generator: that of the GPU where the training is on CUDA.
    """

    epoch: int
    seconds: float
    train_loss: float
    curve: list[float]
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    order: Tensor
    dropout: Tensor


class Checkpoint:
    """A file that is written after an epoch, at most once a minute.

    A file that cannot be written or read costs the training nothing but the time it would save.

    Args:
        path: of the file; None: nothing is written.
        about: what decides the training; a file about another one is passed over.
    """

    def __init__(self, path: Path | None, about: Iterable[object]) -> None:
        self._path = path
        self._about = hashlib.sha256(repr([torch.__version__, *about]).encode()).hexdigest()
        self._written = time.monotonic()
        for half in () if path is None else path.parent.glob(f"{path.name}.*.unfinished"):
            with suppress(OSError):  # of a process that was killed while it wrote
                half.unlink(missing_ok=True)

    def read(self) -> TrainingState | None:
        """What an earlier training of the same left; None where there is nothing."""
        if self._path is None or not self._path.exists():
            return None
        try:
            found = torch.load(self._path, map_location="cpu", weights_only=True)
            return TrainingState(**found["state"]) if found["about"] == self._about else None
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError):
            return None

    @property
    def is_due(self) -> bool:
        """Whether enough time has gone by."""
        return self._path is not None and time.monotonic() - self._written >= SECONDS

    def write(self, state: TrainingState) -> None:
        """Keep a state in the place of the one before."""
        assert self._path is not None
        with suppress(OSError, RuntimeError), whole_file(self._path) as unfinished:
            values = {one.name: getattr(state, one.name) for one in fields(state)}
            torch.save({"about": self._about, "state": values}, unfinished)
        self._written = time.monotonic()

    def remove(self) -> None:
        """It is of no use any more."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)


def fingerprint(tensors: Iterable[Tensor]) -> str:
    """16 hex digits over values."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
