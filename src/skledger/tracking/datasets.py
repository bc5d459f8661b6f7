"""Data sets that a run used: a name, a digest, a schema and a profile; the data is not stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError
from skledger.tracking.dataset_sources import DatasetSource
from skledger.tracking.entities import Dataset as DatasetEntity
from skledger.tracking.entities import DatasetInput, RunTag

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = [
    "Dataset",
    "DatasetSource",
    "NumpyDataset",
    "PandasDataset",
    "from_numpy",
    "from_pandas",
    "get_source",
    "input_of",
]

CONTEXT_TAG = "mlflow.data.context"


class Dataset:
    """A description of data, for `skledger.log_input`.

    Attributes
    ----------
    name : str
        ``dataset`` unless one was given.
    digest : str
        8 hexadecimal digits of a hash of all the values, unless one was given.
    source : DatasetSource
        Where it comes from.
    """

    def __init__(self, source: Any, name: str | None, digest: str | None) -> None:
        self.source = DatasetSource.of(source)
        self.name = name or "dataset"
        self._digest = digest

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} digest={self.digest!r} {self.profile}>"

    @cached_property
    def digest(self) -> str:
        """Stands for the data: other data has another one."""
        return self._digest or self._hash()

    @property
    def schema(self) -> Any:
        """The columns or the tensors with their types."""
        raise NotImplementedError

    @property
    def profile(self) -> dict[str, Any]:
        """How much data it is."""
        raise NotImplementedError

    def _hash(self) -> str:
        raise NotImplementedError

    def _schema_json(self) -> str:
        raise NotImplementedError

    def to_entity(self) -> DatasetEntity:
        """Return what is booked."""
        return DatasetEntity(
            name=self.name,
            digest=self.digest,
            source_type=self.source.source_type,
            source=self.source.to_json(),
            schema=self._schema_json(),
            profile=json.dumps(self.profile),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what is booked, as a dictionary."""
        return self.to_entity().to_dictionary()

    def to_json(self) -> str:
        """Return what is booked, as JSON."""
        return json.dumps(self.to_dict())


class PandasDataset(Dataset):
    """A table.

    Attributes
    ----------
    df : pandas.DataFrame
        The data.
    targets, predictions : str or None
        The columns to predict, and of predictions.
    """

    def __init__(
        self,
        df: pd.DataFrame,
        source: Any = None,
        targets: str | None = None,
        name: str | None = None,
        digest: str | None = None,
        predictions: str | None = None,
    ) -> None:
        super().__init__(source, name, digest)
        for what, column in (("targets", targets), ("predictions", predictions)):
            if column is not None and column not in df.columns:
                known = ", ".join(map(repr, df.columns))
                raise InvalidParameterError(
                    f"{what}={column!r} is no column of the data; it has {known}."
                )
        self.df, self.targets, self.predictions = df, targets, predictions

    @cached_property
    def schema(self) -> Any:
        """Its columns, a `skledger.types.Schema`."""
        from skledger.models.infer import schema_of

        return schema_of(self.df)

    @property
    def profile(self) -> dict[str, Any]:
        """``num_rows`` and ``num_elements``."""
        return {"num_rows": len(self.df), "num_elements": int(self.df.size)}

    def _schema_json(self) -> str:
        return json.dumps({"mlflow_colspec": self.schema.to_dict()})

    def _hash(self) -> str:
        from skledger.tracking.dataset_digests import digest_of_frame

        return digest_of_frame(self.df)


class NumpyDataset(Dataset):
    """Arrays, or dictionaries of them by name.

    Attributes
    ----------
    features, targets : numpy.ndarray or dict of str to numpy.ndarray
        The data; targets may be None.
    """

    def __init__(
        self,
        features: Any,
        source: Any = None,
        targets: Any = None,
        name: str | None = None,
        digest: str | None = None,
    ) -> None:
        super().__init__(source, name, digest)
        self.features, self.targets = _arrays(features), _arrays(targets)

    @cached_property
    def schema(self) -> Any:
        """A `skledger.types.Schema` of the features, and one of the targets or None."""
        from skledger.models.infer import schema_of

        return {
            name: None if part is None else schema_of(part) for name, part in self._parts().items()
        }

    @property
    def profile(self) -> dict[str, Any]:
        """Shape, number of values and bytes of features and targets."""
        profile: dict[str, Any] = {}
        for name, part in self._parts().items():
            if part is not None:
                profile[f"{name}_shape"] = _each(part, lambda array: list(array.shape))
                profile[f"{name}_size"] = _each(part, lambda array: int(array.size))
                profile[f"{name}_nbytes"] = _each(part, lambda array: int(array.nbytes))
        return profile

    def _parts(self) -> dict[str, Any]:
        return {"features": self.features, "targets": self.targets}

    def _schema_json(self) -> str:
        texts = {
            name: None if part is None else json.dumps(part.to_dict())
            for name, part in self.schema.items()
        }
        return json.dumps({"mlflow_tensorspec": texts})

    def _hash(self) -> str:
        from skledger.tracking.dataset_digests import digest_of_arrays

        return digest_of_arrays(self.features, self.targets)


def _arrays(data: Any) -> Any:
    import numpy as np

    if data is None:
        return None
    if isinstance(data, Mapping):
        return {str(key): np.asarray(value) for key, value in data.items()}
    return np.asarray(data)


def _each(part: Any, measure: Any) -> Any:
    if isinstance(part, dict):
        return {key: measure(array) for key, array in part.items()}
    return measure(part)


def from_pandas(
    df: pd.DataFrame,
    source: str | Path | DatasetSource | None = None,
    targets: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    predictions: str | None = None,
) -> PandasDataset:
    """Describe a DataFrame, for `skledger.log_input`.

    Parameters
    ----------
    df : pandas.DataFrame of shape (n_samples, n_columns)
        The data.
    source : str or Path, optional
        The path or URI it was read from; by default the code that runs.
    targets, predictions : str, optional
        The columns to predict, and of predictions.
    name : str, default="dataset"
        Its name.
    digest : str, optional
        By default a hash of all the values.
    """
    return PandasDataset(df, source, targets, name, digest, predictions)


def from_numpy(
    features: np.ndarray[Any, Any] | Mapping[str, np.ndarray[Any, Any]],
    source: str | Path | DatasetSource | None = None,
    targets: np.ndarray[Any, Any] | Mapping[str, np.ndarray[Any, Any]] | None = None,
    name: str | None = None,
    digest: str | None = None,
) -> NumpyDataset:
    """Describe arrays, for `skledger.log_input`.

    Parameters
    ----------
    features : array of shape (n_samples, ...) or dict of such
        The data.
    source : str or Path, optional
        The path or URI it was read from; by default the code that runs.
    targets : array of shape (n_samples, ...) or dict of such, optional
        What is to be predicted.
    name : str, default="dataset"
        Its name.
    digest : str, optional
        By default a hash of all the values.
    """
    return NumpyDataset(features, source, targets, name, digest)


def get_source(dataset: Any) -> DatasetSource:
    """Return where the data comes from that a run used.

    Parameters
    ----------
    dataset : Dataset, or of a run: DatasetInput or its dataset
        Such as ``run.inputs.dataset_inputs[0].dataset``.
    """
    dataset = getattr(dataset, "dataset", dataset)
    if isinstance(dataset, Dataset):
        return dataset.source
    if not isinstance(dataset, DatasetEntity):
        raise InvalidParameterError(f"get_source takes a data set, not {type(dataset).__name__}.")
    try:
        content = json.loads(dataset.source)
    except ValueError:
        content = None
    return DatasetSource(dataset.source_type, content if isinstance(content, dict) else {})


def input_of(dataset: Any, context: str | None, tags: Mapping[str, Any] | None) -> DatasetInput:
    """Return what a run books of a data set that it used."""
    entity = dataset.to_entity() if isinstance(dataset, Dataset) else dataset
    if not isinstance(entity, DatasetEntity):
        raise InvalidParameterError(
            f"A data set is made by a function such as skledger.data.from_pandas(df); this is a "
            f"{type(dataset).__name__}."
        )
    booked = [RunTag(str(key), str(value)) for key, value in (tags or {}).items()]
    if context is not None:
        booked.append(RunTag(CONTEXT_TAG, str(context)))
    return DatasetInput(entity, tuple(booked))


def as_list(name: str, given: Sequence[Any] | None, length: int) -> list[Any]:
    """Return as many values as there are data sets."""
    values = [None] * length if given is None else list(given)
    if len(values) != length:
        raise InvalidParameterError(
            f"{name} has {len(values)} values for {length} data sets: give one for each."
        )
    return values
