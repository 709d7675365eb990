"""A worker process of the pool: `pool` starts it, it is of no use by hand.

It is given two file descriptors: one of a connection over which jobs come in and trials go out, one
of a file that holds the data. It ends when the other end of the connection closes, also in
mid-training, so that workers never outlive a parent that was killed.
"""

import argparse
import mmap
import os
import pickle
import signal
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue

import torch

from archpress.data import ImageData
from archpress.evaluation.job import Job, run_job
from archpress.evaluation.preparation import prepare
from archpress.evaluation.process import limited_memory, warm_up


def main() -> None:
    """Serve jobs until the parent closes the connection."""
    for reaches_all in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C, a scheduler: the parent decides
        signal.signal(reaches_all, signal.SIG_IGN)
    arguments = _arguments()
    torch.set_num_threads(1)
    warm_up()
    connection: Connection[object, Job] = Connection(arguments.control)
    with mmap.mmap(arguments.data, 0, access=mmap.ACCESS_READ) as content:
        data: ImageData = pickle.loads(content)
    os.close(arguments.data)
    inbox: SimpleQueue[Job] = SimpleQueue()
    threading.Thread(target=_receive, args=(connection, inbox), daemon=True).start()
    with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone
        connection.send("ready")
        while True:
            connection.send(_run(inbox.get(), data, arguments.device, arguments.memory_limit))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Worker of archpress's process pool.")
    parser.add_argument("--control", type=int, required=True, help="descriptor of the connection")
    parser.add_argument("--data", type=int, required=True, help="descriptor of the pickled data")
    parser.add_argument("--device", required=True)
    parser.add_argument("--memory-limit", type=int, help="bytes that a trial may add")
    return parser.parse_args()


def _receive(connection: "Connection[object, Job]", inbox: "SimpleQueue[Job]") -> None:
    try:
        while True:
            inbox.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)  # in a training, which nobody waits for any more
    except Exception:  # a job of what is not known here, such as a class of the caller's script
        traceback.print_exc()
        os._exit(1)


def _run(job: Job, data: ImageData, device: str, memory_limit: int | None) -> object:
    prepare(data, job.recipe, torch.device(device))  # the data are no part of a trial's memory
    if memory_limit is None or device != "cpu":
        return run_job(job, data, device=device)
    with limited_memory(memory_limit):
        return run_job(job, data, device=device)


if __name__ == "__main__":
    main()
