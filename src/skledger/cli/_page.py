"""The page about one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from skledger.cli._below import Search
from skledger.cli._branches import branches_tree
from skledger.cli._candidates import candidates_table
from skledger.cli._finding import ID_LENGTH, PARENT_TAG
from skledger.cli._folds import curve_keys, curve_table, fold_keys, fold_tables
from skledger.cli._invoked import skledger_command
from skledger.cli._portrait import Portrait, load_lines
from skledger.cli._printing import (
    bytes_text,
    cell,
    clock,
    console,
    duration_text,
    emit,
    number_text,
    one_line,
)
from skledger.cli._process import status_text
from skledger.cli._ranking import total
from skledger.cli._sofar import progress_text
from skledger.tracking.model_uris import DIGESTS_TAG

__all__ = ["print_page"]

#: Columns before what stands under a title, and between the columns of a table.
_INDENT, _GAP = 2, 2

#: Tags that the page shows elsewhere.
_SHOWN = frozenset(
    {
        "estimator_class",
        "estimator_name",
        "mlflow.note.content",
        "mlflow.runName",
        "mlflow.source.git.commit",
        "mlflow.source.name",
        "mlflow.source.type",
        "mlflow.user",
        PARENT_TAG,
        "skledger.error.message",
        "skledger.error.traceback",
        "skledger.error.type",
        "skledger.warnings",
    }
)


def print_page(portrait: Portrait, full: bool = False, most: int | None = None) -> None:
    """Print all about a run.

    Parameters
    ----------
    portrait : Portrait
        The run and what belongs to it.
    full : bool, default=False
        Print params and tags whole; without, one line each, cut at the terminal's edge.
    most : int or None
        How many candidates and folds; None: all.
    """
    emit(_headline(portrait))
    _section("", _grid(_facts(portrait)))
    tags = portrait.run.data.tags
    if "skledger.error.type" in tags:
        error = f"{tags['skledger.error.type']}: {tags.get('skledger.error.message', '')}"
        trace = tags.get("skledger.error.traceback", error).rstrip()
        _section("Error", cell(trace), style="bold red")
    if tags.get("skledger.warnings"):
        _section("Warnings", cell(tags["skledger.warnings"]), style="bold yellow")
    _children(portrait)
    _folds(portrait, most)
    _texts("Params", dict(sorted(portrait.run.data.params.items())), full)
    _metrics(portrait)
    for title, held in _tag_groups(tags):
        _texts(title, held, full)
    _models(portrait)
    _files(portrait)


def _headline(portrait: Portrait) -> Text:
    info = portrait.run.info
    name, run_id = cell(info.run_name, "bold"), cell(info.run_id, "cyan")
    return Text("  ").join((name, status_text(portrait.run), run_id))


def _facts(portrait: Portrait) -> Iterator[tuple[str, Text]]:
    info, tags = portrait.run.info, portrait.run.data.tags
    lasted = "" if info.end_time is None else duration_text(info.end_time - info.start_time)
    inputs = [each.dataset for each in portrait.run.inputs.dataset_inputs]
    facts = {
        "experiment": portrait.experiment,
        "estimator": tags.get("estimator_class") or tags.get("estimator_name"),
        "started": clock(info.start_time),
        "duration": lasted,
        "progress": progress_text(portrait),
        "user": tags.get("mlflow.user") or info.user_id,
        "source": tags.get("mlflow.source.name"),
        "git commit": tags.get("mlflow.source.git.commit"),
        "parent": _parent(portrait),
        "note": tags.get("mlflow.note.content"),
        "data sets": ", ".join(f"{each.name} ({each.digest})" for each in inputs),
        "deleted": "yes" if info.lifecycle_stage == "deleted" else "",
    }
    for name, value in facts.items():
        if value:
            yield name, cell(value)


def _parent(portrait: Portrait) -> str:
    run_id = portrait.run.data.tags.get(PARENT_TAG, "")
    return run_id if portrait.parent is None else f"{portrait.parent.info.run_name}  {run_id}"


def _children(portrait: Portrait) -> None:
    """Print the candidates of searches; folds, searches and the user's runs as a tree."""
    below = portrait.below
    if below is None:
        return
    for search in below.searches:
        _candidates(search, several=len(below.searches) > 1)
    if below.branches:
        _section("Children", branches_tree(below))


def _candidates(search: Search, several: bool) -> None:
    many, shown = total(search.counts), len(search.candidates)
    count = f"{many:,}" if shown == many else f"{shown:,} of {many:,}"
    fit = f"{search.name} (fit {search.fit})" if search.name else f"fit {search.fit}"
    whose = f" of {fit}" if several else ""
    notes = []
    if search.errors:
        kinds = sorted(search.errors.items(), key=lambda each: -each[1])
        told = ", ".join(f"{kind} ({count:,})" for kind, count in kinds)
        notes.append(cell(f"{sum(search.errors.values()):,} failed: {told}", "red"))
    if shown < many:
        notes.append(cell("--top N shows more of them, --all shows all", "dim"))
    table = candidates_table(search.run, search.candidates, _INDENT)
    _section(f"Candidates{whose}, the best first: {count}", table, *notes)


def _folds(portrait: Portrait, most: int | None) -> None:
    """Print the scores of folds, or the points of a curve."""
    tables = list(fold_tables(portrait, most, _INDENT))
    if tables:
        _section("Folds", *tables)
    if curve_keys(portrait):
        title = portrait.run.data.tags["skledger.function"].replace("_", " ").capitalize()
        _section(title, curve_table(portrait, most, _INDENT))


def _texts(title: str, held: Mapping[str, str], full: bool) -> None:
    """Print a section of texts, of which some may be pages long."""
    if not held:
        return
    if full:
        _section(title, _grid((key, cell(value)) for key, value in held.items()))
        return
    room = console().width - _INDENT
    keys = [one_line(key, room // 2) for key in held]
    room -= max(key.cell_len for key in keys) + _GAP
    values = [one_line(value, room) for value in held.values()]
    table = _table()
    for key, value in zip(keys, values, strict=True):
        table.add_row(key, value)
    _section(title, table)
    if any(line.plain != value for line, value in zip(values, held.values(), strict=True)):
        emit(cell(f"{' ' * _INDENT}--full shows the texts whole", "dim"))


def _metrics(portrait: Portrait) -> None:
    elsewhere = {*fold_keys(portrait), *curve_keys(portrait)}
    elsewhere |= {f"{part}_{key}" for key in elsewhere for part in ("mean", "std")}
    metrics = {k: v for k, v in portrait.run.data.metrics.items() if k not in elsewhere}
    if not metrics:
        return
    table, every = _table(), portrait.steps
    for key, value in sorted(metrics.items()):
        steps = every[key]
        several = f"the last of {steps} values" if steps > 1 else ""
        table.add_row(cell(key), cell(number_text(value)), cell(several, "dim"))
    _section("Metrics", table)


def _tag_groups(tags: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the user's tags, then those of skledger and of MLflow."""
    groups: dict[str, dict[str, str]] = {"Tags": {}, "Tags skledger.*": {}, "Tags mlflow.*": {}}
    for key, value in sorted(tags.items()):
        group = f"Tags {key.partition('.')[0]}.*"
        if key not in _SHOWN:
            groups.get(group, groups["Tags"])[key] = value
    yield from ((title, held) for title, held in groups.items() if held)


def _models(portrait: Portrait) -> None:
    if not portrait.models:
        return
    there = [model for model in portrait.models if model.model_id not in portrait.lost]
    lines = [cell(line, "green") for model in there[:1] for line in load_lines(model)[:-1]]
    for model in portrait.models:
        if model not in there:
            lines.append(cell(f"# {model.name}: {portrait.lost[model.model_id]}", "bold red"))
            continue
        size = portrait.sizes.get(model.model_id)
        about = model.name if size is None else f"{model.name}, {bytes_text(size)}"
        if DIGESTS_TAG not in model.tags:
            about += "; another tool booked it: load it only if you trust its files"
        lines += [cell(f"# {about}", "dim"), cell(load_lines(model)[-1], "green")]
    _section("Models" if len(portrait.models) > 1 else "Model", *lines)


def _files(portrait: Portrait) -> None:
    uri = portrait.run.info.artifact_uri
    if portrait.files:
        _section("Artifacts", cell(uri), _tree(portrait.files))
    if portrait.trouble:
        _section("Artifacts", cell(uri), cell(portrait.trouble), style="bold yellow")
    if portrait.undrawn:
        short = portrait.run.info.run_id[:ID_LENGTH]
        _section(
            "Pictures not drawn yet",
            cell(", ".join(portrait.undrawn)),
            cell(f"{skledger_command()} plots {short}  draws them", "dim"),
        )


def _tree(files: Mapping[str, int]) -> Tree:
    top = Tree("", hide_root=True)
    folders = {"": top}
    for path, size in files.items():
        *above, name = path.split("/")
        for depth, folder in enumerate(above):
            here = "/".join(above[: depth + 1])
            if here not in folders:
                folders[here] = folders["/".join(above[:depth])].add(cell(f"{folder}/"))
        label = Text("  ").join((cell(name), cell(bytes_text(size), "dim")))
        folders["/".join(above)].add(label)
    return top


def _section(title: str, *content: Text | Table | Tree, style: str = "bold") -> None:
    emit("")
    if title:
        emit(cell(title, style))
    for each in content:
        if isinstance(each, Text):
            # Code and paths come out in one piece, so that they can be copied.
            for line in each.split():
                emit(Text(" " * _INDENT).append_text(line), soft_wrap=True)
        else:
            emit(Padding(each, (0, 0, 0, _INDENT)))


def _grid(rows: Iterable[tuple[str, Text]]) -> Table:
    table = _table()
    for key, value in rows:
        table.add_row(cell(key), value)
    return table


def _table() -> Table:
    return Table(
        box=None,
        show_header=False,
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
    )
