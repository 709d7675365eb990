"""`FinalTraining`: the one final training of a net that a contestant came to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from archpress.architecture import Architecture
from archpress.comparison.conditions import Conditions
from archpress.compression.finals import Entrant, FinalTrainer
from archpress.errors import EvaluationError
from archpress.evaluation import Job, Trial

TrainingIdentity = tuple[str, str, int]  # of a training: keys of its net and recipe, its seed


@dataclass(frozen=True, slots=True)
class FinalTraining:
    """A final training to be done.

    Attributes:
        entrant: net, recipe and one seed.
        start: file of weights to start from, where the recipe says so.
        teacher: file of logits, where the recipe distils.
        unless: another training of the net, of which the better is kept (`best_way`).
    """

    entrant: Entrant
    start: Path | None = None
    teacher: Path | None = None
    unless: "FinalTraining | None" = None

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.entrant.seeds[0]

    @property
    def identity(self) -> TrainingIdentity:
        """Those with one identity are one training."""
        return self.entrant.architecture.key, self.entrant.recipe.key, self.seed


@dataclass
class FinalStage:
    """What final trainings are made with.

    Attributes:
        conditions: of the comparison.
        trainer: keeps weights and trials.
        trained: how many trainings were made here, not known from before.
    """

    conditions: Conditions
    trainer: FinalTrainer
    trained: int = 0

    def source(self) -> Entrant:
        """The source under the final recipe, trained once, with seed 0, for all who need it."""
        entrant = Entrant(self.conditions.source, self.conditions.settings.final, (0,), "source")
        training = FinalTraining(entrant)
        trial = self.train([training], "training the source")[training.identity]
        if not trial.done:
            raise EvaluationError(f"the training of the source failed: {trial.error}")
        return entrant

    def train(
        self, trainings: Sequence[FinalTraining], stage: str
    ) -> dict[TrainingIdentity, Trial]:
        """The trials of final trainings, by identity; what was done before is not done again.

        A training that failed is a trial too, and is tried again by the next call.
        """
        unique = {one.identity: one for one in trainings}
        trials = {key: self.trainer.done(one.entrant, one.seed) for key, one in unique.items()}
        missing = [one for key, one in unique.items() if trials[key] is None]
        done = {key: trial for key, trial in trials.items() if trial is not None}
        if not missing:
            return done
        for trial in self.trainer.run([self._job(one) for one in missing], stage):
            self.trained += 1
            done[trial.architecture.key, trial.recipe, trial.seed] = trial
        return done

    def _job(self, training: FinalTraining) -> Job:
        return self.trainer.job(training.entrant, training.seed, training.start, training.teacher)


@dataclass(frozen=True, slots=True)
class Found:
    """What a contestant came to.

    Attributes:
        chosen: net; None: there is none.
        seed: of the search and the final training.
        finalists: nets that were trained to the end, to choose; first the best.
    """

    chosen: Architecture | None
    seed: int
    finalists: tuple[Architecture, ...] = ()


Finish = Callable[[FinalStage, Found], FinalTraining | None]


def under_final_recipe(stage: FinalStage, net: Architecture, seed: int) -> FinalTraining:
    """A net from fresh weights under the final recipe."""
    return FinalTraining(Entrant(net, stage.conditions.settings.final, (seed,), "net"))


def from_scratch(stage: FinalStage, found: Found) -> FinalTraining | None:
    """The net that was chosen under the final recipe; nothing where none was chosen."""
    if found.chosen is None:
        return None
    return under_final_recipe(stage, found.chosen, found.seed)
