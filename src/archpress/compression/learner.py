"""`EmbeddingLearner`: the embedding of a run and the surrogate on it, as a search's learner."""

import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from archpress.architecture import Architecture, simplify
from archpress.compression.fitted import Fitted, encodable, fitted_embedding, labelled
from archpress.compression.settings import Settings
from archpress.embedding import Embedding, Guess, Surrogate, fit_latency_head, refit
from archpress.evaluation import Trial
from archpress.search import Objective, descend
from archpress.search.objective import safe_logit
from archpress.space import Limits, Neighbourhood, repair

GAIN_OF_MACS = 0.11  # logit that longer training adds, for each e-fold of macs (docs/choices.md)
RANDOM_STARTS = 0.2  # share of the descents that start at random nets of the space


class EmbeddingLearner:
    """Fits an embedding in the background, then takes in the trials of each round.

    Args:
        space: nets around a source, with the limits.
        settings: of the fit and the descent.
        seed: of every draw.
        folder: where the embedding is kept, and found by later runs.
    """

    def __init__(self, space: Neighbourhood, settings: Settings, seed: int, folder: Path) -> None:
        self._space, self._settings, self._seed = space, settings, seed
        self._folder = folder
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._fitting: Future[Fitted] | None = None
        self._surrogate: Surrogate | None = None

    @classmethod
    def of(cls, fitted: Fitted, space: Neighbourhood, settings: Settings, seed: int) -> Self:
        """With an embedding that is fitted already; it need not be entered."""
        learner = cls(space, settings, seed, Path())
        learner._fitting = Future()
        learner._fitting.set_result(fitted)
        return learner

    def __enter__(self) -> Self:
        self._fitting = self._thread.submit(
            fitted_embedding,
            self._space.source,
            self._settings,
            self._seed,
            self._folder,
            self._stop,
            self._space.search_space,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()  # an interruption does not wait for the end of a fit
        self._thread.shutdown()

    @property
    def space(self) -> Neighbourhood:
        """Where nets are looked for."""
        return self._space

    @property
    def settings(self) -> Settings:
        """Of the fit and the descent."""
        return self._settings

    @property
    def fitted(self) -> Fitted:
        """The embedding with its pool; waits for the fit."""
        if self._fitting is None:
            raise RuntimeError("a learner must be entered before it is used")
        return self._fitting.result()

    @property
    def embedding(self) -> Embedding:
        """Decodes into the space with the limits once something was learned."""
        return self.fitted.embedding

    @property
    def origin(self) -> Architecture:
        """The source, or the net nearest to it that the embedding can hold."""
        source = self._space.source
        if self.embedding.alphabet.holds(source):
            return source
        unlimited = replace(self._space.search_space, limits=Limits(), most_activations=None)
        return repair(source.layers, unlimited).architecture

    @property
    def surrogate(self) -> Surrogate:
        """As of the last trials learned."""
        if self._surrogate is None:
            raise RuntimeError("nothing was learned yet")
        return self._surrogate

    def learn(self, trials: Sequence[Trial], number: int) -> None:
        """Refit the embedding a little and the surrogate anew.

        Args:
            trials: all so far.
            number: how often was learned, this time included.
        """
        known = labelled(trials, self.embedding, self._space.source.classes)
        rng = np.random.default_rng([self._seed, 3, number])
        refit(self.embedding, known, self.fitted.pool, self._settings.fit, rng)
        self.embedding.space = self._space.search_space
        latency = self._space.search_space.limits.latency
        if latency is not None:
            times = [latency.milliseconds(net) for net in self.fitted.pool]
            places = self.embedding.encode(self.fitted.pool)
            self.embedding.latency = fit_latency_head(places, times, self._seed)
        self._surrogate = Surrogate(self.embedding, known)

    def guess(self, designs: Sequence[Architecture]) -> Guess:
        """Accuracies without the noise of a single training."""
        return self.surrogate.predict(designs)

    def places(self, designs: Sequence[Architecture]) -> NDArray[np.float64]:
        """Embeddings, `B x D`."""
        return self.embedding.encode(designs).double().numpy()

    def descend(
        self, parents: Sequence[Architecture], objective: Objective, rng: np.random.Generator
    ) -> Iterator[Architecture]:
        """Nets that are met on descents from the source, random nets and the best so far."""
        settings = self._settings.proposals.descent
        if settings is None:
            return
        randoms = max(1, round(RANDOM_STARTS * settings.starts))
        neighbours = self._space.sample(rng)
        starts = [self.origin, *(next(neighbours) for _ in range(randoms))]
        left = settings.starts - len(starts)
        known = encodable(parents, self.embedding) or [self.origin]
        starts += [known[i % len(known)] for i in range(left)]
        for net in descend(self.embedding, starts, objective, settings, rng):
            yield simplify(net)

    def best(self, trials: Sequence[Trial], objective: Objective, count: int) -> list[Architecture]:
        """The best by the surrogate, which has seen all trials and so averages their noise.

        Every other one is the best with what a long training is expected to add, since brief trials
        rank nets of many macs too low.
        """
        done = [simplify(trial.architecture) for trial in trials if trial.done]
        allowed = [net for net in done if self._space.search_space.allows(net, objective.limits)]
        nets = encodable(allowed, self.embedding)
        if not nets:
            return []
        accuracies = self.guess(nets).accuracy
        now = {net.key: float(a) for net, a in zip(nets, accuracies, strict=True)}
        later = {net.key: _trained_longer(net, now[net.key], self._space.source) for net in nets}
        orders = [
            sorted(nets, key=lambda net: (objective.loss(net, accuracy[net.key]), net.key))
            for accuracy in (now, later)
        ]
        alternating = (net for pair in zip(*orders, strict=True) for net in pair)
        return list({net.key: net for net in alternating}.values())[:count]


def _trained_longer(net: Architecture, accuracy: float, source: Architecture) -> float:
    """Accuracy that a long training is expected to give, as far as it is comparable with others."""
    gain = GAIN_OF_MACS * math.log(net.macs / source.macs)
    return float(expit(safe_logit(accuracy) + gain))
