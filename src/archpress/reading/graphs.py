"""Reads a torch.fx graph, of calls as forward makes them or of torch.export's operations."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, fx, nn

from archpress.architecture.shape_rules import RuleError
from archpress.errors import told
from archpress.reading.operations import FUNCTIONS, MODULES, OF_VECTORS, WRAPPED, Handler
from archpress.reading.operations_aten import ELEMENTWISE_ATEN, operation
from archpress.reading.operations_elementwise import ELEMENTWISE
from archpress.reading.operations_parts import Stack
from archpress.reading.operations_pools import OVER_AXES, spread
from archpress.reading.operations_shapes import attribute, rank, same, size, unsqueeze
from archpress.reading.traced import (
    SHARED,
    Layers,
    NotReadError,
    Traced,
    check_not_shared,
    checked_output,
)
from archpress.reading.traced_values import BATCH, Pointwise, Reshaped, Step, Value, Weight

FROZEN = "frozen"  # the operation of torch.export that stands for a part: its input, its number
# What reads functions as they are; for all else they become layers.
_OF_FUNCTIONS = ELEMENTWISE | ELEMENTWISE_ATEN | OVER_AXES | {spread}
# What reads a tensor in another shape.
_OF_SHAPES = OVER_AXES | {attribute, rank, same, size, unsqueeze}
_SHAPES = frozenset({"view", "reshape", "_unsafe_view", "expand", "as_strided"})


def read_graph(
    module: nn.Module,
    graph: fx.Graph,
    input_shape: tuple[int, int, int],
    batch: int | None = None,
    frozen: Mapping[str, Handler] | None = None,
) -> Traced:
    """The layers of a graph.

    Args:
        module: whose forward the graph is; it holds the modules and tensors that the graph names.
        graph: of one tensor in, one tensor out.
        input_shape: `(C, H, W)` of one image.
        batch: how many images the graph is for, where it holds that number.
        frozen: modules that are layers of their own, by their paths: how to take each.

    Raises:
        NotReadError: something has no layer; the message has its path, what it is, and the way
            round.
    """
    reader = _Reader(module, Layers(input_shape), batch, frozen or {})
    for node in _needed(graph):
        reader.read(node)
    assert reader.output is not None
    traced = reader.layers.finished(reader.output)
    check_not_shared(traced, "operation", called=reader.called)
    return traced


def _needed(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that the output depends on, in order; forward may compute more."""
    needed: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        if node.op == "output" or node in needed:
            needed.update((node, *node.all_input_nodes))
    return [node for node in graph.nodes if node in needed]


class _Reader:
    """Reads a graph node by node into `layers`."""

    def __init__(
        self,
        module: nn.Module,
        layers: Layers,
        batch: int | None,
        frozen: Mapping[str, Handler],
    ) -> None:
        self.module = module
        self.frozen = frozen
        self.layers = layers
        self.batch = batch
        self.output: Value | None = None
        self.has_input = False
        self.values: dict[fx.Node, object] = {}
        self.with_weights: set[object] = set()
        self.called: set[str] = set()  # the weights of modules that forward calls, by their names

    def read(self, node: fx.Node) -> None:
        """Take one node of the graph, after all that it reads."""
        try:
            result = self._value(node)
            self.values[node] = self.layers.taken(result, _path(node))
        except RuleError as error:
            raise NotReadError(f"{self._place(node)} {error}", self._where(node)) from None
        except Exception as error:  # from the entry of a table, called as forward calls it
            raise NotReadError(
                f"{self._place(node)} has arguments that no layer has ({told(error)}): leave them "
                "out",
                _inside(node),
            ) from None

    def _value(self, node: fx.Node) -> object:
        read: Any = self.values.__getitem__
        arguments: Any = fx.node.map_arg(node.args, read)
        options: Any = fx.node.map_arg(node.kwargs, read)
        match node.op:
            case "placeholder":
                if self.has_input:
                    raise RuleError("is a second input: wrap it in a module that reads images only")
                self.has_input = True
                return Value(-1, self.layers.input_shape)
            case "get_attr":
                return self._weight(str(node.target))
            case "output":
                given = arguments[0]
                is_single = self.batch is not None and len(given) == 1
                found = given[0] if is_single else given
                if isinstance(found, Pointwise):
                    found = self.layers.as_layers(found, "output")
                self.output = checked_output(found)
                return self.output
            case "call_module":
                return self._called(str(node.target), arguments, options)
        if _name(node) == FROZEN and self.batch is not None:
            return self._whole(list(self.frozen)[arguments[1]], arguments[:1])
        if _is_constant(arguments) and _is_constant(options):
            return _worked_out(node, arguments, options)
        handler = self._handler(node)
        if handler is None:
            raise RuleError(_NO_LAYER)
        arguments, options = self._read_by(handler, (arguments, options), _path(node))
        return handler(*self._with_batch(node, arguments), **options)

    def _read_by(self, handler: Callable[..., object], given: Any, name: str) -> Any:  # noqa: ANN401
        """What an entry of the tables is called with: layers, but for those that read more."""
        bare = getattr(handler, "func", handler)
        if bare not in _OF_SHAPES:
            _refuse_other_shapes(given)
        if bare not in _OF_FUNCTIONS:
            given = self.layers.as_layers(given, name)
        return self.layers.as_vectors(given, name) if bare in OF_VECTORS else given

    def _handler(self, node: fx.Node) -> Callable[..., object] | None:
        if self.batch is not None and node.target is not operator.getitem:
            return operation(_name(node))
        return FUNCTIONS.get(node.target) or WRAPPED.get(_name(node))

    def _with_batch(self, node: fx.Node, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """The number of images as what it is, in the shapes that forward asks for."""
        if self.batch is None or _name(node) not in _SHAPES or len(arguments) < 2:
            return arguments
        x, sizes, *others = arguments
        sizes = list(sizes)
        if sizes[:1] == [self.batch]:
            sizes[0] = BATCH
        if isinstance(x, Value) and x.channels_last:
            _, height, width, channels = x.sizes
            if sizes == [self.batch * height * width, channels]:  # a row for each pixel
                sizes = list(x.sizes)
        return (x, sizes, *others)

    def _called(self, path: str, arguments: Any, options: Any) -> object:  # noqa: ANN401
        module = self.module.get_submodule(path)
        for weight in module.parameters():
            self._check_not_shared(id(weight))
        if path in self.frozen:
            return self._whole(path, arguments, **options)
        self.called.update(f"{path}.{name}" for name, _ in module.named_parameters())
        handler = MODULES.get(type(module))
        if handler is None:
            raise RuleError(_NO_LAYER)
        arguments = self._read_by(handler, arguments, path)
        result = handler(module, *arguments, **options)
        if isinstance(result, Step) and result.weights:
            return replace(result, path=path)
        if isinstance(result, Step) and result.layer.bias_free:
            return self._without_bias(result, path, module)
        return result

    def _whole(self, path: str, arguments: Any, **options: Any) -> object:  # noqa: ANN401
        """A part that stays as it is."""
        handler = self.frozen[path]
        _refuse_other_shapes(arguments)
        given: Any = self.layers.as_vectors(self.layers.as_layers(arguments, path), path)
        return handler(*given, **options)

    def _without_bias(self, step: Step, path: str, module: nn.Module) -> Value:
        """With its weight at hand, should weights be added to the output."""
        value = self.layers.taken(step, path)
        assert isinstance(value, Value)
        tensor: Any = module.weight  # no parameter where it was pruned
        weight = Weight(path, tensor.detach())
        assert value.made is not None
        return replace(value, made=replace(value.made, weights=(("weight", weight),), path=path))

    def _weight(self, path: str) -> Weight:
        found: object = self.module
        for part in path.split("."):
            found = getattr(found, part)
        if not isinstance(found, Tensor):
            raise RuleError(f"is a {type(found).__name__}, of which no layer knows")
        return Weight(path, found.detach(), isinstance(found, nn.Parameter))

    def _check_not_shared(self, holder: object) -> None:
        if holder in self.with_weights:
            raise RuleError(SHARED)
        self.with_weights.add(holder)

    def _where(self, node: fx.Node) -> str:
        """The module to blame: of a function that no layers give the one that computes it."""
        for one in node.all_input_nodes:
            try:
                self.layers.as_layers(self.values[one], "")
            except RuleError:
                return _inside(one)
        return _inside(node)

    def _place(self, node: fx.Node) -> str:
        """How error messages name a node."""
        match node.op:
            case "call_module":
                return f"module {node.target} ({self.module.get_submodule(str(node.target))})"
            case "placeholder" | "get_attr":
                return f"tensor {node.target}"
            case "output":
                is_graph = isinstance(self.module, fx.GraphModule)
                name = "the program" if is_graph else type(self.module).__name__
                return f"what {name} returns"
        return f"operation {_path(node)} ({_name(node)})"


def _refuse_other_shapes(value: object) -> None:
    match value:
        case Reshaped():
            sizes = " x ".join(map(str, value.sizes))
            raise RuleError(
                f"reads a map as {sizes}: only means and maxima over pixels do, as "
                "attention and recurrence are no layers"
            )
        case Stack():
            raise RuleError("reads a stack, of which only sums and means are taken")
        case dict():
            _refuse_other_shapes(list(value.values()))
        case list() | tuple():
            for one in value:
                _refuse_other_shapes(one)


_NO_LAYER = (
    "has no layer kind: write it with convolutions, linear layers, pools, norms and activations of "
    "torch.nn, sums, products and cat"
)


def _name(node: fx.Node) -> str:
    """Of a function; of an operation of torch.export without its overload."""
    target = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(target, "__name__", target))


def _is_constant(value: object) -> bool:
    """Whether nothing in it depends on the images, so that it can be worked out at once."""
    match value:
        case dict():
            return all(map(_is_constant, value.values()))
        case tuple() | list():
            return all(map(_is_constant, value))
        case slice():
            return all(map(_is_constant, (value.start, value.stop, value.step)))
    return not isinstance(value, Value | Pointwise | Reshaped | Stack) and value != BATCH


def _worked_out(node: fx.Node, arguments: Any, options: Any) -> object:  # noqa: ANN401
    """What a call on numbers and weights gives; the weights of the module stay as they are."""
    weights = _weights_in((arguments, options))
    paths = [weight.path for weight in weights if weight.path]
    learned = any(weight.learned for weight in weights)
    plain: Any = _map(arguments)
    named: Any = _map(options)
    if node.op == "call_method":
        result = getattr(plain[0], str(node.target))(*plain[1:], **named)
    else:
        result = node.target(*plain, **named)  # type: ignore[operator]
    return _as_weights(result, paths[0] if len(paths) == 1 else "", learned=learned)


def _weights_in(value: object) -> list[Weight]:
    match value:
        case Weight():
            return [value]
        case dict():
            return _weights_in(list(value.values()))
        case tuple() | list():
            return [weight for one in value for weight in _weights_in(one)]
    return []


def _map(value: object) -> object:
    """Tensors in place of weights, copies, so that nothing is changed in place."""
    match value:
        case Weight():
            return value.value.clone()
        case dict():
            return {name: _map(one) for name, one in value.items()}
        case tuple():
            return tuple(map(_map, value))
        case list():
            return list(map(_map, value))
    return value


def _as_weights(value: object, path: str, *, learned: bool) -> object:
    match value:
        case Tensor():
            return Weight(path, value.detach(), learned)
        case tuple() | list():
            return tuple(_as_weights(one, path, learned=learned) for one in value)
    return value


def _inside(node: fx.Node) -> str:
    """The path of the innermost module that a node is in, or that it calls."""
    if node.op == "call_module":
        return str(node.target)
    return _owner(node)[0]


def _path(node: fx.Node) -> str:
    """The path of a module, or of a call in the module that makes it."""
    if node.op == "call_module":
        return str(node.target)
    owner, kind = _owner(node)
    if "torch.nn.modules" in str(kind) and "container" not in str(kind):
        return owner
    return f"{owner}.{node.name}" if owner else node.name


def _owner(node: fx.Node) -> tuple[str, object]:
    """Path and class of the innermost module that a call is in."""
    stack = node.meta.get("nn_module_stack") or {"": ("", "")}
    path, kind = next(reversed(stack.values()))
    return str(path).partition("@")[0], kind  # torch.export numbers the calls of one module so
