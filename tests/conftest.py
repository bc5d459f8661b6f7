"""Fixtures every test has: an empty place of its own, and no error swallowed in silence."""

from __future__ import annotations

import logging

import pytest

import skledger
from skledger import _guard
from skledger._writer import writer
from skledger.tracking import runs, session


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    """Run each test in an empty folder, with the default store, and clean up behind it."""
    monkeypatch.chdir(tmp_path)
    for name in ("SKLEDGER_TRACKING_URI", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    runs.reset()
    session.reset()
    yield
    skledger.autolog(disable=True)
    writer.flush(60)
    from skledger.ledger import streams

    streams.finish_all()
    runs.reset()
    session.reset()
    logging.getLogger("skledger").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def swallowed(monkeypatch):
    """Raise at the end of a test what was contained during it; tests of failures clear the list."""
    errors: list[BaseException] = []
    monkeypatch.setattr(_guard, "swallowed", errors)
    monkeypatch.setattr(_guard, "_counts", {})
    yield errors
    writer.flush(60)
    if errors:
        raise errors[0]


@pytest.fixture
def autolog():
    """Autologging on, with the default configuration."""
    skledger.autolog()


@pytest.fixture(scope="session")
def binary():
    """Breast cancer, scaled: 569 rows, 30 columns, two classes."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.preprocessing import scale

    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


@pytest.fixture(scope="session")
def multiclass():
    """Iris: 150 rows, 4 columns, three classes."""
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)


@pytest.fixture(scope="session")
def regression():
    """Diabetes: 442 rows, 10 columns."""
    from sklearn.datasets import load_diabetes

    return load_diabetes(return_X_y=True)


@pytest.fixture
def run_python(tmp_path):
    """Run code in a new Python, in the test's folder; returns the finished process."""
    import os
    import subprocess
    import sys
    import textwrap

    def run(code, *args, check=True, env=None, **options):
        process = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *args],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            env={**os.environ, **(env or {})},
            **options,
        )
        if check:
            assert process.returncode == 0, process.stderr
        return process

    return run


def pytest_sessionfinish(session, exitstatus):
    """Where everything can be installed, nothing may be skipped."""
    import os

    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("SKLEDGER_CI") and reporter is not None and exitstatus == 0:
        skipped = reporter.stats.get("skipped", [])
        if skipped:
            reporter.write_line(f"{len(skipped)} skipped in CI: {skipped[0].longrepr}", red=True)
            session.exitstatus = 1
