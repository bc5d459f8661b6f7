"""A data set of numpy, under MLflow's module name."""

from skledger.tracking.datasets import NumpyDataset, from_numpy

__all__ = ["NumpyDataset", "from_numpy"]
