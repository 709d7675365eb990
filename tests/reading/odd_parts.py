"""Nets of other people's style with parts that have no layer kind."""

import torch
import torch.nn.functional as F
from torch import nn


def head(channels=8, classes=4):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Between(nn.Module):
    """Some part between layers that are read."""

    def __init__(self, part, channels=8):
        super().__init__()
        stem = (nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.stem, self.part, self.head = nn.Sequential(*stem), part, head(channels)

    def forward(self, x):
        return self.head(self.part(self.stem(x)))


class ChannelAttention(nn.Module):
    """Of CBAM: one small net for means and maxima."""

    def __init__(self, channels=8):
        super().__init__()
        half = channels // 2
        layers = (nn.Conv2d(channels, half, 1), nn.ReLU(inplace=True), nn.Conv2d(half, channels, 1))
        self.mlp = nn.Sequential(*layers)

    def forward(self, x):
        mean, most = F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)
        return x * torch.sigmoid(self.mlp(mean) + self.mlp(most))


class GeneralMean(nn.Module):
    """GeM pooling, with a learned exponent."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), 3.0))

    def forward(self, x):
        return F.avg_pool2d(x.clamp(min=1e-6).pow(self.p), x.shape[-2:]).pow(1.0 / self.p)


class Mixed(nn.Module):
    """Channels mixed by einsum; asks for a size, as torch.fx cannot follow."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8) / 3)
        self.register_buffer("places", torch.arange(8.0).flip(0))

    def forward(self, x):
        if x.shape[1] != 8:
            raise ValueError("not 8 channels")
        return torch.einsum("bchw,cd->bdhw", x, self.weight) + self.places[:, None, None]


class Normed(nn.Module):
    """Norm and dropout beside what has no layer."""

    def __init__(self):
        super().__init__()
        self.turned = nn.ConvTranspose2d(8, 8, 3, padding=1)
        self.norm, self.drop = nn.BatchNorm2d(8), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(self.turned(x).cumsum(1)))


class Attention(nn.Module):
    """Over pixels, with heads."""

    def __init__(self):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        mixed, _ = self.attention(tokens, tokens, tokens)
        return x + mixed.transpose(1, 2).reshape(x.shape)


class Function(nn.Module):
    """Of one tensor."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls += 1
        return x.cumsum(1)


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Named(nn.Module):
    """Tensors with names that code has for other things."""

    def __init__(self):
        super().__init__()
        for name in ("hold", "x", "my weight", "β"):
            self.register_parameter(name, nn.Parameter(torch.rand(8)))
        self.register_module("class", nn.Linear(8, 8))

    def forward(self, x):
        one, other, third, last = list(self.parameters())[:4]
        gate = getattr(self, "class")(x.mean((2, 3)) * third + last)
        return torch.einsum("bchw,c,c,bc->bchw", x, one, other, gate)


class Cosine(nn.Module):
    """A net whose last layer is of directions; it takes any number of inputs and reads one."""

    def __init__(self):
        super().__init__()
        self.conv, self.classes, self.last = nn.Conv2d(3, 8, 3), Directions(), nn.Linear(4, 4)

    def forward(self, x):
        return self.last(self.classes(F.relu(self.conv(x)).mean((2, 3))))


class Directions(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 8))

    def forward(self, *inputs):
        return F.linear(F.normalize(inputs[0]), F.normalize(self.weight))


TAKEN = {  # net -> paths of the parts that stay as they are
    "transposed": (lambda: Between(nn.ConvTranspose2d(8, 8, 2, 2)), ["part"]),
    "in a stack": (
        lambda: Between(nn.Sequential(nn.ConvTranspose2d(8, 8, 2), nn.ReLU(), Mixed())),
        ["part.0", "part.2"],
    ),
    "einsum": (lambda: Between(Mixed()), ["part"]),
    "general mean": (lambda: Between(GeneralMean()), ["part"]),
    "shared": (lambda: Between(ChannelAttention()), ["part"]),
    "unshuffled": (lambda: Between(nn.PixelUnshuffle(2), 32), ["part"]),
    "normed": (lambda: Between(Normed()), ["part"]),
    "names": (lambda: Between(Named()), ["part"]),
    "directions": (Cosine, ["classes"]),
    "attention": (lambda: Between(Attention()), ["part"]),
    "spectral": (
        lambda: Between(nn.utils.parametrizations.spectral_norm(nn.ConvTranspose2d(8, 8, 3))),
        ["part"],
    ),
}
