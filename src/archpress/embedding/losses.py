"""The joint loss: restore the tokens, predict the exact costs, predict the measured accuracies."""

import torch
import torch.nn.functional as F
from torch import Tensor

from archpress.architecture import KINDS
from archpress.embedding.model import Decoded
from archpress.embedding.tokens import Alphabet, Tokens

NOISE = 0.25  # std on embeddings of variance 1; 0.2 to 0.3 keep the space smooth (docs/choices.md)
EMPTY_WEIGHT = 0.1  # of an empty slot, against one with a layer
CHANNEL_WEIGHT = 1.0  # of squared octaves, against nats of the categories


def reconstruction_loss(decoded: Decoded, tokens: Tokens, alphabet: Alphabet) -> Tensor:
    """Cross entropy of the categories plus squared error of log2 channels, a mean over layers.

    Fields that a layer does not have, and channels that it does not choose, are not asked for;
    empty slots count little, or the first thing learned is that all slots are empty.
    """
    kind = tokens.categories[..., 0]
    layers = (kind > 0).to(torch.float32)
    total = torch.zeros((), device=kind.device)
    for field, logits in enumerate(decoded.categories):
        weight = layers + EMPTY_WEIGHT * (1 - layers) if field == 0 else layers
        target = tokens.categories[..., field]
        losses = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        total = total + (losses.view_as(kind) * weight).sum() / layers.sum()
    chooses = chooses_channels(kind, alphabet)
    octaves = (decoded.channels - tokens.numbers[..., 0]).square()
    return total + CHANNEL_WEIGHT * (octaves * chooses).sum() / chooses.sum().clamp(min=1)


def chooses_channels(kind: Tensor, alphabet: Alphabet) -> Tensor:
    """Whether each slot's kind has a number of channels of its own: bool, shaped like `kind`."""
    table = [False, *(KINDS[name].chooses_channels for name in alphabet.kinds)]
    return torch.tensor(table, device=kind.device)[kind]


def accuracy_loss(predicted: Tensor, target: Tensor, member: Tensor) -> Tensor:
    """Huber loss of each head over its own part of the trials.

    Args:
        predicted: `heads x B`, standardised logits.
        target: `B`, likewise.
        member: `heads x B`, 1 where a trial is in the head's part, else 0.
    """
    losses = F.huber_loss(predicted, target.expand_as(predicted), reduction="none", delta=1.0)
    return (losses * member).sum() / member.sum().clamp(min=1)


def with_noise(embeddings: Tensor, generator: torch.Generator, scale: float = NOISE) -> Tensor:
    """Embeddings moved by Gaussian noise, so that their neighbours mean much the same."""
    noise = torch.randn(embeddings.shape, generator=generator).to(embeddings.device)
    return embeddings + scale * noise
