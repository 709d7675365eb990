"""More of other people's networks: shortcuts without weights, scales, pads, attention, endings."""

import math

import torch
import torch.nn.functional as F
from families import Classifier, DropPath, conv_norm
from torch import nn


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Shortcut(nn.Module):
    """A residual block whose shortcut has more channels, and no weights."""

    def __init__(self, shortcut):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(6, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12)
        self.shortcut = shortcut

    def forward(self, x):
        out = self.bn(self.conv(x))
        out += self.shortcut(x)
        return F.relu(out)


def thinned_and_padded(x):
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 3, 3), "constant", 0)


def averaged_and_doubled(x):
    x = F.avg_pool2d(x, 1, 2)
    return torch.cat((x, x.mul(0)), 1)


def zeros_beside(x):
    x = F.avg_pool2d(x, 2)
    return torch.cat([torch.zeros_like(x), x], dim=1)


def zeros_of_sizes(x):
    x = x[..., 1::2, 1::2]
    batch, channels, height, width = x.size()
    return torch.cat([x, torch.zeros(batch, channels, height, width, device=x.device)], dim=1)


class Scaled(nn.Module):
    """Residual scaling, by a number and by weights of one value."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.second = conv_norm(channels, channels), conv_norm(channels, channels)
        self.weight, self.alpha = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.tensor(0.2))

    def forward(self, x):
        x = self.first(x) * 0.17 + x
        return x + self.weight * self.second(x).mul(self.alpha)


class Fixup(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        for name in ("bias1a", "bias1b", "bias2a", "bias2b"):
            self.register_parameter(name, nn.Parameter(torch.zeros(1)))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        out = F.relu(self.conv1(x + self.bias1a) + self.bias1b)
        out = self.conv2(out + self.bias2a) * self.scale + self.bias2b
        return F.relu(out + F.avg_pool2d(x + self.bias1a, 1))


class ChannelsFirstNorm(nn.Module):
    def __init__(self, channels, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class BlurPool(nn.Module):
    def __init__(self, channels):
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0])
        kernel = torch.outer(row, row) / 16
        self.register_buffer("kernel", kernel[None, None].repeat(channels, 1, 1, 1))
        self.pad = nn.ReflectionPad2d(1)

    def forward(self, x):
        return F.conv2d(self.pad(x), self.kernel, stride=2, groups=x.shape[1])


class SamePadding(nn.Conv2d):
    """As TensorFlow pads: more below and right."""

    def forward(self, x):
        height, width = x.size()[-2:]
        around = []
        for side, kernel, stride in ((width, 3, 2), (height, 3, 2)):
            missing = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            around += [missing // 2, missing - missing // 2]
        return F.conv2d(F.pad(x, around), self.weight, self.bias, self.stride)


class Cropped(nn.Module):
    """As NASNet reduces: padded, pooled, the first row and column taken away."""

    def __init__(self):
        super().__init__()
        self.pad, self.pool = nn.ZeroPad2d((1, 0, 1, 0)), nn.MaxPool2d(3, 2, 1)

    def forward(self, x):
        return self.pool(self.pad(x))[:, :, 1:, 1:].contiguous()


class SpatialAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        largest, _ = torch.max(x, dim=1, keepdim=True)
        return torch.sigmoid(self.conv(torch.cat([x.mean(1, keepdim=True), largest], 1))) * x


class EfficientAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.conv = nn.AdaptiveAvgPool2d(1), nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        y = self.conv(self.pool(x).squeeze(-1).transpose(-1, -2)).transpose(-1, -2).unsqueeze(-1)
        return x * torch.sigmoid(y).expand_as(x)


class Maxout(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = conv_norm(channels, 2 * channels, act=None)

    def forward(self, x):
        one, other = torch.split(self.conv(x), x.size(1), 1)
        return torch.max(one, other)


class Highway(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.gate, self.conv = conv_norm(channels, channels), conv_norm(channels, channels)

    def forward(self, x):
        gate = torch.sigmoid(self.gate(x))
        return self.conv(x) * gate + x * (1 - gate)


class Mean(nn.Module):
    """A stack of branches, one of which pools less what it reads, as PoolFormer does."""

    def __init__(self):
        super().__init__()
        self.pool, self.drop = nn.AvgPool2d(3, 1, 1, count_include_pad=False), DropPath(0.1)

    def forward(self, x):
        return torch.stack([x, x + self.drop(self.pool(x) - x)], dim=1).mean(dim=1)


class Tutorial(nn.Module):
    """Normalises its images, uses one pool twice, ends in the logarithms of probabilities."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3)
        self.pool, self.drop = nn.MaxPool2d(2), nn.Dropout2d()
        self.fc1, self.fc2 = nn.Linear(32, 9), nn.Linear(9, 5)
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))

    def forward(self, x):
        x = 2 * ((x - self.mean) / 0.25) - 1
        x = self.pool(1.7159 * torch.tanh(self.conv1(x) * 2 / 3))
        x = self.pool(F.relu(self.drop(self.conv2(x))))
        x = F.dropout(F.relu(self.fc1(x.view(-1, 32))), training=self.training)
        return F.log_softmax(self.fc2(x), dim=1)


class SpatialPyramid(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = conv_norm(3, 4), nn.Linear(84, 5)
        self.norm = nn.BatchNorm1d(84)

    def forward(self, x):
        x = self.conv(x)
        parts = [F.adaptive_max_pool2d(x, size).view(x.size(0), -1) for size in (1, 2, 4)]
        return torch.softmax(self.fc(self.norm(torch.cat(parts, 1))), -1)


def as_inception(x):
    """From the norm of ImageNet to [-1, 1], as torchvision's Inception does with its weights."""
    statistics = ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))
    parts = [
        torch.unsqueeze(x[:, channel], 1) * (std / 0.5) + (mean - 0.5) / 0.5
        for channel, (mean, std) in enumerate(statistics)
    ]
    return torch.cat(parts, 1)


class KerasFlatten(nn.Module):
    """Ends as nets do that come from TensorFlow: flattened when the channels are last."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc, self.out = conv_norm(3, 4), nn.Linear(4 * 36, 7), nn.Linear(7, 5)

    def forward(self, x):
        x = F.max_pool2d(self.conv(x), 2).permute(0, 2, 3, 1).contiguous()
        return self.out(F.relu(self.fc(x.reshape(x.shape[0], -1))))


def of_images(function):
    return lambda: Classifier(Lambda(function), conv_norm(3, 6), channels=6)


def with_parts(*parts, channels=6):
    return Classifier(conv_norm(3, 6), *parts, channels=channels)


def with_activation(activation):
    return lambda: with_parts(nn.Conv2d(6, 6, 1), activation())


MORE_FAMILIES = {
    "ResNet, option A": lambda: with_parts(Shortcut(Lambda(thinned_and_padded)), channels=12),
    "ResNet, doubled": lambda: with_parts(Shortcut(Lambda(averaged_and_doubled)), channels=12),
    "ResNet, zeros first": lambda: with_parts(Shortcut(Lambda(zeros_beside)), channels=12),
    "ResNet, zeros by size": lambda: with_parts(Shortcut(Lambda(zeros_of_sizes)), channels=12),
    "ReZero, Inception-ResNet": lambda: with_parts(Scaled(6)),
    "Fixup": lambda: with_parts(Fixup(6)),
    "ConvNeXt, by hand": lambda: with_parts(ChannelsFirstNorm(6)),
    "blur": lambda: with_parts(BlurPool(6)),
    "reflecting": lambda: with_parts(nn.Conv2d(6, 6, 3, 2, 1, padding_mode="reflect")),
    "TensorFlow": lambda: with_parts(SamePadding(6, 6, 3, 2)),
    "NASNet": lambda: with_parts(Cropped()),
    "CBAM": lambda: with_parts(SpatialAttention()),
    "ECA": lambda: with_parts(EfficientAttention()),
    "LightCNN": lambda: with_parts(Maxout(6)),
    "Highway": lambda: with_parts(Highway(6)),
    "PoolFormer": lambda: with_parts(Mean()),
    "tutorial": Tutorial,
    "SPP": SpatialPyramid,
    "Inception, transformed input": of_images(as_inception),
    "blue first": of_images(lambda x: x[:, [2, 1, 0]]),
    "blue first, flipped": of_images(lambda x: x.flip(1)),
    "grey to colour": of_images(lambda x: x.mean(1, keepdim=True).repeat(1, 3, 1, 1)),
    "viewed as it is": of_images(lambda x: x.view(-1, 3, 12, 12).reshape(-1, *x.shape[1:])),
    "Keras, flattened": KerasFlatten,
    "AlexNet, older": lambda: with_parts(nn.LocalResponseNorm(5), nn.GLU(1), channels=3),
    "VGG of other images": lambda: with_parts(nn.AdaptiveAvgPool2d((7, 5))),
    "hourglass": lambda: with_parts(nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear")),
    "PReLU": with_activation(lambda: nn.PReLU(6)),
    "PReLU of one slope": with_activation(nn.PReLU),
    "Mish": with_activation(nn.Mish),
    "Mish by hand": with_activation(lambda: Lambda(lambda x: x * torch.tanh(F.softplus(x)))),
    "CELU": with_activation(lambda: nn.CELU(0.3)),
    "SELU": with_activation(nn.SELU),
    "softplus": with_activation(lambda: nn.Softplus(2.0, 10.0)),
    "hardtanh": with_activation(lambda: nn.Hardtanh(-2, 1.5)),
    "softshrink": with_activation(lambda: nn.Softshrink(0.1)),
}
