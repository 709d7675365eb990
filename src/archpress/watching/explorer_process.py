"""`ExplorerProcess`: answers of `Explorations`, from a process of the lowest priority."""

import json
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from archpress.python_process import python_command, python_environment

PROGRAM = "archpress.watching.explorer_program"


class ExplorerProcess:
    """Starts the process when it is asked for the first time; one question at a time.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def answer(self, limit: int | None = None) -> dict[str, Any]:
        """As of `Explorations`; a process that ended is started anew by the next question."""
        with self._lock:
            process = self._running()
            line = ""
            if process.stdin and process.stdout:
                with suppress(OSError, ValueError):  # it ended, or was closed meanwhile
                    process.stdin.write(f"{json.dumps(limit)}\n")
                    process.stdin.flush()
                    line = process.stdout.readline()
            if not line:
                self.close()
                return {"why_not": "The process that explores the embedding has ended."}
            found: dict[str, Any] = json.loads(line)
            return found

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._process.kill()
        with suppress(BrokenPipeError), self._process:  # waits for it and closes its pipes
            self._process = None

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._process = subprocess.Popen(
                python_command(PROGRAM, str(self._folder.resolve())),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=python_environment(),
                start_new_session=True,  # Ctrl-C is for the server, which ends it
            )
        return self._process
