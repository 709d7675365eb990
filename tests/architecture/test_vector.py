import numpy as np
import pytest
import torch

from archpress.architecture import Layer, chain, named
from archpress.architecture.network import build
from archpress.architecture.vector import (
    from_vectors,
    has_vectors,
    to_vectors,
    without_global_pools,
)
from archpress.errors import ArchitectureError
from archpress.space import PaperSampler, paper_space


def test_a_global_pool_is_written_as_a_pool_of_the_whole_map():
    net = named("tiny", (1, 12, 12), 10)
    plain = without_global_pools(net)
    assert "global_average_pool" not in [layer.kind for layer in plain.layers]
    assert (plain.parameters, plain.macs) == (net.parameters, net.macs)
    images = torch.rand(2, 1, 12, 12)
    network, same = build(net).eval(), build(plain).eval()
    same.load_state_dict(network.state_dict())
    torch.testing.assert_close(same(images), network(images))
    assert from_vectors(to_vectors(plain), (1, 12, 12)) == plain


def test_a_net_is_written_as_the_paper_does():
    net = chain(
        (1, 8, 8),
        Layer("conv", 3, 4, 1, 1),
        Layer("relu"),
        Layer("max_pool", 2, stride=2),
        Layer("dropout", rate=0.5),
        Layer("linear", channels=10),
    )
    assert to_vectors(net).tolist() == [
        [1, 3, 4, 1, 1],
        [4, 0, 4, 0, 0],
        [2, 2, 4, 2, 0],
        [6, 0, 4, 0, 0],
        [8, 0, 10, 0, 0],
    ]
    assert to_vectors(net).dtype == np.int64


def test_vectors_of_the_papers_samples_give_back_equal_architectures():
    space = paper_space((3, 16, 16), 10)
    nets = iter(PaperSampler(space, np.random.default_rng(0)))
    for _ in range(60):
        net = next(nets)
        assert from_vectors(to_vectors(net), net.input_shape, dropout_rate=0.5) == net


@pytest.mark.parametrize(
    ("net", "place"),
    [
        (named("resnet20"), r"layer 0 \(conv\)"),  # no biases
        (chain((1, 4, 4), Layer("relu"), Layer("gelu")), r"layer 1 \(gelu\)"),
        (chain((1, 4, 4), Layer("relu"), Layer("relu", inputs=(2,))), r"layer 1 \(relu\)"),
    ],
)
def test_what_the_papers_vector_cannot_hold_is_refused(net, place):
    with pytest.raises(ArchitectureError, match=place + " has no 5-vector"):
        to_vectors(net)


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([[9, 0, 0, 0, 0]], "layer 0: type 9 is not 1 to 8"),
        ([[4, 0, 1, 0, 0], [0, 0, 0, 0, 0]], "layer 1: type 0 is not 1 to 8"),
        ([[1, 7, 4, 1, 0]], r"layer 0 \(conv\): kernel 7 does not fit a 4x4 map"),
        ([[1, 3, 4]], r"vectors must be L x 5, not \(1, 3\)"),
    ],
)
def test_vectors_that_are_no_net_are_refused(rows, rule):
    with pytest.raises(ArchitectureError, match=rule):
        from_vectors(np.array(rows), (1, 4, 4))


def test_options_have_no_place_in_a_vector():
    net = chain(
        (2, 8, 8), Layer("conv", 3, 4, 1, options=(("groups", 2),)), Layer("linear", channels=10)
    )
    assert not has_vectors(net)
    with pytest.raises(ArchitectureError, match="no 5-vector"):
        to_vectors(net)
