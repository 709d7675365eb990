"""Searches over our embedding as arms: `compress`, with parts left out; the paper's flow."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from archpress.architecture import Architecture, simplify
from archpress.baselines.hand_made import hand_made_finalists
from archpress.baselines.paper import DECODED
from archpress.compression.first import first_candidates
from archpress.compression.learner import EmbeddingLearner
from archpress.compression.settings import Settings
from archpress.evaluation import Candidate, Trial
from archpress.search import Arm, Asking, DescentSettings, Problem, descend
from archpress.search.rounds import rounds as in_rounds
from archpress.space import Neighbourhood, PaperSampler, distinct, require_neighbourhood

LEAST_FIRST = 8  # trials before the first round


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
        space, count = _around(problem), min(settings.first, problem.budget // 2)
        if not rounds:
            count = problem.budget - DECODED
            problem = replace(problem, batch=DECODED)
        ours = replace(settings, first=max(LEAST_FIRST, count))
        first = first_candidates(space, problem.objective.limits, ours, problem.rng(0))
        known = {one.architecture.key for one in first}
        first += [Candidate(net, "hand-made") for net in _plain(problem) if net.key not in known]
        with EmbeddingLearner(space, settings, problem.seed, folder) as learner:
            yield from in_rounds(problem, first, learner, proposals)

    def rank(problem: Problem[Architecture], trials: Sequence[Trial], count: int) -> list[Trial]:
        space = _around(problem)
        plain = [net.key for net in _plain(problem)][: count - 1]
        with EmbeddingLearner(space, settings, problem.seed, folder) as learner:
            learner.learn(trials, 0)
            best = [net.key for net in learner.best(trials, problem.objective, count)]
        found = [key for key in best if key not in plain][: count - len(plain)]
        done = {trial.architecture.key: trial for trial in trials if trial.done}
        return [done[key] for key in (*found, *plain) if key in done]

    return Arm("default", ask, rank)


def _plain(problem: Problem[Architecture]) -> list[Architecture]:
    """The plain nets that are finalists of `compress` too; none where size is the aim.

    There `compress` makes them of the size that it found, when its trials are over.
    """
    if problem.objective.shrinks:
        return []
    return hand_made_finalists(_around(problem))


def paper_flow_arm(settings: Settings, folder: Path) -> Arm[Architecture]:
    """The paper's flow over our embedding: its samples within the limits, one fit, then descents.

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
        space = _around(problem)
        samples = distinct(
            PaperSampler(space.search_space, problem.rng(0)), max(2, problem.budget - DECODED)
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
            decoded = distinct(map(simplify, reversed(path)), DECODED, known=known)
            yield [Candidate(net, "descent", 1) for net in decoded]

    return Arm("paper-flow", ask)


def _around(problem: Problem[Architecture]) -> Neighbourhood:
    return require_neighbourhood(problem.space, "an embedding")
