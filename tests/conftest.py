"""Fixtures every test has: an empty place of its own, and no error swallowed in silence."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap

import pytest

import skledger
from skledger import _guard
from skledger._writer import writer
from skledger.tracking import runs, session


@pytest.fixture(autouse=True)
def _own_place(tmp_path):
    """Run each test in an empty folder, with the default store, and clean up behind it."""
    runs.reset()
    session.reset()
    # MLflow keeps its experiment in the environment and here.
    mlflow = sys.modules.get("mlflow.tracking.fluent")
    if mlflow is not None:
        mlflow._active_experiment_id = None
    # Not the test's own `monkeypatch`, which it may undo.
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name in ("TRACKING_URI", "RUN_ID", "EXPERIMENT_ID", "EXPERIMENT_NAME"):
            patch.delenv(f"SKLEDGER_{name}", raising=False)
            patch.delenv(f"MLFLOW_{name}", raising=False)
        # Nothing is left in the home of whoever runs the tests.
        patch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outbox"))
        yield
        skledger.autolog(disable=True)
        writer.flush(60)
        from skledger.ledger import streams

        streams.finish_all()
        runs.reset()
        session.reset()
        logging.getLogger("skledger").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def swallowed():
    """Raise at the end of a test what was contained during it; tests of failures clear the list."""
    errors: list[BaseException] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_guard, "swallowed", errors)
        patch.setattr(_guard, "_counts", {})
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


def _server(kind):
    """Start a database server, unless there is none to start."""
    import _servers

    try:
        server = getattr(_servers, kind)()
    except _servers.Missing as missing:
        pytest.skip(str(missing))
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own; `new_database()` returns the URI of an empty one."""
    yield from _server("Postgres")


@pytest.fixture(scope="session")
def mysql():
    """A MySQL or MariaDB server of the tests' own, likewise."""
    yield from _server("Mysql")


@pytest.fixture
def run_python(tmp_path):
    """Run code in a new Python, in the test's folder; returns the finished process."""

    def run(code, *args, check=True, env=None, script=False, **options):
        code = textwrap.dedent(code)
        if script:
            # Classes of a file's ``__main__`` can be found by the workers of joblib.
            (tmp_path / "script.py").write_text(code)
        process = subprocess.run(
            [sys.executable, *(["script.py"] if script else ["-c", code]), *args],
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
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("SKLEDGER_CI") and reporter is not None and exitstatus == 0:
        skipped = reporter.stats.get("skipped", [])
        if skipped:
            reporter.write_line(f"{len(skipped)} skipped in CI: {skipped[0].longrepr}", red=True)
            session.exitstatus = 1
