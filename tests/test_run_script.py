"""``python -m skledger train.py``: as ``python train.py``, but booked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import skledger

FIT = """
    import numpy as np
    from sklearn.linear_model import LinearRegression
    X = np.arange(20.0).reshape(10, 2)
    LinearRegression().fit(X, X.sum(axis=1))
"""


def write(name, text):
    """Write a script."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return name


def run(*arguments, **kwargs):
    """Run Python."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, **kwargs
    )


def both(*arguments, **kwargs):
    """Run a program by Python and by us; return both results."""
    return run(*arguments, **kwargs), run("-m", "skledger", *arguments, **kwargs)


def assert_same(*arguments, **kwargs):
    """Check that output, errors and exit code are Python's own; return them."""
    theirs, ours = both(*arguments, **kwargs)
    assert ours.stdout == theirs.stdout
    assert ours.stderr == theirs.stderr
    assert ours.returncode == theirs.returncode
    return ours


def booked():
    """Return the runs of this folder."""
    return skledger.search_runs(output_format="list")


def test_the_fits_of_a_script_are_booked():
    """A script that knows nothing of skledger has its fits booked, under its own name."""
    write("train.py", FIT)
    done = run("-m", "skledger", "train.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (found,) = booked()
    assert found.data.tags["estimator_name"] == "LinearRegression"
    assert found.data.tags["mlflow.source.name"] == "train.py"
    assert skledger.sklearn.load_model(f"runs:/{found.info.run_id}/model").n_features_in_ == 2


def test_a_script_that_calls_autolog_keeps_its_configuration():
    """Our call comes first, the script's own counts."""
    write(
        "train.py", "import skledger\nskledger.autolog(log_models=False)\n" + textwrap.dedent(FIT)
    )
    assert run("-m", "skledger", "train.py").returncode == 0
    (found,) = booked()
    assert not found.outputs.model_outputs
    write("off.py", "import skledger\nskledger.autolog(disable=True)\n" + textwrap.dedent(FIT))
    assert run("-m", "skledger", "off.py").returncode == 0
    assert len(booked()) == 1


SITUATION = '''
    """The documentation."""
    import sys, json, neighbour
    import __main__
    print(json.dumps([
        __name__, __file__, __doc__, __package__, str(__spec__), type(__loader__).__name__,
        type(__builtins__).__name__, sys.argv, sys.path, __main__.__dict__ is globals(),
        sorted(set(globals()) - {"__annotations__"}), neighbour.__file__,
    ]))
'''


@pytest.mark.parametrize("path", ["train.py", "sub/train.py", "./sub/../train.py", "link.py"])
def test_a_script_finds_itself_as_under_python(path):
    """Names of the module, arguments, and where imports come from."""
    for folder in ("", "sub/"):
        write(f"{folder}train.py", SITUATION)
        write(f"{folder}neighbour.py", "")
    if path == "link.py":
        Path(path).symlink_to(Path("sub/train.py"))
    done = assert_same(path, "--flag", "-m", "a b")
    assert json.loads(done.stdout)[7] == [path, "--flag", "-m", "a b"]


def test_a_script_without_an_ending_runs_too():
    """Any file will do, unless it is named like a command."""
    write("train", "print('here')")
    assert_same("train")
    assert_same(str(Path.cwd() / "train"))
    write("runs", "print('the script')")
    assert "the script" not in run("-m", "skledger", "runs").stdout


def test_main_guard_and_pickle():
    """``if __name__ == "__main__"`` holds, and classes of the script can be pickled."""
    write(
        "train.py",
        """
        import pickle
        class Local:
            pass
        if __name__ == "__main__":
            print(type(pickle.loads(pickle.dumps(Local()))) is Local, Local.__module__)
        """,
    )
    assert assert_same("train.py").stdout == "True __main__\n"


def test_estimators_of_the_script_are_booked_and_load():
    """A class that the script defines is stored with the model."""
    write(
        "train.py",
        """
        from sklearn.base import BaseEstimator, RegressorMixin
        class Own(RegressorMixin, BaseEstimator):
            def fit(self, X, y):
                self.mean_ = sum(y) / len(y)
                return self
            def predict(self, X):
                return [self.mean_] * len(X)
        Own().fit([[1], [2]], [1, 3])
        """,
    )
    done = run("-m", "skledger", "train.py")
    assert done.returncode == 0, done.stderr
    (found,) = booked()
    model = skledger.sklearn.load_model(f"runs:/{found.info.run_id}/model")
    assert model.predict([[0]]) == [2.0]


@pytest.mark.parametrize("module", [False, True])
def test_processes_of_the_script(module):
    """Pools by every start method, and joblib's loky, find what the script defines."""
    write(
        "train.py",
        """
        import multiprocessing, sys
        class Item:
            def __init__(self, value):
                self.value = value
        def work(item):
            return Item(item.value + 1)
        if __name__ == "__main__":
            for method in multiprocessing.get_all_start_methods():
                with multiprocessing.get_context(method).Pool(1) as pool:
                    print(method, pool.map(work, [Item(1)])[0].value)
            from joblib import Parallel, delayed
            print([item.value for item in Parallel(2)(delayed(work)(Item(i)) for i in range(3))])
        """,
    )
    done = assert_same("-m", "train") if module else assert_same("train.py")
    assert "spawn 2\n" in done.stdout
    assert done.stdout.endswith("[1, 2, 3]\n")


# -- ends ----------------------------------------------------------------------------------------

ENDS = {
    "exit code": "import sys; sys.exit(7)",
    "exit message": "raise SystemExit('bye')",
    "exit without": "raise SystemExit",
    "error": """
        def f():
            raise ValueError("x")
        try:
            f()
        except ValueError:
            raise KeyError("y")
        """,
    "group": "raise ExceptionGroup('g', [ValueError(1)])",
    "syntax error": "x = = 1",
    "bad indentation": "if 1:\nprint()",
    "error while importing": "import broken",
    "no such module": "import no_such_module_at_all",
    "own hook": """
        import sys, traceback
        def hook(kind, error, where):
            print("mine")
            traceback.print_exception(kind, error, where, file=sys.stdout)
        sys.excepthook = hook
        raise ValueError(3)
        """,
    "thread": """
        import threading
        def f():
            raise ValueError("in a thread")
        thread = threading.Thread(target=f)
        thread.start()
        thread.join()
        """,
    "encoding": "# -*- coding: latin-1 -*-\nprint(ascii('\u00e9'))",
    "warning": "import warnings; warnings.warn('old', DeprecationWarning)",
}


@pytest.mark.parametrize("name", ENDS)
def test_a_script_ends_as_under_python(name):
    """Output, traceback and exit code are the same to the letter."""
    write("broken.py", "1 / 0")
    write("train.py", ENDS[name])
    assert_same("train.py")


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("module", [False, True])
def test_ctrl_c_ends_a_script_as_under_python(module):
    """The process is ended by the signal, so that a shell's loop stops too."""
    write(
        "train.py",
        """
        import os, signal, time
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
        """,
    )
    theirs, ours = both("-m", "train") if module else both("train.py")
    assert ours.returncode == theirs.returncode == -signal.SIGINT
    assert ours.stderr.endswith("KeyboardInterrupt\n")
    assert "skledger" not in ours.stderr


def test_a_failing_fit_shows_no_frames_above_the_script():
    """The traceback begins at the script, and the run is FAILED."""
    write(
        "train.py",
        """
        from sklearn.linear_model import Ridge
        Ridge(alpha=-1).fit([[1], [2]], [1, 2])
        """,
    )
    done = run("-m", "skledger", "train.py")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1].endswith('train.py", line 3, in <module>')
    assert booked()[0].info.status == "FAILED"


def test_a_missing_script():
    """Python's own message and exit code."""
    theirs, ours = both("missing.py")
    assert ours.returncode == theirs.returncode == 2
    assert ours.stderr.partition(": ")[2] == theirs.stderr.partition(": ")[2]
    assert not list(Path.cwd().iterdir())


# -- modules -------------------------------------------------------------------------------------


def test_a_module_runs_as_under_python():
    """Names, arguments and relative imports of ``-m package.module`` and ``-m package``."""
    for name in ("train", "__main__"):
        write(
            f"package/{name}.py",
            """
            import sys
            from . import helper
            print(__name__, __package__, __spec__.name, __file__, sys.argv, sys.path, __cached__)
            """,
        )
    write("package/__init__.py", "")
    write("package/helper.py", "")
    assert_same("-m", "package.train", "a", "-b")
    assert_same("-m", "package", "a")


def test_the_fits_of_a_module_are_booked():
    """Those made while its package is imported count as well."""
    write("package/__init__.py", FIT)
    write("package/train.py", FIT)
    assert run("-m", "skledger", "-m", "package.train").returncode == 0
    assert len(booked()) == 2


@pytest.mark.parametrize(
    "name",
    [
        "no_such_module",
        "package",
        "package.none",
        "train.none",
        "none.at.all",
        ".relative",
        "sys",
        "",
    ],
)
def test_a_module_that_cannot_be_run(name):
    """Python's exit code and its message."""
    write("package/__init__.py", "")
    write("train.py", "")
    theirs, ours = both("-m", name)
    assert ours.returncode == theirs.returncode == 1
    assert ours.stderr.splitlines()[0] == theirs.stderr.splitlines()[0]
    assert "skledger" not in ours.stderr


def test_a_module_that_fails():
    """The traceback begins at the module, or at its package."""
    write("package/__init__.py", "")
    write("package/train.py", "1 / 0")
    write("bad/__init__.py", "1 / 0")
    write("bad/train.py", "")
    for name, file in (("package.train", "train.py"), ("bad.train", "__init__.py")):
        ours = run("-m", "skledger", "-m", name)
        assert ours.returncode == 1
        assert ours.stderr.splitlines()[1].endswith(f'{file}", line 1, in <module>')
        assert "skledger" not in ours.stderr


def test_m_without_a_module():
    """A usage error."""
    done = run("-m", "skledger", "-m")
    assert done.returncode == 2
    assert "-m" in done.stderr


def test_python_isolated_from_the_folder_of_the_script():
    """``python -P`` keeps the folder of the script out of ``sys.path``, here too."""
    write("sub/train.py", "import sys; print(sys.path)")
    theirs = run("-P", "sub/train.py")
    ours = run("-P", "-m", "skledger", "sub/train.py")
    assert ours.stdout == theirs.stdout
