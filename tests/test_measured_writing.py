"""The background writer and what was measured: nothing is lost, doubled or told wrongly."""

from __future__ import annotations

import itertools
import json
import logging
import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import (
    accuracy_score,
    classification_report,
    confusion_matrix,
    roc_auc_score,
)
from sklearn.model_selection import train_test_split

import skledger
from skledger._writer import writer
from skledger.capture.full_report import full_report
from skledger.ledger import measured, measured_writing
from skledger.stores import sqlite
from skledger.stores.artifacts import artifact_store
from skledger.tracking.session import get_store


def files_of(run):
    return artifact_store(run.info.artifact_uri)


def read(run, name):
    with files_of(run).open(name) as stream:
        return json.load(stream)


def stored(run):
    """Return the metrics of a run as the store has them, without writing what waits."""
    return get_store().get_run(run.info.run_id).data.metrics


def wait_until(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it has not come about"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _empty_queue(_own_place):
    """Leave nothing to the next test."""
    yield
    measured._book.reset()


@pytest.fixture
def impatient(monkeypatch):
    """Have a locked database be waited for a moment only."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.05)
    monkeypatch.setattr(sqlite, "SHORT_TIMEOUT", 0.05)
    monkeypatch.setattr(measured, "LONGEST", 0.2)


@pytest.fixture
def split(binary):
    """Breast cancer as ``X_train, X_test, y_train, y_test``."""
    return train_test_split(*binary, random_state=0)


@pytest.fixture
def fitted(impatient, autolog, split):
    """A model, its run, and ``X_test, y_test``."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    return model, skledger.last_active_run(), X_test, y_test


@contextmanager
def locked():
    """Hold the lock of the database, as another program would."""
    with closing(sqlite3.connect("skledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def held_up(monkeypatch):
    """Have the next write of the store wait in the middle; yields its beginning and its release."""
    store, begun, go_on = get_store(), threading.Event(), threading.Event()
    write = type(store).write

    def slow(self, *changes, **options):
        begun.set()
        assert go_on.wait(30)
        return write(self, *changes, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "write", slow)
        try:
            yield begun, go_on
        finally:
            go_on.set()


# -- who reads, and the alarm ---------------------------------------------------------------------


def test_who_reads_waits_for_what_is_being_written(fitted, monkeypatch):
    """The background writer has taken a metric from the queue, and a read wants it."""
    model, run, X_test, y_test = fitted
    found = []
    with held_up(monkeypatch) as (begun, go_on):
        model.score(X_test, y_test)
        assert begun.wait(20)
        reader = threading.Thread(
            target=lambda: found.append(skledger.get_run(run.info.run_id).data.metrics)
        )
        reader.start()
        reader.join(0.2)
        assert reader.is_alive()
        go_on.set()
        reader.join(20)
    assert "LogisticRegression_score_X_test" in found[0]


def test_what_writes_may_read(fitted, monkeypatch):
    """A store that asks for runs while it writes meets no lock, and nothing is written twice."""
    model, run, X_test, y_test = fitted
    store = get_store()
    write = type(store).write

    def reading(self, *changes, **options):
        skledger.get_run(run.info.run_id)
        return write(self, *changes, **options)

    monkeypatch.setattr(type(store), "write", reading)
    model.score(X_test, y_test)
    skledger.flush()
    assert "LogisticRegression_score_X_test" in stored(run)


def test_an_alarm_for_an_empty_queue_is_no_last_one(fitted, monkeypatch):
    """Whatever comes after one that found nothing has an alarm of its own."""
    monkeypatch.setattr(measured, "MISSED", 1000.0)
    model, run, X_test, y_test = fitted
    for number in range(1, 4):
        model.score(X_test, y_test)
        measured.flush()  # the alarm of this score will find nothing
        wait_until(lambda: not writer._alarms)
        model.score(X_test, y_test)
        key = f"LogisticRegression_score-{2 * number}_X_test"
        wait_until(lambda key=key: key in stored(run))


def test_an_alarm_that_never_rang_is_missed(fitted, monkeypatch):
    """Interrupted between the queue and the alarm, the next call sets one."""
    model, run, X_test, y_test = fitted
    monkeypatch.setattr(measured, "MISSED", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(writer, "alarm", lambda seconds, ring: None)
        model.score(X_test, y_test)
    time.sleep(measured._book.interval + 0.1)
    model.score(X_test, y_test)
    wait_until(lambda: "LogisticRegression_score-2_X_test" in stored(run))
    assert "LogisticRegression_score_X_test" in stored(run)


def test_many_threads_lose_nothing(fitted, monkeypatch):
    """Eight threads measure while two flush; the background writer does the rest."""
    monkeypatch.setattr(measured, "INTERVAL", 0.01)
    measured._book.interval = 0.01
    model, run, X_test, y_test = fitted
    predicted = model.predict(X_test)

    def measure():
        for _ in range(25):
            accuracy_score(y_test, predicted)
            time.sleep(0.001)

    def flush():
        for _ in range(20):
            measured.flush()
            time.sleep(0.002)

    threads = [threading.Thread(target=each) for each in [measure] * 8 + [flush] * 2]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    keys = {f"accuracy_score-{n}_X_test" for n in range(2, 201)} | {"accuracy_score_X_test"}
    wait_until(lambda: keys <= stored(run).keys())
    skledger.flush()
    assert set(read(run, "metric_info.json")) == keys


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_a_child_of_a_write_is_free(fitted, monkeypatch):
    """Forked while the background writer holds the lock, a child reads and measures."""
    model, run, X_test, y_test = fitted
    with held_up(monkeypatch) as (begun, go_on):
        model.score(X_test, y_test)
        assert begun.wait(20)
        child = os.fork()
        if not child:
            os._exit(0 if measured.flush() is None else 1)
        wait_until(lambda: os.waitpid(child, os.WNOHANG) != (0, 0))
        go_on.set()
    measured.flush()
    assert "LogisticRegression_score_X_test" in stored(run)


# -- a store that cannot be written ---------------------------------------------------------------


def test_a_lock_loses_nothing(fitted, caplog):
    """What was measured while another program held the database is there when it lets go."""
    model, run, X_test, y_test = fitted
    with locked():
        model.score(X_test, y_test)
        measured.flush()
        accuracy_score(y_test, model.predict(X_test))
        model.score(X_test, y_test)
        measured.flush()
        assert not set(stored(run)) & {"LogisticRegression_score_X_test", "accuracy_score_X_test"}
        assert "metric_info.json" not in files_of(run).list()
    keys = {
        "LogisticRegression_score_X_test",
        "accuracy_score_X_test",
        "LogisticRegression_score-2_X_test",
    }
    wait_until(lambda: keys <= stored(run).keys())  # by itself
    skledger.flush()
    assert set(read(run, "metric_info.json")) == keys
    names = [each.dataset.name for each in skledger.get_run(run.info.run_id).inputs.dataset_inputs]
    assert sorted(names) == ["X_test", "X_train"]
    assert "X_test_confusion_matrix.png" in files_of(run).list()
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_check_is_told_once_whatever_the_attempts(impatient, autolog, caplog):
    """A finding waits with its score."""
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 5)), rng.integers(0, 2, 400)
    model = DecisionTreeClassifier(random_state=0).fit(X[:200], y[:200])
    X_test, y_test = X[200:], y[200:]
    with locked():
        model.score(X_test, y_test)
        measured.flush()
        measured.flush()
        assert "train_better_than_test" not in caplog.text
    tags = skledger.last_active_run().data.tags
    assert "skledger.check.train_better_than_test" in tags
    assert caplog.text.count("(check 'train_better_than_test')") == 1


def test_one_line_says_what_was_given_up(fitted, swallowed, caplog, monkeypatch):
    """A store that cannot be written for too long."""
    model, run, X_test, y_test = fitted
    monkeypatch.setattr(measured, "GIVE_UP", 0.0)
    with locked():
        for _ in range(3):
            model.score(X_test, y_test)
        measured.flush()
        measured.flush()
    (line,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert f"3 calls of metrics and scores, in the run {run.info.run_id}: StoreError" in line
    swallowed.clear()
    monkeypatch.undo()
    model.score(X_test, y_test)
    skledger.flush()
    assert list(read(run, "metric_info.json")) == ["LogisticRegression_score_X_test"]


def test_only_so_many_calls_wait(fitted, swallowed, caplog, monkeypatch):
    """The oldest make room, and one line says so in the end."""
    monkeypatch.setattr(measured, "MOST_WAITING", 5)
    model, run, X_test, y_test = fitted
    with locked():
        for k in range(8):
            accuracy_score(y_test[: 100 + k], y_test[: 100 + k] * 0 + model.predict(X_test)[0])
            model.score(X_test[: 50 + k], y_test[: 50 + k])
        measured.flush()
        assert sum(map(len, measured._book.waiting.values())) == 5
    measured.flush()
    lines = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(lines) == 1 and "calls of metrics and scores" in lines[0]
    assert len(read(run, "metric_info.json")) == 5
    swallowed.clear()


def test_arrays_that_wait_are_bounded(fitted, monkeypatch):
    """Beyond that the numbers wait alone."""
    monkeypatch.setattr(measured, "MOST_HELD", 0)
    model, run, X_test, y_test = fitted
    with locked():
        confusion_matrix(y_test, model.predict(X_test))
        model.score(X_test, y_test)
        measured.flush()
        waiting = [each for _, each in itertools.chain(*measured._book.waiting.values())]
        assert [each.held for each in waiting] == [None, None]
    skledger.flush()
    assert "LogisticRegression_score_X_test" in stored(run)
    assert "value" in read(run, "measured/confusion_matrix_X_test.json")


def test_a_deleted_run_is_not_tried_again(fitted, swallowed):
    """Nobody waits for a run that is gone, nor do others."""
    model, run, X_test, y_test = fitted
    other = Ridge().fit(X_test, y_test)
    with closing(sqlite3.connect("skledger.db")) as database, database:
        run_id = run.info.run_id
        tables = database.execute(
            "SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) p "
            "WHERE m.type = 'table' AND p.name = 'run_uuid' AND m.name != 'runs'"
        ).fetchall()
        for (table,) in [*tables, ("runs",)]:
            database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run_id,))
    model.score(X_test, y_test)
    other.score(X_test, y_test)
    measured.flush()
    assert not measured._book.waiting
    assert "Ridge_score_X_test" in stored(skledger.last_active_run())
    swallowed.clear()


AT_EXIT = """
import sqlite3, threading, time
import skledger
from skledger.stores import sqlite
sqlite.BUSY_TIMEOUT = 0.05
sqlite.SHORT_TIMEOUT = 0.05
from sklearn.linear_model import Ridge
skledger.autolog()
X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.1, 1.9, 3.0]
model = Ridge().fit(X, y)
other = sqlite3.connect("skledger.db", isolation_level=None, check_same_thread=False)
other.execute("BEGIN IMMEDIATE")
model.score(X, y)
skledger.flush()
"""


def test_the_end_tries_once_more(run_python):
    """A lock that ends with the script costs nothing."""
    # A thread that is no daemon is waited for before the end begins.
    last = 'threading.Timer(0.1, other.execute, ["ROLLBACK"]).start()'
    done = run_python(AT_EXIT + last)
    assert "could not book" not in done.stderr
    (run,) = skledger.search_runs(output_format="list")
    assert "Ridge_score_X" in run.data.metrics


def test_the_end_says_what_it_leaves(run_python):
    """One line, when the database is locked still."""
    done = run_python(AT_EXIT)
    lines = [each for each in done.stderr.splitlines() if "of metrics and scores" in each]
    assert len(lines) == 1
    assert "could not book 1 call of" in lines[0]


# -- names ----------------------------------------------------------------------------------------


def test_an_input_has_the_name_that_the_keys_carry(fitted):
    """Of two data sets of one name, too."""
    model, run, X_test, y_test = fitted
    for k in range(2):
        X_va = X_test + k
        model.score(X_va, y_test)
    run = skledger.get_run(run.info.run_id)
    names = {each.dataset.name for each in run.inputs.dataset_inputs}
    assert names == {"X_train", "X_va", "X_va-2"}
    assert set(read(run, "metric_info.json")) == {
        "LogisticRegression_score_X_va",
        "LogisticRegression_score-2_X_va-2",
    }


def test_data_without_a_name_have_no_number(impatient, autolog, split):
    """Temporaries in a loop of ``partial_fit`` give one metric with a history."""
    X_train, X_test, y_train, y_test = split
    model = SGDClassifier(random_state=0)
    values = []
    for _ in range(4):
        model.partial_fit(X_train, y_train, classes=[0, 1])
        values.append(accuracy_score(y_test[:40], model.predict(X_test[:40])))
    run = skledger.last_active_run()
    client = skledger.TrackingClient()
    history = client.get_metric_history(run.info.run_id, "accuracy_score_unknown_dataset")
    assert [(each.step, each.value) for each in history] == list(enumerate(values))
    assert set(read(run, "metric_info.json")) == {"accuracy_score_unknown_dataset"}


# -- pictures -------------------------------------------------------------------------------------


def test_titles_keep_the_name_of_the_data(impatient, autolog, split):
    """With its underscores and small letters; weights are told."""
    X_train, X_test, y_train, y_test = split
    x_new_data = X_test.copy()
    weights = np.linspace(0.5, 1.5, len(y_test))
    model = LogisticRegression().fit(X_train, y_train)
    accuracy_score(y_test, model.predict(x_new_data), sample_weight=weights)
    roc_auc_score(y_test, model.predict_proba(x_new_data)[:, 1])
    confusion_matrix(y_test, model.predict(x_new_data), sample_weight=weights)
    confusion_matrix(y_test, model.predict(x_new_data))
    skledger.flush()
    run = skledger.last_active_run()
    plots = read(run, "x_new_data_plots.json")
    titles = {key.removeprefix("x_new_data_"): each["title"] for key, each in plots.items()}
    assert titles["confusion_matrix"] == "x_new_data confusion matrix, weighted"
    assert titles["roc_curve"].startswith("x_new_data ROC curve")
    found = [
        read(run, f"measured/confusion_matrix{number}_x_new_data.json")["picture"]["title"]
        for number in ("", "-2")
    ]
    plain = "confusion matrix: x_new_data"
    assert found == [f"{plain}, weighted", plain]


def test_a_second_model_is_named(impatient, autolog, split):
    """In the titles of its pictures, and behind its calls."""
    X_train, X_test, y_train, y_test = split
    with skledger.start_run() as run:
        for C in (0.01, 1.0):
            model = LogisticRegression(C=C).fit(X_train, y_train)
            model.score(X_test, y_test)
            accuracy_score(y_test, model.predict(X_test).tolist())
    skledger.flush()
    first = read(run, "X_test_plots.json")["X_test_confusion_matrix"]["title"]
    second = read(run, "X_test_plots-2.json")["X_test_confusion_matrix"]["title"]
    assert (first, second) == (
        "X_test confusion matrix",
        "X_test confusion matrix (model 2)",
    )
    info = read(run, "metric_info.json")
    remarks = {key: call.partition("  # ")[2] for key, call in info.items()}
    assert remarks == {
        "LogisticRegression_score_X_test": "",
        "LogisticRegression_score-2_X_test": "model-2",
        "accuracy_score_X_test": "values",
        "accuracy_score-2_X_test": "values, model-2",
    }


def test_only_so_many_data_sets_have_pictures(fitted, monkeypatch):
    """The metrics of further ones go on."""
    monkeypatch.setattr(measured_writing, "SHOWN", 3)
    model, run, X_test, y_test = fitted
    for k in range(5):
        X_va = X_test + k
        model.score(X_va, y_test)
    skledger.flush()
    drawn = {each for each in files_of(run).list() if each.startswith("X_va")}
    labels = ("X_va", "X_va-2", "X_va-3")
    names = ("confusion_matrix.png", "plots.json")
    assert drawn == {f"{label}_{name}" for label in labels for name in names}
    assert len(read(run, "metric_info.json")) == 5


# -- reports --------------------------------------------------------------------------------------

LABELS = {
    "text": np.array(["b", "a", "c d"]),
    "objects": np.array(["b", "a", "c d"], dtype=object),
    "integers": np.array([3, 1, 7]),
    "small integers": np.array([3, 1, 7], dtype=np.int8),
    "truth values": np.array([True, False]),
    "floats": np.array([3.0, 1.0, 7.0]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("names", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_full_report_is_that_of_scikit_learn(names, weighted):
    """To the last digit, with all its arguments."""
    rng = np.random.default_rng(0)
    for n_names, labels in itertools.product((1, 2, len(names)), (None, [1, 0], [-1])):
        y_true, y_pred = (names[rng.integers(0, n_names, 60)] for _ in range(2))
        given = {"sample_weight": rng.random(60) if weighted else None}
        if labels is not None:
            given |= {"labels": names[labels], "target_names": [f"no {k}" for k in labels]}
        for zero_division in (0.0, 1.0, np.nan):
            given["zero_division"] = zero_division
            expected = classification_report(y_true, y_pred, output_dict=True, **given)
            assert repr(full_report(y_true, y_pred, **given)) == repr(expected)


@pytest.mark.filterwarnings("ignore")
def test_a_full_report_of_other_labels_is_scikit_learns_own():
    """Of several labels a row, and of labels that do not occur."""
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(0, 2, (2, 60, 3))
    expected = classification_report(y_true, y_pred, output_dict=True)
    assert full_report(y_true, y_pred) == expected
    names = np.array(["a", "b"])[rng.integers(0, 2, (2, 60))]
    given = {"labels": np.array(["a", "z"])}
    expected = classification_report(*names, output_dict=True, **given)
    assert repr(full_report(*names, **given)) == repr(expected)


def test_a_full_report_gives_each_pair_once(monkeypatch):
    """However many rows of text there are, scikit-learn is given few numbers."""
    import sklearn.metrics

    given = []
    original = classification_report
    monkeypatch.setattr(
        sklearn.metrics,
        "classification_report",
        lambda *args, **options: given.append(args) or original(*args, **options),
    )
    names = np.array(["yes", "no"])[np.random.default_rng(0).integers(0, 2, (2, 5000))]
    full_report(*names)
    assert [each.dtype.kind for each in given[0]] == ["i", "i"]
    assert {len(each) for each in given[0]} == {4}
