"""The paper's flow: its samples, one fit of its embedding, one descent from the source."""

from collections.abc import Sequence
from dataclasses import replace

from archpress.architecture import Architecture
from archpress.architecture.vector import has_vectors, without_global_pools
from archpress.embedding.paper import PaperEmbedding, PaperSettings
from archpress.evaluation import Candidate, Trial
from archpress.search import Arm, Asking, Problem
from archpress.search.paper_descent import PaperDescent, descend_once
from archpress.space import PaperSampler, distinct, paper_space, require_neighbourhood

DECODED = 10  # designs of a budget that a search without rounds leaves for its descent


def paper_search(
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
        around = require_neighbourhood(problem.space, "the paper's arm")
        limits = problem.objective.limits
        own = around.search_space
        space = paper_space(own.input_shape, own.classes, max_macs=limits.max_macs)
        space = replace(space, most_activations=own.most_activations)
        source = without_global_pools(around.source)
        count = max(2, problem.budget - DECODED)
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
            decoded = distinct(allowed, DECODED // 2, known=known)
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
