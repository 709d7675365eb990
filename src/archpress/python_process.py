"""Another Python process of this very package."""

import os
import sys
from pathlib import Path

PACKAGE_ROOT = Path(__file__).parents[1]  # the folder that holds `archpress`
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def python_command(module: str, *arguments: str) -> list[str]:
    """What runs a module; a file of the current folder does not stand in for one."""
    return [sys.executable, "-P", "-m", module, *arguments]


def python_environment() -> dict[str, str]:
    """This process's, with one thread and this package on the path."""
    path = os.pathsep.join(filter(None, [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1"), "PYTHONPATH": path}
