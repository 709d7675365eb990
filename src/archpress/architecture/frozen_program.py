"""The program of a `frozen` layer: a part of a user's net as operations of ATen, as text.

The layer's option `program` is JSON: shapes, parameters, buffers, multiply-adds and nodes, so that
an architecture alone says how to rebuild the part. Read and checked here without torch; `frozen`
runs it, `frozen_source` writes it as code, `reading.frozen_reading` makes it of a module.

Arguments of a node are numbers, texts, lists, or one of these:

    {"value": 3}            what node 3 gives; 0 is the input
    {"weight": "fc.bias"}   a parameter or a buffer
    {"training": true}      whether the network is being trained
    {"dtype": "float32"}, {"memory_format": "contiguous_format"}, {"layout": "strided"}
    {"device": "input"}     where the input is
    {"number": "inf"}       what JSON has no number for
"""

import base64
import binascii
import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from textwrap import shorten
from typing import Any

from archpress.architecture.shape_rules import RuleError, Shape

SIZES = {  # bytes of a value
    **{"float32": 4, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1},
}
ARITHMETIC = ("add", "sub", "mul", "floordiv", "mod", "neg", "truediv", "getitem")
MOST_VALUES = 2**16  # of a buffer; more would make an architecture too long to copy about
_FRESH = {  # operations that never give back a part of what they read
    *("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
    *("linear", "addmm", "mm", "bmm", "batch_norm", "group_norm", "layer_norm", "clone"),
    *("add", "sub", "mul", "div", "cat", "stack"),
}
_MOST = 2**40  # of any number of values or multiply-adds
_MOST_TEXT = 200  # characters of an error message
_LARGEST_NUMBER = 1e308
_LARGEST = 2**20  # extent of a shape
_OPERATION = re.compile(r"aten\.[a-z_][a-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*|operator\.[a-z]+")
_MARKS = {
    "training": (True,),
    "device": ("input",),
    "number": ("inf", "-inf", "nan"),
    "layout": ("strided",),
    "memory_format": ("contiguous_format", "preserve_format", "channels_last"),
    "dtype": (*SIZES, "float64", "float16", "bfloat16"),
}

Argument = Any  # as JSON has it


@dataclass(frozen=True, slots=True)
class Held:
    """A parameter or a buffer of a part.

    Attributes:
        name: as the user's module calls it, `mlp.0.weight`.
        shape: of it.
        dtype: a name in `SIZES`.
        start: value of all of it in a fresh network; None of a parameter: drawn as torch draws
            weights.
        values: base64 of zlib of the bytes, of buffers whose values differ.
    """

    name: str
    shape: Shape
    dtype: str
    start: float | None
    values: str = ""

    @property
    def data(self) -> bytes:
        """The bytes in `values`."""
        return zlib.decompress(base64.b64decode(self.values))


@dataclass(frozen=True, slots=True)
class Node:
    """One call.

    Attributes:
        operation: `aten.conv2d.default`, or `operator.mul` of sizes.
        arguments, options: as JSON has them.
    """

    operation: str
    arguments: tuple[Argument, ...]
    options: tuple[tuple[str, Argument], ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """What a frozen layer computes.

    Attributes:
        input: shape of what it reads, without the batch.
        output: likewise of what it gives.
        macs: multiply-adds of one image.
        parameters: that training changes.
        buffers: that it does not; constants too.
        nodes: in their order; node 1 is the first.
        result: the node whose value it gives.
    """

    input: Shape
    output: Shape
    macs: int
    parameters: tuple[Held, ...]
    buffers: tuple[Held, ...]
    nodes: tuple[Node, ...]
    result: int

    @property
    def weights(self) -> int:
        """Number of parameters."""
        return sum(math.prod(one.shape) for one in self.parameters)

    @property
    def may_change_its_input(self) -> bool:
        """Whether a node writes into a tensor that may lie where the input does."""
        return any(is_in_place(node.operation) and not self._is_fresh(node) for node in self.nodes)

    def _is_fresh(self, node: Node) -> bool:
        """Whether what a node writes into was made by one that gives a new tensor."""
        while is_in_place(node.operation):
            first = node.arguments[0] if node.arguments else None
            place = first.get("value", 0) if isinstance(first, dict) else 0
            if not place:
                return False
            node = self.nodes[place - 1]
        return node.operation.split(".")[1] in _FRESH

    def to_json(self) -> str:
        """The text, one for equal programs."""
        content = {
            "input": self.input,
            "output": self.output,
            "macs": self.macs,
            "parameters": [_listed(one) for one in self.parameters],
            "buffers": [_listed(one) for one in self.buffers],
            "nodes": [
                [node.operation, node.arguments, *([dict(node.options)] if node.options else [])]
                for node in self.nodes
            ],
            "result": self.result,
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def is_in_place(operation: str) -> bool:
    """Whether it writes into its first argument."""
    return operation.startswith("aten.") and operation.split(".")[1].endswith("_")


def last_reads(program: Program) -> dict[int, list[int]]:
    """For each node, the values that no later one reads; the result is read by the caller."""
    last: dict[int, int] = {}
    for place, node in enumerate(program.nodes, 1):
        last[place] = place
        for index in values_in(node):
            last[index] = place
    last.pop(program.result, None)
    gone: dict[int, list[int]] = {}
    for index, place in last.items():
        gone.setdefault(place, []).append(index)
    return gone


def values_in(node: Node) -> Iterator[int]:
    """The values that a node reads."""
    for name, value in marks_in([node.arguments, [value for _, value in node.options]]):
        if name == "value":
            yield value


def marks_in(argument: Argument) -> Iterator[tuple[str, Any]]:
    """Name and value of what is no plain number or text in these arguments."""
    match argument:
        case dict():
            yield from argument.items()
        case list() | tuple():
            for one in argument:
                yield from marks_in(one)


def told_program(text: str) -> str:
    """A program in a few words, to tell it from others: `14 operations, 3f0a12c9`."""
    count = len(read_program(text).nodes)
    return f"{count} operation{'s' * (count != 1)}, {program_digest(text)}"


def program_digest(text: str) -> str:
    """Eight hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


# --- reading -------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def read_program(text: str) -> Program:
    """The program that a layer has as its option.

    Raises:
        RuleError: it is none; says what is wrong.
    """
    if not text:
        raise RuleError("has no program: it is written by reading a module, not by hand")
    try:
        content = json.loads(text, parse_constant=_no_constant)
        program = Program(
            tuple(content["input"]),
            tuple(content["output"]),
            content["macs"],
            tuple(_held(one) for one in content["parameters"]),
            tuple(_held(one) for one in content["buffers"]),
            tuple(
                Node(name, tuple(given), tuple(sorted(more[0].items())) if more else ())
                for name, given, *more in content["nodes"]
            ),
            content["result"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        told = shorten(f"{type(error).__name__}: {error}", _MOST_TEXT, placeholder=" …")
        raise RuleError(f"has a program that cannot be read ({told})") from None
    try:
        _check(program)
    except RuleError as error:
        raise RuleError(shorten(str(error), _MOST_TEXT, placeholder=" …")) from None
    return program


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _listed(held: Held) -> list[Any]:
    start = [held.values] if held.values else [held.start] if held.start is not None else []
    return [held.name, held.shape, held.dtype, *start]


def _held(given: list[Any]) -> Held:
    name, shape, dtype, *start = given
    if start and isinstance(start[0], str):
        return Held(name, tuple(shape), dtype, None, start[0])
    return Held(name, tuple(shape), dtype, start[0] if start else None)


def _check(program: Program) -> None:
    for what, shape in (("input", program.input), ("output", program.output)):
        if len(shape) not in (1, 3) or not _are_extents(shape):
            raise RuleError(f"has a program whose {what} is {shape}, not C, H, W or F")
    if type(program.macs) is not int or not 0 <= program.macs <= _MOST:
        raise RuleError(f"has a program of {program.macs!r} macs")
    held = (*program.parameters, *program.buffers)
    for one in held:
        _check_held(one, is_parameter=one in program.parameters)
    names = [one.name for one in held]
    inside = {
        ".".join(parts[:i]) for n in names for parts in [n.split(".")] for i in range(len(parts))
    }
    twice = next((name for name in names if names.count(name) > 1 or name in inside), None)
    if twice is not None:
        raise RuleError(f"has a program with two things called {twice!r}")
    if not program.nodes:
        raise RuleError("has a program without operations")
    if type(program.result) is not int or not 1 <= program.result <= len(program.nodes):
        raise RuleError(f"has a program that gives the value of {program.result!r}, no node of it")
    for place, node in enumerate(program.nodes, 1):
        _check_node(node, place, set(names))


def _are_extents(shape: Shape) -> bool:
    return all(type(one) is int and 1 <= one <= _LARGEST for one in shape)


def _check_held(held: Held, *, is_parameter: bool) -> None:
    what = f"has a program whose tensor {held.name!r}"
    if not isinstance(held.name, str) or not all(held.name.split(".")):
        raise RuleError(f"{what} has no such name in torch")
    if not _are_extents(held.shape) or math.prod(held.shape) > _MOST:
        raise RuleError(f"{what} has the shape {held.shape}")
    is_known = isinstance(held.dtype, str) and held.dtype in SIZES
    if not is_known or (is_parameter and held.dtype != "float32"):
        raise RuleError(f"{what} is of {held.dtype!r}; parameters are of float32")
    if held.values:
        try:
            size = len(held.data)
        except (binascii.Error, ValueError, zlib.error):
            size = -1
        if is_parameter or size != math.prod(held.shape) * SIZES[held.dtype]:
            raise RuleError(f"{what} has values that are not those of {held.shape}, {held.dtype}")
    elif held.start is None and is_parameter:
        return
    elif type(held.start) not in (int, float) or not abs(held.start or 0) <= _LARGEST_NUMBER:
        raise RuleError(f"{what} starts with {held.start!r}, no number")


def _check_node(node: Node, place: int, names: set[str]) -> None:
    what = f"has a program whose operation {place}"
    operation = node.operation
    if not isinstance(operation, str) or not _OPERATION.fullmatch(operation):
        raise RuleError(f"{what} is {operation!r}: only operations of aten and sums of sizes are")
    if operation.startswith("operator.") and operation.split(".")[1] not in ARITHMETIC:
        raise RuleError(f"{what} is {operation}: of operator there are {', '.join(ARITHMETIC)}")
    if not all(name.isidentifier() for name, _ in node.options):
        raise RuleError(f"{what} has an option that is no name")
    given = [node.arguments, [value for _, value in node.options]]
    for mark in _marks(given):
        if len(mark) != 1:
            raise RuleError(f"{what} has an argument {mark!r}")
        ((name, value),) = mark.items()
        match name:
            case "value":
                fits = type(value) is int and 0 <= value < place
            case "weight":
                fits = isinstance(value, str) and value in names
            case _:
                fits = name in _MARKS and not isinstance(value, list | dict)
                fits = fits and value in _MARKS[name]
        if not fits:
            raise RuleError(f"{what} reads {name} {value!r}, which there is not")


def _marks(argument: Argument) -> Iterator[dict[str, Any]]:
    match argument:
        case dict():
            yield argument
        case list() | tuple():
            for one in argument:
                yield from _marks(one)
