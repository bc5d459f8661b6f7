"""``skledger models check``: a model against its digests and against this environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skledger.cli._options import json_option, uri_option

if TYPE_CHECKING:
    from skledger.models.verified import ModelFolder
    from skledger.models.versions import VersionDifference
    from skledger.tracking.model_uris import LocatedModel

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class _Finding:
    """What was found about one thing; `differs` makes the exit code 1."""

    what: str
    text: str
    differs: bool = False


@click.command("check", short_help="Compare a model with this environment.")
@click.argument("model_uri")
@json_option
@uri_option
def command(model_uri: str, as_json: bool) -> None:
    """Tell whether the model at MODEL_URI is what was booked, and fits into this environment.

    Its files are compared with their digests, and the versions that it was made with with those
    that are installed. Of a folder without booked digests, the model file must be there and have
    the size that it was saved with. Nothing of the model is loaded, so no code of it runs. The
    exit code is 1 when something differs.
    """
    from skledger.cli.models_finding import find_model, meant_uri
    from skledger.errors import ModelError
    from skledger.models.verified import ModelFolder
    from skledger.models.versions import compare_versions, pip_command

    model_uri = meant_uri(model_uri)
    found = find_model(model_uri)
    findings = _digests(found)
    differences: list[VersionDifference] = []
    try:
        described = ModelFolder(found.folder, None).described()
    except ModelError as error:
        findings.append(_Finding("MLmodel", error.message, differs=True))
    else:
        findings += _model_file(found, described)
        findings += _described(found.folder, described)
        differences = compare_versions(found.folder)
        findings.append(_versions(differences))
    if as_json:
        _print_json(model_uri, findings, differences)
    else:
        _print(findings, differences, pip_command(differences))
    if any(each.differs for each in findings):
        raise click.exceptions.Exit(1)


def _model_file(found: LocatedModel, described: dict[str, Any]) -> list[_Finding]:
    """Tell what is wrong with the model itself where no digest does."""
    from skledger.errors import ModelError
    from skledger.models.python_model_descriptor import is_python_model
    from skledger.models.verified import ModelFolder, relative_name

    own = is_python_model(described)
    flavor = described["flavors"].get("python_function" if own else "sklearn")
    if found.digests is not None or not isinstance(flavor, dict):
        return []
    folder = ModelFolder(found.folder, None)
    try:
        name = relative_name(folder, flavor.get("python_model" if own else "pickled_model"))
        path = folder.locate(name)
    except ModelError as error:
        return [_Finding("model file", error.message, differs=True)]
    if not path.is_file():
        text = f"{name!r} is missing; restore the file, or save the model again."
        return [_Finding("model file", text, differs=True)]
    size, saved = path.stat().st_size, described.get("model_size_bytes")
    # That of a model of the user's own making counts its artifacts, too.
    if not own and isinstance(saved, int) and size != saved:
        text = f"{name!r} was changed: it has {size:,} bytes, and had {saved:,} when it was saved."
        return [_Finding("model file", text, differs=True)]
    return []


def _digests(found: LocatedModel) -> list[_Finding]:
    from skledger.errors import ModelError
    from skledger.models.verified import DIGESTS_FILE, ModelFolder

    if found.digests is None:
        why = "none are booked: " + (
            "it was logged by another tool"
            if found.refusal
            else "it is not a model of a run or of the registry"
        )
        return [_Finding("digests", why)]
    try:
        folder = ModelFolder(found.folder, found.digests)
    except ModelError as error:
        return [_Finding("digests", error.message, differs=True)]
    booked = folder.digests or {}
    wrong = [
        _Finding("digests", error, differs=True)
        for error in filter(None, (_wrong(folder, name, each) for name, each in booked.items()))
    ]
    others = sorted(set(_files(found.folder)) - set(booked) - {DIGESTS_FILE})
    if others:
        text = f"not booked with the model: {', '.join(others)}"
        wrong.append(_Finding("digests", text, differs=True))
    return wrong or [_Finding("digests", f"{len(booked)} files are those that were booked")]


def _wrong(folder: ModelFolder, name: str, digest: str) -> str | None:
    from skledger.errors import ModelError
    from skledger.models.verified import ModelFolder

    try:
        ModelFolder(folder.root, {name: digest}).verify_others(set())
    except ModelError as error:
        return error.message
    return None


def _files(folder: Path) -> dict[str, int]:
    """Return the files of a folder with their sizes in bytes."""
    return {
        path.relative_to(folder).as_posix(): path.lstat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def _described(folder: Path, described: dict[str, Any]) -> list[_Finding]:
    from skledger.cli._printing import bytes_text
    from skledger.errors import SkledgerError
    from skledger.models.model import Model

    model = Model.from_dict(described)
    kind = _format(described)
    neither = "no scikit-learn model and no PythonModel"
    found = [
        _Finding("format", kind or neither, differs=kind is None),
        _Finding("size", bytes_text(sum(_files(folder).values()))),
    ]
    try:
        signature = model.signature
    except SkledgerError as error:
        return [*found, _Finding("signature", error.message, differs=True)]
    if signature is None:
        return [*found, _Finding("signature", "none")]
    for name in ("inputs", "outputs", "params"):
        part = getattr(signature, name)
        if part is not None:
            found.append(_Finding(name, "\n".join(repr(each) for each in part)))
    return found


def _format(described: dict[str, Any]) -> str | None:
    from skledger.models.python_model_descriptor import is_python_model

    if is_python_model(described):
        version = described["flavors"]["python_function"].get("cloudpickle_version")
        return f"PythonModel, by cloudpickle {version}" if version else "PythonModel"
    flavor = described["flavors"].get("sklearn")
    # MLflow wrote no format as long as there was only one.
    is_sklearn = isinstance(flavor, dict) and flavor
    return str(flavor.get("serialization_format", "pickle")) if is_sklearn else None


def _versions(differences: Sequence[VersionDifference]) -> _Finding:
    if not differences:
        return _Finding("versions", "the same as when it was saved")
    return _Finding("versions", "\n".join(map(_told, differences)), differs=True)


def _told(difference: VersionDifference) -> str:
    here = difference.here or "not installed"
    return f"{difference.name}: {difference.booked} when it was saved, {here} here"


def _print(findings: Sequence[_Finding], differences: Sequence[Any], advice: str) -> None:
    from rich.table import Table

    from skledger.cli._printing import cell, emit

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in findings:
        for at, line in enumerate(each.text.splitlines()):
            style = "red" if each.differs else ""
            table.add_row(cell("" if at else each.what, "bold"), cell(line, style))
    emit(table)
    if differences and advice:
        click.echo(f"To have the versions that it was saved with: {advice}")


def _print_json(uri: str, findings: Sequence[_Finding], differences: Sequence[Any]) -> None:
    from skledger.cli._printing import emit_json

    emit_json(
        {
            "uri": uri,
            "differs": any(each.differs for each in findings),
            "findings": [
                {"what": each.what, "text": each.text, "differs": each.differs} for each in findings
            ],
            "versions": [
                {"name": each.name, "booked": each.booked, "here": each.here}
                for each in differences
            ],
        }
    )
