"""`pack`: nets to be timed on a device where archpress is not, in a folder with what times them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from archpress.architecture import Architecture
from archpress.architecture.export import Preprocessing, to_source
from archpress.architecture.network import build
from archpress.architecture.onnx_writing import require_onnx, to_onnx_model
from archpress.errors import ExportError, StoreError
from archpress.evaluation import BACKENDS, measure_on_target
from archpress.whole_files import write_bytes, write_text

_NONE = Preprocessing((), (), ())  # no images are read


def pack(
    nets: Sequence[Architecture],
    folder: Path,
    *,
    backend: str = "torch",
    advance: Callable[[int], None] = lambda done: None,
) -> None:
    """Write `measure.py` and the nets, with weights of any values, for torch or onnxruntime.

    Args:
        nets: of one shape of images, see `nets_to_time`.
        folder: is made; must be empty.
        backend: "torch": plain source; "onnxruntime": .onnx files.
        advance: is told how many nets are written.

    Raises:
        StoreError: the folder holds something.
        OSError: it cannot be written.
        ExportError: no such backend, or a package is missing.
    """
    if backend not in BACKENDS:
        raise ExportError(f"no backend is called {backend!r}; known are {', '.join(BACKENDS)}")
    if backend == "onnxruntime":
        require_onnx()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"{folder} holds something: give a folder that is empty or new")
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for number, net in enumerate(nets):
        name = f"net_{number:03}.{'py' if backend == 'torch' else 'onnx'}"
        if backend == "torch":
            write_text(folder / name, to_source(net, _NONE))
        else:
            model = to_onnx_model(build(net).eval(), net.input_shape)
            write_bytes(folder / name, model.SerializeToString())
        listed.append({"file": name, "architecture": json.loads(net.to_json())})
        advance(number + 1)
    content = {"backend": backend, "input_shape": nets[0].input_shape, "nets": listed}
    write_text(folder / measure_on_target.NETS, json.dumps(content))
    script = Path(measure_on_target.__file__).read_text(encoding="utf-8")
    write_text(folder / "measure.py", script)
