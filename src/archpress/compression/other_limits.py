"""`OtherLimits`: nets that a search would name under other limits on parameters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from archpress.architecture import Architecture, simplify
from archpress.compression.fitted import SMALLEST, encodable
from archpress.compression.learner import EmbeddingLearner
from archpress.errors import SpaceError
from archpress.evaluation import Trial
from archpress.search import Objective, descend
from archpress.search.descent import walk
from archpress.space import Limits, SearchSpace

STARTS, STEPS, EVERY = 12, 40, 20  # of each limit's descents, which take a tenth of a second
PATH_EVERY = 4  # steps between the places of the descent that is shown
BEST_TRIALS = 4  # where descents start, besides the source and the best net so far


@dataclass(frozen=True, slots=True)
class GuessedNet:
    """A net, and the accuracy that its brief trial is guessed to have.

    Attributes:
        net: itself.
        accuracy: most likely, in [0, 1].
        low: end of the interval that should hold nine of ten trials.
        high: the other end.
        tried: whether it was a trial of the search.
    """

    net: Architecture
    accuracy: float
    low: float
    high: float
    tried: bool


class OtherLimits:
    """Names nets for any limit on parameters; all other limits of the search stay in force.

    Args:
        learner: has learned from the trials.
        trials: of the search.
        limits: as the search aims at them.
        rng: of the descents.

    Attributes:
        tried: the trials' nets that did not fail, by their keys.
    """

    def __init__(
        self,
        learner: EmbeddingLearner,
        trials: Sequence[Trial],
        limits: Limits,
        rng: np.random.Generator,
    ) -> None:
        self._learner, self._limits, self._rng = learner, limits, rng
        self._source, self._space = learner.space.source, learner.space.search_space
        done = encodable([simplify(t.architecture) for t in trials if t.done], learner.embedding)
        self.tried = {net.key: net for net in done}
        self._failed = {trial.architecture.key for trial in trials if not trial.done}
        self._known: dict[str, Architecture] = {}  # that keep all limits but that on parameters
        self._guesses: dict[str, tuple[float, float, float]] = {}  # accuracy, low, high
        self._learn([*self.tried.values(), learner.origin])

    def reach(self) -> tuple[int, float, int]:
        """Parameters of the smallest net there is, the smallest limit of interest, the largest.

        Raises:
            SpaceError: no net keeps the other limits.
        """
        most = self._source.parameters
        space = self._within(most)
        floor = min(
            net.parameters
            for net in space.smallest_nets()
            if space.out_of_form(net) is None and space.too_costly(net) is None
        )
        own = self._limits.max_parameters or most
        return floor, max(floor, min(most * SMALLEST, own / 4)), most

    def look(self, limit: int) -> None:
        """Descend towards a limit, from the source and from the best so far, and learn of nets."""
        walking = self._learner.settings.proposals.descent
        if walking is None:
            return
        try:
            space = self._within(limit)
        except SpaceError:  # too small for the other limits
            return
        best = sorted(self._known.values(), key=lambda net: -self._guesses[net.key][0])
        starts = [self._learner.origin, *best[:1]]
        starts += [net for net in best[1:] if net.parameters <= limit][:BEST_TRIALS]
        settings = replace(walking, starts=min(STARTS, walking.starts), steps=STEPS, every=EVERY)
        objective = Objective(replace(self._limits, max_parameters=limit))
        embedding = self._learner.embedding
        usual, embedding.space = embedding.space, space
        try:
            met = descend(embedding, starts, objective, settings, self._rng)
        finally:
            embedding.space = usual
        self._learn(map(simplify, met))

    def best(self, limit: int) -> GuessedNet | None:
        """The best guess among the nets within a limit, the smaller of equals."""
        within = [net for net in self._known.values() if net.parameters <= limit]
        found = min(
            within,
            key=lambda net: (-self._guesses[net.key][0], net.parameters, net.key),
            default=None,
        )
        if found is None:
            return None
        return GuessedNet(found, *self._guesses[found.key], found.key in self.tried)

    def path(self, limit: int | None) -> Tensor:
        """Embeddings on one descent from the source, `S x D`: at its beginning, then every 4 steps.

        Args:
            limit: on parameters that it aims at; None: at the other limits alone.
        """
        embedding, origin = self._learner.embedding, self._learner.origin
        begin, walking = embedding.encode([origin]), self._learner.settings.proposals.descent
        if walking is None:
            return begin
        still = replace(walking, starts=1, noise=0.0, widest_margin=0.0)
        settings = replace(still, steps=STEPS, every=PATH_EVERY)
        objective = Objective(replace(self._limits, max_parameters=limit))
        steps = walk(embedding, [origin], objective, settings, np.random.default_rng(0))
        return torch.cat([begin, *(places for _, places in steps)])

    def _within(self, limit: int) -> SearchSpace:
        """The space with another limit on parameters."""
        return self._space.with_limits(replace(self._space.limits, max_parameters=limit))

    def _learn(self, nets: Iterable[Architecture]) -> None:
        """Guess the accuracies of nets that may be named."""
        new = {net.key: net for net in nets if net.key not in self._known}
        new = {key: net for key, net in new.items() if key not in self._failed}
        others = replace(self._limits, max_parameters=None)
        may = [net for net in new.values() if self._space.allows(net, others)]
        may = encodable(may, self._learner.embedding)
        if not may:
            return
        guess = self._learner.surrogate.predict(may, noise=True)
        values = np.stack([guess.accuracy, *guess.interval], axis=1).tolist()
        self._known |= {net.key: net for net in may}
        self._guesses |= {net.key: tuple(row) for net, row in zip(may, values, strict=True)}
