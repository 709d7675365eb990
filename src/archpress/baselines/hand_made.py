"""Plain hand-made nets, scaled to the limits: what five minutes of handwork find."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from archpress.architecture import Architecture
from archpress.architecture.zoo import PYRAMID_POOLS, PYRAMID_WIDTHS, Readout, plain
from archpress.errors import ArchitectureError
from archpress.evaluation import Candidate
from archpress.search import Arm, Asking, Problem
from archpress.space import Neighbourhood, SearchSpace, narrow_to_fit, require_neighbourhood


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
    space = _of_any_time(around.search_space)

    def of_at_least(parameters: float, design: HandMade) -> list[Architecture]:
        return [net for net in hand_made_nets(space, [design]) if net.parameters >= parameters]

    nets = hand_made_nets(space, [USUAL, COARSE])
    if not nets:
        return []
    late = of_at_least(LATE_FROM * nets[-1].parameters, LATE)
    late = [net for net in late if net.macs <= LATE_MOST_MACS * around.source.macs]
    return [*nets, *late, *of_at_least(PYRAMID_FROM * nets[0].parameters, PYRAMID)]


def hand_made(design: HandMade = USUAL) -> Arm[Architecture]:
    """A plain net of conv-BN-ReLU blocks, as wide as the limits allow: five minutes of handwork.

    Args:
        design: which form it has.
    """

    def ask(problem: Problem[Architecture]) -> Asking[Architecture]:
        around = require_neighbourhood(problem.space, "a hand-made net")
        nets = hand_made_nets(_of_any_time(around.search_space), [design])
        yield [Candidate(net, "hand-made") for net in nets]

    return Arm("hand-made", ask)


def _of_any_time(space: SearchSpace) -> SearchSpace:
    """The space without its bound on the time that a training takes."""
    return replace(space, most_activations=None)
