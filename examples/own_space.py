"""Search a space of your own: nets that are a few choices, here widths and kernels of three blocks.

    python examples/own_space.py

The search is that of `archpress table`, but its nets are trained, on scikit-learn's digits.
"""

from functools import partial
from itertools import product

from archpress.architecture import Layer, chain
from archpress.data import load_data
from archpress.evaluation import SerialEvaluator, quick
from archpress.search import Objective, Problem, run_arm
from archpress.search.choices import choice_arm
from archpress.space import Dial, Limits

BLOCKS = [(width, kernel) for width in (4, 8, 16) for kernel in (1, 3)]
LIMITS = Limits(max_parameters=1500)


def net(choices):
    layers = []
    for width, kernel in (BLOCKS[one] for one in choices):
        conv = Layer("conv", kernel, width, 1, kernel // 2)
        layers += [conv, Layer("batch_norm"), Layer("relu"), Layer("max_pool", 2, 0, 2)]
    return chain((1, 8, 8), *layers, Layer("linear", channels=10))


CHOICES = {net(one): one for one in product(range(len(BLOCKS)), repeat=3)}
ALLOWED = [one for one in CHOICES if LIMITS.allow(one)]


class OwnSpace:
    """As much of a space as `choice_arm` needs; docs/extending.md has the rest."""

    def everything(self):
        return ALLOWED

    def sample(self, rng):
        while True:
            yield ALLOWED[rng.integers(len(ALLOWED))]

    def edit(self, design, rng, *, edits=1):
        return next(self.sample(rng))  # where all nets are ranked, small steps do not matter

    def dials(self):
        return [Dial(f"block {number}", 0, len(BLOCKS) - 1) for number in range(3)]

    def settings(self, design):
        return CHOICES[design]


evaluator = SerialEvaluator(load_data("digits"), quick(epochs=3, spare_images=0))
problem = Problem(OwnSpace(), Objective(LIMITS), budget=16, batch=3)
trials = run_arm(choice_arm(problem.space), problem, partial(evaluator.evaluate, seed=0))
for trial in problem.objective.ordered(trials):
    found, blocks = trial.architecture, [BLOCKS[one] for one in CHOICES[trial.architecture]]
    print(f"{trial.accuracy:.1%}, {found.parameters} parameters, width and kernel {blocks}")
