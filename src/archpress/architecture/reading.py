"""What a network is read into: layers one by one, their names and weights. See `tracing`."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import output_shape
from archpress.architecture.layers import Layer
from archpress.architecture.network import build, layer_names
from archpress.architecture.shape_rules import RuleError
from archpress.architecture.traced_values import Step, Value, Weight
from archpress.errors import ArchitectureError

_WEIGHTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

SHARED = "runs twice with the same weights: give each place its own module"

Weights = tuple[tuple[str, Weight], ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """What a network was read as.

    Attributes:
        architecture: its layers; flatten and identity are not among them.
        names: for each layer, the path of the module it was read from (`layer1.0.conv1`), or for a
            function the path of the module that calls it and the name of the call (`layer1.0.add`).
        weights: for each layer, those that forward uses by themselves; none where a module holds
            them under the layer's name.
    """

    architecture: Architecture
    names: tuple[str, ...]
    weights: tuple[Weights, ...] = field(default=(), compare=False, repr=False)


class Layers:
    """Layers in the order in which they are read."""

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        self.input_shape = input_shape
        self._steps: list[Step] = []
        self._layers: list[Layer] = []
        self._names: list[str] = []

    def taken(self, result: object, name: str) -> object:
        """What an operation gives, each step of it added under its own name or this one."""
        if isinstance(result, list):
            return [self.taken(one, name) for one in result]
        return self._add(result, result.path or name) if isinstance(result, Step) else result

    def _add(self, step: Step, name: str) -> Value:
        index, first = len(self._layers), step.reads[0]
        layer = replace(step.layer, inputs=tuple(index - value.index for value in step.reads))
        shape = output_shape(layer, [value.shape for value in step.reads])
        self._layers.append(layer)
        self._steps.append(step)
        self._names.append(name)
        if step.flat is None:
            return replace(first.given(index, shape), made=step)
        return Value(index, shape, step.flat and len(shape) == 3, made=step)

    def finished(self, output: Value) -> Traced:
        """All that the output depends on: an activation may have taken the place of its parts."""
        kept = sorted(self._needed(output.index))
        place = {old: new for new, old in enumerate(kept)}
        place[-1] = -1
        layers = []
        for new, old in enumerate(kept):
            reads = (place[value.index] for value in self._steps[old].reads)
            layers.append(replace(self._layers[old], inputs=tuple(new - read for read in reads)))
        return Traced(
            Architecture(self.input_shape, tuple(layers)),
            tuple(self._names[old] for old in kept),
            tuple(self._steps[old].weights for old in kept),
        )

    def _needed(self, last: int) -> set[int]:
        needed = {last}
        for index in range(last, -1, -1):
            if index in needed:
                needed.update(value.index for value in self._steps[index].reads)
        return needed - {-1}


def checked_output(value: object) -> Value:
    """What a network returns, which is one tensor as images lie.

    Raises:
        RuleError: it is anything else.
    """
    if not isinstance(value, Value):
        raise RuleError("is not one tensor: wrap it in a module that returns the logits alone")
    if value.channels_last or value.groups or value.pixel:
        raise RuleError("is turned or in groups: give it back as B x C x H x W, or flattened")
    if value.index < 0:
        raise RuleError("is the input as it came: there is nothing to compress")
    return value


def check_not_shared(traced: Traced, what: str, least_axes: int = 0) -> None:
    """Refuse weights that two layers read; a network has them for each.

    Args:
        traced: with the weights that were given.
        what: a layer was read from, as error messages call it.
        least_axes: weights of fewer may be shared.

    Raises:
        ArchitectureError: two layers read the same; has the name of the second.
    """
    seen = set()
    for name, weights in zip(traced.names, traced.weights, strict=True):
        for key, weight in weights:
            holder = (weight.path, weight.value.data_ptr())
            if key != "weight" or not weight.path or len(weight.shape) < least_axes:
                continue
            if holder in seen:
                raise ArchitectureError(f"{what} {name} {SHARED}")
            seen.add(holder)


def weights_of(module: nn.Module | None, traced: Traced) -> dict[str, Tensor]:
    """The state dict for `build(traced.architecture)`, copied from what was traced.

    Args:
        module: what was traced; None where the source is no module.
        traced: of it.
    """
    weights = {}
    given = traced.weights or ((),) * len(traced.names)
    for index, layer_name in enumerate(layer_names(traced.architecture)):
        kind = traced.architecture.layers[index].kind
        found = {name: weight.value for name, weight in given[index]}
        if traced.architecture.layer_parameters[index] or kind == "batch_norm":
            if not found and module is not None:
                found = _weights_at(module, traced.names[index])
            for key, value in found.items():
                weights[f"{layer_name}.{key}"] = value.detach().clone()
    return _reshaped(weights, traced.architecture)


def _weights_at(module: nn.Module, path: str) -> dict[str, Tensor]:
    """Of a submodule."""
    found = module.get_submodule(path)
    tensors = {key: getattr(found, key, None) for key in _WEIGHTS}
    return {key: value for key, value in tensors.items() if value is not None}


def _reshaped(weights: dict[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """In the shapes of the layers: a linear layer at each pixel is a 1x1 convolution."""
    with torch.device("meta"):
        blank = build(architecture).state_dict()
    reshaped = {
        name: value.reshape(blank[name].shape)
        if name in blank and blank[name].numel() == value.numel()
        else value
        for name, value in weights.items()
    }
    for name, value in blank.items():
        if name.endswith(
            "num_batches_tracked"
        ):  # where forward uses a norm's weights by themselves
            reshaped.setdefault(name, torch.zeros((), dtype=value.dtype))
    return reshaped


def outputs_of(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Outputs, `B x K`, of a copy in evaluation and float32; forward may change its images."""

    def outputs(images: Tensor) -> Tensor:
        alone = copy.deepcopy(module).cpu().float().eval()
        with torch.no_grad():
            result: Tensor = alone(images.clone())
        return result.flatten(1)

    return outputs


def in_batches(
    outputs: Callable[[Tensor], Tensor], batch: int | None
) -> Callable[[Tensor], Tensor]:
    """Outputs for any number of images, of what takes just one number of them at once.

    Args:
        outputs: of `B x C x H x W`, `B x K`.
        batch: that number; None where any will do.
    """
    if batch is None:
        return outputs

    def in_parts(images: Tensor) -> Tensor:
        parts = []
        for begin in range(0, len(images), batch):
            part = images[begin : begin + batch]
            filled = part[torch.arange(batch) % len(part)]
            parts.append(outputs(filled)[: len(part)])
        return torch.cat(parts)

    return in_parts
