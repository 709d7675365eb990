"""Well-known nets by name, for any input shape and number of classes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from archpress.architecture.architecture import Architecture
from archpress.architecture.layers import Layer
from archpress.architecture.shape_rules import format_shape
from archpress.errors import ArchitectureError

InputShape = tuple[int, int, int]

POOL = Layer("max_pool", kernel=2, stride=2)
AVERAGE = Layer("global_average_pool")
Readout = Literal["average", "coarse", "map"]
READ: dict[Readout, tuple[Layer, ...]] = {
    "average": (AVERAGE,),
    "coarse": (Layer("average_pool", kernel=2, stride=2),),
    "map": (),
}


def conv_block(
    channels: int, kernel: int = 3, stride: int = 1, *, bias_free: bool = False
) -> list[Layer]:
    """Convolution that keeps the size (for stride 1), batch norm, ReLU."""
    return [
        Layer("conv", kernel, channels, stride, kernel // 2, bias_free=bias_free),
        Layer("batch_norm"),
        Layer("relu"),
    ]


def blocks_and_pools(widths: Iterable[int], pools_after: Iterable[int]) -> list[Layer]:
    """Conv-BN-ReLU blocks of these widths, a 2x2 max pool after the blocks of these numbers."""
    layers: list[Layer] = []
    pools = set(pools_after)
    for number, width in enumerate(widths, start=1):
        layers += conv_block(width)
        if number in pools:
            layers.append(POOL)
    return layers


def _conv7(classes: int) -> list[Layer]:
    widths = [32, 32, 64, 64, 128, 128, 256]
    return [*blocks_and_pools(widths, (2, 4)), Layer("linear", channels=classes)]


def _conv10(classes: int) -> list[Layer]:
    widths = [256] * 4 + [512] * 4 + [1024] * 2
    return [*blocks_and_pools(widths, (4, 8, 10)), Layer("linear", channels=classes)]


def _lenet5(classes: int) -> list[Layer]:
    return [
        Layer("conv", 5, 6, 1, 2),
        Layer("tanh"),
        Layer("average_pool", 2, stride=2),
        Layer("conv", 5, 16, 1),
        Layer("tanh"),
        Layer("average_pool", 2, stride=2),
        Layer("linear", channels=120),
        Layer("tanh"),
        Layer("linear", channels=84),
        Layer("tanh"),
        Layer("linear", channels=classes),
    ]


def _vgg(*stages: tuple[int, int]) -> Callable[[int], list[Layer]]:
    """VGG with batch norm and one linear layer, as usual for small images: (width, blocks)."""

    def layers(classes: int) -> list[Layer]:
        body: list[Layer] = []
        for width, blocks in stages:
            body += [*blocks_and_pools([width] * blocks, (blocks,))]
        return [*body, AVERAGE, Layer("linear", channels=classes)]

    return layers


def _resnet(depth: int) -> Callable[[int], list[Layer]]:
    """ResNet for small images: 3 stages of 16, 32, 64 channels, 1x1 projections at the steps."""

    def layers(classes: int) -> list[Layer]:
        body = conv_block(16, bias_free=True)
        width = 16
        for stage_width in (16, 32, 64):
            for block in range((depth - 2) // 6):
                stride = 2 if block == 0 and stage_width != 16 else 1
                body += _residual_block(stage_width, stride, project=stage_width != width)
                width = stage_width
        return [*body, AVERAGE, Layer("linear", channels=classes)]

    return layers


def _residual_block(width: int, stride: int, *, project: bool) -> list[Layer]:
    """Two convolutions and a shortcut, as one sequence; the block reads the layer before it."""
    main = [
        *conv_block(width, 3, stride, bias_free=True),
        Layer("conv", 3, width, 1, 1, bias_free=True),
        Layer("batch_norm"),
    ]
    if not project:
        return [*main, Layer("add", inputs=(1, 6)), Layer("relu")]
    shortcut = [
        Layer("conv", 1, width, stride, 0, inputs=(len(main) + 1,), bias_free=True),
        Layer("batch_norm"),
    ]
    return [*main, *shortcut, Layer("add", inputs=(3, 1)), Layer("relu")]


def _separable(classes: int) -> list[Layer]:
    """A small net of depthwise and pointwise convolutions, after MobileNet."""
    body = conv_block(16)
    for width, stride in ((32, 2), (32, 1), (64, 2), (64, 1), (128, 1)):
        body += [
            Layer("depthwise", 3, 0, stride, 1, bias_free=True),
            Layer("batch_norm"),
            Layer("relu"),
            *conv_block(width, 1, bias_free=True),
        ]
    return [*body, AVERAGE, Layer("linear", channels=classes)]


def plain(
    widths: Iterable[int],
    classes: int,
    readout: Readout = "average",
    pools: tuple[int, ...] = (),
) -> list[Layer]:
    """Conv-BN-ReLU blocks with max pools between, and a linear layer.

    Args:
        widths: channels of each block.
        classes: outputs of the last layer.
        readout: what the linear layer reads: the average over the last map, that map made coarser
            by 2x2 average pooling, or the map as it is.
        pools: after which blocks a pool stands; none: after a third and two thirds of them.
    """
    widths = list(widths)
    third = max(1, round(len(widths) / 3))
    pools = pools or (third, min(len(widths) - 1, 2 * third))
    return [*blocks_and_pools(widths, pools), *READ[readout], Layer("linear", channels=classes)]


@dataclass(frozen=True, slots=True)
class ZooNet:
    """A named net: how to make it, the input it is known with, and one line about it."""

    layers: Callable[[int], list[Layer]]
    input_shape: InputShape
    about: str


GRAY, COLOUR = (1, 28, 28), (3, 32, 32)
PYRAMID_WIDTHS, PYRAMID_POOLS = (32, 64, 64, 128, 128, 256, 256), (1, 3, 5)

ZOO: dict[str, ZooNet] = {
    "conv7": ZooNet(_conv7, GRAY, "the paper's net for Fashion-MNIST: 7 conv-BN-ReLU blocks"),
    "conv10": ZooNet(_conv10, COLOUR, "the paper's net for CIFAR and SVHN: 10 conv-BN-ReLU blocks"),
    "vgg11": ZooNet(
        _vgg((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)), COLOUR, "VGG-11 with batch norm"
    ),
    "vgg16": ZooNet(
        _vgg((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), COLOUR, "VGG-16 with batch norm"
    ),
    "resnet20": ZooNet(_resnet(20), COLOUR, "ResNet-20 with projection shortcuts"),
    "resnet56": ZooNet(_resnet(56), COLOUR, "ResNet-56 with projection shortcuts"),
    "lenet5": ZooNet(_lenet5, GRAY, "LeNet-5 with average pools"),
    "separable": ZooNet(_separable, COLOUR, "a small net of depthwise-separable convolutions"),
    "plain6": ZooNet(
        lambda classes: plain((16, 16, 32, 32, 64, 64), classes),
        GRAY,
        "6 conv-BN-ReLU blocks, two pools, global average pooling",
    ),
    "pyramid7": ZooNet(
        lambda classes: plain(PYRAMID_WIDTHS, classes, pools=PYRAMID_POOLS),
        COLOUR,
        "7 conv-BN-ReLU blocks, wide where maps are small: many parameters, few multiply-adds",
    ),
    "vgg7": ZooNet(
        lambda classes: plain((32, 64, 64, *(192,) * 4), classes, pools=(2, 4, 6)),
        COLOUR,
        "7 conv-BN-ReLU blocks, 192 wide: as many parameters as pyramid7, more multiply-adds",
    ),
    "tiny": ZooNet(lambda classes: plain((8, 16, 32), classes), GRAY, "3 blocks, for quick trials"),
}


def unknown_net(name: str) -> ArchitectureError:
    """Says what there is."""
    return ArchitectureError(f"no net is called {name!r}; known are {', '.join(ZOO)}")


def named(name: str, input_shape: InputShape | None = None, classes: int = 10) -> Architecture:
    """A net of the zoo.

    Args:
        name: a key of `ZOO`.
        input_shape: `(C, H, W)`; by default the one that the net is known with.
        classes: number of outputs.

    Raises:
        ArchitectureError: no such name, or the net does not fit the input shape.

    >>> named("conv10").parameters
    24368906
    """
    if name not in ZOO:
        raise unknown_net(name)
    net = ZOO[name]
    shape = input_shape or net.input_shape
    try:
        return Architecture(shape, tuple(net.layers(classes)))
    except ArchitectureError as error:
        size = format_shape(shape)
        raise ArchitectureError(f"{name} does not fit images of {size}: {error}") from None
