"""Final trainings by a pool that trains nothing: what is done again, and what may fail."""

import numpy as np
import pytest
import torch

from archpress.architecture import named
from archpress.compression import finals
from archpress.compression.finals import Entrant, FinalTrainer, distilling
from archpress.data import ImageData
from archpress.errors import EvaluationError
from archpress.evaluation import Recipe, Trial, TrialState
from archpress.evaluation.trial import failed_trial
from archpress.search import Silent
from archpress.store import Store

TINY, PLAIN, SMALLER = named("tiny"), named("plain6"), named("lenet5")
RECIPE = Recipe("final", epochs=1)


class Instant:
    """A pool: trials at once, their weights a file; some architectures fail."""

    def __init__(self, data, *failing):
        self.data, self.failing, self.jobs = data, failing, []

    def run(self, jobs):
        for job in jobs:
            self.jobs.append(job)
            net, place = job.candidate.architecture, (self.data.key, job.recipe.key, job.seed)
            if net in self.failing:
                data, recipe, seed = place
                yield failed_trial(
                    job.candidate, data=data, recipe=recipe, seed=seed, error="Diverged: inf"
                )
                continue
            job.save_weights.parent.mkdir(exist_ok=True)
            job.save_weights.write_text(self.data.key)
            yield Trial(net, *place, TrialState.DONE, {"accuracy": 0.9})


@pytest.fixture
def trainer(images, tmp_path):
    """Makes trainers on one folder and one store."""
    with Store(tmp_path / "trials.db") as store:

        def make(data=images, failing=()):
            pool = Instant(data, *failing)
            return FinalTrainer(data, pool, store, tmp_path / "weights", Silent())

        yield make


def test_weights_of_other_images_are_not_taken_for_ones_own(trainer, images):
    classes = images.class_names
    other = ImageData.of("the other split", images.validation, images.train, classes)
    entrant = Entrant(TINY, RECIPE, (0,), "source")
    for data in (images, other, images):
        one = trainer(data)
        assert one.train([entrant], "training") == [entrant]
        assert one.weights(entrant, 0).read_text() == data.key
    assert one.pool.jobs == []


def test_what_fails_is_left_out_as_long_as_something_is_trained(trainer):
    entrants = [Entrant(net, RECIPE, (0, 1), "finalist") for net in (PLAIN, TINY)]
    one = trainer(failing=[PLAIN])
    assert one.train(entrants, "training finalists") == entrants[1:]
    assert len(one.pool.jobs) == 4
    with pytest.raises(EvaluationError, match="training of the final finalist failed: Diverged"):
        one.train(entrants[:1], "training the result")
    assert trainer().train(entrants, "again") == entrants


@pytest.mark.parametrize(
    ("knowing", "share"), [(("source",), 1.0), (("finalist",), 0.0), (("source", "finalist"), 0.5)]
)
def test_validation_says_how_much_the_source_counts_among_teachers(
    trainer, images, monkeypatch, knowing, share
):
    """Who knows is right, where both know each about other images."""
    one = trainer()
    entrants = [Entrant(net, RECIPE, (0,), "finalist") for net in (PLAIN, TINY)]
    source = Entrant(SMALLER, RECIPE, (0,), "source")
    one.train([source, *entrants], "training")
    right = 4.0 * torch.nn.functional.one_hot(images.validation.labels, 10)
    halves = {"source": slice(0, 50), "finalist": slice(50, 100)}

    def said(trainer, entrant, seed, recipe):
        judged = right.clone() if entrant.role in knowing else -right
        if len(knowing) == 2:
            judged[halves[entrant.role]] = 0.0
        value = {SMALLER: 1.0, PLAIN: 2.0, TINY: 4.0}[entrant.architecture]
        return finals._Said(torch.full((2, 3, 10), value), judged)

    monkeypatch.setattr(FinalTrainer, "_said", said)
    student = distilling(RECIPE, 0.5, "s", entrants)
    path = one.teach(source, student, entrants)
    assert np.load(path) == pytest.approx(share * 1.0 + (1 - share) * 3.0)
    assert student == distilling(RECIPE, 0.5, "s", entrants[::-1])
    assert student.teacher != distilling(RECIPE, 0.5, "s").teacher == "s"
