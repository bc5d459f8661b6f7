"""Writing a model's file: hashed and read for names on the way, in bounded memory.

Every format goes through the same `_Sink`. It counts, so that a model that is too large is given up
before it is written; it compresses, when asked to; it hashes what goes to the file.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from skledger.errors import ModelTooLargeError
from skledger.models.requirements import LONGEST_NAME, named_modules

if TYPE_CHECKING:
    from skledger.models.compressing import Compressor
    from skledger.models.formats import Form

__all__ = ["Pickled", "pickle_into", "write_model"]

# Protocol 5 writes arrays without a copy, and every supported Python reads it.
_PROTOCOL = 5
# Bytes held in memory before they go to the file.
_SPILL = 32 * 1024 * 1024
# A single value of more bytes goes to the file at once. No frame of opcodes is as large, so it is
# the contents of an array.
_LARGE = 32 * 1024 * 1024
# joblib writes arrays between the opcodes, in parts of this size and more; frames are smaller.
_LARGE_OF_JOBLIB = 256 * 1024


@dataclass(frozen=True, slots=True)
class Pickled:
    """What was written.

    Parameters
    ----------
    digest : str
        SHA-256 of the file, in hexadecimal.
    size_bytes : int
        Size of the file.
    modules : frozenset of str
        The modules that it names.
    uncompressed_bytes : int
        Its size before it was compressed.
    trusted : tuple of str
        Of the format skops, the types that skops itself does not trust.
    """

    digest: str
    size_bytes: int
    modules: frozenset[str]
    uncompressed_bytes: int = 0
    trusted: tuple[str, ...] = ()


class _NeedsCloudpickle(Exception):  # noqa: N818 - a signal, caught in this module
    """The plain pickle refers to ``__main__``, which is another module where it is loaded."""


class _Sink:
    """The file-like object that a pickler writes to."""

    __slots__ = (
        "_buffer",
        "_by_value",
        "_compressor",
        "_file",
        "_hash",
        "_large",
        "_limit",
        "_names",
        "_refuse_main",
        "_size",
        "_tail",
        "_taken",
    )

    def __init__(
        self,
        file: BinaryIO,
        *,
        by_value: bool = False,
        refuse_main: bool = False,
        compressor: Compressor | None = None,
        limit: int | None = None,
        large: int | None = None,
    ) -> None:
        self._file = file
        self._compressor = compressor
        self._limit = limit
        self._large = _LARGE if large is None else large
        self._taken = 0
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
        self._taken += len(raw)
        if self._limit is not None and self._taken > self._limit:
            raise ModelTooLargeError(self._taken, self._limit)
        if len(raw) > self._large:
            self._spill()
            self._put(memoryview(raw))
            return
        self._buffer.write(raw)
        if self._buffer.tell() > _SPILL:
            self._spill()

    def tell(self) -> int:
        """Return how much was taken; joblib aligns arrays by it."""
        return self._taken

    def finish(self) -> Pickled:
        """Write what is left."""
        self._spill()
        if self._compressor is not None:
            self._store(self._compressor.flush())
        names = frozenset(self._names)
        return Pickled(self._hash.hexdigest(), self._size, names, self._taken)

    def _spill(self) -> None:
        with self._buffer.getbuffer() as held:
            self._read_names(held)
            self._put(held)
        self._buffer.seek(0)
        self._buffer.truncate()

    def _put(self, data: memoryview) -> None:
        self._store(data if self._compressor is None else self._compressor.compress(data))

    def _store(self, data: memoryview | bytes) -> None:
        self._hash.update(data)
        self._file.write(data)
        self._size += len(data)

    def _read_names(self, held: memoryview) -> None:
        self._names |= named_modules(held, by_value=self._by_value)
        if self._tail:  # a name that began before the last spill
            seam = self._tail + bytes(held[:LONGEST_NAME])
            self._names |= named_modules(seam, by_value=self._by_value)
        self._tail = (self._tail + bytes(held[-LONGEST_NAME:]))[-LONGEST_NAME:]
        if self._refuse_main and "__main__" in self._names:
            raise _NeedsCloudpickle


def write_model(
    file: BinaryIO, estimator: object, form: Form, *, limit: int | None = None
) -> Pickled:
    """Write an estimator into an open, empty, seekable binary file.

    Parameters
    ----------
    file : file object
        Where to.
    estimator : object
        What.
    form : Form
        How.
    limit : int, optional
        The most bytes, before compression.

    Raises
    ------
    ModelTooLargeError
        When it is larger; before all of it was written.
    """
    options: dict[str, Any] = {"limit": limit}

    def sink(**more: Any) -> _Sink:
        if form.compression is not None:
            from skledger.models.compressing import compressor

            more["compressor"] = compressor(form.compression)
        return _Sink(file, **options, **more)

    if form.serialization_format == "skops":
        return _write_skops(sink, estimator, limit)
    if form.serialization_format == "joblib":
        import joblib

        taken = sink(large=_LARGE_OF_JOBLIB)
        joblib.dump(estimator, taken)
        return taken.finish()
    return _write_pickle(sink, file, estimator, form.serialization_format)


def pickle_into(file: BinaryIO, estimator: object, serialization_format: str) -> Pickled:
    """Pickle an estimator; see `write_model`."""
    return _write_pickle(partial(_Sink, file), file, estimator, serialization_format)


def _write_pickle(
    sink: Callable[..., _Sink], file: BinaryIO, estimator: object, serialization_format: str
) -> Pickled:
    """Pickle an estimator.

    With the format ``"cloudpickle"`` the plain C pickler is tried first, for it takes half the
    time and writes the same: cloudpickle differs only for what plain pickle refuses (lambdas,
    local classes) or stores as a reference into ``__main__``.
    """
    if serialization_format == "pickle":
        return _dump(pickle.Pickler, sink(), estimator)
    if not _known_to_need_cloudpickle(estimator):
        try:
            return _dump(pickle.Pickler, sink(refuse_main=True), estimator)
        except (OSError, ModelTooLargeError):  # which would come again
            raise
        except Exception:  # noqa: BLE001 - cloudpickle decides, and its error is the one to show
            file.seek(0)
            file.truncate()
    from cloudpickle import Pickler

    return _dump(Pickler, sink(by_value=True), estimator)


def _dump(pickler: Callable[..., Any], sink: _Sink, estimator: object) -> Pickled:
    pickler(sink, _PROTOCOL).dump(estimator)
    return sink.finish()


def _write_skops(sink: Callable[..., _Sink], estimator: object, limit: int | None) -> Pickled:
    from skledger.models.skops_format import dumped

    if limit is not None:
        _measure(estimator, limit)
    content, modules, trusted = dumped(estimator)
    # Its names stand in the archive's own index, so none is looked for in the bytes.
    taken = sink(large=0)
    taken.write(content)
    return replace(taken.finish(), modules=modules, trusted=trusted)


def _measure(estimator: object, limit: int) -> None:
    """Refuse what is too large before a library builds the whole of it in memory."""
    try:
        # Arrays are counted where they lie.
        sink = _Sink(io.BytesIO(), limit=limit)
        count = _Count(limit)
        pickle.Pickler(sink, _PROTOCOL, buffer_callback=count).dump(estimator)
    except ModelTooLargeError:
        raise
    except Exception:  # noqa: BLE001 - what pickle refuses is for the format itself to judge
        pass


class _Count:
    """Counts the buffers that a pickler gives away instead of writing them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    def __call__(self, buffer: pickle.PickleBuffer) -> None:
        self._taken += buffer.raw().nbytes
        if self._taken > self._limit:
            raise ModelTooLargeError(self._taken, self._limit)


def _known_to_need_cloudpickle(estimator: object) -> bool:
    if type(estimator).__module__ == "__main__":
        return True
    cloudpickle = sys.modules.get("cloudpickle")
    # Modules that the user asked to be stored by value.
    return cloudpickle is not None and bool(cloudpickle.list_registry_pickle_by_value())
