"""One suite for every evaluator; a new one is added to `evaluator` below."""

from dataclasses import replace

import pytest

from archpress.architecture import Layer, chain
from archpress.architecture.network import build
from archpress.evaluation import (
    Averaged,
    Candidate,
    Inheriting,
    Recipe,
    SerialEvaluator,
    TableEvaluator,
    TrialState,
)


@pytest.fixture(
    params=[
        "serial",
        "table",
        pytest.param("pool", marks=pytest.mark.slow),
        pytest.param("ray", marks=pytest.mark.slow),
        pytest.param("averaged", marks=pytest.mark.slow),
        pytest.param("inheriting", marks=pytest.mark.slow),
    ],
)
def evaluator(request, data, brief, candidates):
    match request.param:
        case "serial":
            return SerialEvaluator(data, brief)
        case "table":
            known = [c.architecture.key for c in candidates if c.architecture.input_shape[0] == 1]
            return TableEvaluator({key: {"accuracy": 0.5} for key in known}, name="published")
        case "ray":
            return request.getfixturevalue("ray_pool")
        case "averaged":
            return Averaged(request.getfixturevalue("pool"), 2)
        case "inheriting":
            source = candidates[0].architecture
            weights = build(source).state_dict()
            return Inheriting(request.getfixturevalue("pool"), source, weights, "of a test")
        case _:
            return request.getfixturevalue("pool")


def test_every_candidate_gives_one_trial_with_all_that_is_known_of_it(evaluator, candidates):
    trials = list(evaluator.evaluate(candidates, seed=7))
    assert {trial.architecture for trial in trials} == {c.architecture for c in candidates}
    assert len(trials) == len(candidates)
    for trial in trials:
        assert (trial.data, trial.recipe, trial.seed) == (
            evaluator.data_key,
            evaluator.recipe_key,
            7,
        )
        assert (trial.origin, trial.round, trial.predicted) == ("edit", 2, 0.5)
        assert trial.created.endswith("+00:00")


def test_a_candidate_that_cannot_be_evaluated_is_a_failed_trial_and_stops_no_other(
    evaluator, candidates
):
    trials = list(evaluator.evaluate(candidates, seed=0))
    states = {trial.architecture.input_shape: trial.state for trial in trials}
    assert states == {(1, 8, 8): TrialState.DONE, (3, 8, 8): TrialState.FAILED}
    for trial in trials:
        if trial.done:
            assert 0 <= trial.accuracy <= 1
            assert trial.curve[-1] == trial.accuracy
            assert trial.error is None
        else:
            assert trial.accuracy is None
            kind, _, message = trial.error.partition(": ")
            assert kind.isidentifier()
            assert message


def test_the_same_candidates_and_seed_give_the_same_metrics(evaluator, candidates):
    first, second = (
        {t.architecture.key: dict(t.metrics) for t in evaluator.evaluate(candidates, seed=1)}
        for _ in range(2)
    )
    assert first == second


def test_no_candidates_give_no_trials(evaluator):
    assert list(evaluator.evaluate([], seed=0)) == []


def test_an_evaluation_may_be_left_early_and_the_next_one_works(evaluator, candidates):
    trials = evaluator.evaluate(candidates, seed=0)
    next(trials)
    trials.close()
    assert len(list(evaluator.evaluate(candidates[:2], seed=0))) == 2


def test_the_keys_are_told_without_evaluating(evaluator):
    assert isinstance(evaluator.data_key, str)
    assert isinstance(evaluator.recipe_key, str)


@pytest.mark.slow
def test_a_worker_gives_the_very_trial_that_this_process_gives(pool, data, brief, candidates):
    here = {
        t.architecture: (dict(t.metrics), t.curve, t.error)
        for t in SerialEvaluator(data, brief).evaluate(candidates, seed=5)
    }
    there = {
        t.architecture: (dict(t.metrics), t.curve, t.error)
        for t in pool.evaluate(candidates, seed=5)
    }
    assert here == there


def test_serial_evaluation_computes_nothing_before_it_is_read(data, candidates):
    endless = Recipe("endless", epochs=10**6)
    SerialEvaluator(data, endless).evaluate(candidates, seed=0)


def test_a_table_answers_for_every_form_of_an_architecture():
    plain = chain((1, 8, 8), Layer("relu"), Layer("linear", channels=4))
    doubled = chain((1, 8, 8), Layer("relu"), Layer("relu"), Layer("linear", channels=4))
    table = TableEvaluator({plain.key: {"accuracy": 0.8, "seconds": 3.0}}, name="t")
    (trial,) = table.evaluate([Candidate(doubled)], seed=0)
    assert trial.accuracy == 0.8
    assert trial.metrics["seconds"] == 3.0


@pytest.mark.slow
def test_an_average_is_the_mean_of_trainings_with_seeds_of_their_own(pool, candidates):
    averaged = {t.architecture.key: t for t in Averaged(pool, 2).evaluate(candidates, seed=5)}
    single = [{t.architecture.key: t for t in pool.evaluate(candidates, seed=s)} for s in (10, 11)]
    for key, trial in averaged.items():
        first, second = (one[key] for one in single)
        if first.done:
            assert trial.accuracy == pytest.approx((first.accuracy + second.accuracy) / 2)
            assert trial.curve[-1] == pytest.approx(trial.accuracy)
            spread = abs(first.accuracy - second.accuracy) / 2**0.5
            assert trial.metrics["accuracy_std"] == pytest.approx(spread)
        else:
            assert trial.error == first.error
        assert trial.recipe not in {first.recipe, second.recipe}


@pytest.mark.slow
def test_an_average_of_a_net_that_stands_there_twice_is_given_twice(pool, candidates):
    other = replace(candidates[0], origin="descent")
    trials = [*Averaged(pool, 2).evaluate([candidates[0], other], seed=5)]
    assert sorted(trial.origin for trial in trials) == ["descent", "edit"]
    assert trials[0].metrics == trials[1].metrics
