from itertools import pairwise

import numpy as np
import pytest
import torch

from archpress.architecture import Layer, chain, named
from archpress.architecture.vector import to_vectors
from archpress.embedding.paper import PaperEmbedding, PaperSettings
from archpress.errors import ArchitectureError
from archpress.search.paper_descent import PaperDescent, descend_once
from archpress.space import Limits, PaperSampler, distinct, paper_space

SHAPE = (1, 12, 12)
SPACE = paper_space(SHAPE, 10, limits=Limits(max_parameters=50_000))
NETS = distinct(PaperSampler(SPACE, np.random.default_rng(0)), 6)
ACCURACIES = [0.3 + 0.1 * i for i in range(6)]


@pytest.fixture(scope="module")
def fitted():
    embedding = PaperEmbedding(SPACE, PaperSettings(iterations=200))
    embedding.fit(NETS, ACCURACIES)
    return embedding


def net_of(length):
    """A chain with so many layers."""
    between = [Layer("relu")] * (length - 2)
    return chain(SHAPE, Layer("conv", 3, 4, 1, 1), *between, Layer("linear", channels=10))


@pytest.mark.parametrize("length", [2, 3, 4, 7, 8, 9, 13])
def test_chains_of_any_length_are_encoded_and_decoded_to_as_many_layers(fitted, length):
    columns = max(2, -(-length // 4))
    embedding = fitted.encode(net_of(length))
    assert embedding.shape == (1, 128, columns)
    vectors = fitted.model.decoder(embedding)
    assert vectors.shape == (1, 5, 4 * columns)


@pytest.mark.parametrize("types", ["ordinal", "categorical"])
def test_the_fit_comes_nearer_to_vectors_and_accuracies(types):
    settings = PaperSettings(iterations=1200, learning_rate=0.01, types=types)
    embedding = PaperEmbedding(SPACE, settings)
    net, accuracy = NETS[0], ACCURACIES[0]

    def errors():
        code = embedding.encode(net)
        vectors = torch.tensor(to_vectors(net), dtype=torch.float32)
        decoded = embedding.model.decoder(code)[0, :, : len(net.layers)]
        guessed, _ = embedding.model.regress(code, len(net.layers))
        return embedding._coding.loss(decoded, vectors).item(), abs(guessed.item() - accuracy)

    before = errors()
    embedding.fit(NETS[:2], ACCURACIES[:2])
    after = errors()
    assert after[0] < 0.5 * before[0]
    assert after[1] < 0.5 * before[1]


def test_nets_smaller_than_the_mean_are_beyond_the_head_of_parameters(fitted):
    """Its ReLU ends at the mean: below, it can neither be right nor pass a gradient."""
    smallest = min(NETS, key=lambda net: net.parameters)
    assert fitted.standardised(smallest.parameters) < 0
    codes = torch.randn(200, 128, 3, requires_grad=True)
    _, size = fitted.model.regress(codes, 12)
    assert (size >= 0).all()
    (gradient,) = torch.autograd.grad(size.sum(), codes)
    dead = size == 0
    assert (gradient[dead] == 0).all()


def test_a_linear_head_over_logarithms_passes_a_gradient_below_the_mean():
    embedding = PaperEmbedding(SPACE, PaperSettings(iterations=20, size_head="linear"))
    embedding.fit(NETS, ACCURACIES)
    smallest = min(net.parameters for net in NETS)
    assert embedding.standardised(smallest) < 0
    assert embedding.parameters(embedding.standardised(smallest)) == pytest.approx(smallest)
    codes = torch.randn(200, 128, 3, requires_grad=True)
    _, size = embedding.model.regress(codes, 12)
    (gradient,) = torch.autograd.grad(size.sum(), codes)
    assert (gradient.abs().amax((1, 2)) > 0).all()


def test_group_norm_reads_a_sequence_alone_as_in_a_batch():
    embedding = PaperEmbedding(SPACE, PaperSettings(iterations=20, norm="group"))
    embedding.fit(NETS, ACCURACIES)
    alone = embedding.encode(NETS[0])
    embedding.model.train()
    assert torch.equal(embedding.encode(NETS[0]), alone)


def test_the_same_seed_gives_the_same_embedding():
    def code(seed):
        embedding = PaperEmbedding(SPACE, PaperSettings(iterations=30), seed)
        embedding.fit(NETS, ACCURACIES)
        return embedding.encode(NETS[0])

    assert torch.equal(code(1), code(1))
    assert not torch.equal(code(1), code(2))


def test_a_descent_decodes_nets_of_as_many_layers_or_says_that_they_are_none(fitted):
    source = named("conv7", SHAPE, 10)
    steps = PaperDescent(steps=12)
    decoded = list(descend_once(fitted, source, Limits(max_parameters=1000), steps))
    assert len(decoded) == 12
    for step in decoded:
        assert 0 <= step.accuracy <= 1
        assert step.net is None or (
            len(step.net.layers) == len(source.layers) and step.net.layers[-1].channels == 10
        )


def test_a_descent_lowers_its_objective_step_by_step(fitted, monkeypatch):
    source, limit = NETS[0], 1000
    length, places = len(source.layers), [fitted.encode(source)]
    monkeypatch.setattr(fitted, "decode", lambda place, _: places.append(place) or source)
    steps = PaperDescent(steps=10, rate=0.01)
    path = list(descend_once(fitted, source, Limits(max_parameters=limit), steps))
    assert [step.net for step in path] == [source] * 10
    goals = []
    for place in places:
        accuracy, size = fitted.model.regress(place, length)
        goals.append((torch.relu(size - fitted.standardised(limit)) - accuracy).item())
    assert all(after < before for before, after in pairwise(goals))


def test_what_decodes_to_the_known_vectors_is_the_known_net(fitted, monkeypatch):
    net = NETS[0]
    vectors = torch.tensor(to_vectors(net), dtype=torch.float32)
    rows = fitted._coding.write(vectors).unsqueeze(0)
    monkeypatch.setattr(fitted.model.decoder, "forward", lambda _: rows + 0.0004)
    assert fitted.decode(torch.zeros(1), len(net.layers)) == net


def test_a_net_without_vectors_is_refused(fitted):
    with pytest.raises(ArchitectureError, match="no 5-vector"):
        fitted.encode(named("resnet20"))
