"""Chains by the thousand, against the same chains as values."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from scipy import stats

from archpress.architecture import Architecture, Layer
from archpress.architecture.kinds import PAPER_KINDS
from archpress.errors import ArchitectureError
from archpress.space import Limits, SearchSpace, paper_space
from archpress.space.batches import NO_LAYER, Chains

LEAST_PROBABILITY = 1e-4  # seeds are fixed, so this is no chance of failing but a bound on bias
PAPERS = paper_space((3, 16, 16), 10)
OF_MANY_KINDS = SearchSpace(
    (2, 9, 13),
    4,
    (
        *("conv", "depthwise", "batch_norm", "layer_norm", "prelu", "gelu", "max_pool"),
        *("average_pool", "global_average_pool", "dropout", "add", "concat", "linear"),
    ),
    kernels=(1, 3, 5),
    strides=(1, 2),
    paddings=(0, 2),
    least_channels=4,
    most_channels=64,
    most_layers=8,
    round_channels=4,
)
OF_FEW_CHANNELS = SearchSpace(
    (1, 3, 3),
    2,
    ("conv", "layer_norm", "group_norm", "pad_channels", "global_average_pool", "linear"),
    kernels=(1, 3),
    least_channels=1,
    most_channels=2,
    most_layers=7,
)


def probability_if_uniform(values, choices) -> float:
    counts = Counter(values)
    assert set(counts) <= set(choices)
    return stats.chisquare([counts[choice] for choice in choices]).pvalue


@pytest.fixture(scope="module")
def drawn():
    chains = Chains(PAPERS)
    return chains, chains.draw(4_000, np.random.default_rng(0))


def test_lengths_are_uniform(drawn):
    _, batch = drawn
    assert probability_if_uniform(batch.lengths.tolist(), range(2, 51)) > LEAST_PROBABILITY


def test_kinds_and_fields_are_uniform(drawn):
    chains, batch = drawn
    layers = [chains.layers[row] for row in batch.rows[batch.rows != NO_LAYER]]
    assert probability_if_uniform([one.kind for one in layers], PAPER_KINDS) > LEAST_PROBABILITY
    convs = [one for one in layers if one.kind == "conv"]
    for name, choices in (
        *(("kernel", PAPERS.kernels), ("stride", PAPERS.strides), ("padding", PAPERS.paddings)),
    ):
        chosen = [getattr(one, name) for one in convs]
        assert probability_if_uniform(chosen, choices) > LEAST_PROBABILITY
    wide = batch.channels[batch.channels > 0] > 256
    assert probability_if_uniform(wide.tolist(), (False, True)) > LEAST_PROBABILITY


@pytest.mark.parametrize(
    "space", [PAPERS, OF_MANY_KINDS, OF_FEW_CHANNELS], ids=["paper", "many kinds", "few channels"]
)
def test_costs_are_those_of_the_values(space):
    chains = Chains(space)
    batch = chains.draw(1_500, np.random.default_rng(1))
    costs = chains.costs(batch)
    for index, layers in enumerate(chains.layers_of_each(batch)):
        try:
            net = Architecture(space.input_shape, layers)
        except ArchitectureError:
            assert not costs.fits[index]
            continue
        assert costs.fits[index]
        assert costs.has_conv[index] == any(layer.kind == "conv" for layer in layers)
        for name in ("parameters", "macs", "activations", "peak_memory"):
            assert getattr(costs, name)[index] == getattr(net, name), (name, net)
    assert 0.02 < costs.fits.mean() < 0.9


def test_channels_are_those_of_the_space():
    batch = Chains(OF_MANY_KINDS).draw(500, np.random.default_rng(2))
    assert set(batch.channels[batch.channels > 0].tolist()) == set(range(4, 65, 4))


def test_limits_are_kept():
    chains = Chains(PAPERS)
    batch = chains.draw(3_000, np.random.default_rng(3))
    costs = chains.costs(batch)
    limits = Limits(max_parameters=60_000, max_macs=10**6, max_peak_memory=40_000)
    small = costs.within(limits, most_activations=20_000)
    assert 10 < small.sum() < costs.within(Limits()).sum() == costs.fits.sum()
    for net in islice(chains.architectures(batch[small]), 50):
        assert limits.allow(net)
        assert net.activations <= 20_000


def test_fingerprints_tell_chains_apart(drawn):
    chains, batch = drawn
    marks = batch.fingerprints()
    twice = batch[np.array([5, 17, 5])].fingerprints()
    assert (twice == marks[[5, 17, 5]]).all()
    assert (twice[0] == twice[2]).all()
    alike = Counter(chains.layers_of_each(batch))
    assert len(np.unique(marks, axis=0)) == len(alike)


def test_one_channel_more_is_another_chain():
    chains = Chains(PAPERS)
    batch = chains.draw(200, np.random.default_rng(4))
    wider = type(batch)(batch.rows, batch.channels + (batch.channels > 0))
    changed = (wider.fingerprints() != batch.fingerprints()).any(1)
    assert (changed == (batch.channels > 0).any(1)).all()


def test_values_of_a_batch_end_in_the_head():
    chains = Chains(PAPERS)
    batch = chains.draw(300, np.random.default_rng(5))
    nets = list(chains.architectures(batch[chains.costs(batch).fits]))
    assert nets
    assert {net.layers[-1] for net in nets} == {Layer("linear", channels=10)}
