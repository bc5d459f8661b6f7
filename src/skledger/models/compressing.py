"""Compressed models: written in parts, and read within a bound.

A few kilobytes can stand for terabytes. So what a file says of its own size is a promise that it
is held to, and nobody's memory is filled by one that promises too much.
"""

from __future__ import annotations

import io
import os
import re
import zlib
from typing import Any, Protocol

from skledger.errors import InvalidParameterError, ModelError

__all__ = [
    "SIZE_VARIABLE",
    "Compressor",
    "bound_of",
    "check_bound",
    "compressor",
    "decompressed",
    "max_model_size",
    "size_in_bytes",
]

#: Models above this size, in bytes, are neither stored by autologging nor unpacked.
SIZE_VARIABLE = "SKLEDGER_MAX_MODEL_SIZE"

#: Without that variable: so much is always unpacked, and so many times the size of the file.
_ALWAYS = 1 << 30
_RATIO = 100
_LEVELS = {"zlib": 3, "zstd": 3}
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)


class Compressor(Protocol):
    """What compresses a stream part by part."""

    def compress(self, data: Any, /) -> bytes:
        """Take a part, return what is ready."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


def max_model_size() -> int | None:
    """Return the size, in bytes, that the environment sets for models; None when it sets none.

    Raises
    ------
    InvalidParameterError
        When the variable is no size.
    """
    text = os.environ.get(SIZE_VARIABLE, "").strip()
    return None if not text else size_in_bytes(text, SIZE_VARIABLE)


def size_in_bytes(given: int | str, what: str) -> int:
    """Return a size such as ``500_000`` or ``"2 GB"`` in bytes.

    Raises
    ------
    InvalidParameterError
        When it is none.
    """
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    match = _SIZE.fullmatch(given) if isinstance(given, str) else None
    if match is None:
        raise InvalidParameterError(
            f"{what} is {given!r}; expected a number of bytes, or a text such as '500 MB' or '2GB'."
        )
    return int(float(match[1]) * _UNITS[match[2].lower()])


def compressor(compression: str) -> Compressor:
    """Return what compresses a stream.

    Raises
    ------
    ModelError
        When the library for it is not installed.
    """
    level = _LEVELS[compression]
    if compression == "zlib":
        return zlib.compressobj(level)
    found: Compressor = _zstd().compressor(level)
    return found


def bound_of(stored: int) -> int:
    """Return how much may be unpacked from a file of so many bytes, in bytes."""
    limit = max_model_size()
    return max(_ALWAYS, _RATIO * stored) if limit is None else limit


def decompressed(compression: str, content: bytes, promised: object, where: str) -> bytes:
    """Unpack a model.

    Parameters
    ----------
    compression : str
        One of the known compressions.
    content : bytes
        What is in the file.
    promised : int
        The size of the model, as it was written down.
    where : str
        The file, for messages.

    Raises
    ------
    ModelError
        When it is larger than was promised, or than may be; or when it is broken.
    """
    if not isinstance(promised, int) or isinstance(promised, bool) or promised < 0:
        raise ModelError(
            f"{where} is compressed, and nothing says how large it is: its MLmodel has "
            f"uncompressed_size_bytes {promised!r}. Save the model again."
        )
    check_bound(promised, len(content), where)
    unpack = _unpack_zlib if compression == "zlib" else _zstd().unpack
    try:
        unpacked: bytes = unpack(content, promised + 1)
    except (MemoryError, ModelError):
        raise
    except Exception as error:
        raise ModelError(f"{where} cannot be unpacked: {error}. Save the model again.") from error
    if len(unpacked) != promised:
        found = "more than" if len(unpacked) > promised else f"{len(unpacked):,} instead of"
        raise ModelError(
            f"{where} unpacks to {found} the {promised:,} bytes that its MLmodel promises; it is "
            "broken, or was made to fill this machine's memory. Do not load it."
        )
    return unpacked


def check_bound(size: int, stored: int, where: str) -> None:
    """Refuse what would unpack to more than may be.

    Raises
    ------
    ModelError
        It says which variable allows more.
    """
    bound = bound_of(stored)
    if size > bound:
        raise ModelError(
            f"{where} has {stored:,} bytes and would unpack to {size:,}; the bound is {bound:,}. "
            f"If you know that the model is so large, set {SIZE_VARIABLE}={size}."
        )


def _unpack_zlib(content: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    unpacked = stream.decompress(content, limit)
    if len(unpacked) < limit and not stream.eof:
        raise zlib.error("it ends too early")
    return unpacked


class _StandardZstd:
    """Python's own module, from 3.14 on."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def compressor(self, level: int) -> Any:
        return self._module.ZstdCompressor(level)

    def unpack(self, content: bytes, limit: int) -> Any:
        return self._module.ZstdDecompressor().decompress(content, limit)


class _Zstandard:
    """The package zstandard."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def compressor(self, level: int) -> Any:
        return self._module.ZstdCompressor(level=level).compressobj()

    def unpack(self, content: bytes, limit: int) -> Any:
        return self._module.ZstdDecompressor().stream_reader(io.BytesIO(content)).read(limit)


def _zstd() -> Any:
    import importlib

    for name, made in (("compression.zstd", _StandardZstd), ("zstandard", _Zstandard)):
        try:
            return made(importlib.import_module(name))
        except ImportError:
            continue
    raise ModelError(
        "the compression 'zstd' needs Python 3.14 or the package zstandard: "
        "pip install 'skledger[zstd]'. 'zlib' needs nothing."
    )
