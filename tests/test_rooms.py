"""A room imports only from rooms above it, in the order in which the data flows."""

import ast
from pathlib import Path

import pytest

import archpress

ROOMS = (
    "errors",
    "version",
    "randomness",
    "whole_files",
    "run_files",
    "paths",
    "python_process",
    "judging",
    "architecture",
    "reading",
    "space",
    "data",
    "evaluation",
    "store",
    "frames",
    "progress_file",
    "embedding",
    "search",
    "baselines",
    "compression",
    "shipping",
    "report",
    "tracking",
    "watching",
    "comparison",
    "reproduction",
    "terminal",
    "cli",
    "__main__",
)
SOURCE = Path(archpress.__file__).parent


def modules():
    return [
        path for path in SOURCE.rglob("*.py") if path.name != "__init__.py" or path.parent != SOURCE
    ]


def room(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=str(module)) if module == "archpress":
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)) if module.startswith("archpress."):
                yield module.split(".")[1]


def test_rooms_import_only_from_rooms_above():
    wrong = [
        f"{path.relative_to(SOURCE)} imports {other}"
        for path in modules()
        for other in imported_rooms(path)
        if ROOMS.index(other) > ROOMS.index(room(path))
    ]
    assert wrong == []


def test_every_module_is_in_a_room_and_none_is_over_400_lines():
    assert {room(path) for path in modules()} <= {*ROOMS}
    long = {
        str(path.relative_to(SOURCE)): count
        for path in modules()
        if (count := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_the_public_names_are_there():
    for name in archpress.__all__:
        assert getattr(archpress, name) is not None


@pytest.mark.parametrize("name", ["archpress", "archpress.cli"])
def test_importing_the_package_or_its_commands_does_not_import_torch(name):
    import subprocess
    import sys

    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
