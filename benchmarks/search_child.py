"""The process that searches: one logger, one search, told by its parent what to do when.

Not meant to be started by hand; see ``search_cost.py``. It speaks as ``child.py`` does.
"""

from __future__ import annotations

import time
from typing import Any

from child import Session, cpu_seconds, peak_bytes, serve, set_up


def search_of(case: str) -> tuple[Any, Any, Any]:
    """Return a search and its data."""
    import numpy as np
    from sklearn import datasets
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if case == "pipeline":
        grid = {
            "logisticregression__C": np.logspace(-3, 3, 12),
            "logisticregression__fit_intercept": [True, False],
            "logisticregression__tol": [1e-4, 1e-3],
        }
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
        return GridSearchCV(model, grid, cv=3), *datasets.load_breast_cancer(return_X_y=True)
    X, y = datasets.make_regression(200, 10, random_state=0)
    return GridSearchCV(Ridge(), {"alpha": np.logspace(-3, 3, int(case))}, cv=2), X, y


class SearchSession(Session):
    """What the process does for its parent."""

    def __init__(self, logger: str, case: str, rows: int) -> None:
        self.logger = logger
        self.search, self.X, self.y = search_of(case)
        self._small().fit(self.X, self.y)
        start = time.perf_counter()
        _, self.flush, _ = set_up(logger, rows)
        self.setup = time.perf_counter() - start
        # What a process pays once is no cost of a child.
        self._small().fit(self.X, self.y)
        self.flush()

    def _small(self) -> Any:
        from sklearn.base import clone

        (name, values), *_ = self.search.param_grid.items()
        return clone(self.search).set_params(param_grid={name: list(values[:2])})

    def run(self, count: int) -> dict[str, Any]:
        """Search once: until the call returned, until all is on the disk, CPU and memory."""
        from sklearn.base import clone

        search = clone(self.search)
        before = peak_bytes()
        cpu, start = cpu_seconds(), time.perf_counter()
        search.fit(self.X, self.y)
        returned = time.perf_counter() - start
        self.flush()
        on_disk = time.perf_counter() - start
        return {
            "returned": returned,
            "on disk": on_disk,
            "cpu": cpu_seconds() - cpu,
            "memory": peak_bytes() - before,
        }


if __name__ == "__main__":
    serve(SearchSession)
