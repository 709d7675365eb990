import numpy as np
import pytest

from archpress.architecture import named
from archpress.compression.trust import round_errors, trust_of
from archpress.embedding import Embedding, FitSettings, ModelSize
from archpress.embedding.fitting import fit_unlabelled
from archpress.evaluation import Trial, TrialState
from archpress.search import DescentSettings, Objective
from archpress.space import Limits, distinct, sample_neighbourhood, space_around

TINY = named("tiny")


def trial(net, accuracy, **more):
    state = TrialState.DONE if accuracy is not None else TrialState.FAILED
    metrics = {} if accuracy is None else {"accuracy": accuracy}
    return Trial(net, "data", "recipe", 0, state, metrics, **more)


def test_each_round_is_told_with_its_mean_error():
    trials = [
        trial(TINY, 0.5),  # predicted by nobody
        trial(TINY, 0.75, round=1, predicted=0.5),
        trial(TINY, 0.5, round=1, predicted=1.0),
        trial(TINY, None, round=1, predicted=0.9),  # failed, so there is nothing to compare with
        trial(TINY, 0.25, round=3, predicted=0.25),
    ]
    first, second = round_errors(trials)
    assert (first.number, first.n, first.predicted, first.measured) == (1, 2, 0.75, 0.625)
    assert first.error == pytest.approx((0.25 + 0.5) / 2)
    assert (second.number, second.n, second.error) == (3, 1, 0.0)


@pytest.fixture(scope="module")
def fitted():
    space = space_around(TINY)
    pool = distinct(sample_neighbourhood(TINY, space, np.random.default_rng(0)), 60)
    embedding = Embedding(space, ModelSize(), 0)
    fit_unlabelled(embedding, pool, FitSettings(steps=40, batch=32), np.random.default_rng(1))
    return embedding, pool


def test_the_way_of_a_descent_is_told_at_every_decode(fitted):
    embedding, pool = fitted
    trials = [trial(net, 0.5) for net in pool[:20]]
    descent = DescentSettings(starts=6, steps=20, every=10)
    objective = Objective(Limits(max_parameters=2000))
    rng = np.random.default_rng(2)
    trust = trust_of(embedding, trials, pool[:3], objective, descent, rng)
    assert [(one.step, one.n) for one in trust.path] == [(10, 6), (20, 6)]
    assert all(one.octaves >= 0 and one.moved > 0 for one in trust.path)
    assert trust.cycle is not None
    assert trust.cycle > 0


def test_without_descent_or_nets_there_is_no_way_and_no_cycle(fitted):
    embedding, pool = fitted
    objective, rng = Objective(Limits(max_parameters=2000)), np.random.default_rng(2)
    trials = [trial(net, 0.5) for net in pool[:5]]
    assert trust_of(embedding, trials, pool[:2], objective, None, rng).path == ()
    assert trust_of(embedding, [trial(TINY, None)], [], objective, None, rng).cycle is None
