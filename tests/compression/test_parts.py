from dataclasses import replace

import numpy as np
import pytest
import torch

from archpress.architecture import Layer, chain, named, simplify
from archpress.baselines.hand_made import hand_made_nets
from archpress.compression import (
    LimitCheck,
    Measured,
    Spread,
    settings_for,
    with_counts,
)
from archpress.compression import fitted as fitted_module
from archpress.compression.first import anchor_nets
from archpress.compression.fitted import fitted_embedding, labelled
from archpress.compression.learner import EmbeddingLearner
from archpress.compression.measuring import check_limits
from archpress.compression.run_folder import alone_in
from archpress.compression.search import (
    Tally,
    Task,
    objective_of,
    try_failed_again,
)
from archpress.compression.sentence import tell
from archpress.compression.timing import timing_of
from archpress.data import Split
from archpress.embedding import (
    Alphabet,
    Embedding,
    FitSettings,
    Guess,
    Labelled,
    ModelSize,
    Surrogate,
)
from archpress.embedding.fitting import fit_unlabelled, refit
from archpress.errors import EvaluationError, StoreError
from archpress.evaluation import Candidate, TableEvaluator, Trial, TrialState
from archpress.search import (
    DescentSettings,
    Journal,
    Objective,
    Problem,
    ProposalSettings,
    Silent,
    descend,
    propose,
)
from archpress.search.descent import _loss
from archpress.space import (
    Form,
    Limits,
    Neighbourhood,
    distinct,
    sample_neighbourhood,
    space_around,
)
from archpress.store import Outcome, Store


def trial(net, accuracy, **more):
    state = TrialState.DONE if accuracy is not None else TrialState.FAILED
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    return Trial(net, "data", "recipe", 0, state, metrics, **more)


TINY, PLAIN, CONV7 = named("tiny"), named("plain6"), named("conv7")


def test_within_a_cost_limit_the_most_accurate_is_best():
    objective = Objective(Limits(max_parameters=100_000))
    trials = [trial(TINY, 0.7), trial(PLAIN, 0.8), trial(CONV7, 0.9), trial(TINY, None)]
    best = objective.best(trials)
    assert best is not None
    assert best.architecture == PLAIN  # CONV-7 has 708,458 parameters, too many


def test_with_an_accuracy_limit_alone_the_smallest_that_keeps_it_is_best():
    objective = Objective(Limits(max_accuracy_loss=0.05), least_accuracy=0.75)
    trials = [trial(TINY, 0.7), trial(PLAIN, 0.8), trial(CONV7, 0.9)]
    best = objective.best(trials)
    assert best is not None
    assert best.architecture == PLAIN


def test_where_nothing_meets_the_limits_the_closest_is_best():
    objective = Objective(Limits(min_accuracy=0.95), least_accuracy=0.95)
    best = objective.best([trial(TINY, 0.7), trial(PLAIN, 0.8), trial(CONV7, 0.9)])
    assert best is not None
    assert best.architecture == CONV7
    assert objective.best([trial(TINY, None)]) is None


def test_nothing_beyond_a_cost_limit_is_promising():
    guess = Guess(np.array([2.0, 2.0]), np.array([0.5, 0.5]))
    objective = Objective(Limits(max_parameters=100_000))
    promise = objective.acquisition([PLAIN, CONV7], guess, trial(TINY, 0.8))
    assert promise[0] > 0
    assert promise[1] == 0


def test_a_smaller_net_promises_more_where_size_is_the_aim():
    guess = Guess(np.array([2.0, 2.0]), np.array([0.5, 0.5]))
    objective = Objective(Limits(min_accuracy=0.8), least_accuracy=0.8)
    promise = objective.acquisition([TINY, PLAIN], guess, trial(CONV7, 0.9))
    assert promise[0] > promise[1] > 0


@pytest.fixture(scope="module")
def fitted():
    space = space_around(TINY, Limits(max_parameters=4000))
    rng = np.random.default_rng(0)
    pool = distinct(sample_neighbourhood(TINY, space, rng), 80)
    embedding = Embedding(space, ModelSize(32, 16, 3))
    fit_unlabelled(embedding, pool, FitSettings(steps=60, batch=32), rng)
    accuracies = [0.5 + 0.1 * np.log10(net.parameters) for net in pool]
    labelled = Labelled(pool, accuracies)
    refit(embedding, labelled, pool, FitSettings(refit_steps=30, refit_batch=32), rng)
    trials = [trial(net, float(a)) for net, a in zip(pool, accuracies, strict=True)]
    return space, embedding, Surrogate(embedding, labelled), trials


def test_descent_lowers_its_loss_and_stays_in_the_space(fitted):
    space, embedding, _, _ = fitted
    objective = Objective(Limits(max_parameters=4000))
    settings = DescentSettings(starts=6, steps=20, every=10)
    nets = descend(embedding, [TINY], objective, settings, np.random.default_rng(0))
    assert len(nets) == 6 * 2  # two decodes of six starts
    assert all(space.contains(net) for net in nets)
    start = embedding.encode([TINY]).requires_grad_()
    before = _loss(embedding, start, torch.zeros(1), objective, settings)
    before.backward()
    assert start.grad is not None
    after = _loss(
        embedding, start.detach() - 0.01 * start.grad, torch.zeros(1), objective, settings
    )
    assert after < before
    assert all(weight.requires_grad for weight in embedding.model.parameters())


def test_descent_gradients_agree_with_finite_differences(fitted):
    _, embedding, _, _ = fitted
    objective, settings = Objective(Limits(max_parameters=1500)), DescentSettings()
    point = embedding.encode([PLAIN]).detach().double()
    model = embedding.model.double()
    try:
        path = point.clone().requires_grad_()
        loss = _loss(embedding, path, torch.zeros(1), objective, settings)
        loss.backward()
        for axis in (0, 7, 19):
            step = torch.zeros_like(point)
            step[0, axis] = 1e-5
            ends = [
                _loss(embedding, point + sign * step, torch.zeros(1), objective, settings)
                for sign in (1, -1)
            ]
            slope = (ends[0] - ends[1]).item() / 2e-5
            assert path.grad is not None
            assert slope == pytest.approx(float(path.grad[0, axis]), rel=1e-3, abs=1e-5)
    finally:
        model.float()


def test_proposals_are_new_different_allowed_and_carry_a_prediction(fitted, tmp_path):
    _, _, _, trials = fitted
    proposals = ProposalSettings(edits=60, descent=DescentSettings(starts=6, steps=20))
    settings = replace(settings_for("smoke"), proposals=proposals)
    limits = Limits(max_parameters=4000)
    space = Neighbourhood(TINY, space_around(TINY, limits))
    with EmbeddingLearner(space, settings, 0, tmp_path) as learner:
        learner.learn(trials, 1)
        problem = Problem(space, Objective(limits), budget=100)
        candidates = propose(problem, trials, learner, proposals, count=5, number=2)
        best = learner.best(trials, problem.objective, 3)
        guessed = dict(zip(best, learner.guess(best).accuracy, strict=True))
    assert len(best) == len({net.key for net in best}) == 3
    assert all(limits.allow(net) for net in best)
    assert guessed[best[0]] == max(guessed.values())
    assert best[1].macs >= best[0].macs  # what brief trials rank too low
    keys = {one.architecture.key for one in candidates}
    assert 1 <= len(keys) == len(candidates) <= 5
    assert not keys & {one.architecture.key for one in trials}
    assert all(space.why_not(one.architecture) is None for one in candidates)
    assert {one.round for one in candidates} == {2}
    assert {one.origin for one in candidates} <= {"edit", "descent"}
    assert all(one.predicted is not None and 0 < one.predicted < 1 for one in candidates)


SCALED = chain(
    (1, 8, 8),
    Layer("conv", 3, 8, 1, 1),
    Layer("scale", options=(("factor", 0.5),)),
    Layer("conv", 3, 12, 2, 1),
    Layer("relu"),
    Layer("linear", channels=10),
)
BRIEF = replace(settings_for("smoke"), pool=100, fit=FitSettings(steps=5, refit_steps=5))
ONE_WIDTH = chain((1, 8, 8), Layer("conv", 3, 16, 2, 1), Layer("linear", channels=10))


@pytest.mark.parametrize(
    ("source", "form"),
    [
        (SCALED, Form(kept=(1,))),
        (SCALED, Form(widths_only=True)),
        (named("resnet20", (1, 8, 8)), Form(8, widths_only=True)),
        (ONE_WIDTH, Form(8, widths_only=True)),  # two nets in all
    ],
)
def test_what_stays_can_be_learned_from_and_is_in_proposals(source, form, tmp_path):
    limits = Limits(max_macs=2 * source.macs // 3)
    space = Neighbourhood(source, space_around(source, limits, form))
    descent = DescentSettings(starts=6, steps=20)
    proposals = ProposalSettings(edits=40, descent=descent)
    settings = replace(BRIEF, proposals=proposals)
    rng = np.random.default_rng(0)
    nets = distinct(space.sample(rng), 12)
    trials = [trial(net, 0.5 + 0.01 * i) for i, net in enumerate(nets)]
    assert Alphabet.of(space.search_space).holds(simplify(source))
    with EmbeddingLearner(space, settings, 0, tmp_path) as learner:
        assert len(learner.fitted.pool) >= 40
        learner.learn(trials, 1)
        assert len(labelled(trials, learner.embedding, 10)) == len(nets)
        problem = Problem(space, Objective(limits), budget=100)
        descended = list(learner.descend(nets, problem.objective, rng))
        candidates = propose(problem, trials, learner, proposals, count=5, number=1)
        assert learner.best(trials, problem.objective, 1)
    for net in [*descended, *(one.architecture for one in candidates)]:
        assert space.why_not(net) is None
    assert len(candidates) == (0 if source is ONE_WIDTH else 5)


def test_an_embedding_is_of_the_layers_that_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(fitted_module, "REFIT_POOL", 20)
    monkeypatch.setattr(fitted_module, "UNSEEN", 20)
    plain, asked = space_around(SCALED), space_around(SCALED, None, Form(widths_only=True))
    assert Alphabet.of(plain).kinds == plain.kinds
    rounded = space_around(SCALED, None, Form(4, kept=(0,)))
    kinds = [layer.kind for layer in SCALED.layers]
    for space, files in ((None, 1), (plain, 1), (rounded, 1), (asked, 2)):
        fitted = fitted_embedding(SCALED, BRIEF, 0, tmp_path, asked=space)
        assert len(list(tmp_path.glob("embedding-*"))) == files
        alike = [[layer.kind for layer in net.layers] == kinds for net in fitted.pool]
        assert all(alike) if files == 2 else not any(alike)


def test_anchors_are_the_narrowed_source_and_hand_made_nets_in_the_space():
    space = space_around(CONV7, Limits(max_parameters=20_000))
    anchors = anchor_nets(CONV7, space)
    assert {one.origin for one in anchors} == {"narrowed source", "hand-made"}
    assert all(space.contains(one.architecture) for one in anchors)
    usual = hand_made_nets(space)[0]
    assert 0.9 * 20_000 < usual.parameters <= 20_000


def test_a_journal_gives_back_its_rounds_and_ignores_other_searches_and_a_cut_line(tmp_path):
    path = tmp_path / "search.jsonl"
    first, second = [Candidate(TINY, "edit", 0, 0.5)], [Candidate(PLAIN, "descent", 1)]
    journal = Journal(path, "this search")
    journal.add(first)
    Journal(path, "another").add(second)
    journal.add(second)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])  # killed while the last round was written
    again = Journal(path, "this search")
    assert again.rounds == [first]
    again.add(second)
    assert Journal(path, "this search").rounds == [first, second]


def test_a_journal_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write the journal"):
        Journal(tmp_path / "file" / "search.jsonl", "s").add([Candidate(TINY)])


def test_an_unknown_effort_and_counts_out_of_range_are_refused():
    with pytest.raises(EvaluationError, match="smoke, quick, standard, thorough"):
        settings_for("huge")
    with pytest.raises(EvaluationError, match="seeds must be at least 1"):
        with_counts(settings_for("quick"), seeds=0)
    changed = with_counts(settings_for("quick"), epochs=7, rounds=0)
    assert (changed.final.epochs, changed.rounds, changed.seeds) == (7, 0, 2)


def test_few_images_get_more_epochs_and_many_do_not():
    many = settings_for("quick", train_images=10_800)
    assert many == settings_for("quick")
    few = settings_for("quick", train_images=200)
    assert few.trial.epochs * 200 / few.trial.batch_size >= 300
    assert few.final.epochs * 200 / few.final.batch_size >= 600


def test_there_is_a_semifinal_where_it_tells_more_than_trials_and_less_than_finals():
    by_accuracy, smallest = Objective(Limits(max_parameters=9)), Objective(Limits(min_accuracy=0.5))
    usual = settings_for("standard").for_images(54_000)
    assert usual.semifinal.epochs == 3
    assert usual.has_semifinal(by_accuracy)
    assert usual.best_of_search(by_accuracy) == 12
    few = settings_for("standard", train_images=2000).for_images(2000)
    short = with_counts(settings_for("standard"), epochs=1).for_images(54_000)
    for settings, objective in [(usual, smallest), (few, by_accuracy), (short, by_accuracy)]:
        assert not settings.has_semifinal(objective)
        assert settings.best_of_search(objective) == settings.finalists == 3


def test_a_spread_is_the_mean_and_the_sample_deviation():
    spread = Spread.of([0.8, 0.9])
    assert spread.mean == pytest.approx(0.85)
    assert spread.std == pytest.approx(0.070711, abs=1e-6)  # sqrt(2 * 0.05^2 / 1)
    assert Spread.of([0.8]).std == 0


def measured(name, parameters, accuracy):
    latency = {"median_seconds": 0.001, "threads": 1, "batch": 1}
    return Measured(
        name, parameters, 1, 1, 1, latency, Spread(accuracy, 0.0, 2), Spread(accuracy, 0.0, 2)
    )


def test_the_sentence_says_what_was_not_met_and_that_a_net_is_not_faster():
    source, compressed = measured("net", 1000, 0.9), measured("c", 100, 0.88)
    met = LimitCheck("max_parameters", 200, 100, met=True)
    missed = LimitCheck("max_accuracy_loss", 0.01, 0.02, met=False)
    good = tell([met], source, compressed)
    assert good.startswith("All limits met: net became 10.0x smaller (1,000 to 100 parameters)")
    assert "2.00 points less accurate" in good
    assert "not faster" in good
    bad = tell([met, missed], source, compressed)
    assert bad.startswith("Not met: max_accuracy_loss 0.0100 but 0.0200; the closest:")
    plain = tell([met], source, compressed, is_plain=True)
    assert plain == f"{good} It is a plain hand-made net: no net of the search was better."
    assert tell([met], source, compressed, trials={"trained": 6, "reused": 2, "failed": 2}) == good
    broken = tell([met], source, compressed, trials={"trained": 6, "reused": 1, "failed": 2})
    assert broken.startswith(f"{good} 2 of 7 trials failed")


def test_a_loss_as_large_as_is_allowed_is_met():
    limits, net = Limits(max_accuracy_loss=0.01), named("tiny")
    (check,) = check_limits(limits, net, measured("net", 9, 0.90), measured("c", 4, 0.89))
    assert check.met
    (check,) = check_limits(limits, net, measured("net", 9, 0.90), measured("c", 4, 0.8899))
    assert not check.met


@pytest.mark.parametrize(("ones", "learned"), [(80, True), (85, False)])
def test_the_sentence_says_where_the_largest_class_alone_is_as_good(ones, learned):
    labels = torch.cat([torch.ones(ones, dtype=torch.int64), torch.arange(100 - ones) % 7 + 2])
    validation = Split(torch.zeros(100, 1, 2, 2, dtype=torch.uint8), labels)
    met = LimitCheck("max_parameters", 200, 100, met=True)
    told = tell([met], measured("net", 9, 0.9), measured("c", 4, 0.9), validation=validation)
    said = f"90.0% of the validation images right, and always naming the largest class {ones}.0%"
    assert (said in told) is not learned


# --- what a search hangs on ---


def test_a_search_is_the_same_whatever_its_finals_are():
    settings = settings_for("standard")
    other = replace(settings, seeds=5, finalists=7, distillation=0.0, final=settings.trial)
    assert other.of_search() == settings.of_search()
    assert replace(settings, first=9).of_search() != settings.of_search()


@pytest.fixture
def task(tmp_path):
    """Of a search whose source's trial is what the test puts into the store."""
    evaluator = TableEvaluator({}, name="table")
    space = space_around(TINY, Limits(max_accuracy_loss=0.1))
    with Store(tmp_path / "trials.db") as store:
        settings = settings_for("smoke")
        timing = timing_of(Limits(), tmp_path, Silent())
        yield Task(TINY, space, evaluator, store, settings, 0, tmp_path, Silent(), timing)


@pytest.mark.parametrize(("accuracy", "least"), [(0.85, 0.75), (0.05, 0.0)])
def test_a_loss_of_accuracy_is_counted_from_the_sources_own_trial(task, accuracy, least):
    own = replace(trial(TINY, accuracy), data=task.evaluator.data_key, recipe="table")
    task.store.add(replace(own, recipe=task.evaluator.recipe_key))
    found = objective_of(task, Limits(max_accuracy_loss=0.1))
    assert found.least_accuracy == pytest.approx(least)


def test_without_the_sources_own_trial_nothing_is_within_a_loss(task):
    place = {"data": task.evaluator.data_key, "recipe": task.evaluator.recipe_key}
    failed = replace(trial(TINY, None), error="TimeLimit: 1800 s", **place)
    task.store.add(failed)
    with pytest.raises(EvaluationError, match=r"own brief trial failed \(TimeLimit: 1800 s\)"):
        objective_of(task, Limits(max_accuracy_loss=0.1))


def test_a_trial_of_the_source_that_failed_is_made_again_by_the_next_call(task):
    place = {"data": task.evaluator.data_key, "recipe": task.evaluator.recipe_key}
    task.store.add(replace(trial(TINY, None), error="WorkerDied: killed", **place))
    accuracies = {TINY.key: {"accuracy": 0.8}}
    again = replace(task, evaluator=TableEvaluator(accuracies, name="table"))
    assert again.evaluator.data_key == place["data"]
    other = chain((1, 8, 8), Layer("conv", 3, 4, 1), TINY.layers[-1])
    task.store.add(replace(trial(other, 0.7), **place))
    try_failed_again(again, Limits(max_parameters=2000), Tally())  # nothing hangs on it
    assert not task.store.find(TINY.key, place["data"], place["recipe"], 0).done
    try_failed_again(again, Limits(max_accuracy_loss=0.1), Tally())
    assert task.store.find(TINY.key, place["data"], place["recipe"], 0).accuracy == 0.8


def test_trials_that_all_failed_are_tried_again(task):
    place = {"data": task.evaluator.data_key, "recipe": task.evaluator.recipe_key}
    failed = replace(trial(TINY, None), **place, error="OSError: no space left")
    failed = replace(failed, round=2, predicted=0.75)
    task.store.add(failed)
    accuracies = {TINY.key: {"accuracy": 0.8}}
    again = replace(task, evaluator=TableEvaluator(accuracies, name="table"))
    tally = Tally()
    try_failed_again(again, Limits(), tally)
    assert tally.counts == {"trained": 1, "reused": 0, "failed": 0}
    made = task.store.find(TINY.key, place["data"], place["recipe"], 0)
    assert (made.accuracy, made.round, made.predicted) == (0.8, 2, 0.75)
    with_other = chain((1, 8, 8), Layer("conv", 3, 4, 1), TINY.layers[-1])
    task.store.add(replace(failed, architecture=with_other))
    try_failed_again(again, Limits(), tally)  # one has worked, so it is that net
    assert not task.store.find(with_other.key, place["data"], place["recipe"], 0).done


def test_what_was_trained_in_a_run_is_not_reused_by_it():
    tally, made = Tally(), trial(TINY, 0.8)
    other = chain((1, 8, 8), Layer("conv", 3, 4, 1), TINY.layers[-1])
    for found, reused in ((trial(TINY, None), False), (made, False), (made, True)):
        tally.take(Outcome(Candidate(TINY, "sample"), found, reused=reused))
    tally.take(Outcome(Candidate(other, "sample"), trial(other, None), reused=True))
    assert tally.counts == {"trained": 1, "reused": 1, "failed": 1}


def test_two_processes_do_not_work_in_one_run_folder(tmp_path):
    refused = pytest.raises(StoreError, match="another process works in")
    with alone_in(tmp_path), refused, alone_in(tmp_path):
        pass
    with alone_in(tmp_path):  # as soon as the other has ended
        pass


@pytest.mark.slow
def test_a_search_that_goes_on_has_the_pool_that_it_had(tmp_path):
    settings = replace(settings_for("smoke"), pool=600)
    first, again = (fitted_embedding(TINY, settings, 0, tmp_path) for _ in range(2))
    assert [net.key for net in first.pool] == [net.key for net in again.pool]
    assert first.reconstruction == again.reconstruction


@pytest.mark.slow
def test_trials_of_other_spaces_are_no_places_to_descend_from(tmp_path):
    space = Neighbourhood(TINY, space_around(TINY, Limits(max_parameters=2000)))
    foreign = chain((1, 28, 28), Layer("conv", 3, 4, 1), Layer("gelu"), TINY.layers[-1])
    with EmbeddingLearner(space, settings_for("smoke"), 0, tmp_path) as learner:
        learner.learn([trial(TINY, 0.8), trial(named("tiny", (1, 28, 28), 10), 0.8)], 1)
        objective = Objective(Limits(max_parameters=2000))
        assert list(learner.descend([foreign], objective, np.random.default_rng(0)))
