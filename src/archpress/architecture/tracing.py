"""From an `nn.Module` to an `Architecture`, by torch.fx, and its weights carried over.

What is understood stands in the tables of `operations`; this walks over the graph of forward.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from archpress.architecture.architecture import Architecture
from archpress.architecture.layers import Layer, RuleError, Shape, output_shape
from archpress.architecture.network import Network, layer_names, load_weights
from archpress.architecture.operations import FUNCTIONS, MODULES, Step, Value
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
    try:
        graph = _Tracer().trace(module)
    except Exception as error:  # forward is the caller's code and may raise anything
        raise ArchitectureError(
            f"cannot follow the forward of {type(module).__name__} ({error}): it must not branch "
            f"on values of tensors, so keep such code outside the module that is traced"
        ) from error
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
        except TypeError as error:  # from calling the entry of a table
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
                raise RuleError("is used directly: hold it in a layer such as Conv2d or Linear")
            case "output":
                return _checked_output(arguments[0])
            case "call_module":
                module = self.module.get_submodule(str(node.target))
                self._check_not_shared(module)
                handler = MODULES.get(type(module))
                arguments = (module, *arguments)
            case _:
                handler = FUNCTIONS.get(node.target)
        if handler is None:
            known = ", ".join(sorted(kind.__name__ for kind in MODULES))
            raise RuleError(f"has no layer kind: write it with {known}, add and cat")
        result = handler(*arguments, **options)
        return self._add(result, _path(node)) if isinstance(result, Step) else result

    def _add(self, step: Step, name: str) -> Value:
        index, first = len(self.layers), step.reads[0]
        layer = replace(step.layer, inputs=tuple(index - value.index for value in step.reads))
        shape = output_shape(layer, [value.shape for value in step.reads])
        self.layers.append(layer)
        self.names.append(name)
        flat = first.flat if step.flat is None else step.flat
        return Value(index, shape, flat and len(shape) == 3)

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


def _checked_output(value: object) -> Value:
    if not isinstance(value, Value):
        raise RuleError("is not one tensor: wrap it in a module that returns the logits alone")
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
        if traced.architecture.layer_parameters[index]:
            source = module.get_submodule(traced.names[index])
            for key in _WEIGHTS:
                if (value := getattr(source, key, None)) is not None:
                    weights[f"{layer_name}.{key}"] = value.detach().clone()
    return weights


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
    if not found.difference <= _TOLERANCE * found.largest + 1e-6:
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


def agreement(network: Network, module: nn.Module) -> Agreement:
    """How far a network is from a module, on two images of normal noise."""
    ours, theirs = copy.deepcopy(network).cpu().eval(), copy.deepcopy(module).cpu().float().eval()
    rng = torch.Generator().manual_seed(0)
    images = torch.randn((2, *network.architecture.input_shape), generator=rng)
    with torch.no_grad():
        expected, got = theirs(images.clone()).flatten(1), ours(images)
    return Agreement(float((got - expected).abs().max()), float(expected.abs().max()))
