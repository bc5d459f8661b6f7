"""The user's own modules travel with a model, without being asked for."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

import skledger
from skledger.tracking.session import get_store

FEATURES = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from my_project.scaling import FACTOR
import my_names


class Doubled(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.names_ = my_names.NAMES
        return self

    def transform(self, X):
        from my_late import OFFSET

        return np.asarray(X) * FACTOR + OFFSET
"""

FILES = {
    "my_features.py": FEATURES,
    "my_names.py": "NAMES = ['a']\n",
    "my_late.py": "OFFSET = 1\n",
    "unrelated.py": "raise RuntimeError('nobody imports me')\n",
    "passwords.env": "SECRET=1\n",
    "my_project/__init__.py": "",
    "my_project/scaling.py": "FACTOR = 2\n",
    "my_project/deep/__init__.py": "",
    "my_project/deep/er.py": "X = 1\n",
    "my_project/.hidden/x.py": "",
    "my_project/data.csv": "1,2\n",
}

TRAIN = """
import json, sys
import numpy as np
import skledger, skledger.sklearn
import my_late
from my_features import Doubled
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

X, y = np.arange(20.0).reshape(10, 2), np.arange(10.0)
if {autolog}:
    skledger.autolog()
    model = make_pipeline(Doubled(), Ridge()).fit(X, y)
    uri = skledger.last_logged_model().model_uri
else:
    model = make_pipeline(Doubled(), Ridge()).fit(X, y)
    uri = skledger.sklearn.log_model(model{options}).model_uri
    skledger.end_run()
print(json.dumps([uri, model.predict(X).tolist()]))
"""

ELSEWHERE = """
import json, sys
import numpy as np
uri, expected = json.loads({told!r})
X = np.arange(20.0).reshape(10, 2)
{load}
assert loaded.predict(X).tolist() == expected
assert "my_features" in sys.modules
"""


@pytest.fixture
def project(tmp_path):
    """A folder with a script's modules beside it."""
    for name, text in FILES.items():
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "project"


def train(run_python, project, *, autolog=False, options=""):
    """Run the training script where the modules are; return what it printed, and the folder."""
    script = TRAIN.format(autolog=autolog, options=options)
    script = f"import sys; sys.path.insert(0, {str(project)!r})\n{script}"
    told = run_python(script).stdout.strip().splitlines()[-1]
    import json

    model = get_store().get_logged_model(json.loads(told)[0].removeprefix("models:/"))
    return told, Path(model.artifact_location)


def files_in(folder):
    return sorted(
        file.relative_to(folder / "code").as_posix()
        for file in (folder / "code").rglob("*")
        if file.is_file()
    )


@pytest.mark.parametrize("autolog", [False, True])
@pytest.mark.parametrize("tool", ["skledger", "mlflow.sklearn", "mlflow.pyfunc"])
def test_a_transformer_of_the_user_loads_where_its_module_is_not(
    run_python, project, autolog, tool
):
    """Its module, what that imports of the user's, and packages whole; Python files only."""
    told, folder = train(run_python, project, autolog=autolog)
    assert files_in(folder) == [
        "my_features.py",
        "my_late.py",
        "my_names.py",
        "my_project/__init__.py",
        "my_project/deep/__init__.py",
        "my_project/deep/er.py",
        "my_project/scaling.py",
    ]
    load = {
        "skledger": "import skledger.sklearn; loaded = skledger.sklearn.load_model(uri)",
        "mlflow.sklearn": f"import mlflow; loaded = mlflow.sklearn.load_model({str(folder)!r})",
        "mlflow.pyfunc": f"import mlflow; loaded = mlflow.pyfunc.load_model({str(folder)!r})",
    }
    project.rename(project.with_name("gone"))
    run_python(ELSEWHERE.format(told=told, load=load[tool]))
    # What Python left there meanwhile harms nobody who verifies.
    run_python(ELSEWHERE.format(told=told, load=load["skledger"]))


def test_an_empty_list_stores_none(run_python, project):
    """And the line says what will be missing."""
    _, folder = train(run_python, project, options=", code_paths=[]")
    assert not (folder / "code").exists()


def test_what_is_named_comes_besides(run_python, project):
    """`code_paths` and what is found make one folder; what is named counts."""
    extra = project / "extra"
    extra.mkdir()
    (extra / "my_names.py").write_text("NAMES = ['named']\n")
    named = [str(extra / "my_names.py"), str(project / "my_project" / "data.csv")]
    _, folder = train(run_python, project, options=f", code_paths={named!r}")
    assert {"data.csv", "my_features.py", "my_names.py"} <= set(files_in(folder))
    assert "named" in (folder / "code" / "my_names.py").read_text()


def test_what_the_code_imports_is_required(run_python, project):
    """A package that only the module's source names is among the requirements."""
    file = project / "my_names.py"
    file.write_text("import yaml\n" + file.read_text())
    _, folder = train(run_python, project)
    assert "PyYAML==" in (folder / "requirements.txt").read_text()


def test_a_large_project_is_left_out_and_said(tmp_path, monkeypatch, caplog):
    """Its size is bounded; the line says how to store what is wanted of it."""
    import importlib
    import sys

    package = tmp_path / "my_large"
    package.mkdir()
    (package / "__init__.py").write_text("class Step:\n    pass\n")
    for number in range(250):
        (package / f"m{number}.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        step = importlib.import_module("my_large").Step()
        with caplog.at_level(logging.WARNING, "skledger"):
            info = skledger.sklearn.log_model(step)
    finally:
        sys.modules.pop("my_large", None)
    assert "my_large was not stored with the model" in caplog.text
    assert "code_paths" in caplog.text
    folder = Path(get_store().get_logged_model(info.model_id).artifact_location)
    assert not (folder / "code").exists()


def test_another_module_of_the_name_is_told_of(run_python, project):
    """The one that is imported already is used; one line says so."""
    told, _ = train(run_python, project)
    (project / "my_names.py").write_text("NAMES = ['changed']\n")
    load = (
        f"sys.path.insert(0, {str(project)!r}); import my_names\n"
        "import skledger.sklearn; loaded = skledger.sklearn.load_model(uri)"
    )
    process = run_python(ELSEWHERE.format(told=told, load=load))
    assert "brings its own my_names" in process.stderr


def test_data_of_a_package_is_named_when_it_stays_behind(tmp_path, monkeypatch, caplog):
    """Only modules travel; who named the package by code_paths has all of it."""
    package = tmp_path / "with_data"
    (package / "data").mkdir(parents=True)
    (package / "data" / "d.txt").write_text("1")
    (package / "__init__.py").write_text(
        "from sklearn.base import BaseEstimator\n"
        "from pathlib import Path\n"
        "TEXT = (Path(__file__).parent / 'data' / 'd.txt').read_text()\n"
        "class Own(BaseEstimator):\n"
        "    def predict(self, X):\n"
        "        return [TEXT] * len(X)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import with_data

    skledger.sklearn.log_model(with_data.Own(), name="m")
    assert (
        "not data/d.txt, which they may read; code_paths=[...] stores what you name" in caplog.text
    )
    caplog.clear()
    info = skledger.sklearn.log_model(with_data.Own(), name="m", code_paths=[str(package)])
    assert "d.txt" not in caplog.text
    for name in [each for each in sys.modules if each.startswith("with_data")]:
        del sys.modules[name]
    monkeypatch.undo()
    assert skledger.sklearn.load_model(info.model_uri).predict([0]) == ["1"]
