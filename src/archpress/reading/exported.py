"""Networks by torch.export: a module that torch.fx cannot follow, and `.pt2` files."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from operator import getitem
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from archpress.architecture.quiet import quiet
from archpress.architecture.shape_rules import Shape, format_shape
from archpress.errors import ArchitectureError, told
from archpress.reading.graphs import FROZEN, read_graph
from archpress.reading.operations import Handler
from archpress.reading.traced import Traced, as_rows, in_batches

_BATCH = 3  # unlike most sides and numbers of groups, so that a shape shows where the batch stands
_VIEWS = {
    *("view", "reshape", "slice", "select", "permute", "transpose", "chunk", "split", "expand"),
    *("split_with_sizes", "unsqueeze", "squeeze", "flatten", "narrow", "unbind", "t", "alias"),
}


def read_exported(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    batch: int = _BATCH,
    frozen: Mapping[str, "Whole"] | None = None,
) -> Traced:
    """The architecture of a module, by torch.export.

    Args:
        module: in evaluation.
        input_shape: `(C, H, W)` of one image.
        batch: number of images to follow forward with, where it is not free.
        frozen: submodules that are layers of their own, by their paths.

    Raises:
        ArchitectureError: an operation has no layer.
        Exception: whatever torch.export, or forward itself, raises.
    """
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    example = torch.zeros(batch, *input_shape, device=device)
    parts = frozen or {}
    with (
        quiet(),
        _whole(module, parts),
        torch.no_grad(),
    ):  # so that forward's own no_grad is no part of the graph
        program = torch.export.export(module, (example,))
        graph_module = program.module()
        if _changes_a_view(graph_module.graph):  # then only this shows what became of the whole
            graph_module = program.run_decompositions({}).module()
    assert isinstance(graph_module.graph, fx.Graph)
    handlers = {path: part.handler for path, part in parts.items()}
    return read_graph(graph_module, graph_module.graph, input_shape, batch, handlers)


@dataclass(frozen=True, slots=True)
class Whole:
    """A submodule that is one layer.

    Attributes:
        gives: shape of its output, one image.
        handler: how to take it, called with its input.
    """

    gives: Shape
    handler: Handler


@contextmanager
def _whole(module: nn.Module, parts: Mapping[str, Whole]) -> Iterator[None]:
    """With a call of one operation as the forward of these submodules."""
    changed = []
    try:
        for place, (path, part) in enumerate(parts.items()):
            one = module.get_submodule(path)
            changed.append((one, one.__dict__.get("forward")))
            call = partial(_operation(), place=place, shape=list(part.gives))
            one.__dict__["forward"] = call
        yield
    finally:
        for one, before in changed:
            del one.__dict__["forward"]
            if before is not None:
                one.__dict__["forward"] = before


@cache
def _operation() -> Callable[..., Tensor]:
    """What stands for a part in a graph; it is never run."""

    def frozen(x: Tensor, place: int, shape: list[int]) -> Tensor:
        return x.new_empty(x.shape[0], *shape)

    operation = torch.library.custom_op(f"archpress::{FROZEN}", frozen, mutates_args=())
    operation.register_fake(frozen)
    return operation


@dataclass(frozen=True, slots=True)
class ExportedNet:
    """A `.pt2` file, checked to have one input of images.

    Attributes:
        path: of the file.
        module: what it computes.
        parameters: weights of the module that was exported.
        shape: `(C, H, W)`; None where the file leaves one of them free and has no example.
        batch: how many images it is for; None where that is free.
    """

    path: Path
    module: nn.Module
    parameters: int
    shape: tuple[int, int, int] | None
    batch: int | None

    def read(self, input_shape: tuple[int, int, int]) -> Traced:
        """The layers of the file.

        Raises:
            ArchitectureError: an operation has no layer, or the file is not for such images.
        """
        try:
            return read_exported(self.module, input_shape, self.batch or _BATCH)
        except ArchitectureError:
            raise
        except Exception as error:  # of the guards that torch.export wrote into the file
            raise ArchitectureError(
                f"{self.path} cannot be followed for images of "
                f"{format_shape(input_shape)} ({told(error)})"
            ) from None

    def outputs(self, images: Tensor) -> Tensor:
        """What the file gives for images, `B x C x H x W`; `B x K`."""

        def whole(part: Tensor) -> Tensor:
            return as_rows(self.module(part))

        with torch.no_grad(), quiet():
            return in_batches(whole, self.batch)(images)


def load_exported(path: Path) -> ExportedNet:
    """A file that `torch.export.save` wrote.

    Raises:
        ArchitectureError: it is none, or it has not one input of float32 images.
    """
    try:
        with quiet():
            program = torch.export.load(path)
            module = program.module()
    except Exception as error:  # of zip files, of JSON, of other versions of torch
        raise ArchitectureError(
            f"{path} cannot be read as a program of torch.export ({told(error)})"
        ) from None
    names = program.graph_signature.user_inputs
    inputs = [node for node in program.graph.nodes if node.name in names]
    value = inputs[0].meta.get("val") if len(inputs) == 1 else None
    if not isinstance(value, Tensor) or value.dim() != 4 or value.dtype != torch.float32:
        raise ArchitectureError(
            f"{path} reads {', '.join(map(str, names)) or 'nothing'}, which is not one tensor of "
            "B x C x H x W of float32: export it so"
        )
    sizes = [size if isinstance(size, int) else None for size in value.shape]
    example = [leaf for leaf in _leaves(program.example_inputs) if leaf.dim() == 4]
    given = list(example[0].shape) if example else sizes
    shape = [size or other for size, other in zip(sizes, given, strict=True)]
    fixed = (shape[1], shape[2], shape[3]) if all(shape[1:]) else None
    parameters = sum(weight.numel() for weight in program.parameters())
    return ExportedNet(path, module, parameters, fixed, sizes[0])


def _leaves(value: object) -> list[Tensor]:
    if isinstance(value, tuple | list):
        return [leaf for one in value for leaf in _leaves(one)]
    if isinstance(value, dict):
        return _leaves(list(value.values()))
    return [value] if isinstance(value, Tensor) else []


def _changes_a_view(graph: fx.Graph) -> bool:
    """Whether an operation that works in place works on a part of another tensor."""
    return any(
        _name(node).endswith("_") and isinstance(node.args[0], fx.Node) and _is_view(node.args[0])
        for node in graph.nodes
        if node.op == "call_function"
    )


def _is_view(node: fx.Node) -> bool:
    if node.target is getitem and isinstance(node.args[0], fx.Node):
        return _is_view(node.args[0])
    return _name(node) in _VIEWS


def _name(node: fx.Node) -> str:
    return str(getattr(getattr(node.target, "overloadpacket", node.target), "__name__", ""))
