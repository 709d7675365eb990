"""`Averaged`: several initialisations of each net; their mean is the trial."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from archpress.evaluation.evaluator import Evaluator, Pool
from archpress.evaluation.job import Job
from archpress.evaluation.recipe import Recipe
from archpress.evaluation.trial import Candidate, Trial


class Averaged:
    """An evaluator that trains each net more than once.

    Args:
        pool: trains; its recipe is that of each training.
        initialisations: trainings of a net. Seed s of a trial means the seeds s m ... s m + m - 1
            of its m trainings.

    Source:
        Section 3.2 of the paper: the expected accuracy, over m initialisations.
    """

    def __init__(self, pool: Pool, initialisations: int) -> None:
        self._pool, self._count = pool, initialisations

    @property
    def data_key(self) -> str:
        """Key of the data set."""
        return self._pool.data_key

    @property
    def recipe_key(self) -> str:
        """Key of the recipe and of how many trainings are averaged."""
        return averaged_key(self._pool.recipe, self._count)

    def evaluate(self, candidates: Sequence[Candidate], *, seed: int) -> Iterator[Trial]:
        """Train the candidates; a net's trial comes when its last training has ended.

        A net of which one training fails is a failed trial.
        """
        seeds = range(seed * self._count, (seed + 1) * self._count)
        asked: defaultdict[str, list[Candidate]] = defaultdict(list)
        for candidate in candidates:
            asked[candidate.architecture.key].append(candidate)
        firsts = [same[0] for same in asked.values()]
        jobs = [Job(one, self._pool.recipe, number) for one in firsts for number in seeds]
        ended: defaultdict[str, list[Trial]] = defaultdict(list)
        for trial in self._pool.run(jobs):
            trainings = ended[trial.architecture.key]
            trainings.append(trial)
            if len(trainings) == self._count:
                mean = self._mean(sorted(trainings, key=lambda one: one.seed), seed)
                yield from map(mean.for_candidate, asked[trial.architecture.key])

    def _mean(self, trainings: Sequence[Trial], seed: int) -> Trial:
        seconds = sum(one.seconds for one in trainings)
        first = next((one for one in trainings if not one.done), trainings[0])
        trial = replace(first, recipe=self.recipe_key, seed=seed, seconds=seconds)
        if not first.done:
            return trial
        accuracies = [one.accuracy or 0.0 for one in trainings]
        metrics = {
            name: float(np.mean([one.metrics[name] for one in trainings])) for name in first.metrics
        }
        metrics["accuracy_std"] = float(np.std(accuracies, ddof=1))
        curves = zip(*(one.curve for one in trainings), strict=True)
        return replace(trial, metrics=metrics, curve=tuple(float(np.mean(c)) for c in curves))


def averaged_key(recipe: Recipe, initialisations: int) -> str:
    """Key of trials that are means of so many trainings; of a single one the recipe's own."""
    return recipe.key if initialisations == 1 else f"{recipe.key}*{initialisations}"


def averaged(pool: Pool, initialisations: int) -> Evaluator:
    """The pool itself where each net is trained once."""
    return Averaged(pool, initialisations) if initialisations > 1 else pool
