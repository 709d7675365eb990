"""`Frozen`: the module of a frozen layer, which runs the program that the layer has."""

import math
import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from archpress.architecture.frozen_program import (
    Argument,
    Held,
    Program,
    last_reads,
    read_program,
)
from archpress.architecture.shape_rules import RuleError, format_shape
from archpress.errors import ArchitectureError, told

# Arguments that are texts and say how to compute; no other operation that takes a text is run.
_TEXTS = {
    "equation",
    "mode",
    "rounding_mode",
    "approximate",
    "indexing",
    "padding",
    "reduce",
    "norm",
}
_FUNCTIONS: dict[str, Callable[..., object]] = {
    name: getattr(operator, name)
    for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "truediv", "getitem")
}


class Frozen(nn.Module):
    """A part of a user's net as it was, with parameters and buffers under the names they had.

    Args:
        program: the option of a frozen layer.

    Raises:
        ArchitectureError: the text is no program, or its operations do not give what it says.
    """

    def __init__(self, program: str) -> None:
        super().__init__()
        try:
            self._frozen_text, self._frozen_program = program, read_program(program)
            _check_operations(program)
            for one in self._frozen_program.parameters:
                _hold(self, one.name, nn.Parameter(_started(one)))
            for one in self._frozen_program.buffers:
                _hold(self, one.name, _started(one))
        except RuleError as error:
            raise ArchitectureError(f"a frozen layer {error}") from None
        except (RuntimeError, OverflowError) as error:  # of values that a type does not have
            raise ArchitectureError(
                f"a frozen layer has a program with tensors that cannot be made ({told(error)})"
            ) from None
        self._frozen_names = [
            one.name for one in (*self._frozen_program.parameters, *self._frozen_program.buffers)
        ]
        self._frozen_gone = last_reads(self._frozen_program)

    def forward(self, x: Tensor) -> Tensor:
        """What the part gives for `B x` its input.

        Raises:
            ArchitectureError: an operation fails, as one of a program that was changed by hand may
                for some values alone.
        """
        program = self._frozen_program
        weights = {name: _held_by(self, name) for name in self._frozen_names}
        try:
            return _run(program, x, weights, self._frozen_gone, training=self.training)
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "alloc" in str(error):
                raise  # of memory that is used up, which who trains must know
            raise ArchitectureError(
                f"a frozen layer has a program that cannot be run ({told(error)})"
            ) from error

    def extra_repr(self) -> str:
        """How many operations it has."""
        return f"{len(self._frozen_program.nodes)} operations"


def program_of(module: Frozen) -> str:
    """The text that it was made of."""
    return module._frozen_text


def start_of(held: Held) -> Tensor | None:
    """The values in a fresh network; None of a parameter that is drawn."""
    dtype: torch.dtype = getattr(torch, held.dtype)
    if held.values:
        flat = torch.frombuffer(bytearray(held.data), dtype=dtype).clone()
        return flat.reshape(held.shape)
    return None if held.start is None else torch.full(held.shape, held.start, dtype=dtype)


def _started(held: Held) -> Tensor:
    found = start_of(held)
    if found is not None:
        return found.to(torch.get_default_device())
    weight = torch.empty(held.shape)
    return nn.init.kaiming_uniform_(weight, a=math.sqrt(5)) if weight.ndim > 1 else weight.zero_()


def _hold(module: nn.Module, name: str, value: Tensor) -> None:
    *path, last = name.split(".")
    try:
        for part in path:
            if part not in dict(module.named_children()):
                module.register_module(part, nn.Module())
            module = module.get_submodule(part)
        if isinstance(value, nn.Parameter):
            module.register_parameter(last, value)
        else:
            module.register_buffer(last, value)
    except (KeyError, AttributeError) as error:
        raise RuleError(f"has a program with a tensor that cannot be called {name!r}") from error


def _held_by(module: nn.Module, name: str) -> Tensor:
    path, _, last = name.rpartition(".")
    found: Tensor = getattr(module.get_submodule(path), last)
    return found


# --- running -------------------------------------------------------------------------------------


def _run(
    program: Program,
    x: Tensor,
    weights: dict[str, Tensor],
    gone: dict[int, list[int]],
    *,
    training: bool,
) -> Tensor:
    values: dict[int, Any] = {0: x.clone() if program.may_change_its_input else x}

    def given(argument: Argument) -> Any:  # noqa: ANN401 a tensor, a number, a list of them
        match argument:
            case {"value": index}:
                return values[index]
            case {"weight": name}:
                return weights[name]
            case {"training": _}:
                return training
            case {"device": _}:
                return x.device
            case {"number": text}:
                return float(text)
            case dict():
                return getattr(torch, next(iter(argument.values())))
            case list() | tuple():
                return [given(one) for one in argument]
        return argument

    for place, node in enumerate(program.nodes, 1):
        function = operation_of(node.operation)
        options = {name: given(value) for name, value in node.options}
        values[place] = function(*map(given, node.arguments), **options)
        for index in gone.get(place, ()):
            values.pop(index, None)
    result: Tensor = values[program.result]
    return result


@lru_cache(maxsize=1024)
def operation_of(name: str) -> Callable[..., object]:
    """What a node calls.

    Raises:
        RuleError: this torch has no such operation, or it does more than compute.
    """
    home, which, *overload = name.split(".")
    if home == "operator":
        return _FUNCTIONS[which]
    found: Any = getattr(getattr(torch.ops.aten, which, None), overload[0], None)
    if not isinstance(found, torch._ops.OpOverload):
        raise RuleError(f"has a program with {name}, which torch {torch.__version__} does not have")
    for argument in found._schema.arguments:
        if "str" in str(argument.type) and argument.name not in _TEXTS:
            raise RuleError(f"has a program with {name}, which does more than compute")
    result: Callable[..., object] = found
    return result


@lru_cache(maxsize=512)
def _check_operations(text: str) -> None:
    """Run a program on zeros, for two sizes of a batch; first without values, which is free."""
    program = read_program(text)
    for node in program.nodes:
        operation_of(node.operation)
    for batch, device in ((3, "meta"), (2, "cpu")):
        try:
            weights = {
                one.name: torch.zeros(one.shape, dtype=getattr(torch, one.dtype), device=device)
                for one in (*program.parameters, *program.buffers)
            }
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                x = torch.zeros(batch, *program.input, device=device)
                found = _run(program, x, weights, last_reads(program), training=False)
            shape = tuple(found.shape)
        except Exception as error:  # whatever an operation says to arguments it does not take
            raise RuleError(f"has a program that cannot be run ({told(error)})") from None
        if shape != (batch, *program.output) or found.dtype != torch.float32:
            raise RuleError(
                f"has a program that gives {format_shape(shape)} of "
                f"{str(found.dtype).removeprefix('torch.')}, not what it says, "
                f"{format_shape(program.output)} of float32 for each image"
            )
