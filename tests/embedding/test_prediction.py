import sys

import numpy as np
import pytest

from archpress.architecture import Layer, chain, named
from archpress.embedding import layer_cnn, prediction
from archpress.embedding.positions import describe_positions, layer_sums
from archpress.embedding.prediction import Predictor
from archpress.errors import EmbeddingError
from archpress.space import distinct, sample_neighbourhood, space_around

PLAIN = named("plain6")


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    monkeypatch.setattr(layer_cnn, "STEPS", 150)
    monkeypatch.setattr(prediction, "CNNS", 2)
    monkeypatch.setattr(prediction, "TREES", 100)


@pytest.fixture(scope="module")
def nets():
    space = space_around(PLAIN)
    return distinct(sample_neighbourhood(PLAIN, space, np.random.default_rng(0)), 90)


def accuracies(nets):
    """Better the wider and the deeper; no training is needed to tell."""
    convs = np.array([sum(layer.kind == "conv" for layer in net.layers) for net in nets])
    sizes = np.log([net.parameters for net in nets])
    return 0.5 + 0.02 * convs + 0.02 * sizes


def r_squared(predicted, measured):
    return 1 - ((predicted - measured) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()


@pytest.mark.slow
def test_it_learns_what_hangs_on_the_layers(nets):
    final = accuracies(nets)
    predictor = Predictor(nets[:60], final[:60])
    assert r_squared(predictor.predict(nets[60:]), final[60:]) > 0.8


@pytest.mark.slow
def test_first_epochs_tell_what_the_layers_do_not(nets):
    luck = np.random.default_rng(1).normal(0, 0.1, len(nets))
    final = accuracies(nets) + luck
    curves = np.stack([0.5 * final, 0.8 * final, 0.9 * final], axis=1)
    blind = Predictor(nets[:60], final[:60]).predict(nets[60:])
    seeing = Predictor(nets[:60], final[:60], curves[:60]).predict(nets[60:], curves[60:])
    assert r_squared(blind, final[60:]) < 0.5
    assert r_squared(seeing, final[60:]) > 0.9


def test_numbers_that_do_not_match_are_refused(nets):
    with pytest.raises(EmbeddingError, match="one accuracy"):
        Predictor(nets[:3], [0.5, 0.6])
    with pytest.raises(EmbeddingError, match="one curve or none"):
        Predictor(nets[:2], [0.5, 0.6], np.zeros((3, 2)))


def test_curves_of_other_lengths_are_refused(nets):
    final = accuracies(nets[:4])
    predictor = Predictor(nets[:4], final, np.stack([final / 2, final], axis=1))
    with pytest.raises(EmbeddingError, match="2 epochs, not of 0"):
        predictor.predict(nets[4:6])


def test_without_scikit_learn_it_says_what_to_install(nets, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(EmbeddingError, match=r"archpress\[prediction\]"):
        Predictor(nets[:2], [0.5, 0.6])


def test_the_resolution_at_which_a_convolution_lies_is_told():
    pool, conv = Layer("max_pool", 2, 0, 2), Layer("conv", 3, 8, 1, 1)
    head = (Layer("global_average_pool"), Layer("linear", channels=10))
    early, late = chain((1, 28, 28), conv, pool, *head), chain((1, 28, 28), pool, conv, *head)
    rows = describe_positions([early, late])
    assert (rows[:, 0] == [1, 0]).all()  # convolutions that see the whole image
    assert (rows[:, 5] == [0, 1]).all()  # convolutions that see a half of its side


def test_the_sums_over_layers_do_not_see_what_does_nothing_for_them():
    """Activations are left out, so that a net with and without them has the same sums."""
    conv = Layer("conv", 3, 8, 1, 1)
    head = (Layer("global_average_pool"), Layer("linear", channels=10))
    plain, active = chain((1, 28, 28), conv, *head), chain((1, 28, 28), conv, Layer("relu"), *head)
    sums = layer_sums([plain, active])
    np.testing.assert_allclose(sums[0], sums[1])
    twice = layer_sums([chain((1, 28, 28), conv, conv, *head)])
    assert not np.allclose(twice, sums[:1])
