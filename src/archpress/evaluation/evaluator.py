"""What an evaluator is, and the one that trains in this process."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from archpress.data import ImageData
from archpress.evaluation.device import choose_device
from archpress.evaluation.job import Job, run_job
from archpress.evaluation.recipe import Recipe
from archpress.evaluation.trial import Candidate, Trial


class Evaluator(Protocol):
    """Turns candidates into trials; `tests/evaluation/test_evaluators.py` holds it to its promises.

    - Every candidate gives exactly one trial, in the order in which they end.
    - A trial has the candidate's architecture, origin, round and prediction, the evaluator's two
      keys and the seed.
    - What goes wrong with a candidate is a failed trial, never an exception, and stops no other.
    - The same candidate and seed give the same metrics.
    - Nothing is computed before the iterator is read.
    """

    @property
    def data_key(self) -> str:
        """Identifies the data set."""

    @property
    def recipe_key(self) -> str:
        """Identifies how trials are made from it."""

    def evaluate(self, candidates: Sequence[Candidate], *, seed: int) -> Iterator[Trial]:
        """One trial a candidate, in the order in which they end."""


class TrainingEvaluator(ABC):
    """An evaluator that trains, and also does jobs.

    Attributes:
        data: to train and validate on.
        recipe: of `evaluate`; jobs carry their own.
    """

    data: ImageData
    recipe: Recipe

    @property
    def data_key(self) -> str:
        """Key of the data set."""
        return self.data.key

    @property
    def recipe_key(self) -> str:
        """Key of the recipe of `evaluate`."""
        return self.recipe.key

    def evaluate(self, candidates: Sequence[Candidate], *, seed: int) -> Iterator[Trial]:
        """Train the candidates; trials come in the order in which they end."""
        return self.run([Job(candidate, self.recipe, seed) for candidate in candidates])

    @abstractmethod
    def run(self, jobs: Sequence[Job]) -> Iterator[Trial]:
        """Do jobs; trials come in the order in which they end."""


class Pool(TrainingEvaluator):
    """Trains several candidates at once.

    - Jobs begin in the order of their length, the longest first.
    - Closing the iterator of `run` early, also by Ctrl-C, stops what is still running.
    - The same job gives the same weights in every pool.
    """

    @abstractmethod
    def close(self) -> None:
        """Stop the workers."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SerialEvaluator(TrainingEvaluator):
    """Trains one candidate after the other, in this process.

    Args:
        data: to train and validate on.
        recipe: how.
        device: as `choose_device` knows it.
        threads: of torch, on a CPU.

    Raises:
        EvaluationError: there is no such device.
    """

    def __init__(
        self, data: ImageData, recipe: Recipe, *, device: str = "cpu", threads: int = 1
    ) -> None:
        self.data, self.recipe, self.threads = data, recipe, threads
        self.device = choose_device(device)

    def run(self, jobs: Sequence[Job]) -> Iterator[Trial]:
        """Do jobs in their order."""
        for job in jobs:
            yield run_job(job, self.data, device=self.device, threads=self.threads)
