"""`module_at`: an `nn.Module` from the user's own code, by FILE.py:name or package.module:name."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

from torch import nn

from archpress.errors import ArchitectureError, told
from archpress.paths import typed_path


def names_a_module(text: str) -> bool:
    """Whether a text has the form FILE.py:name or package.module:name."""
    place, colon, name = text.rpartition(":")
    return bool(colon and place and name.replace(".", "").isidentifier())


def module_at(text: str) -> nn.Module:
    """The module, or what a class or function of that name gives when called without arguments.

    The user's code is run. Folders of the file, or the current one, can be imported from meanwhile;
    what earlier files had imported from theirs is forgotten, as another folder may use its names.

    Args:
        text: FILE.py:name or package.module:name; the name may have dots.

    Raises:
        ArchitectureError: there is no such file, package or name, the code fails, or what it gives
            is no `nn.Module`.
    """
    place, _, name = text.rpartition(":")
    code = _code(place)
    found: object = code
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            there = ", ".join(_callables(code)) or "nothing that can be called"
            raise ArchitectureError(f"{place} has no {name!r}; it has {there}") from None
    if not isinstance(found, nn.Module):
        if not callable(found):
            raise ArchitectureError(f"{text} is a {type(found).__name__}, which cannot be called")
        try:
            with _importing_for(place):
                found = found()
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise ArchitectureError(
                f"calling {text} without arguments failed ({told(error)}): name a function that "
                "needs none and returns the module"
            ) from error
    if not isinstance(found, nn.Module):
        raise ArchitectureError(f"{text} gives a {type(found).__name__}, not a torch.nn.Module")
    return found


def _code(place: str) -> ModuleType:
    is_file = place.endswith(".py")
    path = typed_path(place)
    if is_file and not path.is_file():
        raise ArchitectureError(f"there is no file {place}")
    if is_file:
        _forget_files()
    with _importing_for(place):
        try:
            return _of_file(path) if is_file else importlib.import_module(place)
        except (Exception, SystemExit) as error:  # likewise
            raise ArchitectureError(f"importing {place} failed: {told(error)}") from error


def _folder(place: str) -> Path:
    """Of a file, or the current one, where a package is looked for."""
    return typed_path(place).parent.resolve() if place.endswith(".py") else Path.cwd()


def _of_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickles look for it there
    spec.loader.exec_module(module)
    return module


_own: set[str] = set()  # modules that came with files, by name


def _forget_files() -> None:
    for name in _own:
        sys.modules.pop(name, None)
    _own.clear()
    importlib.invalidate_caches()  # a file that was written just now is found


@contextmanager
def _importing_for(place: str) -> Iterator[None]:
    folder, before = _folder(place), set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's code may have taken it away
            sys.path.remove(str(folder))
        if place.endswith(".py"):
            _own.update(name for name in {*sys.modules} - before if _lies_in(folder, name))


def _lies_in(folder: Path, module: str) -> bool:
    """Whether a module is of the user's own files; environments below the folder are not."""
    file = getattr(sys.modules[module], "__file__", None)
    if not file:
        return False
    path = Path(file)
    return path.is_relative_to(folder) and "site-packages" not in path.parts


def _callables(code: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(code).items()
        if callable(value) and getattr(value, "__module__", None) == code.__name__
    ]
