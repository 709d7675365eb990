"""Other people's networks, each small, in the idiom of its public implementations."""

import torch
import torch.nn.functional as F
from torch import nn


def conv_norm(inputs, outputs, kernel=3, stride=1, groups=1, act=nn.ReLU):
    parts = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*parts, *([act()] if act else []))


class Classifier(nn.Module):
    """Some blocks, global average pooling, a linear layer."""

    def __init__(self, *blocks, channels):
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, 5)

    def forward(self, x):
        x = F.adaptive_avg_pool2d(self.blocks(x), 1)
        return self.fc(x.view(x.size(0), -1))


class PreAct(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        out = self.conv1(out)
        out = F.dropout(F.relu(self.bn2(out)), p=0.3, training=self.training)
        out = self.conv2(out)
        out += shortcut
        return out


class Dense(nn.Module):
    def __init__(self, inputs, growth=4, layers=3):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(inputs + i * growth),
                nn.ReLU(inplace=True),
                nn.Conv2d(inputs + i * growth, growth, 3, 1, 1, bias=False),
            )
            for i in range(layers)
        )

    def forward(self, x):
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


class Inception(nn.Module):
    """Branches of wide kernels, a pool that leaves out its padding, another that rounds up."""

    def __init__(self, inputs):
        super().__init__()
        self.one = conv_norm(inputs, 4, 1)
        self.wide = nn.Sequential(
            nn.Conv2d(inputs, 4, (1, 7), padding=(0, 3), bias=False),
            nn.BatchNorm2d(4, eps=0.001),
            nn.Conv2d(4, 6, (7, 1), padding=(3, 0), bias=False),
        )
        self.pooled = conv_norm(inputs, 2, 1)

    def forward(self, x):
        pool = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1, count_include_pad=False)
        outputs = [self.one(x), F.relu(self.wide(x), inplace=True), self.pooled(pool)]
        return F.max_pool2d(torch.cat(outputs, 1), 3, 2, ceil_mode=True)


class Fire(nn.Module):
    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.one, self.three = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, 1, 1)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.act(self.squeeze(x))
        return torch.cat([self.act(self.one(x)), self.act(self.three(x))], 1)


class ShuffleV1(nn.Module):
    def __init__(self, channels, groups):
        super().__init__()
        self.groups = groups
        self.first = nn.Conv2d(channels, channels, 1, groups=groups, bias=False)
        self.deep = conv_norm(channels, channels, 3, 2, groups=channels, act=None)

    def forward(self, x):
        n, c, h, w = x.size()
        g = self.groups
        out = F.relu(self.first(x)).view(n, g, c // g, h, w).permute(0, 2, 1, 3, 4)
        out = self.deep(out.reshape(n, c, h, w))
        return F.relu(torch.cat([out, F.avg_pool2d(x, 3, 2, 1)], 1))


class ShuffleV2(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.branch = conv_norm(channels // 2, channels // 2)

    def forward(self, x):
        kept, changed = x.chunk(2, dim=1)
        out = torch.cat((kept, self.branch(changed)), dim=1)
        batch, channels, height, width = out.size()
        out = out.view(batch, 2, channels // 2, height, width)
        return torch.transpose(out, 1, 2).contiguous().view(batch, -1, height, width)


class HSwish(nn.Module):
    def forward(self, x):
        return x * F.relu6(x + 3, inplace=True) / 6


class HSigmoid(nn.Module):
    def forward(self, x):
        return F.relu6(x + 3, inplace=True) / 6


class SqueezeExcite(nn.Module):
    """With linear layers over a vector."""

    def __init__(self, channels):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, 3), nn.ReLU(), nn.Linear(3, channels), HSigmoid()
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class SqueezeExciteConv(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, 3, 1), nn.Conv2d(3, channels, 1)

    def forward(self, x):
        s = F.avg_pool2d(x, x.size(2))
        s = F.silu(self.reduce(s))
        return self.expand(s).sigmoid() * x


class DropPath(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if self.p == 0.0 or not self.training:
            return x
        return x * torch.bernoulli(torch.full((x.shape[0], 1, 1, 1), 1 - self.p))


class MBConv(nn.Module):
    def __init__(self, channels, gate):
        super().__init__()
        self.expand = conv_norm(channels, 4 * channels, 1, act=HSwish)
        self.deep = conv_norm(4 * channels, 4 * channels, 5, groups=4 * channels, act=nn.SiLU)
        self.gate, self.project = gate(4 * channels), conv_norm(4 * channels, channels, 1, act=None)
        self.drop = DropPath(0.2)

    def forward(self, x):
        return x + self.drop(self.project(self.gate(self.deep(self.expand(x)))))


class LayerNorm2d(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        x = F.layer_norm(x.permute(0, 2, 3, 1), (x.shape[1],), self.weight, self.bias, 1e-6)
        return x.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.deep = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.up, self.down = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(1e-1 * torch.ones(channels))
        self.act, self.drop = nn.GELU(), DropPath(0.1)

    def forward(self, x):
        shortcut = x
        x = self.deep(x).permute(0, 2, 3, 1)
        x = self.gamma * self.down(self.act(self.up(self.norm(x))))
        return shortcut + self.drop(x.permute(0, 3, 1, 2))


class DualPath(nn.Module):
    def __init__(self, inputs, outputs, dense):
        super().__init__()
        self.outputs = outputs
        self.conv = conv_norm(inputs, outputs + dense, act=None)
        self.shortcut = conv_norm(inputs, outputs + dense, 1, act=None)

    def forward(self, x):
        d, out, x = self.outputs, self.conv(x), self.shortcut(x)
        out = torch.cat([x[:, :d, :, :] + out[:, :d, :, :], x[:, d:, :, :], out[:, d:, :, :]], 1)
        return F.relu(out)


class Tree(nn.Module):
    """Deep layer aggregation: a root over the outputs of all below."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.left, self.right = conv_norm(inputs, outputs, 3, 2), conv_norm(outputs, outputs)
        self.root = conv_norm(2 * outputs, outputs, 1)

    def forward(self, x):
        xs = [self.left(x)]
        xs.append(self.right(xs[-1]))
        return self.root(torch.cat(xs, 1))


class Ghost(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.outputs = outputs
        half = -(-outputs // 2)
        self.primary, self.cheap = conv_norm(inputs, half, 1), conv_norm(half, half, groups=half)

    def forward(self, x):
        first = self.primary(x)
        out = torch.cat([first, self.cheap(first)], dim=1)
        return out[:, : self.outputs, :, :]


class RepVGG(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.three = conv_norm(channels, channels, 3, act=None)
        self.one = conv_norm(channels, channels, 1, act=None)
        self.identity, self.se, self.act = nn.BatchNorm2d(channels), nn.Identity(), nn.ReLU()

    def forward(self, x):
        return self.act(self.se(self.three(x) + self.one(x) + self.identity(x)))


class Cell(nn.Module):
    """As of NASNet: separable convolutions of several sizes, pools, all added and concatenated."""

    def __init__(self, channels):
        super().__init__()
        self.seven = conv_norm(channels, channels, 7, 2, groups=channels, act=None)
        self.five = conv_norm(channels, channels, 5, 2, groups=channels, act=None)
        self.reduce = conv_norm(2 * channels, channels, 1)

    def forward(self, x):
        pooled = F.max_pool2d(x, 3, stride=2, padding=1)
        left, right = F.relu(self.seven(x) + pooled), F.relu(self.five(x) + pooled)
        return self.reduce(torch.cat([left, right], 1))


class Xception(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.deep = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.point, self.bn = nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.skip = conv_norm(inputs, outputs, 1, 2, act=None)

    def forward(self, x):
        out = self.bn(self.point(self.deep(F.relu(x, inplace=False))))
        return F.max_pool2d(out, 3, 2, 1) + self.skip(x)


class CrossStage(nn.Module):
    """Half of the channels go round; group norm."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.GroupNorm(2, channels)
        self.block = conv_norm(channels // 2, channels // 2, act=nn.LeakyReLU)

    def forward(self, x):
        one, two = torch.split(self.norm(x), x.shape[1] // 2, dim=1)
        return torch.cat([one, self.block(two)], dim=1)


class NiN(nn.Module):
    """No linear layer: the last convolution has a channel a class."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, ceil_mode=True),
            nn.Dropout(inplace=True),
            nn.Conv2d(8, 5, 1),
            nn.AdaptiveAvgPool2d((1, 1)),
        )

    def forward(self, x):
        return torch.flatten(self.features(x), 1)


class AlexNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        )
        self.pool = nn.AdaptiveAvgPool2d((3, 3))
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(54, 9), nn.ReLU(inplace=True), nn.Linear(9, 5)
        )

    def forward(self, x):
        return self.classifier(self.pool(self.features(x)).view(x.size(0), 54))


FAMILIES = {
    "AlexNet": AlexNet,
    "NiN": NiN,
    "PreActResNet, WideResNet": lambda: Classifier(
        nn.Conv2d(3, 6, 3, 1, 1), PreAct(6, 6), PreAct(6, 8, 2), channels=8
    ),
    "ResNeXt, RegNet": lambda: Classifier(
        conv_norm(3, 8), conv_norm(8, 8, groups=4), SqueezeExciteConv(8), channels=8
    ),
    "DenseNet": lambda: Classifier(conv_norm(3, 6), Dense(6), nn.AvgPool2d(2), channels=18),
    "GoogLeNet, Inception": lambda: Classifier(conv_norm(3, 6), Inception(6), channels=12),
    "SqueezeNet": lambda: Classifier(Fire(3, 4, 6), Fire(12, 3, 5), channels=10),
    "ShuffleNet v1": lambda: Classifier(conv_norm(3, 6), ShuffleV1(6, 3), channels=12),
    "ShuffleNet v2": lambda: Classifier(conv_norm(3, 8), ShuffleV2(8), ShuffleV2(8), channels=8),
    "MobileNet v1": lambda: Classifier(
        conv_norm(3, 6), conv_norm(6, 6, groups=6, act=nn.ReLU6), conv_norm(6, 8, 1), channels=8
    ),
    "MobileNet v3": lambda: Classifier(conv_norm(3, 4), MBConv(4, SqueezeExcite), channels=4),
    "EfficientNet, MNASNet": lambda: Classifier(
        conv_norm(3, 4), MBConv(4, SqueezeExciteConv), channels=4
    ),
    "SENet": lambda: Classifier(conv_norm(3, 6), SqueezeExcite(6), channels=6),
    "ConvNeXt": lambda: Classifier(nn.Conv2d(3, 6, 2, 2), LayerNorm2d(6), ConvNeXt(6), channels=6),
    "DPN": lambda: Classifier(conv_norm(3, 6), DualPath(6, 6, 3), channels=12),
    "DLA": lambda: Classifier(conv_norm(3, 6), Tree(6, 8), channels=8),
    "GhostNet": lambda: Classifier(conv_norm(3, 6), Ghost(6, 7), channels=7),
    "RepVGG": lambda: Classifier(conv_norm(3, 6), RepVGG(6), channels=6),
    "NASNet": lambda: Classifier(conv_norm(3, 6), Cell(6), channels=6),
    "Xception": lambda: Classifier(conv_norm(3, 6), Xception(6, 8), channels=8),
    "CSP": lambda: Classifier(conv_norm(3, 8), CrossStage(8), channels=8),
}

IMAGE = (3, 12, 12)
