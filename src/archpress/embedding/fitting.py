"""Fitting an embedding: long on unlabelled architectures, then short on each round of trials."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch import Tensor

from archpress.architecture import Architecture
from archpress.embedding.embedding import Embedding, Scale
from archpress.embedding.losses import accuracy_loss, reconstruction_loss, with_noise
from archpress.embedding.model import LEARNED_COSTS
from archpress.embedding.tokens import Tokens

LOGIT_FLOOR = 0.001  # accuracies are kept this far from 0 and 1, so that logits stay finite


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How an embedding is fitted.

    Attributes:
        steps: of the unlabelled fit.
        batch: architectures a step.
        learning_rate: peak of one cycle of AdamW.
        weight_decay: of AdamW.
        refit_steps: a round, on trials and unlabelled architectures together.
        refit_batch: trials, and as many unlabelled architectures, a step.
        head_rate: learning rate of the accuracy heads in a refit.
        body_rate: of encoder, decoder and cost head in a refit; a tenth, so that what they learned
            from the unlabelled stays.
        bagging: share of the trials that each head sees.
        pretrained: which edition of the weights that ship with the package the unlabelled fit
            begins with, for half of the steps at half of the rate, as they know most of it
            (docs/choices.md); 0: it begins with fresh ones.
    """

    steps: int = 600
    batch: int = 96
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    refit_steps: int = 120
    refit_batch: int = 64
    head_rate: float = 2e-3
    body_rate: float = 2e-4
    bagging: float = 0.8
    pretrained: int = 2  # counted up with the file

    def of_the_rest(self) -> "FitSettings":
        """What the unlabelled fit still needs after the shipped weights."""
        return replace(self, steps=ceil(self.steps / 2), learning_rate=self.learning_rate / 2)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Architectures with measured accuracies, in [0, 1]."""

    architectures: Sequence[Architecture]
    accuracies: Sequence[float]

    def __len__(self) -> int:
        return len(self.architectures)

    @property
    def logits(self) -> Tensor:
        """`B`, float32."""
        values = torch.tensor(list(self.accuracies), dtype=torch.float32)
        return torch.logit(values.clamp(LOGIT_FLOOR, 1 - LOGIT_FLOOR))


OnStep = Callable[[int, int], None]  # (steps done, steps in all)


def log_costs(architectures: Sequence[Architecture]) -> Tensor:
    """Natural logarithms of 1 + the exact costs, `B x 3`."""
    rows = [[float(getattr(net, name)) for name in LEARNED_COSTS] for net in architectures]
    return torch.log1p(torch.tensor(rows, dtype=torch.float32))


def fit_unlabelled(
    embedding: Embedding,
    pool: Sequence[Architecture],
    settings: FitSettings,
    rng: np.random.Generator,
    progress: OnStep | None = None,
) -> list[float]:
    """Train encoder, decoder and cost head on architectures alone; the loss of each step.

    Args:
        embedding: changed in place; its cost scale is set from the pool.
        pool: architectures of the embedding's space; the more, the better it decodes.
        settings: steps and rates.
        rng: of batches and noise.
        progress: called after each step.
    """
    tokens, costs = embedding.tokens(pool), log_costs(pool)
    embedding.cost_scale = Scale.of(costs)
    targets = embedding.cost_scale.standardise(costs)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    model = embedding.model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.15
    )
    history = []
    for step in range(settings.steps):
        rows = torch.randint(len(tokens), (settings.batch,), generator=generator)
        embeddings = model.encoder(tokens.rows(rows))
        loss = _unlabelled_loss(embedding, embeddings, tokens.rows(rows), targets[rows], generator)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        history.append(loss.item())
        if progress:
            progress(step + 1, settings.steps)
    model.eval()
    return history


def _unlabelled_loss(
    embedding: Embedding,
    embeddings: Tensor,
    tokens: Tokens,
    costs: Tensor,
    generator: torch.Generator,
) -> Tensor:
    noisy = with_noise(embeddings, generator)
    reconstruction = reconstruction_loss(embedding.model.decoder(noisy), tokens, embedding.alphabet)
    return reconstruction + torch.nn.functional.mse_loss(embedding.model.costs(noisy), costs)


def refit(
    embedding: Embedding,
    trials: Labelled,
    pool: Sequence[Architecture],
    settings: FitSettings,
    rng: np.random.Generator,
) -> None:
    """Train the accuracy heads on trials, and the rest a little, so that the space follows.

    Args:
        embedding: changed in place; its accuracy scale is set from the trials.
        trials: all that were measured so far, at least two.
        pool: unlabelled architectures, so that decoding does not suffer.
        settings: steps and rates.
        rng: of batches, noise and bootstrap samples.
    """
    embedding.accuracy_scale = Scale.of(trials.logits)
    targets = embedding.accuracy_scale.standardise(trials.logits)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    shape = (embedding.size.accuracy_heads, len(targets))
    member = torch.tensor(rng.random(shape) < settings.bagging, dtype=torch.float32)
    labelled_tokens = embedding.tokens(trials.architectures)
    chosen = [pool[i] for i in rng.permutation(len(pool))[: settings.refit_steps * 16]]
    pool_tokens = embedding.tokens(chosen)
    pool_costs = embedding.cost_scale.standardise(log_costs(chosen))
    model = embedding.model.train()
    optimizer = _refit_optimizer(embedding, settings)
    for _ in range(settings.refit_steps):
        rows = torch.randint(len(targets), (settings.refit_batch,), generator=generator)
        others = torch.randint(len(pool_tokens), (settings.refit_batch,), generator=generator)
        embeddings = model.encoder(labelled_tokens.rows(rows))
        predicted = model.predict_accuracy(with_noise(embeddings, generator))
        loss = accuracy_loss(predicted, targets[rows], member[:, rows]) + _unlabelled_loss(
            embedding,
            model.encoder(pool_tokens.rows(others)),
            pool_tokens.rows(others),
            pool_costs[others],
            generator,
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()


def _refit_optimizer(embedding: Embedding, settings: FitSettings) -> torch.optim.Optimizer:
    model = embedding.model
    body = [*model.encoder.parameters(), *model.decoder.parameters(), *model.costs.parameters()]
    groups = [
        {"params": list(model.accuracy.parameters()), "lr": settings.head_rate},
        {"params": body, "lr": settings.body_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
