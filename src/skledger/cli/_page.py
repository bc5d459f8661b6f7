"""The page about one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from skledger.cli._finding import ID_LENGTH, PARENT_TAG
from skledger.cli._portrait import Portrait, load_lines
from skledger.cli._printing import (
    STATUS_STYLES,
    bytes_text,
    cell,
    clock,
    duration_text,
    emit,
    number_text,
)
from skledger.tracking.model_uris import DIGESTS_TAG

__all__ = ["print_page"]

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


def print_page(portrait: Portrait) -> None:
    """Print all about a run."""
    emit(_headline(portrait))
    _section("", _grid(_facts(portrait)))
    tags = portrait.run.data.tags
    if "skledger.error.type" in tags:
        error = f"{tags['skledger.error.type']}: {tags.get('skledger.error.message', '')}"
        trace = tags.get("skledger.error.traceback", error).rstrip()
        _section("Error", cell(trace), style="bold red")
    if tags.get("skledger.warnings"):
        _section("Warnings", cell(tags["skledger.warnings"]), style="bold yellow")
    _numbers(portrait)
    for title, held in _tag_groups(tags):
        _section(title, _grid((key, cell(value)) for key, value in held.items()))
    _models(portrait)
    _files(portrait)


def _headline(portrait: Portrait) -> Text:
    info = portrait.run.info
    status = cell(info.status, STATUS_STYLES.get(info.status, ""))
    return Text("  ").join((cell(info.run_name, "bold"), status, cell(info.run_id, "cyan")))


def _facts(portrait: Portrait) -> Iterator[tuple[str, Text]]:
    info, tags = portrait.run.info, portrait.run.data.tags
    lasted = "" if info.end_time is None else duration_text(info.end_time - info.start_time)
    inputs = [each.dataset for each in portrait.run.inputs.dataset_inputs]
    facts = {
        "experiment": portrait.experiment,
        "estimator": tags.get("estimator_class") or tags.get("estimator_name"),
        "started": clock(info.start_time),
        "duration": lasted,
        "user": tags.get("mlflow.user") or info.user_id,
        "source": tags.get("mlflow.source.name"),
        "git commit": tags.get("mlflow.source.git.commit"),
        "parent": tags.get(PARENT_TAG),
        "note": tags.get("mlflow.note.content"),
        "data sets": ", ".join(f"{each.name} ({each.digest})" for each in inputs),
        "deleted": "yes" if info.lifecycle_stage == "deleted" else "",
    }
    for name, value in facts.items():
        if value:
            yield name, cell(value)


def _numbers(portrait: Portrait) -> None:
    data = portrait.run.data
    if data.params:
        _section("Params", _grid((key, cell(value)) for key, value in sorted(data.params.items())))
    if data.metrics:
        table = _table()
        for key, value in sorted(data.metrics.items()):
            steps = portrait.steps[key]
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
    several = len(portrait.models) > 1
    lines = [cell(line, "green") for line in load_lines(portrait.models[0])[:-1]]
    for model in portrait.models:
        size = portrait.sizes.get(model.model_id)
        about = model.name if size is None else f"{model.name}, {bytes_text(size)}"
        if DIGESTS_TAG not in model.tags:
            about += "; another tool booked it: load it only if you trust its files"
        lines += [cell(f"# {about}", "dim"), cell(load_lines(model)[-1], "green")]
    _section("Models" if several else "Model", *lines)


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
            cell(f"skledger plots {short}  draws them", "dim"),
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
                emit(Text("  ").append_text(line), soft_wrap=True)
        else:
            emit(Padding(each, (0, 0, 0, 2)))


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
        padding=(0, 2, 0, 0),
    )
