"""`FinalTraining`: the one final training of a net that a contestant came to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from archpress.architecture import Architecture
from archpress.comparison.conditions import Conditions
from archpress.compression.finals import FinalTrainer, Plan
from archpress.errors import EvaluationError
from archpress.evaluation import Candidate, Job, Trial


@dataclass(frozen=True, slots=True)
class FinalTraining:
    """A final training to be done.

    Attributes:
        plan: net, recipe and one seed.
        start: file of weights to start from, where the recipe says so.
        teacher: file of logits, where the recipe distils.
    """

    plan: Plan
    start: Path | None = None
    teacher: Path | None = None

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.plan.seeds[0]

    @property
    def identity(self) -> tuple[str, str, int]:
        """Endings with one identity are one training."""
        return self.plan.architecture.key, self.plan.recipe.key, self.seed


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

    def source(self) -> Plan:
        """The source under the final recipe, trained once, with seed 0, for all who need it."""
        plan = Plan(self.conditions.source, self.conditions.settings.final, (0,), "source")
        training = FinalTraining(plan)
        trial = self.train([training], "training the source")[training.identity]
        if not trial.done:
            raise EvaluationError(f"the training of the source failed: {trial.error}")
        return plan

    def train(
        self, trainings: Sequence[FinalTraining], stage: str
    ) -> dict[tuple[str, str, int], Trial]:
        """The trials of final trainings, by identity; what was done before is not done again.

        A training that failed is a trial too, and is tried again by the next call.
        """
        unique = {one.identity: one for one in trainings}
        trials = {key: self._done(one) for key, one in unique.items()}
        missing = [one for key, one in unique.items() if trials[key] is None]
        done = {key: trial for key, trial in trials.items() if trial is not None}
        if missing:
            self.trainer.progress.stage(stage, len(missing))
        for count, trial in enumerate(self.trainer.pool.run(list(map(self._job, missing))), 1):
            self.trainer.store.add(trial, replace_failed=True)
            self.trained += 1
            done[trial.architecture.key, trial.recipe, trial.seed] = trial
            accuracy = f"{trial.accuracy:.2%}" if trial.accuracy is not None else "failed"
            self.trainer.progress.advance(count, f"{trial.origin} {accuracy}")
        return done

    def _job(self, training: FinalTraining) -> Job:
        plan = training.plan
        return Job(
            Candidate(plan.architecture, f"final {plan.role}"),
            plan.recipe,
            training.seed,
            self.trainer.weights(plan, training.seed),
            training.teacher,
            training.start,
        )

    def _done(self, training: FinalTraining) -> Trial | None:
        key, recipe, seed = training.identity
        trial = self.trainer.store.find(key, self.conditions.images.key, recipe, seed)
        is_whole = trial and trial.done and self.trainer.weights(training.plan, seed).exists()
        return trial if is_whole else None


Finish = Callable[[FinalStage, Architecture | None, int], FinalTraining | None]


def under_final_recipe(stage: FinalStage, net: Architecture, seed: int) -> FinalTraining:
    """A net from fresh weights under the final recipe."""
    return FinalTraining(Plan(net, stage.conditions.settings.final, (seed,), "net"))


def from_scratch(stage: FinalStage, chosen: Architecture | None, seed: int) -> FinalTraining | None:
    """The net that was chosen under the final recipe; nothing where none was chosen."""
    return under_final_recipe(stage, chosen, seed) if chosen is not None else None
