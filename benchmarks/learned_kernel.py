"""Our embedding against the learned kernel of Cao et al. 2019 (ESNAC), on the same nets.

    python benchmarks/learned_kernel.py metaqnn_cifar10.csv --out learned_kernel.json

The kernel is written here anew after their published code: an LSTM of four layers and 64 units in
both directions reads a net layer by layer, one net at a time; the mean of its outputs, of length 1,
is the embedding; a Gaussian process with a kernel of those distances learns from accuracies by
leaving out one net after the other. Speeds are those of the matrix filled pair by pair, as theirs,
and of the same by one product. One thread each, in turns.

Tau is Kendall's between guessed and published accuracies of all nets but those learned from.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import torch.nn.functional as F
from metaqnn import read
from recurrent import BATCH, POOL, encoded, space_of, spread, standardised, unlabelled
from scipy.stats import kendalltau
from torch import Tensor, nn

from archpress.architecture import Architecture
from archpress.embedding import Embedding, FitSettings, fit_unlabelled
from archpress.embedding.descriptors import describe
from archpress.embedding.gaussian_process import Block, Features
from archpress.embedding.surrogate import WarpedProcess

UNITS, LAYERS, RATE, DECAY = 64, 4, 1e-3, 5e-4  # of the published code, as the next two
SPREAD, NOISE = 0.01, 0.05


Kernel = Callable[[Tensor, Tensor], Tensor]


def by_product(one: Tensor, other: Tensor) -> Tensor:
    """`N x M`, of embeddings of length 1."""
    return ((one @ other.T - 1) / SPREAD).exp()


def pair_by_pair(one: Tensor, other: Tensor) -> Tensor:
    """`N x N`, of a set with itself: each pair once."""
    rows, columns = torch.triu_indices(len(one), len(one), 1)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    near = [(-((one[i] - other[j]) ** 2).sum() / (2 * SPREAD)).exp() for i, j in pairs]
    half = torch.zeros(len(one), len(one)).index_put((rows, columns), torch.stack(near))
    return half + half.T + torch.eye(len(one))


class LearnedKernel(nn.Module):
    """A Gaussian process over embeddings by an LSTM in both directions."""

    def __init__(self, inputs: int, kernel: Kernel) -> None:
        super().__init__()
        self.kernel = kernel
        self.encoder = nn.LSTM(inputs, UNITS, LAYERS, bidirectional=True)

    def encode(self, nets: list[Tensor]) -> Tensor:
        """`N x 2 UNITS`, each of length 1."""
        rows = [self.encoder(layers[:, None])[0].mean(0)[0] for layers in nets]
        return F.normalize(torch.stack(rows), dim=-1)

    def loss(self, nets: list[Tensor], accuracies: Tensor) -> Tensor:
        """Mean negative log likelihood of each accuracy given all others (Sundararajan 2001)."""
        embeddings = self.encode(nets)
        matrix = self.kernel(embeddings, embeddings) + NOISE * torch.eye(len(nets))
        inverse = torch.linalg.inv(matrix)
        variance = 1 / inverse.diagonal()
        error = (inverse @ accuracies) * variance
        return (error**2 / variance + variance.log()).mean() / 2

    def guess(self, known: list[Tensor], accuracies: Tensor, asked: list[Tensor]) -> Tensor:
        """Means of the process."""
        with torch.no_grad():
            embeddings = self.encode(known)
            matrix = self.kernel(embeddings, embeddings) + NOISE * torch.eye(len(known))
            return self.kernel(self.encode(asked), embeddings) @ torch.linalg.solve(
                matrix, accuracies
            )


def read_by_layer(nets: list[Architecture]) -> list[Tensor]:
    """`L x F` of each: kind, kernel, stride, padding, channels, and one-hot place and input."""
    kinds = sorted({layer.kind for net in nets for layer in net.layers})
    longest = max(len(net.layers) for net in nets)
    rows = []
    for net in nets:
        kind = torch.tensor([kinds.index(layer.kind) for layer in net.layers])
        numbers = [
            [la.kernel / 8, la.stride / 4, la.padding / 4, np.log2(1 + la.channels) / 10]
            for la in net.layers
        ]
        places = torch.eye(longest + 1)[: len(net.layers) + 1]
        rows.append(
            torch.cat(
                [F.one_hot(kind, len(kinds)), torch.tensor(numbers), places[:-1], places[1:]], 1
            ).float()
        )
    return rows


def fit(
    nets: list[Tensor], accuracies: Tensor, steps: int, kernel: Kernel = by_product
) -> tuple[LearnedKernel, float]:
    """And the architectures a second, each read once a step."""
    model = LearnedKernel(nets[0].shape[1], kernel)
    optimizer = torch.optim.Adam(model.parameters(), RATE, weight_decay=DECAY)
    started = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(nets, accuracies).backward()
        optimizer.step()
    return model, steps * len(nets) / (time.perf_counter() - started)


def in_turns(nets: list[Architecture], accuracies: Tensor, turns: int) -> dict[str, dict]:
    """Speed, one after the other each turn: medians of rates and of ratios."""
    space = space_of(nets)
    pool = unlabelled(nets, space)[:POOL]
    ours, layers = Embedding(space), read_by_layer(nets)
    tokens = ours.tokens(nets)
    rates: dict[str, list[float]] = {}
    for _ in range(turns + 1):  # the first one warms up
        started = time.perf_counter()
        fit_unlabelled(ours, pool, FitSettings(steps=200, batch=BATCH), np.random.default_rng(0))
        fast = {"trained": 200 * BATCH / (time.perf_counter() - started)}
        fast["encoded"] = encoded(lambda i: ours.model.encoder(tokens.rows(i)), len(nets))[1]
        model, trained = fit(layers[:BATCH], accuracies[:BATCH], 3, pair_by_pair)
        slow = {"trained": trained}
        slow["trained, by one product"] = fit(layers[:BATCH], accuracies[:BATCH], 3)[1]
        slow["encoded"] = encoded(reader(model, layers), 200)[1]
        for name, rate in fast.items():
            rates.setdefault(f"ours, {name} a second", []).append(rate)
        for name, rate in slow.items():
            rates.setdefault(f"learned kernel, {name}, a second", []).append(rate)
            times = fast[name.split(",")[0]] / rate
            rates.setdefault(f"times as fast, {name}", []).append(times)
    return {name: spread(values[1:]) for name, values in rates.items()}


def reader(model: LearnedKernel, layers: list[Tensor]) -> Callable[[Tensor], Tensor]:
    """Embeddings of the nets that are asked for by number."""
    return lambda numbers: model.encode([layers[i] for i in numbers])


def taus(nets: list[Architecture], final: np.ndarray, split: int, given) -> dict[str, float]:
    """Of both, from the same nets."""
    order = np.random.default_rng(split).permutation(len(nets))
    known, asked = order[: given.known], order[given.known :]
    layers, target = read_by_layer(nets), torch.tensor(final).float()
    middle = target[known].mean()
    torch.manual_seed(split)
    model, _ = fit([layers[i] for i in known], target[known] - middle, given.steps)
    theirs = model.guess(
        [layers[i] for i in known], target[known] - middle, [layers[i] for i in asked]
    )
    space = space_of(nets)
    ours = Embedding(space)
    fit_unlabelled(
        ours, unlabelled(nets, space)[:POOL], FitSettings(batch=BATCH), np.random.default_rng(split)
    )
    with torch.no_grad():
        embeddings = ours.model.encoder(ours.tokens(nets)).double().numpy()
    near, numbers = standardised(embeddings), standardised(describe(nets))
    logits = np.log(final / (1 - final))
    found = {"learned kernel": theirs.numpy()}
    for name, blocks in (
        ("ours, embedding alone", (Block(near, "near"),)),
        (
            "ours, as a search",
            (Block(near, "near"), Block(numbers, "near"), Block(numbers, "linear")),
        ),
    ):
        inputs = Features(blocks)
        process = WarpedProcess(inputs.rows(known), logits[known])
        found[name] = process.predict(inputs.rows(asked)).mean
    return {k: round(float(kendalltau(v, final[asked]).statistic), 3) for k, v in found.items()}


def main() -> None:
    """Measure, and write what was found as it comes."""
    parser = argparse.ArgumentParser(description="Our embedding against a learned kernel.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--known", type=int, default=100, help="nets learned from")
    parser.add_argument("--steps", type=int, default=100, help="of the learned kernel")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chains = read(given.table)
    final = np.array([curve[-1] for curve in chains.curves]).clip(0.005, 0.995)
    found = in_turns(chains.nets, torch.tensor(final).float() - final.mean(), given.turns)
    report(given.out, found)
    splits = []
    for split in range(given.splits):
        splits.append(taus(chains.nets, final, split, given))
        found["tau"] = {name: round(mean(s[name] for s in splits), 3) for name in splits[0]}
        report(given.out, {**found, "splits": splits})


def report(out: Path, found: dict) -> None:
    """As far as it is known."""
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
