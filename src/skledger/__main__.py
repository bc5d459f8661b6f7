"""``python -m skledger``: book the fits of a script without changing it; or the command line.

::

    python -m skledger train.py arguments ...
    python -m skledger -m package.module arguments ...
    python -m skledger runs

The first two run the program as ``python`` itself would, with ``skledger.autolog()`` at its top:
in a ``__main__`` module of its own, with its own ``sys.argv`` and ``sys.path``, its exit code and
its tracebacks. Anything else is a command of ``skledger``.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import NoReturn

__all__ = ["main"]

_SCRIPT_ENDINGS = (".py", ".pyw")

_replaced: list[ModuleType] = []

Hook = Callable[[type[BaseException], BaseException, TracebackType | None], object]


def main() -> None:
    """Run what the command line names."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["-m"]:
        if len(arguments) == 1:
            _give_up("argument expected for the -m option")
        with _without_our_frames():
            _run_module(arguments[1], arguments[1:])
    elif arguments and _is_script(arguments[0]):
        with _without_our_frames():
            _run_script(arguments[0], arguments)
    else:
        from skledger.cli import main as command

        command(arguments or ["--help"], prog_name="python -m skledger")


def _is_script(argument: str) -> bool:
    """Tell a script from a command: by its ending, or because it is a file with a path."""
    if argument.startswith("-"):
        return False
    if argument.endswith(_SCRIPT_ENDINGS):
        return True
    return Path(argument).is_file() and not _is_command(argument)


def _is_command(argument: str) -> bool:
    from skledger.cli import main as command

    return argument in command.commands


def _run_script(path: str, arguments: list[str]) -> None:
    # Python makes the name absolute, but follows links only for where it imports from.
    file = os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118 - it keeps "./" as Python does
    try:
        source = Path(file).read_bytes()
    except OSError as error:
        _give_up(f"can't open file {file!r}: [Errno {error.errno}] {error.strerror}")
    module = ModuleType("__main__")
    module.__file__ = file
    module.__loader__ = SourceFileLoader("__main__", file)
    module.__dict__["__cached__"] = None
    sys.argv[:] = arguments
    if not sys.flags.safe_path:
        sys.path[0] = str(Path(file).resolve().parent)
    _execute(module, lambda: compile(source, file, "exec", dont_inherit=True))


def _run_module(name: str, arguments: list[str]) -> None:
    """Run a module; ``sys.path[0]`` is the current folder already, since we run by ``-m``."""
    import skledger

    # Before the packages around it are imported: they may fit something too.
    skledger.autolog()
    spec = _find(name)
    module = ModuleType("__main__", None)
    module.__file__ = spec.origin
    module.__loader__ = spec.loader
    module.__package__ = spec.parent
    # Processes that are spawned import their main module by the name in here.
    module.__spec__ = spec
    module.__dict__["__cached__"] = spec.cached
    sys.argv[:] = [spec.origin or name, *arguments[1:]]
    _execute(module, lambda: _code_of(spec))


def _find(name: str) -> ModuleSpec:
    """Return the spec of a module; of a package, that of its ``__main__``."""
    if name.startswith("."):
        _give_up("Relative module names not supported", code=1)
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            package = spec
            spec = importlib.util.find_spec(f"{name}.__main__")
            if spec is None:
                _give_up(
                    f"No module named {name}.__main__; {package.name!r} is a package and cannot "
                    "be directly executed",
                    code=1,
                )
    except ModuleNotFoundError as error:
        # Only when it is the module itself, or a package around it, that is not there.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        what = f"{type(error).__name__}: {error}"
        _give_up(f"Error while finding module specification for {name!r} ({what})", code=1)
    if spec is None or spec.loader is None:
        _give_up(f"No module named {name}", code=1)
    return spec


def _code_of(spec: ModuleSpec) -> CodeType:
    get_code = getattr(spec.loader, "get_code", None)
    code = None if get_code is None else get_code(spec.name)
    if code is None:
        _give_up(f"No code object available for {spec.name}", code=1)
    assert isinstance(code, CodeType)
    return code


def _execute(module: ModuleType, compiled: Callable[[], CodeType]) -> None:
    """Run a program in its own ``__main__``."""
    import skledger

    skledger.autolog()
    module.__dict__["__builtins__"] = builtins
    # The module that runs us must not be collected: its frames are below the program's.
    _replaced.append(sys.modules["__main__"])
    sys.modules["__main__"] = module
    exec(compiled(), module.__dict__)


@contextmanager
def _without_our_frames() -> Iterator[None]:
    """Have a traceback begin at the program, whatever hook shows it.

    The exception itself passes on, so that the exit code, and the signal after Ctrl-C, are
    Python's own.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        show: Hook = sys.excepthook

        def hook(
            kind: type[BaseException], error: BaseException, traceback: TracebackType | None
        ) -> None:
            sys.excepthook = show
            start = traceback
            while start is not None and _is_ours(start):
                start = start.tb_next
            sys.last_traceback = start
            show(kind, error.with_traceback(start), start)

        sys.excepthook = hook
        raise


def _is_ours(traceback: TracebackType) -> bool:
    """Tell the frames above a program, ours and those of the import system, from its own."""
    file = traceback.tb_frame.f_code.co_filename
    return file in (__file__, contextlib.__file__) or file.startswith("<frozen ")


def _give_up(message: str, code: int = 2) -> NoReturn:
    """Say what is wrong as Python does, and exit with its code."""
    sys.stderr.write(f"{sys.executable}: {message}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
