"""What is trained before anything is known."""

from collections.abc import Iterable

import numpy as np

from archpress.architecture import Architecture
from archpress.baselines.hand_made import hand_made_nets
from archpress.compression.settings import Settings
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
    anchors = anchor_nets(space.source, space.search_space)
    if limits.any_accuracy:
        anchors.insert(0, Candidate(space.source, "source"))
    taken = set(known)
    missing = max(0, settings.first - len(taken) - len(anchors))
    from_paper = round(missing * settings.paper_share)
    taken |= {one.architecture.key for one in anchors}
    near = distinct(space.sample(rng), missing - from_paper, known=taken)
    taken |= {net.key for net in near}
    far = distinct(paper_samples(space.search_space, rng), from_paper, known=taken)
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
