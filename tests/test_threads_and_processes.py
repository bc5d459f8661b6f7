"""Fits at the same time: in threads, in processes, in forked children; and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import skledger


def test_threads_get_separate_complete_runs(autolog, binary):
    """Five threads, five runs, none of them empty."""
    X, y = binary

    def train(c):
        return LogisticRegression(C=c, max_iter=200).fit(X, y)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(train, [1.0, 2.0, 3.0, 4.0, 5.0] * 4))
    runs = skledger.search_runs(output_format="list")
    assert len(runs) == 20
    assert sorted(run.data.params["C"] for run in runs) == sorted(
        str(c) for c in [1.0, 2.0, 3.0, 4.0, 5.0] * 4
    )
    for run in runs:
        assert run.info.status == "FINISHED"
        assert "training_score" in run.data.metrics
        assert len(run.outputs.model_outputs) == 1


def test_joblib_threads_at_the_top_level_get_separate_runs(autolog, regression):
    """The user's own joblib loop over fits is many runs, not one."""
    from joblib import Parallel, delayed

    Parallel(2, backend="threading")(
        delayed(Ridge(alpha=alpha).fit)(*regression) for alpha in range(6)
    )
    assert len(skledger.search_runs()) == 6


def test_an_active_run_belongs_to_its_thread(autolog, regression):
    """Another thread's fit does not go to this thread's run."""
    with skledger.start_run() as run, ThreadPoolExecutor(1) as pool:
        pool.submit(Ridge().fit, *regression).result()
    assert skledger.get_run(run.info.run_id).data.params == {}
    assert len(skledger.search_runs()) == 2


SCRIPT = textwrap.dedent(
    """
    import sys, time
    start = float(sys.argv[1])
    import skledger
    skledger.autolog()
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge
    X, y = load_diabetes(return_X_y=True)
    time.sleep(max(0.0, start - time.time()))
    for alpha in range(int(sys.argv[2])):
        Ridge(alpha=alpha).fit(X, y)
    """
)


@pytest.mark.slow
def test_eight_processes_on_a_fresh_file_lose_nothing(tmp_path):
    """All open the same new database at the same moment; every run is there and complete."""
    start = str(time.time() + 8)
    processes = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, start, "50"], cwd=tmp_path)
        for _ in range(8)
    ]
    assert [process.wait(200) for process in processes] == [0] * 8
    runs = skledger.search_runs(output_format="list")
    assert len(runs) == 400
    assert all(run.info.status == "FINISHED" for run in runs)
    assert all("training_r2_score" in run.data.metrics for run in runs)
    assert all(len(run.outputs.model_outputs) == 1 for run in runs)


def test_kill_after_fit_loses_nothing_but_pictures(tmp_path, run_python):
    """kill -9 right behind fit: records, numbers and model are there; pictures can be drawn."""
    process = run_python(
        """
        import os, signal
        import skledger; skledger.autolog()
        from sklearn.datasets import load_breast_cancer
        from sklearn.linear_model import LogisticRegression
        LogisticRegression(max_iter=5000).fit(*load_breast_cancer(return_X_y=True))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL
    (run,) = skledger.search_runs(output_format="list")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["training_score"] > 0.9
    skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    from skledger.ledger.drawing import draw_missing, missing_pictures

    assert "training_roc_curve.png" in missing_pictures(run)
    assert "training_roc_curve.png" in draw_missing(run)
    assert missing_pictures(run) == []


def test_kill_in_a_long_fit_leaves_a_run_that_says_who_ran_it(tmp_path):
    """A killed fit is seen, with the process it belonged to."""
    code = """
    import skledger; skledger.autolog()
    from sklearn.base import BaseEstimator
    import time
    class Slow(BaseEstimator):
        def fit(self, X, y=None):
            print("fitting", flush=True)
            time.sleep(60)
    Slow().fit([[1]])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, stdout=subprocess.PIPE
    )
    assert process.stdout.readline().strip() == b"fitting"
    deadline = time.monotonic() + 30
    runs = []
    while not runs and time.monotonic() < deadline:
        time.sleep(0.2)
        if (tmp_path / "skledger.db").exists():
            runs = skledger.search_runs(output_format="list")
    process.kill()
    process.wait()
    assert runs[0].info.status == "RUNNING"
    assert f"/{process.pid}/" in runs[0].data.tags["skledger.process"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_books_its_own_fits(autolog, run_python):
    """The writer and the store work after a fork, in parent and child."""
    run_python(
        """
        import os
        import skledger; skledger.autolog()
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge
        X, y = load_diabetes(return_X_y=True)
        Ridge(alpha=1).fit(X, y)
        pid = os.fork()
        Ridge(alpha=2).fit(X, y)
        assert skledger.flush(60)
        if pid == 0:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        """
    )
    alphas = [run.data.params["alpha"] for run in skledger.search_runs(output_format="list")]
    assert sorted(alphas) == ["1", "2", "2"]


@pytest.mark.parametrize("ending", ["raise ValueError('oops')", "import sys; sys.exit(3)", ""])
def test_pictures_are_there_after_any_exit(run_python, ending):
    """An exception and an exit code do not keep the writer from finishing."""
    run_python(
        f"""
        import skledger; skledger.autolog()
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge
        Ridge().fit(*load_diabetes(return_X_y=True))
        {ending}
        """,
        check=False,
    )
    from skledger.ledger.drawing import missing_pictures

    (run,) = skledger.search_runs(output_format="list")
    assert missing_pictures(run) == []


def test_a_script_that_dies_inside_its_own_run_leaves_it_failed(run_python):
    """start_run() without a with block: the exception that ended the script marks the run."""
    run_python("import skledger; skledger.start_run(); raise ValueError('oops')", check=False)
    run_python("import skledger; skledger.start_run()")
    statuses = [run.info.status for run in skledger.search_runs(output_format="list")]
    assert sorted(statuses) == ["FAILED", "FINISHED"]
