"""The net that a user names: of the zoo, of a file, or a module of the user's code."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from archpress.architecture.architecture import Architecture
from archpress.architecture.network import (
    build,
    layer_names,
    load_weights,
    module_call,
    module_of,
)
from archpress.architecture.shape_rules import format_shape
from archpress.architecture.zoo import ZOO, InputShape, named, unknown_net
from archpress.errors import ArchitectureError
from archpress.paths import typed_path
from archpress.reading.exported import ExportedNet, load_exported
from archpress.reading.importing import module_at, names_a_module
from archpress.reading.onnx_files import OnnxNet, load_onnx, onnx_outputs, read_onnx
from archpress.reading.silent_weights import awakened
from archpress.reading.state_dicts import StateDict, network_with
from archpress.reading.traced import FrozenPart, Traced, outputs_of, weights_of
from archpress.reading.tracing import LOOK_FOR, Agreement, agreement, trace

_WEIGHTS_ALONE = (".pt", ".pth", ".ckpt", ".safetensors", ".bin", ".pkl")


@dataclass(frozen=True, slots=True)
class SourceNet:
    """A net as it was read, with its weights where it has any.

    Attributes:
        architecture: its structure.
        names: for each layer, what it is called where it was read from.
        weights: float32, named as `build(architecture).state_dict()`; None where the source is a
            structure alone.
        run: images, `B x C x H x W`, to the outputs that the source itself gives, `B x K`; None
            likewise.
        parameters: weights that the source has, used or not; None where it does not say.
        frozen: submodules that stay as they are.
        awakened: the same read anew, with values for weights that hide a branch, such as a last
            scale of zero; None where it has no such weights.
    """

    architecture: Architecture
    names: tuple[str, ...]
    weights: dict[str, Tensor] | None = None
    run: Callable[[Tensor], Tensor] | None = None
    parameters: int | None = None
    frozen: tuple[FrozenPart, ...] = ()
    awakened: "Callable[[], SourceNet | None] | None" = None

    def agreement(self) -> Agreement | None:
        """How far the network that was read is from the source itself; None for a structure.

        With its weights; where these agree and some of them hide a branch, with values for those.
        """
        if self.weights is None or self.run is None:
            return None
        network = build(self.architecture)
        load_weights(network, self.weights, where="the source")
        found = agreement(network, self.run)
        awakened = self.awakened() if found.is_close and self.awakened is not None else None
        loud = awakened.agreement() if awakened is not None else None
        return found if loud is None or loud.is_close else loud

    def misread(self, net: str) -> str | None:
        """One sentence where the network that was read is not the source, or larger; else None.

        Args:
            net: what it is called.
        """
        found, own = self.agreement(), self.parameters
        if found is None:
            return None
        if found.is_close:
            if own is None or own >= self.architecture.parameters:
                return None
            return (
                f"{net} has {own:,} parameters and its layers {self.architecture.parameters:,}, as "
                "some are worked out from others or not registered: limits and results count those "
                "of the layers"
            )
        return (
            f"{net} was read as a network whose outputs differ from its own by "
            f"{found.difference:.3g} (of up to {found.largest:.3g}), so that is another network: "
            f"{LOOK_FOR} (archpress inspect --check)"
        )


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A net that was found and opened, and not yet read.

    Attributes:
        net: as the user named it.
        fixed_shape: `(C, H, W)` of the images it is for; None where it takes those that come.
        opened: what it was found as.
        state: weights given for a structure, by `state_dicts.with_weights`.
        state_from: where those came from, as error messages call it.
    """

    net: str
    fixed_shape: InputShape | None
    opened: Architecture | nn.Module | ExportedNet | OnnxNet | None
    state: StateDict | None = field(default=None, repr=False)
    state_from: str = ""

    def read(self, input_shape: InputShape | None = None, classes: int = 10) -> SourceNet:
        """Its layers, and its weights.

        Args:
            input_shape: `(C, H, W)` of one image, for nets that take those that come.
            classes: outputs that a net of the zoo gets.

        Raises:
            ArchitectureError: something has no layer, or the shape is missing or does not fit, or
                given weights do not.
        """
        if self.opened is None:
            return self._structure(named(self.net, input_shape, classes))
        if isinstance(self.opened, Architecture):
            return self._structure(self.opened)
        shape = self._shape(input_shape)
        match self.opened:
            case nn.Module() as module:
                read = _of_module(module, shape)
                return replace(read, awakened=lambda: _awakened(module, shape))
            case ExportedNet() as net:
                return _read(net.read(shape), None, net.outputs, net.parameters)
        return _read(read_onnx(self.opened, shape), None, _outputs_of_file(self.opened), None)

    def _structure(self, architecture: Architecture) -> SourceNet:
        names = layer_names(architecture)
        if self.state is None:
            return SourceNet(architecture, names)
        network = network_with(architecture, self.state, where=self.state_from, net=self.net)
        weights, run = network.state_dict(), outputs_of(network)
        return SourceNet(architecture, names, weights, run, architecture.parameters)

    def _shape(self, input_shape: InputShape | None) -> InputShape:
        shape = input_shape or self.fixed_shape
        if shape is None:
            raise ArchitectureError(
                f"{self.net} needs the shape of its images, e.g. --input 3x224x224"
            )
        is_set = isinstance(self.opened, OnnxNet) and self.fixed_shape is not None
        if is_set and shape != self.fixed_shape:
            raise ArchitectureError(
                f"{self.net} is for images of {_text(self.fixed_shape)}, not {_text(shape)}"
            )
        return shape


def open_source(net: str) -> NamedSource:
    """Find what a user names, without reading its layers.

    Args:
        net: a name of the zoo; an architecture file (.json), a program of torch.export (.pt2) or
            an .onnx file; or FILE.py:callable, package.module:callable.

    Raises:
        ArchitectureError: there is no such net, or it cannot be opened.
    """
    path = typed_path(net)
    suffix = path.suffix.lower()
    if net in ZOO:
        return NamedSource(net, None, None)
    if suffix in (".pt2", ".onnx"):
        if not path.is_file():
            raise ArchitectureError(f"there is no file {net}")
        file = load_exported(path) if suffix == ".pt2" else load_onnx(path)
        return NamedSource(net, file.shape, file)
    if suffix == ".py" and path.is_file():
        raise ArchitectureError(f"{net} is code: name what gives the module in it, {net}:callable")
    if suffix == ".json" or path.exists():
        if suffix in _WEIGHTS_ALONE:
            raise ArchitectureError(
                f"{net} does not say how its net computes: name the code that builds it, "
                "FILE.py:callable, or save it with torch.export.save (.pt2) or torch.onnx.export"
            )
        architecture = Architecture.load(path)
        _check_frozen(architecture, net)
        return NamedSource(net, architecture.input_shape, architecture)
    if names_a_module(net):
        return NamedSource(net, None, module_at(net))
    raise unknown_net(net)


def _check_frozen(architecture: Architecture, net: str) -> None:
    """Whether this torch can run what frozen layers say."""
    for index, layer in enumerate(architecture.layers):
        call = module_call(architecture, index) if layer.kind == "frozen" else None
        if call is not None:
            try:
                with torch.device("meta"):
                    module_of(call)
            except ArchitectureError as error:
                raise ArchitectureError(f"{net}: layer {index}: {error}") from None


def read_source(net: str, input_shape: InputShape | None = None, classes: int = 10) -> SourceNet:
    """What a user names, its layers and its weights.

    Args:
        net: as `open_source` takes it.
        input_shape: `(C, H, W)` of one image; None where the net says.
        classes: outputs that a net of the zoo gets.

    Raises:
        ArchitectureError: there is no such net, it cannot be opened, or something in it has no
            layer.

    >>> source = read_source("conv7")
    >>> source.architecture.parameters, source.weights
    (708458, None)
    """
    return open_source(net).read(input_shape, classes)


def _read(
    traced: Traced,
    module: nn.Module | None,
    run: Callable[[Tensor], Tensor],
    parameters: int | None,
) -> SourceNet:
    found = weights_of(module, traced).items()
    weights = {
        name: (value.float() if value.is_floating_point() else value).cpu() for name, value in found
    }
    return SourceNet(traced.architecture, traced.names, weights, run, parameters, traced.frozen)


def _of_module(module: nn.Module, shape: InputShape) -> SourceNet:
    parameters = sum(weight.numel() for weight in module.parameters())
    return _read(trace(module, shape), module, outputs_of(module), parameters)


def _awakened(module: nn.Module, shape: InputShape) -> SourceNet | None:
    copied = awakened(module)
    try:
        return None if copied is None else _of_module(copied, shape)
    except ArchitectureError:  # what it says is said of the module as it is, if at all
        return None


def _outputs_of_file(net: OnnxNet) -> Callable[[Tensor], Tensor]:
    """Starts onnxruntime when it is called for, since reading does without."""

    def outputs(images: Tensor) -> Tensor:
        return onnx_outputs(net)(images)

    return outputs


def _text(shape: InputShape | None) -> str:
    return format_shape(shape or ())
