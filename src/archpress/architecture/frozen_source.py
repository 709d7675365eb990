"""Frozen layers as plain PyTorch: a class for each, in the source that `export` writes."""

import json
import keyword
from collections.abc import Iterator

from archpress.architecture.frozen import start_of
from archpress.architecture.frozen_program import (
    Argument,
    Held,
    Node,
    Program,
    read_program,
)
from archpress.architecture.shape_rules import Shape

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%", "truediv": "/"}
_MOST_TEXT = 88  # characters of a line in `forward`
_FEW = 16  # values of a buffer that are written out

_BASE = '''\
aten = torch.ops.aten


def hold(module, name, value):
    """Keep a parameter or a buffer under its name; dots in it are modules inside."""
    *path, last = name.split(".")
    for part in path:
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module._modules[part]
    if isinstance(value, nn.Parameter):
        module.register_parameter(last, value)
    else:
        module.register_buffer(last, value)


def held(module, name):
    """What `hold` keeps."""
    path, _, last = name.rpartition(".")
    return getattr(module.get_submodule(path), last)


def drawn(*shape):
    """A parameter as torch draws the weights of a convolution."""
    return nn.init.kaiming_uniform_(torch.empty(shape), a=5**0.5)
'''


def class_name(layer: str) -> str:
    """Of a layer: `frozen1` is `Frozen1`."""
    return layer.capitalize()


def frozen_classes(programs: dict[str, str]) -> str:
    """The classes of frozen layers, behind what they share; empty where there is none.

    Args:
        programs: by the names of the layers.
    """
    if not programs:
        return ""
    classes = [_class(class_name(name), read_program(text)) for name, text in programs.items()]
    return "\n\n".join([_BASE, *classes]) + "\n\n"


def _class(name: str, program: Program) -> str:
    shapes = (" x ".join(map(str, shape)) for shape in (program.input, program.output))
    lines = [
        f"class {name}(nn.Module):",
        f'    """A part that stays as it was: B x {" -> B x ".join(shapes)}."""',
    ]
    held = (*program.parameters, *program.buffers)
    if held:
        lines += ["", "    def __init__(self):", "        super().__init__()"]
        lines += [f"        hold(self, {_quoted(one.name)}, {_made(one, program)})" for one in held]
    lines += ["", "    def forward(self, x):"]
    lines += [f"        {line}" for line in _Body(program).lines()]
    return "\n".join(lines) + "\n"


def _made(held: Held, program: Program) -> str:
    """How a tensor begins; buffers of many values come with the weights."""
    dtype = "" if held.dtype == "float32" else f", dtype=torch.{held.dtype}"
    if held in program.parameters:
        if held.start is not None:
            return f"nn.Parameter({_filled(held.shape, float(held.start))})"
        if len(held.shape) > 1:
            return f"nn.Parameter(drawn({', '.join(map(str, held.shape))}))"
        return f"nn.Parameter(torch.zeros({held.shape}))"
    if held.values:
        values = start_of(held)
        if values is not None and values.numel() <= _FEW and bool(values.isfinite().all()):
            return f"torch.tensor({values.tolist()}{dtype})"
        return f"torch.zeros({held.shape}{dtype})"
    if not dtype and held.start is not None:
        return _filled(held.shape, float(held.start))
    return f"torch.full({held.shape}, {held.start!r}{dtype})"


def _filled(shape: Shape, value: float) -> str:
    if value in (0, 1):
        return f"torch.{'ones' if value else 'zeros'}({shape})"
    return f"torch.full({shape}, {value})"


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


class _Body:
    """The lines of a forward: a name for each value, and code for each node."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._names = ["x"]
        seen = {"x", "self", "torch", "nn", "aten", "held", "float"}
        for node in program.nodes:
            base = node.operation.split(".")[1].strip("_") or "value"
            base = f"{base}_" if keyword.iskeyword(base) else base
            name, number = base, 2
            while name in seen:
                name, number = f"{base}{number}", number + 1
            seen.add(name)
            self._names.append(name)

    def lines(self) -> Iterator[str]:
        """One a node."""
        if self._program.may_change_its_input:
            yield "x = x.clone()"
        for place, node in enumerate(self._program.nodes, 1):
            line = f"{self._names[place]} = {self._call(node)}"
            if len(line) > _MOST_TEXT and line.endswith(")"):
                begin, _, inside = line.partition("(")
                yield from (f"{begin}(", f"    {inside[:-1]}", ")")
            else:
                yield line
        yield f"return {self._names[self._program.result]}"

    def _call(self, node: Node) -> str:
        given = [self._text(one) for one in node.arguments]
        home, name, *_ = node.operation.split(".")
        if home == "operator":
            if name == "getitem":
                return f"{given[0]}[{given[1]}]"
            return f"-{given[0]}" if name == "neg" else f"{given[0]} {_SIGNS[name]} {given[1]}"
        given += [f"{key}={self._text(value)}" for key, value in node.options]
        return f"{node.operation}({', '.join(given)})"

    def _text(self, argument: Argument) -> str:
        match argument:
            case {"value": int(index)}:
                return self._names[index]
            case {"weight": str(name)}:
                return _attribute(name)
            case {"training": _}:
                return "self.training"
            case {"device": _}:
                return "x.device"
            case {"number": text}:
                return f'float("{text}")'
            case dict():
                return f"torch.{next(iter(argument.values()))}"
            case list() | tuple():
                return f"[{', '.join(map(self._text, argument))}]"
        return repr(argument)


def _attribute(name: str) -> str:
    parts = name.split(".")
    is_plain = all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)
    return f"self.{name}" if is_plain else f"held(self, {_quoted(name)})"
