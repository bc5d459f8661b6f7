"""A search that is watched from another process: on every backend of joblib its candidates appear
while it runs, with true scores and times, and its workers know nothing of us."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _polling import CANDIDATE_TAG, PARENT_TAG, fits_in, watch
from joblib import parallel_config, register_parallel_backend
from joblib._parallel_backends import ParallelBackendBase
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.tree import DecisionTreeClassifier

import skledger
from skledger.stores.artifacts import artifact_store
from skledger.tracking.session import get_store

ROWS, SPLITS = 30, 5
#: The candidates, in the order of the grid; 0 is the best, its index is 1.
NUMBERS = (2, 0, 1)

SCRIPT = """
import json, os, sys
from contextlib import ExitStack


def start(stack, backend):
    import joblib

    if backend.startswith("dask"):
        from distributed import Client, LocalCluster

        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, processes=backend == "dask", dashboard_address=None
        )
        stack.enter_context(Client(stack.enter_context(cluster)))
        stack.enter_context(joblib.parallel_config("dask"))
    elif backend == "ray":
        import ray
        from ray.util.joblib import register_ray

        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            logging_level="error",
        )
        stack.callback(ray.shutdown)
        register_ray()
        stack.enter_context(joblib.parallel_config("ray"))
    elif backend != "sequential":
        stack.enter_context(joblib.parallel_config(backend))


def main(backend, n_jobs, numbers, seconds, hold, splits):
    import skledger

    skledger.autolog()
    import numpy as np
    from sklearn.model_selection import GridSearchCV, KFold
    from slow_estimator import Slow

    os.environ["WITHOUT_SKLEDGER"] = "1"
    X, y = np.arange(60.0).reshape(30, 2), np.arange(30) % 2
    with ExitStack() as stack:
        start(stack, backend)
        grid = {"number": numbers}
        search = GridSearchCV(Slow(seconds=seconds, hold=hold), grid, cv=KFold(splits), n_jobs=n_jobs)
        search.fit(X, y)
    with open("results.json", "w") as file:
        results = {k: np.asarray(v).tolist() for k, v in search.cv_results_.items() if k != "params"}
        json.dump({"best": search.best_params_, "results": results}, file)


if __name__ == "__main__":
    main(sys.argv[1], *json.loads(sys.argv[2]))
"""


def searched(backend, *, n_jobs, numbers=NUMBERS, seconds=0.5, hold=0.0, splits=SPLITS, env=None):
    """Run a search in a process of its own and return what was seen of it meanwhile."""
    settings = json.dumps([n_jobs, list(numbers), seconds, hold, splits])
    return watch(Path.cwd(), SCRIPT, backend, settings, env=env)


def booked():
    """Return the search's run and those of its candidates in order; there may be no others."""
    runs = skledger.search_runs(output_format="list")
    (parent,) = [run for run in runs if PARENT_TAG not in run.data.tags]
    children = sorted(
        (run for run in runs if run is not parent),
        key=lambda run: int(run.data.tags[CANDIDATE_TAG]),
    )
    assert {run.data.tags[PARENT_TAG] for run in children} <= {parent.info.run_id}
    indices = [int(run.data.tags[CANDIDATE_TAG]) for run in children]
    assert indices == list(range(len(children)))
    return parent, children


def score_of(number, fold):
    """Return what the slow estimator scores in a fold of the 30 rows."""
    return 1 / (1 + number) + fold * (ROWS // SPLITS) * 2 / 1000


# -- what must hold of a search ------------------------------------------------------------------


def assert_live(watched, n_candidates):
    """Some candidates had finished while the search ran; one was seen with some of its folds."""
    running = [moment for moment in watched.moments if moment.parents == ("RUNNING",)]
    assert any(0 < len(moment.candidates("FINISHED")) < n_candidates for moment in running), watched
    assert any(
        0 < len(moment.children[number].folds) < SPLITS
        for moment in running
        for number in moment.candidates("RUNNING")
    ), watched
    for moment in watched.moments:
        assert len(moment.parents) <= 1, f"a run that is not the search's\n{watched}"
        for number in moment.candidates("FINISHED"):
            assert len(moment.children[number].folds) == SPLITS, watched


def assert_prompt(watched, fits, seconds=2.0):
    """What has arrived is in the store soon; nothing is there before it has happened."""
    for index, number in enumerate(NUMBERS):
        ends = [fit.ended for fit in fits if fit.number == number]
        assert -0.1 <= watched.first(index) - min(ends) < seconds, watched
        assert -0.1 <= watched.first(index, "FINISHED") - max(ends) < seconds, watched


def assert_results(parent, children):
    """The runs hold what the search found, fold by fold."""
    found = json.loads(Path("results.json").read_text())
    with artifact_store(parent.info.artifact_uri).open("cv_results.csv") as stream:
        table = pd.read_csv(stream)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["best_number"] == str(found["best"]["number"]) == "0"
    assert parent.data.metrics["best_cv_score"] == pytest.approx(max(table["mean_test_score"]))
    assert parent.data.tags["skledger.best_run"] == children[1].info.run_id
    assert len(children) == len(table) == len(NUMBERS)
    for index, (number, child) in enumerate(zip(NUMBERS, children, strict=True)):
        assert child.info.status == "FINISHED"
        assert child.info.run_name == f"Slow-{index}"
        assert child.data.tags["estimator_name"] == "Slow"
        assert child.data.tags["estimator_class"] == "slow_estimator.Slow"
        assert child.data.tags["mlflow.autologging"] == "sklearn"
        assert child.data.params["number"] == str(number)
        history = get_store().get_metric_history(child.info.run_id, "test_score")
        assert [metric.step for metric in history] == list(range(SPLITS))
        scores = [metric.value for metric in history]
        assert scores == pytest.approx([score_of(number, fold) for fold in range(SPLITS)])
        assert scores == [found["results"][f"split{n}_test_score"][index] for n in range(SPLITS)]
        assert scores == pytest.approx(
            [table[f"split{n}_test_score"][index] for n in range(SPLITS)]
        )
        for name in ("mean_test_score", "std_test_score", "rank_test_score"):
            assert child.data.metrics[name] == pytest.approx(found["results"][name][index]), name
            assert child.data.metrics[name] == pytest.approx(table[name][index]), name
        for name in ("mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"):
            expected = found["results"][name][index]
            assert child.data.metrics[name] == pytest.approx(expected, abs=1e-6), name


def assert_times(parent, children, fits, n_jobs, tolerance):
    """Runs last from the beginning of their first fit to the end of their last (seconds)."""
    for number, child in zip(NUMBERS, children, strict=True):
        own = [fit for fit in fits if fit.number == number]
        begun, ended = min(fit.begun for fit in own), max(fit.ended for fit in own)
        start, end = child.info.start_time / 1000, child.info.end_time / 1000
        assert parent.info.start_time <= child.info.start_time
        assert child.info.end_time <= parent.info.end_time
        assert abs(start - begun) < tolerance
        assert -0.05 < end - ended < tolerance
        work = sum(fit.ended - fit.begun for fit in own)
        assert n_jobs * (end - start) > work - 0.05
    if n_jobs == 1:
        for earlier, later in zip(children, children[1:], strict=False):
            assert later.info.start_time >= earlier.info.end_time - 100
    total = sum(fit.ended - fit.begun for fit in fits)
    assert n_jobs * (parent.info.end_time - parent.info.start_time) / 1000 > total - 0.05


# -- the backends ----------------------------------------------------------------------------------

IN_THIS_PROCESS = ("sequential", "threading", "dask-threads")
SLOW = pytest.mark.slow

BACKENDS = [
    pytest.param("sequential", 1, {}, id="sequential"),
    pytest.param("threading", 2, {}, id="threading"),
    pytest.param("loky", 2, {}, id="loky"),
    pytest.param("multiprocessing", 2, {"JOBLIB_START_METHOD": "fork"}, id="fork"),
    pytest.param("multiprocessing", 2, {"JOBLIB_START_METHOD": "spawn"}, id="spawn", marks=SLOW),
    pytest.param("dask", 2, {}, id="dask", marks=SLOW),
    pytest.param("dask-threads", 2, {}, id="dask-threads"),
    pytest.param("ray", 2, {}, id="ray", marks=SLOW),
]


@pytest.mark.parametrize(("backend", "n_jobs", "env"), BACKENDS)
def test_candidates_appear_while_the_search_runs(backend, n_jobs, env):
    """Children appear with their first fold and finish with their last, on every backend; their
    scores, ranks and times are those of the search, and no worker imports or unpickles skledger."""
    if backend.startswith("dask"):
        pytest.importorskip("distributed")
    elif backend == "ray":
        pytest.importorskip("ray")
    watched = searched(backend, n_jobs=n_jobs, seconds=0.4 if n_jobs == 1 else 0.5, env=env)
    # A refit trains on all rows, in the process of the search.
    fits = [fit for fit in fits_in(Path.cwd()) if fit.rows < ROWS]
    assert len(fits) == len(NUMBERS) * SPLITS
    parent, children = booked()
    assert_live(watched, len(NUMBERS))
    assert_prompt(watched, fits)
    assert_results(parent, children)
    in_process = backend in IN_THIS_PROCESS
    # A busy machine may let dask's threads wait between the task and the fit in it.
    is_exact = in_process and backend != "dask-threads"
    assert_times(parent, children, fits, n_jobs, tolerance=0.25 if is_exact else 0.75)
    assert in_process == any(fit.process == watched.process for fit in fits)
    if (
        not in_process and env.get("JOBLIB_START_METHOD") != "fork"
    ):  # a fork has what its parent has
        assert not any(fit.skledger for fit in fits)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_slow_candidate_does_not_hide_the_others(backend):
    """While the first fold of the first candidate takes long, the others are seen to finish."""
    numbers = (0, 1, 2, 3)
    watched = searched(backend, n_jobs=2, numbers=numbers, seconds=0.1, hold=4.0, splits=3)
    hidden = [moment for moment in watched.moments if moment.parents == ("RUNNING",)]
    assert any(
        moment.candidates("FINISHED") == {1, 2, 3}
        and moment.candidates("RUNNING") == {0}
        and set(moment.children[0].folds) == {1, 2}
        for moment in hidden
    ), watched
    _, children = booked()
    assert [child.info.status for child in children] == ["FINISHED"] * 4
    slow, *others = children
    # As long as scikit-learn says: the clock of a virtual machine is set back now and then.
    found = json.loads(Path("results.json").read_text())["results"]
    measured = 3 * found["mean_fit_time"][0] - 2 * found["mean_fit_time"][1]
    assert measured > 3
    assert slow.info.end_time - slow.info.start_time > 1000 * measured - 250
    assert all(other.info.end_time < slow.info.end_time - 1000 for other in others)


def test_candidates_without_a_refit_appear_too():
    """The run of a search lasts as long as the search, whether or not it refits."""
    code = SCRIPT.replace("n_jobs=n_jobs)", "n_jobs=n_jobs, refit=False)")
    watched = watch(Path.cwd(), code, "sequential", json.dumps([1, list(NUMBERS), 0.3, 0.0, 5]))
    parent, children = booked()
    assert_live(watched, len(NUMBERS))
    assert parent.info.status == "FINISHED"
    assert [child.info.status for child in children] == ["FINISHED"] * 3
    assert_times(parent, children, fits_in(Path.cwd()), n_jobs=1, tolerance=0.25)


# -- a backend that nobody knows -------------------------------------------------------------------


class _Done:
    def __init__(self, result):
        self._result = result

    def get(self, timeout=None):
        return self._result


class PlainBackend(ParallelBackendBase):
    """The least a backend can be: no generators, no retrieving by callback, no pool."""

    def configure(self, n_jobs=1, parallel=None, **options):
        self.parallel = parallel
        return n_jobs

    def effective_n_jobs(self, n_jobs):
        return 2

    def submit(self, func, callback=None):
        done = _Done(func())
        if callback is not None:
            callback(done)
        return done

    apply_async = submit


def test_a_backend_of_the_users_own_does():
    """A registered backend that can do nothing but run tasks gives the same search and children."""
    register_parallel_backend("plain", PlainBackend)
    X = np.random.RandomState(0).normal(size=(60, 4))
    y = (X[:, 0] > 0).astype(int)

    def search():
        with parallel_config("plain"):
            return GridSearchCV(
                DecisionTreeClassifier(random_state=0),
                {"max_depth": [1, 2, 3]},
                cv=KFold(3),
                n_jobs=2,
            ).fit(X, y)

    bare = search()
    with skledger.autolog():
        ours = search()
    parent, children = booked()
    assert parent.info.status == "FINISHED"
    assert ours.best_params_ == bare.best_params_
    for index, child in enumerate(children):
        assert child.info.status == "FINISHED"
        assert child.data.params["max_depth"] == str(index + 1)
        history = get_store().get_metric_history(child.info.run_id, "test_score")
        expected = [bare.cv_results_[f"split{fold}_test_score"][index] for fold in range(3)]
        assert [(metric.step, metric.value) for metric in history] == list(enumerate(expected))
    assert len(children) == 3
