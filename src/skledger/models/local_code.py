"""The user's own modules that a model needs: found without being told, and stored with it.

A model names modules. Those that belong to no installed distribution are files of the user's, and
the model loads nowhere without them. What is stored is their Python source, and that of the modules
beside them which they import: what anybody reading the model needs, and nothing else that happens
to lie in the same folder, such as data or passwords.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from skledger.models.code import CODE_FOLDER
from skledger.models.requirements import distribution_of

__all__ = ["Found", "needed_code", "write_code"]

#: More than this is a project, not a module beside a script: left to ``code_paths``.
MAX_FILES = 200
MAX_BYTES = 5 * 1024 * 1024

#: Files that modules read while they are imported or used, by their endings.
_DATA = tuple(
    ".csv .tsv .json .yaml .yml .toml .ini .cfg .txt .xml .pkl .joblib .npy .npz .parquet .dat "
    ".bin .gz .so .pyd".split()
)
_SKIPPED = ("__pycache__", "site-packages", "dist-packages", "node_modules")


@dataclass(frozen=True, slots=True)
class Found:
    """Files of the user's modules.

    Parameters
    ----------
    files : dict of str to Path
        By their place below the folder of code, such as ``my_package/steps.py``.
    left_out : tuple of str
        Why a module is not among them, one reason each.
    imports : frozenset of str
        The imported modules of others that the files import in turn.
    """

    files: dict[str, Path] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    imports: frozenset[str] = frozenset()


def needed_code(local_modules: Iterable[str], modules: Collection[str]) -> Found:
    """Find the files of local modules, and of the local modules that they import.

    Parameters
    ----------
    local_modules : iterable of str
        Top-level modules that no installed distribution holds.
    modules : collection of str
        All modules that the model names.
    """
    files: dict[str, Path] = {}
    left_out: list[str] = []
    imports: set[str] = set()
    waiting, seen = [*local_modules], {"__main__", "skledger"}
    while waiting:
        top = waiting.pop()
        if top in seen:
            continue
        seen.add(top)
        module = sys.modules.get(top)
        if module is None:
            continue
        found = dict(_files_of(top, module, modules))
        reason = _too_much(top, {**files, **found})
        if reason:
            left_out.append(reason)
            continue
        files.update(found)
        left_out += _data_beside(top, getattr(module, "__file__", None))
        for path in found.values():
            for each in _imported(path) - seen:
                (waiting.append if _is_local(each) else imports.add)(each)
    return Found(files, tuple(left_out), frozenset(imports & sys.modules.keys()))


def _too_much(top: str, files: dict[str, Path]) -> str | None:
    size = sum(_stat(path)[1] for path in files.values())
    if len(files) <= MAX_FILES and size <= MAX_BYTES:
        return None
    return (
        f"{top} was not stored with the model: with it there would be {len(files)} files of "
        f"{size / 1e6:.1f} MB, more than {MAX_FILES} or {MAX_BYTES / 1e6:.0f} MB"
    )


def _files_of(top: str, module: ModuleType, modules: Collection[str]) -> Iterator[tuple[str, Path]]:
    file = getattr(module, "__file__", None)
    if file is None:
        yield from _in_namespace(top, modules)
        return
    path = Path(file)
    if path.name != "__init__.py":
        if path.suffix == ".py" and path.is_file():
            yield path.name, path
        return
    for each in sorted(path.parent.rglob("*.py")):
        parts = each.relative_to(path.parent).parts
        hidden = any(part in _SKIPPED or part.startswith(".") for part in parts)
        # A link may lead anywhere, such as out of the package.
        if not hidden and not each.is_symlink() and each.is_file():
            yield f"{top}/{'/'.join(parts)}", each


@lru_cache(maxsize=64)
def _data_beside(top: str, file: str | None) -> list[str]:
    """Return a reason when a package has files that its modules may read; looked at once."""
    if file is None or Path(file).name != "__init__.py":
        return []
    root = Path(file).parent
    names = (each.relative_to(root).as_posix() for each in root.rglob("*.*"))
    data = sorted(each for each in names if each.endswith(_DATA))
    if not data:
        return []
    others = f" and {len(data) - 1} more" if len(data) > 1 else ""
    return [
        f"only the modules of {top} are stored with the model, not {data[0]}{others}, which they "
        "may read"
    ]


def _in_namespace(top: str, modules: Collection[str]) -> Iterator[tuple[str, Path]]:
    """Yield what is imported of a folder without an ``__init__``; it may hold anything else."""
    names = [each for each in (*modules, *sys.modules) if each.startswith(f"{top}.")]
    for name in dict.fromkeys(names):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or not file.endswith(".py"):
            continue
        path = Path(file)
        place = name.replace(".", "/")
        yield (f"{place}/__init__.py" if path.name == "__init__.py" else f"{place}.py"), path


def _is_local(top: str) -> bool:
    """Tell whether an imported module belongs to no distribution and not to Python."""
    module = sys.modules.get(top)
    if module is None or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return False
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return False
    if any(part in _SKIPPED for part in Path(file).parts):
        return False
    return distribution_of(top) is None


def _stat(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _imported(path: Path) -> frozenset[str]:
    try:
        return _imports_in(path, *_stat(path))
    except (OSError, SyntaxError, ValueError):
        return frozenset()


@lru_cache(maxsize=512)
def _imports_in(path: Path, changed: int, size: int) -> frozenset[str]:
    """Return the top-level modules that a file imports, as it was at a time."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def write_code(found: Found, folder: Path, stored: Collection[str]) -> dict[str, str]:
    """Write the files into a model folder.

    Parameters
    ----------
    found : Found
        What was found.
    folder : Path
        The model folder.
    stored : collection of str
        Top-level modules that are there already.

    Returns
    -------
    dict of str to str
        SHA-256, in hexadecimal, of every file by its name in the model folder.
    """
    digests = {}
    for place, source in found.files.items():
        if place.partition("/")[0].removesuffix(".py") in stored:
            continue
        content = source.read_bytes()
        name = f"{CODE_FOLDER}/{place}"
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        digests[name] = hashlib.sha256(content).hexdigest()
    return digests
