"""`rounds`: the search itself: first designs, then learn - propose - evaluate, again and again."""

from collections.abc import Sequence
from itertools import count

from archpress.architecture.design import D
from archpress.evaluation import Candidate
from archpress.search.learner import Learner
from archpress.search.problem import Asking, Problem
from archpress.search.proposals import ProposalSettings, propose


def rounds(
    problem: Problem[D],
    first: Sequence[Candidate[D]],
    learner: Learner[D],
    settings: ProposalSettings,
) -> Asking[D]:
    """Ask for the first designs, then for what the learner finds most promising, round by round.

    Ends where nothing promises anything any more. `compression.search` is the same for one run that
    keeps a journal and times its nets.
    """
    trials = list((yield first))
    for number in count(1):
        problem.tell("learning")
        learner.learn(trials, number)
        problem.tell("proposing")
        candidates = propose(problem, trials, learner, settings, count=problem.batch, number=number)
        if not candidates:
            return
        trials += yield candidates
