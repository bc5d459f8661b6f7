"""A data set of pandas, under MLflow's module name."""

from skledger.tracking.datasets import PandasDataset, from_pandas

__all__ = ["PandasDataset", "from_pandas"]
