"""`Inheriting`: trials that begin with slices of a trained source instead of fresh weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor

from archpress.architecture import Architecture
from archpress.architecture.inheritance import inherit
from archpress.architecture.weight_files import write_weights
from archpress.evaluation.evaluator import Pool
from archpress.evaluation.job import Job
from archpress.evaluation.trial import Candidate, Trial


class Inheriting:
    """An evaluator whose candidates inherit where their layers correspond to the source's.

    Args:
        pool: trains; its recipe is that of each training but for where it starts.
        source: whose weights they are.
        weights: state of its network, by name.
        name: of these weights, e.g. their recipe and seed; others have another one.
    """

    def __init__(
        self, pool: Pool, source: Architecture, weights: Mapping[str, Tensor], name: str
    ) -> None:
        self._pool, self._source, self._weights = pool, source, weights
        start = f"inherited from {source.key} {name}"
        self.recipe = replace(pool.recipe, name=f"{pool.recipe.name}, inherited", start=start)

    @property
    def data_key(self) -> str:
        """Key of the data set."""
        return self._pool.data_key

    @property
    def recipe_key(self) -> str:
        """Key of the recipe, its start included."""
        return self.recipe.key

    def evaluate(self, candidates: Sequence[Candidate], *, seed: int) -> Iterator[Trial]:
        """Train the candidates; trials come in the order in which they end."""
        if not candidates:
            return
        with TemporaryDirectory(prefix="archpress-") as folder:
            jobs = [
                Job(
                    candidate,
                    self.recipe,
                    seed,
                    initial_weights=self._begin(
                        candidate.architecture, seed, Path(folder) / f"{number}.safetensors"
                    ),
                )
                for number, candidate in enumerate(candidates)
            ]
            yield from self._pool.run(jobs)

    def _begin(self, net: Architecture, seed: int, path: Path) -> Path:
        found = inherit(net, self._source, self._weights, seed=seed)
        write_weights(found.weights, path)
        return path
