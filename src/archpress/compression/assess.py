"""How well the surrogate ranks the trials of a run, over many seeds: `archpress fit`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archpress.compression.fitted import Fitted, fitted_embedding, labelled
from archpress.compression.planned import planned
from archpress.embedding import Labelled, Ranking, held_out_ranking
from archpress.embedding.quality import LEAST_RANKED
from archpress.errors import StoreError
from archpress.run_files import STORE_FILE
from archpress.store import Store


@dataclass(frozen=True)
class Assessment:
    """A run's embedding and the trials it is judged by.

    Attributes:
        fitted: on architectures alone, so no held-out trial was seen.
        trials: of the run's images and trial recipe.
    """

    fitted: Fitted
    trials: Labelled

    def rankings(self, seeds: int) -> Iterator[Ranking]:
        """Five-fold cross-validation, the folds drawn anew by each seed."""
        for seed in range(seeds):
            yield held_out_ranking(self.fitted.embedding, self.trials, seed)


def assess(run: Path) -> Assessment:
    """Read a run folder, finished or not, and fit its embedding where that is missing.

    Raises:
        StoreError: it is no run folder, or holds fewer than ten trials.
    """
    plan = planned(run)
    source = plan.source
    fitted = fitted_embedding(source, plan.settings, plan.seed, run, asked=plan.form_space)
    with Store(run / STORE_FILE) as store:
        trials = labelled(store.trials(plan.trials), fitted.embedding, source.classes)
    if len(trials) < LEAST_RANKED:
        raise StoreError(f"{run} holds {len(trials)} trials; a fit needs {LEAST_RANKED}")
    return Assessment(fitted, trials)
