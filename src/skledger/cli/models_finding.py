"""From what names a model on the command line to the model; looking creates no store."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from skledger.errors import InvalidParameterError, NotFoundError, SkledgerError

if TYPE_CHECKING:
    from skledger.models.uris import ModelUri
    from skledger.stores.base import Store
    from skledger.tracking.entities import Run
    from skledger.tracking.model_uris import LocatedModel
    from skledger.tracking.registry_entities import RegisteredModel

__all__ = [
    "find_model",
    "in_words_of_commands",
    "known_model",
    "meant_uri",
    "no_alias",
    "registry_to_read",
    "require_model",
]

_RUN_ALONE = re.compile(r"runs:/([^/]+)/?")
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_LAST = "last"
_FORMS = (
    "A model is named by runs:/<run id>/<name>, models:/<name>/<version>, models:/<name>@<alias>, "
    "models:/m-<id>, the path of its folder, or `last`, the model of the last run."
)


def find_model(uri: str, *, verify: bool = True) -> LocatedModel:
    """Return the folder of the model that `meant_uri` named, and what is booked of it."""
    from skledger.tracking.model_uris import locate

    with in_words_of_commands(uri):
        return locate(uri, verify=verify)


def meant_uri(given: str) -> str:
    """Return the URI of the model that a user means.

    Parameters
    ----------
    given : str
        A model URI, in which a run may be named as for ``skledger show``; or ``last``.

    Raises
    ------
    NotFoundError
        There is no such run or folder, or no store to look in.
    InvalidParameterError
        It names no model.
    """
    from skledger.cli._finding import require_database
    from skledger.models.uris import parse_model_uri
    from skledger.tracking.session import get_store, get_tracking_uri

    alone = _RUN_ALONE.fullmatch(given)
    if alone is not None:
        raise InvalidParameterError(_is_a_run(given, _run_of(alone[1])))
    parsed = parse_model_uri(given)
    if parsed.kind == "path":
        return _of_path(parsed)
    if parsed.kind == "run":
        reference = str(parsed.run_id)
        return f"runs:/{_run_of(reference).info.run_id}/{parsed.artifact_path}"
    if parsed.kind == "registered":
        registry_to_read()
        _open_nothing_new()
    elif parsed.kind == "logged_model":
        require_database()
    elif urlsplit(get_tracking_uri()).scheme in ("http", "https"):
        get_store()  # a place like mlflow-artifacts:/ is one on the server in use
    else:
        _open_nothing_new()
    return given


def require_model(uri: str) -> None:
    """Raise unless there is a model at a URI that names a place, such as a folder."""
    from skledger.models.uris import parse_model_uri
    from skledger.models.verified import DESCRIPTOR
    from skledger.stores.artifacts import artifact_store

    parsed = parse_model_uri(uri)
    if parsed.path is not None:
        if (parsed.path / DESCRIPTOR).is_file():
            return
    elif parsed.kind != "artifact" or DESCRIPTOR in artifact_store(uri).list():
        return
    raise NotFoundError(f"{uri!r} is no model: there is no file {DESCRIPTOR!r} in it. {_FORMS}")


def registry_to_read() -> Store:
    """Return the store of registered models; `NotFoundError` where it would have to be made."""
    from skledger.cli._finding import require_database, why_empty
    from skledger.tracking.registry_versions import registry
    from skledger.tracking.session import chosen_registry_uri

    chosen = chosen_registry_uri()
    if chosen is None:
        require_database()
    elif (why := why_empty(chosen)) is not None:
        raise NotFoundError(f"{why} SKLEDGER_REGISTRY_URI or MLFLOW_REGISTRY_URI names it.")
    return registry()


def known_model(store: Store, name: str) -> RegisteredModel:
    """Return a registered model; `NotFoundError` when there is none of that name."""
    from skledger.tracking.addresses import without_credentials

    try:
        return store.get_registered_model(name)
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no registered model {name!r} in {without_credentials(store.uri)}; `skledger "
            "models list` lists those that there are, and `skledger models register` makes one."
        ) from error


@contextlib.contextmanager
def in_words_of_commands(uri: str) -> Iterator[None]:
    """Say of a registered model that is not there what a command, not a function, can do."""
    from skledger.models.uris import parse_model_uri

    try:
        yield
    except NotFoundError as error:
        parsed = parse_model_uri(uri)
        if parsed.kind == "registered":
            model = known_model(registry_to_read(), str(parsed.name))
            if parsed.alias is not None and parsed.alias not in model.aliases:
                raise NotFoundError(no_alias(model, parsed.alias)) from error
        raise


def no_alias(model: RegisteredModel, alias: str) -> str:
    """Say that a registered model has no such alias, and which it has."""
    known = ", ".join(f"{name} (version {of})" for name, of in sorted(model.aliases.items()))
    return (
        f"the registered model {model.name!r} has no alias {alias!r}; it has: {known or 'none'}. "
        f"`skledger models alias {model.name} {alias} VERSION` sets it."
    )


def _open_nothing_new() -> None:
    """Have what is booked of a model looked for in memory where there is no store of runs.

    A folder, or a registry elsewhere, is of use without one.
    """
    from skledger.cli._finding import why_empty
    from skledger.tracking.session import set_tracking_uri

    if why_empty() is not None:
        set_tracking_uri("memory:")


def _of_path(parsed: ModelUri) -> str:
    """Return the URI of a folder, or of what else was meant when there is no such folder."""
    from skledger.cli._finding import why_empty

    path, given = Path(str(parsed.path)), parsed.uri
    if path.exists():
        _open_nothing_new()
        return given
    is_name = given == path.name
    if is_name and given == _LAST:
        return _of_last()
    if why_empty() is None:
        if not is_name and "artifacts" in path.parts:
            return given  # the model of a run that MLflow would have put there
        run = _possible_run(given) if is_name else None
        if run is not None:
            raise InvalidParameterError(_is_a_run(given, run))
    raise NotFoundError(f"there is no folder {given!r}. {_FORMS}")


def _of_last() -> str:
    from skledger.cli._finding import find_run

    run = find_run(_LAST)
    names = _model_names(run)
    if len(names) != 1:
        raise InvalidParameterError(_is_a_run(_LAST, run))
    return f"runs:/{run.info.run_id}/{names[0]}"


def _run_of(reference: str) -> Run:
    """Return the run that a model URI names, by its identifier or as `find_run` takes it."""
    from skledger.cli._finding import find_run, require_database
    from skledger.tracking.session import store_to_read

    require_database()
    if reference != _LAST:
        try:
            return store_to_read().get_run(reference)
        except (NotFoundError, InvalidParameterError):
            if _RUN_ID.fullmatch(reference):
                raise
    return find_run(reference)


def _possible_run(reference: str) -> Run | None:
    with contextlib.suppress(SkledgerError, OSError):
        return _run_of(reference)
    return None


def _model_names(run: Run) -> list[str]:
    from skledger.tracking.session import store_to_read

    return sorted({each.name for each in store_to_read().search_logged_models(run.info.run_id)})


def _is_a_run(given: str, run: Run) -> str:
    """Say that a run was given where a model is named, and how its models are named."""
    names = _model_names(run)
    if not names:
        return (
            f"{given!r} is the run {run.info.run_name} ({run.info.run_id}), which has no model. "
            f"{_FORMS}"
        )
    uris = [f"runs:/{run.info.run_id}/{name}" for name in names]
    return f"{given!r} is the run {run.info.run_name}, not a model; write {' or '.join(uris)}."
