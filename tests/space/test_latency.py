from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from archpress.architecture import named
from archpress.errors import SpaceError
from archpress.space import (
    LEAST_TIMED,
    LatencyConditions,
    LatencyModel,
    Limits,
    distinct,
    fit_of,
    sample_neighbourhood,
    space_around,
)
from archpress.space.latency import quantities

SOURCE = named("plain6")
PRICES = {"pass": 0.02, "conv call": 0.01, "conv macs": 0.05, "batch_norm values": 0.001}


def true_time(net):
    amounts = quantities(net)
    return sum(price * amounts[name] for name, price in PRICES.items())


@pytest.fixture(scope="module")
def nets():
    space = space_around(SOURCE)
    neighbours = sample_neighbourhood(SOURCE, space, np.random.default_rng(0))
    return [SOURCE, *distinct(islice(neighbours, 2000), 79, known={SOURCE.key})]


@pytest.fixture(scope="module")
def model(nets):
    return LatencyModel(LatencyConditions(), [(net, true_time(net)) for net in nets[:60]])


def test_prices_tell_the_time_of_nets_that_were_not_timed(model, nets):
    for net in nets[60:]:
        assert model.measured(net) is None
        assert model.milliseconds(net) == pytest.approx(true_time(net), rel=0.05)


def test_layers_and_the_pass_sum_to_the_prediction(model, nets):
    layers = model.by_layer(nets[70])
    assert len(layers) == len(nets[70].layers)
    assert min(layers) >= 0
    whole = sum(layers) + model.prices["pass"]
    assert whole == pytest.approx(model.predicted(nets[70]), rel=1e-3)


def test_a_net_that_was_timed_keeps_its_last_time(nets):
    model = LatencyModel(LatencyConditions(), [(net, true_time(net)) for net in nets[:20]])
    model.learn([(nets[0], 7.0)])
    assert model.milliseconds(nets[0]) == 7.0
    assert len(model.timed) == 20
    assert model.predicted(nets[0]) < 7.0


def test_held_out_predictions_tell_how_good_the_prices_are(model):
    pairs = model.held_out()
    assert pairs.shape == (60, 2)
    fit = fit_of(pairs)
    assert fit.n == 60
    assert fit.error < 0.05
    assert fit.kendall > 0.9


def test_the_fit_is_that_of_its_pairs():
    fit = fit_of(np.array([[1.0, 1.0], [3.0, 2.0], [2.0, 4.0]]))
    assert fit.error == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert fit.kendall == pytest.approx(1 / 3)  # of three pairs two in order, one not


def test_one_net_that_was_disturbed_hardly_moves_the_others(nets):
    times = [true_time(net) for net in nets[:60]]
    times[5] *= 20
    model = LatencyModel(LatencyConditions(), zip(nets[:60], times, strict=True))
    errors = [abs(model.predicted(net) / true_time(net) - 1) for net in nets[60:]]
    assert float(np.median(errors)) < 0.1


def test_few_nets_have_no_prices(nets):
    few = LatencyModel(LatencyConditions(), [(net, 1.0) for net in nets[: LEAST_TIMED - 1]])
    assert not few.prices


@pytest.mark.parametrize("milliseconds", [0, -1, float("inf"), float("nan")])
def test_a_latency_that_is_no_time_is_refused(milliseconds):
    with pytest.raises(SpaceError, match="max_latency must be milliseconds above 0"):
        Limits(max_latency=milliseconds)


def test_a_limit_on_latency_is_judged_by_the_model(model, nets):
    limit = true_time(nets[3])
    limits = Limits(max_latency=limit * 1.001, latency=model)
    assert limits.any
    assert limits.any_cost
    assert limits.allow(nets[3])
    ((name, allowed, found),) = replace(limits, max_latency=limit * 0.999).broken(nets[3])
    assert (name, allowed, found) == ("max_latency", limit * 0.999, limit)
    assert limits.to_dict() == {"max_latency": limit * 1.001, "latency": str(model.conditions)}


def test_without_times_a_limit_on_latency_cannot_be_judged():
    with pytest.raises(SpaceError, match="max_latency needs times of this device"):
        Limits(max_latency=1.0).allow(SOURCE)


def test_limits_without_latency_look_as_they_always_did():
    assert "latency" not in repr(Limits(max_parameters=5))


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.2])
def test_a_share_of_the_sources_latency_lies_between_nothing_and_all(share):
    with pytest.raises(SpaceError, match=r"must be in \(0, 1\)"):
        Limits(max_latency_share=share)
    with pytest.raises(SpaceError, match="one is enough"):
        Limits(max_latency=1.0, max_latency_share=0.5)
