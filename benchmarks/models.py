"""What does it cost to load a model, and to log one?

::

    python benchmarks/models.py [--quick] [--without-mlflow]

The same estimators, from the same machine's disk, in turn: plain ``cloudpickle`` on a file,
skledger (digest verified before anything is unpickled) and ``mlflow.sklearn``. Every loaded model
is asked for its predictions. A store of each is in a temporary folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
from shared import main, median, ms, progress, table, times

import skledger
import skledger.sklearn

#: Ways to load: the format, and what `load_model` is told.
FORMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cloudpickle": ({}, {}),
    "zlib": ({"compression": "zlib"}, {}),
    "zstd": ({"compression": "zstd"}, {}),
    "joblib": ({"serialization_format": "joblib"}, {}),
    "joblib, mapped": ({"serialization_format": "joblib"}, {"mmap_mode": "r"}),
    "skops": ({"serialization_format": "skops"}, {"allow_pickle": False}),
}


def models(quick: bool) -> dict[str, tuple[Any, np.ndarray]]:
    """Return fitted models of several sizes, each with rows to predict."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    X, y = load_breast_cancer(return_X_y=True)
    small = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    found = {"pipeline, 2 KB": (small, X[:5])}
    rows, trees = (2_000, 20) if quick else (20_000, 150)
    noise, labels = rng.normal(size=(rows, 20)), rng.integers(0, 2, rows)
    forest = RandomForestClassifier(trees, random_state=0, n_jobs=1).fit(noise, labels)
    found[f"forest, {_size(forest)}"] = (forest, noise[:5])
    points = 10_000 if quick else 400_000
    data = rng.normal(size=(points, 50))
    near = KNeighborsClassifier(algorithm="brute").fit(data, rng.integers(0, 2, points))
    found[f"neighbours, {_size(near)}"] = (near, data[:5])
    return found


def _size(model: Any) -> str:
    return f"{len(cloudpickle.dumps(model)) / 1e6:.0f} MB"


def plain(path: Path) -> Any:
    """Load without a look."""
    with path.open("rb") as stream:
        return cloudpickle.load(stream)


def timed(rounds: int, ways: dict[str, Callable[[], Any]], rows: np.ndarray) -> dict[str, float]:
    """Let each way load in turn; return the medians, in s."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    expected = None
    for number in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            model = way()
            seconds = time.perf_counter() - start
            if number:  # the first time pays for imports
                taken[name].append(seconds)
            predicted = model.predict_proba(rows)
            expected = predicted if expected is None else expected
            if not np.array_equal(predicted, expected):
                raise RuntimeError(f"{name} predicts something else")
            del model
    return {name: median(each) for name, each in taken.items()}


def measure(given: argparse.Namespace) -> str:
    """Measure loading and logging; return a part of the report."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    before = Path.cwd()
    os.chdir(folder)
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _measured(given, folder)
    finally:
        os.chdir(before)
        shutil.rmtree(folder, ignore_errors=True)


def _measured(given: argparse.Namespace, folder: Path) -> str:
    skledger.set_tracking_uri(f"sqlite:///{folder / 'skledger.db'}")
    loading, logging, formats = [], [], []
    for name, (model, rows) in models(given.quick).items():
        progress(f"models: {name}")
        rounds = 3 if given.quick else 200 if "KB" in name else 9
        path = folder / "plain.pkl"
        with path.open("wb") as stream:
            cloudpickle.dump(model, stream)
        written = {label: _logged(model, label) for label in FORMS}
        ways: dict[str, Callable[[], Any]] = {"plain": lambda path=path: plain(path)}
        ways["skledger"] = _loader(written["cloudpickle"][0], {})
        theirs = float("nan")
        if not given.without_mlflow:
            theirs, uri = _logged_by_mlflow(model, folder, 1 if "MB" in name else 3)
            ways["mlflow"] = _mlflow_loader(uri)
        found = timed(rounds, ways, rows)
        own, bare = found["skledger"], found["plain"]
        loading.append(
            [
                name,
                ms(bare),
                ms(own),
                f"{ms(own - bare)} more, {times(own / bare)}",
                ms(found.get("mlflow", float("nan"))),
            ]
        )
        ours = _logging(model, 1 if "MB" in name else 5)
        logging.append([name, ms(ours), ms(theirs), times(theirs / ours)])
        ways = {label: _loader(written[label][0], FORMS[label][1]) for label in FORMS}
        for label, seconds in timed(min(rounds, 5), ways, rows).items():
            formats.append([f"{name}: {label}", f"{written[label][1] / 1e6:.2f}", ms(seconds)])
    return "\n".join(
        (
            "## Models\n\nLoading, in ms: plain `cloudpickle.load`; `skledger.sklearn.load_model` "
            "by `models:/m-...` from a local store, digests verified; "
            "`mlflow.sklearn.load_model`.\n",
            table(["model", "plain", "skledger", "against plain", "mlflow"], loading),
            "Logging in an open run, in ms.\n",
            table(["model", "skledger", "mlflow", "mlflow / skledger"], logging),
            "Formats: the file in MB, and loading in ms.\n",
            table(["model", "MB", "load"], formats),
        )
    )


def _logged(model: Any, label: str) -> tuple[str, int]:
    with skledger.start_run():
        info = skledger.sklearn.log_model(model, **FORMS[label][0])
    place = Path(skledger.get_logged_model(info.model_id).artifact_location)
    return info.model_uri, next(place.glob("model.*")).stat().st_size


def _loader(uri: str, options: dict[str, Any]) -> Callable[[], Any]:
    return lambda: skledger.sklearn.load_model(uri, **options)


def _logging(model: Any, rounds: int) -> float:
    taken = []
    with skledger.start_run():
        for _ in range(rounds + 1):
            start = time.perf_counter()
            skledger.sklearn.log_model(model)
            taken.append(time.perf_counter() - start)
    return median(taken[1:])


def _logged_by_mlflow(model: Any, folder: Path, rounds: int) -> tuple[float, str]:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    taken = []
    with mlflow.start_run():
        for _ in range(rounds + 1):
            start = time.perf_counter()
            info = mlflow.sklearn.log_model(model, name="model", serialization_format="cloudpickle")
            taken.append(time.perf_counter() - start)
    return median(taken[1:]), info.model_uri


def _mlflow_loader(uri: str) -> Callable[[], Any]:
    import mlflow

    return lambda: mlflow.sklearn.load_model(uri)


if __name__ == "__main__":
    main(measure)
