"""A misreading shows also in a branch that says nothing before it is trained."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archpress.reading.silent_weights import awakened
from archpress.reading.sources import NamedSource

IMAGE = (3, 8, 8)


class Branch(nn.Module):
    """Its last scale begins at `scale`."""

    def __init__(self, scale, read_again=False):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, 1, 1), nn.BatchNorm2d(3)
        self.last, self.read_again = nn.Conv2d(3, 3, 3, 1, 1), read_again
        self.scale = nn.Parameter(torch.full((3, 1, 1), scale))

    def forward(self, x):
        normed = self.norm(self.conv(x))
        kept = F.relu(normed, inplace=True)
        branch = self.last(kept) + normed if self.read_again else self.last(kept)
        return x + self.scale * branch


class LowRank(nn.Module):
    def __init__(self):
        super().__init__()
        self.u, self.v = nn.Parameter(torch.randn(3, 1)), nn.Parameter(torch.randn(1, 27))

    def forward(self, x):
        return F.conv2d(x, (self.u @ self.v).view(3, 3, 3, 3), padding=1)


def read(part):
    module = nn.Sequential(part, nn.Flatten(), nn.Linear(192, 4)).eval()
    return NamedSource("net", None, module).read(IMAGE)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0])
def test_a_tensor_that_is_changed_and_read_again_is_told_whatever_the_scale(scale):
    said = read(Branch(scale, read_again=True)).misread("net")
    assert said is not None
    assert "so that is another network" in said
    assert read(Branch(scale)).misread("net") is None


def test_only_what_hides_a_branch_gets_other_values():
    branch = Branch(0.0)
    loud = awakened(branch)
    assert loud.scale.min() >= 0.5
    assert torch.equal(loud.conv.weight, branch.conv.weight)
    assert torch.equal(loud.norm.bias, branch.norm.bias)  # zeros that are added hide nothing
    assert branch.scale.max() == 0
    assert awakened(loud) is None


def test_layers_that_have_more_weights_than_the_module_are_told():
    said = read(LowRank()).misread("net")
    assert said.startswith("net has 802 parameters and its layers 853")
