"""Networks by torch.export: a module that torch.fx cannot follow, and `.pt2` files."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from operator import getitem

import torch
from torch import fx, nn

from archpress.architecture.graphs import read_graph
from archpress.architecture.reading import Traced

_BATCH = 3  # unlike most sides and numbers of groups, so that a shape shows where the batch stands
_VIEWS = {
    *("view", "reshape", "slice", "select", "permute", "transpose", "chunk", "split", "expand"),
    *("split_with_sizes", "unsqueeze", "squeeze", "flatten", "narrow", "unbind", "t", "alias"),
}


def read_exported(
    module: nn.Module, input_shape: tuple[int, int, int], batch: int = _BATCH
) -> Traced:
    """The architecture of a module, by torch.export.

    Args:
        module: in evaluation.
        input_shape: `(C, H, W)` of one image.
        batch: number of images to follow forward with, where it is not free.

    Raises:
        ArchitectureError: an operation has no layer.
        Exception: whatever torch.export, or forward itself, raises.
    """
    device = next((tensor.device for tensor in module.parameters()), torch.device("cpu"))
    example = torch.zeros(batch, *input_shape, device=device)
    with quiet():
        program = torch.export.export(module, (example,))
        graph_module = program.module()
        if _changes_a_view(graph_module.graph):  # then only this shows what became of the whole
            graph_module = program.run_decompositions({}).module()
    assert isinstance(graph_module.graph, fx.Graph)
    return read_graph(graph_module, graph_module.graph, input_shape, batch)


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch.export's warnings about itself, and what it logs before it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        disabled = logging.root.manager.disable
        logging.disable()
        try:
            yield
        finally:
            logging.disable(disabled)


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
