"""`Courier`: takes trials to one sink, in a thread of its own."""

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from archpress.errors import told
from archpress.tracking.ledger import Ledger, digest
from archpress.tracking.sink import Entry, How, LoggedRun, Outcome, Sink

PAUSE = 1.0  # seconds between two deliveries
FIRST_WAIT, LONGEST_WAIT = 10.0, 300.0  # seconds after a failure; each is twice the last
GOODBYE_SECONDS = 20.0  # that the end of a run waits for a sink
CREDENTIALS = re.compile(r"//[^/@\s]*@")  # of a URL in a message
AT_ONCE = 50  # trials; MLflow takes up to 1,000 numbers in a request


@dataclass(frozen=True, slots=True)
class Parcel:
    """A trial on its way.

    Attributes:
        key: of the architecture.
        values: by name.
        when: it ended, seconds since 1970.
    """

    key: str
    values: Mapping[str, float]
    when: float


class Courier:
    """Takes what is told of a run to a sink; calls return at once.

    Args:
        sink: where to.
        run: folder.
        settings: of the run, once it has some.
        warn: is told the first thing that fails.
    """

    def __init__(
        self,
        sink: Sink,
        run: Path,
        settings: Callable[[], Mapping[str, str]],
        warn: Callable[[str], None],
    ) -> None:
        self._sink, self._run, self._settings, self._warn = sink, run, settings, warn
        self._inbox: deque[Parcel] = deque()
        self._entries: deque[Entry] = deque()  # have their numbers
        self._outcome: Outcome | None = None
        self._how: How | None = None
        self._ledger: Ledger | None = None
        self._known: set[str] = set()
        self._begun = self._warned = False
        self._news, self._closed = threading.Event(), threading.Event()
        name = f"archpress {sink.name}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def send(self, parcel: Parcel) -> None:
        """Log a trial, if it was not logged before."""
        self._inbox.append(parcel)
        self._news.set()

    def finish(self, outcome: Outcome) -> None:
        """Log what came of the run."""
        self._outcome = outcome
        self._news.set()

    def close(self, how: How) -> None:
        """Deliver what waits, for a while; the same run logs the rest when it goes on."""
        self._how = how
        self._closed.set()
        self._news.set()
        self._thread.join(GOODBYE_SECONDS)
        if self._thread.is_alive():
            self._tell(f"no answer for {GOODBYE_SECONDS:.0f} s")

    # --- the thread ---

    def _work(self) -> None:
        wait = FIRST_WAIT
        while True:
            self._news.wait()
            self._news.clear()
            is_last = self._closed.is_set()
            try:
                self._deliver(is_last)
                wait = FIRST_WAIT
                self._closed.wait(PAUSE)
            except Exception as error:  # whatever another library raises, the search goes on
                self._begun = False
                self._tell(told(error))
                self._news.set()  # it is tried again, without any news
                self._closed.wait(wait)
                wait = min(2 * wait, LONGEST_WAIT)
            if is_last:
                return

    def _tell(self, problem: str) -> None:
        if not self._warned:
            self._warned = True
            problem = CREDENTIALS.sub("//***@", problem)
            self._warn(
                f"cannot log to {self._sink.name}: {problem}; the search goes on, and what is "
                "missing is logged when that works again, or by the same command"
            )

    def _deliver(self, is_last: bool) -> None:
        if not self._begun:
            if not (self._inbox or self._entries or self._outcome):
                return  # no trial yet, so no run either
            self._begin()
        ledger = self._ledger
        assert ledger is not None
        while self._inbox or self._entries:
            while self._inbox and len(self._entries) < AT_ONCE:
                self._number(self._inbox.popleft(), ledger)
            if not self._entries:
                break
            batch = list(self._entries)
            ledger.save(self._run, self._sink.name)
            self._sink.log(batch)
            self._entries.clear()
            ledger.logged = batch[-1].step
            ledger.save(self._run, self._sink.name)
        self._end(ledger, is_last)

    def _begin(self) -> None:
        settings = self._settings()
        about = digest(settings, self._sink.where)
        is_first = self._ledger is None
        ledger = self._ledger or Ledger.read(self._run, self._sink.name, about)
        before = LoggedRun(ledger.place, ledger.logged) if ledger.place else None
        place = self._sink.begin(self._run, before, settings)
        ledger.place, ledger.logged = place.name, min(place.logged, len(ledger.keys))
        if is_first:  # of a run that was killed; it tells of the others again
            ledger.keys = ledger.keys[: ledger.logged]
            self._known = {*ledger.keys}
        while self._entries and self._entries[0].step <= ledger.logged:
            self._entries.popleft()  # was taken, though the answer was lost
        ledger.save(self._run, self._sink.name)
        self._ledger, self._begun = ledger, True

    def _number(self, parcel: Parcel, ledger: Ledger) -> None:
        if parcel.key in self._known:
            return
        self._known.add(parcel.key)
        ledger.keys.append(parcel.key)
        step = len(ledger.keys)
        self._entries.append(Entry(step, {"trials": step, **parcel.values}, parcel.when))

    def _end(self, ledger: Ledger, is_last: bool) -> None:
        outcome = self._outcome
        if outcome is not None and ledger.outcome != (mark := digest(asdict(outcome))):
            self._sink.finish(len(ledger.keys), outcome)
            ledger.outcome = mark
            ledger.save(self._run, self._sink.name)
        if is_last:
            self._sink.end(self._how or "finished")
