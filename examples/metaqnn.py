"""MetaQNN's published chains (Baker et al. 2017) as architectures, with their learning curves.

A net is written as a list such as `[C(64,3,1), D(1,2), P(2,2), GAP(10), SM(10)]`: convolutions of
C(channels, kernel, stride) and ReLU, dropout D, max pools P(kernel, stride) whose last
window may reach over the edge, fully connected FC with ReLU, GAP (a 1x1 convolution to the classes,
averaged), and SM, the linear layer to the classes. The file's own `num_params` counts otherwise;
`Architecture.parameters` is exact.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from archpress.architecture import Architecture, Layer, chain
from archpress.evaluation import TableEvaluator

IMAGE = (3, 32, 32)
WORD = re.compile(r"(\w+)\(([\d,]+)\)")


@dataclass(frozen=True)
class Chains:
    """Nets and their validation accuracies.

    Attributes:
        nets: one a line of the file.
        curves: accuracy after each of 20 epochs, a fraction, one tuple a net.
    """

    nets: list[Architecture]
    curves: list[tuple[float, ...]]

    @property
    def evaluator(self) -> TableEvaluator[Architecture]:
        """Looks final accuracies up in the place of training."""
        pairs = zip(self.nets, self.curves, strict=True)
        return TableEvaluator({n.key: {"accuracy": c[-1]} for n, c in pairs}, name="metaqnn")


def read_chains(path: Path) -> Chains:
    """Read `metaqnn_cifar10.csv` or `metaqnn_svhn.csv`."""
    nets, curves = [], []
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            nets.append(parse(line["net"]))
            curves.append(tuple(float(line[f"acc_{epoch}"]) for epoch in range(1, 21)))
    return Chains(nets, curves)


def parse(text: str) -> Architecture:
    """The architecture of a chain."""
    layers: list[Layer] = []
    side = IMAGE[1]
    for word, numbers in WORD.findall(text):
        values = [int(number) for number in numbers.split(",")]
        if word == "P":
            kernel, stride = values
            reaches_over = (side - kernel) % stride != 0
            side = -(-(side - kernel) // stride) + 1
            layers.append(Layer("max_pool", kernel, 0, stride, int(reaches_over)))
        else:
            layers += _layers(word, *values)
    return chain(IMAGE, *layers)


def _layers(word: str, *values: int) -> list[Layer]:
    match word:
        case "C":
            channels, kernel, stride = values
            return [Layer("conv", kernel, channels, stride, kernel // 2), Layer("relu")]
        case "D":
            return [Layer("dropout")]
        case "GAP":
            return [Layer("conv", 1, values[0], 1, 0), Layer("global_average_pool")]
        case "FC":
            return [Layer("linear", channels=values[0]), Layer("relu")]
        case "SM":
            return [Layer("linear", channels=values[0])]
    raise ValueError(f"unknown layer {word!r}")
