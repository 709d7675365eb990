"""Structured pruning of a trained source by Torch-Pruning, down to the limits."""

import copy
import importlib
from collections import defaultdict
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from archpress.architecture import Architecture
from archpress.architecture.network import build
from archpress.data import ImageData
from archpress.errors import EvaluationError, SpaceError
from archpress.evaluation import Recipe, train
from archpress.evaluation.training import isolated
from archpress.reading.tracing import Traced, carry_into, trace
from archpress.space import COSTS, Limits

Importance = Literal["l1", "bn"]

# Kept in each layer: ranked over all layers at once, a layer may otherwise lose nearly everything.
LEAST_CHANNELS = 4


@dataclass(frozen=True, eq=False, slots=True)
class Pruned:
    """What is left of a network.

    Attributes:
        architecture: within the limits.
        weights: of `build(architecture)`, by name, on the CPU; after the last cut not trained on.
    """

    architecture: Architecture
    weights: dict[str, Tensor]


def prune(
    network: nn.Module,
    architecture: Architecture,
    images: ImageData,
    limits: Limits,
    recipe: Recipe,
    *,
    importance: Importance = "l1",
    steps: int = 5,
    seed: int = 0,
    device: str = "cpu",
) -> Pruned:
    """Cut the least important channels of all layers in steps, with a brief training between two.

    Each step cuts as few channels as bring the costs down by the same factor; the last one ends at
    the limits. The outputs of the head stay. The result is to be trained further, with its weights
    as the `initial` ones.

    Args:
        network: trained; stays as it is.
        architecture: of the network.
        images: to train on between the steps.
        limits: at least one on a cost; those on accuracy are for others to judge.
        recipe: of the brief trainings.
        importance: "l1": mean absolute weight of all that a channel touches; "bn": scale of its
            batch norm, where channels without one stay. Both relative to the layer's mean.
        steps: cuts, at least one.
        seed: of the trainings.
        device: as `choose_device` names it, not "auto".

    Raises:
        EvaluationError: Torch-Pruning is not installed, no batch norm for "bn", or the network is
            not of the architecture.
        SpaceError: no limit on a cost, or one that pruning cannot reach.

    Source:
        Li et al. 2017 for "l1", Liu et al. 2017 for "bn" (without their sparse training), the
        coupling of layers from Fang et al. 2023; the schedule is ours.
    """
    _check(network, architecture, limits, importance, steps)
    pruner = _Pruner(architecture.input_shape, importance, device)
    first = _excess(architecture, limits)
    network = copy.deepcopy(network).to(device)
    if first > 1:
        for step in range(1, steps + 1):
            network = pruner.cut(network, limits, first ** (1 - step / steps))
            if step < steps:
                network = train(network, images, recipe, seed + step, device=device).network
    traced = trace(network, architecture.input_shape)
    with isolated(seed, "cpu", 1):  # building draws weights
        result = carry_into(build(traced.architecture), network, traced)
    return Pruned(traced.architecture, result.state_dict())


def _check(
    network: nn.Module,
    architecture: Architecture,
    limits: Limits,
    importance: Importance,
    steps: int,
) -> None:
    if steps < 1:
        raise EvaluationError(f"pruning needs one step or more, not {steps}")
    if not limits.any_cost:
        raise SpaceError(f"pruning needs a limit on a cost, one of {', '.join(COSTS)}")
    if trace(network, architecture.input_shape).architecture != architecture:
        raise EvaluationError("the network to be pruned has other layers than its architecture")
    if importance == "bn" and not any(layer.kind == "batch_norm" for layer in architecture.layers):
        raise EvaluationError(
            "importance 'bn' ranks channels by the scales of batch norms, but this network has "
            "none: use 'l1'"
        )


def _excess(architecture: Architecture, limits: Limits) -> float:
    """The largest cost as a multiple of its limit; at most 1 where none is exceeded."""
    return max((found / allowed for _, allowed, found in limits.broken(architecture)), default=1.0)


class _Pruner:
    """Cuts channels of copies of a network."""

    def __init__(
        self, input_shape: tuple[int, int, int], importance: Importance, device: str
    ) -> None:
        self.tools = _torch_pruning()
        scores = self.tools.importance
        self.score = (
            scores.MagnitudeImportance(p=1) if importance == "l1" else scores.BNScaleImportance()
        )
        self.input_shape, self.device = input_shape, device

    def cut(self, network: nn.Module, limits: Limits, excess: float) -> nn.Module:
        """A copy with as many channels as costs of `excess` times the limits allow.

        Raises:
            SpaceError: even the narrowest has more.
        """
        smaller = copy.deepcopy(network).to(self.device).eval()
        channels = _Channels(smaller, self)
        few, many = 0, len(channels.ranked)  # `many` is enough, once checked
        narrowest = channels.architecture(many)
        if _excess(narrowest, limits) > excess:
            broken = ", ".join(
                f"{name}={allowed:,} but it has {found:,}"
                for name, allowed, found in limits.broken(narrowest)
            )
            raise SpaceError(
                f"pruning cannot reach these limits: with {LEAST_CHANNELS} channels kept in each "
                f"layer the network is still too large ({broken or 'after a step on the way'})"
            )
        while many - few > 1:
            middle = (few + many) // 2
            if _excess(channels.architecture(middle), limits) <= excess:
                many = middle
            else:
                few = middle
        channels.remove(many)
        return smaller


class _Channels:
    """The channels of a network that may be cut.

    Attributes:
        ranked: (importance, number of the group, channel), the least important first. A group is
            the layers that must lose the same channels, as those that are added do.
    """

    def __init__(self, network: nn.Module, pruner: _Pruner) -> None:
        network.zero_grad(set_to_none=True)
        self.traced = trace(network, pruner.input_shape)
        self.index = {network.get_submodule(n): i for i, n in _choosers(self.traced).items()}
        weight = next(network.parameters())
        with torch.enable_grad():  # the graph is read off the gradient's
            self.graph = pruner.tools.DependencyGraph().build_dependency(
                network, example_inputs=torch.zeros((1, *pruner.input_shape), device=weight.device)
            )
        heads = [network.get_submodule(name) for name in _head(self.traced)]
        self.groups = list(self.graph.get_all_groups(heads, (nn.Conv2d, nn.Linear)))
        self.ranked: list[tuple[float, int, int]] = []
        for number, group in enumerate(self.groups):
            scores = pruner.score(group)
            if scores is not None:  # as for a group without batch norm, where that is what counts
                self._rank(number, scores)
        self.ranked.sort()

    def _rank(self, number: int, scores: Tensor) -> None:
        """Put in the channels of a group that may go: each layer keeps its most important ones."""
        members = [channels for _, channels in self._members(number)]
        left = [len(channels) for channels in members]
        for channel in scores.argsort(stable=True).tolist():
            losing = [place for place, channels in enumerate(members) if channel in channels]
            if all(left[place] > LEAST_CHANNELS for place in losing):
                self.ranked.append((float(scores[channel]), number, channel))
                for place in losing:
                    left[place] -= 1

    def _members(self, number: int) -> list[tuple[int, set[int]]]:
        """Layers that choose channels of a group: index, and the group's channels it has."""
        return [
            (self.index[item.dep.target.module], set(item.root_idxs))
            for item in self.groups[number]
            if item.dep.target.module in self.index
            and self.graph.is_out_channel_pruning_fn(item.dep.handler)
        ]

    def architecture(self, count: int) -> Architecture:
        """What is left without the first `count` of `ranked`."""
        layers = list(self.traced.architecture.layers)
        for number, doomed in self._doomed(count).items():
            for index, channels in self._members(number):
                left = layers[index].channels - len(channels & doomed)
                layers[index] = replace(layers[index], channels=left)
        return Architecture(self.traced.architecture.input_shape, tuple(layers))

    def remove(self, count: int) -> None:
        """Cut the first `count` of `ranked`, with all that reads them."""
        for number, doomed in self._doomed(count).items():
            root: Any = self.groups[number][0].dep
            self.graph.get_pruning_group(root.target.module, root.handler, sorted(doomed)).prune()

    def _doomed(self, count: int) -> dict[int, set[int]]:
        doomed: dict[int, set[int]] = defaultdict(set)
        for _, number, channel in self.ranked[:count]:
            doomed[number].add(channel)
        return doomed


def _choosers(traced: Traced) -> dict[int, str]:
    """Index and name of the layers that choose their channels."""
    layers = traced.architecture.layers
    return {i: name for i, name in enumerate(traced.names) if layers[i].kind in ("conv", "linear")}


def _head(traced: Traced) -> list[str]:
    """Names of the layers whose channels are the outputs."""
    architecture = traced.architecture
    pending, names = [len(architecture.layers) - 1], []
    while pending:
        index = pending.pop()
        if index >= 0 and architecture.layers[index].channels:
            names.append(traced.names[index])
        elif index >= 0:
            pending += architecture.input_indices(index)
    return names


def _torch_pruning() -> ModuleType:
    try:
        return importlib.import_module("torch_pruning")
    except ImportError:
        raise EvaluationError(
            "pruning needs Torch-Pruning: pip install 'archpress[baselines]'"
        ) from None
