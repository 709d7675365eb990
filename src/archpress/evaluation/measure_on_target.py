"""How long the nets of this folder take on this device, for `archpress compress --device-times`.

    python measure.py --threads 1 --batch 1

Needs Python and torch, or onnxruntime where the nets are .onnx files; nothing else. Writes
device.json, to be taken back. Nothing else should run on the device meanwhile.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMAT, FORMAT_VERSION = "archpress-device-times", 1
NETS = "nets.json"
FOLDER = Path(__file__).resolve().parent


def this_machine() -> str:
    """A name for the processor of this machine, by which its times are known again."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    return f"{name}, {platform.node()}"


def torch_pass(path: Path, shape: list[int], threads: int, device: str) -> Callable[[], Any]:
    """A forward pass of a network.py."""
    import torch

    torch.set_num_threads(threads)
    names: dict[str, Any] = {"__name__": path.stem}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)
    network = names["Network"]().eval().to(device).to(memory_format=torch.channels_last)
    images = torch.zeros(*shape, device=device).to(memory_format=torch.channels_last)

    def run() -> None:
        with torch.inference_mode():
            network(images)
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            elif device.startswith("mps"):
                torch.mps.synchronize()

    return run


def onnx_pass(path: Path, shape: list[int], threads: int) -> Callable[[], Any]:
    """A forward pass of an .onnx file."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = {session.get_inputs()[0].name: np.zeros(shape, np.float32)}
    return lambda: session.run(None, images)


def median_milliseconds(run: Callable[[], Any], seconds: float) -> float:
    """Of single passes, as many as the seconds allow, at least 5, after two that are not timed."""
    for _ in range(2):
        run()
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - started))
    return statistics.median(times)


def main() -> None:
    """Time all nets in some passes, keep the lowest of each, write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch", type=int, default=1, help="images a pass")
    parser.add_argument("--threads", type=int, default=1, help="that a pass may use")
    parser.add_argument("--device", default="cpu", help="of torch, e.g. cuda")
    parser.add_argument("--passes", type=int, default=3, help="over all nets")
    parser.add_argument("--seconds", type=float, default=0.1, help="for a net in a pass")
    parser.add_argument("--out", type=Path, default=Path("device.json"))
    given = parser.parse_args()
    if min(given.batch, given.threads, given.passes) < 1:
        sys.exit("batch, threads and passes must be 1 or more")
    pack = json.loads((FOLDER / NETS).read_text(encoding="utf-8"))
    shape = [given.batch, *pack["input_shape"]]
    lowest = [float("inf")] * len(pack["nets"])
    for number in range(given.passes):
        for index, net in enumerate(pack["nets"]):
            path = FOLDER / net["file"]
            if pack["backend"] == "torch":
                run = torch_pass(path, shape, given.threads, given.device)
            else:
                run = onnx_pass(path, shape, given.threads)
            lowest[index] = min(lowest[index], median_milliseconds(run, given.seconds))
            done = number * len(lowest) + index + 1
            print(f"\r{done}/{given.passes * len(lowest)}", end="", file=sys.stderr)  # noqa: T201
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "conditions": {
            "batch": given.batch,
            "threads": given.threads,
            "backend": pack["backend"],
            "device": given.device,
            "machine": this_machine(),
        },
        "nets": [
            {"architecture": net["architecture"], "milliseconds": round(time, 6)}
            for net, time in zip(pack["nets"], lowest, strict=True)
        ],
    }
    given.out.write_text(json.dumps(content), encoding="utf-8")
    print(f"\nWritten: {given.out}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
