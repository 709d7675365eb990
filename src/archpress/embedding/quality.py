"""How good a fit is: rank correlation on held-out trials, and what decoding gives back."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from archpress.architecture import Architecture
from archpress.embedding.embedding import Embedding
from archpress.embedding.fitting import Labelled
from archpress.embedding.losses import NOISE, chooses_channels
from archpress.embedding.surrogate import MOST, Inputs, WarpedProcess

FOLDS = 5
LEAST_RANKED = 10  # trials, below which a rank correlation says nothing
HALF = 0.674  # standard deviations that hold 50 % of a normal distribution


@dataclass(frozen=True, slots=True)
class Ranking:
    """Kendall's tau of held-out trials, each predicted by a fit on the other folds.

    Attributes:
        surrogate: of the surrogate's predictions; None, as the next two, where all are alike.
        parameters: of the number of parameters alone.
        macs: of the multiply-adds alone.
        n: trials.
        within_half: share of them inside the interval that should hold half.
        within_most: share of them inside the interval that should hold 90 %.
    """

    surrogate: float | None
    parameters: float | None
    macs: float | None
    n: int
    within_half: float
    within_most: float


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """What encode-then-decode gives back, over architectures that the fit has not seen.

    Attributes:
        exact_share: sequences restored in every field.
        kind_share: layer kinds restored.
        channel_error_octaves: mean error of chosen channels, |log2 ratio|.
        valid_share: decodes that were nets as they came, without repair.
        novel_share: decodes of embeddings with noise that are not in the pool of the fit.
        n: architectures.
    """

    exact_share: float
    kind_share: float
    channel_error_octaves: float
    valid_share: float
    novel_share: float
    n: int


def held_out_ranking(embedding: Embedding, trials: Labelled, seed: int) -> Ranking:
    """Five-fold cross-validation of the surrogate, folds drawn by the seed.

    The embedding is fitted on architectures alone where this is called, so that no fold has seen
    the accuracies it is asked for.
    """
    inputs = Inputs(embedding, trials.architectures).of(trials.architectures)
    target = trials.logits.double().numpy()
    predicted, misses = np.zeros(len(target)), np.zeros(len(target))
    order = np.random.default_rng(seed).permutation(len(target))
    for fold in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, fold)
        process = WarpedProcess(inputs.rows(rest), target[rest])
        guess = process.predict(inputs.rows(fold), noise=True)
        predicted[fold] = guess.accuracy
        misses[fold] = guess.deviations(target[fold])
    return Ranking(
        _tau(predicted, target),
        _tau(np.array([net.parameters for net in trials.architectures]), target),
        _tau(np.array([net.macs for net in trials.architectures]), target),
        len(target),
        float((np.abs(misses) <= HALF).mean()),
        float((np.abs(misses) <= MOST).mean()),
    )


def _tau(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """None where all are alike on one side."""
    tau = float(kendalltau(a, b).statistic)
    return None if math.isnan(tau) else tau


def reconstruction(
    embedding: Embedding,
    unseen: Sequence[Architecture],
    pool_keys: set[str],
    rng: np.random.Generator,
    *,
    noise: float = NOISE,
) -> Reconstruction:
    """Decode what was encoded, and count.

    Args:
        embedding: fitted.
        unseen: architectures of its space that were not in the pool of the fit.
        pool_keys: keys of that pool.
        rng: of the noise.
        noise: standard deviation added to embeddings to see whether decodes are new.
    """
    embeddings = embedding.encode(unseen)
    decoded = embedding.decode(embeddings)
    tokens, restored = embedding.tokens(unseen), embedding.raw_tokens(embeddings)
    kinds = tokens.categories[..., 0]
    used = kinds > 0
    chosen = chooses_channels(kinds, embedding.alphabet)
    octaves = (restored.numbers[..., 0] - tokens.numbers[..., 0]).abs()[chosen]
    moved = embeddings + noise * embeddings.new_tensor(rng.normal(size=embeddings.shape))
    novel = {one.architecture.key for one in embedding.decode(moved)} - pool_keys
    return Reconstruction(
        float(np.mean([one.architecture == net for one, net in zip(decoded, unseen, strict=True)])),
        float((restored.categories[..., 0] == kinds)[used].double().mean()),
        float(octaves.mean()),
        float(np.mean([not one.repairs for one in decoded])),
        len(novel) / len(unseen),
        len(unseen),
    )
