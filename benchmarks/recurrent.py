"""Our 1-D convolutions against recurrent embeddings of architectures, on the same nets and machine.

    python benchmarks/recurrent.py metaqnn_cifar10.csv --out benchmarks/results/recurrent.json

After Luo et al. 2018 (NAO): an LSTM reads a net as one sequence of symbols, a second one with
attention writes it again. After Cao et al. 2019 (ESNAC) and Ashok et al. 2018 (N2N): an LSTM in
both directions reads a net layer by layer; it writes nothing, so it learns from exact costs alone.
Both are written here anew on PyTorch's LSTM, as wide as NAO's published code has them, 96. All
train on the same unlabelled nets, neighbours of one chain and the paper's samples as in a search,
with the same batch and steps, on one thread.

Exact: share of 100 unseen nets restored in every field, channels to a twelfth of an octave.
Tau: Kendall's, of MetaQNN's published final accuracies, five-fold, guessed by the same Gaussian
process over the embeddings alone, and with plain numbers of the nets, as a search's surrogate.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from metaqnn import read
from scipy.stats import kendalltau
from torch import Tensor, nn

from archpress.architecture import Architecture
from archpress.embedding import Embedding, FitSettings, fit_unlabelled
from archpress.embedding.descriptors import describe
from archpress.embedding.fitting import log_costs
from archpress.embedding.gaussian_process import Block, Features
from archpress.embedding.losses import chooses_channels
from archpress.embedding.surrogate import WarpedProcess
from archpress.embedding.tokens import Tokens
from archpress.space import PaperSampler, SearchSpace, distinct, sample_neighbourhood

WIDTH, RATE = 96, 1e-3  # of NAO's published code
POOL, UNSEEN, BATCH, FOLDS = 4_000, 100, 96, 5
FIELDS = (0, 1, 2, 3)  # kind, kernel, stride, padding; then the channels
START, STOP = 1, 2  # symbols; 0 is what follows the last


@dataclass(frozen=True)
class Symbols:
    """Nets as sequences: of each layer its kind, kernel, stride, padding and channels."""

    sizes: tuple[int, ...]
    layers: int

    @property
    def count(self) -> int:
        """Of all symbols; channels are counted in sixths of an octave."""
        return 3 + sum(self.sizes[field] for field in FIELDS) + 6 * 11

    def of(self, tokens: Tokens) -> Tensor:
        """`B x (5 L + 2)`, int64."""
        first = torch.tensor([3, *self.sizes[:3]]).cumsum(0)
        fields = tokens.categories[..., list(FIELDS)] + first
        channels = (6 * tokens.numbers[..., :1]).round().long().clamp(max=65)
        channels += 3 + sum(self.sizes[field] for field in FIELDS)
        flat = torch.cat([fields, channels], -1).flatten(1)
        used = (tokens.categories[..., 0] > 0).sum(1, keepdim=True) * 5
        place = torch.arange(flat.shape[1])
        flat = flat.masked_fill(place >= used, 0)
        rows = F.pad(flat, (1, 1))
        rows[:, 0] = START
        return rows.scatter(1, used + 1, STOP)


class SequenceToSequence(nn.Module):
    """NAO: LSTM encoder, mean of its outputs as the embedding, LSTM decoder with attention."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.symbol = nn.Embedding(symbols, WIDTH, padding_idx=0)
        self.encoder = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.decoder = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.mixed = nn.Linear(2 * WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, symbols)
        self.costs = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3))

    def encode(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs `B x T x W` and embeddings `B x W`, both of length 1."""
        outputs = F.normalize(self.encoder(self.symbol(rows))[0], dim=-1)
        used = (rows > 0).float()[..., None]
        return outputs, F.normalize((outputs * used).sum(1), dim=-1)

    def write(self, rows: Tensor, outputs: Tensor, state: tuple[Tensor, Tensor]) -> tuple:
        """Logits of the next symbols, and the state after them."""
        hidden, state = self.decoder(self.symbol(rows), state)
        weights = (hidden @ outputs.transpose(1, 2)).softmax(-1)
        mixed = self.mixed(torch.cat([weights @ outputs, hidden], -1)).tanh()
        return self.out(mixed), state

    def begin(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """The decoder's first state."""
        return embeddings[None].contiguous(), embeddings[None].contiguous()

    def loss(self, rows: Tensor, costs: Tensor) -> Tensor:
        """Of writing the sequence again, and of the costs."""
        outputs, embeddings = self.encode(rows)
        logits, _ = self.write(rows[:, :-1], outputs, self.begin(embeddings))
        again = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), ignore_index=0)
        return again + F.mse_loss(self.costs(embeddings), costs)

    def restored(self, rows: Tensor) -> Tensor:
        """Whether each sequence is written again as it was, symbol after symbol."""
        outputs, embeddings = self.encode(rows)
        state, symbol = self.begin(embeddings), rows[:, :1]
        right = torch.ones(len(rows), dtype=torch.bool)
        for place in range(1, rows.shape[1]):
            logits, state = self.write(symbol, outputs, state)
            symbol = logits.argmax(-1)
            right &= (symbol[:, 0] == rows[:, place]) | (rows[:, place] == 0)
        return right


class BothWays(nn.Module):
    """ESNAC and N2N: an LSTM in both directions over layers, averaged."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.categories = nn.ModuleList(nn.Embedding(size, WIDTH) for size in sizes)
        self.numbers = nn.Linear(1, WIDTH)
        self.encoder = nn.LSTM(WIDTH, WIDTH // 2, batch_first=True, bidirectional=True)
        self.costs = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3))

    def encode(self, tokens: Tokens) -> Tensor:
        """`B x W`."""
        x = self.numbers(tokens.numbers[..., :1] / 8)
        for field, embedding in enumerate(self.categories):
            x = x + embedding(tokens.categories[..., field])
        used = (tokens.categories[..., 0] > 0).float()[..., None]
        return (self.encoder(x)[0] * used).sum(1) / used.sum(1)

    def loss(self, tokens: Tokens, costs: Tensor) -> Tensor:
        """Of the costs."""
        return F.mse_loss(self.costs(self.encode(tokens)), costs)


def train(model: nn.Module, loss: Callable[[Tensor], Tensor], steps: int) -> float:
    """Architectures a second."""
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    started = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        loss(torch.randint(POOL, (BATCH,))).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    return steps * BATCH / (time.perf_counter() - started)


def encoded(encode: Callable[[Tensor], Tensor], count: int) -> tuple[Tensor, float]:
    """All embeddings, and architectures a second: median of five turns."""
    seconds = []
    with torch.no_grad():
        for _ in range(5):
            started = time.perf_counter()
            parts = [encode(rows) for rows in torch.split(torch.arange(count), 256)]
            seconds.append(time.perf_counter() - started)
    return torch.cat(parts), count / median(seconds)


def taus(embeddings: Tensor, nets: list[Architecture], accuracies: np.ndarray) -> dict[str, float]:
    """Of the embeddings alone, and with plain numbers of the nets beside them."""
    near = Block(standardised(embeddings.double().numpy()), "near")
    numbers = standardised(describe(nets))
    beside = Block(numbers, "near"), Block(numbers, "linear")
    return {
        "tau": round(tau(Features((near,)), accuracies), 3),
        "tau, with plain numbers": round(tau(Features((near, *beside)), accuracies), 3),
    }


def standardised(values: np.ndarray) -> np.ndarray:
    """Of mean 0, and length about 1."""
    return (values - values.mean(0)) / (values.std(0) + 1e-9) / np.sqrt(values.shape[1])


def tau(inputs: Features, accuracies: np.ndarray) -> float:
    """Five-fold, by the process of the surrogate."""
    target = np.log(accuracies / (1 - accuracies))
    guessed, order = np.zeros(len(target)), np.random.default_rng(0).permutation(len(target))
    for fold in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, fold)
        process = WarpedProcess(inputs.rows(rest), target[rest])
        guessed[fold] = process.predict(inputs.rows(fold)).mean
    return float(kendalltau(guessed, accuracies).statistic)


def restored(ours: Embedding, unseen: list[Architecture]) -> float:
    """Share of nets that ours restores, to the precision of the symbols."""
    tokens, again = ours.tokens(unseen), ours.raw_tokens(ours.encode(unseen))
    kinds = tokens.categories[..., 0]
    same = (tokens.categories == again.categories)[..., list(FIELDS)].all(-1)
    near = (tokens.numbers[..., 0] - again.numbers[..., 0]).abs() <= 1 / 12
    near |= ~chooses_channels(kinds, ours.alphabet)
    return float((same & near | (kinds == 0)).all(1).double().mean())


def space_of(nets: list[Architecture]) -> SearchSpace:
    """Whatever the nets have."""
    layers = [layer for net in nets for layer in net.layers]
    return SearchSpace(
        nets[0].input_shape,
        nets[0].classes,
        kinds=tuple(sorted({layer.kind for layer in layers})),
        kernels=tuple(sorted({layer.kernel for layer in layers if layer.kernel})),
        strides=tuple(sorted({layer.stride for layer in layers if layer.stride})),
        paddings=tuple(sorted({layer.padding for layer in layers})),
        most_layers=8 * -(-max(len(net.layers) for net in nets) // 8),
    )


def unlabelled(nets: list[Architecture], space: SearchSpace) -> list[Architecture]:
    """POOL + UNSEEN nets as a search draws them: around one of middle size, and of the paper's."""
    rng = np.random.default_rng(0)
    middle = sorted(nets, key=lambda net: (len(net.layers), net.key))[len(nets) // 2]
    drawn = distinct(sample_neighbourhood(middle, space, rng, smallest=1 / 200), 4 * POOL // 5)
    drawn += distinct(PaperSampler(space, rng), POOL + UNSEEN - len(drawn))
    return [drawn[i] for i in rng.permutation(len(drawn))]


def main() -> None:
    """Measure all three, and write what was found."""
    parser = argparse.ArgumentParser(description="Embeddings by convolutions and by LSTMs.")
    parser.add_argument("table", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--longer", type=int, default=2, help="times as many steps for NAO as well")
    parser.add_argument("--turns", type=int, default=0, help="only time ours and NAO, in turns")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    chains = read(given.table)
    accuracies = np.array([curve[-1] for curve in chains.curves]).clip(0.005, 0.995)
    space = space_of(chains.nets)
    drawn = unlabelled(chains.nets, space)
    pool, unseen = drawn[:POOL], drawn[POOL:]
    found: dict[str, dict[str, float]] = {}

    ours = Embedding(space)
    if given.turns:
        report(given.out, in_turns(ours, pool, chains.nets, given.turns))
        return
    settings = FitSettings(steps=given.steps, batch=BATCH)
    started = time.perf_counter()
    fit_unlabelled(ours, pool, settings, np.random.default_rng(0))
    rate = given.steps * BATCH / (time.perf_counter() - started)
    tokens, known = ours.tokens(pool), ours.tokens(chains.nets)
    costs = ours.cost_scale.standardise(log_costs(pool))
    with torch.no_grad():
        embeddings, encodes = encoded(lambda i: ours.model.encoder(known.rows(i)), len(known))
    exact = restored(ours, unseen)
    found["convolutions"] = told(rate, encodes, taus(embeddings, chains.nets, accuracies), exact)
    report(given.out, found)

    both_ways = BothWays(ours.alphabet.sizes)
    rate = train(both_ways, lambda i: both_ways.loss(tokens.rows(i), costs[i]), given.steps)
    embeddings, encodes = encoded(lambda i: both_ways.encode(known.rows(i)), len(known))
    found["LSTM in both directions"] = told(
        rate, encodes, taus(embeddings, chains.nets, accuracies)
    )
    report(given.out, found)

    symbols = Symbols(ours.alphabet.sizes, ours.alphabet.slots)
    rows, others = symbols.of(tokens), symbols.of(known)
    writing = SequenceToSequence(symbols.count)
    for times in (1, given.longer):
        steps = given.steps if times == 1 else given.steps * (times - 1)
        rate = train(writing, lambda i: writing.loss(rows[i], costs[i]), steps)
        embeddings, encodes = encoded(lambda i: writing.encode(others[i])[1], len(others))
        with torch.no_grad():
            right = writing.restored(symbols.of(ours.tokens(unseen))).double().mean()
        name = f"LSTM encoder and decoder, {times * given.steps} steps"
        found[name] = told(rate, encodes, taus(embeddings, chains.nets, accuracies), float(right))
        report(given.out, found)


def in_turns(
    ours: Embedding, pool: list[Architecture], known: list[Architecture], turns: int
) -> dict[str, dict[str, float]]:
    """Speed of ours and of NAO's, one after the other each turn: medians of rates and of ratios."""
    tokens, read = ours.tokens(pool), ours.tokens(known)
    symbols = Symbols(ours.alphabet.sizes, ours.alphabet.slots)
    rows, others = symbols.of(tokens), symbols.of(read)
    writing = SequenceToSequence(symbols.count)
    costs = ours.cost_scale.standardise(log_costs(pool))
    rates: dict[str, list[float]] = {}
    for _ in range(turns + 1):  # the first one warms up
        started = time.perf_counter()
        settings = FitSettings(steps=200, batch=BATCH)
        fit_unlabelled(ours, pool, settings, np.random.default_rng(0))
        fast = {"trained a second": 200 * BATCH / (time.perf_counter() - started)}
        fast["encoded a second"] = encoded(lambda i: ours.model.encoder(read.rows(i)), len(read))[1]
        slow = {"trained a second": train(writing, lambda i: writing.loss(rows[i], costs[i]), 25)}
        slow["encoded a second"] = encoded(lambda i: writing.encode(others[i])[1], len(others))[1]
        for name in fast:
            rates.setdefault(f"ours, {name}", []).append(fast[name])
            rates.setdefault(f"LSTM, {name}", []).append(slow[name])
            rates.setdefault(f"times as fast, {name}", []).append(fast[name] / slow[name])
    return {name: spread(values[1:]) for name, values in rates.items()}


def spread(values: list[float]) -> dict[str, float]:
    """The middle of some turns, and how far apart they are."""
    low, middle, high = min(values), median(values), max(values)
    return {"median": round(middle, 2), "least": round(low, 2), "most": round(high, 2)}


def told(
    rate: float, encodes: float, ranks: dict[str, float], exact: float | None = None
) -> dict[str, float]:
    """One line of the result."""
    line = {"trained a second": round(rate), "encoded a second": round(encodes), **ranks}
    return line if exact is None else {**line, "exact": round(exact, 3)}


def report(out: Path, found: dict[str, dict[str, float]]) -> None:
    """As far as it is known."""
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(list(found.items())[-1], flush=True)


if __name__ == "__main__":
    main()
