import pytest
from scipy.stats import t as student

from archpress.architecture import named
from archpress.comparison.curves import band, best_so_far
from archpress.evaluation import Trial, TrialState
from archpress.search import Objective
from archpress.space import Limits

TINY, PLAIN = named("tiny"), named("plain6")


def trial(net, accuracy):
    state = TrialState.FAILED if accuracy is None else TrialState.DONE
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    return Trial(net, "data", "recipe", 0, state, metrics)


def test_only_trials_within_the_limits_count():
    objective = Objective(Limits(max_parameters=TINY.parameters))
    trials = [trial(PLAIN, 0.9), trial(TINY, None), trial(TINY, 0.4), trial(TINY, 0.3)]
    assert best_so_far(trials, objective, "accuracy", 1) == [None, None, 0.4, 0.4]


def test_the_smallest_net_that_is_accurate_enough_compresses_most():
    objective = Objective(Limits(max_accuracy_loss=0.01), least_accuracy=0.8)
    trials = [trial(PLAIN, 0.85), trial(TINY, 0.7), trial(TINY, 0.8)]
    by_plain, by_tiny = 1e6 / PLAIN.parameters, 1e6 / TINY.parameters
    curve = best_so_far(trials, objective, "compression", 1_000_000)
    assert curve == [by_plain, by_plain, by_tiny]


def test_a_band_begins_where_every_seed_has_a_value_and_holds_the_last_one():
    found = band([[None, 0.5, 0.6, 0.6], [0.3, 0.3]], 4)
    assert found.start == 2
    assert found.mean == pytest.approx((0.4, 0.45, 0.45))
    half = student.ppf(0.975, 1) * 0.1  # standard error of 0.5 and 0.3 is 0.2 / sqrt(2) / sqrt(2)
    assert found.low[0] == pytest.approx(0.4 - half)
    assert found.high[0] == pytest.approx(0.4 + half)


def test_one_seed_has_no_interval_and_nothing_has_no_band():
    found = band([[0.5, 0.6]], 2)
    assert found.low == found.mean == found.high == (0.5, 0.6)
    assert band([], 3) is None
    assert band([[None, None]], 2) is None
    assert band([[]], 2) is None
