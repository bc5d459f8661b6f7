"""A store that is copied, moved, read-only, or left by a library that ends the process its way."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import skledger
from skledger.ledger.drawing import missing_pictures
from skledger.tracking import session


def test_models_load_after_database_and_artifacts_were_moved(autolog, regression, tmp_path):
    """The records name the old folder; what stands beside the database now is found."""
    X, y = regression
    model = Ridge().fit(X, y)
    run_id = skledger.last_active_run().info.run_id
    skledger.flush()
    session.reset()
    (tmp_path / "new").mkdir()
    shutil.move("skledger.db", "new/skledger.db")
    shutil.move("skledger-artifacts", "new/skledger-artifacts")
    skledger.set_tracking_uri("sqlite:///new/skledger.db")
    again = skledger.sklearn.load_model(f"runs:/{run_id}/model")
    assert np.array_equal(again.coef_, model.coef_)
    run = skledger.get_run(run_id)
    assert run.info.artifact_uri.startswith(str(tmp_path / "new"))
    assert missing_pictures(run) == []
    Ridge(alpha=3).fit(X, y)
    assert not (tmp_path / "skledger-artifacts").exists()


def test_a_copy_reads_from_the_original_while_that_is_there(autolog, regression, tmp_path):
    """A database that was copied alone still finds its artifacts."""
    Ridge().fit(*regression)
    run_id = skledger.last_active_run().info.run_id
    session.reset()
    (tmp_path / "copy").mkdir()
    shutil.copy("skledger.db", "copy/skledger.db")
    skledger.set_tracking_uri("sqlite:///copy/skledger.db")
    assert skledger.sklearn.load_model(f"runs:/{run_id}/model").alpha == 1.0


@pytest.mark.parametrize("library", ["json", "lightgbm", "xgboost"])
def test_the_database_is_one_whole_file_after_exit(tmp_path, library):
    """Nothing is left in the write-ahead log, whatever else the process has loaded."""
    pytest.importorskip(library)
    code = f"""
import skledger; skledger.autolog()
import {library}
from sklearn.linear_model import Ridge
Ridge().fit([[1.0], [2.0]], [1.0, 2.0])
with skledger.start_run(): pass
skledger.start_run()
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert not os.path.exists("skledger.db-wal")
    with sqlite3.connect("skledger.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (3,)


def test_a_read_only_database_can_be_looked_at(autolog, regression, monkeypatch, caplog, swallowed):
    """A colleague's results are read; a fit that cannot be booked there costs one line."""
    model = Ridge().fit(*regression)
    run_id = skledger.last_active_run().info.run_id
    skledger.flush()
    session.reset()
    # The tests may run as root, whom no file mode stops.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert len(skledger.search_runs()) == 1
    again = skledger.sklearn.load_model(f"runs:/{run_id}/model")
    assert np.array_equal(again.coef_, model.coef_)
    assert not os.path.exists("skledger.db-wal")
    with pytest.raises(skledger.errors.StoreError, match="readonly|read-only"):
        skledger.log_metric("m", 1.0)
    Ridge().fit(*regression)
    assert caplog.text.count("could not book") == 1
    assert len(skledger.search_runs()) == 1
    assert len(os.listdir("skledger-artifacts/0/models")) == 1
    swallowed.clear()


@pytest.mark.skipif(os.name == "nt", reason="what is open cannot be removed there")
@pytest.mark.parametrize("suffixes", [("",), ("", "-wal", "-shm")])
def test_fits_are_booked_after_the_database_was_removed(autolog, regression, suffixes):
    """`rm skledger.db` beside a running notebook starts a new record, not silence."""
    Ridge().fit(*regression)
    for suffix in suffixes:
        os.remove(f"skledger.db{suffix}")
    model = Ridge(alpha=2).fit(*regression)
    run_id = skledger.last_active_run().info.run_id
    assert [run.info.run_id for run in skledger.search_runs(output_format="list")] == [run_id]
    again = skledger.sklearn.load_model(f"runs:/{run_id}/model")
    assert np.array_equal(again.coef_, model.coef_)


def test_fits_are_booked_in_a_folder_of_any_name(autolog, regression, tmp_path, monkeypatch):
    """Characters that mean something in a URI mean nothing in the default one."""
    folder = tmp_path / "q?x #1 %41 ü"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Ridge().fit(*regression)
    run_id = skledger.last_active_run().info.run_id
    assert skledger.sklearn.load_model(f"runs:/{run_id}/model").alpha == 1.0
    assert (folder / "skledger.db").is_file()


@pytest.mark.parametrize("experiment", [None, "mine"])
def test_a_database_that_is_removed_is_made_again(autolog, regression, experiment):
    """`rm skledger.db` in a notebook: the next fit is booked, in the same experiment."""
    if experiment:
        skledger.set_experiment("other")
        skledger.set_experiment(experiment)
    Ridge().fit(*regression)
    skledger.flush()
    os.remove("skledger.db")
    Ridge(alpha=2).fit(*regression)
    (run,) = skledger.search_runs(output_format="list", search_all_experiments=True)
    assert run.data.params["alpha"] == "2"
    assert skledger.get_experiment(run.info.experiment_id).name == (experiment or "Default")
    skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    Ridge(alpha=3).fit(*regression)
    assert len(skledger.search_runs()) == 2
