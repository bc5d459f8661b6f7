"""Pickling into a file: hashed and read for names on the way, in bounded memory."""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from skledger.models.requirements import LONGEST_NAME, named_modules

__all__ = ["Pickled", "pickle_into"]

# Protocol 5 writes arrays without a copy, and every supported Python reads it.
_PROTOCOL = 5
# Bytes held in memory before they go to the file.
_SPILL = 32 * 1024 * 1024
# A single value of more bytes goes to the file at once. No frame of opcodes is as large, so it is
# the contents of an array.
_LARGE = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pickled:
    """What was written: its SHA-256, its size in bytes and the modules it names."""

    digest: str
    size_bytes: int
    modules: frozenset[str]


class _NeedsCloudpickle(Exception):  # noqa: N818 - a signal, caught in this module
    """The plain pickle refers to ``__main__``, which is another module where it is loaded."""


class _Sink:
    """The file-like object that a pickler writes to."""

    __slots__ = (
        "_buffer",
        "_by_value",
        "_file",
        "_hash",
        "_names",
        "_refuse_main",
        "_size",
        "_tail",
    )

    def __init__(self, file: BinaryIO, *, by_value: bool, refuse_main: bool) -> None:
        self._file = file
        self._by_value = by_value
        self._refuse_main = refuse_main
        self._buffer = io.BytesIO()
        self._hash = hashlib.sha256()
        self._names: set[str] = set()
        self._size = 0
        self._tail = b""

    def write(self, data: Any) -> None:
        """Take the next part of the pickle: a frame of about 64 KB, or one large value."""
        raw = data.raw() if isinstance(data, pickle.PickleBuffer) else data
        if len(raw) > _LARGE:
            self._spill()
            self._put(memoryview(raw))
            return
        self._buffer.write(raw)
        if self._buffer.tell() > _SPILL:
            self._spill()

    def finish(self) -> Pickled:
        """Write what is left."""
        self._spill()
        return Pickled(self._hash.hexdigest(), self._size, frozenset(self._names))

    def _spill(self) -> None:
        with self._buffer.getbuffer() as held:
            self._read_names(held)
            self._put(held)
        self._buffer.seek(0)
        self._buffer.truncate()

    def _put(self, data: memoryview) -> None:
        self._hash.update(data)
        self._file.write(data)
        self._size += data.nbytes

    def _read_names(self, held: memoryview) -> None:
        self._names |= named_modules(held, by_value=self._by_value)
        if self._tail:  # a name that began before the last spill
            seam = self._tail + bytes(held[:LONGEST_NAME])
            self._names |= named_modules(seam, by_value=self._by_value)
        self._tail = (self._tail + bytes(held[-LONGEST_NAME:]))[-LONGEST_NAME:]
        if self._refuse_main and "__main__" in self._names:
            raise _NeedsCloudpickle


def pickle_into(file: BinaryIO, estimator: object, serialization_format: str) -> Pickled:
    """Pickle an estimator into an open, empty, seekable binary file.

    With the format ``"cloudpickle"`` the plain C pickler is tried first, for it takes half the
    time and writes the same: cloudpickle differs only for what plain pickle refuses (lambdas,
    local classes) or stores as a reference into ``__main__``.
    """
    if serialization_format == "pickle":
        return _dump(pickle.Pickler, file, estimator)
    if not _known_to_need_cloudpickle(estimator):
        try:
            return _dump(pickle.Pickler, file, estimator, refuse_main=True)
        except OSError:  # the disk's refusal, which would come again
            raise
        except Exception:  # noqa: BLE001 - cloudpickle decides, and its error is the one to show
            file.seek(0)
            file.truncate()
    from cloudpickle import Pickler

    return _dump(Pickler, file, estimator, by_value=True)


def _dump(
    pickler: Callable[..., Any],
    file: BinaryIO,
    estimator: object,
    *,
    by_value: bool = False,
    refuse_main: bool = False,
) -> Pickled:
    sink = _Sink(file, by_value=by_value, refuse_main=refuse_main)
    pickler(sink, _PROTOCOL).dump(estimator)
    return sink.finish()


def _known_to_need_cloudpickle(estimator: object) -> bool:
    if type(estimator).__module__ == "__main__":
        return True
    cloudpickle = sys.modules.get("cloudpickle")
    # Modules that the user asked to be stored by value.
    return cloudpickle is not None and bool(cloudpickle.list_registry_pickle_by_value())
