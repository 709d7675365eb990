"""Final trainings: source, finalists and the hand-made net under one recipe and the same seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from archpress.architecture import Architecture
from archpress.architecture.network import Network, build, load_weights
from archpress.compression.given import GivenWeights
from archpress.compression.result import Spread
from archpress.data import ImageData, Split
from archpress.errors import EvaluationError
from archpress.evaluation import (
    Candidate,
    Job,
    Normalisation,
    Pool,
    Recipe,
    Trial,
    TrialState,
    accuracy_of,
    cores,
    teacher_logits_of,
    torch_threads,
)
from archpress.search.progress import Progress
from archpress.store import Store, TrialFilter
from archpress.whole_files import whole_file


@dataclass(frozen=True, slots=True)
class Plan:
    """One architecture under one recipe, over some seeds.

    Attributes:
        architecture: to train.
        recipe: how.
        seeds: one training each.
        role: who it is, for people and as the trials' origin.
        given: weights that the architecture came with; then it is not trained, there is one seed,
            and the recipe says nothing.
        starts: files of the weights that the training of each seed begins with; none: fresh ones.
    """

    architecture: Architecture
    recipe: Recipe
    seeds: tuple[int, ...]
    role: str
    given: GivenWeights | None = None
    starts: tuple[Path, ...] = ()

    @property
    def teacher(self) -> str:
        """What a recipe that distils from it says of it."""
        key = self.architecture.key
        return f"{key} {self.given.key}" if self.given else key


@dataclass(frozen=True)
class FinalTrainer:
    """Trains plans, each training once: weights lie in the run folder, trials in the store.

    Attributes:
        data: all its training images are used.
        pool: of workers.
        store: of trials.
        folder: for weights.
        progress: who listens.
        device: where networks are measured and teachers run.
    """

    data: ImageData
    pool: Pool
    store: Store
    folder: Path
    progress: Progress
    device: str = "cpu"

    def train(
        self, plans: Sequence[Plan], stage: str, *, teacher: Path | None = None
    ) -> list[Plan]:
        """Do what was not done before; the longest first.

        Args:
            plans: what to train; recipes that distil need `teacher`.
            stage: for the progress.
            teacher: file of logits, by `teach`.

        Returns:
            Those of which no training failed.

        Raises:
            EvaluationError: there are none.
        """
        jobs = [
            Job(
                Candidate(plan.architecture, f"final {plan.role}"),
                plan.recipe,
                seed,
                self.weights(plan, seed),
                teacher if plan.recipe.distillation else None,
                start,
            )
            for plan in plans
            if plan.given is None
            for seed, start in zip(plan.seeds, plan.starts or repeat(None), strict=False)
        ]
        missing = [job for job in jobs if not self._is_done(job)]
        self.progress.stage(stage, len(missing))
        problem = ""
        for done, trial in enumerate(self.pool.run(missing), start=1):
            self.store.add(trial, replace_failed=True)
            if trial.done:
                self.progress.advance(done, f"{trial.origin} {trial.accuracy:.2%}")
                continue
            problem = f"the training of the {trial.origin} failed: {trial.error}"
            self.progress.say(problem)
        trained = [plan for plan in plans if self._is_trained(plan)]
        if plans and not trained:
            raise EvaluationError(problem)
        return trained

    def _is_trained(self, plan: Plan) -> bool:
        found = (self._find(plan.architecture, plan.recipe, seed) for seed in plan.seeds)
        return plan.given is not None or all(found)

    def known(self, recipe: Recipe, seed: int) -> list[Architecture]:
        """Nets whose training under a recipe was done before, and left its weights here."""
        which = TrialFilter(data=self.data.key, recipe=recipe.key, seed=seed, state=TrialState.DONE)
        nets = [trial.architecture for trial in self.store.trials(which)]
        plans = [Plan(net, recipe, (seed,), "known") for net in nets]
        return [plan.architecture for plan in plans if self.weights(plan, seed).exists()]

    def weights(self, plan: Plan, seed: int) -> Path:
        """File of the trained weights of one training."""
        about = (plan.architecture.key[:16], plan.recipe.key, self.data.key[:8], seed)
        return self.folder / f"{'-'.join(map(str, about))}.safetensors"

    def _is_done(self, job: Job) -> bool:
        trial = self._find(job.candidate.architecture, job.recipe, job.seed)
        return trial is not None and job.save_weights is not None and job.save_weights.exists()

    def _find(self, architecture: Architecture, recipe: Recipe, seed: int) -> Trial | None:
        trial = self.store.find(architecture.key, self.data.key, recipe.key, seed)
        return trial if trial is not None and trial.done else None

    # --- what came of it ---

    def validation(self, plan: Plan) -> Spread:
        """Accuracy on the validation images over the plan's seeds, which were trained."""
        if plan.given:
            return plan.given.validation
        trials = [self._find(plan.architecture, plan.recipe, seed) for seed in plan.seeds]
        return Spread.of([trial.accuracy or 0.0 for trial in trials if trial is not None])

    def best_seed(self, plan: Plan) -> int:
        """The seed with the best validation accuracy."""
        one = {seed: self.validation(replace(plan, seeds=(seed,))).mean for seed in plan.seeds}
        return max(one, key=lambda seed: one[seed])

    def network(self, plan: Plan, seed: int) -> Network:
        """The trained network of one training, in evaluation mode."""
        network = build(plan.architecture)
        path = self.weights(plan, seed)
        weights = dict(plan.given.weights) if plan.given else load_file(path)
        load_weights(network, weights, where=str(path))
        return network.eval()

    def normalisation(self, plan: Plan) -> Normalisation:
        """Of the images that the plan's networks read."""
        return plan.given.normalisation if plan.given else Normalisation.of(self.data, plan.recipe)

    def test(self, plan: Plan, split: Split) -> Spread:
        """Accuracy on the test images over the plan's seeds."""
        normalisation = self.normalisation(plan)
        with torch_threads(cores()):
            networks = [self.network(plan, seed) for seed in plan.seeds]
            return Spread.of(
                [accuracy_of(one, split, normalisation, device=self.device) for one in networks]
            )

    def teach(self, teacher: Plan, recipe: Recipe) -> Path:
        """The outputs of the teacher's best network on the training images, in a file.

        Args:
            teacher: was trained.
            recipe: of the students.
        """
        seed = self.best_seed(teacher)
        about = (teacher.architecture.key[:16], recipe.key, self.data.key[:8], seed)
        path = self.folder / f"teacher-{'-'.join(map(str, about))}.npy"
        if not path.exists():
            self.progress.stage("asking the source", 1)
            with torch_threads(cores()):  # the workers are idle
                logits = teacher_logits_of(
                    self.network(teacher, seed),
                    self.data,
                    recipe,
                    normalisation=self.normalisation(teacher),
                    device=self.device,
                )
            with whole_file(path) as unfinished, unfinished.open("wb") as file:
                np.save(file, logits.numpy())
        return path
