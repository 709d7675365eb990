"""Published results in the place of training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic

from archpress.architecture.design import D
from archpress.evaluation.trial import Candidate, Trial, TrialState, failed_trial


class TableEvaluator(Generic[D]):
    """Looks trials up: for benchmarks that compare searches without training anything.

    Args:
        metrics: architecture key -> metrics, "accuracy" among them.
        name: of the table; it becomes the data key of the trials.

    >>> from archpress.architecture import named
    >>> table = TableEvaluator({named("tiny").key: {"accuracy": 0.9}}, name="published")
    >>> [trial.accuracy for trial in table.evaluate([Candidate(named("tiny"))], seed=0)]
    [0.9]
    """

    def __init__(self, metrics: Mapping[str, Mapping[str, float]], *, name: str) -> None:
        self.metrics, self.data_key, self.recipe_key = metrics, name, "table"

    def evaluate(self, candidates: Sequence[Candidate[D]], *, seed: int) -> Iterator[Trial[D]]:
        """Look the candidates up, in their order; what the table lacks is a failed trial."""
        for candidate in candidates:
            found = self.metrics.get(candidate.architecture.key)
            if found is None:
                yield failed_trial(
                    candidate,
                    data=self.data_key,
                    recipe=self.recipe_key,
                    seed=seed,
                    error=f"NotInTable: {self.data_key} has no {candidate.architecture.key}",
                )
                continue
            yield Trial(
                candidate.architecture,
                self.data_key,
                self.recipe_key,
                seed,
                TrialState.DONE,
                found,
                (found["accuracy"],),
                origin=candidate.origin,
                round=candidate.round,
                predicted=candidate.predicted,
            )
