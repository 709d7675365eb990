"""`analyse`: what the paper looks at in its embedding, measured anew (sections 5.3 and 10)."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from archpress.architecture import Architecture, Layer
from archpress.architecture.vector import to_vectors, without_global_pools
from archpress.compression.run_folder import alone_in, open_folder, store_of
from archpress.data import ImageData
from archpress.embedding.paper import PaperEmbedding, PaperSettings
from archpress.embedding.paper_coding import Types
from archpress.evaluation import Candidate, Evaluator, Recipe, connect, open_pool, torch_threads
from archpress.reproduction.motifs import Motifs, appendix_net, motifs_of
from archpress.search import Progress, Silent, note_of, told_of_waiting
from archpress.search.paper_descent import DescentStep, PaperDescent, descend_once
from archpress.space import Limits, PaperSampler, SearchSpace, distinct, paper_space
from archpress.store import Store, evaluate_once

CODINGS: tuple[Types, ...] = ("ordinal", "categorical")
TIME_LIMIT = 1800.0  # seconds of a training
EXTREME_WEIGHT = 100.0  # of size against accuracy, section 10: "highly weighting"; guess


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """How much is looked at.

    Attributes:
        nets: samples of the paper's sampler that are trained.
        trial: how.
        embedding: how the paper's embedding is fitted; its types are tried both ways.
        descent: how it is walked.
        trained_a_descent: decoded nets that are trained, spread over the steps.
        seeds: samples, fits and descents of their own.
    """

    nets: int
    trial: Recipe
    embedding: PaperSettings
    descent: PaperDescent = field(default_factory=PaperDescent)
    trained_a_descent: int = 8
    seeds: int = 1


@dataclass(frozen=True, slots=True)
class PathPoint:
    """One step of a descent.

    Attributes:
        step: 1 for the first.
        predicted_accuracy: at the place, in [0, 1].
        predicted_parameters: likewise.
        parameters: of the net decoded there; None where it is not valid.
        accuracy: of its trial; None where it was not trained.
    """

    step: int
    predicted_accuracy: float
    predicted_parameters: float
    parameters: int | None
    accuracy: float | None


@dataclass(frozen=True)
class Study:
    """One seed with one coding of types.

    Attributes:
        types: the coding.
        seed: of samples, fit and trainings.
        filters: of the encoder's first convolution, `W x C x 3`.
        before, after: one descent before the fine-tuning on what was trained of it, one after.
        places: two principal components of the embeddings of the samples, `N x 2`.
        path: those of the first descent, `S x 2`.
        extreme: layers of the last valid net of the extreme descent, one line each; none where no
            step gave a valid net.
    """

    types: Types
    seed: int
    filters: NDArray[np.float64]
    before: tuple[PathPoint, ...]
    after: tuple[PathPoint, ...]
    places: NDArray[np.float64]
    path: NDArray[np.float64]
    extreme: tuple[str, ...]


@dataclass(frozen=True)
class Analysis:
    """What was seen.

    Attributes:
        source: name of the net that the descents begin with.
        source_parameters: of it.
        images: name of the set.
        samples: accuracies and parameters of each seed's samples, in the order of `Study.places`.
        motifs: by who made the nets: "samples", and the descents of each coding, plain and extreme.
        studies: one a seed and coding.
        folder: where it lies.
    """

    source: str
    source_parameters: int
    images: str
    samples: tuple[tuple[tuple[float, int], ...], ...]
    motifs: dict[str, Motifs]
    studies: tuple[Study, ...]
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        studies = [
            asdict(one) | {n: getattr(one, n).tolist() for n in ("filters", "places", "path")}
            for one in self.studies
        ]
        motifs = {name: asdict(one) for name, one in self.motifs.items()}
        return {
            "source": self.source,
            "source_parameters": self.source_parameters,
            "images": self.images,
            "samples": self.samples,
            "motifs": motifs,
            "studies": studies,
        }


def analyse(
    source: Architecture,
    images: ImageData,
    limits: Limits,
    settings: AnalysisSettings,
    *,
    run: Path,
    name: str = "the source",
    device: str = "auto",
    workers: int | None = None,
    store: Path | str | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Fit the paper's embedding with both codings, descend from the source, train what is decoded.

    Trainings lie in a store, so the same call after a kill does not train them again.

    Args:
        source: has 5-vectors.
        images: of its shape.
        limits: of the descent.
        settings: how much is looked at.
        run: folder for all results.
        name: of the source, for people.
        device: see `compare`.
        workers: likewise.
        store: likewise.
        cluster: likewise.
        progress: who listens.

    Raises:
        ArchitectureError: the source has no 5-vectors.
        StoreError: the folder cannot be used.
        EvaluationError: the device is not there.
    """
    chain = without_global_pools(source)
    to_vectors(chain)  # refused before anything is written
    if cluster is not None:
        connect(cluster)  # refuses before anything takes time
    folder = open_folder(run)
    space = paper_space(source.input_shape, source.classes, max_macs=limits.max_macs)
    with ExitStack() as stack:
        stack.enter_context(alone_in(folder))
        stack.enter_context(torch_threads(1))
        pool = stack.enter_context(
            open_pool(
                images,
                settings.trial,
                cluster=cluster,
                workers=workers,
                device=device,
                time_limit=TIME_LIMIT,
            )
        )
        trials = stack.enter_context(store_of(folder, store, images.key))
        lab = _Lab(chain, space, limits, settings, pool, trials, progress or Silent())
        samples, motifs, studies = lab.run()
    return Analysis(name, source.parameters, images.name, samples, motifs, studies, folder)


Samples = tuple[tuple[float, int], ...]


@dataclass
class _Lab:
    """Source, space, settings, and what trains."""

    source: Architecture
    space: SearchSpace
    limits: Limits
    settings: AnalysisSettings
    evaluator: Evaluator
    store: Store
    progress: Progress

    def run(self) -> tuple[tuple[Samples, ...], dict[str, Motifs], tuple[Study, ...]]:
        samples: list[Samples] = []
        studies: list[Study] = []
        decoded: dict[str, list[DescentStep]] = {}
        nets: list[Architecture] = []
        for seed in range(self.settings.seeds):
            rng = np.random.default_rng([seed, 0])
            sampled = distinct(PaperSampler(self.space, rng), self.settings.nets)
            accuracies = self._trained(sampled, seed, f"seed {seed}, samples")
            samples.append(tuple((accuracies[net.key], net.parameters) for net in sampled))
            nets += sampled
            for types in CODINGS:
                study, walks = self._study(sampled, accuracies, types, seed)
                studies.append(study)
                for name, walked in walks.items():
                    decoded.setdefault(name, []).extend(walked)
        motifs = {"samples": motifs_of(nets, len(nets))}
        for name, steps in decoded.items():
            motifs[name] = motifs_of([one.net for one in steps if one.net], len(steps))
        return tuple(samples), motifs, tuple(studies)

    def _study(
        self, nets: Sequence[Architecture], accuracies: dict[str, float], types: Types, seed: int
    ) -> tuple[Study, dict[str, list[DescentStep]]]:
        settings = self.settings
        name = f"seed {seed}, fitting with {types} types"
        self.progress.stage(name, settings.embedding.iterations)
        embedding = PaperEmbedding(self.space, replace(settings.embedding, types=types), seed)
        embedding.fit(
            nets,
            [accuracies[net.key] for net in nets],
            progress=lambda done, _: self.progress.advance(done),
        )
        self.progress.stage(f"seed {seed}, descents with {types} types", 1)
        axes = _Axes.of([embedding.encode(net) for net in nets])
        filters = embedding.model.first_filters.double().numpy()
        far = replace(settings.descent, size_weight=EXTREME_WEIGHT)
        large = appendix_net(self.space.input_shape, self.space.classes)
        extreme = list(descend_once(embedding, large, Limits(), far))
        before = self._walk(embedding, seed, f"{types} types, decoded")
        if before.trained:
            embedding.tune(*zip(*before.trained, strict=True))
        after = self._walk(embedding, seed, f"{types} types, decoded after tuning")
        last = next((step.net for step in reversed(extreme) if step.net), None)
        study = Study(
            types,
            seed,
            filters,
            before.points,
            after.points,
            axes.places,
            axes.of_more([step.place for step in before.steps]),
            tuple(map(_line, last.layers)) if last else (),
        )
        steps = [*before.steps, *after.steps]
        return study, {f"{types} types": steps, f"{types} types, extreme": extreme}

    def _walk(self, embedding: PaperEmbedding, seed: int, name: str) -> "_Walk":
        """One descent from the source; some of what it decodes is trained."""
        settings = self.settings
        steps = list(descend_once(embedding, self.source, self.limits, settings.descent))
        valid = [step.net for step in steps if step.net and self.space.contains(step.net)]
        distinct_nets = list({net.key: net for net in valid}.values())
        few = np.linspace(0, len(distinct_nets) - 1, settings.trained_a_descent).round()
        chosen = [distinct_nets[i] for i in sorted(set(few.astype(int)))] if valid else []
        accuracies = self._trained(chosen, seed, f"seed {seed}, {name}")
        points = [
            PathPoint(
                number,
                step.accuracy,
                step.parameters,
                step.net.parameters if step.net else None,
                accuracies.get(step.net.key) if step.net else None,
            )
            for number, step in enumerate(steps, start=1)
        ]
        trained = [(net, accuracies[net.key]) for net in chosen]
        return _Walk(steps, tuple(points), trained)

    def _trained(self, nets: Sequence[Architecture], seed: int, stage: str) -> dict[str, float]:
        """Accuracies by key; chance where a training failed."""
        self.progress.stage(stage, len(nets))
        found: dict[str, float] = {}

        def tell(waited: int = 0) -> None:
            note = note_of(max(found.values(), default=0.0), told_of_waiting(waited))
            self.progress.advance(len(found), note)

        candidates = list(map(Candidate, nets))
        for outcome in evaluate_once(
            self.evaluator, self.store, candidates, seed=seed, waiting=tell
        ):
            trial = outcome.trial
            found[trial.architecture.key] = trial.accuracy_or(1 / self.space.classes)
            tell()
        return found


@dataclass(frozen=True)
class _Walk:
    steps: list[DescentStep]
    points: tuple[PathPoint, ...]
    trained: list[tuple[Architecture, float]]


@dataclass(frozen=True)
class _Axes:
    """The two principal axes of some embeddings; each embedding is its mean over columns.

    Attributes:
        mean: `D`.
        axes: `D x 2`.
        places: of those embeddings, `N x 2`.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    places: NDArray[np.float64]

    @classmethod
    def of(cls, embeddings: Sequence[Tensor]) -> Self:
        points = _pooled(embeddings)
        mean = points.mean(0)
        axes = np.linalg.svd(points - mean, full_matrices=False)[2][:2].T
        return cls(mean, axes, (points - mean) @ axes)

    def of_more(self, embeddings: Sequence[Tensor]) -> NDArray[np.float64]:
        return np.asarray((_pooled(embeddings) - self.mean) @ self.axes)


def _pooled(embeddings: Sequence[Tensor]) -> NDArray[np.float64]:
    return np.array([one[0].mean(-1).double().numpy() for one in embeddings])


def _line(layer: Layer) -> str:
    fields = ("kernel", "channels", "stride", "padding")
    told = [f"{name}={getattr(layer, name)}" for name in fields if getattr(layer, name)]
    return " ".join([layer.kind, *told])
