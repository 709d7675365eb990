"""The search of `compress` as an arm, to be compared with others; and with parts left out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from archpress.architecture import Architecture, simplify
from archpress.architecture.vector import has_vectors, without_global_pools
from archpress.compression.first import (
    USUAL,
    HandMade,
    first_candidates,
    hand_made_finalists,
    hand_made_nets,
)
from archpress.compression.learner import EmbeddingLearner
from archpress.compression.settings import Settings
from archpress.embedding.paper import PaperEmbedding, PaperSettings
from archpress.evaluation import Candidate, Trial
from archpress.search import Arm, Asking, DescentSettings, Problem, descend
from archpress.search.paper_descent import PaperDescent, descend_once
from archpress.search.rounds import rounds as in_rounds
from archpress.space import Neighbourhood, PaperSampler, SearchSpace, distinct, paper_space

LEAST_FIRST = 8  # trials before the first round
LAST_OF_ONE_SHOT = 10  # designs that the one shot leaves for the descent


def default_arm(
    settings: Settings,
    folder: Path,
    *,
    descent: bool = True,
    edits: bool = True,
    rounds: bool = True,
) -> Arm[Architecture]:
    """First trials, embedding, rounds; the best of all trials are named by the surrogate.

    Plain hand-made nets as wide as the limits on costs allow are among the first trials, and the
    last of the best, where several are asked for.

    Args:
        settings: of the fit, the proposals and the number of first trials.
        folder: where embeddings are kept.
        descent: candidates from gradient descent.
        edits: candidates from edits of the best nets.
        rounds: learn again and again; else once, after nearly all of the budget, as the paper does.
    """
    proposals = settings.proposals
    proposals = replace(
        proposals,
        descent=proposals.descent if descent else None,
        edits=proposals.edits if edits else 0,
    )
    settings = replace(settings, proposals=proposals)

    def ask(problem: Problem[Architecture]) -> Asking[Architecture]:
        space, count = _space(problem), min(settings.first, problem.budget // 2)
        if not rounds:
            count = problem.budget - LAST_OF_ONE_SHOT
            problem = replace(problem, batch=LAST_OF_ONE_SHOT)
        ours = replace(settings, first=max(LEAST_FIRST, count))
        first = first_candidates(space, problem.objective.limits, ours, problem.rng(0))
        known = {one.architecture.key for one in first}
        first += [Candidate(net, "hand-made") for net in _plain(problem) if net.key not in known]
        with EmbeddingLearner(space, settings, problem.seed, folder) as learner:
            yield from in_rounds(problem, first, learner, proposals)

    def rank(problem: Problem[Architecture], trials: Sequence[Trial], count: int) -> list[Trial]:
        space = _space(problem)
        plain = [net.key for net in _plain(problem)][: count - 1]
        with EmbeddingLearner(space, settings, problem.seed, folder) as learner:
            learner.learn(trials, 0)
            best = [net.key for net in learner.best(trials, problem.objective, count)]
        found = [key for key in best if key not in plain][: count - len(plain)]
        done = {trial.architecture.key: trial for trial in trials if trial.done}
        return [done[key] for key in (*found, *plain) if key in done]

    return Arm("default", ask, rank)


def hand_made_arm(design: HandMade = USUAL) -> Arm[Architecture]:
    """A plain net of conv-BN-ReLU blocks, as wide as the limits allow: five minutes of handwork.

    Args:
        design: which form it has.
    """

    def ask(problem: Problem[Architecture]) -> Asking[Architecture]:
        space = _of_any_time(_space(problem).choices)
        yield [Candidate(net, "hand-made") for net in hand_made_nets(space, [design])]

    return Arm("hand-made", ask)


def _plain(problem: Problem[Architecture]) -> list[Architecture]:
    """The plain nets that are finalists of `compress` too; none where size is the aim.

    There `compress` makes them of the size that it found, when its trials are over.
    """
    if problem.objective.shrinks:
        return []
    return hand_made_finalists(_space(problem))


def _of_any_time(space: SearchSpace) -> SearchSpace:
    """The space without its bound on the time that a training takes."""
    return replace(space, most_activations=None)


def paper_arm(
    embedding: PaperSettings | None = None,
    descent: PaperDescent | None = None,
    *,
    near: float = 0.0,
) -> Arm[Architecture]:
    """The paper's flow: its samples, one fit of its embedding, one descent from the source.

    The samples have any number of parameters; some of them may keep the limits. Half of the decoded
    nets that do are trained, from the end of the descent backwards; the embedding is tuned on them
    and walked once more for the other half. The result is the best within the limits.

    Args:
        embedding: how it is fitted.
        descent: how to walk.
        near: share of the samples that are smaller neighbours of the source; the paper: none.

    Source:
        Sections 4.4, 5, 5.3 and 9.
    """
    fitting, walking = embedding or PaperSettings(), descent or PaperDescent()

    def ask(problem: Problem[Architecture]) -> Asking[Architecture]:
        around = _space(problem)
        limits = problem.objective.limits
        choices = around.choices
        space = paper_space(choices.input_shape, choices.classes, max_macs=limits.max_macs)
        space = replace(space, most_activations=choices.most_activations)
        source = without_global_pools(around.source)
        count = max(2, problem.budget - LAST_OF_ONE_SHOT)
        neighbours = map(without_global_pools, around.sample(problem.rng(1)) if near else ())
        near_nets = distinct(filter(has_vectors, neighbours), round(near * count))
        samples = distinct(PaperSampler(space, problem.rng(0)), count - len(near_nets))
        trials = yield [
            *(Candidate(net, "paper-sampler") for net in samples),
            *(Candidate(net, "neighbourhood") for net in near_nets),
        ]
        learned = PaperEmbedding(space, fitting, problem.seed)
        learned.fit(
            *_measured(trials, space.classes),
            progress=lambda done, total: problem.tell(f"fitting, {done / total:.0%}"),
        )
        known = {trial.architecture.key for trial in trials}
        for number in (1, 2):
            problem.tell("descending")
            path = list(descend_once(learned, source, limits, walking))
            nets = [step.net for step in reversed(path)]
            allowed = [net for net in nets if net and space.contains(net) and limits.allow(net)]
            decoded = distinct(allowed, LAST_OF_ONE_SHOT // 2, known=known)
            if not decoded:
                return
            known |= {net.key for net in decoded}
            trials = yield [Candidate(net, "descent", number) for net in decoded]
            problem.tell("tuning")
            learned.tune(*_measured(trials, space.classes))

    return Arm("paper", ask)


def _measured(trials: Sequence[Trial], classes: int) -> tuple[list[Architecture], list[float]]:
    """Nets and their accuracies, chance where a training failed."""
    nets = [trial.architecture for trial in trials]
    return nets, [trial.accuracy_or(1 / classes) for trial in trials]


def paper_flow_arm(settings: Settings, folder: Path) -> Arm[Architecture]:
    """The paper's flow over our embedding: its samples within the limits, one fit, one descent.

    What is decoded last comes first; the result is the best that was trained. The embedding is
    fitted on the paper's samples alone.

    Args:
        settings: of the fit and the descent.
        folder: where embeddings are kept.

    Source:
        Sections 4.4, 5 and 9.
    """
    settings = replace(settings, paper_share=1.0, fit=replace(settings.fit, pretrained=0))
    walking = settings.proposals.descent or DescentSettings()

    def ask(problem: Problem[Architecture]) -> Asking[Architecture]:
        space = _space(problem)
        samples = distinct(
            PaperSampler(space.choices, problem.rng(0)), max(2, problem.budget - LAST_OF_ONE_SHOT)
        )
        with EmbeddingLearner(space, settings, problem.seed, folder) as learner:
            trials = yield [Candidate(net, "paper-sampler") for net in samples]
            problem.tell("learning")
            learner.learn(trials, 1)
            problem.tell("descending")
            path = descend(
                learner.embedding, [learner.origin], problem.objective, walking, problem.rng(1)
            )
            known = {trial.architecture.key for trial in trials}
            decoded = distinct(map(simplify, reversed(path)), LAST_OF_ONE_SHOT, known=known)
            yield [Candidate(net, "descent", 1) for net in decoded]

    return Arm("paper-flow", ask)


def _space(problem: Problem[Architecture]) -> Neighbourhood:
    if not isinstance(problem.space, Neighbourhood):
        raise TypeError(f"an embedding of nets needs a Neighbourhood, not {problem.space!r}")
    return problem.space
