"""The embedding of a run: fitted on architectures alone, kept in the folder, fed with trials."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from archpress.architecture import Architecture
from archpress.compression.settings import Settings
from archpress.embedding import (
    Embedding,
    Labelled,
    Reconstruction,
    begin_with_pretrained,
    fit_unlabelled,
    reconstruction,
)
from archpress.errors import EmbeddingError
from archpress.evaluation import Trial
from archpress.space import (
    SearchSpace,
    distinct,
    paper_samples,
    sample_neighbourhood,
    space_around,
)
from archpress.whole_files import whole_file

UNSEEN = 100  # architectures kept apart from the pool, to see what decoding restores
REFIT_POOL = 512  # unlabelled architectures beside the trials in a refit
SMALLEST = 1 / 200  # of the source's parameters, in the pool: limits below are rare


@dataclass(frozen=True, slots=True)
class Fitted:
    """An embedding that was fitted on architectures alone.

    Attributes:
        embedding: of the source's space without the user's limits, so that it serves any limits.
        pool: unlabelled architectures for refits.
        reconstruction: of architectures it has not seen.
    """

    embedding: Embedding
    pool: list[Architecture]
    reconstruction: Reconstruction


class FitStoppedError(Exception):
    """The fit was asked to stop before its end."""


def fitted_embedding(
    source: Architecture,
    settings: Settings,
    seed: int,
    folder: Path,
    stop: threading.Event | None = None,
    asked: SearchSpace | None = None,
) -> Fitted:
    """Fit an embedding, or read the one that an earlier run left in the folder.

    Args:
        source: whose neighbourhood it covers.
        settings: pool, size and steps.
        seed: of the pool and the fit.
        folder: where `embedding-*.safetensors` lies.
        stop: when it is set the fit ends soon, by FitStoppedError; nothing is written.
        asked: where is searched; it matters where its nets have layers that no others have, or
            nothing but widths changes.
    """

    def check(*_: object) -> None:
        if stop is not None and stop.is_set():
            raise FitStoppedError

    plain = space_around(source)
    space = _space_of(source, asked)
    path = embedding_file(source, settings, seed, folder, asked)
    embedding = _read(path, space)

    def drawn(count: int, stage: int) -> list[Architecture]:
        """As many nets of the space as there are, then others: some spaces have few."""
        nets = draw_pool(source, space, settings.paper_share, (seed, stage), count, check)
        missing = count - len(nets) if space != plain else 0
        return nets + draw_pool(source, plain, settings.paper_share, (seed, stage), missing, check)

    pool = drawn(settings.pool, 0)  # also for an embedding that was read: the refits' nets, again
    if embedding is None:
        embedding, fit = Embedding(space, settings.size, seed), settings.fit
        if fit.pretrained and begin_with_pretrained(embedding):
            fit = fit.of_the_rest()
        rng = np.random.default_rng([seed, 1])
        fit_unlabelled(embedding, pool, fit, rng, progress=check)
        with whole_file(path) as unfinished:
            embedding.save(unfinished)
    known = {net.key for net in pool}
    unseen = [net for net in drawn(UNSEEN, 2) if net.key not in known]
    if not unseen:  # the pool has all nets of a small space
        unseen = draw_pool(source, plain, settings.paper_share, (seed, 2), UNSEEN, check)
    restored = reconstruction(embedding, unseen, known, np.random.default_rng([seed, 3]))
    return Fitted(embedding, pool[:REFIT_POOL], restored)


def embedding_file(
    source: Architecture,
    settings: Settings,
    seed: int,
    folder: Path,
    asked: SearchSpace | None = None,
) -> Path:
    """Where `fitted_embedding` keeps what it has fitted; arguments as there."""
    space = _space_of(source, asked)
    plain = space_around(source)
    made_from = repr((plain, source.key, settings.pool, settings.paper_share, settings.fit))
    if space != plain:
        made_from = repr((made_from, space, space.form_text))
    digest = hashlib.sha256(repr((made_from, settings.size, seed)).encode()).hexdigest()[:12]
    return folder / f"embedding-{digest}.safetensors"


def _space_of(source: Architecture, asked: SearchSpace | None) -> SearchSpace:
    """Without the user's limits; with the form that was asked for where others lack its layers."""
    plain = space_around(source)
    if asked is not None and (asked.widths_alone or asked.all_kinds != asked.kinds):
        return replace(asked, limits=plain.limits)
    return plain


def _read(path: Path, space: SearchSpace) -> Embedding | None:
    if not path.exists():
        return None
    try:
        return Embedding.load(path, space)
    except EmbeddingError:  # of an earlier version: fitted again
        return None


def draw_pool(
    source: Architecture,
    space: SearchSpace,
    paper_share: float,
    seed: tuple[int, int],
    count: int,
    check: Callable[[], None] = lambda: None,
) -> list[Architecture]:
    """Neighbours of the source of all sizes, and the paper's samples, in random order."""
    rng = np.random.default_rng(seed)
    from_paper = round(count * paper_share)
    near = sample_neighbourhood(source, space, rng, smallest=SMALLEST)
    far = islice(paper_samples(space, rng), 2 * from_paper)

    def checked(nets: Iterable[Architecture]) -> Iterator[Architecture]:
        for net in nets:
            check()
            yield net

    nets = distinct(checked(near), count - from_paper) + distinct(checked(far), from_paper)
    return [nets[i] for i in rng.permutation(len(nets))]


def labelled(trials: Sequence[Trial], embedding: Embedding, classes: int) -> Labelled:
    """Measured accuracies; a failed trial counts as chance, since what fails is of no use."""
    by_key = {trial.architecture.key: trial for trial in trials}
    nets = encodable([trial.architecture for trial in by_key.values()], embedding)
    return Labelled(nets, [by_key[net.key].accuracy_or(1 / classes) for net in nets])


def encodable(nets: Sequence[Architecture], embedding: Embedding) -> list[Architecture]:
    """Those that the embedding has tokens for; a store may hold other spaces' trials."""
    shape = embedding.space.input_shape
    return [net for net in nets if net.input_shape == shape and embedding.alphabet.holds(net)]
