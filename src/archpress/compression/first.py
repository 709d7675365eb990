"""What is trained before anything is known."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from archpress.architecture import Architecture
from archpress.architecture.zoo import PYRAMID_POOLS, PYRAMID_WIDTHS, Readout, plain
from archpress.compression.settings import Settings
from archpress.errors import ArchitectureError
from archpress.evaluation import Candidate
from archpress.space import (
    Limits,
    Neighbourhood,
    SearchSpace,
    distinct,
    narrow_to_fit,
    paper_samples,
    repair,
)


class HandMade(NamedTuple):
    """A plain net to be scaled; fields as the arguments of `architecture.zoo.plain`."""

    widths: tuple[int, ...]
    readout: Readout
    pools: tuple[int, ...] = ()


USUAL = HandMade((16, 16, 32, 32, 64, 64), "average")
COARSE = HandMade((16, 16, 24, 24, 32, 32), "coarse")
LATE = COARSE._replace(pools=(3, 5))  # for 1.7 times the multiply-adds
PYRAMID = HandMade(PYRAMID_WIDTHS, "average", PYRAMID_POOLS)

# Hand-made nets among the first trials, scaled to the limits. What five minutes of handwork find,
# the search should start from.
HAND_MADE: tuple[HandMade, ...] = (
    USUAL,
    COARSE,
    HandMade((16, 16, 24, 24, 32, 32, 48, 48), "average"),
    HandMade((12, 12, 16, 16, 16, 16), "map"),
    HandMade((16, 24, 24, 24, 16), "map"),
    PYRAMID,
)
LATE_FROM = 0.8  # of the coarse net's parameters: with fewer it is no finalist
LATE_MOST_MACS = 0.5  # of the source's: with more it is none
PYRAMID_FROM = 2.0  # times the usual net's parameters: with fewer the pyramid is none


def first_candidates(
    space: Neighbourhood,
    limits: Limits,
    settings: Settings,
    rng: np.random.Generator,
    known: Iterable[str] = (),
) -> list[Candidate]:
    """The narrowed source and hand-made nets of the size allowed; then samples.

    As far as fewer than `settings.first` are known, samples of the neighbourhood and of the paper's
    sampler. Where the accuracy is limited, the source itself, to compare with.

    Args:
        space: nets around the source, with the limits.
        limits: the user's.
        settings: how many.
        rng: of the samples.
        known: keys of trials that are there already.
    """
    anchors = anchor_nets(space.source, space.choices)
    if limits.any_accuracy:
        anchors.insert(0, Candidate(space.source, "source"))
    taken = set(known)
    missing = max(0, settings.first - len(taken) - len(anchors))
    from_paper = round(missing * settings.paper_share)
    taken |= {one.architecture.key for one in anchors}
    near = distinct(space.sample(rng), missing - from_paper, known=taken)
    taken |= {net.key for net in near}
    far = distinct(paper_samples(space.choices, rng), from_paper, known=taken)
    taken |= {net.key for net in far}
    near += distinct(space.sample(rng), from_paper - len(far), known=taken)  # in their place
    return [
        *anchors,
        *(Candidate(net, "neighbourhood") for net in near),
        *(Candidate(net, "paper-sampler") for net in far),
    ]


def anchor_nets(source: Architecture, space: SearchSpace) -> list[Candidate]:
    """The source narrowed to the limits, and hand-made nets of that size."""
    narrowed = narrow_to_fit(source, space) or repair(source.layers, space).architecture
    candidates = [Candidate(narrowed, "narrowed source")]
    candidates += [Candidate(net, "hand-made") for net in hand_made_nets(space)]
    unique = {one.architecture.key: one for one in reversed(candidates)}
    return [one for one in reversed(unique.values()) if space.contains(one.architecture)]


def hand_made_nets(
    space: SearchSpace, designs: Iterable[HandMade] = HAND_MADE
) -> list[Architecture]:
    """Plain conv-BN-ReLU nets as wide as the limits allow, the usual one first.

    None where layers of a source are kept, which they do not have; designs that do not fit
    are left out.
    """
    nets: list[Architecture] = []
    if space.kept is not None:
        return nets
    for widths, readout, pools in designs:
        layers = plain([8 * width for width in widths], space.classes, readout, pools)
        try:
            wide = Architecture(space.input_shape, tuple(layers))
        except ArchitectureError:  # its pools do not fit the smallest images
            continue
        fitting = narrow_to_fit(wide, space)
        if fitting is not None:
            nets.append(fitting)
    return nets


def hand_made_finalists(around: Neighbourhood) -> list[Architecture]:
    """Hand-made nets that are worth a final training, the usual one first.

    They keep the limits, not the space's bound on the time that a training takes. Where parameters
    are what is short, and multiply-adds still half of the source's at most, one that pools late is
    among them. Where parameters are to spare, since multiply-adds or time are short, the pyramid
    is: it has many more parameters for as many multiply-adds.
    """
    space = replace(around.choices, most_activations=None)

    def of_at_least(parameters: float, design: HandMade) -> list[Architecture]:
        return [net for net in hand_made_nets(space, [design]) if net.parameters >= parameters]

    nets = hand_made_nets(space, [USUAL, COARSE])
    if not nets:
        return []
    late = of_at_least(LATE_FROM * nets[-1].parameters, LATE)
    late = [net for net in late if net.macs <= LATE_MOST_MACS * around.source.macs]
    return [*nets, *late, *of_at_least(PYRAMID_FROM * nets[0].parameters, PYRAMID)]
