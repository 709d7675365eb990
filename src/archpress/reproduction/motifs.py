"""What nets are made of: layers that do nothing, batch norm first; and the net of section 10."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from archpress.architecture import Architecture, Layer, simplify
from archpress.architecture.zoo import conv_block


@dataclass(frozen=True, slots=True)
class Motifs:
    """What decoded nets, or samples, are made of; means of no nets are None.

    Attributes:
        nets: distinct valid ones.
        steps: of the descents that they were decoded from; for samples their number.
        layers: mean number.
        idle: mean share of layers that do nothing.
        norms_and_relus: mean share of batch norms and ReLUs.
        norm_first: share of nets with batch norm before the first convolution.
    """

    nets: int
    steps: int
    layers: float | None
    idle: float | None
    norms_and_relus: float | None
    norm_first: float | None


def motifs_of(nets: Sequence[Architecture], steps: int) -> Motifs:
    """What these nets are made of, each counted once.

    Args:
        nets: valid ones.
        steps: that they come from.
    """
    unique = list(dict.fromkeys(nets))

    def mean(value: Callable[[Architecture], float]) -> float | None:
        return fmean(map(value, unique)) if unique else None

    return Motifs(
        len(unique),
        steps,
        mean(lambda net: len(net.layers)),
        mean(lambda net: 1 - len(simplify(net).layers) / len(net.layers)),
        mean(lambda net: fmean(layer.kind in ("batch_norm", "relu") for layer in net.layers)),
        mean(_begins_with_norm),
    )


def _begins_with_norm(net: Architecture) -> float:
    kinds = [layer.kind for layer in net.layers]
    first = kinds.index("conv") if "conv" in kinds else len(kinds)
    return float("batch_norm" in kinds[:first])


def appendix_net(input_shape: tuple[int, int, int], classes: int) -> Architecture:
    """The VGG-like net of section 10, without the pools that smaller images have no room for."""
    layers: list[Layer] = []
    side = min(input_shape[1:])
    for width, blocks in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 2)):
        layers += [layer for _ in range(blocks) for layer in conv_block(width)]
        if side >= 2:
            layers.append(Layer("max_pool", kernel=2, stride=2))
            side //= 2
    for _ in range(2):
        layers += [
            Layer("linear", channels=4096),
            Layer("relu"),
            Layer("dropout", rate=0.5),
        ]
    return Architecture(input_shape, (*layers, Layer("linear", channels=classes)))
