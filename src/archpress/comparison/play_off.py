"""`PlayOff`: of a search's best nets, longer trainings put the best first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from archpress.architecture import Architecture
from archpress.baselines.hand_made import hand_made_finalists
from archpress.comparison.final_training import FinalStage, FinalTraining
from archpress.comparison.result import Run
from archpress.compression.finals import Entrant
from archpress.compression.settings import Settings
from archpress.evaluation import Recipe, Trial
from archpress.search import Objective
from archpress.space import Neighbourhood

LEAST_BRIEF = 4  # at least so many trainings of a budget for each that is a final one
MOST_LONGER = 1 / 3  # of a budget, for semifinal and final


class Places(NamedTuple):
    """How many nets of a search are trained on, out of its budget.

    Attributes:
        semifinalists: found nets that get a short final training; 0: there is no semifinal.
        finalists: found nets that get a whole one.
        hand_made: nets that get one too.
    """

    semifinalists: int = 0
    finalists: int = 0
    hand_made: int = 0

    @property
    def nets(self) -> int:
        """That the search has to name."""
        return max(1, max(self.semifinalists, self.finalists) + self.hand_made)

    @property
    def trainings(self) -> int:
        """That they take."""
        return sum(self)


NO_PLACES = Places()


def places_in(
    settings: Settings, space: Neighbourhood, objective: Objective, budget: int
) -> Places:
    """As `compress` has them, or fewer where the budget is small."""
    hand_made = len(hand_made_finalists(space))
    final = min(settings.finalists + hand_made, budget // LEAST_BRIEF)
    hand_made = min(hand_made, max(0, final - 1))
    finalists = final - hand_made
    semifinalists = min(settings.semifinalists, int(MOST_LONGER * budget) - final)
    has_semifinal = settings.has_semifinal(objective) and semifinalists > finalists > 0
    return Places(semifinalists if has_semifinal else 0, finalists, hand_made)


@dataclass(frozen=True)
class PlayOff:
    """Of searches with one seed.

    Attributes:
        stage: makes the trainings.
        objective: that nets are judged by after a final training.
        settings: with the recipes.
        hand_made: keys of nets that need no semifinal.
        seed: of the searches.
    """

    stage: FinalStage
    objective: Objective
    settings: Settings
    hand_made: frozenset[str]
    seed: int

    def semifinal(self, runs: Mapping[str, Run], places: Places) -> dict[str, Run]:
        """The runs by arm, with the best only of the nets that were found."""
        nets = {
            arm: [trial.architecture for trial in run.ranked if not self._is_hand_made(trial)]
            for arm, run in runs.items()
        }
        objective = replace(self.objective, least_accuracy=0.0)
        heats = self._heats(nets, self.settings.semifinal, objective, "semifinal")
        after = {}
        for arm, run in runs.items():
            found = [
                trial for trial in self._ordered(run, heats[arm]) if not self._is_hand_made(trial)
            ]
            hand_made = [trial for trial in run.ranked if self._is_hand_made(trial)]
            ranked = (*found[: places.finalists], *hand_made)
            after[arm] = replace(run, ranked=ranked, semifinalists=tuple(heats[arm].trials))
        return after

    def final(self, runs: Mapping[str, Run]) -> dict[str, Run]:
        """The runs by arm with their nets in the order of final trainings; failed ones last."""
        nets = {arm: [trial.architecture for trial in run.ranked] for arm, run in runs.items()}
        heats = self._heats(nets, self.settings.final, self.objective, "finalists")
        return {
            arm: replace(
                run,
                ranked=tuple(self._ordered(run, heats[arm])),
                finalists=tuple(heats[arm].trials),
            )
            for arm, run in runs.items()
        }

    def _ordered(self, run: Run, heat: "_Heat") -> list[Trial]:
        """The nets in the order of the heat; those without a place in it last."""
        places = {key: place for place, key in enumerate(heat.order)}
        return sorted(run.ranked, key=lambda t: places.get(t.architecture.key, len(places)))

    def _is_hand_made(self, trial: Trial) -> bool:
        return trial.architecture.key in self.hand_made

    def _heats(
        self,
        nets: Mapping[str, Sequence[Architecture]],
        recipe: Recipe,
        objective: Objective,
        name: str,
    ) -> dict[str, "_Heat"]:
        """All arms' nets under one recipe; together, so that no core waits."""
        trainings = {
            arm: [FinalTraining(Entrant(net, recipe, (self.seed,), "net")) for net in of_arm]
            for arm, of_arm in nets.items()
        }
        wanted = [training for of_arm in trainings.values() for training in of_arm]
        trained = self.stage.train(wanted, f"seed {self.seed}, {name}")
        heats = {}
        for arm, of_arm in trainings.items():
            done = [one.entrant for one in of_arm if trained[one.identity].done]
            order = self.stage.trainer.best_first(done, objective)
            trials = [trained[one.identity] for one in of_arm]
            heats[arm] = _Heat(trials, [entrant.architecture.key for entrant in order])
        return heats


class _Heat(NamedTuple):
    """Trials of one arm's nets, and keys of those that did not fail, first the best."""

    trials: list[Trial]
    order: list[str]
