from itertools import islice

import numpy as np
import pytest

from archpress.architecture import Architecture, Layer, chain, named
from archpress.space import Limits, edit, paper_space, sample_neighbourhood, space_around
from archpress.space.edits import EDITS, _close, _delete, _open

SOURCES = ("conv7", "resnet20", "separable", "lenet5", "tiny")


@pytest.mark.parametrize("name", SOURCES)
def test_edits_stay_in_the_space(name):
    source = named(name)
    space = space_around(source, Limits(max_parameters=source.parameters // 2))
    rng = np.random.default_rng(0)
    net = source
    for _ in range(25):
        net = edit(net, space, rng, edits=int(rng.integers(1, 4)))
        assert space.why_not(net) is None


@pytest.mark.parametrize("change", list(EDITS), ids=lambda change: change.__name__)
def test_each_edit_changes_something_now_and_then(change):
    source = named("resnet20", (3, 16, 16))
    space = space_around(named("separable"))
    rng = np.random.default_rng(0)
    changed = 0
    for _ in range(20):
        nodes = _open(source)
        change(nodes, space, rng)
        changed += _close(nodes) != list(source.layers[:-1])
    if change.__name__ == "_activation":
        assert changed == 0  # that space has one activation alone
    else:
        assert changed > 0


def test_opening_and_closing_gives_the_same_layers():
    for name in SOURCES:
        layers = named(name).layers
        assert _close(_open(named(name))) == list(layers[:-1])


def test_the_activation_changes_where_there_is_a_choice():
    source = chain(
        (1, 8, 8), Layer("conv", 3, 4, 1), Layer("relu"), Layer("gelu"), Layer("linear", channels=3)
    )
    rng = np.random.default_rng(0)
    kinds = {
        layer.kind for _ in range(60) for layer in edit(source, space_around(source), rng).layers
    }
    assert {"relu", "gelu"} <= kinds


def test_twin_branches_are_not_taken_for_each_other():
    conv, twin = Layer("conv", 3, 4, 1, 1), Layer("conv", 3, 4, 1, 1, inputs=(2,))
    source = chain(
        (1, 8, 8), conv, twin, Layer("concat", inputs=(1, 2)), Layer("linear", channels=3)
    )
    nodes = _open(source)
    _delete(nodes, nodes[1])
    # the second twin is gone, so the concat reads the image in its place, and first
    assert _close(nodes) == [conv, Layer("concat", inputs=(2, 1))]
    rng = np.random.default_rng(0)
    space = space_around(source)
    for _ in range(40):
        assert space.contains(edit(source, space, rng, edits=2))


def test_a_hidden_linear_layer_before_the_head_survives_edits():
    source = named("lenet5")
    body = [layer for layer in source.layers if layer.kind != "tanh"]
    source = Architecture(source.input_shape, tuple(body))
    rng = np.random.default_rng(0)
    space = space_around(source)
    counts = [
        sum(layer.kind == "linear" for layer in edit(source, space, rng).layers) for _ in range(40)
    ]
    assert np.median(counts) == 3


def test_a_head_without_bias_keeps_it_off():
    source = chain((1, 8, 8), Layer("conv", 3, 8, 1), Layer("linear", channels=3, bias_free=True))
    space = space_around(source)
    rng = np.random.default_rng(0)
    assert all(edit(source, space, rng).layers[-1].bias_free for _ in range(20))


def test_the_seed_decides_the_edits():
    source = named("plain6")
    space = space_around(source)

    def neighbours(seed):
        return list(islice(sample_neighbourhood(source, space, np.random.default_rng(seed)), 10))

    assert neighbours(1) == neighbours(1)
    assert neighbours(1) != neighbours(2)


def test_the_neighbourhood_is_in_the_space_and_of_all_sizes_below_the_limit():
    source = named("conv7")
    limit = source.parameters // 8
    space = space_around(source, Limits(max_parameters=limit))
    nets = list(islice(sample_neighbourhood(source, space, np.random.default_rng(0)), 80))
    assert all(space.contains(net) for net in nets)
    sizes = np.array([net.parameters for net in nets])
    # drawn log-uniform from an eighth of the limit up, so each half of that range gets its share
    assert 10 < (sizes < limit / 8**0.5).sum() < 70
    assert sizes.min() < limit / 4
    assert len({net.key for net in nets}) > 60


def test_edits_work_in_a_space_that_does_not_hold_the_source():
    rng = np.random.default_rng(0)
    space = paper_space((3, 32, 32), 10)
    for _ in range(10):
        net = edit(named("resnet20"), space, rng, edits=3)
        assert space.why_not(net) is None
        assert net.is_chain
