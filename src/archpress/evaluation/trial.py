"""`Trial`: the record of one training; `Candidate`: what is asked to be trained."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic

from archpress.architecture import Architecture
from archpress.architecture.design import D

SUMMARY_FIELDS = (  # of `Trial.summary`, known also where there is no trial
    *("key", "data", "recipe", "seed", "state", "accuracy", "parameters", "macs", "peak_memory"),
    *("seconds", "origin", "round", "predicted", "created", "error"),
)


class TrialState(StrEnum):
    """How a trial ended."""

    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Candidate(Generic[D]):
    """An architecture that somebody wants evaluated.

    Attributes:
        architecture: what to train.
        origin: who proposed it, e.g. "paper-sampler", "neighbourhood", "descent", "edit", "final".
        round: of the search; 0 is before the first.
        predicted: accuracy that the surrogate expected before the training, in [0, 1].
    """

    architecture: D
    origin: str = ""
    round: int = 0
    predicted: float | None = None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Trial(Generic[D]):
    """What came of training one architecture; a failure is a trial like any other.

    Attributes:
        architecture: that was trained.
        data: key of the data set.
        recipe: key of the recipe.
        seed: of the training.
        state: done or failed.
        metrics: of a done trial, e.g. "accuracy" (validation, in [0, 1]), "train_loss" and
            "validation_loss" (cross-entropy).
        curve: validation accuracy along the training, ends with the last.
        error: of a failed trial: "Type: message".
        seconds: wall time of the training.
        origin: who proposed the architecture.
        round: of the search; 0 is before the first.
        predicted: accuracy that was expected before the training, in [0, 1].
        created: when the trial ended, ISO 8601, UTC.
    """

    architecture: D
    data: str
    recipe: str
    seed: int
    state: TrialState
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    curve: tuple[float, ...] = ()
    error: str | None = None
    seconds: float = 0.0
    origin: str = ""
    round: int = 0
    predicted: float | None = None
    created: str = field(default_factory=_now)

    def __post_init__(self) -> None:
        """Make the metrics as immutable as the rest."""
        object.__setattr__(self, "metrics", MappingProxyType(dict(self.metrics)))

    def __reduce__(self) -> tuple[object, ...]:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return _restored, ({**values, "metrics": dict(self.metrics)},)  # a proxy cannot be pickled

    @property
    def done(self) -> bool:
        """Whether the training ended with a result."""
        return self.state is TrialState.DONE

    @property
    def accuracy(self) -> float | None:
        """Validation accuracy in [0, 1]; None where the trial failed."""
        return self.metrics.get("accuracy")

    def accuracy_or(self, chance: float) -> float:
        """Validation accuracy; where the trial failed, what is of no use."""
        return chance if self.accuracy is None else self.accuracy

    def for_candidate(self, candidate: Candidate[D]) -> "Trial[D]":
        """The same result as the trial of another candidate of the same key."""
        return replace(
            self,
            architecture=candidate.architecture,
            origin=candidate.origin,
            round=candidate.round,
            predicted=candidate.predicted,
        )

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON, the architecture's among them; `from_dict` is the inverse."""
        return {
            "architecture": json.loads(self.architecture.to_json()),
            "data": self.data,
            "recipe": self.recipe,
            "seed": self.seed,
            "state": self.state.value,
            "metrics": dict(self.metrics),
            "curve": list(self.curve),
            "error": self.error,
            "seconds": self.seconds,
            "origin": self.origin,
            "round": self.round,
            "predicted": self.predicted,
            "created": self.created,
        }

    def summary(self) -> dict[str, str | int | float | None]:
        """What fits a cell of a table each, the architecture's key and costs among it."""
        net = self.architecture
        return {
            "key": net.key,
            "data": self.data,
            "recipe": self.recipe,
            "seed": self.seed,
            "state": self.state.value,
            "accuracy": self.accuracy,
            "parameters": net.parameters,
            "macs": net.macs,
            "peak_memory": net.peak_memory,
            "seconds": self.seconds,
            "origin": self.origin,
            "round": self.round,
            "predicted": self.predicted,
            "created": self.created,
            "error": self.error,
        }

    @staticmethod
    def from_dict(content: Mapping[str, object]) -> "Trial":
        """The trial that `to_dict` wrote.

        Raises:
            ArchitectureError: its architecture is no valid one.
        """
        values = dict(content)
        values["architecture"] = Architecture.from_json(json.dumps(values["architecture"]))
        values["state"] = TrialState(str(values["state"]))
        values["curve"] = tuple(values["curve"])  # type: ignore[arg-type]
        return Trial(**values)  # type: ignore[arg-type]


def _restored(values: dict[str, Any]) -> Trial[Any]:
    return Trial(**values)


def failed_trial(
    candidate: Candidate[D], *, data: str, recipe: str, seed: int, error: str, seconds: float = 0.0
) -> Trial[D]:
    """The record of a candidate that could not be trained.

    Args:
        candidate: that failed.
        data: key of the data set.
        recipe: key of the recipe.
        seed: of the training.
        error: "Type: message".
        seconds: spent on it.
    """
    return Trial(
        candidate.architecture,
        data,
        recipe,
        seed,
        TrialState.FAILED,
        error=error,
        seconds=seconds,
        origin=candidate.origin,
        round=candidate.round,
        predicted=candidate.predicted,
    )
