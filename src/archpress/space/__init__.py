"""Where to look: search spaces and limits, repair into them, and sampling from them."""

from archpress.space.approximate_count import approximate_log10
from archpress.space.batches import ChainBatch, ChainCosts, Chains
from archpress.space.chains import ChainSampler
from archpress.space.counting import Estimate, count, estimate, most_pools
from archpress.space.edits import edit, sample_neighbourhood
from archpress.space.form import Form, matching
from archpress.space.joins import with_joins_of_two
from archpress.space.latency import LEAST_TIMED, LatencyConditions, LatencyModel, fit_of
from archpress.space.limits import COST_LIMITS, COSTS, Limits
from archpress.space.neighbourhood import Neighbourhood, require_neighbourhood
from archpress.space.protocol import ChoiceSpace, Dial, Space
from archpress.space.repair import (
    Repaired,
    narrow_to_fit,
    repair,
    repair_vectors,
    scale_channels,
)
from archpress.space.rows import Row, RowSpace
from archpress.space.sampling import PaperSampler, distinct, paper_samples
from archpress.space.space import SearchSpace, paper_space, space_around

__all__ = [
    "COSTS",
    "COST_LIMITS",
    "LEAST_TIMED",
    "ChainBatch",
    "ChainCosts",
    "ChainSampler",
    "Chains",
    "ChoiceSpace",
    "Dial",
    "Estimate",
    "Form",
    "LatencyConditions",
    "LatencyModel",
    "Limits",
    "Neighbourhood",
    "PaperSampler",
    "Repaired",
    "Row",
    "RowSpace",
    "SearchSpace",
    "Space",
    "approximate_log10",
    "count",
    "distinct",
    "edit",
    "estimate",
    "fit_of",
    "matching",
    "most_pools",
    "narrow_to_fit",
    "paper_samples",
    "paper_space",
    "repair",
    "repair_vectors",
    "require_neighbourhood",
    "sample_neighbourhood",
    "scale_channels",
    "space_around",
    "with_joins_of_two",
]
