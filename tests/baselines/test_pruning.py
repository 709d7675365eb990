import copy
import sys

import pytest
import torch
from torch import nn

from archpress.architecture import Architecture, Layer, chain, named
from archpress.architecture.network import build, load_weights
from archpress.baselines.pruning import LEAST_CHANNELS, _Pruner, prune
from archpress.data import load_data
from archpress.errors import EvaluationError, SpaceError
from archpress.evaluation import Recipe, train
from archpress.reading.tracing import trace
from archpress.space import Limits

pytest.importorskip("torch_pruning")

GRAY = (1, 28, 28)
RECIPE = Recipe("brief", 1, train_images=200, evaluate_every=0)
JOINED = Architecture(  # two branches side by side, added to a third
    GRAY,
    (
        Layer("conv", 3, 8, 2, 1),
        Layer("conv", 3, 8, 2, 1),
        Layer("relu"),
        Layer("conv", 3, 8, 2, 1, inputs=(3,)),
        Layer("concat", inputs=(1, 2)),
        Layer("conv", 1, 16, 1, 0),
        Layer("add", inputs=(1, 2)),
        Layer("relu"),
        Layer("global_average_pool"),
        Layer("linear", channels=10),
    ),
)


@pytest.fixture(scope="module")
def images():
    return load_data("fashion-mnist-sample")


def fresh(architecture, seed=0):
    """A network whose batch norms are not all alike."""
    torch.manual_seed(seed)
    network = build(architecture)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 2.0)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return network.eval()


def loaded(pruned):
    network = build(pruned.architecture)
    load_weights(network, pruned.weights, where="the pruned network")
    return network.eval()


@pytest.mark.parametrize(
    ("architecture", "importance", "most"),
    [
        (named("plain6", GRAY), "l1", 10_000),
        (named("plain6", GRAY), "bn", 10_000),
        (named("tiny", GRAY), "bn", 1_500),
        (named("resnet20", GRAY), "l1", 60_000),
        (named("resnet20", GRAY), "bn", 60_000),
        (named("separable", GRAY), "l1", 4_000),
        (named("lenet5", GRAY), "l1", 20_000),
        (JOINED, "l1", 1_000),
    ],
)
def test_pruned_nets_keep_the_limit_and_come_near_it(images, architecture, importance, most):
    limits = Limits(max_parameters=most)
    pruned = prune(
        fresh(architecture), architecture, images, limits, RECIPE, importance=importance, steps=1
    )
    assert 0.8 * most < pruned.architecture.parameters <= most
    kinds = [layer.kind for layer in architecture.layers]
    assert [layer.kind for layer in pruned.architecture.layers] == kinds
    assert pruned.architecture.classes == architecture.classes
    widths = [one.channels for one in pruned.architecture.layers if one.channels]
    assert min(widths) >= LEAST_CHANNELS
    assert loaded(pruned)(torch.zeros(2, *GRAY)).shape == (2, 10)


@pytest.mark.slow
@pytest.mark.parametrize("importance", ["l1", "bn"])
def test_conv7_comes_down_to_the_papers_size(images, importance):
    net = named("conv7")
    limits = Limits(max_parameters=93_000)
    pruned = prune(fresh(net), net, images, limits, RECIPE, importance=importance, steps=1)
    assert 85_000 < pruned.architecture.parameters <= 93_000
    assert loaded(pruned)(torch.zeros(1, *GRAY)).shape == (1, 10)


def test_the_architecture_with_the_weights_gives_the_outputs_of_the_pruned_network():
    net = named("resnet20", GRAY)
    limits = Limits(max_parameters=60_000)
    pruner = _Pruner(GRAY, "l1", "cpu")
    cut = pruner.cut(fresh(net), limits, 1.0)
    pruned = prune(fresh(net), net, load_data("fashion-mnist-sample"), limits, RECIPE, steps=1)
    images = torch.randn(8, *GRAY)
    with torch.no_grad():
        assert (loaded(pruned)(images) - cut(images)).abs().max() < 1e-5


def test_what_is_cut_is_what_matters_least(images):
    """Channels 0 to 7 of the first convolution carry nothing, so they go and no output changes."""
    net = chain(
        GRAY,
        *(Layer("conv", 3, 16, 1, 1), Layer("relu")),
        *(Layer("conv", 3, 8, 2, 1), Layer("relu")),
        *(Layer("global_average_pool"), Layer("linear", channels=10)),
    )
    network = fresh(net)
    with torch.no_grad():
        network.conv1.weight[:8] = network.conv1.bias[:8] = 0
        network.conv2.weight[:, :8] = 0
    # Without eight channels: 8 x 9 + 8 of the first, 8 x 8 x 9 + 8 of the second, 90 of the head.
    limits = Limits(max_parameters=80 + 584 + 90)
    pruned = prune(network, net, images, limits, RECIPE, steps=1)
    assert [one.channels for one in pruned.architecture.layers if one.channels] == [8, 8, 10]
    assert torch.equal(pruned.weights["conv1.weight"], network.conv1.weight[8:])
    batch = torch.randn(4, *GRAY)
    with torch.no_grad():
        assert torch.allclose(loaded(pruned)(batch), network(batch), atol=1e-5)


def test_bn_goes_by_the_scales_alone(images):
    net = named("tiny", GRAY)
    network = fresh(net)
    with torch.no_grad():
        for norm in (network.batch_norm1, network.batch_norm2, network.batch_norm3):
            norm.weight.fill_(1.0)
        network.batch_norm3.weight[::2] = 0.01
        network.conv3.weight[::2] *= 100
    limits = Limits(max_parameters=net.parameters - 16 * (16 * 9 + 13))
    pruned = prune(network, net, images, limits, RECIPE, importance="bn", steps=1)
    assert torch.equal(pruned.weights["conv3.weight"], network.conv3.weight[1::2])


def test_the_source_stays_as_it_is_and_the_same_arguments_give_the_same(images):
    net = named("tiny", GRAY)
    network = train(net, images, RECIPE, 0).network
    before = copy.deepcopy(network.state_dict())
    limits = Limits(max_parameters=2_000)
    first, second = (prune(network, net, images, limits, RECIPE, steps=3) for _ in range(2))
    assert trace(network, GRAY).architecture == net
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert first.architecture == second.architecture
    assert all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


def test_training_goes_on_from_the_pruned_weights(images):
    """A trained source, pruned in steps, is far above chance before any further training."""
    recipe = Recipe("b", 2, learning_rate=0.02, train_images=600, evaluate_every=0)
    net = named("tiny", GRAY)
    network = train(net, images, recipe, 0).network
    pruned = prune(network, net, images, Limits(max_parameters=3_500), recipe, steps=3)
    crawl = Recipe("c", 1, learning_rate=1e-6, train_images=200, batch_size=200)
    kept = train(pruned.architecture, images, crawl, 0, initial=pruned.weights).accuracy
    assert kept > 0.3
    assert train(pruned.architecture, images, crawl, 0).accuracy < 0.2


def test_other_costs_can_be_limited_too(images):
    net = named("tiny", GRAY)
    limits = Limits(max_macs=net.macs // 3, max_peak_memory=net.peak_memory - 1)
    pruned = prune(fresh(net), net, images, limits, RECIPE, steps=1)
    assert limits.allow(pruned.architecture)


def test_a_network_within_the_limits_stays_whole(images):
    net = named("tiny", GRAY)
    network = fresh(net)
    pruned = prune(network, net, images, Limits(max_parameters=net.parameters), RECIPE)
    assert pruned.architecture == net
    assert torch.equal(pruned.weights["conv1.weight"], network.conv1.weight)


@pytest.mark.parametrize(
    ("name", "limits", "importance", "kind", "problem"),
    [
        ("lenet5", Limits(max_parameters=9000), "bn", EvaluationError, "none: use 'l1'"),
        ("tiny", Limits(min_accuracy=0.5), "l1", SpaceError, "needs a limit on a cost"),
        ("tiny", Limits(max_parameters=100), "l1", SpaceError, "max_parameters=100 but it has"),
    ],
)
def test_what_cannot_be_pruned_is_refused(images, name, limits, importance, kind, problem):
    net = named(name, GRAY)
    with pytest.raises(kind, match=problem):
        prune(fresh(net), net, images, limits, RECIPE, importance=importance)


def test_a_network_of_another_architecture_is_refused(images):
    limits = Limits(max_parameters=2_000)
    with pytest.raises(EvaluationError, match="other layers than its architecture"):
        prune(fresh(named("tiny", GRAY)), named("plain6", GRAY), images, limits, RECIPE)


def test_where_torch_pruning_is_missing_it_says_what_to_install(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    net = named("tiny", GRAY)
    with pytest.raises(EvaluationError, match=r"pip install 'archpress\[baselines\]'"):
        prune(fresh(net), net, images, Limits(max_parameters=2_000), RECIPE)
