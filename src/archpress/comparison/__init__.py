"""Ways to a small net, compared: the same images, recipes, budget and seeds.

compare                  runs arms over seeds, resumable, and writes what came of it
Contestant, contestants  who can take part
Comparison               what came of it, with `verdict`, `summaries`, `pairs` and `runs`
"""

from archpress.comparison.compare import DEFAULT_ARMS, compare
from archpress.comparison.conditions import Conditions
from archpress.comparison.contestants import Contestant, contestants, pick
from archpress.comparison.final_training import FinalStage, FinalTraining, Found, from_scratch
from archpress.comparison.result import Comparison, Final, Run, Summary
from archpress.comparison.verdict import Paired

__all__ = [
    "DEFAULT_ARMS",
    "Comparison",
    "Conditions",
    "Contestant",
    "Final",
    "FinalStage",
    "FinalTraining",
    "Found",
    "Paired",
    "Run",
    "Summary",
    "compare",
    "contestants",
    "from_scratch",
    "pick",
]
