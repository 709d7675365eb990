from random import Random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archpress.architecture import ACTIVATIONS, ZOO, Layer, named
from archpress.architecture.network import build
from archpress.architecture.tracing import carry_into, trace, weights_of
from archpress.errors import ArchitectureError

IMAGE = (3, 12, 12)


class Chain(nn.Module):
    """All by modules."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding="same"),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Identity(),
            nn.Conv2d(6, 4, (3, 3), stride=(2, 2), bias=False),
            nn.AvgPool2d(2, stride=1, padding=1),
            nn.Dropout2d(0.2),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(36, 8),
            nn.BatchNorm1d(8),
            nn.Tanh(),
            nn.Linear(8, 5, bias=False),
        )

    def forward(self, x):
        return self.head(self.features(x))


class Block(nn.Module):
    def __init__(self, read, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(read, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or read != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(read, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class ResNet(nn.Module):
    """Functional ReLU, an empty shortcut and a projection, functional pool and view."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 1, 1)
        self.blocks = nn.Sequential(Block(4, 4, 1), Block(4, 6, 2))
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        x = self.blocks(self.stem(x).relu())
        x = F.adaptive_avg_pool2d(x, 1)
        return self.fc(x.view(x.size(0), -1))


class Branches(nn.Module):
    """Concatenation, torch.add, dropout, mean over height and width."""

    def __init__(self):
        super().__init__()
        self.narrow = nn.Conv2d(3, 2, 1)
        self.wide = nn.Conv2d(3, 4, 5, padding=2)
        self.norm = nn.BatchNorm2d(9)
        self.fc = nn.Linear(9, 5)

    def forward(self, x):
        both = torch.cat([self.narrow(x), F.leaky_relu(self.wide(x)), x], 1)
        both = self.norm(both)
        both = torch.add(both, torch.sigmoid(both))
        both = F.dropout(F.max_pool2d(both, 2), 0.25, self.training)
        return self.fc(both.mean((2, 3)))


class Separable(nn.Module):
    """Depthwise and pointwise; one activation module used in many places; reshape by shape."""

    def __init__(self):
        super().__init__()
        self.depthwise = nn.Conv2d(3, 3, 3, 2, 1, groups=3)
        self.pointwise = nn.Conv2d(3, 7, 1, bias=False)
        self.act = nn.SiLU()
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.norm = nn.BatchNorm1d(7)
        self.fc = nn.Linear(7, 5)

    def forward(self, x):
        x = self.act(self.pointwise(self.act(self.depthwise(x))))
        x = self.pool(F.avg_pool2d(x, 2, 1)).reshape(x.shape[0], -1)
        return self.fc(self.act(self.norm(x)))


class Functional(nn.Module):
    """The old style: functional pools, view(-1, features), a second argument never given."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 5)
        self.left = nn.Linear(64, 9)
        self.right = nn.Linear(64, 6)
        self.fc = nn.Linear(15, 5)

    def forward(self, x, scale=None):
        x = F.max_pool2d(F.relu(self.conv(x), inplace=True), (2, 2))
        left = self.left(x.view(-1, 64)).tanh()
        right = F.gelu(self.right(torch.flatten(x, 1)))
        return self.fc(torch.cat((left, right), dim=-1))


MODULES = {
    Chain: "conv batch_norm relu max_pool conv average_pool dropout linear batch_norm tanh linear",
    ResNet: "conv relu conv batch_norm relu conv batch_norm add relu conv batch_norm relu conv "
    "batch_norm conv batch_norm add relu global_average_pool linear",
    Branches: "conv conv leaky_relu concat batch_norm sigmoid add max_pool dropout "
    "global_average_pool linear",
    Separable: "depthwise silu conv silu average_pool global_average_pool batch_norm silu linear",
    Functional: "conv relu max_pool linear tanh linear gelu concat linear",
}


@pytest.mark.parametrize("make", list(MODULES))
def test_a_module_is_read_layer_by_layer(make):
    traced = trace(make(), IMAGE)
    assert [layer.kind for layer in traced.architecture.layers] == MODULES[make].split()
    assert len(traced.names) == len(traced.architecture.layers)


@pytest.mark.parametrize("make", list(MODULES))
def test_the_traced_network_with_the_weights_gives_the_same_outputs(make, shake, outputs):
    module = shake(make())
    traced = trace(module, IMAGE)
    network = build(traced.architecture)
    assert carry_into(network, module, traced) is network
    expected, got = outputs(module, IMAGE), outputs(network, IMAGE)
    assert got.shape == (3, 5)
    assert torch.allclose(got, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))
    assert traced.architecture.parameters == sum(w.numel() for w in module.parameters())


@pytest.mark.parametrize("name", ["conv7", "resnet20", "separable", "lenet5"])
def test_a_built_network_is_read_as_its_own_architecture(name):
    assert trace(build(named(name)), ZOO[name].input_shape).architecture == named(name)


def test_random_networks_are_read_as_their_own_architectures(random_net):
    read = 0
    for seed in range(60):
        net = random_net(Random(seed))
        traced = trace(build(net), net.input_shape).architecture
        read += len(traced.layers) > 4
        # The same in PyTorch: a depthwise convolution of one channel and an ordinary one, a sum of
        # three and two sums of two.
        alike = any(
            len(layer.inputs) > 2 or (layer.kind == "depthwise" and shape[0] == 1)
            for layer, shape in zip(net.layers, net.shapes, strict=True)
        )
        assert alike or traced.key == net.key, net
    assert read > 10


def test_names_are_the_paths_of_modules_and_of_calls():
    names = trace(ResNet(), IMAGE).names
    assert names[:3] == ("stem", "relu", "blocks.0.conv1")
    assert names[4:8] == ("blocks.0.relu_1", "blocks.0.conv2", "blocks.0.bn2", "blocks.0.add")
    assert "blocks.1.shortcut.0" in names


def test_weights_are_copies_under_the_networks_names():
    module = Chain()
    weights = weights_of(module, trace(module, IMAGE))
    assert set(weights) == set(build(trace(module, IMAGE).architecture).state_dict())
    weights["conv1.weight"].fill_(7)
    assert not (module.features[0].weight == 7).any()


def test_tracing_and_carrying_leave_the_module_as_it_is():
    module = Chain()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.features[1].eval()
    traced = trace(module, IMAGE)
    carry_into(build(traced.architecture), module, traced)
    assert module.training
    assert not module.features[1].training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_what_forward_computes_in_vain_is_no_layer():
    class Vain(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.auxiliary = nn.Conv2d(3, 4, 3), nn.LSTM(3, 3)

        def forward(self, x):
            y = self.conv(x)
            self.auxiliary(x)
            return y

    assert [layer.kind for layer in trace(Vain(), IMAGE).architecture.layers] == ["conv"]


def forward(function, **modules) -> nn.Module:
    """A module of these parts with this forward."""

    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            for name, module in modules.items():
                self.add_module(name, module)

        def forward(self, x):
            return function(self, x)

    return Custom()


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_are_read_as_modules_functions_and_methods(kind):
    found = [getattr(home, name, None) for home in (F, torch) for name in (kind, f"{kind}_")]
    calls = [lambda m, x, f=f: f(x) for f in found if f is not None]
    if hasattr(torch.Tensor, kind):
        calls.append(lambda m, x: getattr(x, kind)())
    assert calls
    for call in calls:
        traced = trace(forward(call), IMAGE)
        assert traced.architecture.layers == (Layer(kind),)
        carry_into(build(traced.architecture), forward(call), traced)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: x.mean([2, 3]),
        lambda m, x: x.mean(dim=(-1, -2), keepdim=True),
        lambda m, x: torch.mean(x, (2, 3)),
        lambda m, x: F.adaptive_avg_pool2d(x, (1, 1)),
        lambda m, x: F.adaptive_avg_pool2d(x, 1).flatten(1),
        lambda m, x: F.adaptive_avg_pool2d(F.adaptive_avg_pool2d(x, (12, 12)), 1),
    ],
)
def test_global_averages_are_read_in_all_their_forms(call):
    assert trace(forward(call), IMAGE).architecture.layers == (Layer("global_average_pool"),)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.flatten(1),
        lambda x: x.flatten(start_dim=1),
        lambda x: torch.flatten(x, 1, -1),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view((x.shape[0], -1)),
        lambda x: x.view(-1, 432),
        lambda x: x.reshape(x.size()[0], 432),
        lambda x: x.reshape(x.size(0), -1).contiguous(),
        lambda x: x.view(x.shape).flatten(1),
    ],
)
def test_flattening_is_read_in_all_its_forms_and_is_no_layer(call):
    module = forward(lambda m, x: m.fc(call(x)), fc=nn.Linear(432, 2))
    traced = trace(module, IMAGE)
    assert traced.architecture.layers == (Layer("linear", channels=2),)
    carry_into(build(traced.architecture), module, traced)


SIX = nn.Conv2d(3, 6, 3)
REFUSED = {
    "module f (Conv2d(3, 6, kernel_size=(3, 3), stride=(1, 1), groups=3)) has groups=3: use 1": (
        lambda m, x: m.f(x), nn.Conv2d(3, 6, 3, groups=3)),
    "has kernel_size=(3, 1): windows must be square": (
        lambda m, x: m.f(x), nn.Conv2d(3, 6, (3, 1))),
    "has stride=(1, 2): windows must be square": (
        lambda m, x: m.f(x), nn.Conv2d(3, 6, 3, (1, 2))),
    "has padding='same': windows must be square": (
        lambda m, x: m.f(x), nn.Conv2d(3, 6, 2, padding="same")),
    "has dilation=2, layers have dilation=1: use a larger kernel": (
        lambda m, x: m.f(x), nn.Conv2d(3, 6, 3, dilation=2)),
    "has padding_mode='reflect', layers have padding_mode='zeros'": (
        lambda m, x: m.f(x), nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect")),
    "needs 1 channels but reads B x 3 x 12 x 12: check input_shape": (
        lambda m, x: m.f(x), nn.Conv2d(1, 6, 3)),
    "kernel 13 does not fit a 12x12 map": (lambda m, x: m.f(x), nn.Conv2d(3, 6, 13)),
    "has eps=0.001, layers have eps=1e-05: train it with PyTorch's default": (
        lambda m, x: m.f(x), nn.BatchNorm2d(3, eps=1e-3)),
    "has affine=False": (lambda m, x: m.f(x), nn.BatchNorm2d(3, affine=False)),
    "has track_running_stats=False": (
        lambda m, x: m.f(x), nn.BatchNorm2d(3, track_running_stats=False)),
    "needs 432 channels but reads B x 432": (
        lambda m, x: m.f(x.flatten(1)), nn.BatchNorm1d(432)),
    "module f (LeakyReLU(negative_slope=0.2)) has negative_slope=0.2, layers have": (
        lambda m, x: m.f(x), nn.LeakyReLU(0.2)),
    "operation leaky_relu (leaky_relu) has negative_slope=0.3": (
        lambda m, x: F.leaky_relu(x, 0.3), SIX),
    "has alpha=0.5": (lambda m, x: F.elu(x, alpha=0.5), SIX),
    "has approximate='tanh'": (lambda m, x: m.f(x), nn.GELU("tanh")),
    "operation gelu (gelu) has approximate='tanh'": (
        lambda m, x: F.gelu(x, approximate="tanh"), SIX),
    "has ceil_mode=True": (lambda m, x: m.f(x), nn.MaxPool2d(2, ceil_mode=True)),
    "operation max_pool2d": (lambda m, x: F.max_pool2d(x, 2, dilation=2), SIX),
    "has count_include_pad=False": (
        lambda m, x: m.f(x), nn.AvgPool2d(3, padding=1, count_include_pad=False)),
    "has divisor_override=5": (lambda m, x: m.f(x), nn.AvgPool2d(2, divisor_override=5)),
    "has output_size=2: use 1, or AvgPool2d": (lambda m, x: m.f(x), nn.AdaptiveAvgPool2d(2)),
    "is over dim=1: take it over height and width": (lambda m, x: x.mean(1), SIX),
    "needs B x 12 (flattened) but reads B x 3 x 12 x 12": (lambda m, x: m.f(x), nn.Linear(12, 2)),
    "flatten from 1 to the end": (lambda m, x: x.flatten(2), SIX),
    "gives the shape ['B', 12, -1]: only flattening": (lambda m, x: x.view(x.size(0), 12, -1), SIX),
    "joins a tensor with what is no layer's output": (lambda m, x: x + 1, SIX),
    "has alpha=2": (lambda m, x: torch.add(x, x, alpha=2), SIX),
    "cannot add outputs of shapes 3x12x12 and 6x10x10": (lambda m, x: x + m.f(x), SIX),
    "joins a map and a flattened tensor": (
        lambda m, x: x.mean((2, 3), keepdim=True) + x.mean((2, 3)), SIX),
    "is along dim=0: concatenate along channels": (lambda m, x: torch.cat([x, x]), SIX),
    "module f (LSTM(3, 3)) has no layer kind: write it with AdaptiveAvgPool2d": (
        lambda m, x: m.f(x), nn.LSTM(3, 3)),
    "operation softmax (softmax) has no layer kind": (lambda m, x: F.softmax(x, 1), SIX),
    "operation permute (permute) has no layer kind": (lambda m, x: x.permute(0, 2, 3, 1), SIX),
    "operation mul (mul) has no layer kind": (lambda m, x: x * m.f(x), SIX),
    "takes a part of a tensor": (lambda m, x: m.f(x)[:, 0], SIX),
    "tensor f.weight is used directly: hold it in a layer": (
        lambda m, x: F.conv2d(x, m.f.weight), SIX),
    "module f (Conv2d(3, 3, kernel_size=(3, 3), stride=(1, 1))) runs twice with the same": (
        lambda m, x: m.f(m.f(x)), nn.Conv2d(3, 3, 3)),
    "what Custom returns is not one tensor": (lambda m, x: (x, m.f(x)), SIX),
    "what Custom returns is the input as it came": (lambda m, x: x, SIX),
    "cannot follow the forward of Custom": (lambda m, x: m.f(x) if x.sum() > 0 else x, SIX),
    "reads the attribute 'T' of a tensor": (lambda m, x: x.T, SIX),
}  # fmt: skip


@pytest.mark.parametrize("expected", list(REFUSED))
def test_what_has_no_layer_is_refused_with_its_path_and_the_way_round(expected):
    function, module = REFUSED[expected]
    with pytest.raises(ArchitectureError) as caught:
        trace(forward(function, f=module), IMAGE)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_second_input_that_is_used_is_refused():
    class Two(nn.Module):
        def forward(self, x, y):
            return x + y

    with pytest.raises(ArchitectureError, match="tensor y is a second input: wrap it"):
        trace(Two(), IMAGE)


def test_arguments_that_no_layer_knows_are_refused_with_the_place():
    module = forward(lambda m, x: F.max_pool2d(x, 2) + x.mean((2, 3), dtype=torch.float64))
    with pytest.raises(
        ArchitectureError, match=r"operation mean \(mean\) has arguments that no layer has .*dtype"
    ):
        trace(module, IMAGE)


def test_what_torch_fx_does_not_see_is_found_by_comparing_outputs():
    def in_place(m, x):
        y = m.f(x)
        F.relu_(y)  # the result is thrown away, but y is changed
        return y

    hooked = forward(lambda m, x: m.f(x), f=nn.Conv2d(3, 6, 3))
    hooked.f.register_forward_hook(lambda module, inputs, output: 2 * output)
    for module in (forward(in_place, f=nn.Conv2d(3, 6, 3)), hooked):
        traced = trace(module, IMAGE)
        with pytest.raises(ArchitectureError, match=r"differ by .* in-place operations"):
            carry_into(build(traced.architecture), module, traced)


def test_weights_of_another_module_are_refused():
    traced = trace(nn.Sequential(nn.Conv2d(3, 6, 3)), IMAGE)
    with pytest.raises(ArchitectureError, match=r"weights in the Sequential do not fit"):
        carry_into(build(traced.architecture), nn.Sequential(nn.Conv2d(3, 5, 3)), traced)
