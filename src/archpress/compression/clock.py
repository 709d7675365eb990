"""`Clock`: how long each stage of a run takes."""

import time


class Clock:
    """Wall time of each stage, seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    def lap(self, name: str) -> None:
        """The stage ends here that began with the last call."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._started, 2)
        self._started = now

    def add(self, seconds: dict[str, float]) -> None:
        """Stages that were timed elsewhere and end here."""
        self.seconds |= {name: round(value, 2) for name, value in seconds.items()}
        self._started = time.perf_counter()
