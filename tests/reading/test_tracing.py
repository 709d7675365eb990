from random import Random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archpress.architecture import ACTIVATIONS, ZOO, Architecture, Layer, named, simplify
from archpress.architecture.network import build
from archpress.errors import ArchitectureError
from archpress.reading.tracing import carry_into, trace, weights_of

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
        if all(layer.kind in ("scale", "pad", "slice") for layer in simplify(net).layers):
            continue  # the image as it came
        traced = trace(build(net), net.input_shape).architecture
        read += len(traced.layers) > 4
        # The same in PyTorch: a depthwise convolution of one channel and an ordinary one, a sum of
        # three and two sums of two; a flatten is no layer where nothing needs it, a gain of each
        # channel of a map is a convolution, an adaptive pool mostly an ordinary one.
        alike = any(
            len(layer.inputs) > 2
            or (layer.kind == "depthwise" and shape[0] == 1)
            or layer.kind in ("flatten", "adaptive_average_pool", "adaptive_max_pool")
            or (layer.kind == "gain" and layer.options)
            or (layer.kind in ("scale", "pad") and not layer.options)
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
    "has padding='same' for an even kernel: pad by numbers": (
        lambda m, x: m.f(x), nn.Conv2d(3, 6, 2, padding="same")),
    "has dilation=(1, 2): give one integer for both sides": (
        lambda m, x: m.f(x), nn.Conv2d(3, 6, 3, dilation=(1, 2))),
    "needs 1 channels but reads B x 3 x 12 x 12: check the shape of": (
        lambda m, x: m.f(x), nn.Conv2d(1, 6, 3)),
    "kernel 13 does not fit a 12x12 map": (lambda m, x: m.f(x), nn.Conv2d(3, 6, 13)),
    "has track_running_stats=False": (
        lambda m, x: m.f(x), nn.BatchNorm2d(3, track_running_stats=False)),
    "needs 400 channels but reads B x 432": (
        lambda m, x: m.f(x.flatten(1)), nn.BatchNorm1d(400)),
    "has divisor_override=5": (lambda m, x: m.f(x), nn.AvgPool2d(2, divisor_override=5)),
    "is over dim=0: take it over height and width": (lambda m, x: x.mean(0), SIX),
    "is over all values at once": (lambda m, x: m.f(x).sum(), SIX),
    "returns is a map as B x 3 x 12: give it back": (lambda m, x: x.mean(3), SIX),
    "needs B x 12 (flattened) but reads B x 3 x 12 x 12": (lambda m, x: m.f(x), nn.Linear(12, 2)),
    "flatten from 1 to the end": (lambda m, x: x.flatten(0), SIX),
    "gives the shape ['B', 12, -1]: only flattening": (lambda m, x: x.view(x.size(0), 12, -1), SIX),
    "returns reads exp(x), which no layer computes: use sums": (lambda m, x: x.exp(), SIX),
    "operation add (add) reads exp(x), which": (lambda m, x: m.f(x) + m.f3(x).exp(), SIX),
    "cannot add outputs of shapes 3x12x12 and 6x10x10": (lambda m, x: x + m.f(x), SIX),
    "joins a map and a flattened or turned tensor": (
        lambda m, x: x.mean((2, 3), keepdim=True) + x.mean((2, 3)), SIX),
    "joins a map and one value a channel by add: layers only multiply": (
        lambda m, x: x + m.f(x.mean((2, 3)))[..., None, None], nn.Linear(3, 3)),
    "is over tensors that are stacked": (lambda m, x: torch.stack([x, x]).amax(0), SIX),
    "is along dim=0: concatenate along channels": (lambda m, x: torch.cat([x, x]), SIX),
    "module f (LSTM(3, 3)) has no layer kind: write it with convolutions": (
        lambda m, x: m.f(x), nn.LSTM(3, 3)),
    "operation softmax (softmax) is over dim=2: take it over the channels": (
        lambda m, x: F.softmax(x, 2), SIX),
    "operation fft_fft2 (fft_fft2) has no layer kind": (lambda m, x: torch.fft.fft2(x), SIX),
    "turns the axes to [0, 3, 2, 1]": (lambda m, x: m.f(x).permute(0, 3, 2, 1), SIX),
    "returns is turned or in groups": (lambda m, x: m.f(x).permute(0, 2, 3, 1), SIX),
    "reshapes a map that was turned": (
        lambda m, x: m.f(x).permute(0, 2, 3, 1).reshape(x.size(0), -1, 6), SIX),
    "cannot multiply outputs of shapes 3x12x12 and 6x10x10": (lambda m, x: x * m.f(x), SIX),
    "module f2 (Conv2d(6, 6, kernel_size=(1, 1), stride=(1, 1))) reads sqrt(add(x, 3)), which": (
        lambda m, x: m.f2((m.f(x) + 3).sqrt()), SIX),
    "has an exponent that is learned": (lambda m, x: m.f(x) ** m.g.weight.sum(), SIX),
    "drops values in evaluation, too: give it training=self.training": (
        lambda m, x: F.dropout(m.f(x), 0.2), SIX),
    "pads with 1": (lambda m, x: F.pad(m.f(x), (1, 1), value=1), SIX),
    "resizes a map of 10x10 by [1.5, 1.5]": (
        lambda m, x: F.interpolate(m.f(x), scale_factor=1.5), SIX),
    "reads a stack, of which only sums": (lambda m, x: F.relu(torch.stack([x, x])), SIX),
    "operation conv1d (conv1d) reads a map as B x 3 x 144: only means": (
        lambda m, x: F.conv1d(x.flatten(2), m.f.weight.flatten(2)), SIX),
    "divides by a tensor, which no layer does": (lambda m, x: m.f(x) / m.f3(x), SIX),
    "is along dim=2: split a map along channels": (lambda m, x: m.f(x).chunk(2, 2)[0], SIX),
    "is over 10x10 values: norm the channels of each pixel": (
        lambda m, x: m.g(m.f(x)), SIX),
    "takes a part of a tensor": (lambda m, x: m.f(x)[0], SIX),
    "has weights that are worked out of the image": (lambda m, x: F.conv2d(x, m.f(x)), SIX),
    "module f (Conv2d(3, 3, kernel_size=(3, 3), stride=(1, 1))) runs twice with the same": (
        lambda m, x: m.f(m.f(x)), nn.Conv2d(3, 3, 3)),
    "what Custom returns is not one tensor": (lambda m, x: (x, m.f(x)), SIX),
    "what Custom returns is the input as it came": (lambda m, x: x, SIX),
    "cannot follow the forward of Custom": (lambda m, x: m.f(x) if x.sum() > 0 else x, SIX),
    "reads the attribute 'T' of a tensor": (lambda m, x: x.T, SIX),
}  # fmt: skip


def turned(call):
    """Reads a map as B x H x W x C."""
    return lambda m, x: call(m, m.f(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def hard_swish(x):
    return x * F.relu6(x + 3) * (1 / 6)


def shuffled(x):
    batch, channels, height, width = x.size()
    x = x.view(batch, 2, channels // 2, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(batch, -1, height, width)


def gated(m, x):
    """Squeeze and excitation with linear layers, as it was first written."""
    x = m.f(x)
    batch, channels, _, _ = x.size()
    gate = torch.sigmoid(m.g(x.mean((2, 3)).view(batch, channels)))
    return x * gate.view(batch, channels, 1, 1).expand_as(x)


ALSO_READ = {
    "groups": (lambda m, x: m.g(m.f(x)), nn.Conv2d(6, 4, 3, groups=2)),
    "wide kernel": (lambda m, x: m.g(x), nn.Conv2d(3, 6, (3, 1), (1, 2), (1, 0))),
    "same padding": (lambda m, x: m.g(x), nn.Conv2d(3, 6, (3, 5), padding="same", dilation=2)),
    "dilated depthwise": (lambda m, x: m.g(x), nn.Conv2d(3, 3, 3, dilation=2, groups=3)),
    "wider depthwise": (lambda m, x: m.g(x), nn.Conv2d(3, 9, 3, groups=3)),
    "norm with another eps": (lambda m, x: m.g(m.f(x)), nn.BatchNorm2d(6, eps=1e-3)),
    "norm without weights": (lambda m, x: m.g(m.f(x)), nn.BatchNorm2d(6, affine=False)),
    "group norm": (lambda m, x: m.g(m.f(x)), nn.GroupNorm(3, 6, eps=1e-6)),
    "leaky": (lambda m, x: F.leaky_relu(m.g(m.f(x)), 0.3), nn.LeakyReLU(0.2)),
    "elu": (lambda m, x: F.elu(m.g(m.f(x)), alpha=0.5), nn.ELU(0.7)),
    "gelu": (lambda m, x: F.gelu(m.g(m.f(x)), approximate="tanh"), nn.GELU("tanh")),
    "ceil": (lambda m, x: m.g(m.f(x)), nn.MaxPool2d(3, 2, ceil_mode=True)),
    "dilated pool": (lambda m, x: F.max_pool2d(m.f(x), 2, dilation=2), None),
    "uncounted padding": (
        lambda m, x: m.g(m.f(x)), nn.AvgPool2d(3, padding=1, count_include_pad=False)),
    "adaptive to half": (lambda m, x: m.g(m.f(x)), nn.AdaptiveAvgPool2d(5)),
    "adaptive maximum": (lambda m, x: F.adaptive_max_pool2d(m.f(x), (1, 1)), None),
    "gate": (lambda m, x: m.f(x) * torch.sigmoid(m.g(x.mean((2, 3), keepdim=True))),
             nn.Conv2d(3, 6, 1)),
    "gate of linear layers": (gated, nn.Linear(6, 6)),
    "hard sigmoid and swish": (
        lambda m, x: hard_swish(F.relu6(m.f(x) + 3.0) / 6.0), None),
    "hardtanh": (lambda m, x: F.hardtanh(m.g(m.f(x)), 0, 6).clamp(0, 6), nn.Hardtanh(0, 6)),
    "shuffle": (lambda m, x: shuffled(m.f(x)), None),
    "shuffle as a module": (lambda m, x: m.g(m.f(x)), nn.ChannelShuffle(3)),
    "halves": (lambda m, x: m.f(x).chunk(2, dim=1)[1] + torch.split(m.f2(x), [2, 1, 3], 1)[2],
               None),
    "slices": (lambda m, x: torch.cat([m.f(x)[:, :2], m.f2(x)[:, 3:, :, :]], 1), None),
    "layer norm over channels": (turned(lambda m, x: m.g(x)), nn.LayerNorm(6, eps=1e-6)),
    "linear at each pixel": (turned(lambda m, x: F.gelu(m.g(x))), nn.Linear(6, 4)),
    "sum": (lambda m, x: sum([m.f(x), m.f2(x), m.f3(x)]), None),
}  # fmt: skip


@pytest.mark.parametrize("name", list(ALSO_READ))
def test_what_is_read_computes_the_same(name, shake, outputs):
    function, part = ALSO_READ[name]
    parts = {key: nn.Conv2d(3, 6, 3) for key in ("f", "f2", "f3")}
    module = shake(forward(function, g=part or nn.Identity(), **parts))
    traced = trace(module, IMAGE)
    network = carry_into(build(traced.architecture), module, traced)
    expected, got = outputs(module, IMAGE).flatten(1), outputs(network, IMAGE)
    assert torch.allclose(got, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))
    read = Architecture.from_json(traced.architecture.to_json())
    assert read == traced.architecture
    assert trace(build(read), IMAGE).architecture.key == read.key


@pytest.mark.parametrize("expected", list(REFUSED))
def test_what_has_no_layer_is_told_with_its_path_and_the_way_round(expected):
    function, module = REFUSED[expected]
    parts = {"g": nn.LayerNorm((10, 10)), "f2": nn.Conv2d(6, 6, 1), "f3": nn.Conv2d(3, 6, 3)}
    try:
        traced = trace(forward(function, f=module, **parts), IMAGE)
        (told,) = [part.reason for part in traced.frozen]  # of a part that can be taken whole
    except ArchitectureError as error:
        told = str(error)
    assert expected in told
    assert len(told) < 500


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


class WithLearned(nn.Module):
    """Beside the channels of the image one that is learned, and still zero."""

    def __init__(self):
        super().__init__()
        self.extra, self.head = nn.Parameter(torch.zeros(1, 1, 8, 8)), nn.Linear(4 * 64, 10)

    def forward(self, x):
        x = torch.cat([x, self.extra.expand(len(x), -1, -1, -1)], 1)
        return self.head(x.flatten(1))


class PaddedTwice(nn.Sequential):
    def __init__(self):
        reflecting = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
        super().__init__(nn.ZeroPad2d(1), reflecting, nn.Flatten(), nn.Linear(4 * 100, 10))


def test_what_is_zero_near_zero_alone_is_no_padding():
    class Late(nn.Module):
        def forward(self, x):
            return torch.cat([x, (x - 4).relu()], 1)

    module = nn.Sequential(Late(), nn.Flatten(), nn.Linear(6 * 64, 10))
    layers = trace(module, (3, 8, 8)).architecture.layers
    assert [layer.kind for layer in layers] == ["scale", "relu", "concat", "linear"]


def test_zeros_that_are_learned_are_no_padding():
    try:
        net = trace(WithLearned(), (3, 8, 8)).architecture
    except ArchitectureError:
        return
    assert all(layer.kind != "pad_channels" for layer in net.layers)


@pytest.mark.parametrize(
    "zeros",
    [
        torch.zeros_like,
        lambda x: x.new_zeros(len(x), 3, 8, 8),
        lambda x: torch.zeros(len(x), 3, 8, 8),
        lambda x: 0 * x,
    ],
)
def test_zeros_that_are_worked_out_are_channels_of_zeros(zeros):
    class Beside(nn.Module):
        def forward(self, x):
            return torch.cat([zeros(x), x], 1)

    module = nn.Sequential(Beside(), nn.Flatten(), nn.Linear(6 * 64, 10))
    layers = trace(module, (3, 8, 8)).architecture.layers
    assert [layer.kind for layer in layers] == ["pad_channels", "linear"]


def test_zeros_before_a_reflecting_convolution_are_counted_once():
    module = PaddedTwice()
    traced = trace(module, (3, 8, 8))
    carry_into(build(traced.architecture), module, traced)  # checks that both agree
