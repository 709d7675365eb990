from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from families import Classifier, conv_norm
from torch import nn

from archpress.architecture import Architecture, Layer, chain, named, with_classes
from archpress.architecture.inheritance import inherit, match_layers
from archpress.architecture.network import build
from archpress.reading.tracing import trace
from archpress.space import Form, Limits, Neighbourhood, distinct, space_around

CONV7 = named("conv7")


def trained(net, seed=0):
    """A network with running statistics that are not those of a fresh one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(net)
        network.train()(torch.randn(8, *net.input_shape))
    return network.eval()


def begun(net, inheritance):
    network = build(net)
    network.load_state_dict(inheritance.weights)
    return network.eval()


def narrowed(net, share):
    *body, head = net.layers
    layers = [
        replace(layer, channels=round(share * layer.channels)) if layer.channels else layer
        for layer in body
    ]
    return Architecture(net.input_shape, (*layers, head))


@pytest.mark.parametrize("name", ["conv7", "resnet20", "separable", "lenet5"])
def test_the_source_itself_inherits_everything(name):
    net = named(name)
    network = trained(net)
    found = inherit(net, net, network.state_dict())
    assert found.parameters == net.parameters
    images = torch.randn(2, *net.input_shape)
    with torch.no_grad():
        assert torch.allclose(begun(net, found)(images), network(images), atol=1e-5)


@pytest.mark.parametrize("name", ["conv7", "resnet20"])
def test_a_net_without_channels_that_do_nothing_computes_the_same(name):
    """Half of the channels are dead, the same ones along a residual path; they are left out."""
    net = named(name)
    network = trained(net)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.BatchNorm2d):
                for key, value in module.state_dict().items():
                    if key in ("weight", "bias", "running_mean"):
                        value[1::2] = 0.0
    small = narrowed(net, 0.5)
    found = inherit(small, net, network.state_dict())
    assert found.parameters == small.parameters
    images = torch.randn(2, *net.input_shape)
    with torch.no_grad():
        assert torch.allclose(begun(small, found)(images), network(images), atol=1e-4)


def test_what_follows_a_layer_of_its_own_starts_fresh_and_so_do_new_channels():
    source = chain((1, 8, 8), Layer("conv", 3, 4, 1, 1), Layer("linear", channels=3))
    weights = build(source).state_dict()
    wider = chain((1, 8, 8), Layer("conv", 3, 6, 1, 1), Layer("linear", channels=3))
    found = inherit(wider, source, weights)
    assert torch.equal(found.weights["conv1.weight"][:4], weights["conv1.weight"])
    assert torch.equal(
        found.weights["linear1.weight"][:, : 4 * 64], weights["linear1.weight"]
    )  # 6 channels of 64 values; the last two are new
    assert found.parameters == source.parameters
    longer = chain(
        (1, 8, 8),
        Layer("conv", 3, 4, 1, 1),
        Layer("conv", 1, 4, 1, 0),
        Layer("linear", channels=3),
    )
    assert inherit(longer, source, weights).parameters == 4 * 9 + 4


def test_kernels_are_cut_or_filled_up_around_their_centre():
    def net(kernel):
        return chain(
            (1, 8, 8), Layer("conv", kernel, 2, 1, kernel // 2), Layer("linear", channels=3)
        )

    source = net(3)
    weights = build(source).state_dict()
    smaller = inherit(net(1), source, weights).weights["conv1.weight"]
    assert torch.equal(smaller[..., 0, 0], weights["conv1.weight"][..., 1, 1])
    larger = inherit(net(5), source, weights).weights["conv1.weight"]
    assert torch.equal(larger[..., 1:4, 1:4], weights["conv1.weight"])
    assert larger.count_nonzero() == weights["conv1.weight"].count_nonzero()
    images = torch.randn(2, 1, 8, 8)
    same = begun(net(5), inherit(net(5), source, weights))
    first = build(source)
    first.load_state_dict(weights)
    assert torch.allclose(same(images), first.eval()(images), atol=1e-5)


def test_another_image_or_another_head_inherits_what_is_left():
    source = named("tiny")
    weights = build(source).state_dict()
    coloured = replace(source, input_shape=(3, 28, 28))
    assert inherit(coloured, source, weights).parameters == 0
    more_classes = with_classes(source, 12)
    assert inherit(more_classes, source, weights).parameters == source.parameters


class Chunked(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.right = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(16), nn.Linear(16, 10)

    def forward(self, x):
        first, second = torch.relu(self.stem(x)).chunk(2, 1)
        x = torch.cat([first, self.right(second)], 1)
        return self.head(self.norm(x).mean((2, 3)))


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.gate = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head((x * torch.sigmoid(self.gate(x.mean(1, keepdim=True)))).mean((2, 3)))


class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm, self.head = nn.BatchNorm1d(128), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.norm(torch.relu(self.stem(x)).flatten(1)))


@pytest.mark.parametrize("module", [Chunked, Gated, Flat])
@pytest.mark.parametrize("form", [Form(), Form(widths_only=True)])
def test_where_channels_are_cut_joined_or_laid_flat_what_is_known_is_inherited(module, form):
    net = trace(module(), (3, 8, 8)).architecture
    weights = build(net).state_dict()
    space = space_around(net, Limits(), form)
    nets = distinct(Neighbourhood(net, space).sample(np.random.default_rng(0)), 8)
    assert nets
    for candidate in nets:
        begun(candidate, inherit(candidate, net, weights))
    whole = inherit(net, net, weights)
    assert torch.equal(whole.weights["conv1.weight"], weights["conv1.weight"])


def test_layers_are_matched_in_their_order():
    source = CONV7
    shorter = Architecture(source.input_shape, (*source.layers[:3], *source.layers[6:]))
    matches = match_layers(shorter, source)
    assert sorted(matches) == list(matches)
    assert list(matches.values()) == sorted(matches.values())
    assert all(shorter.layers[i].kind == source.layers[j].kind for i, j in matches.items())
    assert len(matches) == sum(
        layer.kind in ("conv", "batch_norm", "linear") for layer in shorter.layers
    )


def test_the_same_seed_gives_the_same_fresh_weights():
    source, candidate = named("tiny"), named("plain6")
    weights = build(source).state_dict()
    one, other, third = (inherit(candidate, source, weights, seed=s).weights for s in (1, 1, 2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not all(torch.equal(one[name], third[name]) for name in one)


class Halves(nn.Module):
    """A convolution for each half of the channels."""

    def __init__(self):
        super().__init__()
        self.first, self.second = conv_norm(4, 6, 1), conv_norm(4, 6, 1)

    def forward(self, x):
        one, two = x.chunk(2, dim=1)
        return self.first(two) + self.second(one)


class SpatialGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.most = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, x):
        seen = self.mean(x.mean(1, keepdim=True)) + self.most(x.amax(1, keepdim=True))
        return x * torch.sigmoid(seen)


def flat_head(*middle, values):
    return nn.Sequential(
        conv_norm(3, 8, stride=2),
        *middle,
        nn.Flatten(),
        nn.BatchNorm1d(values),
        nn.Linear(values, 5),
    )


MOVING = {  # layers without weights that give other channels than they read
    "slices": lambda: Classifier(conv_norm(3, 8), Halves(), channels=6),
    "shuffle": lambda: Classifier(
        conv_norm(3, 8), nn.ChannelShuffle(4), conv_norm(8, 6), channels=6
    ),
    "flatten": lambda: flat_head(values=8 * 36),
    "flatten to one": lambda: flat_head(nn.AdaptiveAvgPool2d(1), values=8),
    "shuffle and flatten": lambda: flat_head(nn.ChannelShuffle(2), values=8 * 36),
}
GATED = {"gate": lambda: Classifier(conv_norm(3, 6), SpatialGate(), conv_norm(6, 4), channels=4)}


@pytest.mark.parametrize("name", MOVING)
def test_a_net_that_moves_channels_inherits_everything_of_itself(name):
    net = trace(MOVING[name](), (3, 12, 12)).architecture
    network = trained(net)
    found = inherit(net, net, network.state_dict())
    assert found.parameters == net.parameters
    images = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        assert torch.allclose(begun(net, found)(images), network(images), atol=1e-5)


@pytest.mark.parametrize("form", [Form(), Form(widths_only=True)], ids=["all", "widths"])
@pytest.mark.parametrize("name", [*MOVING, *GATED])
def test_candidates_inherit_from_nets_that_move_channels(name, form):
    source = trace((MOVING | GATED)[name](), (3, 12, 12)).architecture
    weights = trained(source).state_dict()
    around = Neighbourhood(source, space_around(source, None, form))
    for net in islice(around.sample(np.random.default_rng(0)), 30):
        found = inherit(net, source, weights)
        assert 0 <= found.parameters <= net.parameters
        assert torch.isfinite(begun(net, found)(torch.randn(2, 3, 12, 12))).all()


SHUFFLE = Layer("channel_shuffle", options=(("groups", 2),))
COLUMNS = {  # of the channels 0 to 5 of 8, behind these layers
    "shuffle": ((SHUFFLE,), [0, 6, 2, 1, 4, 3]),
    "slice": ((Layer("slice", options=(("begin", 1), ("end", 5))),), [0, 1, 2, 3]),
    "both": ((SHUFFLE, Layer("slice", options=(("end", 4),))), [0, -1, 2, 1]),
}


@pytest.mark.parametrize("flat", [(), (Layer("flatten"), Layer("batch_norm"))])
@pytest.mark.parametrize("moved", COLUMNS)
def test_moved_channels_keep_their_columns(moved, flat):
    layers, columns = COLUMNS[moved]

    def net(width):
        conv, head = Layer("conv", 3, width, 1, 1), Layer("linear", channels=3)
        return chain((1, 4, 4), conv, *layers, *flat, head)

    weights = trained(net(8)).state_dict()
    weights["conv1.weight"][6:] = 0.0  # the least, so that 0 to 5 are taken
    found = inherit(net(6), net(8), weights)
    for key in ("linear1.weight", *(["batch_norm1.running_mean"] if flat else [])):
        old, new = (w[key].unflatten(-1, (-1, 16)) for w in (weights, found.weights))
        for place, column in enumerate(columns):
            assert column < 0 or torch.equal(new[..., place, :], old[..., column, :])
