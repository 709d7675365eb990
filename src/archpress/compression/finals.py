"""Final trainings: source, finalists and the hand-made net under one recipe and the same seeds."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from archpress.architecture import Architecture
from archpress.architecture.network import Network, build, load_weights
from archpress.compression.given import GivenWeights
from archpress.compression.result import Spread
from archpress.compression.settings import SEMIFINAL
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
    expected_accuracies,
    logits_of,
    noise_of_difference,
    teacher_logits_of,
    torch_threads,
)
from archpress.search.objective import Objective
from archpress.search.progress import Progress
from archpress.store import Store, TrialFilter
from archpress.whole_files import whole_file

MOST_TEACHERS = 10  # beside the source
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the source in what teachers say


@dataclass(frozen=True, slots=True)
class Entrant:
    """One architecture under one recipe, over some seeds.

    Attributes:
        architecture: to train.
        recipe: how.
        seeds: one training each.
        role: who it is, for people and in the trials' origin.
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
    def origin(self) -> str:
        """Of its trials."""
        stage = SEMIFINAL if self.recipe.name == SEMIFINAL else "final"
        return f"{stage} {self.role}"

    @property
    def teacher(self) -> str:
        """What a recipe that distils from it says of it."""
        key = self.architecture.key
        return f"{key} {self.given.key}" if self.given else key


@dataclass(frozen=True)
class FinalTrainer:
    """Trains entrants, each training once: weights lie in the run folder, trials in the store.

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
        self, entrants: Sequence[Entrant], stage: str, *, teacher: Path | None = None
    ) -> list[Entrant]:
        """Do what was not done before; the longest first.

        Args:
            entrants: what to train; recipes that distil need `teacher`.
            stage: for the progress.
            teacher: file of logits, by `teach`.

        Returns:
            Those of which no training failed.

        Raises:
            EvaluationError: there are none.
        """
        missing = [
            self.job(entrant, seed, start, teacher if entrant.recipe.distillation else None)
            for entrant in entrants
            if entrant.given is None
            for seed, start in zip(entrant.seeds, entrant.starts or repeat(None), strict=False)
            if self.done(entrant, seed) is None
        ]
        problem = ""
        for trial in self.run(missing, stage):
            if not trial.done:
                problem = f"the training of the {trial.origin} failed: {trial.error}"
                self.progress.say(problem)
        trained = [entrant for entrant in entrants if self._is_trained(entrant)]
        if entrants and not trained:
            raise EvaluationError(problem)
        return trained

    def run(self, jobs: Sequence[Job], stage: str) -> Iterator[Trial]:
        """Train, keep and tell of each as it ends."""
        self.progress.stage(stage, len(jobs))
        for done, trial in enumerate(self.pool.run(jobs), start=1):
            self.store.add(trial, replace_failed=True)
            came_of_it = "failed" if trial.accuracy is None else f"{trial.accuracy:.2%}"
            self.progress.advance(done, f"{trial.origin} {came_of_it}")
            yield trial

    def _is_trained(self, entrant: Entrant) -> bool:
        return entrant.given is not None or all(self.done(entrant, seed) for seed in entrant.seeds)

    def known(self, recipe: Recipe, seed: int) -> list[Architecture]:
        """Nets whose training under a recipe was done before, and left its weights here."""
        which = TrialFilter(data=self.data.key, recipe=recipe.key, seed=seed, state=TrialState.DONE)
        nets = [trial.architecture for trial in self.store.trials(which)]
        entrants = [Entrant(net, recipe, (seed,), "known") for net in nets]
        return [one.architecture for one in entrants if self.weights(one, seed).exists()]

    def weights(self, entrant: Entrant, seed: int) -> Path:
        """File of the trained weights of one training."""
        about = (entrant.architecture.key[:16], entrant.recipe.key, self.data.key[:8], seed)
        return self.folder / f"{'-'.join(map(str, about))}.safetensors"

    def job(self, entrant: Entrant, seed: int, start: Path | None, teacher: Path | None) -> Job:
        """One training of an entrant, for the pool."""
        candidate = Candidate(entrant.architecture, entrant.origin)
        return Job(candidate, entrant.recipe, seed, self.weights(entrant, seed), teacher, start)

    def done(self, entrant: Entrant, seed: int) -> Trial | None:
        """The trial of a training that was done and left its weights here."""
        trial = self._find(entrant.architecture, entrant.recipe, seed)
        return trial if self.weights(entrant, seed).exists() else None

    def _find(self, architecture: Architecture, recipe: Recipe, seed: int) -> Trial | None:
        trial = self.store.find(architecture.key, self.data.key, recipe.key, seed)
        return trial if trial is not None and trial.done else None

    # --- what came of it ---

    def validation(self, entrant: Entrant) -> Spread:
        """Accuracy on the validation images over the entrant's seeds, which were trained."""
        if entrant.given:
            return entrant.given.validation
        trials = [self._find(entrant.architecture, entrant.recipe, seed) for seed in entrant.seeds]
        return Spread.of([trial.accuracy or 0.0 for trial in trials if trial is not None])

    def best_first(self, entrants: Sequence[Entrant], objective: Objective) -> list[Entrant]:
        """Entrants that were trained by one recipe and with one seed each, first the best.

        One whose training failed is left out.
        """
        found = [(entrant, self.done(entrant, entrant.seeds[0])) for entrant in entrants]
        trained = [(entrant, trial) for entrant, trial in found if trial is not None]
        trials = [trial for _, trial in trained]
        expected = expected_accuracies(trials, len(self.data.validation.labels))
        losses = [
            objective.loss(trial.architecture, trial.accuracy_or(0.0), accuracy)
            for trial, accuracy in zip(trials, expected, strict=True)
        ]
        order = sorted(range(len(losses)), key=losses.__getitem__)
        return [trained[number][0] for number in order]

    def best_way(self, ways: Sequence[Entrant], objective: Objective) -> Entrant:
        """Of trainings of one net, with a margin for those that were distilled.

        Few images cannot tell a teacher's small gain, so more than noise must speak against it;
        or a limit on the accuracy, which is held against what was measured.
        """

        def loss(entrant: Entrant) -> tuple[float, ...]:
            measured = expected = self.validation(entrant).mean
            if entrant.recipe.distillation:
                expected += noise_of_difference(measured, len(self.data.validation.labels))
            return *objective.loss(entrant.architecture, measured, expected), -expected

        return min(ways, key=loss)

    def best_seed(self, entrant: Entrant) -> int:
        """The seed with the best validation accuracy."""
        one = {
            seed: self.validation(replace(entrant, seeds=(seed,))).mean for seed in entrant.seeds
        }
        return max(one, key=lambda seed: one[seed])

    def network(self, entrant: Entrant, seed: int) -> Network:
        """The trained network of one training, in evaluation mode."""
        network = build(entrant.architecture)
        path = self.weights(entrant, seed)
        weights = dict(entrant.given.weights) if entrant.given else load_file(path)
        load_weights(network, weights, where=str(path))
        return network.eval()

    def normalisation(self, entrant: Entrant) -> Normalisation:
        """Of the images that the entrant's networks read."""
        return (
            entrant.given.normalisation
            if entrant.given
            else Normalisation.of(self.data, entrant.recipe)
        )

    def test(self, entrant: Entrant, split: Split) -> Spread:
        """Accuracy on the test images over the entrant's seeds."""
        normalisation = self.normalisation(entrant)
        with torch_threads(cores()):
            networks = [self.network(entrant, seed) for seed in entrant.seeds]
            return Spread.of(
                [accuracy_of(one, split, normalisation, device=self.device) for one in networks]
            )

    # --- teachers ---

    def teach(self, source: Entrant, recipe: Recipe, others: Sequence[Entrant] = ()) -> Path:
        """What the source's best network and others say of the training images, in a file.

        The outputs of the others are averaged; how much the source counts beside them is what the
        validation images like best.

        Args:
            source: was trained.
            recipe: of the students, by `distilling`: it says who the teachers are.
            others: were trained, with one seed each.
        """
        seed = self.best_seed(source)
        about = (source.architecture.key[:16], recipe.key, self.data.key[:8], seed)
        path = self.folder / f"teacher-{'-'.join(map(str, about))}.npy"
        if not path.exists():
            self.progress.stage("asking the teachers", 1 + len(others))
            with torch_threads(cores()):  # the workers are idle
                said = self._said(source, seed, recipe)
                outputs = said.training
                if others:
                    outputs = _mixed(said, self._mean_said(others, recipe), self.data.validation)
            with whole_file(path) as unfinished, unfinished.open("wb") as file:
                np.save(file, outputs.numpy())
        return path

    def _said(self, entrant: Entrant, seed: int, recipe: Recipe) -> "_Said":
        network, normalisation = self.network(entrant, seed), self.normalisation(entrant)
        logits = teacher_logits_of(
            network, self.data, recipe, normalisation=normalisation, device=self.device
        )
        judged = logits_of(network, self.data.validation, normalisation, device=self.device)
        return _Said(logits, judged)

    def _mean_said(self, entrants: Sequence[Entrant], recipe: Recipe) -> "_Said":
        total = self._said(entrants[0], entrants[0].seeds[0], recipe)
        for done, entrant in enumerate(entrants[1:], start=2):
            self.progress.advance(done)
            said = self._said(entrant, entrant.seeds[0], recipe)
            total = _Said(total.training + said.training, total.validation + said.validation)
        return _Said(total.training / len(entrants), total.validation / len(entrants))


def distilling(final: Recipe, weight: float, first: str, others: Sequence[Entrant] = ()) -> Recipe:
    """The final recipe of students.

    Args:
        final: of all who have no teacher.
        weight: of what the teachers say.
        first: what the recipe says of the source.
        others: that teach beside it, with one seed each.
    """
    teacher = first
    if others:
        names = sorted(f"{other.teacher} {other.seeds[0]}" for other in others)
        digest = hashlib.sha256(repr(names).encode()).hexdigest()[:16]
        teacher = f"{first} and {len(names)} more, {digest}"
    return replace(final, name="final, distilled", distillation=weight, teacher=teacher)


class _Said(NamedTuple):
    """Logits.

    Attributes:
        training: `2 x N x K`, of the training images as they are and mirrored.
        validation: `M x K`.
    """

    training: Tensor
    validation: Tensor


def _mixed(source: _Said, others: _Said, judged: Split) -> Tensor:
    """Of the training images, in the mix that has the least loss on the images judged."""

    def loss(share: float) -> float:
        mix = torch.lerp(others.validation, source.validation, share)
        return float(F.cross_entropy(mix, judged.labels))

    return torch.lerp(others.training, source.training, min(SHARES, key=loss))
