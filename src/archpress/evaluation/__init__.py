"""From an architecture to a measured trial.

    Recipe                  how to train, as a value; presets `quick`, `final`, `paper`
    train                   the one training loop
    Candidate, Trial        what is asked for, what came of it
    expected_accuracies     of trials, to choose among nets that few images judged
    noise_of_difference     of two accuracies, to tell whether one is better
    Evaluator               candidates in, trials out; anybody may write another
      SerialEvaluator       trains in this process
      Pool                  trains several at once, and does jobs; `open_pool` makes one
        ProcessPool         in several processes, with limits of time and memory
        RayPool             on the nodes of a Ray cluster
      Inheriting            nets begin with slices of a trained source, in a pool
      Averaged              several initialisations of each net, in a pool
      TableEvaluator        looks published results up
    measure_latency         how long a network takes on this machine
    measure_in_turns        several beside each other, an ONNX file among them
    time_nets               how long many take; `save_times` and `load_times` keep it in a file

A failure is a trial, never an exception that stops the others. The same architecture, data, recipe
and seed give the same trial in every evaluator that trains.
"""

from archpress.evaluation.averaged import Averaged, averaged, averaged_key
from archpress.evaluation.device import choose_device, cores, torch_threads
from archpress.evaluation.evaluator import Evaluator, Pool, SerialEvaluator
from archpress.evaluation.expected import expected_accuracies, noise_of_difference
from archpress.evaluation.inheriting import Inheriting
from archpress.evaluation.job import Job, run_job
from archpress.evaluation.latency import Latency, measure_in_turns, measure_latency, stopwatch
from archpress.evaluation.latency_onnx import onnx_stopwatch
from archpress.evaluation.loop import DivergedError
from archpress.evaluation.measure_on_target import this_machine
from archpress.evaluation.pool import ProcessPool
from archpress.evaluation.pools import driver_device, open_pool, workers_at_once
from archpress.evaluation.precision import Precision, choose_precision
from archpress.evaluation.preparation import Normalisation, usual_normalisations
from archpress.evaluation.profiling import (
    BACKENDS,
    load_times,
    ready_to_time,
    save_times,
    time_nets,
)
from archpress.evaluation.ray_pool import RayPool, connect
from archpress.evaluation.recipe import AUGMENTATIONS, Recipe, augmented, final, paper, quick
from archpress.evaluation.table import TableEvaluator
from archpress.evaluation.training import (
    Epoch,
    TrainingResult,
    accuracy_of,
    logits_of,
    teacher_logits_of,
    train,
)
from archpress.evaluation.trial import Candidate, Trial, TrialState

__all__ = [
    "AUGMENTATIONS",
    "BACKENDS",
    "Averaged",
    "Candidate",
    "DivergedError",
    "Epoch",
    "Evaluator",
    "Inheriting",
    "Job",
    "Latency",
    "Normalisation",
    "Pool",
    "Precision",
    "ProcessPool",
    "RayPool",
    "Recipe",
    "SerialEvaluator",
    "TableEvaluator",
    "TrainingResult",
    "Trial",
    "TrialState",
    "accuracy_of",
    "augmented",
    "averaged",
    "averaged_key",
    "choose_device",
    "choose_precision",
    "connect",
    "cores",
    "driver_device",
    "expected_accuracies",
    "final",
    "load_times",
    "logits_of",
    "measure_in_turns",
    "measure_latency",
    "noise_of_difference",
    "onnx_stopwatch",
    "open_pool",
    "paper",
    "quick",
    "ready_to_time",
    "run_job",
    "save_times",
    "stopwatch",
    "teacher_logits_of",
    "this_machine",
    "time_nets",
    "torch_threads",
    "train",
    "usual_normalisations",
    "workers_at_once",
]
