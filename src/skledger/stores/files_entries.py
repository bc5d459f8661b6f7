"""What has a key, in the folder of a run or a model that is there: metrics, params and tags."""

from __future__ import annotations

from collections.abc import Mapping

from skledger.stores.files_medium import read
from skledger.stores.files_reading import find_file
from skledger.stores.files_steps import Steps

__all__ = ["param_in", "prepare_entries"]


def param_in(folder: str, key: str) -> str | None:
    """Return the value of a param in a folder, None when it has none."""
    path, exists = find_file(f"{folder}/params", key)
    return read(path).decode("utf-8", "replace") if exists else None


def prepare_entries(
    steps: Steps,
    folder: str,
    lines: Mapping[str, bytes],
    params: Mapping[str, str],
    tags: Mapping[str, str | None],
) -> None:
    """Prepare changes of the files in a folder.

    Parameters
    ----------
    steps : Steps
        Where they are prepared.
    folder : str
        The folder of a run or a model.
    lines : mapping of str to bytes
        What comes to the end of the files of metrics, by key.
    params : mapping of str to str
        Params that are new.
    tags : mapping of str to str or None
        Tags; None removes one.
    """
    for key, data in lines.items():
        path, exists = find_file(f"{folder}/metrics", key)
        if exists:
            steps.append(path, data)
        else:
            steps.put(path, data, new=True)
    for key, value in params.items():
        steps.put(find_file(f"{folder}/params", key)[0], value.encode(), new=True)
    for key, text in tags.items():
        path, exists = find_file(f"{folder}/tags", key)
        if text is not None:
            steps.put(path, text.encode(), new=not exists)
        elif exists:
            steps.remove(path, f"{folder}/tags")
