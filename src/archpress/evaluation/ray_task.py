"""What a node of a Ray cluster does: one training, in a process that Ray starts and keeps."""

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import torch

from archpress.data import ImageData
from archpress.errors import EvaluationError
from archpress.evaluation.job import Job, run_job
from archpress.evaluation.preparation import prepare
from archpress.evaluation.process import limited_memory, warm_up
from archpress.evaluation.trial import Trial
from archpress.version import __version__

GRACE = 30.0  # seconds after its time limit in which a training must hear that it is over

_data: dict[str, ImageData] = {}  # of this process, by key; only the last


@dataclass(frozen=True, slots=True)
class Order:
    """One training, as it is sent to a node.

    Attributes:
        job: its paths are those of the driver; what is in the files comes beside it.
        data_key: of the images.
        version: of archpress at the driver.
        device: that torch knows on the node.
        time_limit: seconds that the training may take.
        memory_limit: bytes that it may add to the process, on a CPU.
    """

    job: Job
    data_key: str
    version: str
    device: str
    time_limit: float | None
    memory_limit: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """What comes back.

    Attributes:
        trial: of the job.
        weights: contents of the file of weights, where it was asked for and the trial is done.
    """

    trial: Trial
    weights: bytes | None


class TimeLimitError(Exception):
    """A training takes too long."""


def train_there(order: Order, placed: Mapping[str, Any]) -> Report:
    """Do an order.

    Args:
        order: what to do.
        placed: references to what lies in the object store: "data", `ImageData`; "teacher" and
            "start", contents of files, where the job has them. In a mapping, so that Ray does not
            fetch the images for a process that has them.

    Raises:
        EvaluationError: this node has another version of archpress than the driver.
    """
    import ray

    if order.version != __version__:
        raise EvaluationError(
            f"node {socket.gethostname()} has archpress {__version__}, the driver "
            f"{order.version}; install the same on all nodes"
        )
    torch.set_num_threads(1)
    warm_up()
    if order.data_key not in _data:
        _data.clear()
        _data[order.data_key] = ray.get(placed["data"])
    data = _data[order.data_key]
    with TemporaryDirectory(prefix="archpress-") as folder:
        files = {name: Path(folder) / name for name in ("teacher", "start")}
        for name in placed.keys() & files.keys():
            files[name].write_bytes(ray.get(placed[name]))
        weights = Path(folder) / "weights.safetensors"
        trial = _run(replace(order, job=_here(order.job, weights, files)), data)
        done = trial.done and order.job.save_weights is not None
        return Report(trial, weights.read_bytes() if done else None)


def _here(job: Job, weights: Path, files: Mapping[str, Path]) -> Job:
    """The job with paths of this node."""
    return replace(
        job,
        save_weights=weights if job.save_weights else None,
        teacher_logits=files["teacher"] if job.teacher_logits else None,
        initial_weights=files["start"] if job.initial_weights else None,
    )


def _run(order: Order, data: ImageData) -> Trial:
    job, limit = order.job, order.memory_limit
    prepare(data, job.recipe, torch.device(order.device))  # the data are no part of a trial
    limited = limit is not None and order.device == "cpu"
    try:
        with (
            _limited_time(order.time_limit),
            limited_memory(limit or 0) if limited else nullcontext(),
        ):
            return run_job(job, data, device=order.device, resumes=False)  # its folder goes
    except TimeLimitError as error:  # it ended in that very moment
        return job.failed(data.key, f"TimeLimit: {error}", order.time_limit or 0.0)


@contextmanager
def _limited_time(seconds: float | None) -> Iterator[None]:
    """A training that takes longer fails; one that does not even hear it ends its process."""
    if seconds is None:
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimitError(f"stopped after {seconds:g} seconds")

    deaf = threading.Timer(seconds + GRACE, os._exit, [1])
    deaf.daemon = True
    before = signal.signal(signal.SIGALRM, ring)
    deaf.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        deaf.cancel()
