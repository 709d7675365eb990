"""Which submodules of a net stay as they are, where something in them has no layer.

The smallest module around it that can be taken whole becomes a `frozen` layer; where that cannot
stand, the module around that. The whole net never does.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor, fx, nn

from archpress.architecture.layers import Layer
from archpress.architecture.quiet import quiet
from archpress.architecture.shape_rules import RuleError, Shape
from archpress.errors import ArchitectureError, reason, told
from archpress.reading.exported import Whole, read_exported
from archpress.reading.frozen_reading import Taken, take
from archpress.reading.graphs import read_graph
from archpress.reading.operations import MODULES, Handler
from archpress.reading.traced import FrozenPart, NotReadError, Traced, evaluation_copy
from archpress.reading.traced_values import Step, Value, Weight, need

_RANKS = (2, 4)  # of tensors that layers read and give: vectors and maps
_IMAGES = 2
_MOST_TEXT = 240  # characters
_OWN_MODULE = (
    "; in a module of its own, from one map to one, each image alone and always the same, it would "
    "stay as it is"
)
_TO_COMPRESS = ("conv", "depthwise", "linear")


class Tracer(fx.Tracer):
    """Follows forward; modules of the tables and these paths are left as calls.

    Attributes:
        failed: path of the innermost module in which following ended.
    """

    def __init__(self, frozen: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._frozen = frozen
        self.failed: str | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is left as a call."""
        known = type(m) in MODULES or module_qualified_name in self._frozen
        return known or super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> object:
        """Follow a module inside."""
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:  # forward is the caller's code and may raise anything
            if self.failed is None:
                self.failed = self._path(m)
            raise

    def _path(self, module: nn.Module) -> str | None:
        try:
            return self.path_of_module(module)
        except NameError:  # it hangs in no other module
            return None


def followed(module: nn.Module, frozen: frozenset[str] = frozenset()) -> fx.Graph:
    """The calls of a module's forward.

    Raises:
        NotReadError: forward cannot be followed.
    """
    tracer = Tracer(frozen)
    try:
        graph = tracer.trace(module)
        for node in graph.nodes:
            if node.op == "placeholder" and str(node.target).startswith("*"):
                raise TypeError(f"it takes {node.target}")
    except Exception as error:  # likewise
        path = tracer.failed or ""
        name = type(module.get_submodule(path)).__name__
        raise NotReadError(
            f"cannot follow the forward of {f'{path} ({name})' if path else name} "
            f"({reason(error)}): it must not branch on values of tensors, so keep such code "
            "outside the module that is traced",
            path,
        ) from None
    return graph


def trace_in_parts(
    module: nn.Module, input_shape: tuple[int, int, int], first: ArchitectureError
) -> Traced:
    """The architecture of a module of which some parts stay as they are.

    Args:
        module: in evaluation.
        input_shape: `(C, H, W)` of one image.
        first: why it cannot be read without such parts.

    Raises:
        ArchitectureError: `first`, where it cannot be read with them either.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            parts = _Parts(module, input_shape)
        except Exception:  # of modules that cannot be copied
            raise first from None
        try:
            return _fewest(parts)
        except Exception:  # whatever torch.export, or forward itself, raises
            is_outermost = isinstance(first, NotReadError) and not first.path
            is_code = is_outermost and str(first).startswith("operation ")
            way_round = parts.why_not or (_OWN_MODULE if is_code else "")
            raise ArchitectureError(f"{first}{way_round}") from None


def _fewest(parts: "_Parts") -> Traced:
    """The net by its calls, or by torch.export where that shows more layers.

    Raises:
        Exception: it cannot be read in either way.
    """
    try:
        by_calls = _read(parts, {}, by_export=False)
    except ArchitectureError:  # torch.export knows the sizes that forward asks for
        return _read(parts, {}, by_export=True)
    readable = {part.path for part in by_calls.frozen if parts.is_read_alone(part.path)}
    if readable:
        frozen = {part.path: part for part in by_calls.frozen if part.path not in readable}
        try:
            return _read(parts, frozen, by_export=True)
        except Exception:  # whatever torch.export, or forward itself, raises
            return by_calls
    return by_calls


def _read(parts: "_Parts", frozen: dict[str, FrozenPart], *, by_export: bool) -> Traced:
    """With these parts as layers, and others where they are needed.

    Raises:
        NotReadError: something has no layer, and no part around it can be taken whole, or nothing
            is left beside the parts.
        Exception: whatever torch.export raises.
    """
    while True:
        try:
            traced = parts.read(frozen, by_export=by_export)
        except NotReadError as error:
            part = parts.around(error.path, str(error), frozen)
            if part is None:
                raise
            inner = f"{part.path}."
            frozen = {path: one for path, one in frozen.items() if not path.startswith(inner)}
            frozen[part.path] = part
            continue
        layers = traced.architecture.layers
        if not any(layer.kind in _TO_COMPRESS for layer in layers):
            raise NotReadError("all that could be compressed is in parts that stay as they are", "")
        kinds = zip(layers, traced.names, strict=True)
        paths = dict.fromkeys(name for layer, name in kinds if layer.kind == "frozen")
        return replace(traced, frozen=tuple(frozen[path] for path in paths))


@dataclass(frozen=True, slots=True)
class _Call:
    """A submodule as forward calls it.

    Attributes:
        reads: shape of what it reads, one image.
        gives: likewise of what it gives.
        is_shared: whether two places call it, and it has weights, so that it is no layer alone.
    """

    reads: Shape
    gives: Shape
    is_shared: bool = False


class _Parts:
    """The submodules of a net, and which of them can be taken whole."""

    def __init__(self, module: nn.Module, input_shape: tuple[int, int, int]) -> None:
        with quiet():
            self._module = evaluation_copy(module)
        self._input_shape = input_shape
        self._calls = _calls(self._module, input_shape)
        self._taken: dict[str, Taken | None] = {}
        self._names: dict[int, list[str]] = {}  # of each parameter, one a place that has it
        for name, weight in self._module.named_parameters(remove_duplicate=False):
            self._names.setdefault(id(weight), []).append(name)
        self.why_not = ""  # of the first part that could not be taken

    def read(self, frozen: Iterable[str], *, by_export: bool) -> Traced:
        """The net with these parts as layers.

        Raises:
            NotReadError: something else has no layer.
            Exception: whatever torch.export raises.
        """
        if by_export:
            whole = {path: Whole(self._calls[path].gives, self._handler(path)) for path in frozen}
            return read_exported(self._module, self._input_shape, frozen=whole)
        graph = followed(self._module, frozenset(frozen))
        handlers = {path: self._handler(path) for path in frozen}
        return read_graph(self._module, graph, self._input_shape, frozen=handlers)

    def around(self, path: str, reason: str, frozen: dict[str, FrozenPart]) -> FrozenPart | None:
        """The smallest part around a place that can be taken whole and is not frozen yet."""
        if path in frozen:  # which cannot stand there; what was wrong first is wrong still
            reason = frozen[path].reason
        for outer in _outwards(path):
            taken = None if outer in frozen else self._take(outer)
            if taken is not None:
                kind = type(self._module.get_submodule(outer)).__name__
                return FrozenPart(outer, kind, taken.parameters, " ".join(reason.split()))
        return None

    def is_read_alone(self, path: str) -> bool:
        """Whether torch.export shows layers in a part where its calls do not."""
        part = self._module.get_submodule(path)
        if type(part).__module__.startswith("torch.nn.modules."):
            return False
        match self._calls[path].reads:
            case (channels, height, width):
                try:
                    read_exported(part, (channels, height, width))
                except Exception:  # of torch.export, or as forward raises
                    return False
                return True
        return False

    def _handler(self, path: str) -> Handler:
        """How to read a part: as one layer."""
        taken, call = self._take(path), self._calls[path]
        assert taken is not None
        layer = Layer("frozen", options=(("program", taken.program),))
        weights = tuple(self._weight(path, *one) for one in taken.weights.items())

        def read(x: Value) -> Step:
            is_vector = x.flat and not x.channels_last and x.sizes[1:] == call.reads
            fits = x.is_plain and x.shape == call.reads
            need(fits or is_vector, " x ".join(map(str, ("B", *call.reads))), x)
            given = Step(Layer("flatten"), (x,), flat=False) if is_vector else x
            return Step(layer, (given,), flat=False, path=path, weights=weights)

        return read

    def _weight(self, path: str, name: str, value: Tensor) -> tuple[str, Weight]:
        """The module's own tensor, so that it is known again elsewhere."""
        owner, _, last = f"{path}.{name}".rpartition(".")
        try:
            own = getattr(self._module.get_submodule(owner), last)
        except AttributeError:  # a constant of forward
            return name, Weight("", value, learned=False)
        known, *_ = self._names.get(id(own), [f"{owner}.{last}"])
        return name, Weight(known, own.detach(), isinstance(own, nn.Parameter))

    def _is_tied(self, path: str) -> bool:
        """Whether a part shares a parameter with what is not in it."""
        weights = self._module.get_submodule(path).parameters()
        names = [name for weight in weights for name in self._names[id(weight)]]
        return not all(name.startswith(f"{path}.") for name in names)

    def _take(self, path: str) -> Taken | None:
        call = self._calls.get(path)
        if call is None or call.is_shared or self._is_tied(path):
            return None
        if path not in self._taken:
            try:
                found = take(self._module.get_submodule(path), call.reads, call.gives)
            except Exception as error:  # forward is the caller's code and may raise anything
                found = None
                if not isinstance(error, RuleError):
                    error = RuleError(f"cannot be followed ({told(error)})")
                kind = type(self._module.get_submodule(path)).__name__
                why = f"; nor can {path} ({kind}) stay as it is, for it {error}"
                self.why_not = self.why_not or shorten(why, _MOST_TEXT, placeholder=" …")
            self._taken[path] = found
        return self._taken[path]


def _outwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]


def _calls(module: nn.Module, input_shape: tuple[int, int, int]) -> dict[str, _Call]:
    """Of all submodules that read one tensor and give one, as layers do, by their paths."""
    calls: dict[str, _Call] = {}

    def watch(path: str) -> Any:  # noqa: ANN401 as torch has it
        def see(part: nn.Module, given: Any, options: Any, result: Any) -> None:  # noqa: ANN401
            reads, gives = _shape(given[0] if len(given) == 1 else None), _shape(result)
            if reads is not None and gives is not None and not options:
                if path not in calls:
                    calls[path] = _Call(reads, gives)
                elif any(True for _ in part.parameters()):
                    calls[path] = replace(calls[path], is_shared=True)

        return see

    hooks = []
    try:
        for path, part in module.named_modules():
            if path:
                hooks.append(part.register_forward_hook(watch(path), with_kwargs=True))
        with torch.no_grad(), quiet():
            module(torch.randn(_IMAGES, *input_shape, generator=torch.Generator().manual_seed(0)))
    except Exception:  # forward is the caller's code and may raise anything
        return {}
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _shape(value: object) -> Shape | None:
    """Of a tensor as layers have it, one image."""
    if not isinstance(value, Tensor) or value.dim() not in _RANKS or value.dtype != torch.float32:
        return None
    shape = tuple(value.shape)
    return shape[1:] if shape[0] == _IMAGES and min(shape) > 0 else None
