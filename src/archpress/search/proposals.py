"""What to train next: candidates from descent and from edits, ranked by one acquisition."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from archpress.architecture.design import D
from archpress.evaluation import Candidate, Trial
from archpress.search.descent import DescentSettings
from archpress.search.learner import Learner
from archpress.search.objective import Objective
from archpress.search.problem import Problem
from archpress.space import Space, distinct

Rng = np.random.Generator
MOST_RANKED = 6000  # designs of a space that lists all, ranked at once: half a second
REACH_OF = 200  # designs whose distances tell what "near" means


@dataclass(frozen=True, slots=True)
class ProposalSettings:
    """How candidates are made.

    Attributes:
        parents: best trials that are edited and that descents start from.
        edits: edited candidates a round; half of them from the best parent.
        descent: how to walk; None leaves descent out.
    """

    parents: int = 8
    edits: int = 400
    descent: DescentSettings | None = field(default_factory=DescentSettings)


def propose(
    problem: Problem[D],
    trials: Sequence[Trial[D]],
    learner: Learner[D],
    settings: ProposalSettings,
    *,
    count: int,
    number: int,
) -> list[Candidate[D]]:
    """The most promising designs that were not evaluated yet, different from each other.

    Args:
        problem: where to look, and what is better.
        trials: all so far.
        learner: has learned from them.
        settings: how candidates are made.
        count: how many to return at most.
        number: of the round.
    """
    rng = problem.rng(2, number)
    objective = problem.objective
    designs, origins = _candidates(problem, trials, learner, settings, rng)
    if not designs:
        return []
    guess = learner.guess(designs)
    promise = objective.acquisition(designs, guess, objective.best(trials))
    return [
        Candidate(designs[i], origins[i], number, round(float(guess.accuracy[i]), 5))
        for i in _spread(promise, designs, learner, count)
    ]


def _candidates(
    problem: Problem[D],
    trials: Sequence[Trial[D]],
    learner: Learner[D],
    settings: ProposalSettings,
    rng: Rng,
) -> tuple[list[D], list[str]]:
    """New designs, each with who proposed it."""
    space = problem.space
    parents = _parents(trials, problem.objective, settings.parents) or [space.source]
    known = {trial.architecture.key for trial in trials}
    edits = settings.edits
    edited = distinct(_edits(parents, space, edits, rng), edits, known=known) if edits else []
    known |= {one.key for one in edited}
    everything = space.everything()
    if everything is not None:
        best = problem.objective.best(trials)
        rest = [o for o in problem.objective.could_gain(everything, best) if o.key not in known]
        chosen = rng.permutation(len(rest))[:MOST_RANKED]
        return edited + [rest[i] for i in chosen], ["edit"] * len(edited) + ["table"] * len(chosen)
    descended: list[D] = []
    if settings.descent is not None:
        path = list(learner.descend(parents, problem.objective, rng))
        descended = distinct(path, len(path), known=known)
    return edited + descended, ["edit"] * len(edited) + ["descent"] * len(descended)


def _parents(trials: Sequence[Trial[D]], objective: Objective, count: int) -> list[D]:
    done = [trial for trial in trials if trial.done]
    done.sort(key=lambda t: (objective.loss(t.architecture, t.accuracy or 0.0), t.architecture.key))
    return [trial.architecture for trial in done[:count]]


def _edits(parents: Sequence[D], space: Space[D], count: int, rng: Rng) -> list[D]:
    shares = 0.5 ** np.minimum(np.arange(1, len(parents) + 1), len(parents) - 1 or 1)
    picks = rng.choice(len(parents), size=count, p=shares / shares.sum())
    return [space.edit(parents[i], rng, edits=int(rng.integers(1, 5))) for i in picks]


def _spread(
    promise: NDArray[np.float64], designs: Sequence[D], learner: Learner[D], count: int
) -> list[int]:
    """Indices of the most promising, each pick making what lies near it less so."""
    worth = promise + 1e-12 * (promise > 0)
    if count == 1:
        return [int(np.argmax(worth))] if worth.max() > 0 else []
    places = learner.places(designs)
    some = places[:: max(1, len(places) // REACH_OF)]
    reach = np.median(_distances(some, some)) / 4 or 1.0
    chosen: list[int] = []
    for _ in range(min(count, int((worth > 0).sum()))):
        best = int(np.argmax(worth))
        if worth[best] <= 0:  # all that is left lies where one was chosen
            break
        chosen.append(best)
        away = _distances(places, places[best : best + 1])[:, 0]
        worth = worth * (1 - np.exp(-0.5 * (away / reach) ** 2))
        worth[best] = 0.0
    return chosen


def _distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)))
