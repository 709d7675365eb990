"""Modules that torch.fx does not follow, or that use their weights by themselves."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Parts(nn.Module):
    """A convolution and a linear layer over the means of its channels."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def head(self, x):
        return self.fc(x.mean((2, 3)))


class AnyNumberOfInputs(Parts):
    def forward(self, *inputs):
        assert len(inputs) == 1
        assert inputs[0].dim() == 4
        return self.head(F.relu(self.conv(inputs[0])))


class BranchesOnShapes(Parts):
    def forward(self, x):
        x = self.conv(x)
        if x.shape[-1] > 8:
            x = F.max_pool2d(x, 2)
        for _ in range(x.shape[-1] // 3):
            x = F.relu(x)
        return self.head(x)


class CountsItsParts(Parts):
    def __init__(self):
        super().__init__()
        self.second = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        one, two = self.conv(x).chunk(2, 1)
        parts = [one, self.second(two)]
        x = torch.cat([parts[i] for i in range(len(parts))], 1)
        side = int(math.sqrt(x.size(2) * x.size(3)))
        return self.fc(F.avg_pool2d(x, side).view(len(x), -1))


class RawWeights(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernels, self.summands = (
            nn.Parameter(torch.rand(8, 3, 3, 3)),
            nn.Parameter(torch.rand(8)),
        )
        self.scale, self.shift = nn.Parameter(torch.rand(8)), nn.Parameter(torch.rand(8))
        self.register_buffer("mean", torch.rand(8))
        self.register_buffer("var", torch.rand(8) + 0.5)
        self.rows, self.matrix = nn.Parameter(torch.rand(6, 8)), nn.Parameter(torch.rand(6, 5))
        self.bias = nn.Parameter(torch.rand(5))

    def forward(self, x):
        x = F.conv2d(x, self.kernels, self.summands, padding=1)
        x = F.batch_norm(x, self.mean, self.var, self.scale, self.shift, False, 0.1, 1e-3)
        x = F.linear(F.relu(x).mean((2, 3)), self.rows)
        return x @ self.matrix + self.bias


@dataclass
class Images:
    x: Tensor


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 1)

    def forward(self, inputs):
        return {"y": self.conv(inputs["images"].x)}


class DictsAndDataclasses(Parts):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        return self.head(self.inner({"images": Images(self.conv(x))})["y"].relu())


class Parametrised(Parts):
    def __init__(self):
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(self.conv)

    def forward(self, x):
        return self.head(F.relu(self.conv(x)))


class StandardisedConv(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.flatten(1).std(1).view(-1, 1, 1, 1) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class WeightStandardisation(Parts):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = StandardisedConv(3, 8, 3, padding=1), nn.GroupNorm(2, 8)

    def forward(self, x):
        return self.head(F.relu(self.norm(self.conv(x))))


class FrozenNorm(Parts):
    """As detectors have it: a batch norm of buffers, worked out at each call."""

    def __init__(self):
        super().__init__()
        for name in ("scale", "shift", "mean", "var"):
            self.register_buffer(name, torch.rand(8) + 0.5)

    def forward(self, x):
        scale = self.scale.reshape(1, -1, 1, 1) * (self.var.reshape(1, -1, 1, 1) + 1e-5).rsqrt()
        shift = self.shift.reshape(1, -1, 1, 1) - self.mean.reshape(1, -1, 1, 1) * scale
        return self.head(F.relu(self.conv(x) * scale + shift))


class NormalisesImages(Parts):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.3, 0.2]).view(1, 3, 1, 1))

    def forward(self, x):
        return self.head(F.relu(self.conv((x - self.mean) / self.std)))


class ActivationsWrittenOut(Parts):
    def forward(self, x):
        x = self.conv(x)
        x = x * torch.sigmoid(x)
        x = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3))))
        x = x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))
        return self.head(x * F.hardsigmoid(x))


class BiasOfItsOwn(Parts):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.bias = nn.Parameter(torch.rand(1, 8, 1, 1))

    def forward(self, x):
        return self.head(F.relu(self.conv(x) + self.bias))


class WithoutGradients(Parts):
    def forward(self, *inputs):
        with torch.no_grad():
            x = self.conv(inputs[0])
        return self.fc(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1))


TAIL = "global_average_pool linear"
AWKWARD = {
    AnyNumberOfInputs: f"conv relu {TAIL}",
    BranchesOnShapes: f"conv max_pool relu relu {TAIL}",
    CountsItsParts: "conv slice slice conv concat average_pool linear",
    RawWeights: f"conv batch_norm relu {TAIL} linear",
    DictsAndDataclasses: f"conv conv relu {TAIL}",
    Parametrised: f"conv relu {TAIL}",
    WeightStandardisation: f"conv group_norm relu {TAIL}",
    FrozenNorm: f"conv batch_norm relu {TAIL}",
    NormalisesImages: f"batch_norm conv relu {TAIL}",
    ActivationsWrittenOut: f"conv silu gelu gelu hardswish {TAIL}",
    BiasOfItsOwn: f"conv relu {TAIL}",
    WithoutGradients: f"conv {TAIL}",
}
