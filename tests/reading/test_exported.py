"""What torch.fx does not follow is read by torch.export; weights may be used by themselves."""

import pytest
import torch
import torch.nn.functional as F
from awkward import AWKWARD, AnyNumberOfInputs, Parts
from families import FAMILIES, IMAGE
from more_families import MORE_FAMILIES
from torch import nn

from archpress.architecture.network import build
from archpress.errors import ArchitectureError
from archpress.reading.exported import read_exported
from archpress.reading.tracing import carry_into, trace


@pytest.mark.parametrize("make", list(AWKWARD))
def test_an_awkward_module_is_read_and_computes_the_same(make, shake, outputs):
    module = shake(make())
    traced = trace(module, IMAGE)
    assert [layer.kind for layer in traced.architecture.layers] == AWKWARD[make].split()
    network = carry_into(build(traced.architecture), module, traced)
    expected, got = outputs(module, IMAGE), outputs(network, IMAGE)
    assert torch.allclose(got, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))


@pytest.mark.parametrize(
    "family", [*FAMILIES, *(name for name in MORE_FAMILIES if name != "AlexNet, older")]
)
def test_torch_export_reads_a_family_as_torch_fx_does(family, shake):
    module = shake((FAMILIES | MORE_FAMILIES)[family]()).eval()
    traced = read_exported(module, IMAGE)
    assert traced.architecture.key == trace(module, IMAGE).architecture.key
    carry_into(build(traced.architecture), module, traced)


def test_names_are_those_of_the_modules():
    names = read_exported(AnyNumberOfInputs().eval(), IMAGE).names
    assert names == ("conv", "relu", "mean", "fc")


def test_dropout_stays_a_layer():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.3), nn.ReLU(inplace=True)).eval()
    layers = read_exported(module, IMAGE).architecture.layers
    assert [(layer.kind, layer.rate) for layer in layers] == [
        ("conv", 0.0),
        ("dropout", 0.3),
        ("relu", 0.0),
    ]


class Shared(Parts):
    def forward(self, *inputs):
        x = self.conv(inputs[0])
        return self.head(self.conv(x[:, :3]))


class Exponential(Parts):
    def forward(self, *inputs):
        x = self.conv(inputs[0])
        return self.head(x * torch.exp(F.softplus(x)))


class ChangesAPart(Parts):
    def forward(self, x):
        x = self.conv(x)
        x[:, :2] *= 2
        return self.head(x)


class Attention(Parts):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        x = self.conv(x).flatten(2).transpose(1, 2)
        return self.fc(self.attention(x, x, x)[0].mean(1))


class TwoOutputs(Parts):
    def forward(self, *inputs):
        x = self.conv(inputs[0])
        return self.head(x), x


class Enlarges(Parts):
    def forward(self, x):
        return self.head(F.interpolate(self.conv(x), scale_factor=1.5))


class PadsWithOnes(Parts):
    def forward(self, x):
        return self.head(self.conv(F.pad(x, (0, 1, 0, 1), value=1.0)))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Shared, "operation conv runs twice with the same weights: give each place its own module"),
        (Exponential, "operation mul (mul) reads exp(x), which no layer computes"),
        (ChangesAPart, "operation slice_scatter (slice_scatter) has no layer kind"),
        (Attention, "operation transpose (transpose) reads a map as B x 8 x 144"),
        (TwoOutputs, "what the program returns is not one tensor"),
        (Enlarges, "operation interpolate (interpolate) resizes a map of 12x12 by [1.5, 1.5]"),
        (PadsWithOnes, "operation pad (pad) pads with 1.0: pad with 0"),
    ],
)
def test_what_neither_reads_is_refused_in_one_sentence(make, said, capfd):
    with pytest.raises(ArchitectureError) as caught:
        trace(make(), IMAGE)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
