"""``skledger demo``: the main job, shown on data that comes with scikit-learn."""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

__all__ = ["command"]

_SCRIPT = "demo_script.py"
DEFAULT_FOLDER = "skledger-demo"


@click.command("demo", short_help="See it work, in a folder of its own.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(DEFAULT_FOLDER),
    show_default=True,
    help="The folder for the demonstration's own database and files.",
)
def command(folder: Path) -> None:
    """Fit some models on data that comes with scikit-learn, and show what was booked.

    It has a database of its own and never touches yours. Running it again adds runs.
    """
    from skledger import flush
    from skledger.cli._finding import all_experiments
    from skledger.cli._invoked import skledger_command
    from skledger.cli._printing import cell, emit
    from skledger.cli.runs import print_runs
    from skledger.errors import StoreError
    from skledger.tracking.session import set_tracking_uri

    root = folder.absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        script = root / "demo.py"
        source = (Path(__file__).parent / _SCRIPT).read_text(encoding="utf-8")
        script.write_text(source, encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"cannot write to {root}: {error.strerror}; --dir names another folder"
        ) from error
    set_tracking_uri(f"sqlite:///{root / 'skledger.db'}")
    emit(cell(f"Runs are booked in {root / 'skledger.db'}; here is what is run:", "dim"), "")
    _play(source, script)
    flush()
    listing = f"The runs that this made, the newest first ($ {skledger_command(root)} runs):"
    emit("", cell(listing, "bold"))
    print_runs(all_experiments())
    _say_what_next(root)


def _play(source: str, script: Path) -> None:
    """Run a script piece by piece, each shown before it is run."""
    from skledger.cli._printing import cell, emit

    names: dict[str, Any] = {"__name__": "__demo__", "__file__": str(script)}
    lines = source.splitlines()
    shown = 0
    for piece in ast.parse(source).body:
        assert piece.end_lineno is not None
        if isinstance(piece, ast.Expr) and isinstance(piece.value, ast.Constant):
            shown = piece.end_lineno  # the docstring
            continue
        text = lines[shown : piece.end_lineno]
        shown = piece.end_lineno
        for line in text:
            emit(cell(f"    {line}", "dim" if line.startswith("#") else "cyan"))
        sys.stdout.flush()
        with _short_warnings():
            exec(compile(ast.Module([piece], []), str(script), "exec"), names)


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Show the first line of each warning; `skledger show` has the rest."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        click.echo(f"{category.__name__}: {str(message).splitlines()[0]}")

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _say_what_next(root: Path) -> None:
    from skledger.cli._invoked import python_command, skledger_command
    from skledger.cli._printing import cell, emit

    try:
        place = root.relative_to(Path.cwd())
    except ValueError:
        place = root
    quoted = f'"{place}"' if " " in str(place) else str(place)
    emit("", cell("What to do next:", "bold"))
    again, python = skledger_command(root), python_command(root)
    steps = {
        f"cd {quoted}": "the demonstration, and its script demo.py",
        f"{again} show last": "all about the run made last",
        f"{again} runs --filter \"status = 'FAILED'\"": "what went wrong",
        f'{again} runs --order-by "metrics.training_score DESC"': "the best first",
        f"{python} -m skledger train.py": "your own script, booked without changing it",
    }
    width = max(map(len, steps))
    for step, what in steps.items():
        emit(cell(f"    {step:<{width}}   # {what}"))
