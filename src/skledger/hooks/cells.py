"""Functions that people import before or after ``autolog()``, hooked where both call them.

Replacing an attribute of a module misses those who imported the function before. scikit-learn's
``validate_params`` makes of each function a wrapper that keeps the function it wraps in a cell of
its closure. We put ours into that cell: whoever holds the wrapper, calls us.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import CellType, FunctionType, ModuleType
from typing import Any

from skledger.hooks.patching import Patch, PatchSet, Wrapper

__all__ = ["FunctionPatches"]


class CellPatch(Patch):
    """A patch in a cell: ``validate_params`` asks its signature at every call, so it knows it.

    This makes up for most of what a call of ours costs. Nobody else sees the cell.
    """

    @property
    def __signature__(self) -> inspect.Signature:  # type: ignore[override,unused-ignore]
        if self._self_signature is None:
            self._self_signature = inspect.signature(self.__wrapped__)
        return self._self_signature

    _self_signature: inspect.Signature | None = None


class FunctionPatches:
    """The functions one hook module has patched, to be given back together."""

    def __init__(self) -> None:
        self._cells: list[tuple[CellType, Patch]] = []
        self._patches = PatchSet()

    def __bool__(self) -> bool:
        return bool(self._cells)

    def wrap(
        self,
        function: Any,
        wrapper: Wrapper,
        enabled: Callable[[], bool],
        owners: Iterable[ModuleType | None],
    ) -> None:
        """Wrap a function in its cell; where it has none, in the modules that hold it.

        Parameters
        ----------
        function : callable
            As it is imported.
        wrapper, enabled : callable
            As for `PatchSet.wrap`.
        owners : iterable of module or None
            Who imports it from there from now on, calls the wrapper, if there is no cell.
        """
        cell = _cell_of(function)
        if cell is None:  # another scikit-learn
            name = getattr(function, "__name__", "")
            for owner in owners:
                if owner is not None and vars(owner).get(name) is function:
                    self._patches.wrap(owner, name, wrapper, enabled)
            return
        patch = CellPatch(cell.cell_contents, wrapper, enabled)
        cell.cell_contents = patch
        self._cells.append((cell, patch))

    def unwrap(self) -> None:
        """Give every function back."""
        while self._cells:
            cell, patch = self._cells.pop()
            # What somebody else has put there since stays; ours below it is passive.
            if cell.cell_contents is patch:
                cell.cell_contents = patch.__wrapped__
        self._patches.unwrap()


def _cell_of(function: Any) -> CellType | None:
    """Return the cell in which a decorated function keeps what it decorates."""
    original = getattr(function, "__wrapped__", None)
    if not isinstance(function, FunctionType) or original is None:
        return None
    for cell in function.__closure__ or ():
        if cell.cell_contents is original:
            return cell
    return None
