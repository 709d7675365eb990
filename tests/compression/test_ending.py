"""Which net becomes the result, by a pool that says how accurate each is."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from archpress.architecture import named
from archpress.baselines.hand_made import hand_made_finalists
from archpress.compression import settings_for
from archpress.compression.ending import finish
from archpress.compression.finals import Entrant, FinalTrainer
from archpress.errors import EvaluationError
from archpress.evaluation import Recipe, Trial, TrialState
from archpress.search import Silent
from archpress.space import Limits, Neighbourhood, sample_neighbourhood, space_around
from archpress.store import Store

SOURCE = named("tiny", (1, 28, 28))
LIMITS = Limits(max_parameters=3000)
FINAL = Recipe("final", epochs=4)


class Judge:
    """A pool that trains nothing."""

    def __init__(self, data, accuracies, losses, gain):
        self.data, self.accuracies, self.losses, self.gain = data, accuracies, losses, gain
        self.in_semifinal, self.jobs = {}, []

    def run(self, jobs):
        for job in jobs:
            self.jobs.append(job)
            net = job.candidate.architecture
            job.save_weights.parent.mkdir(exist_ok=True)
            job.save_weights.touch()
            metrics = {"accuracy": self.accuracies.get(net.key, 0.8)}
            metrics["accuracy"] += self.gain * (job.recipe.distillation > 0)
            metrics["validation_loss"] = self.losses.get(net.key, 0.5)
            place = (self.data.key, job.recipe.key, job.seed)
            if job.candidate.origin == "semifinal net":
                metrics["accuracy"] = self.in_semifinal.get(net.key, 0.5)
            if metrics["accuracy"] is None:
                yield Trial(net, *place, TrialState.FAILED, {}, error="it failed")
            else:
                yield Trial(net, *place, TrialState.DONE, metrics)


@pytest.fixture
def end(images, tmp_path, monkeypatch):
    """Ends a search of these finalists in one folder; accuracies and losses by key."""

    def teach(trainer, source, recipe, others):
        end.taught_by = [other.architecture.key for other in others]
        return tmp_path / "logits.npy"

    monkeypatch.setattr(FinalTrainer, "teach", teach)
    with Store(tmp_path / "trials.db") as store:

        def end(
            finalists,
            accuracies,
            losses=None,
            *,
            limits=LIMITS,
            distillation=0.0,
            gain=0.01,
            semifinal=None,
            places=10,
        ):
            space = space_around(SOURCE, limits)
            settings = replace(settings_for("smoke"), final=FINAL, seeds=2)
            settings = replace(settings, finalists=places, distillation=distillation)
            brief = SimpleNamespace(data_key=images.key, recipe_key="brief")
            task = SimpleNamespace(
                **{"source": SOURCE, "space": space, "evaluator": brief, "store": store},
                **{"settings": settings, "seed": 0, "timing": None},
            )
            pool = Judge(images, accuracies, losses or {}, gain)
            pool.in_semifinal = semifinal or {}
            trainer = FinalTrainer(images, pool, store, tmp_path / "weights", Silent())
            source = Entrant(SOURCE, FINAL, (0, 1), "source")
            own = Trial(SOURCE, images.key, "brief", 0, TrialState.DONE, {"accuracy": 0.8})
            store.add(own)
            trainer.train([source], "the source")
            found = SimpleNamespace(best=finalists, trials=[own])
            end.ending = finish(trainer, task, found, limits, source)
            end.jobs = pool.jobs
            return end.ending

        yield end


@pytest.fixture(scope="module")
def nets():
    space = space_around(SOURCE, LIMITS)
    plain = hand_made_finalists(Neighbourhood(SOURCE, space))
    sampled = sample_neighbourhood(SOURCE, space, np.random.default_rng(0))
    found = {net.key: net for net in (next(sampled) for _ in range(20))}
    for net in plain:
        found.pop(net.key, None)
    return plain, [net for net in found.values() if LIMITS.allow(net)][:5]


def test_the_most_accurate_finalist_is_trained_with_all_seeds(end, nets):
    _, found = nets
    ending = end(found, {found[1].key: 0.9})
    assert ending.compressed.architecture == found[1]
    assert ending.compressed.seeds == (0, 1)
    assert not ending.is_plain


def test_without_a_net_to_train_it_says_how_many_trials_failed(end):
    with pytest.raises(EvaluationError, match=r"^0 of 1 trials failed, and no other net"):
        end([], {})


def test_a_hand_made_net_is_the_result_where_nothing_found_is_better(end, nets):
    plain, found = nets
    ending = end(found, {plain[0].key: 0.9})
    assert ending.is_plain
    assert ending.compressed.architecture == ending.reference.architecture == plain[0]


def test_of_nets_as_accurate_the_one_with_the_least_loss_is_chosen(end, nets):
    _, found = nets
    accuracies = {net.key: 0.88 for net in found} | {found[0].key: 0.885}
    losses = {net.key: 0.30 + 0.01 * at for at, net in enumerate(reversed(found))}
    assert end(found, accuracies, losses).compressed.architecture == found[-1]


def test_a_source_that_keeps_the_limits_is_the_result_where_nothing_is_better(end, nets):
    _, found = nets
    wide = Limits(max_parameters=10**6)
    accuracies = {SOURCE.key: 0.9, found[-1].key: 0.95}
    assert end(found[:2], accuracies, limits=wide).compressed.architecture == SOURCE
    assert end(found[2:], accuracies, limits=wide).compressed.architecture == found[-1]


def test_what_was_trained_to_the_end_before_is_a_finalist_again(end, nets):
    _, found = nets
    accuracies = {found[0].key: 0.9}
    end(found[:1], accuracies)
    assert end(found[1:], accuracies).compressed.architecture == found[0]
    trained = {job.candidate.architecture.key for job in end.jobs}
    assert found[0].key not in trained


def test_the_best_is_distilled_from_source_and_finalists_and_a_second_call_trains_nothing(
    end, nets
):
    plain, found = nets
    for _ in range(2):
        ending = end(found, {found[1].key: 0.9}, distillation=0.5)
        recipe = ending.compressed.recipe
        assert recipe.distillation == 0.5
        assert recipe.teacher.startswith(f"{SOURCE.key} 0 and {len(found) + len(plain)} more")
        assert end.taught_by[0] == found[1].key
        assert {*end.taught_by} == {net.key for net in (*found, *plain)}
    assert end.jobs == []


@pytest.mark.parametrize("limits", [LIMITS, Limits(max_accuracy_loss=0.5)])
@pytest.mark.parametrize(("gain", "is_taught"), [(-0.01, True), (-0.3, False)])
def test_few_images_do_not_tell_against_a_teacher_unless_the_loss_is_large(
    end, nets, gain, is_taught, limits
):
    _, found = nets
    recipe = end(found, {}, limits=limits, distillation=0.5, gain=gain).compressed.recipe
    assert bool(recipe.distillation) == is_taught


def test_only_the_best_of_a_short_training_are_trained_to_the_end(end, nets):
    plain, found = nets
    short = {net.key: 0.1 + 0.2 * at for at, net in enumerate(found)}
    accuracies = {found[0].key: 0.95, found[-2].key: 0.9}
    losses = {found[-2].key: 0.3}
    for trainings in (len(found), 0):
        ending = end([*plain, *found], accuracies, losses, semifinal=short, places=2)
        assert ending.compressed.architecture == found[-2]
        origins = [job.candidate.origin for job in end.jobs]
        assert origins.count("semifinal net") == trainings
    assert end.jobs == []


def test_where_the_whole_semifinal_fails_the_first_nets_are_finalists(end, nets):
    plain, found = nets
    end(found, {}, semifinal=dict.fromkeys((net.key for net in found), None), places=2)
    finals = {job.candidate.architecture for job in end.jobs if job.recipe.name == "final"}
    assert finals == {SOURCE, *plain, *found[:2]}
