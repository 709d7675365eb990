"""From a space, an objective and a budget to trials: propose, evaluate, learn, again.

Problem, run_arm        what every way to search gets; lets one spend its budget
Objective               what is better, given the limits
propose                 what to train next: descent and edits, one acquisition
descend                 gradient descent in the embedding
Journal                 what a search decided, so that a killed run goes on from it
"""

from archpress.search.descent import DescentSettings, descend
from archpress.search.journal import Journal
from archpress.search.objective import Objective
from archpress.search.problem import Arm, Asking, Evaluate, Problem, run_arm
from archpress.search.progress import Progress, Silent, Together, note_of, told_of_waiting
from archpress.search.proposals import ProposalSettings, propose

__all__ = [
    "Arm",
    "Asking",
    "DescentSettings",
    "Evaluate",
    "Journal",
    "Objective",
    "Problem",
    "Progress",
    "ProposalSettings",
    "Silent",
    "Together",
    "descend",
    "note_of",
    "propose",
    "run_arm",
    "told_of_waiting",
]
