"""N2N learning: recurrent policies that remove layers and then shrink them, by REINFORCE."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archpress.architecture import Architecture, Layer, simplify
from archpress.errors import SpaceError
from archpress.evaluation import Candidate, Trial, torch_threads
from archpress.evaluation.training import isolated
from archpress.search import Arm, Asking, Problem
from archpress.space import Neighbourhood, repair, require_neighbourhood

# What a policy tells apart; all other kinds are alike to it, so that a new one changes no result.
SEEN_KINDS = (
    *("conv", "depthwise", "max_pool", "batch_norm", "relu", "sigmoid", "dropout", "average_pool"),
    *("linear", "global_average_pool", "add", "concat", "relu6", "leaky_relu", "elu", "gelu"),
    *("silu", "hardswish", "tanh"),
)
FACTORS = tuple(step / 10 for step in range(1, 11))  # by which a field of a layer may shrink
SHRINKING = ("kernel", "padding", "channels")  # fields, in the order in which they are decided
FAILURE = -1.0  # reward of a design that breaks a limit or whose trial failed
STAGE_DRY = 10  # batches without a new design, after which a stage ends before its share


@dataclass(frozen=True, slots=True)
class ReinforceSettings:
    """How the policies learn.

    Attributes:
        first_share: of the budget, for the removal of layers.
        rollouts: designs between two updates; a problem that asks for batches sets its own number.
        hidden: size of each LSTM's state, per direction.
        depth: layers of each LSTM.
        removal_rate, shrinking_rate: Adam's learning rates.
        memory: weight of the past in the moving average of rewards, the baseline.
    """

    first_share: float = 0.5
    rollouts: int = 5
    hidden: int = 30
    depth: int = 2
    removal_rate: float = 0.003
    shrinking_rate: float = 0.01
    memory: float = 0.9


def reinforce(settings: ReinforceSettings | None = None) -> Arm[Architecture]:
    """N2N learning, in two stages: remove layers of the source, then shrink those of the best.

    Every design of a policy is repaired into the space, so narrowed to the limits on costs, and the
    reward is that of the repaired design: no trial goes to a net that cannot be the result.

    Args:
        settings: of the policies.

    Raises:
        SpaceError: when the search starts, where the space is not one of layers.

    Source:
        Ashok et al. 2017 (arXiv 1709.06030); repair, the split of the budget and what the settings
        say are ours, see docs/baselines.md.
    """
    chosen = settings or ReinforceSettings()
    return Arm("reinforce", lambda problem: _ask(problem, chosen))


def _ask(problem: Problem[Architecture], settings: ReinforceSettings) -> Asking[Architecture]:
    space = require_neighbourhood(problem.space, "N2N learning")
    rewards, source = _Rewards(problem), space.source
    if space.why_not(source) is None:
        rewards.take((yield [Candidate(source, "source")]))
    with isolated(int(problem.rng(0).integers(2**31)), "cpu", 1):
        removal = _RemovalPolicy(source, settings)
    share = math.ceil(settings.first_share * problem.budget)
    yield from _learn(problem, space, settings, removal, rewards, share)
    with isolated(int(problem.rng(1).integers(2**31)), "cpu", 1):
        shrinking = _ShrinkingPolicy(rewards.best() or source, settings)
    yield from _learn(problem, space, settings, shrinking, rewards, problem.budget)


def _learn(
    problem: Problem[Architecture],
    space: Neighbourhood,
    settings: ReinforceSettings,
    policy: "_Policy",
    rewards: "_Rewards",
    most: int,
) -> Asking[Architecture]:
    """Sample designs, update the policy by their rewards; until `most` were evaluated in all."""
    optimizer = torch.optim.Adam(policy.parameters(), lr=policy.rate)
    rng = torch.Generator().manual_seed(int(problem.rng(2, policy.stage).integers(2**31)))
    baseline, stale, number = None, 0, 0
    while len(rewards.trials) < most and stale < STAGE_DRY:
        number += 1
        with torch_threads(1), torch.enable_grad():
            actions, log_probability = policy.sample(_rollouts(problem, settings), rng)
        proposed = [policy.layers(row) for row in actions.tolist()]
        designs = [simplify(repair(rows, space.search_space).architecture) for rows in proposed]
        before = len(rewards.trials)
        trials = yield [
            Candidate(design, f"reinforce {policy.stage}", number) for design in designs
        ]
        rewards.take(trials)
        stale = 0 if len(rewards.trials) > before else stale + 1
        got = torch.tensor([rewards.of(trial) for trial in trials])
        mean = float(got.mean())
        baseline = mean if baseline is None else baseline
        with torch_threads(1), torch.enable_grad():
            optimizer.zero_grad()
            (-(got - baseline) * log_probability).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        baseline = settings.memory * baseline + (1 - settings.memory) * mean


def _rollouts(problem: Problem[Architecture], settings: ReinforceSettings) -> int:
    return problem.batch if problem.batch > 1 else settings.rollouts


class _Rewards:
    """The trials so far, and what each was worth."""

    def __init__(self, problem: Problem[Architecture]) -> None:
        self.objective, self.source = problem.objective, problem.space.source
        self.trials: dict[str, Trial] = {}

    def take(self, trials: Iterable[Trial]) -> None:
        """Remember trials."""
        self.trials |= {trial.architecture.key: trial for trial in trials}

    def of(self, trial: Trial) -> float:
        """`C (2 - C) A / A_source`, C the share of the source's parameters that is saved.

        Where the source was not evaluated, the best accuracy so far stands in for its own.
        """
        accuracy, design = trial.accuracy, trial.architecture
        if accuracy is None or not self.objective.feasible(design, accuracy):
            return FAILURE
        source = self.trials.get(self.source.key)
        known = source.accuracy if source is not None else None
        known = known or max(one.accuracy or 0.0 for one in self.trials.values())
        saved = 1 - design.parameters / self.source.parameters
        return saved * (2 - saved) * accuracy / known if known else 0.0

    def best(self) -> Architecture | None:
        """The design of the highest reward; None where nothing was rewarded."""
        best = max(self.trials.values(), key=self.of, default=None)
        return None if best is None or self.of(best) == FAILURE else best.architecture


# --- policies ----------------------------------------------------------------------------------


class _Policy(nn.Module):
    """Chooses one action at each of T places of an architecture."""

    stage: int
    rate: float  # Adam's
    states: Tensor  # of the places, or of the layers

    def sample(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Actions, `B x T`, int64, and the log probability of each row, `B`, with its graph."""
        raise NotImplementedError

    def layers(self, actions: Sequence[int]) -> list[Layer]:
        """What T actions make of the architecture; need not be a net."""
        raise NotImplementedError


class _RemovalPolicy(_Policy):
    """Stage 1: a bidirectional LSTM over the layers; 1 keeps a layer. The head always stays."""

    stage = 1

    def __init__(self, source: Architecture, settings: ReinforceSettings) -> None:
        super().__init__()
        self.source, self.rate = source, settings.removal_rate
        if len(source.layers) < 2:
            raise SpaceError("N2N learning removes layers, and the source has its head alone")
        states = torch.tensor([[_state(layer) for layer in source.layers[:-1]]])  # 1 x T x F
        self.register_buffer("states", states)
        self.lstm = _lstm(states.shape[2], settings, bidirectional=True)
        self.keep = nn.Linear(2 * settings.hidden, 1)

    def sample(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        logits = self.keep(self.lstm(self.states)[0]).squeeze(2).expand(count, -1)  # B x T
        kept = torch.bernoulli(logits.detach().sigmoid(), generator=rng)
        surprise = F.binary_cross_entropy_with_logits(logits, kept, reduction="none")
        return kept.long(), -surprise.sum(1)

    def layers(self, actions: Sequence[int]) -> list[Layer]:
        """Without the layers of action 0, whose readers read their first input instead."""
        place, kept = {-1: -1}, list[Layer]()
        for index, layer in enumerate(self.source.layers):
            read = [place[source] for source in self.source.input_indices(index)]
            pointless = len(read) > 1 and len(set(read)) == 1  # both branches are gone
            if index < len(actions) and (pointless or not actions[index]):
                place[index] = read[0]
            else:
                place[index] = len(kept)
                kept.append(replace(layer, inputs=tuple(len(kept) - source for source in read)))
        return kept


class _ShrinkingPolicy(_Policy):
    """Stage 2: an LSTM over the fields of the layers that reads its last choice of a factor."""

    stage = 2

    def __init__(self, start: Architecture, settings: ReinforceSettings) -> None:
        super().__init__()
        self.start, self.rate = start, settings.shrinking_rate
        self.places = [
            (index, field)
            for index, layer in enumerate(start.layers[:-1])
            for field in SHRINKING
            if getattr(layer, field)
        ]
        states = [
            [*_state(start.layers[index]), *(float(field == one) for one in SHRINKING)]
            for index, field in self.places
        ]
        self.register_buffer("states", torch.tensor(states))  # T x F
        self.lstm = _lstm(len(states[0]) + len(FACTORS), settings)
        self.choose = nn.Linear(settings.hidden, len(FACTORS))

    def sample(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen, log_probability = list[Tensor](), torch.zeros(count)
        previous, memory = torch.zeros(count, len(FACTORS)), None
        for state in self.states:
            seen = torch.cat([state.expand(count, -1), previous], dim=1).unsqueeze(1)  # B x 1 x F
            output, memory = self.lstm(seen, memory)
            logs = F.log_softmax(self.choose(output.squeeze(1)), dim=1)  # B x factors
            action = torch.multinomial(logs.detach().exp(), 1, generator=rng)  # B x 1
            log_probability = log_probability + logs.gather(1, action).squeeze(1)
            previous = F.one_hot(action.squeeze(1), len(FACTORS)).float()
            chosen.append(action)
        return torch.cat(chosen, dim=1), log_probability

    def layers(self, actions: Sequence[int]) -> list[Layer]:
        """Each field times its factor, rounded; kernels and channels stay at least 1."""
        layers = list(self.start.layers)
        for (index, field), action in zip(self.places, actions, strict=True):
            value = round(getattr(layers[index], field) * FACTORS[action])
            least = 0 if field == "padding" else 1
            layers[index] = replace(layers[index], **{field: max(least, value)})
        return layers


def _lstm(features: int, settings: ReinforceSettings, *, bidirectional: bool = False) -> nn.LSTM:
    return nn.LSTM(
        features, settings.hidden, settings.depth, batch_first=True, bidirectional=bidirectional
    )


def _state(layer: Layer) -> list[float]:
    """A layer as a policy sees it: its kind, its fields and how far back it reads, near 0 to 1."""
    kinds = [float(layer.kind == kind) for kind in SEEN_KINDS]
    window = [layer.kernel / 7, layer.stride / 4, layer.padding / 4]
    return [*kinds, *window, math.log2(1 + layer.channels) / 10, (max(layer.inputs) - 1) / 10]
