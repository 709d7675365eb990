import numpy as np
import pytest

from archpress.architecture import Layer, chain
from archpress.embedding import layer_cnn
from archpress.embedding.layer_cnn import LayerCNN

POOL, HEAD = Layer("max_pool", 2, 0, 2), Layer("linear", channels=10)


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    monkeypatch.setattr(layer_cnn, "STEPS", 200)


def nets(rng, count):
    """Convolutions of which some lie before the pool and some behind it."""
    found = []
    for _ in range(count):
        convs = [Layer("conv", 3, int(rng.choice([8, 16])), 1, 1) for _ in range(4)]
        early = int(rng.integers(5))
        found.append(chain((1, 28, 28), *convs[:early], POOL, *convs[early:], HEAD))
    return found


def early_convs(net):
    return float([layer.kind for layer in net.layers].index("max_pool"))


def test_it_learns_from_the_order_of_the_layers():
    rng = np.random.default_rng(0)
    train, test = nets(rng, 60), nets(rng, 40)
    known = np.array([early_convs(net) for net in train])
    model = LayerCNN(train, np.zeros((60, 0)), known, members=1)
    asked = np.array([early_convs(net) for net in test])
    predicted = model.predict(test, np.zeros((40, 0)))
    assert np.corrcoef(predicted, asked)[0, 1] > 0.95


def test_the_length_of_other_nets_does_not_matter():
    rng = np.random.default_rng(1)
    train = nets(rng, 20)
    model = LayerCNN(train, np.zeros((20, 0)), np.arange(20.0), members=1)
    short, long = chain((1, 28, 28), POOL, HEAD), train[0]
    alone = model.predict([short], np.zeros((1, 0)))
    beside = model.predict([short, long], np.zeros((2, 0)))
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-3)


def test_the_same_seed_gives_the_same_and_leaves_the_callers_randomness_alone():
    import torch

    rng = np.random.default_rng(2)
    train = nets(rng, 20)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    whole, target = np.ones((20, 1)), np.arange(20.0)
    first = LayerCNN(train, whole, target, members=1).predict(train, whole)
    assert torch.equal(before, torch.get_rng_state())
    second = LayerCNN(train, whole, target, members=1).predict(train, whole)
    np.testing.assert_array_equal(first, second)
