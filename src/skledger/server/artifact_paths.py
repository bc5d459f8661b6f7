"""Which paths and which locations a tracking server reads and writes, and which it refuses."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote, urlsplit

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.stores.artifacts import check_artifact_path

__all__ = [
    "above_owner",
    "check_experiment_location",
    "check_readable",
    "checked_path",
    "identifiers_in",
    "is_below",
    "is_local",
    "local_path",
    "safe_path",
    "safe_target",
]

#: Where a run or a logged model has its files, in whatever store.
_OWN_FOLDER = re.compile(r"/(m-[0-9a-f]{32}|[0-9a-f]{32})/artifacts(?=/|$)")
#: Object stores. Other schemes that fsspec knows lead to files of this machine, or let a client
#: make the server ask whatever address it likes.
_REMOTE = frozenset(("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"))
#: How often a path may have been encoded.
_ENCODED = 4


def checked_path(path: str) -> str:
    """Return a path below a root, in its plainest form; an empty one is the root.

    Raises
    ------
    InvalidParameterError
        When it is absolute, goes up, or is one of Windows; also when it would be after it is
        decoded again, as something further on might.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    found = "/".join(parts)
    if path.startswith("/"):
        check_artifact_path(path)
    decoded = found
    for _ in range(_ENCODED):
        if decoded:
            check_artifact_path(decoded)
        again = unquote(decoded)
        if again == decoded:
            return found
        decoded = again
    check_artifact_path(f"/{path}")  # encoded too often to mean well
    return found


def check_experiment_location(location: str, own: Iterable[str] = ()) -> None:
    """Refuse a location for the files of an experiment from which nothing will ever be read.

    It is only noted here: what is read from it later is below the folder of a run or of a model.

    Parameters
    ----------
    location : str
        The location.
    own : iterable of str
        Where the server itself keeps files; what is in the same kind of store is taken.
    """
    parts = urlsplit(location.replace("\\", "/"))
    scheme = parts.scheme.lower()
    if os.name == "nt" and len(scheme) == 1:  # pragma: no cover
        scheme = ""
    known = {place.scheme.lower(): place.netloc for place in map(urlsplit, own)}
    if (
        "\0" in location
        or "::" in location
        or parts.query
        or parts.fragment
        or ".." in unquote(parts.path).split("/")
        or scheme not in {"", "file", "mlflow-artifacts", *_REMOTE, *known}
        or (scheme == "file" and parts.netloc not in ("", "localhost"))
        # Such a place names the machine that would be asked.
        or ("@" in parts.netloc and parts.netloc != known.get(scheme))
    ):
        kinds = sorted(f"{each}://" for each in _REMOTE | known.keys() if each not in ("", "file"))
        raise InvalidParameterError(
            f"artifact location {location!r}: expected a folder, mlflow-artifacts:/path, or what "
            f"begins with one of {', '.join(kinds)}, without '..', '?', '#', '::' or '@'; other "
            "stores are those of --artifacts-destination and --default-artifact-root"
        )


def is_local(uri: str) -> bool:
    """Whether a location is on this machine."""
    if uri.startswith(("/", "file:")):
        return True
    return os.name == "nt" and uri[1:2] == ":"  # pragma: no cover


def check_readable(uri: str, own: Iterable[str] = ()) -> None:
    """Refuse a location at a place of which this server reads nothing; `NotFoundError`.

    Parameters
    ----------
    uri : str
        The location.
    own : iterable of str
        Where the server itself keeps files; what is in the same kind of store is read.
    """
    plain = unquote(uri)
    is_odd = ".." in plain.split("/") or "\0" in plain
    if not is_local(uri):
        kinds = {urlsplit(place).scheme.lower() for place in own}
        scheme = uri.partition(":")[0].lower()
        is_odd = is_odd or "::" in uri or scheme not in _REMOTE | kinds
    if is_odd:
        raise NotFoundError(
            f"files at {uri!r} are not served here: this server reads its own folders and object "
            "stores"
        )


def local_path(uri: str) -> str:
    """Return the folder that a local location names."""
    if not uri.startswith("file:"):
        return os.path.normpath(uri)
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost"):
        raise NotFoundError(f"files at {uri!r} are not on this machine")
    return os.path.normpath(unquote(parts.path))


def is_below(uri: str, root: str) -> bool:
    """Whether a location is a root or below it; both are plain, without ``..``."""
    if is_local(uri) != is_local(root):
        return False
    if is_local(uri):
        uri, root = local_path(uri), local_path(root)
    root = root.rstrip("/")
    return uri == root or uri.startswith(f"{root}/")


def identifiers_in(uri: str) -> Iterator[str]:
    """Yield the identifiers of runs and models whose folders a location names."""
    for match in _OWN_FOLDER.finditer(uri):
        yield match[1]


def above_owner(location: str) -> str:
    """Return the location of the experiment of a run or model, whose own location is given."""
    found = [match.start() for match in _OWN_FOLDER.finditer(location)]
    return location[: found[-1]].removesuffix("/models") or "/" if found else location


def safe_path(top: str, path: str) -> str:
    """Return the path at which a file below a folder really is, having followed links.

    Raises
    ------
    InvalidParameterError
        When a link leads out of the folder.
    """
    target = safe_target(top, path)
    return target[len(os.path.realpath(top)) :].strip(os.sep).replace(os.sep, "/")


def safe_target(top: str, path: str) -> str:
    """Return where a file below a folder really is, having followed links.

    Raises
    ------
    InvalidParameterError
        When a link leads out of the folder.
    """
    root = os.path.realpath(top)
    target = os.path.realpath(os.path.join(root, path))  # noqa: PTH118
    if target != root and not target.startswith(f"{root.rstrip(os.sep)}{os.sep}"):
        raise InvalidParameterError(
            f"artifact path {path!r}: a link leads out of the folder of the artifacts, and is not "
            "followed"
        )
    return target
