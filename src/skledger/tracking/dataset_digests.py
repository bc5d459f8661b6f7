"""The digests of data sets: eight hexadecimal digits, the same as MLflow's for the same data.

They must be MLflow's, or data that was logged by both would be two data sets. So they see what its
digests see: of a table the first 10,000 rows of its columns of texts and of numbers, how many rows
there are, and all names; of an array its first 10,000 values and its shape. The values are hashed
as ``pandas.util`` does it, and MD5 stands over their hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["digest_of_arrays", "digest_of_frame"]

_FIRST = 10_000


def digest_of_frame(df: pd.DataFrame) -> str:
    """Return the digest of a table.

    Parameters
    ----------
    df : pandas.DataFrame of shape (n_rows, n_columns)
        The table.
    """
    import pandas as pd

    numbers = df.select_dtypes(include=[np.number]).columns
    is_text = [_is_text(df.iloc[:, at]) for at in range(df.shape[1])]
    # A union is sorted, as far as names can be.
    seen = df.head(_FIRST)[df.columns[is_text].union(numbers)]
    parts = [pd.util.hash_pandas_object(seen).to_numpy(), np.int64(len(df))]
    return _digest([*parts, *(str(name).encode() for name in df.columns)])


def _is_text(column: pd.Series[Any]) -> bool:
    """Whether every value is a text; a missing one is none."""
    if column.dtype.kind in "biufcmM":
        return len(column) == 0
    return all(type(value) is str for value in column)


def digest_of_arrays(*parts: np.ndarray | dict[str, np.ndarray] | None) -> str:
    """Return the digest of features and targets, each an array, or several by name, or None."""
    import pandas as pd

    hashed: list[Any] = []
    for part in parts:
        named = part if isinstance(part, dict) else {"": part}
        for _, array in sorted(named.items()):
            if array is None:
                continue
            first = array.ravel()[:_FIRST]
            try:
                hashed.append(pd.util.hash_array(first))
            except TypeError:  # values that cannot be hashed, such as lists
                hashed.append(np.int64(first.size))
            hashed.extend(np.int64(length) for length in array.shape)
    return _digest(hashed)


def _digest(parts: Iterable[Any]) -> str:
    total = hashlib.md5(usedforsecurity=False)
    for part in parts:
        total.update(part)
    return total.hexdigest()[:8]
