"""`Match`: the searches and final trainings of a comparison, seed after seed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from archpress.architecture import Architecture
from archpress.baselines.hand_made import hand_made_finalists
from archpress.comparison.conditions import Conditions
from archpress.comparison.contestants import Contestant
from archpress.comparison.final_training import (
    FinalStage,
    FinalTraining,
    Found,
    TrainingIdentity,
)
from archpress.comparison.play_off import NO_PLACES, PlayOff
from archpress.comparison.result import Final, Run
from archpress.comparison.searches import Searcher
from archpress.errors import ArchpressError, SpaceError
from archpress.evaluation import Trial
from archpress.search import Arm, Objective
from archpress.space import Limits

Told = Callable[[Sequence[Run]], None]


@dataclass
class Match:
    """All contestants under the same conditions.

    Attributes:
        conditions: of the comparison.
        contestants: with the arm of each; None: it does not search.
        searcher: runs searches.
        stage: makes final trainings.
        runs: what is known so far.
    """

    conditions: Conditions
    contestants: Sequence[tuple[Contestant, Arm[Architecture] | None]]
    searcher: Searcher
    stage: FinalStage
    runs: list[Run] = field(default_factory=list)
    _trainings: dict[tuple[str, int], FinalTraining] = field(default_factory=dict)

    def play(self, seeds: Iterable[int], tell: Told) -> None:
        """Every arm with the first seed, then the final trainings; then the next seed.

        Args:
            seeds: of the searches.
            tell: called with all runs after each search and each seed's final trainings, where they
                were not known from before.
        """
        for seed in seeds:
            objective = self.searcher.objective(self._limits_of_search(), seed)
            begin = len(self.runs)
            for contestant, arm in self.contestants:
                known, name = None, contestant.searches_as or contestant.name
                places = self.searcher.places(objective) if contestant.has_finalists else NO_PLACES
                run = Run(name, seed, objective, (), (), 0.0)
                if arm is not None:
                    known = self.searcher.recorded(name, objective, seed, places)
                    try:
                        run = known or self.searcher.run(name, arm, objective, seed, places)
                    except SpaceError as error:  # the other contestants go on
                        run = replace(run, problem=str(error))
                        self.stage.trainer.progress.say(f"{contestant.name} found no net: {error}")
                self.runs.append(replace(run, arm=contestant.name))
                if arm is not None and known is None:
                    tell(self.runs)
            before = self.stage.trained
            self.runs[begin:] = self._finish(self._play_off(self.runs[begin:], seed), seed)
            if self.stage.trained > before:
                tell(self.runs)

    def _play_off(self, runs: Sequence[Run], seed: int) -> list[Run]:
        """Longer trainings for the nets of the arms that have finalists."""
        with_finalists = {one.name for one, _ in self.contestants if one.has_finalists}
        playing = {run.arm: run for run in runs if run.arm in with_finalists and run.ranked[1:]}
        if not playing:
            return list(runs)
        searcher = self.searcher
        of_search = next(iter(playing.values())).objective  # one for all searches of a seed
        objective = replace(of_search, least_accuracy=self._least_accuracy())
        hand_made = frozenset(net.key for net in hand_made_finalists(searcher.neighbourhood))
        play_off = PlayOff(self.stage, objective, self.conditions.settings, hand_made, seed)
        places = searcher.places(of_search)
        if places.semifinalists:
            playing = play_off.semifinal(playing, places)
        playing = play_off.final(playing)
        return [playing.get(run.arm, run) for run in runs]

    def _finish(self, runs: Sequence[Run], seed: int) -> list[Run]:
        """One final training for the net of each arm; all arms' together, so that no core waits."""
        problems: dict[str, str] = {}
        for (contestant, _), run in zip(self.contestants, runs, strict=True):
            try:
                training = self._training(contestant, run)
            except ArchpressError as error:  # the other contestants go on
                problems[run.arm] = str(error)
                self.stage.trainer.progress.say(f"{run.arm} has no net: {error}")
                continue
            if training is not None:
                self._trainings[run.arm, seed] = training
        of_seed = [place for place in self._trainings if place[1] == seed]
        wanted = [self._trainings[place] for place in of_seed]
        others = [one.unless for one in wanted if one.unless]
        trials = self.stage.train([*wanted, *others], f"seed {seed}, final trainings")
        least = self._least_accuracy()
        objectives = {(run.arm, seed): replace(run.objective, least_accuracy=least) for run in runs}
        for place in of_seed:
            self._trainings[place] = self._kept(self._trainings[place], trials, objectives[place])
        finished = []
        for run in runs:
            training = self._trainings.get((run.arm, seed))
            final = self._final(trials[training.identity], least) if training else None
            problem = problems.get(run.arm, run.problem)
            finished.append(replace(run, final=final, problem=problem))
        return finished

    def _training(self, contestant: Contestant, run: Run) -> FinalTraining | None:
        chosen = run.chosen.architecture if run.chosen else None
        done = {trial.architecture.key for trial in run.finalists if trial.done}
        nets = (trial.architecture for trial in run.ranked)
        finalists = tuple(net for net in nets if net.key in done)
        return contestant.finish(self.stage, Found(chosen, run.seed, finalists))

    def _kept(
        self,
        training: FinalTraining,
        trials: Mapping[TrainingIdentity, Trial],
        objective: Objective,
    ) -> FinalTraining:
        """Of the trainings of a net that are a choice, the one that validation prefers."""
        ways = [training, training.unless] if training.unless else [training]
        done = [one for one in ways if trials[one.identity].done]
        for one in ways:
            if one not in done and done:
                failed = trials[one.identity]
                self.stage.trainer.progress.say(f"a final training failed: {failed.error}")
        if len(done) < len(ways):
            return next(iter(done), training)
        best = self.stage.trainer.best_way([one.entrant for one in ways], objective)
        return next(one for one in ways if one.entrant is best)

    def _final(self, trial: Trial, least: float) -> Final:
        net = trial.architecture
        if not trial.done:
            self.stage.trainer.progress.say(f"a final training failed: {trial.error}")
        kept = self.conditions.limits.allow(net) and (trial.accuracy or 0.0) >= least
        return Final(trial, self.conditions.source.parameters / net.parameters, kept)

    def _limits_of_search(self) -> Limits:
        """The limits as brief trainings can keep them."""
        limits = self.conditions.limits
        return limits if limits.min_accuracy is None else limits.against(self._source_accuracy())

    def _least_accuracy(self) -> float:
        """That a final training must reach; a loss is counted from the source's own."""
        limits = self.conditions.limits
        is_relative = limits.max_accuracy_loss is not None
        return limits.least_accuracy(self._source_accuracy() if is_relative else 0.0)

    def _source_accuracy(self) -> float:
        return self.stage.trainer.validation(self.stage.source()).mean

    def test(self) -> None:
        """Read the test images, where there are any, and measure all final nets on them."""
        images, trainer = self.conditions.images, self.stage.trainer
        trainings = {
            self._trainings[run.arm, run.seed].identity: self._trainings[run.arm, run.seed]
            for run in self.runs
            if run.final and run.final.trial.done
        }
        if images.test_reader is None or not trainings:
            return
        split = images.read_test()
        trainer.progress.stage("measuring on the test images", len(trainings))
        accuracies = {}
        for count, (identity, training) in enumerate(trainings.items(), start=1):
            accuracies[identity] = trainer.test(training.entrant, split).mean
            trainer.progress.advance(count)
        for index, run in enumerate(self.runs):
            of_run = self._trainings.get((run.arm, run.seed))
            if run.final and of_run and of_run.identity in accuracies:
                final = replace(run.final, test_accuracy=accuracies[of_run.identity])
                self.runs[index] = replace(run, final=final)
