"""The paper's experiments, by name.

TABLE_ONE, TableOneRow      Table 1: bases, accuracies, compressions
Scale, scale_of     how much of the paper's work is done, and what is left out
Experiment          a row, a scale, methods and a limit
plan                what would be trained, and how long it takes here
reproduce           trains it, resumable, and puts the paper's numbers beside ours
analyse             filters, maps, predictions along the descent, motifs (sections 5.3 and 10)
"""

from archpress.reproduction.analysis import Analysis, AnalysisSettings, analyse
from archpress.reproduction.experiment import METHODS, Experiment
from archpress.reproduction.plan import Stage, plan
from archpress.reproduction.reproduce import COLUMNS, Reproduction, reproduce
from archpress.reproduction.scales import SCALES, Scale, scale_of
from archpress.reproduction.table_one import TABLE_ONE, TableOneRow

__all__ = [
    "COLUMNS",
    "METHODS",
    "SCALES",
    "TABLE_ONE",
    "Analysis",
    "AnalysisSettings",
    "Experiment",
    "Reproduction",
    "Scale",
    "Stage",
    "TableOneRow",
    "analyse",
    "plan",
    "reproduce",
    "scale_of",
]
