"""Searches that end before their time: what was done stays, what was not says why, and the process
ends as it would without us."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from _polling import CANDIDATE_TAG, PARENT_TAG
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.tree import DecisionTreeClassifier

import skledger
from skledger.errors import StoreError
from skledger.tracking.session import get_store

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")

X, y = make_classification(n_samples=60, n_features=4, random_state=0)
SPLITS = 3

#: Numbers 0 and 1 are quick; another, and not in the first fold, says that it has begun, and does
#: what it was told.
ESTIMATOR = """
import os, signal, sys, time
from pathlib import Path

from sklearn.base import BaseEstimator, ClassifierMixin

class Stopping(ClassifierMixin, BaseEstimator):
    def __init__(self, number=0, does="sleep"):
        self.number = number
        self.does = does

    def fit(self, X, y):
        if self.number <= 1:
            Path(f"quick-{self.number}-{X.sum()}").touch()
        elif X[0, 0] == 0:
            # Workers start one after the other, and the first may already be here.
            while len(list(Path().glob("quick-*"))) < 6:
                time.sleep(0.02)
            time.sleep(0.2)
            Path("begun").touch()
            if self.does == "sleep":
                time.sleep(60)
            elif self.does == "exit":
                sys.exit(7)
            elif self.does == "raise":
                raise ArithmeticError("number 2 is too many")
            elif self.does == "interrupt":
                raise KeyboardInterrupt("of its own")
        self.classes_ = [0, 1]
        return self

    def predict(self, X):
        return [0] * len(X)

    def score(self, X, y):
        return 1 / (1 + self.number) + X[0, 0] / 1000
"""

SCRIPT = """
import json, os, sys
import joblib
import numpy as np
from sklearn.model_selection import GridSearchCV, KFold
from stopping import Stopping

backend, n_jobs, does, ours, error_score = json.loads(sys.argv[1])
if ours:
    import skledger
    skledger.autolog()
X, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
search = GridSearchCV(
    Stopping(does=does), {"number": [0, 1, 2, 3]}, cv=KFold(3), n_jobs=n_jobs,
    error_score=error_score, refit=False,
)
with joblib.parallel_config(backend):
    search.fit(X, y)
print("not interrupted")
"""


class Ended:
    """A process that has ended: its exit status, its output, and how long it took to end, in s."""

    def __init__(self, status, errors, took):
        self.status, self.errors, self.took = status, errors, took


def two_are_finished():
    """Tell whether the database has two finished runs, without a store of ours."""
    connection = sqlite3.connect("file:skledger.db?mode=ro", uri=True)
    try:
        select = "select count(*) from runs where status = 'FINISHED'"
        return connection.execute(select).fetchone()[0] >= 2
    finally:
        connection.close()


def run(script=SCRIPT, *, send=None, after=0.6, group=False, settings=None, name="script.py"):
    """Run a script in this folder; send it a signal when the slow fit has been under way a while."""
    Path("stopping.py").write_text(ESTIMATOR)
    Path(name).write_text(textwrap.dedent(script))
    for each in (Path("begun"), *Path().glob("quick-*")):
        each.unlink(missing_ok=True)
    with Path("output.txt").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, name, json.dumps(settings)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        began = time.monotonic()
        try:
            if send is not None:
                while not Path("begun").exists():
                    assert process.poll() is None, Path("output.txt").read_text()
                    assert time.monotonic() < began + 60
                    time.sleep(0.02)
                time.sleep(after)
                while send == signal.SIGKILL and not two_are_finished():
                    assert time.monotonic() < began + 60
                    time.sleep(0.05)
                began = time.monotonic()
                (os.killpg if group else os.kill)(process.pid, send)
            process.wait(60)
        finally:
            took = time.monotonic() - began
            try:  # workers that outlive it, as they would without us
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        output.seek(0)
        errors = output.read()
    return Ended(process.returncode, errors, took)


def stop(backend, n_jobs, does="sleep", error_score=float("nan"), ours=True, **options):
    return run(settings=[backend, n_jobs, does, ours, error_score], **options)


def everything():
    return skledger.search_runs(output_format="list")


def booked():
    """Return the search's run, and its candidates by number."""
    runs = everything()
    (parent,) = [each for each in runs if PARENT_TAG not in each.data.tags]
    children = {int(each.data.tags[CANDIDATE_TAG]): each for each in runs if each is not parent}
    assert {each.data.tags[PARENT_TAG] for each in children.values()} <= {parent.info.run_id}
    assert len(children) == len(runs) - 1
    return parent, children


def steps(run, key="test_score"):
    return {m.step: m.value for m in get_store().get_metric_history(run.info.run_id, key)}


def assert_finished(child, number):
    """A candidate that was done has all its folds, and what they come to."""
    assert child.info.status == "FINISHED"
    scores = {fold: 1 / (1 + number) + fold * 20 / 1000 for fold in range(SPLITS)}
    assert steps(child) == pytest.approx(scores)
    assert child.data.metrics["mean_test_score"] == pytest.approx(
        np.mean(list(steps(child).values()))
    )
    assert child.data.params["number"] == str(number)
    assert "skledger.error.type" not in child.data.tags
    assert child.info.end_time is not None


def assert_ended(run, status, kind, message=""):
    """A run has ended with a reason, and nobody works on it."""
    assert run.info.status == status, run
    assert run.data.tags["skledger.error.type"] == kind
    assert message in run.data.tags["skledger.error.message"]
    assert run.info.end_time >= run.info.start_time
    assert "skledger.process" not in run.data.tags


def assert_unfinished(child, number):
    """A candidate that was not done keeps the fold it had, and has no mean of less than all."""
    assert child.data.params["number"] == str(number)
    assert steps(child) == pytest.approx({0: 1 / (1 + number)})
    assert "mean_test_score" not in child.data.metrics


def assert_nobody_runs():
    assert {run.info.status for run in everything()} <= {"FINISHED", "FAILED", "KILLED"}
    assert not [run for run in everything() if "skledger.process" in run.data.tags]


BACKENDS = [("sequential", 1), ("threading", 2), ("loky", 2)]
SLOW = pytest.mark.slow
#: Threads are much like one job here.
FEWER = pytest.mark.parametrize(
    ("backend", "n_jobs"),
    [("sequential", 1), pytest.param("threading", 2, marks=SLOW), ("loky", 2)],
    ids=[b for b, _ in BACKENDS],
)
EACH = pytest.mark.parametrize(("backend", "n_jobs"), BACKENDS, ids=[b for b, _ in BACKENDS])


# -- signals ---------------------------------------------------------------------------------------


@EACH
def test_ctrl_c(backend, n_jobs):
    """The terminal sends SIGINT to the whole group: the search is KILLED, the exit an interrupt's."""
    ended = stop(backend, n_jobs, send=signal.SIGINT, group=True)
    assert ended.status == -signal.SIGINT, ended.errors
    assert "KeyboardInterrupt" in ended.errors
    assert "not interrupted" not in ended.errors
    assert "could not book" not in ended.errors
    assert_nobody_runs()
    parent, children = booked()
    assert_ended(parent, "KILLED", "KeyboardInterrupt")
    assert parent.data.params["cv"] == "KFold(n_splits=3, random_state=None, shuffle=False)"
    assert parent.data.metrics["fit_seconds"] > 0.5
    for number in (0, 1):
        assert_finished(children.pop(number), number)
    assert 2 in children
    for number, child in children.items():
        assert_ended(child, "KILLED", "KeyboardInterrupt")
        assert_unfinished(child, number)


@FEWER
def test_sigterm(backend, n_jobs):
    """What is under way is booked as KILLED, and the process dies by the signal at once."""
    ended = stop(backend, n_jobs, send=signal.SIGTERM)
    assert ended.status == -signal.SIGTERM, ended.errors
    assert ended.took < 2
    assert "could not book" not in ended.errors
    assert_nobody_runs()
    parent, children = booked()
    assert_ended(parent, "KILLED", "Terminated", "SIGTERM")
    for number in (0, 1):
        assert_finished(children.pop(number), number)
    assert 2 in children
    for number, child in children.items():
        assert_ended(child, "KILLED", "Terminated", "SIGTERM")
        assert_unfinished(child, number)


@pytest.mark.parametrize(
    ("backend", "n_jobs"), [("sequential", 1), pytest.param("loky", 2, marks=SLOW)]
)
def test_kill_9(backend, n_jobs):
    """Nothing can be booked then. Who opens the store next ends what was RUNNING, and no other."""
    ended = stop(backend, n_jobs, send=signal.SIGKILL)
    assert ended.status == -signal.SIGKILL
    began = time.time() - 60
    parent, children = booked()
    assert_nobody_runs()
    assert_ended(parent, "KILLED", "ProcessDied")
    for number in (0, 1):
        assert_finished(children.pop(number), number)
    assert 2 in children
    for number, child in children.items():
        assert_ended(child, "KILLED", "ProcessDied")
        assert_unfinished(child, number)
        assert began < child.info.end_time / 1000 < time.time()


def test_sigterm_while_another_thread_searches():
    """There nobody hears the signal: the process dies of it, and who opens the store next knows."""
    script = SCRIPT.replace(
        "    search.fit(X, y)",
        "    import threading\n"
        "    searching = threading.Thread(target=search.fit, args=(X, y))\n"
        "    searching.start()\n"
        "    searching.join()",
    )
    settings = ["sequential", 1, "sleep", True, 0.0]
    ended = run(script, send=signal.SIGTERM, settings=settings)
    assert ended.status == -signal.SIGTERM
    assert ended.took < 1
    parent, children = booked()
    assert_nobody_runs()
    assert_ended(parent, "KILLED", "ProcessDied")
    for number in (0, 1):
        assert_finished(children[number], number)
    assert_ended(children[2], "KILLED", "ProcessDied")


# -- exceptions ------------------------------------------------------------------------------------


def same_end(backend, n_jobs, does, error_score=float("nan")):
    """Run without us and with us; the exit status and the last line of the output are the same."""
    bare = stop(backend, n_jobs, does, error_score, ours=False)
    assert not Path("skledger.db").exists()
    ours = stop(backend, n_jobs, does, error_score)
    assert ours.status == bare.status, ours.errors
    assert ours.errors.splitlines()[-1:] == bare.errors.splitlines()[-1:]
    assert "could not book" not in ours.errors
    assert_nobody_runs()
    return ours, *booked()


@FEWER
def test_an_exception_that_ends_the_search(backend, n_jobs):
    """With error_score="raise": the candidate says why it failed, others that they were left."""
    ended, parent, children = same_end(backend, n_jobs, "raise", "raise")
    assert ended.status == 1
    assert_ended(parent, "FAILED", "ArithmeticError", "number 2 is too many")
    for number in (0, 1):
        assert_finished(children.pop(number), number)
    assert_ended(children[2], "FAILED", "ArithmeticError", "number 2 is too many")
    assert_unfinished(children.pop(2), 2)
    for child in children.values():
        assert_ended(child, "FAILED", "ArithmeticError", "ended before it")
        assert "mean_test_score" not in child.data.metrics


@pytest.mark.parametrize(
    ("backend", "n_jobs"), [("sequential", 1), pytest.param("threading", 2, marks=SLOW)]
)
def test_an_exit_in_a_fit(backend, n_jobs):
    """sys.exit() in a fit ends the script with its status."""
    ended, parent, children = same_end(backend, n_jobs, "exit")
    assert ended.status == 7
    assert_ended(parent, "FAILED", "SystemExit", "7")
    for number in (0, 1):
        assert_finished(children[number], number)
    assert_ended(children[2], "FAILED", "SystemExit", "7")


@pytest.mark.parametrize(
    ("backend", "n_jobs"),
    [pytest.param(*each, marks=[SLOW] if each[0] != "loky" else []) for each in BACKENDS],
)
def test_an_interrupt_inside_a_fit(backend, n_jobs):
    """A KeyboardInterrupt that a fit raises ends the search, wherever it runs."""
    ended, parent, children = same_end(backend, n_jobs, "interrupt")
    assert ended.status == -signal.SIGINT
    assert_ended(parent, "KILLED", "KeyboardInterrupt")
    for number in (0, 1):
        assert_finished(children[number], number)
    assert_ended(children[2], "KILLED", "KeyboardInterrupt")


# -- interrupts while we book ----------------------------------------------------------------------

BOOKING = {
    "reading the results": "skledger.ledger.searches.read_results",
    "the last candidates": "skledger.ledger.children.Children.end",
    "what folds come to": "skledger.ledger.children.summarise",
    "ranks": "skledger.ledger.children.Children._ranks",
    "the last line of progress": "skledger.ledger.children.Children.close",
    "the best": "skledger.ledger.searches.SearchNote._book_best",
    "the table": "skledger.capture.cv_table.cv_results_csv",
    "pictures": "skledger.capture.search_pictures.search_pictures",
    "training metrics": "skledger.capture.metrics.evaluate",
    "models": "skledger.models.folder.save_sklearn_model",
}


def interrupted_once(monkeypatch, name):
    """Have Ctrl-C come at the first call of a function, before it has done anything."""
    import importlib

    owner, _, attribute = name.rpartition(".")
    try:
        owner = importlib.import_module(owner)
    except ModuleNotFoundError:
        module, _, cls = owner.rpartition(".")
        owner = getattr(importlib.import_module(module), cls)
    original, calls = getattr(owner, attribute), []

    def replaced(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt("while booking")
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, attribute, replaced)
    return calls


def search_of(estimator, **options):
    grid = {"max_depth": list(range(1, 6))}
    return GridSearchCV(estimator, grid, cv=KFold(SPLITS), **options)


class Tree(DecisionTreeClassifier):
    """A tree that takes its time, and may wait for it on each fit."""

    wait = 0.0

    def fit(self, X, y, sample_weight=None, check_input=True):
        time.sleep(self.wait)
        return super().fit(X, y)


# The folds of a long search are first summarised by the background writer.
MOMENTS = [
    pytest.param(
        name, wait, id=f"{what}, {length}", marks=[SLOW] if wait and what != "ranks" else []
    )
    for what, name in BOOKING.items()
    for length, wait in (("short", 0.0), ("long", 0.05))
    if (what, length) != ("what folds come to", "long")
]


@pytest.mark.parametrize(("name", "wait"), MOMENTS)
def test_ctrl_c_while_the_end_is_booked(autolog, monkeypatch, name, wait):
    """The search is done: its candidates and the parent are FINISHED, what is missing is said."""
    monkeypatch.setattr(Tree, "wait", wait)
    calls = interrupted_once(monkeypatch, name)
    with pytest.raises(KeyboardInterrupt, match="while booking"):
        search_of(Tree(random_state=0)).fit(X, y)
    assert calls
    monkeypatch.undo()
    time.sleep(0.3)  # what the writer was asked for would come now
    assert_nobody_runs()
    parent, children = booked()
    assert parent.info.status == "FINISHED"
    assert "interrupted" in parent.data.tags["skledger.incomplete"]
    assert sorted(children) == [0, 1, 2, 3, 4]
    for child in children.values():
        assert child.info.status == "FINISHED"
        assert len(steps(child)) == SPLITS
        assert "mean_test_score" in child.data.metrics
        assert "rank_test_score" in child.data.metrics


def test_ctrl_c_twice(autolog, monkeypatch):
    """The second comes while the end by the first is booked; what was not done is KILLED."""

    class Interrupted(Tree):
        def fit(self, X, y, sample_weight=None, check_input=True):
            if self.max_depth == 3 and X[0, 0] == globals()["X"][0, 0]:
                raise KeyboardInterrupt("first")
            return super().fit(X, y)

    interrupted_once(monkeypatch, "skledger.ledger.children.Children.end")
    with pytest.raises(KeyboardInterrupt, match="while booking"):
        search_of(Interrupted(random_state=0)).fit(X, y)
    assert_nobody_runs()
    _, children = booked()
    states = {number: child.info.status for number, child in children.items()}
    assert states == {0: "FINISHED", 1: "FINISHED", 2: "KILLED"}


def test_threads_that_go_on_after_ctrl_c(autolog):
    """A fit that joblib leaves behind ends some time later; what it brings is no candidate."""
    over = threading.Event()

    class Left(Tree):
        def fit(self, X, y, sample_weight=None, check_input=True):
            if self.max_depth == 3 and X[0, 0] != globals()["X"][0, 0]:
                time.sleep(0.3)
                raise KeyboardInterrupt("stop")
            if self.max_depth > 3:
                over.wait(20)
            return super().fit(X, y)

    with pytest.raises(KeyboardInterrupt, match="stop"), joblib.parallel_config("threading"):
        search_of(Left(random_state=0), n_jobs=2, pre_dispatch="all").fit(X, y)
    before = {run.info.run_id: run.info.status for run in everything()}
    over.set()
    time.sleep(0.8)
    assert {run.info.run_id: run.info.status for run in everything()} == before
    assert_nobody_runs()


SLOW_TO_PICKLE = """
import json, os, sys, time
from pathlib import Path
import numpy as np
import skledger
skledger.autolog()
from sklearn.model_selection import GridSearchCV, KFold
from stopping import Stopping

class SlowToPickle(GridSearchCV):
    def __getstate__(self):
        if hasattr(self, "best_score_"):
            Path("begun").touch()
            time.sleep(5)
        return super().__getstate__()

X, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
SlowToPickle(Stopping(), {"number": [0, 1]}, cv=KFold(3)).fit(X, y)
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, "FINISHED"), (signal.SIGTERM, "KILLED")]
)
def test_a_signal_while_the_model_is_written(number, status):
    """The candidates are done and stay so; the process ends by the signal."""
    ended = run(SLOW_TO_PICKLE, send=number, after=0.2)
    assert ended.status == -number, ended.errors
    assert ended.took < 2.5
    assert_nobody_runs()
    parent, children = booked()
    assert parent.info.status == status
    assert_finished(children[0], 0)
    assert_finished(children[1], 1)


# -- a store that fails ----------------------------------------------------------------------------


@pytest.fixture
def log(caplog, swallowed):
    """The warnings that skledger logs; errors it swallows are expected here."""
    yield lambda: [
        each.getMessage()
        for each in caplog.records
        if each.name == "skledger" and each.levelno > 20
    ]
    skledger.flush()
    swallowed.clear()


class Failing:
    """A store whose writes fail while they are told to."""

    def __init__(self, monkeypatch, error):
        self.fails, self.failed, self.error = False, 0, error
        store = get_store()
        self.write = store.write
        monkeypatch.setattr(store, "write", self)

    def __call__(self, *changes):
        if self.fails:
            self.failed += 1
            raise self.error
        return self.write(*changes)


ERRORS = {
    "a store that fails": StoreError("the disk is full; make room"),
    "an error of the system": OSError(28, "No space left on device"),
    "a fault of ours": TypeError("a fault"),
}


def assert_as_without_us(search):
    bare = search_of(DecisionTreeClassifier(random_state=0))
    with skledger.autolog(disable=True):
        bare.fit(X, y)
    for key in ("mean_test_score", "std_test_score", "rank_test_score"):
        assert np.array_equal(bare.cv_results_[key], search.cv_results_[key])
    assert np.array_equal(bare.predict(X), search.predict(X))


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ERRORS[each], id=each, marks=[SLOW] if at else [])
        for at, each in enumerate(ERRORS)
    ],
)
def test_a_store_that_fails_for_a_while(autolog, monkeypatch, log, error):
    """The search notices nothing; what could not be written is there at the end, with its times."""
    monkeypatch.setattr(Tree, "wait", 0.08)
    store = Failing(monkeypatch, error)
    alarms = [threading.Timer(0.3, setattr, (store, "fails", fails)) for fails in (True, False)]
    alarms[1].interval = 0.9
    for each in alarms:
        each.start()
    search = search_of(Tree(random_state=0)).fit(X, y)
    assert store.failed
    assert len(log()) == 1, log()
    assert_as_without_us(search)
    assert_nobody_runs()
    parent, children = booked()
    assert parent.info.status == "FINISHED"
    assert sorted(children) == [0, 1, 2, 3, 4]
    for number, child in children.items():
        assert child.info.status == "FINISHED"
        assert (
            child.data.metrics["mean_test_score"] == search.cv_results_["mean_test_score"][number]
        )
        assert steps(child) == {
            fold: search.cv_results_[f"split{fold}_test_score"][number] for fold in range(SPLITS)
        }
        assert 200 < child.info.end_time - child.info.start_time < 500
    assert parent.data.tags["skledger.best_run"] == children[search.best_index_].info.run_id


@pytest.mark.parametrize("times", [1, 2])
def test_a_store_that_fails_at_the_end(autolog, monkeypatch, log, times):
    """A failure of the last writing of candidates leaves none RUNNING, and costs one line."""
    monkeypatch.setattr(Tree, "wait", 0.05)
    store = Failing(monkeypatch, StoreError("database is locked"))
    from skledger.ledger.children import Children

    original, ends = Children.end, []

    def end(self, *args):
        ends.append(1)
        store.fails = len(ends) < times
        try:
            return original(self, *args)
        finally:
            store.fails = False

    monkeypatch.setattr(Children, "end", end)
    search = search_of(Tree(random_state=0)).fit(X, y)
    assert_as_without_us(search)
    assert len(log()) == times - 1, log()
    assert_nobody_runs()
    parent, children = booked()
    assert parent.info.status == "FINISHED"
    for number, child in children.items():
        assert child.info.status == "FINISHED"
        assert (
            child.data.metrics["rank_test_score"] == search.cv_results_["rank_test_score"][number]
        )


def test_a_store_that_fails_to_the_end(autolog, monkeypatch, log):
    """The search is as without us, and two lines say what was lost: on the way, and at the end."""
    monkeypatch.setattr(Tree, "wait", 0.05)
    store = Failing(monkeypatch, StoreError("the disk is full"))
    store.fails = True
    search = search_of(Tree(random_state=0)).fit(X, y)
    assert_as_without_us(search)
    assert 1 <= len(log()) <= 2, log()
    store.fails = False
    time.sleep(0.5)  # what the writer was asked for would come now
    assert everything() == []
    search_of(DecisionTreeClassifier(random_state=0)).fit(X, y)
    parent, children = booked()
    assert parent.info.status == "FINISHED"
    assert len(children) == 5


@pytest.mark.parametrize("patience", [10.0, 0.2])
def test_a_locked_database(autolog, monkeypatch, log, patience):
    """Somebody else holds the database for a second: all is there at the end."""
    from skledger.stores import sqlite

    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", patience)
    monkeypatch.setattr(Tree, "wait", 0.1)
    skledger.search_runs()

    def hold():
        time.sleep(0.4)
        other = sqlite3.connect("skledger.db", isolation_level=None, timeout=5)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(0.8)
        other.execute("ROLLBACK")
        other.close()

    holding = threading.Thread(target=hold)
    holding.start()
    began = time.monotonic()
    search = search_of(Tree(random_state=0)).fit(X, y)
    took = time.monotonic() - began
    holding.join()
    assert took < 2.6, "the search has waited for the store"
    assert len(log()) <= (0 if patience > 1 else 1), log()
    assert_as_without_us(search)
    assert_nobody_runs()
    parent, children = booked()
    assert parent.info.status == "FINISHED"
    for number, child in children.items():
        assert child.info.status == "FINISHED"
        assert (
            child.data.metrics["mean_test_score"] == search.cv_results_["mean_test_score"][number]
        )


def test_a_full_disk(run_python, tmp_path):
    """The system refuses to write any more in mid-search: result and exit are as without us."""
    process = run_python(
        """
        import os, resource, signal, time
        import numpy as np
        import skledger
        skledger.autolog()
        from sklearn.model_selection import GridSearchCV
        from sklearn.tree import DecisionTreeClassifier

        class Tree(DecisionTreeClassifier):
            def fit(self, X, y, sample_weight=None, check_input=True):
                if self.max_depth == 3:
                    size = os.path.getsize("skledger.db")
                    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
                time.sleep(0.1)
                return super().fit(X, y)

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        X = np.arange(60.0).reshape(30, 2)
        y = (X[:, 0] > 30).astype(int)
        search = GridSearchCV(Tree(random_state=0), {"max_depth": [1, 2, 3, 4, 5]}, cv=3)
        search.fit(X, y)
        print(search.best_params_, len(search.cv_results_["params"]))
        """
    )
    assert process.stdout.strip() == "{'max_depth': 1} 5"
    assert 1 <= process.stderr.count("could not book") <= 2, process.stderr
    assert "Traceback" not in process.stderr
    parent, children = booked()
    assert {child.info.status for child in children.values()} <= {"FINISHED", "KILLED"}
    assert children[0].info.status == "FINISHED"
    assert parent.info.status == "KILLED"


# -- other places ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_a_search_in_a_forked_child(run_python):
    """A child of the process searches for itself, also while its parent searches."""
    run_python(
        """
        import multiprocessing, threading, time
        import numpy as np
        import skledger
        skledger.autolog()
        from sklearn.model_selection import GridSearchCV
        from sklearn.tree import DecisionTreeClassifier
        X = np.arange(60.0).reshape(30, 2)
        y = (X[:, 0] > 30).astype(int)

        class Tree(DecisionTreeClassifier):
            def fit(self, X, y, sample_weight=None, check_input=True):
                time.sleep(0.1)
                return super().fit(X, y)

        def search():
            GridSearchCV(Tree(random_state=0), {"max_depth": [1, 2, 3]}, cv=3).fit(X, y)

        search()
        fork = multiprocessing.get_context("fork")
        after = fork.Process(target=search)
        after.start()
        searching = threading.Thread(target=search)
        searching.start()
        time.sleep(0.3)
        inside = fork.Process(target=search)
        inside.start()
        searching.join()
        after.join()
        inside.join()
        assert after.exitcode == inside.exitcode == 0
        """
    )
    runs = everything()
    parents = [each for each in runs if PARENT_TAG not in each.data.tags]
    assert len(parents) == 4
    assert len(runs) == 4 * 4
    assert {each.info.status for each in runs} == {"FINISHED"}
    for parent in parents:
        own = [r for r in runs if r.data.tags.get(PARENT_TAG) == parent.info.run_id]
        assert sorted(r.data.tags[CANDIDATE_TAG] for r in own) == ["0", "1", "2"]
