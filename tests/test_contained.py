"""A failure of ours is never the user's: fit is untouched and one line is logged."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

import skledger


@pytest.fixture
def log(caplog, swallowed):
    """The lines skledger logs; errors it swallows are expected here."""
    caplog.set_level(logging.INFO, "skledger")
    yield lambda: [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    skledger.flush()
    swallowed.clear()


def fit_as_without_us(data):
    """Fit, and check that the result is that of a fit without autologging."""
    model = LogisticRegression(max_iter=5000)
    assert model.fit(*data) is model
    with skledger.autolog(disable=True):
        bare = LogisticRegression(max_iter=5000).fit(*data)
    assert np.array_equal(model.coef_, bare.coef_)
    assert np.array_equal(model.predict(data[0]), bare.predict(data[0]))


SEAMS = {
    "params": "skledger.ledger.fits.params_as_text",
    "data": "skledger.ledger.fits.before_fit",
    "metrics": "skledger.capture.metrics.evaluate",
    "pickling": "skledger.models.folder.save_sklearn_model",
    "place": "skledger.ledger.fits.place_for",
    "numbers": "skledger.ledger.fits.numbers_file",
    "files": "skledger.stores.artifacts.LocalArtifacts.put_bytes",
    "pictures": "skledger.capture.plots.draw",
    "diagram": "skledger.ledger.drawing._diagram",
    "warnings": "skledger.ledger.fits.warning_records",
    "queue": "skledger._writer.Writer.submit",
    "alarm": "skledger._writer.Writer.alarm",
}


@pytest.mark.parametrize("seam", SEAMS)
def test_a_fault_at_any_seam_costs_one_line(autolog, binary, log, monkeypatch, seam):
    """Whatever breaks, training goes on, and the log names what was not booked."""
    skledger.search_runs()  # the store is open

    def broken(*args, **kwargs):
        raise RuntimeError("injected")

    monkeypatch.setattr(SEAMS[seam], broken)
    fit_as_without_us(binary)
    skledger.flush()
    lines = [line for line in log() if "injected" in line]
    assert lines
    before_return = [line for line in lines if "picture" not in line and "diagram" not in line]
    assert len(before_return) <= 1


@pytest.mark.parametrize("seam", ["params", "data", "metrics", "pickling", "numbers", "pictures"])
def test_the_rest_of_the_run_is_booked(autolog, binary, log, monkeypatch, seam):
    """One broken part leaves the others."""

    def broken(*args, **kwargs):
        raise RuntimeError("injected")

    monkeypatch.setattr(SEAMS[seam], broken)
    LogisticRegression(max_iter=5000).fit(*binary)
    run = skledger.last_active_run()
    assert run.info.status == "FINISHED"
    assert run.data.tags["estimator_name"] == "LogisticRegression"
    assert bool(run.data.params) == (seam != "params")
    assert ("training_score" in run.data.metrics) == (seam not in ("metrics", "data"))
    if seam != "pictures":
        assert "injected" in run.data.tags["skledger.incomplete"]


def test_get_params_that_raises(autolog, binary, log):
    """A user's get_params may be broken."""

    class Odd(BaseEstimator):
        def get_params(self, deep=True):
            raise TypeError("no params today")

        def fit(self, X, y):
            return self

    model = Odd()
    assert model.fit(*binary) is model
    assert len(log()) == 1
    assert "no params today" in log()[0]
    assert skledger.last_active_run().info.status == "FINISHED"


def test_predict_that_raises(autolog, log):
    """A user's predict may be broken."""

    class Odd(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self

        def predict(self, X):
            raise ArithmeticError("cannot")

    Odd().fit([[1], [2]], [0, 1])
    run = skledger.last_active_run()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["n_samples"] == 2
    assert len(log()) == 1


def test_an_estimator_that_cannot_be_pickled(autolog, log):
    """The rest of the run is booked, and no folder is left behind."""

    class Locked(BaseEstimator):
        def fit(self, X, y=None):
            self.lock_ = threading.Lock()
            return self

    Locked().fit([[1]])
    run = skledger.last_active_run()
    assert run.info.status == "FINISHED"
    assert run.outputs.model_outputs == []
    assert len(log()) == 1
    assert "model of Locked" in log()[0]
    models = os.path.join("skledger-artifacts", "0", "models")
    assert not os.path.isdir(models) or os.listdir(models) == []


def test_a_locked_database(binary, log, monkeypatch):
    """Somebody else holds the database: the fit waits a moment, then goes on."""
    from skledger.stores import sqlite

    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.3)
    skledger.autolog()
    skledger.search_runs()
    other = sqlite3.connect("skledger.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        fit_as_without_us(binary)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert len(log()) == 1
    assert len(skledger.search_runs()) == 0


def test_a_database_that_cannot_be_opened(binary, log, tmp_path):
    """A tracking URI that leads nowhere costs one line per fit."""
    (tmp_path / "not-a-db").write_bytes(b"this is no database, whatever it is " * 99)
    skledger.set_tracking_uri(f"sqlite:///{tmp_path / 'not-a-db'}")
    skledger.autolog()
    fit_as_without_us(binary)
    assert len(log()) == 1


def test_another_programs_database_is_left_alone(binary, log, tmp_path):
    """A SQLite file with somebody else's tables gets none of ours."""
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("create table orders (id integer)")
    skledger.set_tracking_uri("sqlite:///shop.db")
    skledger.autolog()
    fit_as_without_us(binary)
    assert "another program's database (tables: orders)" in log()[0]
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        assert [name for (name,) in shop.execute("select name from sqlite_master")] == ["orders"]


def test_an_unknown_tracking_uri_in_the_environment(binary, log, monkeypatch):
    """The environment may name a store that does not exist."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "carrier-pigeon://coop")
    skledger.autolog()
    assert "no fit will be booked: tracking URI 'carrier-pigeon://coop'" in log()[0]
    for _ in range(5):
        fit_as_without_us(binary)
    assert len(log()) == 2, "the same failure is said once"
    assert "carrier-pigeon" in log()[1]


def test_a_full_disk(autolog, binary, log, run_python):
    """Nothing can be written: the fit returns all the same."""
    process = run_python(
        """
        import resource, signal, logging
        import skledger; skledger.autolog()
        from sklearn.datasets import load_breast_cancer
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import scale
        X, y = load_breast_cancer(return_X_y=True)
        X = scale(X)
        LogisticRegression(max_iter=5000).fit(X, y)
        skledger.flush()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        model = LogisticRegression(max_iter=5000).fit(X, y)
        print("trained", model.coef_.shape)
        """
    )
    assert "trained (1, 30)" in process.stdout
    lines = [line for line in process.stderr.splitlines() if "could not book" in line]
    assert len(lines) == 1
    assert "Traceback" not in process.stderr


def test_matplotlib_missing(binary, run_python):
    """Without matplotlib there are no pictures and one line; the numbers are stored."""
    process = run_python(
        """
        import sys
        class Blocked:
            def find_spec(self, name, path=None, target=None):
                return finder.find_spec(name, path, target) if name != "matplotlib" else None
        finder = sys.meta_path[-1]
        sys.meta_path[-1] = Blocked()
        import skledger; skledger.autolog()
        from sklearn.datasets import load_breast_cancer
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import scale
        X, y = load_breast_cancer(return_X_y=True)
        LogisticRegression().fit(scale(X), y)
        LogisticRegression().fit(scale(X), y)
        """
    )
    assert "matplotlib" in process.stderr
    assert process.stderr.count("could not book") == 1
    assert (skledger.search_runs()["status"] == "FINISHED").all()


def test_silent_logs_nothing(binary, log):
    """silent=True says nothing at all."""
    skledger.autolog(silent=True)

    class Locked(BaseEstimator):
        def fit(self, X, y=None):
            self.lock_ = threading.Lock()
            return self

    Locked().fit([[1]])
    assert log() == []
