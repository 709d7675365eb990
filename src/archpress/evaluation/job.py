"""`Job`: one training as a message, and doing it: whatever happens, a trial comes out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from archpress.architecture.weight_files import write_weights
from archpress.data import ImageData
from archpress.errors import EvaluationError
from archpress.evaluation.recipe import Recipe
from archpress.evaluation.training import TrainingResult, train
from archpress.evaluation.trial import Candidate, Trial, TrialState, failed_trial


@dataclass(frozen=True, slots=True)
class Job:
    """One training to be done, here or in a worker.

    Attributes:
        candidate: what to train.
        recipe: how.
        seed: of the training.
        save_weights: `.safetensors` file for the trained weights; it appears whole or not at all.
        teacher_logits: `.npy` file of `2 x N x K`, float32, see `training.teacher_logits_of`.
        initial_weights: `.safetensors` file to start from; the recipe's `start` says which they
            are, so that the trial is not taken for one that started from fresh weights.

    Raises:
        EvaluationError: initial weights without the recipe's `start`, or the other way round.
    """

    candidate: Candidate
    recipe: Recipe
    seed: int
    save_weights: Path | None = None
    teacher_logits: Path | None = None
    initial_weights: Path | None = None

    def __post_init__(self) -> None:
        """Check that weights and recipe tell the same."""
        if self.initial_weights is not None and not self.recipe.start:
            raise EvaluationError(
                f"recipe {self.recipe.name!r} must say in `start` what the initial weights "
                f"{self.initial_weights} are"
            )
        if self.initial_weights is None and self.recipe.start:
            raise EvaluationError(
                f"recipe {self.recipe.name!r} starts from {self.recipe.start!r} but no initial "
                f"weights are given"
            )

    def failed(self, data_key: str, error: str, seconds: float = 0.0) -> Trial:
        """The record of this job as failed, for the reason `error` ("Type: message")."""
        return failed_trial(
            self.candidate,
            data=data_key,
            recipe=self.recipe.key,
            seed=self.seed,
            error=error,
            seconds=seconds,
        )


def longest_first(jobs: Sequence[Job], data: ImageData) -> list[Job]:
    """Jobs by their multiply-adds, so that no long one is left for the end."""

    def cost(job: Job) -> int:
        images = job.recipe.train_images or len(data.train)
        return job.candidate.architecture.macs * images * job.recipe.epochs

    return sorted(jobs, key=cost, reverse=True)


def run_job(
    job: Job, data: ImageData, *, device: str = "cpu", threads: int = 1, resumes: bool = True
) -> Trial:
    """Train what a job asks for.

    Args:
        job: what to train and how.
        data: on what.
        device: as `choose_device` names it, not "auto".
        threads: of torch, on a CPU.
        resumes: whether a training whose weights are saved leaves its state beside them until then,
            and goes on from what a killed one left there.

    Returns:
        The trial, failed for any reason but the user's interruption.
    """
    started = time.perf_counter()
    weights = job.save_weights
    checkpoint = weights.with_suffix(".training") if weights and resumes else None
    try:
        logits = None if job.teacher_logits is None else _read_logits(job.teacher_logits)
        initial = None if job.initial_weights is None else _read_weights(job.initial_weights)
        result = train(
            job.candidate.architecture,
            data,
            job.recipe,
            job.seed,
            device=device,
            threads=threads,
            teacher_logits=logits,
            initial=initial,
            checkpoint=checkpoint,
        )
        if weights is not None:
            write_weights(result.network.state_dict(), weights)
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
    except Exception as error:  # whatever an architecture does, the other jobs go on
        return job.failed(data.key, described(error), time.perf_counter() - started)
    return _done(job, data.key, result)


def _read_logits(path: Path) -> Tensor:
    try:
        return torch.from_numpy(np.load(path, allow_pickle=False))
    except (OSError, ValueError, TypeError) as error:
        raise EvaluationError(f"cannot read teacher logits {path}: {error}") from None


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise EvaluationError(f"cannot read initial weights {path}: {error}") from None


def _done(job: Job, data_key: str, result: TrainingResult) -> Trial:
    return Trial(
        job.candidate.architecture,
        data_key,
        job.recipe.key,
        job.seed,
        TrialState.DONE,
        {
            "accuracy": result.accuracy,
            "train_loss": result.train_loss,
            "validation_loss": result.validation_loss,
        },
        result.curve,
        seconds=result.seconds,
        origin=job.candidate.origin,
        round=job.candidate.round,
        predicted=job.candidate.predicted,
    )


def described(error: Exception) -> str:
    """What an error is in a failed trial: "Type: message", in one line."""
    lines = str(error).strip().splitlines()
    message = lines[0] if lines else ""
    if _is_out_of_memory(error):
        return f"OutOfMemory: {message or 'an allocation failed'}"
    return f"{type(error).__name__.removesuffix('Error') or 'Error'}: {message}"


def _is_out_of_memory(error: Exception) -> bool:
    """Torch raises a plain RuntimeError when the CPU's memory is used up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator" in text or "bad_alloc" in text or "could not create a memory" in text
    )
