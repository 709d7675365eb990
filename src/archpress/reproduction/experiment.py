"""`Experiment`: a row of Table 1, how much work, which methods, which limit."""

from collections.abc import Sequence
from dataclasses import dataclass

from archpress.comparison import Contestant, FinalStage, FinalTraining, Found, pick
from archpress.comparison.final_training import under_final_recipe
from archpress.errors import EvaluationError
from archpress.reproduction.scales import Scale
from archpress.reproduction.table_one import TableOneRow
from archpress.space import Limits

BASE = "base"
METHODS = ("paper", "default", "hand-made")


@dataclass(frozen=True)
class Experiment:
    """What is reproduced.

    Attributes:
        row: of Table 1.
        scale: how much work.
        methods: names of contestants; those that need the trained base take part where it is.
        max_parameters: of a result; None: as many as the paper's.
        seeds: runs of each method; None: as the scale says.

    Raises:
        EvaluationError: no method has that name, none is left, or there are no seeds.
    """

    row: TableOneRow
    scale: Scale
    methods: Sequence[str] = METHODS
    max_parameters: int | None = None
    seeds: int | None = None

    def __post_init__(self) -> None:
        """Check the methods and the seeds."""
        if self.runs < 1:
            raise EvaluationError(f"seeds must be at least 1, not {self.runs}")
        if all(one.name == BASE for one in self.contestants()):
            raise EvaluationError(
                f"at scale {self.scale.name} the base is not trained, and "
                f"{', '.join(self.methods)} cannot do without: name another method"
            )

    @property
    def runs(self) -> int:
        """Of each method."""
        return self.scale.seeds if self.seeds is None else self.seeds

    @property
    def limits(self) -> Limits:
        """That a result must keep."""
        allowed = self.row.parameters if self.max_parameters is None else self.max_parameters
        return Limits(max_parameters=allowed, max_macs=self.scale.most_macs)

    @property
    def left_out(self) -> list[str]:
        """How this is less than the paper, or other; one sentence each."""
        return self.scale.leaves_out(self.row)

    def contestants(self) -> list[Contestant]:
        """The base, where it is trained, and the methods."""
        trained = self.scale.trains_base
        methods = [one for one in pick(self.methods) if trained or not one.needs_source]
        base = Contestant(BASE, "the net to compress", "reference", lambda _: None, _the_source)
        return [base, *methods] if trained else methods


def _the_source(stage: FinalStage, found: Found) -> FinalTraining:
    return under_final_recipe(stage, stage.conditions.source, found.seed)
