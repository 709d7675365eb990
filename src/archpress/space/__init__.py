"""Where to look: search spaces and limits, repair into them, and sampling from them."""

from archpress.space.edits import edit, sample_neighbourhood
from archpress.space.limits import COSTS, Limits
from archpress.space.neighbourhood import Neighbourhood
from archpress.space.protocol import ChoiceSpace, Dial, Space
from archpress.space.repair import (
    Repaired,
    narrow_to_fit,
    repair,
    repair_vectors,
    scale_channels,
)
from archpress.space.rows import Row, RowSpace
from archpress.space.sampling import PaperSampler, distinct
from archpress.space.space import SearchSpace, paper_space, space_around

__all__ = [
    "COSTS",
    "ChoiceSpace",
    "Dial",
    "Limits",
    "Neighbourhood",
    "PaperSampler",
    "Repaired",
    "Row",
    "RowSpace",
    "SearchSpace",
    "Space",
    "distinct",
    "edit",
    "narrow_to_fit",
    "paper_space",
    "repair",
    "repair_vectors",
    "sample_neighbourhood",
    "scale_channels",
    "space_around",
]
