"""From a submodule that stays as it is to the program of a `frozen` layer, by torch.export."""

import base64
import inspect
import math
import operator
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from archpress.architecture.frozen import Frozen
from archpress.architecture.frozen_program import (
    ARITHMETIC,
    MOST_VALUES,
    SIZES,
    Argument,
    Held,
    Node,
    Program,
    is_in_place,
)
from archpress.architecture.quiet import quiet
from archpress.architecture.shape_rules import RuleError, Shape
from archpress.errors import ArchitectureError, told

_TOLERANCE = 1e-4  # of the largest output, as of whole nets
_TRAINING = {  # where an operation has the flag that is false in evaluation
    **{"batch_norm": 5, "instance_norm": 5, "rrelu": 3, "dropout": 2, "feature_dropout": 2},
    **{"alpha_dropout": 2, "feature_alpha_dropout": 2},
}
_NORMS = ("batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm")
_SAME = {  # the same values; of tensors that lie in another order, too, and never in place
    "aten.view.default": "aten.reshape.default",
    "aten._unsafe_view.default": "aten.reshape.default",
    "aten.lift_fresh_copy.default": "aten.clone.default",
    "aten.lift_fresh.default": "aten.alias.default",
    "aten.detach_.default": "aten.detach.default",
}
_LEFT_OUT = ("layout", "pin_memory")  # options that say what is so anyway


@dataclass(frozen=True, slots=True)
class Taken:
    """A submodule, taken whole.

    Attributes:
        program: as a layer has it.
        weights: of the program, by name; constants too.
        parameters: number of weights.
    """

    program: str
    weights: dict[str, Tensor]
    parameters: int


def take(module: nn.Module, input_shape: Shape, output_shape: Shape) -> Taken:
    """A module as one program, checked to give the same.

    Args:
        module: float32, on the CPU, in evaluation; stays as it is.
        input_shape: of what it reads, without the batch.
        output_shape: of what it gives.

    Raises:
        RuleError: it cannot be taken whole; says why.
    """
    _refuse_cumulative_norms(module)
    with _plain_attention(), quiet(), torch.enable_grad():
        images = torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0))
        expected = _settled(module, images)
        try:
            exported = torch.export.export(module, (images,), dynamic_shapes=_shapes(module))
        except Exception as error:  # forward is the caller's code and may raise anything
            if "Constraints violated" in str(error):
                raise RuleError(
                    "works for one number of images: ask for it by x.shape[0], not by len(x)"
                ) from None
            raise RuleError(f"cannot be exported ({told(error)})") from None
        reading = _Reading(exported)
        program = Program(input_shape, output_shape, 0, *reading.held(), *reading.nodes())
        try:
            frozen = _loaded(program, reading.tensors)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                frozen(images[:1])
            _check_outputs(frozen, images, expected)
            _check_gradients(frozen, module, images)
        except ArchitectureError as error:
            raise RuleError(str(error).removeprefix("a frozen layer ")) from None
    whole = replace(program, macs=counter.get_total_flops() // 2)
    return Taken(whole.to_json(), reading.tensors, whole.weights)


def _shapes(module: nn.Module) -> tuple[object, ...]:
    """That the batch is free, as torch.export is told; it has all of `*inputs` as one."""
    batch = {0: torch.export.Dim("batch")}
    first = next(iter(inspect.signature(module.forward).parameters.values()), None)
    is_starred = first is not None and first.kind is first.VAR_POSITIONAL
    return ((batch,),) if is_starred else (batch,)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Attention as operations that every device has, and that can be trained."""
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)


def _refuse_cumulative_norms(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if getattr(part, "track_running_stats", False) and getattr(part, "momentum", 0) is None:
            raise RuleError(f"has a norm {name} that averages over all batches: give it a momentum")


def _settled(module: nn.Module, images: Tensor) -> Tensor:
    """What it gives, the same each time, leaving its buffers alone."""
    before = {name: value.clone() for name, value in module.named_buffers()}
    with torch.no_grad():
        first, second = module(images.clone()), module(images.clone())
    if not torch.allclose(first, second, equal_nan=True):
        raise RuleError("gives other values each time, in evaluation")
    changed = (n for n, v in module.named_buffers() if not torch.equal(v, before.get(n, v)))
    name = next(changed, None)
    if name is not None:
        raise RuleError(f"changes its {name} in evaluation")
    result: Tensor = first
    return result


def _loaded(program: Program, tensors: dict[str, Tensor]) -> Frozen:
    frozen = Frozen(program.to_json())
    frozen.load_state_dict(tensors)
    return frozen.eval()


def _check_outputs(frozen: Frozen, images: Tensor, expected: Tensor) -> None:
    """Whether it gives what the module gives, for each image as for both."""
    with torch.no_grad():
        got = frozen(images)
        alone = torch.cat([frozen(one) for one in torch.chunk(images, len(images))])
    if not _are_close(got, expected):
        raise RuleError("gives other values as operations of ATen")
    if not _are_close(alone, expected):
        raise RuleError("lets the images of a batch look at each other")


def _are_close(got: Tensor, expected: Tensor) -> bool:
    if got.shape != expected.shape:
        return False
    finite = expected[torch.isfinite(expected)].abs()
    largest = float(finite.max()) if len(finite) else 0.0
    return torch.allclose(got, expected, rtol=0, atol=_TOLERANCE * largest + 1e-6, equal_nan=True)


def _check_gradients(frozen: Frozen, module: nn.Module, images: Tensor) -> None:
    """Whether it can be trained as the module can, with what is before it."""
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    try:
        _gradient(frozen.train(), images)
    except Exception as error:  # of operations without a derivative
        raise RuleError(f"cannot be trained ({told(error)})") from None
    frozen.load_state_dict(before)
    frozen.eval()
    try:
        expected = _gradient(module, images)
    except Exception as error:  # forward is the caller's code and may raise anything
        raise RuleError(f"cannot be trained ({told(error)})") from None
    if not _are_close(_gradient(frozen, images), expected):
        raise RuleError("has a derivative that is not the one of what it computes")


def _gradient(module: nn.Module, images: Tensor) -> Tensor:
    """With respect to the images, of a sum; zeros where it is of no image."""
    given = images.clone().requires_grad_()
    out = module(given * 1)
    noise = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (found,) = torch.autograd.grad((out * noise).sum(), given, allow_unused=True)
    return torch.zeros_like(images) if found is None else found


# --- the graph -----------------------------------------------------------------------------------


class _Reading:
    """The graph of torch.export, read."""

    def __init__(self, exported: torch.export.ExportedProgram) -> None:
        signature = exported.graph_signature
        self._graph = exported.graph
        self._parameters = dict(signature.inputs_to_parameters)
        self._names = {
            **self._parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self._needed = _needed(self._graph)
        self._node_at = {node: place for place, node in enumerate(self._calls(), 1)}
        self._tensors_of(exported)

    def _calls(self) -> list[fx.Node]:
        return [node for node in self._needed if node.op != "placeholder"]

    def _tensors_of(self, exported: torch.export.ExportedProgram) -> None:
        """The tensors that the graph needs, each once however many names it has."""
        everything = {**exported.state_dict, **exported.constants}
        first: dict[int, str] = {}
        self._name_of: dict[fx.Node, str] = {}
        self.tensors: dict[str, Tensor] = {}
        for node in self._needed:
            if node.name not in self._names:
                continue
            name = self._names[node.name]
            value = everything[name]
            if not isinstance(value, Tensor):
                raise RuleError(f"reads {name}, a {type(value).__name__}")
            name = first.setdefault(id(value), name)
            self._name_of[node] = name
            self.tensors[name] = value.detach().clone().contiguous()

    # --- what it holds ---

    def held(self) -> tuple[tuple[Held, ...], tuple[Held, ...]]:
        """Parameters and buffers."""
        starts = self._starts()
        learned = {self._name_of[n] for n in self._name_of if n.name in self._parameters}
        parameters, buffers = [], []
        for name, value in self.tensors.items():
            dtype = str(value.dtype).removeprefix("torch.")
            shape = tuple(value.shape)
            if dtype not in SIZES or (name in learned and dtype != "float32"):
                raise RuleError(f"has {name} of {dtype}")
            if name in learned:
                parameters.append(Held(name, shape, dtype, _start(value, starts.get(name))))
            elif name in starts:
                buffers.append(Held(name, shape, dtype, starts[name]))
            else:
                buffers.append(_with_values(name, value, dtype))
        return tuple(parameters), tuple(buffers)

    def _starts(self) -> dict[str, float]:
        """Where PyTorch's norms and biases start."""
        starts: dict[str, float] = {}
        for node in self._calls():
            name, arguments = _bare(node), list(node.args)
            if name in _NORMS:
                after = (
                    arguments[1:5] if name in ("batch_norm", "instance_norm") else arguments[2:4]
                )
                known = zip(after, (1.0, 0.0, 0.0, 1.0), strict=False)
            elif name in ("linear", "conv1d", "conv2d", "conv3d") or name.startswith("conv_trans"):
                known = zip(arguments[2:3], (0.0,), strict=False)
            else:
                continue
            for one, start in known:
                if isinstance(one, fx.Node) and one in self._name_of:
                    starts[self._name_of[one]] = start
        return starts

    # --- what it computes ---

    def nodes(self) -> tuple[tuple[Node, ...], int]:
        """All that its output depends on, and the place of the output."""
        (output,) = [node for node in self._graph.nodes if node.op == "output"]
        result = output.args[0][0]
        if len(output.args[0]) != 1 or result not in self._node_at:
            raise RuleError("gives back what it reads, or a constant")
        return tuple(map(self._node, self._calls())), self._node_at[result]

    def _node(self, node: fx.Node) -> Node:
        name = _operation(node)
        first = node.args[0] if node.args else None
        if is_in_place(name) and isinstance(first, fx.Node) and first in self._name_of:
            raise RuleError(f"changes its {self._name_of[first]} in evaluation")
        arguments = [self._argument(one) for one in node.args]
        place = _TRAINING.get(_bare(node), len(arguments))
        if place < len(arguments) and arguments[place] is False:
            arguments[place] = {"training": True}
        options = {
            key: self._argument(value)
            for key, value in node.kwargs.items()
            if key not in _LEFT_OUT and value is not None
        }
        return Node(_SAME.get(name, name), tuple(arguments), tuple(sorted(options.items())))

    def _argument(self, value: object) -> Argument:
        match value:
            case fx.Node():
                return self._value(value)
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else {"number": str(value)}
            case list() | tuple():
                return [self._argument(one) for one in value]
            case torch.device():
                return {"device": "input"}
        for mark in ("dtype", "memory_format", "layout"):
            if isinstance(value, getattr(torch, mark)):
                return {mark: str(value).removeprefix("torch.")}
        raise RuleError(f"has an argument that is a {type(value).__name__}")

    def _value(self, node: fx.Node) -> Argument:
        if node in self._name_of:
            return {"weight": self._name_of[node]}
        return {"value": self._node_at.get(node, 0)}


def _needed(graph: fx.Graph) -> list[fx.Node]:
    """Nodes that the output depends on, or that write in place."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        writes = node.op == "call_function" and is_in_place(f"aten.{_bare(node)}.")
        if node.op == "output":
            needed.update(node.all_input_nodes)
        elif node in needed or writes:
            needed.update((node, *node.all_input_nodes))
    return [node for node in graph.nodes if node in needed]


def _bare(node: fx.Node) -> str:
    packet = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(packet, "__name__", packet))


def _operation(node: fx.Node) -> str:
    target: Any = node.target
    if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten":
        return f"aten.{_bare(node)}.{target._overloadname}"
    name = _bare(node)
    home: Callable[..., object] | None = getattr(operator, name, None)
    if node.op == "call_function" and name in ARITHMETIC and target is home:
        return f"operator.{name}"
    raise RuleError(f"calls {target}, which is no operation of ATen")


def _start(value: Tensor, known: float | None) -> float | None:
    """Of a parameter: as norms and biases start, else near what one number or one a channel is."""
    if known is not None:
        return known
    if max((*value.shape, 1)) == value.numel():
        return float(f"{value.double().mean().item():.3g}")
    return None


def _with_values(name: str, value: Tensor, dtype: str) -> Held:
    flat = value.flatten()
    shape = tuple(value.shape)
    if flat.numel() and bool((flat == flat[0]).all()) and math.isfinite(flat[0]):
        first = flat[0].item()
        return Held(name, shape, dtype, int(first) if dtype == "bool" else first)
    if flat.numel() > MOST_VALUES:
        raise RuleError(
            f"has {name} of {flat.numel():,} values; an architecture holds up to {MOST_VALUES:,}"
        )
    text = base64.b64encode(zlib.compress(flat.numpy().tobytes(), 9)).decode()
    return Held(name, shape, dtype, None, text)
