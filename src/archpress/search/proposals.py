"""What to train next: candidates from descent and from edits, ranked by one acquisition."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from archpress.architecture import Architecture, simplify
from archpress.embedding import Embedding, Surrogate
from archpress.evaluation import Candidate, Trial
from archpress.search.descent import DescentSettings, descend
from archpress.search.objective import Objective
from archpress.space import SearchSpace, distinct, edit, sample_neighbourhood

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class ProposalSettings:
    """How candidates are made.

    Attributes:
        parents: best trials that are edited and that descents start from.
        edits: edited candidates a round; half of them from the best parent.
        random_starts: share of the descents that start at random neighbours of the source.
        descent: how to walk; None leaves descent out.
    """

    parents: int = 8
    edits: int = 400
    random_starts: float = 0.2
    descent: DescentSettings | None = field(default_factory=DescentSettings)


def propose(
    trials: Sequence[Trial],
    source: Architecture,
    space: SearchSpace,
    embedding: Embedding,
    surrogate: Surrogate,
    objective: Objective,
    settings: ProposalSettings,
    *,
    count: int,
    number: int,
    rng: Rng,
) -> list[Candidate]:
    """The most promising architectures that were not trained yet, different from each other.

    Args:
        trials: all so far.
        source: that is compressed.
        space: with the limits.
        embedding: fitted on the trials.
        surrogate: likewise.
        objective: what is better.
        settings: how candidates are made.
        count: how many to return at most.
        number: of the round.
        rng: source of randomness.
    """
    parents = _parents(trials, objective, settings.parents) or [source]
    known = {trial.architecture.key for trial in trials}
    edited = distinct(_edits(parents, space, settings.edits, rng), settings.edits, known=known)
    descended: list[Architecture] = []
    if settings.descent is not None:
        starts = _starts(parents, source, space, settings, rng)
        path = descend(embedding, starts, objective, settings.descent, rng)
        known |= {net.key for net in edited}
        descended = distinct(path, len(path), known=known)
    candidates = edited + descended
    if not candidates:
        return []
    guess = surrogate.predict(candidates)
    promise = objective.acquisition(candidates, guess, objective.best(trials))
    chosen = _spread(promise, embedding.encode(candidates).double().numpy(), count)
    return [
        Candidate(
            simplify(candidates[i]),
            "edit" if i < len(edited) else "descent",
            number,
            round(float(guess.accuracy[i]), 5),
        )
        for i in chosen
    ]


def _parents(trials: Sequence[Trial], objective: Objective, count: int) -> list[Architecture]:
    done = [trial for trial in trials if trial.done]
    done.sort(key=lambda t: (objective.loss(t.architecture, t.accuracy or 0.0), t.architecture.key))
    return [trial.architecture for trial in done[:count]]


def _edits(
    parents: Sequence[Architecture], space: SearchSpace, count: int, rng: Rng
) -> list[Architecture]:
    shares = 0.5 ** np.minimum(np.arange(1, len(parents) + 1), len(parents) - 1 or 1)
    picks = rng.choice(len(parents), size=count, p=shares / shares.sum())
    return [edit(parents[i], space, rng, edits=int(rng.integers(1, 5))) for i in picks]


def _starts(
    parents: Sequence[Architecture],
    source: Architecture,
    space: SearchSpace,
    settings: ProposalSettings,
    rng: Rng,
) -> list[Architecture]:
    count = settings.descent.starts if settings.descent else 0
    randoms = max(1, round(settings.random_starts * count))
    neighbours = sample_neighbourhood(source, space, rng)
    starts = [source, *(next(neighbours) for _ in range(randoms))]
    return [*starts, *(parents[i % len(parents)] for i in range(count - len(starts)))]


def _spread(promise: NDArray[np.float64], places: NDArray[np.float64], count: int) -> list[int]:
    """Indices of the most promising, each pick making what lies near it less so."""
    worth = promise + 1e-12 * (promise > 0)
    distances = np.sqrt(np.maximum(_squares(places), 0.0))
    reach = np.median(distances) / 4 or 1.0
    chosen: list[int] = []
    for _ in range(min(count, int((worth > 0).sum()))):
        best = int(np.argmax(worth))
        chosen.append(best)
        worth = worth * (1 - np.exp(-0.5 * (distances[best] / reach) ** 2))
        worth[best] = 0.0
    return chosen


def _squares(places: NDArray[np.float64]) -> NDArray[np.float64]:
    own = (places**2).sum(1)
    squares: NDArray[np.float64] = own[:, None] + own - 2 * places @ places.T
    return squares
