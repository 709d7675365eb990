import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from archpress.architecture import named
from archpress.report.record import ResultRecord
from archpress.report.trials import (
    TrialPoint,
    best_so_far,
    cost_limits,
    failure_reasons,
    find,
    front,
    rank_agreement,
    trial_points,
)
from archpress.space.limits import Limits


def point(accuracy, parameters=100, *, predicted=None, within=True):
    return TrialPoint(
        1, accuracy, parameters, 7, "descent", 0, predicted, 1.0, named("tiny"), "", "", within
    )


def result_with(make, *limits):
    content = make.result()
    content["limits"] = [{"name": name, "limit": limit, "met": True} for name, limit in limits]
    return ResultRecord.model_validate(content)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=1, max_size=20))
def test_the_front_is_what_no_other_point_beats(pairs):
    points = [point(accuracy / 10, cost) for cost, accuracy in pairs]
    unbeaten = {
        (p.parameters, p.accuracy)
        for p in points
        if not any(
            (q.parameters <= p.parameters and q.accuracy > p.accuracy)
            or (q.parameters < p.parameters and q.accuracy >= p.accuracy)
            for q in points
        )
    }
    edge = front(points, "parameters")
    assert [(p.parameters, p.accuracy) for p in edge] == sorted(unbeaten)


def test_points_are_numbered_in_the_order_in_which_trials_ended(make):
    trials = [make.trial(make.narrow(width), width / 100, number=9 - width) for width in (4, 5, 6)]
    points = trial_points(trials, Limits())
    assert [(p.number, p.accuracy) for p in points] == [(1, 0.06), (2, 0.05), (3, 0.04)]


def test_failed_trials_and_those_without_a_finite_accuracy_are_no_points(make):
    trials = [
        make.trial(make.narrow(4), None),
        make.trial(make.narrow(5), float("nan")),
        make.trial(make.narrow(6), 0.5),
        make.trial(make.narrow(7), 0.0),
    ]
    assert [p.accuracy for p in trial_points(trials, Limits())] == [0.5, 0.0]


def test_failures_are_counted_by_reason_the_most_frequent_first(make):
    trials = [
        make.trial(make.narrow(4), None, error="MemoryError: a"),
        make.trial(make.narrow(5), None, error="ValueError: b"),
        make.trial(make.narrow(6), None, error="ValueError: b"),
        make.trial(make.narrow(7), 0.5),
    ]
    assert failure_reasons(trials) == (("ValueError: b", 2), ("MemoryError: a", 1))


def test_a_trial_is_found_by_its_architecture(make):
    trials = [make.trial(make.narrow(4), 0.1), make.trial(make.source, 0.9)]
    points = trial_points(trials, Limits())
    found = find(points, make.source)
    assert found is not None
    assert found.accuracy == 0.9
    assert find(points, make.narrow(5)) is None
    assert find(points, None) is None


def test_the_rank_agreement_is_scipys_tau_within_its_interval():
    rng = np.random.default_rng(3)
    predicted = rng.uniform(size=40)
    measured = predicted + rng.normal(scale=0.2, size=40)
    points = [point(m, predicted=p) for p, m in zip(predicted, measured, strict=True)]
    agreement = rank_agreement([*points, point(0.1)], np.random.default_rng(0))
    assert agreement is not None
    assert agreement.n == 40  # the one without a prediction is left out
    assert agreement.tau == pytest.approx(kendalltau(predicted, measured).statistic)
    assert -1 <= agreement.low < agreement.tau < agreement.high <= 1


@pytest.mark.parametrize(
    "pairs",
    [[], [(0.1, 0.2), (0.2, 0.3)], [(0.5, 0.1), (0.5, 0.2), (0.5, 0.3)]],
    ids=["none", "two", "all alike"],
)
def test_no_rank_agreement_is_claimed_where_there_is_no_order_to_tell(pairs):
    points = [point(measured, predicted=predicted) for predicted, measured in pairs]
    assert rank_agreement(points, np.random.default_rng(0)) is None


def test_under_cost_limits_the_best_is_the_most_accurate_that_keeps_to_them(make):
    points = [point(0.9, within=False), point(0.6), point(0.5), point(0.8)]
    best = best_so_far(points, result_with(make, ("max_parameters", 1000)), None)
    assert best.unit == "accuracy"
    assert best.values == (None, 0.6, 0.6, 0.8)
    assert "limits on costs" in best.rule


def test_under_accuracy_limits_alone_the_best_is_the_smallest_that_loses_little(make):
    source = point(0.90, 1000)
    points = [source, point(0.85, 100), point(0.895, 700), point(0.892, 800), point(0.95, 300)]
    best = best_so_far(points, result_with(make, ("max_accuracy_loss", 0.01)), source)
    assert best.unit == "parameters"
    assert best.values == (1000, 1000, 700, 700, 300)


def test_a_least_accuracy_allows_what_the_source_has_above_it(make):
    # the source reached 0.905 under the final recipe, so 0.005 may be lost
    source = point(0.80, 1000)
    points = [source, point(0.796, 500), point(0.794, 100)]
    best = best_so_far(points, result_with(make, ("min_accuracy", 0.9)), source)
    assert best.values == (1000, 500, 500)


def test_a_source_below_the_least_accuracy_may_lose_nothing(make):
    source = point(0.80, 1000)
    points = [source, point(0.80, 500), point(0.799, 100)]
    best = best_so_far(points, result_with(make, ("min_accuracy", 0.95)), source)
    assert best.values == (1000, 500, 500)
    assert "(0.00 points)" in best.rule


def test_without_limits_or_without_the_sources_trial_the_best_is_the_most_accurate(make):
    points = [point(0.5), point(0.7), point(0.6)]
    for result in (result_with(make), result_with(make, ("max_accuracy_loss", 0.01))):
        assert best_so_far(points, result, None).values == (0.5, 0.7, 0.7)


def test_only_limits_on_costs_are_cost_limits(make):
    assert cost_limits(ResultRecord.model_validate(make.result())) == Limits(max_parameters=93000)


def test_the_best_so_far_never_gets_worse(make):
    points = trial_points(make.some_trials(), Limits(max_parameters=93000))
    values = best_so_far(points, result_with(make, ("max_parameters", 93000)), None).values
    reached = [value for value in values if value is not None]
    assert all(later >= earlier for earlier, later in itertools.pairwise(reached))
