"""The process of an `ExplorerProcess`: `explorer_process` starts it, it is of no use by hand.

It reads limits from standard input and writes answers of `Explorations`, a line of JSON each, until
the input ends, as it does with the server.
"""

import json
import os
import sys
from pathlib import Path

NICENESS = 19  # a search on the same cores goes before


def main() -> None:
    """Answer at the lowest priority, which is why torch is imported here."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    from archpress.evaluation import torch_threads
    from archpress.watching.explorations import Explorations

    explorations = Explorations(Path(sys.argv[1]))
    with torch_threads(1):
        for line in sys.stdin:
            sys.stdout.write(f"{json.dumps(explorations.answer(json.loads(line)))}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
