"""What is logged as files: dictionaries, figures, images and tables as bytes."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, NotFoundError, SkledgerError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from skledger.stores.artifacts import ArtifactStore

__all__ = [
    "add_to_table",
    "dict_bytes",
    "figure_bytes",
    "image_bytes",
    "read_bytes",
    "read_table",
]

_TABLES = (".json", ".parquet")


def _ending(artifact_file: str) -> str:
    return PurePosixPath(artifact_file).suffix.lower()


def read_bytes(artifacts: ArtifactStore, path: str) -> bytes:
    """Return the content of an artifact."""
    with artifacts.open(path) as stream:
        return stream.read()


def dict_bytes(dictionary: Any, artifact_file: str) -> bytes:
    """Return a dictionary or list as YAML for ``.yml`` and ``.yaml``, else as JSON."""
    if _ending(artifact_file) in (".yml", ".yaml"):
        import yaml

        options: dict[str, Any] = {"sort_keys": False, "allow_unicode": True}
        try:
            text: str = yaml.safe_dump(dictionary, **options)
        except yaml.representer.RepresenterError:
            text = yaml.safe_dump(json.loads(json.dumps(dictionary, default=_plain)), **options)
        return text.encode()
    return json.dumps(dictionary, indent=2, default=_plain).encode()


def _plain(value: Any) -> Any:
    """Return what JSON lacks as what it has: NumPy's numbers and arrays; anything else as text."""
    for method in ("tolist", "isoformat"):
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    return str(value)


def figure_bytes(figure: Any, artifact_file: str, options: Mapping[str, Any]) -> bytes:
    """Return a figure of matplotlib or plotly in the format that the ending names."""
    ending = _ending(artifact_file).lstrip(".")
    if hasattr(figure, "savefig"):
        buffer = io.BytesIO()
        figure.savefig(buffer, **{"format": ending or None, **options})
        return buffer.getvalue()
    if hasattr(figure, "to_html") and ending == "html":
        text: str = figure.to_html(**{"include_plotlyjs": True, **options})
        return text.encode()
    if hasattr(figure, "to_image"):
        return bytes(figure.to_image(**{"format": ending, **options}))
    raise InvalidParameterError(
        f"log_figure takes a figure of matplotlib or plotly, not {type(figure).__name__}."
    )


def image_bytes(image: Any, artifact_file: str) -> bytes:
    """Return an image in the format that the ending names.

    Parameters
    ----------
    image : PIL.Image.Image or array-like of shape (height, width) or (height, width, channels)
        An array has 1, 3 or 4 channels, with whole numbers from 0 to 255, truth values, or
        fractions from 0 to 1 (others are clipped, with a warning).
    artifact_file : str
        Such as ``a.png``.
    """
    image = image.to_pil() if hasattr(image, "to_pil") else image
    if not hasattr(image, "save"):
        image = _image_of(image)
    buffer = io.BytesIO()
    try:
        ending = _ending(artifact_file).lstrip(".") or "png"
        image.save(buffer, format="JPEG" if ending == "jpg" else ending.upper())
    except (KeyError, OSError) as error:
        raise InvalidParameterError(
            f"Cannot write an image of mode {getattr(image, 'mode', '?')} as {artifact_file!r}: "
            f"{error}. Name a file that ends in .png."
        ) from error
    return buffer.getvalue()


def _image_of(values: Any) -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise SkledgerError(
            "Writing an array as an image takes Pillow: pip install pillow."
        ) from error
    import numpy as np

    array = np.asarray(values)
    flat = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if not flat or array.dtype.kind not in "buif":
        raise InvalidParameterError(
            "An image is an array of numbers of shape (height, width) or (height, width, 1, 3 or "
            f"4), or a PIL image; got {type(values).__name__} of shape {array.shape} and type "
            f"{array.dtype}."
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(_as_bytes(array))


def _as_bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the values of an image from 0 to 255."""
    import numpy as np

    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if array.dtype.kind == "f":
        if not (low >= 0 and high <= 1):
            warnings.warn(
                f"The values of an image of type {array.dtype} lie between 0 and 1; what is "
                "outside was clipped.",
                stacklevel=2,
            )
        scaled: np.ndarray[Any, Any] = np.nan_to_num(array).clip(0, 1) * 255.0
        return scaled.round().astype("uint8")
    if not (low >= 0 and high <= 255):
        raise InvalidParameterError(
            f"The values of an image of type {array.dtype} lie between 0 and 255; these go from "
            f"{low} to {high}. Scale them, or clip them with numpy.clip."
        )
    return array.astype("uint8") * (255 if array.dtype.kind == "b" else 1)


def add_to_table(artifacts: ArtifactStore, data: Any, artifact_file: str) -> None:
    """Write a table as an artifact; rows are added to what is there.

    Parameters
    ----------
    artifacts : ArtifactStore
        Where it goes.
    data : pandas.DataFrame or dict
        Columns by name; single values make one row.
    artifact_file : str
        Its path, which ends in ``.json`` or ``.parquet``.
    """
    import pandas as pd

    if _ending(artifact_file) not in _TABLES:
        raise InvalidParameterError(
            f"A table is written to a file that ends in .json or .parquet, not {artifact_file!r}."
        )
    if isinstance(data, Mapping):
        lists = any(
            isinstance(each, list | tuple) or hasattr(each, "__array__") for each in data.values()
        )
        data = pd.DataFrame(dict(data)) if lists or not data else pd.DataFrame([dict(data)])
    if not isinstance(data, pd.DataFrame):
        raise InvalidParameterError(
            f"log_table takes a DataFrame or a dictionary of columns, not {type(data).__name__}."
        )
    try:
        before = read_table(artifacts, artifact_file)
    except NotFoundError:
        frame = data
    else:
        frame = pd.concat([before, data], ignore_index=True)
    artifacts.put_bytes(artifact_file, _table_bytes(frame, artifact_file))


def _table_bytes(frame: pd.DataFrame, artifact_file: str) -> bytes:
    if _ending(artifact_file) == ".parquet":
        buffer = io.BytesIO()
        with _parquet():
            frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    text = frame.to_json(orient="split", index=False, date_format="iso", default_handler=_plain)
    return text.encode()


class _parquet:  # noqa: N801 - reads as a statement
    """Say what to install where pandas finds no library for Parquet."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, ImportError):
            raise SkledgerError(
                "Tables in Parquet take pyarrow: pip install pyarrow, or name a file that ends "
                "in .json."
            ) from error


def read_table(artifacts: ArtifactStore, artifact_file: str) -> pd.DataFrame:
    """Return a table that `add_to_table` wrote, or MLflow."""
    import pandas as pd

    content = read_bytes(artifacts, artifact_file)
    if _ending(artifact_file) == ".parquet":
        with _parquet():
            return pd.read_parquet(io.BytesIO(content))
    try:
        table = json.loads(content)
        columns, rows = table["columns"], table["data"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidParameterError(
            f"The artifact {artifact_file!r} is no table: expected JSON with 'columns' and 'data'."
        ) from error
    return pd.DataFrame(rows, columns=columns)
