"""Data sets for `skledger.log_input`, under MLflow's module name."""

from skledger._lazy import lazily
from skledger.tracking.dataset_sources import DatasetSource
from skledger.tracking.datasets import Dataset, from_numpy, from_pandas, get_source

__all__ = ["Dataset", "DatasetSource", "from_numpy", "from_pandas", "get_source"]

__getattr__ = lazily(__name__, modules=("numpy_dataset", "pandas_dataset"))
