"""Search over a space whose designs are nothing but choices, such as the rows of a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic

import numpy as np

from archpress.architecture.design import D
from archpress.embedding import Guess
from archpress.embedding.gaussian_process import Block, Features
from archpress.embedding.surrogate import WarpedProcess
from archpress.evaluation import Candidate, Trial
from archpress.search.learner import Array
from archpress.search.objective import Objective, safe_logit
from archpress.search.problem import Arm, Asking, Problem
from archpress.search.proposals import ProposalSettings
from archpress.search.rounds import rounds
from archpress.space import ChoiceSpace, distinct

FIRST = 10  # designs that are evaluated before anything is guessed


class ChoiceLearner(Generic[D]):
    """A Gaussian process over choices and parameters.

    Where every design of a space can be ranked at once, a walk to good ones finds nothing that the
    ranking does not, so there is no embedding and no descent here.

    Args:
        space: whose designs are their dials.
        chance: accuracy that a failed trial counts as.
    """

    def __init__(self, space: ChoiceSpace[D], *, chance: float = 0.0) -> None:
        self._space, self._chance = space, chance
        self._dials = space.dials()
        everything = space.everything()
        reference = everything or [space.source]
        settings = self._settings_of(reference)
        self._values = [
            np.unique(column) if everything else np.arange(dial.low, dial.high + 1)
            for column, dial in zip(settings.T, self._dials, strict=True)
        ]
        sizes = _log_parameters(reference)
        self._center, self._spread = float(sizes.mean()), float(sizes.std()) or 1.0
        self._process: WarpedProcess | None = None
        self._rows: Mapping[str, int] = {one.key: i for i, one in enumerate(reference)}
        self._all = self._describe(settings, sizes)

    def learn(self, trials: Sequence[Trial[D]], number: int) -> None:
        """Fit the process anew, from where it was."""
        designs = [trial.architecture for trial in trials]
        logits = np.array([safe_logit(trial.accuracy_or(self._chance)) for trial in trials])
        self._process = WarpedProcess(self._features(designs), logits, start=self._process)

    def guess(self, designs: Sequence[D]) -> Guess:
        """What a look-up would tell, its noise included."""
        if self._process is None:
            raise RuntimeError("nothing was learned yet")
        return self._process.predict(self._features(designs), noise=True)

    def places(self, designs: Sequence[D]) -> Array:
        """Scaled choices."""
        return self._features(designs).blocks[0].values

    def descend(
        self, parents: Sequence[D], objective: Objective, rng: np.random.Generator
    ) -> Iterator[D]:
        """None."""
        return iter(())

    def _features(self, designs: Sequence[D]) -> Features:
        rows = [self._rows.get(one.key) for one in designs]
        known = [row for row in rows if row is not None]
        if len(known) == len(rows):
            return self._all.rows(np.array(known, dtype=np.intp))
        return self._describe(self._settings_of(designs), _log_parameters(designs))

    def _settings_of(self, designs: Sequence[D]) -> Array:
        return np.array([self._space.settings(one) for one in designs], dtype=np.float64)

    def _describe(self, settings: Array, log_parameters: Array) -> Features:
        """Ordered choices from 0 to 2 and the size, near; each choice of its own, linear."""
        near, one_hot = [], []
        for column, dial, values in zip(settings.T, self._dials, self._values, strict=True):
            hot = (column[:, None] == values).astype(np.float64)
            one_hot.append(hot)
            scaled = 2 * (column - dial.low) / max(dial.high - dial.low, 1)
            near.append(scaled[:, None] if dial.ordered else hot)
        size = (log_parameters - self._center)[:, None] / self._spread
        linear = np.hstack([*one_hot, size]) / np.sqrt(len(self._dials))
        return Features(
            (
                Block(np.hstack([*near, size]), "near", own_scales=True),
                Block(linear, "linear", own_scales=False),
            )
        )


def _log_parameters(designs: Sequence[D]) -> Array:
    return np.log([max(one.parameters, 1) for one in designs])


def choice_arm(space: ChoiceSpace[D]) -> Arm[D]:
    """The search over a space whose designs are nothing but choices, such as a table's rows."""

    def ask(problem: Problem[D]) -> Asking[D]:
        rng = problem.rng(0)
        limited = problem.objective.limits.any_accuracy
        source = [Candidate(space.source, "source")] if limited else []
        count = min(FIRST, problem.budget) - len(source)
        known = {one.architecture.key for one in source}
        near = distinct(space.sample(rng), count, known=known)
        first = [*source, *(Candidate(one, "sample") for one in near)]
        return rounds(problem, first, ChoiceLearner(space), ProposalSettings())

    return Arm("default", ask)
