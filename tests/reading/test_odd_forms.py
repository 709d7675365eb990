"""Forms that look like others: read as what they compute, or refused, never as another function."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archpress.architecture.network import build
from archpress.errors import ArchitectureError
from archpress.reading.tracing import agreement, carry_into, trace

IMAGE = (3, 8, 8)


class Forward(nn.Module):
    """A convolution of 8 channels, and what a function makes of its map."""

    def __init__(self, function, part=None, size=8):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.pool = nn.AdaptiveAvgPool2d(size)
        self.part = part or nn.Identity()
        self.fixed = nn.Parameter(torch.randn(8))
        self.call = function

    def forward(self, x):
        return self.call(self, self.pool(self.conv(x)))


def shuffled(x):
    return x.view(x.size(0), 2, 4, 8, 8).transpose(1, 2)


def rows_and_columns(m, x):
    x = x.mean(3)
    return x.max(2)[0] + x.mean(2)


READ = {
    "a sum of row means": (lambda m, x: x.mean(3).sum(2), None),
    "a mean of row means": (lambda m, x: x.mean(3).mean(2), None),
    "a sum over pixels in a row": (lambda m, x: x.flatten(2).sum(2), None),
    "a largest over pixels in a row": (lambda m, x: x.flatten(2).amax(2), None),
    "an activation within a shuffle": (
        lambda m, x: F.relu(shuffled(x)).reshape(x.size(0), 8, 8, 8), None),
    "a pooled vector and a linear layer's": (
        lambda m, x: x.mean((2, 3)) + m.part(x.mean((2, 3))), nn.Linear(8, 8)),
    "both side by side": (
        lambda m, x: torch.cat([x.mean((2, 3)), m.part(x.flatten(1))], 1), nn.Linear(512, 4)),
    "both multiplied": (
        lambda m, x: x.mean((2, 3)) * torch.sigmoid(m.part(x.mean((2, 3)))), nn.Linear(8, 8)),
    "a wide clamp": (lambda m, x: (3e4 * x).clamp(-2000, 2000).mean((2, 3)), None),
    "a far bound": (lambda m, x: (3e4 * x).clamp(max=3000.0).mean((2, 3)), None),
    "reflection of no pixels": (
        lambda m, x: m.part(x), nn.Conv2d(8, 4, 1, padding_mode="reflect")),
    "every fourth column": (lambda m, x: x[:, :, :, ::2][:, :, :, ::2], None),
    "every fourth row": (lambda m, x: x[:, :, ::2][:, :, ::2], None),
}  # fmt: skip
READ_OF_A_PIXEL = {
    "the only pixel": (lambda m, x: m.part(x[:, :, 0, 0]), nn.Linear(8, 4)),
    "a vector as a pixel": (lambda m, x: m.part(x.view(x.size(0), -1, 1, 1)), nn.Conv2d(8, 4, 1)),
}
REFUSED = {
    "the largest of row means": (rows_and_columns, None),
    "the mean of rows of one channel": (lambda m, x: x[:, 0].mean(2), None),
    "groups that are flattened while shuffled": (lambda m, x: shuffled(x).flatten(1), None),
    "a map turned and flattened, normed": (
        lambda m, x: m.part(x.permute(0, 2, 3, 1).flatten(1)), nn.BatchNorm1d(512)),
    "all values of a map as channels": (
        lambda m, x: m.part(x.reshape(x.size(0), -1, 1, 1)), nn.Conv2d(512, 4, 1)),
    "the first value of a vector": (lambda m, x: x.mean((2, 3))[:, 0], None),
    "the first images": (lambda m, x: x[:1].mean((2, 3)), None),
    "zeros beside a flattened map": (lambda m, x: F.pad(x.flatten(1), (0, 5)), None),
    "a module's weights used again": (
        lambda m, x: x + F.conv2d(m.part(x), m.part.weight, padding=2, dilation=2),
        nn.Conv2d(8, 8, 3, padding=1, bias=False)),
}  # fmt: skip


def is_the_same(module):
    """Whether it is read, and as what it computes; False where it is refused."""
    try:
        traced = trace(module.eval(), IMAGE)
    except ArchitectureError:
        return False
    network = carry_into(build(traced.architecture), module, traced)
    assert agreement(network, module).is_close
    return not traced.frozen


@pytest.mark.parametrize("name", list(READ))
def test_it_is_read_as_what_it_computes(name):
    torch.manual_seed(0)
    assert is_the_same(Forward(*READ[name]))


@pytest.mark.parametrize("name", list(READ_OF_A_PIXEL))
def test_a_pixel_is_read_as_what_it_computes(name):
    torch.manual_seed(0)
    assert is_the_same(Forward(*READ_OF_A_PIXEL[name], size=1))


@pytest.mark.parametrize("name", list(REFUSED))
def test_it_is_refused_or_stays_whole(name):
    torch.manual_seed(0)
    assert not is_the_same(Forward(*REFUSED[name]))


def test_a_norm_that_is_turned_back_takes_no_weights_of_the_turned_form():
    def channels_last(m, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)
        return m.part((m.fixed[:, None, None] * x).flatten(1))

    assert is_the_same(Forward(channels_last, nn.Linear(512, 4)))


def test_a_module_that_cannot_be_copied_trains_on_afterwards():
    module = Forward(lambda m, x: x.mean((2, 3))).train()
    module.lock = __import__("threading").Lock()
    assert agreement(build(trace(module, IMAGE).architecture), module).largest > 0
    assert all(part.training for part in module.modules())


def test_outputs_of_other_shapes_are_not_close():
    module = Forward(lambda m, x: x.mean((2, 3)))
    other = build(trace(Forward(lambda m, x: x.flatten(1)), IMAGE).architecture)
    assert not agreement(other, module).is_close
