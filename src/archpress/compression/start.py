"""Slices of the source's weights for a final training to begin with."""

from dataclasses import replace

import torch
from torch import Tensor

from archpress.architecture import Architecture
from archpress.architecture.inheritance import inherit
from archpress.architecture.network import layer_names
from archpress.architecture.weight_files import write_weights
from archpress.compression.finals import Entrant, FinalTrainer
from archpress.evaluation import Normalisation


def begun_with(source: Entrant, entrant: Entrant, trainer: FinalTrainer) -> Entrant:
    """The entrant, begun with the source's weights where layers correspond, the rest fresh.

    Args:
        source: was trained, or came with weights.
        entrant: to be trained under a recipe of its own name.
        trainer: in whose folder the weights to start from are kept.
    """
    seed = trainer.best_seed(source)
    start = f"slices of {source.teacher}" if source.given else f"slices of {source.teacher}, {seed}"
    recipe = replace(entrant.recipe, name=f"{entrant.recipe.name}, inherited", start=start)
    weights = renormalised(
        source.architecture,
        trainer.network(source, seed).state_dict(),
        trainer.normalisation(source),
        Normalisation.of(trainer.data, recipe),
    )
    begun = replace(entrant, recipe=recipe)
    paths = []
    for one in entrant.seeds:
        path = trainer.weights(begun, one)
        path = path.with_name(f"start-{path.name}")
        found = inherit(entrant.architecture, source.architecture, weights, seed=one).weights
        write_weights(found, path)
        paths.append(path)
    return replace(begun, starts=tuple(paths))


def renormalised(
    net: Architecture, weights: dict[str, Tensor], old: Normalisation, new: Normalisation
) -> dict[str, Tensor]:
    """Weights that do with images of a new normalisation what they did with the old one.

    Convolutions and linear layers that read the image change, and the bias or batch norm that
    takes up their constant; where there is neither, or channels are grouped, that stays out. At
    borders with padding the two differ, since zeros mean another colour.

    Args:
        net: of the network.
        weights: of it, by name; stay as they are.
        old: of the images that the weights are for.
        new: of the images that they are to read.
    """
    # (x - m_old) / s_old of a pixel x is `scale * (x - m_new) / s_new + shift`.
    scale = torch.tensor(new.std) / torch.tensor(old.std)
    shift = (torch.tensor(new.mean) - torch.tensor(old.mean)) / torch.tensor(old.std)
    weights, names = dict(weights), layer_names(net)
    for index, layer in enumerate(net.layers):
        if layer.kind not in ("conv", "linear") or net.input_indices(index) != (-1,):
            continue
        weight = weights[f"{names[index]}.weight"]
        if layer.kind == "conv" and weight.shape[1] != net.input_shape[0]:  # of groups
            continue
        area = weight[0].numel() // len(scale)  # values of each channel
        constant = (weight.flatten(1) * shift.repeat_interleave(area)).sum(1)
        weights[f"{names[index]}.weight"] = (
            weight.flatten(1) * scale.repeat_interleave(area)
        ).reshape(weight.shape)
        follower = index + 1
        is_followed = follower < len(names) and net.layers[follower].kind == "batch_norm"
        if f"{names[index]}.bias" in weights:
            weights[f"{names[index]}.bias"] = weights[f"{names[index]}.bias"] + constant
        elif is_followed and net.input_indices(follower) == (index,):
            mean = f"{names[follower]}.running_mean"
            weights[mean] = weights[mean] - constant
    return weights
