"""Folds, searches and nested runs of the user's as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text
from rich.tree import Tree

from skledger.cli._below import Below, Branch
from skledger.cli._finding import ID_LENGTH
from skledger.cli._printing import cell, number_text, one_line
from skledger.cli._process import status_text
from skledger.tracking.entities import Run, RunStatus

__all__ = ["branches_tree"]

#: The metrics that say most of a run, the first that it has.
_TELLING = ("best_cv_score", "mean_test_score", "test_score", "training_score")
_BEST = "best_"
#: What a param may take on a line.
_VALUE_WIDTH = 30


def branches_tree(below: Below) -> Tree:
    """Return the children of a run that are no candidates, and what is below them."""
    top = Tree("", hide_root=True)
    _grow(top, below.branches, below.hidden)
    return top


def _grow(tree: Tree, branches: Sequence[Branch], hidden: int) -> None:
    for branch in branches:
        line = Text("  ", no_wrap=True, overflow="ellipsis").join(_line(branch))
        grown = tree.add(line, guide_style="dim")
        _grow(grown, branch.branches, branch.hidden)
    if hidden > 0:
        tree.add(cell(f"and {hidden:,} more", "dim"))


def _line(branch: Branch) -> Iterator[Text]:
    """Return what tells of a run on one line."""
    run = branch.run
    yield cell(run.info.run_name)
    yield cell(run.info.run_id[:ID_LENGTH], "cyan")
    if run.info.status != RunStatus.FINISHED:
        yield status_text(run)
    metric = _metric(run)
    if metric is not None:
        yield cell(f"{metric} {number_text(run.data.metrics[metric])}")
    best = {k: v for k, v in run.data.params.items() if k.startswith(_BEST)}
    if best:
        texts = [f"{key.removeprefix(_BEST)}={value}" for key, value in best.items()]
        yield Text(" ").join(one_line(each, _VALUE_WIDTH) for each in texts)
    if branch.candidates:
        yield cell(f"{branch.candidates:,} candidate{'s' * (branch.candidates > 1)}", "dim")


def _metric(run: Run) -> str | None:
    metrics = run.data.metrics
    others = sorted(key for key in metrics if key.startswith("mean_test_"))
    return next((key for key in (*_TELLING, *others) if key in metrics), None)
