"""Random search: what any other way to search must beat."""

from itertools import count

from archpress.architecture.design import D
from archpress.evaluation import Candidate
from archpress.search import Arm, Asking, Problem
from archpress.space import distinct


def random_search() -> Arm[D]:
    """Random designs of the space, none twice; ends early where the space gives no new ones."""
    return Arm("random", _ask)


def _ask(problem: Problem[D]) -> Asking[D]:
    samples = problem.space.sample(problem.rng(0))
    asked: set[str] = set()
    for number in count():
        designs = distinct(samples, problem.batch, known=asked)
        if not designs:
            return
        asked |= {design.key for design in designs}
        yield [Candidate(design, "random", number) for design in designs]
