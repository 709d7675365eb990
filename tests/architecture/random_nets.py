"""Random nets of every kind of layer, joins and dead layers included."""

from collections.abc import Callable, Iterator
from random import Random

import pytest
import torch
from torch import Tensor, nn

from archpress.architecture import ACTIVATIONS, KINDS, Architecture, Layer
from archpress.architecture.kinds import output_shape
from archpress.architecture.layers import Joining
from archpress.architecture.shape_rules import RuleError

# Often without effect, so that there is much to simplify.
IDLE = (
    Layer("relu"),
    Layer("relu6"),
    Layer("sigmoid"),
    Layer("leaky_relu"),
    Layer("elu"),
    Layer("dropout", rate=0.0),
    Layer("max_pool", 1, stride=1),
    Layer("average_pool", 1, stride=1),
    Layer("max_pool", 2, stride=1, padding=1),
    Layer("average_pool", 2, stride=1, padding=1),
    Layer("batch_norm"),
    Layer("batch_norm"),
    Layer("global_average_pool"),
)


UNUSUAL = {
    "groups": [2, 3],
    "dilation": [2],
    "kernel_width": [1, 2, 3],
    "stride_width": [1, 2],
    "padding_width": [0, 1],
    "ceil_mode": [True],
    "count_include_pad": [False],
    "eps": [1e-3],
    "affine": [False],
    "negative_slope": [0.2],
    "alpha": [0.5],
    "approximate": ["tanh"],
    "begin": [1],
    "end": [2, 3],
    "beta": [0.75],
    "threshold": [10.0],
    "lambd": [0.2],
    "min_val": [-0.5],
    "max_val": [2.0],
    "per_channel": [True],
    "factor": [0.5, -2.0],
    "shift": [0.25],
    "above": [1, -1],
    "below": [1],
    "left": [2, -1],
    "right": [1],
    "mode": ["reflect", "replicate", "circular"],
    "height": [2, 3],
    "width": [2, 3],
    "times": [3],
    "bilinear": [True],
    "align_corners": [True],
    "size": [1, 3],
    "k": [2.0],
}


def _random_layer(random: Random) -> Layer:
    kind = random.choice([kind for kind in KINDS if kind != "frozen"])  # see test_frozen
    fields = KINDS[kind].fields
    some = [name for name in sorted(KINDS[kind].options) if random.random() < 0.3]
    chosen = ((name, random.choice(UNUSUAL[name])) for name in some)
    return Layer(
        kind,
        random.randint(1, 4) if "kernel" in fields else 0,
        random.randint(1, 6) if "channels" in fields else 0,
        random.randint(1, 3) if "stride" in fields else 0,
        random.randint(0, 2) if "padding" in fields else 0,
        bias_free="bias_free" in fields and random.random() < 0.4,
        rate=random.choice([0.0, 0.3]) if "rate" in fields else 0.0,
        options=tuple(chosen),
    )


def _random_net(random: Random, *, idle: float = 0.0, most_layers: int = 14) -> Architecture:
    """A valid net; `idle` is the share of layers that are drawn from `IDLE`."""
    image = (random.randint(1, 4), random.randint(1, 8), random.randint(1, 8))
    layers: list[Layer] = []
    shapes = {-1: image}
    for _ in range(random.randint(1, 2 * most_layers)):
        layer = random.choice(IDLE) if random.random() < idle else _random_layer(random)
        before = len(layers) - 1
        sources = [before if random.random() < 0.8 else random.randint(-1, before)]
        joining = KINDS[layer.kind].joining
        if joining is not Joining.NONE:
            fitting = [
                source
                for source, shape in shapes.items()
                if (shape == shapes[sources[0]])
                or (joining is Joining.CONCAT and shape[1:] == shapes[sources[0]][1:])
            ]
            sources += random.choices(fitting, k=random.randint(1, 2))
        try:
            shape = output_shape(layer, [shapes[source] for source in sources])
        except RuleError:
            continue
        index = len(layers)
        offsets = tuple(index - source for source in sources)
        layers.append(
            Layer(
                layer.kind,
                layer.kernel,
                layer.channels,
                layer.stride,
                layer.padding,
                offsets,
                layer.bias_free,
                layer.rate,
                layer.options,
            )
        )
        shapes[index] = shape
        if len(layers) == most_layers:
            break
    return Architecture(image, tuple(layers or [Layer(random.choice(ACTIVATIONS))]))


def _shake(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights and random statistics of batch norms, so that no two layers are alike."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(drawn(weight, -0.2, 0.2))
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                if part.affine:
                    part.weight.copy_(drawn(part.weight, 0.5, 1.5))
                part.running_mean.copy_(drawn(part.running_mean, -1, 1))
                part.running_var.copy_(drawn(part.running_var, 0.5, 2))
    return module


def _outputs(module: nn.Module, input_shape: tuple[int, int, int]) -> Tensor:
    """Of three random images, in evaluation."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        return module.eval()(torch.randn((3, *input_shape), generator=generator))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Nets here are so small that more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def random_net() -> Callable[..., Architecture]:
    return _random_net


@pytest.fixture(scope="session")
def shake() -> Callable[..., nn.Module]:
    return _shake


@pytest.fixture(scope="session")
def outputs() -> Callable[..., Tensor]:
    return _outputs
