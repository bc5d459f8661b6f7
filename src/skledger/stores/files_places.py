"""Where artifacts are after the folder of a store, or of an experiment, was moved."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

__all__ = ["Places"]

_scheme = re.compile(r"[A-Za-z][\w+.-]+:")


class Places:
    """Finds artifacts again that lie in the folder of the store itself.

    Every record names the place of its artifacts in full. When that place is one below a store's
    folder that is there no more, or is relative to a folder nobody knows, it is the same place
    below this store's folder. A deleted experiment lies in the bin, and its artifacts with it; its
    records go on naming the place they had.

    Parameters
    ----------
    root : str
        The folder of the store.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._own = (root, f"file://{root}")
        self._gone = dict.fromkeys(self._own, False)

    def now(self, location: str, suffix: str, parent: str) -> str:
        """Return where a location is that ends in `suffix` when it is inside a store.

        `parent` is the folder in which the experiment lies now.
        """
        before = location.removesuffix(suffix)
        if before is location or len(before) == len(location):
            return location
        gone = self._gone.get(before)
        if gone is None:
            gone = self._gone[before] = self._is_gone(before)
        moved = gone or (parent != self._root and before in self._own)
        here = f"{parent}{suffix}"
        return here if moved and os.path.isdir(here) else location  # noqa: PTH112

    @staticmethod
    def _is_gone(before: str) -> bool:
        path = before
        if before.startswith("file:"):
            path = "/" + unquote(before[5:]).lstrip("/")
        elif _scheme.match(before):
            return False  # on another machine, where it is as it was
        return not (os.path.isabs(path) and os.path.isdir(path))  # noqa: PTH112, PTH117
