"""From the bytes of a model's file to the model."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable
from typing import Any

from skledger.errors import ModelError
from skledger.models.formats import Form
from skledger.models.verified import ModelFolder

__all__ = ["made_from", "read_model"]


def read_model(
    folder: ModelFolder,
    name: str,
    form: Form,
    content: bytes | memoryview | None = None,
    trusted: Iterable[str | type] = (),
    uncompressed_bytes: object = None,
    *,
    mmap_mode: str | None = None,
) -> Any:
    """Make a model from its file; whoever calls this has verified it.

    Parameters
    ----------
    folder : ModelFolder
        Where it is.
    name : str
        Its file in there.
    form : Form
        How it was written.
    content : bytes-like, optional
        What is in the file; not needed to map it.
    trusted : iterable of str or type
        Types that a file of the format skops may name, besides those that were reviewed.
    uncompressed_bytes : int, optional
        The size that was written down for a compressed model.
    mmap_mode : str, optional
        How to map the arrays of a file of joblib.

    Raises
    ------
    ModelError
        It cannot be made here; the text says what is missing.
    """
    where = f"{name!r} in the model folder {folder}"
    if content is None:
        import joblib

        path = folder.locate(name)
        return made_from(folder, where, lambda: joblib.load(path, mmap_mode=mmap_mode))
    if form.compression is not None:
        from skledger.models.compressing import decompressed

        content = decompressed(form.compression, bytes(content), uncompressed_bytes, where)
    if form.serialization_format == "skops":
        from skledger.models.skops_format import loaded

        return loaded(bytes(content), trusted, where)
    return made_from(folder, where, _reader(form, content))


def _reader(form: Form, content: bytes | memoryview) -> Callable[[], Any]:
    if form.serialization_format == "joblib":
        import joblib

        return lambda: joblib.load(io.BytesIO(content))
    return lambda: pickle.loads(content)


def made_from(folder: ModelFolder, where: str, make: Callable[[], Any]) -> Any:
    """Return what `make` makes of a model's file, or say what is missing here.

    Parameters
    ----------
    folder : ModelFolder
        Where it is.
    where : str
        The file, for the text of an error.
    make : callable
        Reads it.

    Raises
    ------
    ModelError
        It cannot be made here.
    """
    try:
        return make()
    except MemoryError:
        raise
    except ImportError as error:
        missing = f"the module {error.name!r}" if error.name else str(error)
        raise ModelError(
            f"the model in {folder} needs {missing}, which cannot be imported here ({error}). "
            f"{_installation(folder)}"
        ) from error
    except AttributeError as error:
        raise ModelError(
            f"the model in {folder} needs a class or function that is not there: {error}. It was "
            "renamed, or its module has another version here, or it was defined in a script "
            f"that pickle refers to by name. {_installation(folder)}"
        ) from error
    except Exception as error:
        raise ModelError(
            f"{where} cannot be unpickled: {type(error).__name__}: {error}. {_installation(folder)}"
        ) from error


def _installation(folder: ModelFolder) -> str:
    try:
        text = folder.read("requirements.txt", booked_only=False)
    except ModelError:
        return "Install the versions it was saved with; the folder has no requirements.txt."
    lines = ", ".join(text.decode("utf-8", "replace").split("\n")).strip(", ")
    return f"Install what it was saved with (requirements.txt): {lines}."
