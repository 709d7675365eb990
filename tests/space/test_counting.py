import math
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy import stats

from archpress.architecture import Architecture, Layer
from archpress.errors import ArchitectureError, SpaceError
from archpress.space import (
    ChainSampler,
    Limits,
    SearchSpace,
    approximate_log10,
    count,
    counting,
    estimate,
    most_pools,
    paper_space,
)

SMALL = SearchSpace(
    (1, 3, 3),
    2,
    kinds=("conv", "max_pool", "batch_norm", "linear"),
    kernels=(1, 2),
    strides=(1, 2),
    paddings=(0, 1),
    least_channels=1,
    most_channels=2,
    most_layers=4,
)


def all_layers(space):
    windows = list(product(space.kernels, space.strides, space.paddings))
    widths = range(space.least_channels, space.most_channels + 1)
    for kernel, stride, padding in windows:
        yield from (Layer("conv", kernel, width, stride, padding) for width in widths)
        yield Layer("max_pool", kernel, 0, stride, padding)
    yield from (Layer("linear", channels=width) for width in widths)
    yield Layer("batch_norm")


@pytest.fixture(scope="module")
def every_net():
    """All nets of SMALL, found by trying everything."""
    nets, layers, head = [], list(all_layers(SMALL)), Layer("linear", channels=2)
    for length in range(1, SMALL.most_layers):
        for body in product(layers, repeat=length):
            if any(layer.kind == "conv" for layer in body):
                try:
                    nets.append(Architecture(SMALL.input_shape, (*body, head)))
                except ArchitectureError:
                    continue
    return nets


def by_length(nets):
    lengths = Counter(len(net.layers) for net in nets)
    return [lengths[n] for n in range(SMALL.most_layers + 1)]


def test_without_a_limit_it_counts_what_brute_force_finds(every_net):
    assert count(SMALL) == by_length(every_net)


@pytest.mark.parametrize("limit", [5, 12, 30, 60, 10_000])
def test_under_a_limit_on_parameters_too(every_net, limit):
    allowed = [net for net in every_net if net.parameters <= limit]
    assert count(SMALL, limit) == by_length(allowed)


def test_the_papers_space_is_finite_and_large():
    numbers = count(paper_space((1, 28, 28), 10))
    assert numbers[:3] == [0, 0, 9 * 2 * 512]  # a convolution of any kind, and the head
    assert math.log10(sum(numbers)) == pytest.approx(189.17, abs=0.01)


def test_what_takes_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(counting, "MOST_WORK", 10_000)
    with pytest.raises(SpaceError, match="takes too long"):
        count(replace(paper_space((1, 28, 28), 10), most_layers=5), 93_000)


@pytest.mark.parametrize("limit", [900, 2000])
def test_the_approximate_count_is_near_the_exact_one(limit):
    space = replace(
        SMALL, input_shape=(1, 8, 8), classes=10, kernels=(1, 3), most_channels=9, most_layers=6
    )
    exact = math.log10(sum(count(space, limit)))
    assert approximate_log10(space, limit) == pytest.approx(exact, abs=0.02)


def test_the_approximate_count_under_a_wide_limit_is_that_of_all():
    assert approximate_log10(SMALL, 10**6) == pytest.approx(math.log10(sum(count(SMALL))))


def test_no_net_at_all_is_told():
    assert approximate_log10(SMALL, 3) == -math.inf
    assert sum(count(SMALL, 3)) == 0


def test_an_estimate_of_few_samples_says_so():
    space = replace(paper_space((1, 28, 28), 10), most_layers=20)
    told = estimate(space, Limits(max_parameters=3_000), np.random.default_rng(0), 50)
    assert told.is_lower_bound


@pytest.mark.parametrize("limit", [12, 30, 60])
def test_estimates_agree_with_exact_counts(limit):
    told = estimate(SMALL, Limits(max_parameters=limit), np.random.default_rng(1), 4000)
    exact = math.log10(sum(count(SMALL, limit)))
    assert told.log10 == pytest.approx(exact, abs=4 * told.error + 1e-9)
    assert told.error < 0.05
    assert not told.is_lower_bound


def test_estimates_know_other_limits(every_net):
    limit = sorted(net.macs for net in every_net)[len(every_net) // 3]
    allowed = sum(net.macs <= limit for net in every_net)
    told = estimate(SMALL, Limits(max_macs=limit), np.random.default_rng(2), 4000)
    assert told.log10 == pytest.approx(math.log10(allowed), abs=4 * told.error)


def test_without_a_tilt_every_net_is_as_probable(every_net):
    nets = [net for net in every_net if len(net.layers) < 4]
    sampler = ChainSampler(replace(SMALL, most_layers=3))
    assert math.exp(sampler.log_total) == pytest.approx(len(nets))
    drawn = Counter(net for net, _ in sampler.draw(20 * len(nets), np.random.default_rng(3)))
    assert set(drawn) == set(nets)
    assert stats.chisquare(list(drawn.values())).pvalue > 1e-4


def test_tilted_samples_weigh_back_to_the_whole():
    sampler = ChainSampler(SMALL, 1.5)
    weights = [weight for _, weight in sampler.draw(4000, np.random.default_rng(4))]
    total = math.exp(sampler.log_total) * np.exp(weights).mean()
    assert total == pytest.approx(sum(count(SMALL)), rel=0.05)


def test_most_pools_is_one_less_than_the_side():
    """Lemma 3.1, against the longest chain of pools that shrink without padding."""

    def longest(side):
        smaller = [
            (side - kernel) // stride + 1
            for kernel in range(1, side + 1)
            for stride in range(1, side + 1)
        ]
        return max((1 + longest(s) for s in set(smaller) if s < side), default=0)

    for side in range(1, 9):
        assert most_pools(side) == longest(side)
    with pytest.raises(SpaceError, match="at least 1 pixel"):
        most_pools(0)
