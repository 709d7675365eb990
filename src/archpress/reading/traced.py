"""What a network is read into: layers one by one, their names and weights. See `tracing`."""

import copy
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import output_shape
from archpress.architecture.layers import Layer
from archpress.architecture.network import build, layer_names
from archpress.architecture.shape_rules import RuleError, format_shape
from archpress.errors import ArchitectureError, told
from archpress.reading.pointwise import as_step
from archpress.reading.traced_values import Pointwise, Reshaped, Step, Value, Weight

_WEIGHTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

SHARED = "runs twice with the same weights: give each place its own module"

_PARAMETERS = ("gain", "offset")  # kinds that are one tensor of weights

Weights = tuple[tuple[str, Weight], ...]


class NotReadError(ArchitectureError):
    """Something in a module has no layer.

    Attributes:
        path: of the innermost module that it is in; empty for the whole.
    """

    def __init__(self, text: str, path: str = "") -> None:
        super().__init__(text)
        self.path = path


@dataclass(frozen=True, slots=True)
class FrozenPart:
    """A submodule that stays as it is, as one layer.

    Attributes:
        path: of it, and the name of its layer.
        module: its class.
        parameters: number of its weights.
        reason: what in it has no layer, as a sentence.
    """

    path: str
    module: str
    parameters: int
    reason: str


@dataclass(frozen=True, slots=True)
class Traced:
    """What a network was read as.

    Attributes:
        architecture: its layers; flatten and identity are not among them.
        names: for each layer, the path of the module it was read from (`layer1.0.conv1`), or for a
            function the path of the module that calls it and the name of the call (`layer1.0.add`).
        weights: for each layer, those that forward uses by themselves; none where a module holds
            them under the layer's name.
        frozen: submodules that stay as they are, in the order of their layers.
    """

    architecture: Architecture
    names: tuple[str, ...]
    weights: tuple[Weights, ...] = field(default=(), compare=False, repr=False)
    frozen: tuple[FrozenPart, ...] = ()


class Layers:
    """Layers in the order in which they are read."""

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        self.input_shape = input_shape
        self._steps: list[Step] = []
        self._layers: list[Layer] = []
        self._names: list[str] = []
        self._given: dict[int, tuple[Pointwise, Value]] = {}  # the function, so that its id stays
        self._learned: dict[tuple[object, ...], Value] = {}

    def taken(self, result: object, name: str) -> object:
        """What an operation gives, each step of it added under its own name or this one."""
        match result:
            case list():
                return [self.taken(one, name) for one in result]
            case Reshaped(x=Step() as step):
                return replace(result, x=self._add(step, step.path or name))
            case Step():
                return self._add(result, result.path or name)
        return result

    def as_layers(self, value: object, name: str) -> object:
        """The same with layers in place of functions, wherever they are in these arguments.

        Args:
            value: arguments of an operation.
            name: of layers that are added for them.

        Raises:
            RuleError: a function is of no layers.
        """
        match value:
            case Pointwise():
                return self._given_by(value, name)
            case dict():
                return {key: self.as_layers(one, name) for key, one in value.items()}
            case list() | tuple():
                found = [self.as_layers(one, name) for one in value]
                return tuple(found) if isinstance(value, tuple) else found
        return value

    def as_vectors(self, value: object, name: str) -> object:
        """The same with maps that are flattened as vectors, of which each value is a channel.

        Raises:
            RuleError: one was turned before it was flattened.
        """
        match value:
            case Value(flat=True) if not value.is_vector:
                if value.channels_last:
                    raise RuleError(
                        "reads a map that was turned to B x H x W x C and flattened: only a linear "
                        "layer reads that, so turn it back before"
                    )
                return self.taken(Step(Layer("flatten"), (value,), flat=False), name)
            case tuple():
                return tuple(self.as_vectors(one, name) for one in value)
        return value

    def _given_by(self, function: Pointwise, name: str) -> Value:
        if id(function) not in self._given:
            value = self._read(as_step(function), name)
            self._given[id(function)] = (function, value)
        return self._given[id(function)][1]

    def _read(self, value: Value | Pointwise | Step, name: str) -> Value:
        match value:
            case Step():
                return self._add(value, name)
            case Pointwise():
                return self._given_by(value, name)
        return value

    def _add(self, step: Step, name: str) -> Value:
        reads = tuple(self._read(one, name) for one in step.reads)
        step = replace(step, reads=reads)
        place = None
        if step.layer.kind in _PARAMETERS and step.weights[0][1].path:
            weight = step.weights[0][1]
            place = (step.layer.kind, reads[0].index, weight.path, *weight.value.flatten().tolist())
            if place in self._learned:  # written twice, as a bias that two branches read
                return self._learned[place]
        index, first = len(self._layers), reads[0]
        layer = replace(step.layer, inputs=tuple(index - value.index for value in reads))
        shape = output_shape(layer, [value.shape for value in reads])
        self._layers.append(layer)
        self._steps.append(step)
        self._names.append(name)
        if step.flat is None:
            result = replace(first.given(index, shape), made=step)
        else:
            result = Value(index, shape, step.flat and len(shape) == 3, made=step)
        if place is not None:
            self._learned[place] = result
        return result

    def finished(self, output: Value) -> Traced:
        """All that the output depends on: an activation may have taken the place of its parts."""
        kept = sorted(self._needed(output.index))
        place = {old: new for new, old in enumerate(kept)}
        place[-1] = -1
        layers = []
        for new, old in enumerate(kept):
            reads = (place[index] for index in self._read_by(old))
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
                needed.update(self._read_by(index))
        return needed - {-1}

    def _read_by(self, index: int) -> list[int]:
        return [one.index for one in self._steps[index].reads if isinstance(one, Value)]


def checked_output(value: object) -> Value:
    """What a network returns, which is one tensor as images lie.

    Raises:
        RuleError: it is anything else.
    """
    if isinstance(value, Reshaped):
        sizes = " x ".join(map(str, value.sizes))
        raise RuleError(f"is a map as {sizes}: give it back as B x C x H x W, or flattened")
    if not isinstance(value, Value):
        raise RuleError("is not one tensor: wrap it in a module that returns the logits alone")
    if value.channels_last or value.groups or value.pixel or value.row:
        raise RuleError("is turned or in groups: give it back as B x C x H x W, or flattened")
    if value.index < 0:
        raise RuleError("is the input as it came: there is nothing to compress")
    return value


def check_not_shared(
    traced: Traced, what: str, least_axes: int = 0, called: Collection[str] = ()
) -> None:
    """Refuse weights that two layers read; a network has them for each.

    Args:
        traced: with the weights that were given.
        what: a layer was read from, as error messages call it.
        least_axes: weights of fewer may be shared.
        called: names of weights that modules have which forward calls.

    Raises:
        NotReadError: two layers read the same; has the name of the second.
    """
    seen: dict[str, list[Tensor]] = {}  # by name; those that were worked out differ in values
    layers = traced.architecture.layers
    for layer, name, weights in zip(layers, traced.names, traced.weights, strict=True):
        for key, weight in weights:
            is_parameter = layer.kind in _PARAMETERS
            is_whole = layer.kind == "frozen" and weight.learned
            if (
                not (is_parameter or is_whole or (key == "weight" and layer.kind != "frozen"))
                or not weight.path
                or len(weight.shape) < least_axes
            ):
                continue
            before = seen.setdefault(weight.path, [])
            is_again = any(is_parameter or torch.equal(one, weight.value) for one in before)
            if is_again or weight.path in called:
                where = weight.path.rpartition(".")[0]
                if is_parameter:
                    text = f"the weights {weight.path} are read twice: give each place its own"
                    raise NotReadError(text, where)
                raise NotReadError(f"{what} {name} {SHARED}", where)
            before.append(weight.value)


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
        has_tensors = traced.architecture.layer_parameters[index] or kind == "batch_norm"
        if has_tensors or kind == "frozen":
            if not found and module is not None and kind != "frozen":
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
    """Outputs, `B x K`, of a copy in evaluation and float32; forward may change its images.

    Those raise ArchitectureError where forward fails.
    """

    def outputs(images: Tensor) -> Tensor:
        try:
            with torch.no_grad(), evaluating(module):
                return as_rows(evaluation_copy(module)(images.clone()))
        except Exception as error:  # forward is the caller's code and may raise anything
            raise ArchitectureError(
                f"the forward of {type(module).__name__} fails for images of "
                f"{format_shape(images.shape[1:])} ({told(error)})"
            ) from None

    return outputs


def as_rows(output: object) -> Tensor:
    """What a network gives, `B x K`; also where it stands alone in a list or a dict.

    Raises:
        TypeError: it is not one tensor.
    """
    found = _only_tensor(output)
    return found.reshape(len(found), -1)


def _only_tensor(value: object) -> Tensor:
    match value:
        case [one]:
            return _only_tensor(one)
        case dict() if len(value) == 1:
            return _only_tensor(next(iter(value.values())))
        case Tensor():
            return value
    raise TypeError(f"it returns a {type(value).__name__}, not one tensor")


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """What differs in training, such as a path that is dropped, is no layer."""
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with redirect_stdout(sys.stderr):  # forward may print
            yield
    finally:
        for part, was_training in training.items():
            part.training = was_training


def evaluation_copy(module: nn.Module) -> nn.Module:
    """In float32, on the CPU; the module itself, in evaluation, where it cannot be copied."""
    try:
        return copy.deepcopy(module).cpu().float().eval()
    except Exception:  # of weights that are worked out before each pass, of locks, of open files
        return module.eval()


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
