"""How well the surrogate ranks the trials of a run, over many seeds: `archpress fit`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archpress.architecture import Architecture, with_linear_head
from archpress.compression.fitted import Fitted, fitted_embedding, labelled
from archpress.compression.run_folder import read_plan
from archpress.compression.settings import settings_for
from archpress.embedding import Labelled, Ranking, held_out_ranking
from archpress.errors import StoreError
from archpress.space import Form, space_around
from archpress.store import STORE_FILE, Store, TrialFilter

LEAST_TRIALS = 10


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
    plan = read_plan(run)
    form = Form.of_dict(plan)
    source = with_linear_head(Architecture.load(run / "source.json"), form.kept)
    asked = space_around(source, form=form)
    settings = settings_for(plan["effort"])
    fitted = fitted_embedding(source, settings, plan["seed"], run, asked=asked)
    which = TrialFilter(data=plan["data"], recipe=plan["trial_recipe"], seed=plan["seed"])
    with Store(run / STORE_FILE) as store:
        trials = labelled(store.trials(which), fitted.embedding, source.classes)
    if len(trials) < LEAST_TRIALS:
        raise StoreError(f"{run} holds {len(trials)} trials; a fit needs {LEAST_TRIALS}")
    return Assessment(fitted, trials)
