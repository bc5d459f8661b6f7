"""Small helpers that scripts for MLflow use, under MLflow's module names."""

from skledger._lazy import lazily

__getattr__ = lazily(__name__, modules=("file_utils", "mlflow_tags"))
