"""`plan`: what a reproduction would train, and how long that takes here, by timing some of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import torch

from archpress.architecture import Architecture
from archpress.baselines.hand_made import hand_made_finalists
from archpress.comparison.play_off import NO_PLACES, places_in
from archpress.data import ImageData, Split
from archpress.data.named import OFFICIAL
from archpress.data.split import VALIDATION_FRACTION
from archpress.evaluation import Recipe, choose_device, train
from archpress.evaluation.pool import default_workers
from archpress.reproduction.experiment import BASE, Experiment
from archpress.reproduction.scales import Scale
from archpress.search import Objective, Progress, Silent
from archpress.space import (
    Neighbourhood,
    PaperSampler,
    SearchSpace,
    distinct,
    narrow_to_fit,
    paper_space,
    space_around,
)

TIMED_NETS = 12  # of each method's candidates
TIMED_WORK = 6 * 10**9  # multiply-adds of a timing's forward passes, about
FEWEST_TIMED, MOST_TIMED = 16, 1024  # images
FORWARD = 1 / 3  # of the work of a training step is done in an evaluation too
# What a GPU does with nets this small, several at once: a guess, used where there is none to time.
GPU_MACS_PER_SECOND = 2e12


@dataclass(frozen=True, slots=True)
class Stage:
    """Trainings of one kind.

    Attributes:
        name: of the stage.
        trainings: how many.
        images: that one of them trains on, epochs counted; evaluations come on top.
        macs: multiply-adds of one image, mean over the nets.
        seconds: of one training on one worker here, measured on a few nets and images.
        workers: that share the trainings.
    """

    name: str
    trainings: int
    images: int
    macs: float
    seconds: float
    workers: int

    @property
    def total_macs(self) -> float:
        """Of all trainings, forward and backward."""
        return self.trainings * self.images * self.macs / FORWARD

    @property
    def hours(self) -> float:
        """Here."""
        return self.trainings * self.seconds / min(self.workers, self.trainings) / 3600

    @property
    def gpu_hours(self) -> float:
        """On a GPU of `GPU_MACS_PER_SECOND`."""
        return self.total_macs / GPU_MACS_PER_SECOND / 3600


def plan(
    experiment: Experiment,
    *,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> list[Stage]:
    """The stages of a reproduction. Trains a few nets on a few made-up images to time them.

    Fits of embeddings come on top: minutes each.

    Args:
        experiment: what is to be done.
        device: see `compare`.
        workers: likewise.
        progress: who listens.
    """
    official = OFFICIAL[experiment.row.data].counts[0]
    validation = round(VALIDATION_FRACTION * official)
    kinds = list(_kinds(experiment))
    device = choose_device(device)
    count = workers or default_workers(device)
    listener = progress or Silent()
    listener.stage("timing", len(kinds))
    stages = []
    for done, kind in enumerate(kinds, start=1):
        recipe = kind.recipe
        images = recipe.epochs * (recipe.train_images or official - validation)
        validated = recipe.spare_images + validation
        evaluations = recipe.epochs if recipe.evaluate_every else 1
        work = images + FORWARD * evaluations * validated
        seconds = work * fmean(_seconds_an_image(net, recipe, device) for net in kind.nets)
        macs = fmean(net.macs for net in kind.nets)
        stages.append(Stage(kind.name, kind.trainings, images, macs, seconds, count))
        listener.advance(done, kind.name)
    return stages


@dataclass(frozen=True)
class _Kind:
    """Trainings alike: how many, under which recipe, of nets like these."""

    name: str
    trainings: int
    recipe: Recipe
    nets: Sequence[Architecture]


def _kinds(experiment: Experiment) -> Iterator[_Kind]:
    scale, seeds = experiment.scale, experiment.runs
    settings, source = scale.settings, experiment.row.source
    space = space_around(source, experiment.limits)
    around = Neighbourhood(source, space)
    plain = hand_made_finalists(around)
    results = [net for net in (*plain[:1], narrow_to_fit(source, space)) if net is not None]
    finals = 0
    usual = places_in(settings, around, Objective(experiment.limits), scale.nets)
    contestants = experiment.contestants()
    names = {one.name for one in contestants}
    for contestant in contestants:
        if contestant.name == BASE:
            yield _Kind("base", seeds, settings.final, [source])
            continue
        finals += seeds
        if contestant.spends_budget and contestant.searches_as not in names:
            places = usual if contestant.has_finalists else NO_PLACES
            finals += seeds * (places.finalists + places.hand_made)
            trainings = seeds * (scale.nets - places.trainings) * settings.initialisations
            nets = _candidates(contestant.name, source, space, scale)
            yield _Kind(f"trials, {contestant.name}", trainings, settings.trial, nets)
            if places.semifinalists:
                trainings = seeds * places.semifinalists
                yield _Kind(f"semifinal, {contestant.name}", trainings, settings.semifinal, results)
    yield _Kind("final trainings", finals, settings.final, results)


def _candidates(
    method: str, source: Architecture, space: SearchSpace, scale: Scale
) -> list[Architecture]:
    """Nets like those that a method asks for."""
    rng = np.random.default_rng(0)
    if method.startswith("paper"):
        papers = paper_space(space.input_shape, space.classes, max_macs=scale.most_macs)
        return distinct(PaperSampler(papers, rng), TIMED_NETS)
    return distinct(Neighbourhood(source, space).sample(rng), TIMED_NETS)


def _seconds_an_image(net: Architecture, recipe: Recipe, device: str) -> float:
    """Of training, on one thread."""
    count = int(np.clip(TIMED_WORK / net.macs, FEWEST_TIMED, MOST_TIMED))
    batch = min(recipe.batch_size, count)
    count -= count % batch
    brief = replace(recipe, epochs=1, batch_size=batch, train_images=None, spare_images=0)
    train(net, _made_up(net, 2), replace(brief, batch_size=2), 0, device=device)  # warms up
    return train(net, _made_up(net, count), brief, 0, device=device).seconds / count


def _made_up(net: Architecture, count: int) -> ImageData:
    """Noise: it takes as long as photos."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *net.input_shape), generator=rng, dtype=torch.uint8)
    train_split = Split(images, torch.arange(count) % net.classes)
    few = Split(images[:8], train_split.labels[:8])
    return ImageData.of("made up", train_split, few, tuple(map(str, range(net.classes))))
