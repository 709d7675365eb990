"""`Comparison`: what came of every arm and seed, and what it says about the arms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from archpress.comparison.contestants import OURS, UNTAUGHT, Contestant
from archpress.comparison.curves import Goal, best_so_far
from archpress.comparison.verdict import Paired, paired, tell
from archpress.compression.notebook import as_html
from archpress.compression.result import Spread, versions
from archpress.evaluation import Trial
from archpress.search import Objective


@dataclass(frozen=True)
class Final:
    """The one final training of an arm's net.

    Attributes:
        trial: of the training; a failed one has no accuracy.
        compression: the source's parameters over the net's.
        kept: whether the net keeps all limits, by its final validation accuracy.
        test_accuracy: in [0, 1]; None before the test images are read, or where there are none.
    """

    trial: Trial
    compression: float
    kept: bool
    test_accuracy: float | None = None


@dataclass(frozen=True)
class Run:
    """One arm with one seed.

    Attributes:
        arm: name of the contestant.
        seed: of the search, its trials and the final training.
        objective: of the search; its least accuracy depends on the seed.
        trials: in the order in which they were asked for; stored ones count like new ones.
        ranked: trials of the nets that the arm finds best, first the best; none where it does not
            search, or all its trials failed. Where there are finalists, they alone are left, and
            validation after their final trainings puts the best of them first.
        own_seconds: wall time of the search without its trainings.
        semifinalists: short final trainings that were needed to choose finalists.
        finalists: final trainings that were needed to choose.
        final: None before the final training, or where there is no net.
        problem: why there is no net though one was to be made; else "".
    """

    arm: str
    seed: int
    objective: Objective
    trials: tuple[Trial, ...]
    ranked: tuple[Trial, ...]
    own_seconds: float
    semifinalists: tuple[Trial, ...] = ()
    finalists: tuple[Trial, ...] = ()
    final: Final | None = None
    problem: str = ""

    @property
    def chosen(self) -> Trial | None:
        """The trial of the net that the arm chose."""
        return self.ranked[0] if self.ranked else None

    @property
    def failed(self) -> int:
        """Trials that failed."""
        return sum(not trial.done for trial in self.trials)

    @property
    def trained(self) -> int:
        """Architectures out of the budget; one that is trained briefly and to the end is two."""
        return len(self._of_budget)

    @property
    def _of_budget(self) -> tuple[Trial, ...]:
        return self.trials + self.semifinalists + self.finalists

    @property
    def training_seconds(self) -> float:
        """Of all of them, as if each was trained for this arm, one after the other."""
        return sum(trial.seconds for trial in self._of_budget)


@dataclass(frozen=True)
class Summary:
    """What one arm came to, over its seeds.

    Attributes:
        arm: name of the contestant.
        seeds: searches that ended.
        accuracy: of the final trainings, on test images where there are any.
        standard_error: of its mean; None for one seed.
        parameters, compression: of the nets; means.
        best: of the trials at the end of the budget, by the goal.
        trained: architectures a search; mean.
        own_seconds, training_seconds: of a search, its finalists included; means.
        failed: trials in all searches.
        failed_finals: final trainings.
        kept: nets that keep all limits.
    """

    arm: str
    seeds: int
    accuracy: Spread | None
    standard_error: float | None
    parameters: float | None
    compression: Spread | None
    best: Spread | None
    trained: float
    own_seconds: float
    training_seconds: float
    failed: int
    failed_finals: int
    kept: int


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison, or what is known of it so far.

    Attributes:
        source: name, "key", "parameters" and "macs" of the net.
        data: "name", "key" and counts of the images.
        limits: the user's, as plain values.
        recipes: "trial" and "final", and "semifinal" where the settings have one, as plain values.
        contestants: in the order in which they ran.
        budget: architectures that each search may train.
        batch: architectures that are asked for at once.
        seeds: how many, of each arm.
        first_seed: the first of them.
        goal: what is better: accuracy within the limits on costs, or compression within those on
            accuracy.
        runs: one an arm and seed, as far as they are done.
        complete: whether all are, the test images included.
        folder: where it lies.
        distillation: weight of its teachers' outputs in the last training of ours.
    """

    source: dict[str, Any]
    data: dict[str, Any]
    limits: dict[str, Any]
    recipes: dict[str, dict[str, Any]]
    contestants: tuple[Contestant, ...]
    budget: int
    batch: int
    seeds: int
    first_seed: int
    goal: Goal
    runs: tuple[Run, ...]
    complete: bool
    folder: Path
    distillation: float = 0.0

    @property
    def which_seeds(self) -> range:
        """Of the searches."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def of(self, arm: str) -> list[Run]:
        """The runs of an arm, by seed."""
        return [run for run in self.runs if run.arm == arm]

    @property
    def judged_on(self) -> str:
        """Which images final accuracies are of: "test" or "validation"."""
        finals = [run.final for run in self.runs if run.final and run.final.trial.done]
        tested = bool(finals) and all(final.test_accuracy is not None for final in finals)
        return "test" if tested else "validation"

    def accuracy(self, run: Run) -> float | None:
        """Final accuracy of a run, on `judged_on`."""
        if run.final is None:
            return None
        tested = self.judged_on == "test"
        return run.final.test_accuracy if tested else run.final.trial.accuracy

    def reached(self, run: Run) -> float | None:
        """What a run came to by the goal: final accuracy, or compression.

        Nothing where its net is over a limit on a cost; 1 where a net that was to be smaller is not
        accurate enough, for the source is what is left then.
        """
        if run.final is None or not run.final.trial.done:
            return None
        if not run.objective.limits.allow(run.final.trial.architecture):
            return None
        if self.goal == "accuracy":
            return self.accuracy(run)
        return run.final.compression if run.final.kept else 1.0

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """One an arm that has runs."""
        return tuple(self._summary(one.name) for one in self.contestants if self.of(one.name))

    @cached_property
    def pairs(self) -> tuple[Paired, ...]:
        """Ours against each other arm over the seeds that both finished."""
        ours = self._by_seed(OURS)
        others = [one.name for one in self.contestants if one.name != OURS]
        found = (paired(name, ours, self._by_seed(name)) for name in others)
        return tuple(pair for pair in found if pair is not None)

    @property
    def verdict(self) -> str:
        """Ours against the best of the others; without its teacher too, where that took part."""
        if not self.complete:
            total = len(self.contestants) * self.seeds
            return f"Not finished: {len(self.runs)} of {total} searches are done."
        if not self.of(OURS):
            return f"{OURS} did not take part, so there is no verdict."
        baselines = {one.name for one in self.contestants if one.kind == "baseline"}
        rivals = [pair for pair in self.pairs if pair.arm in baselines] or list(self.pairs)
        if not rivals:
            return f"There is no other arm with a result to compare {OURS} with."
        best = max(rivals, key=lambda pair: fmean(self._by_seed(pair.arm).values()))
        sentences = [tell(best, len(rivals), self.goal, self.judged_on)]
        untaught = paired(best.arm, self._by_seed(UNTAUGHT), self._by_seed(best.arm))
        if untaught is not None and self.distillation and best.arm in baselines:
            sentences.append(tell(untaught, 1, self.goal, self.judged_on, ours=UNTAUGHT))
        return " ".join(sentences)

    def _repr_html_(self) -> str:
        from archpress.comparison.tables import brief_columns, brief_rows  # they import this module

        return as_html(self.verdict, brief_columns(self), brief_rows(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain values; of the trials only their number."""
        return {
            "verdict": self.verdict,
            "complete": self.complete,
            "goal": self.goal,
            "source": self.source,
            "data": self.data,
            "limits": self.limits,
            "recipes": self.recipes,
            "budget": self.budget,
            "batch": self.batch,
            "seeds": self.seeds,
            "first_seed": self.first_seed,
            "judged_on": self.judged_on,
            "arms": [asdict(one) for one in self.summaries],
            "pairs": [asdict(one) for one in self.pairs],
            "runs": list(self.rows()),
            "versions": versions(),
        }

    def rows(self) -> Iterator[dict[str, Any]]:
        """One an arm and seed, as plain values."""
        for run in self.runs:
            final = run.final
            net = final.trial.architecture if final else None
            best = best_so_far(run.trials, run.objective, self.goal, self.source["parameters"])
            yield {
                "arm": run.arm,
                "seed": run.seed,
                "budget": self.budget,
                "trained": run.trained,
                "semifinalists": len(run.semifinalists),
                "finalists": len(run.finalists),
                "failed": run.failed,
                f"best_trial_{self.goal}": best[-1] if best else None,
                "chosen_trial_accuracy": run.chosen.accuracy if run.chosen else None,
                "key": net.key if net else None,
                "parameters": net.parameters if net else None,
                "macs": net.macs if net else None,
                "compression": final.compression if final else None,
                "limits_kept": final.kept if final else None,
                "validation_accuracy": final.trial.accuracy if final else None,
                "test_accuracy": final.test_accuracy if final else None,
                "final_error": (final.trial.error if final else run.problem) or None,
                "own_seconds": round(run.own_seconds, 2),
                "training_seconds": round(run.training_seconds, 2),
            }

    def _by_seed(self, arm: str) -> dict[int, float]:
        values = {run.seed: self.reached(run) for run in self.of(arm)}
        return {seed: value for seed, value in values.items() if value is not None}

    def _summary(self, arm: str) -> Summary:
        runs = self.of(arm)
        done = [run for run in runs if run.final and run.final.trial.done]
        finals = [run.final for run in done if run.final]
        accuracy = _spread([self.accuracy(run) for run in done])
        return Summary(
            arm,
            len(runs),
            accuracy,
            accuracy.std / accuracy.n**0.5 if accuracy and accuracy.n > 1 else None,
            _average(finals, lambda one: one.trial.architecture.parameters),
            _spread([one.compression for one in finals]),
            _spread([self._best(run) for run in runs]),
            _average(runs, lambda run: run.trained) or 0.0,
            _average(runs, lambda run: run.own_seconds) or 0.0,
            _average(runs, lambda run: run.training_seconds) or 0.0,
            sum(run.failed for run in runs),
            sum(run.final is not None or bool(run.problem) for run in runs) - len(finals),
            sum(one.kept for one in finals),
        )

    def _best(self, run: Run) -> float | None:
        best = best_so_far(run.trials, run.objective, self.goal, self.source["parameters"])
        return best[-1] if best else None


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread.of(known) if known else None


def _average(items: Sequence[Any], value: Callable[[Any], float]) -> float | None:
    return sum(map(value, items)) / len(items) if items else None
