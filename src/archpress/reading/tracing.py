"""From an `nn.Module` to an `Architecture`, and its weights carried over.

Forward is followed by torch.fx, and where that cannot, by torch.export. What is understood stands
in the tables of `operations` and `operations_aten`; `graphs` walks over the graph. Where both meet
what has no layer, the smallest part around it stays as it is, see `frozen_parts`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from archpress.architecture.network import Network, load_weights
from archpress.errors import ArchitectureError, told
from archpress.reading.exported import read_exported
from archpress.reading.frozen_parts import followed, trace_in_parts
from archpress.reading.graphs import read_graph
from archpress.reading.traced import Traced, evaluating, outputs_of, weights_of

__all__ = [
    "Agreement",
    "Traced",
    "agreement",
    "carry_into",
    "trace",
    "weights_of",
]

LOOK_FOR = (  # where a network was read as another
    "look for hooks, such as those of torch.nn.utils.spectral_norm, and for in-place operations on "
    "a tensor that is read again"
)

_TOLERANCE = 1e-4  # of the largest output; float32 sums in another order differ by about 1e-6


def trace(module: nn.Module, input_shape: tuple[int, int, int]) -> Traced:
    """The architecture of a module; the values of its weights do not matter.

    Args:
        module: one tensor of images in, one tensor out, by the operations in `operations`.
        input_shape: `(C, H, W)` of one image.

    Raises:
        ArchitectureError: something in the module has no layer, and no part around it can be taken
            whole; the message has its path, what it is, and the way round.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    >>> traced = trace(net, (3, 8, 8))
    >>> [layer.kind for layer in traced.architecture.layers], traced.names
    (['conv', 'relu', 'linear'], ('0', '1', '3'))
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise ArchitectureError(
            f"{type(module).__name__} is TorchScript, whose forward cannot be followed: name the "
            "module that it was made of, or save that with torch.export.save (.pt2)"
        )
    with evaluating(module):
        _initialise(module, input_shape)
        try:
            graph = followed(module)
        except ArchitectureError as error:
            return _otherwise(module, input_shape, error, is_last=False)
        try:
            return read_graph(module, graph, input_shape)
        except ArchitectureError as error:
            return _otherwise(module, input_shape, error, is_last=True)


def _initialise(module: nn.Module, input_shape: tuple[int, int, int]) -> None:
    """Give lazy modules their weights, by one pass.

    Raises:
        ArchitectureError: that pass fails, or weights have no values.
    """
    weights = list(module.parameters())
    if any(isinstance(weight, UninitializedParameter) for weight in weights):
        try:
            with torch.no_grad():
                module(torch.zeros(2, *input_shape))
        except Exception as error:  # forward is the caller's code and may raise anything
            raise ArchitectureError(
                f"{type(module).__name__} has lazy modules, and the pass that should give them "
                f"their weights fails ({told(error)})"
            ) from None
    if any(weight.is_meta for weight in weights):
        raise ArchitectureError(
            f"weights of {type(module).__name__} are on the device meta and have no values: build "
            "it on another"
        )


def _otherwise(
    module: nn.Module, input_shape: tuple[int, int, int], first: ArchitectureError, *, is_last: bool
) -> Traced:
    """By torch.export; where that fails, too, with parts that stay as they are.

    Args:
        module: in evaluation.
        input_shape: of one image.
        first: what torch.fx ended with.
        is_last: whether that names the operation; torch.export names it by its inner parts.

    Raises:
        ArchitectureError: none of them; the error that says more.
    """
    try:
        return read_exported(module, input_shape)
    except ArchitectureError as error:
        first = first if is_last else error
    except Exception:  # forward is the caller's code and may raise anything
        pass
    return trace_in_parts(module, input_shape, first)


def carry_into(network: Network, module: nn.Module, traced: Traced) -> Network:
    """The network of the traced architecture with the module's weights, checked to agree.

    Args:
        network: of `traced.architecture`; changed in place and returned.
        module: what was traced; stays as it is.
        traced: by `trace(module, ...)`.

    Raises:
        ArchitectureError: weights do not fit, or in evaluation the two give different outputs for
            random images, which means that forward does what a graph does not show.
    """
    load_weights(network, weights_of(module, traced), where=f"the {type(module).__name__}")
    found = agreement(network, module)
    if not found.is_close:
        raise ArchitectureError(
            f"the traced network and the {type(module).__name__} differ by {found.difference:.3g} "
            f"in outputs of up to {found.largest:.3g}: {LOOK_FOR}, and write them as plain layers"
        )
    return network


@dataclass(frozen=True, slots=True)
class Agreement:
    """Outputs of two networks for the same random images, in evaluation.

    Attributes:
        difference: largest absolute one.
        largest: absolute output.
    """

    difference: float
    largest: float

    @property
    def is_close(self) -> bool:
        """Whether they are the same but for rounding."""
        return self.difference <= _TOLERANCE * self.largest + 1e-6


def agreement(network: Network, module: Callable[[Tensor], Tensor]) -> Agreement:
    """How far a network is from a module, or from what else gives outputs for images.

    Both get two images of normal noise.
    """
    theirs = outputs_of(module) if isinstance(module, nn.Module) else module
    rng = torch.Generator().manual_seed(0)
    images = torch.randn((2, *network.architecture.input_shape), generator=rng)
    expected, got = theirs(images), outputs_of(network)(images)
    if got.shape != expected.shape:
        return Agreement(math.inf, float(expected.abs().max()))
    return Agreement(float((got - expected).abs().max()), float(expected.abs().max()))
