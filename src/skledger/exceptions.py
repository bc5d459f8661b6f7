"""The exceptions, under MLflow's module name; see `skledger.errors` for the tree."""

from skledger.errors import SkledgerError

__all__ = ["MlflowException", "RestException"]

#: What MLflow calls anything that is raised on purpose.
MlflowException = SkledgerError
#: What MLflow raises when a server refuses.
RestException = SkledgerError
