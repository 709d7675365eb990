"""A run as other programs show it: TensorBoard, MLflow.

    Tracking    listens to a run, and logs its trials and its result
    Sink        where they go; one of one's own is given in the place of a name

What tracking promises:

- It never stops or slows a search: each sink has a thread of its own, and what fails there is told
  once and tried again.
- A trial is logged once, also if the run is killed and goes on: `tracking/` in the run folder knows
  what was logged.
"""

from archpress.tracking.sink import Entry, LoggedRun, Sink
from archpress.tracking.tracking import SINKS, Tracking

__all__ = ["SINKS", "Entry", "LoggedRun", "Sink", "Tracking"]
