"""From an `nn.Module` to an `Architecture`, by torch.fx, and its weights carried over.

What is understood stands in the tables of `operations`; this walks over the graph of forward.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from archpress.architecture.architecture import Architecture
from archpress.architecture.kinds import output_shape
from archpress.architecture.layers import Layer
from archpress.architecture.network import Network, build, layer_names, load_weights
from archpress.architecture.operations import FUNCTIONS, MODULES, WRAPPED
from archpress.architecture.shape_rules import RuleError, Shape
from archpress.architecture.traced_values import Step, Value, Weight
from archpress.errors import ArchitectureError

_WEIGHTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_TOLERANCE = 1e-4  # of the largest output; float32 sums in another order differ by about 1e-6


@dataclass(frozen=True, slots=True)
class Traced:
    """What a module was read as.

    Attributes:
        architecture: its layers; flatten and identity are not among them.
        names: for each layer, the path of the module it was read from (`layer1.0.conv1`), or for a
            function the path of the module that calls it and the name of the call (`layer1.0.add`).
    """

    architecture: Architecture
    names: tuple[str, ...]


def trace(module: nn.Module, input_shape: tuple[int, int, int]) -> Traced:
    """The architecture of a module; the values of its weights do not matter.

    Args:
        module: one tensor of images in, one tensor out, by the operations in `operations`.
        input_shape: `(C, H, W)` of one image.

    Raises:
        ArchitectureError: something in the module has no layer; the message has its path, what it
            is, and the way round.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    >>> traced = trace(net, (3, 8, 8))
    >>> [layer.kind for layer in traced.architecture.layers], traced.names
    (['conv', 'relu', 'linear'], ('0', '1', '3'))
    """
    training = {part: part.training for part in module.modules()}
    module.eval()  # what differs in training, such as a path that is dropped, is no layer
    try:
        graph = _Tracer().trace(module)
    except Exception as error:  # forward is the caller's code and may raise anything
        raise ArchitectureError(
            f"cannot follow the forward of {type(module).__name__} ({error}): it must not branch "
            f"on values of tensors, so keep such code outside the module that is traced"
        ) from error
    finally:
        for part, was_training in training.items():
            part.training = was_training
    reader = _Reader(module, input_shape)
    for node in _needed(graph):
        reader.read(node)
    return Traced(Architecture(input_shape, tuple(reader.layers)), tuple(reader.names))


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in MODULES or super().is_leaf_module(m, module_qualified_name)


def _needed(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that the output depends on, in order; forward may compute more."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in needed:
            needed.update((node, *node.all_input_nodes))
    return [node for node in graph.nodes if node in needed]


class _Reader:
    """Reads a graph node by node into `layers` and `names`."""

    def __init__(self, module: nn.Module, input_shape: Shape) -> None:
        self.module = module
        self.input_shape = input_shape
        self.layers: list[Layer] = []
        self.names: list[str] = []
        self.values: dict[fx.Node, object] = {}
        self.with_weights: set[nn.Module] = set()

    def read(self, node: fx.Node) -> None:
        """Take one node of the graph, after all that it reads."""
        try:
            self.values[node] = self._value(node)
        except RuleError as error:
            raise ArchitectureError(f"{self._place(node)} {error}") from None
        except Exception as error:  # from the entry of a table, called as forward calls it
            raise ArchitectureError(
                f"{self._place(node)} has arguments that no layer has ({error}): leave them out"
            ) from None

    def _value(self, node: fx.Node) -> object:
        read: Any = self.values.__getitem__
        arguments: Any = fx.node.map_arg(node.args, read)
        options: Any = fx.node.map_arg(node.kwargs, read)
        match node.op:
            case "placeholder":
                if self.values:
                    raise RuleError("is a second input: wrap it in a module that reads images only")
                return Value(-1, self.input_shape)
            case "get_attr":
                return self._weight(str(node.target))
            case "output":
                return _checked_output(arguments[0])
            case "call_module":
                module = self.module.get_submodule(str(node.target))
                self._check_not_shared(module)
                handler = MODULES.get(type(module))
                arguments = (module, *arguments)
            case "call_function" if _is_plain(arguments) and _is_plain(options):
                return node.target(*arguments, **options)  # type: ignore[operator]
            case _:
                name = getattr(node.target, "__name__", "")
                handler = FUNCTIONS.get(node.target) or WRAPPED.get(name)
        if handler is None:
            known = ", ".join(sorted(kind.__name__ for kind in MODULES))
            raise RuleError(f"has no layer kind: write it with {known}, add and cat")
        result = handler(*arguments, **options)
        if isinstance(result, list):
            return [self._taken(one, node) for one in result]
        return self._taken(result, node)

    def _taken(self, result: object, node: fx.Node) -> object:
        if not isinstance(result, Step):
            return result
        return self._add(result, result.path or _path(node))

    def _weight(self, path: str) -> Weight:
        found: object = self.module
        for part in path.split("."):
            found = getattr(found, part)
        if not isinstance(found, Tensor):
            raise RuleError(f"is a {type(found).__name__}, of which no layer knows")
        return Weight(path, tuple(found.shape))

    def _add(self, step: Step, name: str) -> Value:
        index, first = len(self.layers), step.reads[0]
        layer = replace(step.layer, inputs=tuple(index - value.index for value in step.reads))
        shape = output_shape(layer, [value.shape for value in step.reads])
        self.layers.append(layer)
        self.names.append(name)
        if step.flat is None:
            return first.given(index, shape)
        return Value(index, shape, step.flat and len(shape) == 3)

    def _check_not_shared(self, module: nn.Module) -> None:
        if module in self.with_weights:
            raise RuleError("runs twice with the same weights: give each place its own module")
        if next(module.parameters(), None) is not None:
            self.with_weights.add(module)

    def _place(self, node: fx.Node) -> str:
        """How error messages name a node."""
        match node.op:
            case "call_module":
                return f"module {node.target} ({self.module.get_submodule(str(node.target))})"
            case "placeholder" | "get_attr":
                return f"tensor {node.target}"
            case "output":
                return f"what {type(self.module).__name__} returns"
        return f"operation {_path(node)} ({getattr(node.target, '__name__', node.target)})"


def _is_plain(arguments: object) -> bool:
    """Whether there are numbers alone, with which forward works out sizes."""
    match arguments:
        case dict():
            return all(map(_is_plain, arguments.values()))
        case tuple() | list():
            return all(map(_is_plain, arguments))
    return isinstance(arguments, int | float) or arguments is None


def _checked_output(value: object) -> Value:
    if not isinstance(value, Value):
        raise RuleError("is not one tensor: wrap it in a module that returns the logits alone")
    if value.channels_last or value.groups or value.pixel:
        raise RuleError("is turned or in groups: give it back as B x C x H x W, or flattened")
    if value.index < 0:
        raise RuleError("is the input as it came: there is nothing to compress")
    return value


def _path(node: fx.Node) -> str:
    """The path of a module, or of a call in the module that makes it."""
    if node.op == "call_module":
        return str(node.target)
    owner = next(reversed(node.meta.get("nn_module_stack") or {"": None}))
    return f"{owner}.{node.name}" if owner else node.name


def weights_of(module: nn.Module, traced: Traced) -> dict[str, Tensor]:
    """The state dict for `build(traced.architecture)`, copied from the module that was traced."""
    weights = {}
    for index, layer_name in enumerate(layer_names(traced.architecture)):
        kind = traced.architecture.layers[index].kind
        if traced.architecture.layer_parameters[index] or kind == "batch_norm":
            for key, value in _weights_at(module, traced.names[index]).items():
                weights[f"{layer_name}.{key}"] = value.detach().clone()
    return _reshaped(weights, traced.architecture)


def _weights_at(module: nn.Module, path: str) -> dict[str, Tensor]:
    """Of a submodule, or a single tensor, which is the layer's weight."""
    owner, _, name = path.rpartition(".")
    found: object = getattr(module.get_submodule(owner), name) if path else module
    if isinstance(found, Tensor):
        return {"weight": found}
    tensors = {key: getattr(found, key, None) for key in _WEIGHTS}
    return {key: value for key, value in tensors.items() if value is not None}


def _reshaped(weights: dict[str, Tensor], architecture: Architecture) -> dict[str, Tensor]:
    """In the shapes of the layers: a linear layer at each pixel is a 1x1 convolution."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in build(architecture).state_dict().items()}
    return {
        name: value.reshape(shapes[name])
        if name in shapes and shapes[name].numel() == value.numel()
        else value
        for name, value in weights.items()
    }


def carry_into(network: Network, module: nn.Module, traced: Traced) -> Network:
    """The network of the traced architecture with the module's weights, checked to agree.

    Args:
        network: of `traced.architecture`; changed in place and returned.
        module: what was traced; stays as it is.
        traced: by `trace(module, ...)`.

    Raises:
        ArchitectureError: weights do not fit, or in evaluation the two give different outputs for
            random images, which means that forward does what torch.fx does not see.
    """
    load_traced(network, module, traced)
    found = agreement(network, module)
    if not found.is_close:
        raise ArchitectureError(
            f"the traced network and the {type(module).__name__} differ by {found.difference:.3g} "
            f"in outputs of up to {found.largest:.3g}: look for hooks and for in-place operations "
            f"on a tensor that is read again, and write them as plain layers"
        )
    return network


def load_traced(network: Network, module: nn.Module, traced: Traced) -> Network:
    """The network with the module's weights, not checked.

    Raises:
        ArchitectureError: weights do not fit.
    """
    load_weights(network, weights_of(module, traced), where=f"the {type(module).__name__}")
    return network


@dataclass(frozen=True, slots=True)
class Agreement:
    """Outputs of two networks for the same random images, in evaluation.

    Attributes:
        difference: largest absolute one.
        largest: absolute output.
    """

    difference: float
    largest: float

    @property
    def is_close(self) -> bool:
        """Whether they are the same but for rounding."""
        return self.difference <= _TOLERANCE * self.largest + 1e-6


def agreement(network: Network, module: nn.Module) -> Agreement:
    """How far a network is from a module, on two images of normal noise."""
    ours, theirs = copy.deepcopy(network).cpu().eval(), copy.deepcopy(module).cpu().float().eval()
    rng = torch.Generator().manual_seed(0)
    images = torch.randn((2, *network.architecture.input_shape), generator=rng)
    with torch.no_grad():
        expected, got = theirs(images.clone()).flatten(1), ours(images)
    return Agreement(float((got - expected).abs().max()), float(expected.abs().max()))
