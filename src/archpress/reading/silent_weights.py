"""Weights that hide a branch until they are trained, such as a last scale that begins at zero."""

import math

import torch
from torch import nn

from archpress.reading.traced import evaluating, evaluation_copy

_LEAST = 0.02  # largest value below which a weight hides what it multiplies


def awakened(module: nn.Module) -> nn.Module | None:
    """A copy in which such weights have values that show; None where there are none, or no copy.

    Scales are drawn from 0.5 to 1.5, all else as fresh layers are. So a network that was read from
    a module can be held against it also where the module as it is would not tell.
    """
    names = [name for name, weight in module.named_parameters() if _is_silent(name, weight)]
    if not names:
        return None
    with evaluating(module):
        copied = evaluation_copy(module)
    if copied is module:
        return None
    weights, rng = dict(copied.named_parameters()), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name in names:
            weights[name].copy_(_drawn(weights[name], rng))
    return copied


def _is_silent(name: str, weight: nn.Parameter) -> bool:
    """Not so a bias, which hides nothing."""
    is_bias = name.rpartition(".")[2] in ("bias", "beta")
    return not is_bias and weight.numel() > 0 and float(weight.detach().abs().max()) < _LEAST


def _drawn(weight: nn.Parameter, rng: torch.Generator) -> torch.Tensor:
    is_scale = max(weight.shape, default=1) == weight.numel()
    if is_scale:
        return 0.5 + torch.rand(weight.shape, generator=rng)
    return torch.randn(weight.shape, generator=rng) / math.sqrt(weight[0].numel())
