"""`Architecture`: a network as a value, checked once, with exact shapes and costs."""

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from archpress.architecture.kinds import KINDS, output_shape
from archpress.architecture.layers import Joining, Layer
from archpress.architecture.shape_rules import RuleError, Shape
from archpress.errors import ArchitectureError
from archpress.whole_files import write_text

FORMAT = "archpress-architecture"
FORMAT_VERSION = 1
BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True)
class Architecture:
    """A network's structure without its weights: equal values are the same structure.

    Attributes:
        input_shape: `(C, H, W)` of one image.
        layers: in an order in which every layer comes after those it reads; the last is the output.
        shapes: shape of each layer's output, one image.

    Raises:
        ArchitectureError: names the layer, the rule that is broken and the value.

    >>> net = Architecture((1, 8, 8), (Layer("conv", 3, 4, 1, 1), Layer("linear", channels=10)))
    >>> net.parameters, net.macs, net.shapes
    (2610, 4864, ((4, 8, 8), (10,)))
    """

    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    shapes: tuple[Shape, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every layer and set the shapes."""
        if (
            len(self.input_shape) != 3
            or not all(type(extent) is int for extent in self.input_shape)
            or min(self.input_shape) < 1
        ):
            raise ArchitectureError(
                f"input shape must be three positive integers C, H, W, not {self.input_shape}"
            )
        if not self.layers:
            raise ArchitectureError("an architecture needs at least one layer")
        object.__setattr__(self, "shapes", _shapes(self.input_shape, self.layers))

    # --- where each layer reads ---

    def input_indices(self, index: int) -> tuple[int, ...]:
        """Indices of the layers that layer `index` reads; -1 is the input of the network."""
        return self._sources[index]

    @cached_property
    def _sources(self) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(index - offset for offset in layer.inputs)
            for index, layer in enumerate(self.layers)
        )

    def input_shapes(self, index: int) -> tuple[Shape, ...]:
        """Shapes that layer `index` reads."""
        return tuple(
            self.input_shape if source < 0 else self.shapes[source]
            for source in self.input_indices(index)
        )

    @property
    def is_chain(self) -> bool:
        """Whether every layer reads just the one before it."""
        return all(layer.inputs == (1,) for layer in self.layers)

    @property
    def classes(self) -> int:
        """Number of values of the output; a `K x 1 x 1` map counts as K."""
        size = 1
        for extent in self.shapes[-1]:
            size *= extent
        return size

    @property
    def of_logits(self) -> "Architecture":
        """The same net without a softmax at its end, or its logarithm: the loss has one."""
        layers = self.layers
        while len(layers) > 1 and layers[-1].kind in ("softmax", "log_softmax"):
            if layers[-1].inputs != (1,):
                break
            layers = layers[:-1]
        return self if layers == self.layers else Architecture(self.input_shape, layers)

    # --- exact costs ---

    @cached_property
    def layer_parameters(self) -> tuple[int, ...]:
        """Weights of each layer."""
        return tuple(
            KINDS[layer.kind].parameters(layer, self.input_shapes(index)[0])
            for index, layer in enumerate(self.layers)
        )

    @cached_property
    def layer_macs(self) -> tuple[int, ...]:
        """Multiply-adds of each layer for one image."""
        return tuple(
            KINDS[layer.kind].macs(layer, self.input_shapes(index)[0], self.shapes[index])
            for index, layer in enumerate(self.layers)
        )

    @cached_property
    def parameters(self) -> int:
        """Number of weights that training changes; running statistics are not among them."""
        return sum(self.layer_parameters)

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of one forward pass of one image."""
        return sum(self.layer_macs)

    @cached_property
    def peak_memory(self) -> int:
        """Most bytes of activations alive at once, one float32 image, layers run in order.

        A layer's output is counted beside everything that it or a later layer still reads; weights
        are not counted (they are `4 * parameters` bytes), nor is the scratch space of a kernel.
        """
        last_reader = {-1: 0}
        for index in range(len(self.layers)):
            last_reader[index] = index
            for source in self.input_indices(index):
                last_reader[source] = index
        sizes = {-1: math.prod(self.input_shape)}
        live, peak = sizes[-1], 0
        for index, shape in enumerate(self.shapes):
            sizes[index] = math.prod(shape)
            live += sizes[index]
            peak = max(peak, live)
            for source in {*self.input_indices(index), index}:
                if last_reader[source] == index and index != len(self.layers) - 1:
                    live -= sizes[source]
        return BYTES_PER_VALUE * peak

    @cached_property
    def file_size(self) -> int:
        """Bytes of `weights.safetensors` of a run: weights, running statistics, the file's head."""
        from archpress.architecture.file_size import weights_file_size  # which reads Architectures

        return weights_file_size(self)

    @cached_property
    def activations(self) -> int:
        """Values of all layers' outputs together, one image: what training must keep."""
        return sum(math.prod(shape) for shape in self.shapes)

    # --- identity ---

    @cached_property
    def key(self) -> str:
        """32 hex digits, the same for nets that differ only in order or in layers that do nothing.

        A hash over the graph of the simplified form: each layer's hash covers its fields and the
        hashes of what it reads, so the order of a list of layers does not matter.
        """
        from archpress.architecture.simplify import simplify  # simplify builds Architectures

        simple = simplify(self)
        digests = [_digest(repr(simple.input_shape))]
        for index, layer in enumerate(simple.layers):
            read = [digests[source + 1] for source in simple.input_indices(index)]
            if KINDS[layer.kind].joining is Joining.ADD:
                read.sort()
            fields = (layer.kind, layer.kernel, layer.channels, layer.stride, layer.padding)
            options = (layer.options,) if layer.options else ()  # keys are older than options
            described = (*fields, layer.bias_free, float(layer.rate), read, *options)
            digests.append(_digest(repr(described)))
        about = (digests[-1], len(simple.layers), simple.parameters)
        return _digest(repr(about + _readers_of_twins(simple, digests)))

    # --- text ---

    def to_json(self) -> str:
        """JSON with a format name and a version; `from_json` gives back an equal value."""
        layers = [_layer_to_dict(layer) for layer in self.layers]
        head = {"format": FORMAT, "version": FORMAT_VERSION, "input_shape": list(self.input_shape)}
        lines = ",\n    ".join(json.dumps(layer) for layer in layers)
        return json.dumps(head)[:-1] + f', "layers": [\n    {lines}\n]}}\n'

    @classmethod
    def from_json(cls, text: str, *, where: str = "architecture") -> "Architecture":
        """Read what `to_json` wrote.

        Args:
            text: the JSON.
            where: how error messages name its origin, e.g. the file's path.

        Raises:
            ArchitectureError: not JSON, a field that is missing, unknown or out of range, a newer
                version, or layers that are no valid net.
        """
        try:
            content = from_json(text)
        except ValueError as error:  # also nesting beyond all sense
            raise ArchitectureError(f"{where} is not valid JSON: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ArchitectureError(f'{where} is no architecture: it lacks "format": "{FORMAT}"')
        version = content.get("version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ArchitectureError(
                f"{where} has format version {version}; this archpress reads up to "
                f"{FORMAT_VERSION}, a newer one is needed"
            )
        try:
            record = _ArchitectureRecord.model_validate(content)
            layers = tuple(
                Layer(
                    **{
                        **vars(layer),
                        "inputs": tuple(layer.inputs),
                        "options": tuple(sorted(layer.options.items())),
                    }
                )
                for layer in record.layers
            )
            return cls(record.input_shape, layers)
        except ValidationError as error:
            first = error.errors()[0]
            place = " ".join(map(str, first["loc"])).replace("layers ", "layer ")
            found = "" if first["type"] == "missing" else f", not {first['input']!r}"
            raise ArchitectureError(f"{where}: {place}: {first['msg']}{found}") from None
        except ArchitectureError as error:
            raise ArchitectureError(f"{where}: {error}") from None

    @classmethod
    def from_json_later(cls, text: str, *, where: str, **known: str | int) -> "Architecture":
        """What `from_json` gives, but the text is read when more is asked for than is known.

        A store holds more architectures than one looks at, and reading them takes nearly all of
        the time that reading its trials does.

        Args:
            text: the JSON.
            where: how error messages name its origin.
            **known: properties that need no reading, such as `key`.
        """
        unread = cls.__new__(cls)
        vars(unread).update(known, _unread=(text, where))
        return unread

    if not TYPE_CHECKING:  # a type checker would take any attribute for one of an architecture

        def __getattr__(self, name: str) -> object:
            """Read what `from_json_later` left; called for attributes that are not there."""
            if name in {"input_shape", "layers", "shapes"} and "_unread" in vars(self):
                text, where = vars(self)["_unread"]
                vars(self).update(vars(self.from_json(text, where=where)))
                return vars(self)[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def save(self, path: Path | str) -> None:
        """Write the JSON to a file, whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        write_text(Path(path), self.to_json())

    @classmethod
    def load(cls, path: Path | str) -> "Architecture":
        """Read a file that `save` wrote.

        Raises:
            ArchitectureError: the file cannot be read or its content is no architecture.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ArchitectureError(f"cannot read architecture file {path}: {error}") from None
        return cls.from_json(text, where=str(path))

    def __str__(self) -> str:
        kinds = sum(layer.kind in {"conv", "depthwise", "linear"} for layer in self.layers)
        return (
            f"{len(self.layers)} layers ({kinds} with weights to multiply), "
            f"{self.parameters:,} parameters, {self.macs:,} macs"
        )


class _LayerRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str
    kernel: int = 0
    channels: int = 0
    stride: int = 0
    padding: int = 0
    inputs: list[int] = Field(default_factory=lambda: [1])
    bias_free: bool = False
    rate: float = 0.0
    options: dict[str, int | float | bool | str] = Field(default_factory=dict)


class _ArchitectureRecord(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: str
    version: Literal[1]
    input_shape: tuple[int, int, int]
    layers: list[_LayerRecord]


def _layer_to_dict(layer: Layer) -> dict[str, object]:
    fields = {
        name: list(value) if isinstance(value, tuple) else value
        for name in Layer.__slots__
        if (value := getattr(layer, name)) and not (name == "inputs" and value == (1,))
    }
    return fields | ({"options": dict(layer.options)} if layer.options else {})


def _shapes(input_shape: Shape, layers: tuple[Layer, ...]) -> tuple[Shape, ...]:
    shapes: list[Shape] = []
    for index, layer in enumerate(layers):
        try:
            _check_inputs(layer, index)
            sources = [index - offset for offset in layer.inputs]
            read = [input_shape if source < 0 else shapes[source] for source in sources]
            shapes.append(output_shape(layer, read))
        except RuleError as error:
            raise ArchitectureError(f"layer {index} ({layer.kind}): {error}") from None
    return tuple(shapes)


def _check_inputs(layer: Layer, index: int) -> None:
    if not layer.inputs:
        raise RuleError("inputs must hold at least one offset")
    for offset in layer.inputs:
        if type(offset) is not int or not 1 <= offset <= index + 1:
            raise RuleError(f"input offset {offset} is not among 1 to {index + 1}")


def _readers_of_twins(net: Architecture, digests: list[str]) -> tuple[str, ...]:
    """What tells nets apart of which layers that are alike have other readers.

    Args:
        net: simplified.
        digests: of its input and its layers.
    """
    if len(set(digests)) == len(digests):
        return ()
    readers: list[list[tuple[str, str, int]]] = [[] for _ in digests]
    for index in reversed(range(len(net.layers))):
        own = _digest(repr(sorted(readers[index + 1])))
        in_order = KINDS[net.layers[index].kind].joining is not Joining.ADD
        for place, source in enumerate(net.input_indices(index)):
            readers[source + 1].append((digests[index + 1], own, place if in_order else 0))
    described = zip(digests, map(sorted, readers), strict=True)
    return tuple(sorted(_digest(repr(one)) for one in described))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def chain(input_shape: tuple[int, int, int], *layers: Layer) -> Architecture:
    """An architecture of layers one after the other.

    >>> chain((3, 8, 8), Layer("global_average_pool"), Layer("linear", channels=2)).parameters
    8
    """
    return Architecture(input_shape, layers)
