"""From an `Architecture` to a `torch.nn.Module` with fresh weights, and weights carried over."""

from collections import Counter
from typing import TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archpress.architecture.architecture import Architecture
from archpress.architecture.frozen import Frozen
from archpress.architecture.kinds import KINDS
from archpress.architecture.layers import Joining, ModuleCall
from archpress.architecture.simplify import Simplification
from archpress.errors import ArchitectureError


def layer_names(architecture: Architecture) -> tuple[str, ...]:
    """A name for each layer, by kind and number: `conv1`, `batch_norm1`, `relu1`, `conv2`, ...

    They are the names of the built network's modules and so of its weights (`conv1.weight`), and
    the names in the exported source.
    """
    seen: Counter[str] = Counter()
    names = []
    for layer in architecture.layers:
        seen[layer.kind] += 1
        names.append(f"{layer.kind}{seen[layer.kind]}")
    return tuple(names)


def module_call(architecture: Architecture, index: int) -> ModuleCall | None:
    """The `torch.nn` module of layer `index`; None where forward computes it, as joins."""
    layer = architecture.layers[index]
    return KINDS[layer.kind].module(layer, architecture.input_shapes(index)[0])


def module_of(call: ModuleCall) -> nn.Module:
    """The module that a call gives, its weights fresh."""
    if call.name == "Frozen":
        return Frozen(*call.arguments)
    if call.name == "ParameterDict":
        return nn.ParameterDict(
            {name: torch.full(shape, value) for name, shape, value in call.arguments}
        )
    module: nn.Module = getattr(nn, call.name)(*call.arguments, **dict(call.options))
    return module


class Network(nn.Module):
    """The network of an architecture, its layers run in order.

    Weights start at PyTorch's defaults, drawn from torch's global generator: seed it where a
    network must be reproducible (`evaluation.training` does).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self._names = layer_names(architecture)
        self._last_reader = _last_readers(architecture)
        for index, name in enumerate(self._names):
            call = module_call(architecture, index)
            if call is not None:
                self.add_module(name, module_of(call))

    def forward(self, images: Tensor) -> Tensor:
        """Logits.

        Args:
            images: `B x C x H x W`, float32, normalised as in training.

        Returns:
            `B x K`.
        """
        outputs = {-1: images}
        for index, name in enumerate(self._names):
            sources = self.architecture.input_indices(index)
            outputs[index] = self._run(index, name, [outputs[source] for source in sources])
            for source in set(sources):
                if self._last_reader[source] == index:
                    del outputs[source]
        return outputs[len(self._names) - 1].flatten(1)

    def _run(self, index: int, name: str, inputs: list[Tensor]) -> Tensor:
        layer = self.architecture.layers[index]
        match KINDS[layer.kind].joining:
            case Joining.ADD:
                total = inputs[0] + inputs[1]
                for extra in inputs[2:]:
                    total = total + extra
                return total
            case Joining.MULTIPLY:
                product = inputs[0]
                shapes = self.architecture.input_shapes(index)
                for extra, shape in zip(inputs[1:], shapes[1:], strict=True):
                    is_vector = len(shape) < len(shapes[0])  # one value a channel
                    product = product * (extra[:, :, None, None] if is_vector else extra)
                return product
            case Joining.CONCAT:
                return torch.cat(inputs, dim=1)
        return self._run_alone(index, name, inputs[0])

    def _run_alone(self, index: int, name: str, value: Tensor) -> Tensor:
        layer, is_map = self.architecture.layers[index], len(self.architecture.shapes[index]) == 3
        match layer.kind:
            case "slice":
                return value[:, int(layer.option("begin")) : int(layer.option("end"))]
            case "scale":
                return value * float(layer.option("factor")) + float(layer.option("shift"))
            case "pad_channels":
                begin = int(layer.option("begin"))
                after = layer.channels - begin - value.shape[1]
                return F.pad(value, (0, 0, 0, 0, begin, after) if is_map else (begin, after))
            case "channel_mean":
                return value.mean(1, keepdim=True)
            case "channel_max":
                return value.amax(1, keepdim=True)
        module = self.get_submodule(name)
        result: Tensor
        match layer.kind:
            case "conv" | "depthwise" if self.training and _is_mistrained(module):
                result = _thinned_first(module, value)
            case "gain":
                result = value * cast("Tensor", module.weight)
            case "offset":
                result = value + cast("Tensor", module.bias)
            case "channel_conv":  # B x C -> B x 1 x C and back
                row = module(value.flatten(1).unsqueeze(1)).squeeze(1)
                result = row[:, :, None, None] if is_map else row
            case "layer_norm" if is_map:  # over the channels of each pixel
                result = module(value.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            case "linear":
                result = module(value.flatten(1))
            case _:
                result = module(value)
        return result


# oneDNN on CPUs with AVX2 writes past the end of a buffer in the backward pass of strided 1x1
# convolutions of fewer channels, be they depthwise, channels last (torch 2.13).
MISTRAINED_BELOW = 8


def _is_mistrained(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.in_channels < MISTRAINED_BELOW
    )


def _thinned_first(conv: nn.Conv2d, value: Tensor) -> Tensor:
    """A 1x1 convolution of the pixels that its strides meet: the same, without strides."""
    (down, across), (high, wide) = conv.stride, cast("tuple[int, int]", conv.padding)
    met = F.pad(value, (wide, wide, high, high))[:, :, ::down, ::across]
    return F.conv2d(met, conv.weight, conv.bias, groups=conv.groups)


def _last_readers(architecture: Architecture) -> dict[int, int]:
    return {
        source: index
        for index in range(len(architecture.layers))
        for source in architecture.input_indices(index)
    }


def build(architecture: Architecture) -> Network:
    """A network with fresh weights.

    >>> from archpress.architecture.zoo import named
    >>> sum(weight.numel() for weight in build(named("conv7")).parameters())
    708458
    """
    return Network(architecture)


def carry_weights(network: Network, simplification: Simplification) -> Network:
    """The simplified network with the weights of the original: equal outputs in evaluation.

    Args:
        network: of the architecture that was simplified.
        simplification: of `network.architecture`, by `trace_simplification`.
    """
    names = layer_names(network.architecture)
    modules: dict[int, dict[str, Tensor]] = {}
    for index in {*simplification.kept, *(i for pair in simplification.folded for i in pair)}:
        if module_call(network.architecture, index) is not None:
            module = network.get_submodule(names[index])
            modules[index] = {key: value.clone() for key, value in module.state_dict().items()}
    for removed, into in simplification.folded:
        _fold_batch_norm(modules[into], modules[removed])
    result = build(simplification.architecture)
    for name, old in zip(
        layer_names(simplification.architecture), simplification.kept, strict=True
    ):
        if old in modules:
            result.get_submodule(name).load_state_dict(modules[old])
    return result.train(network.training)


def _fold_batch_norm(
    first: dict[str, Tensor], second: dict[str, Tensor], eps: float = 1e-5
) -> None:
    """Fold y -> second(y) into `first`: both are affine in evaluation, so one is enough."""
    scale = second["weight"] / torch.sqrt(second["running_var"] + eps)
    first["bias"] = (first["bias"] - second["running_mean"]) * scale + second["bias"]
    first["weight"] = first["weight"] * scale


def load_weights(network: nn.Module, weights: dict[str, Tensor], *, where: str) -> None:
    """Load weights by name.

    Raises:
        ArchitectureError: a name or a shape does not fit; says which and where it came from.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        problem = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise ArchitectureError(f"weights in {where} do not fit the network: {problem}") from None
