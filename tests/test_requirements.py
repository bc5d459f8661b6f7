"""What a pickle needs, read from its bytes: complete, and nothing that is only text."""

import importlib
import io
import pickle
import pickletools
import subprocess
import sys
import textwrap
import warnings

import cloudpickle
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KDTree, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn.utils import all_estimators

from skledger.models.pickling import pickle_into
from skledger.models.requirements import distribution_of, named_modules, requirements_of

X, y = load_iris(return_X_y=True)


def modules_by_opcodes(pickled):
    """The modules of every global, found by walking the opcodes: slow and exact."""
    memo, stack, found = [], [], set()
    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"):
            stack.append(argument)
        elif name == "MEMOIZE":
            memo.append(stack[-1] if stack else None)
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "STACK_GLOBAL":
            found.add(stack[-2])
            stack.append(None)
        elif name == "GLOBAL":
            found.add(argument.split(" ")[0])
            stack.append(None)
        elif name not in ("FRAME", "PROTO"):
            stack.append(None)
    return found


def imported(names):
    return {name for name in names if name in sys.modules}


def requirements_after_saving(estimator, serialization_format="cloudpickle"):
    pickled = pickle_into(io.BytesIO(), estimator, serialization_format)
    return requirements_of(pickled.modules, serialization_format)


def names_of(requirements):
    return [line.partition("==")[0] for line in requirements.lines]


def fitted():
    iris = X[::3], y[::3]
    tree_like = [
        RandomForestClassifier(10, random_state=0).fit(*iris),
        GradientBoostingClassifier(n_estimators=5).fit(*iris),
        HistGradientBoostingClassifier(max_iter=3).fit(*iris),
        KNeighborsClassifier(algorithm="kd_tree").fit(*iris),
    ]
    wrapped = [
        make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), SVC()).fit(X, y),
        FeatureUnion([("a", StandardScaler()), ("b", SplineTransformer())]).fit(X),
        ColumnTransformer([("a", OneHotEncoder(), [0]), ("b", "passthrough", [1, 2])]).fit(X),
        TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1).fit(
            *iris
        ),
        StackingClassifier([("a", LogisticRegression()), ("b", SVC())], cv=2).fit(*iris),
        GridSearchCV(
            SGDClassifier(),
            {"alpha": [0.1, 1]},
            cv=2,
            scoring=make_scorer(f1_score, average="macro"),
        ).fit(*iris),
    ]
    others = [
        GaussianProcessClassifier().fit(*iris),
        IsotonicRegression().fit(X[:, 0], y),
        MLPClassifier((4,), max_iter=3).fit(*iris),
        TfidfVectorizer().fit(["one two", "two three"]),
        KDTree(X),
    ]
    return tree_like + wrapped + others


@pytest.fixture(scope="module")
def sample():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        models = fitted()
        for name, kind in all_estimators():
            try:
                models.append(kind())
            except TypeError:  # meta-estimators want an argument
                pass
    for library, make in (
        ("lightgbm", lambda m: m.LGBMClassifier(n_estimators=2, verbose=-1).fit(X, y)),
        ("xgboost", lambda m: m.XGBClassifier(n_estimators=2).fit(X, y)),
        ("imblearn.pipeline", lambda m: m.make_pipeline(StandardScaler(), SVC()).fit(X, y)),
    ):
        try:
            models.append(make(importlib.import_module(library)))
        except ImportError:
            pass
    return models


def test_every_module_that_the_opcodes_name_is_found(sample):
    """Over all of scikit-learn and its relatives the scan finds exactly the opcodes' modules."""
    assert len(sample) > 150
    for model in sample:
        pickled = pickle.dumps(model, protocol=5)
        assert named_modules(pickled) == imported(modules_by_opcodes(pickled)), model


def test_cloudpickle_names_at_least_what_the_opcodes_name(sample):
    """By value a text may count for a module, but no module is missed."""
    for model in sample[:20]:
        pickled = cloudpickle.dumps(model)
        assert named_modules(pickled, by_value=True) >= imported(modules_by_opcodes(pickled)), model


def test_a_frame_may_begin_inside_of_a_name():
    """Wherever the pickler ends its frame of 64 KB, the class after it is found."""
    for padding in range(65_400, 65_560):
        pickled = pickle.dumps(
            [bytes(padding // 2), bytes(padding - padding // 2), StandardScaler()], 5
        )
        assert "sklearn.preprocessing._data" in named_modules(pickled), padding


def test_a_name_across_two_parts_of_a_large_pickle_is_found(monkeypatch):
    """The pickle goes to the file in parts; a name may lie in two of them."""
    monkeypatch.setattr("skledger.models.pickling._SPILL", 1)
    for padding in range(65_400, 65_560):
        values = [bytes(padding // 2), bytes(padding - padding // 2), StandardScaler()]
        found = pickle_into(io.BytesIO(), values, "pickle").modules
        assert "sklearn.preprocessing._data" in found, padding


def test_names_in_other_alphabets_are_found(tmp_path, monkeypatch):
    """Python allows letters of any alphabet in modules and classes."""
    (tmp_path / "modèle_学習.py").write_text("class Éstimateur_机器:\n    pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("modèle_学習")
    needs = requirements_after_saving(getattr(module, "Éstimateur_机器")())
    assert needs.local_modules == ("modèle_学習",)


def test_words_of_a_vocabulary_are_no_requirements():
    """A text that happens to be the name of an imported module does not make it needed."""
    import click  # noqa: F401
    import yaml  # noqa: F401

    vectorizer = TfidfVectorizer().fit(["click yaml json pandas matplotlib"])
    assert names_of(requirements_after_saving(vectorizer)) == [
        "cloudpickle",
        "numpy",
        "scikit-learn",
        "scipy",
    ]


def test_a_stored_function_needs_what_it_imports():
    """By value, a module used as a global or imported in the body is needed to run it."""
    import yaml

    def with_global(values):
        return yaml and values

    def with_import(values):
        import click

        return click and values

    assert "PyYAML" in names_of(requirements_after_saving(FunctionTransformer(with_global)))
    assert "click" in names_of(requirements_after_saving(FunctionTransformer(with_import)))


@pytest.mark.parametrize(
    ("library", "make", "module"),
    [
        ("lightgbm", lambda m: m.LGBMClassifier(), "lightgbm"),
        ("xgboost", lambda m: m.XGBClassifier(), "xgboost"),
        ("imblearn.over_sampling", lambda m: m.SMOTE(), "imblearn"),
    ],
)
def test_the_library_of_an_estimator_is_required_in_its_version(library, make, module):
    """The distribution is found whatever its name, and pinned."""
    estimator = make(pytest.importorskip(library))
    owners = importlib.metadata.packages_distributions()[module]
    lines = requirements_after_saving(estimator).lines
    assert any(
        line == f"{name}=={importlib.metadata.version(name)}" for name in owners for line in lines
    )


def test_versions_are_those_of_this_process():
    """Every line pins the installed version."""
    lines = requirements_after_saving(LogisticRegression()).lines
    assert lines == tuple(
        f"{name}=={importlib.metadata.version(name)}"
        for name in ("cloudpickle", "numpy", "scikit-learn", "scipy")
    )


def test_plain_pickle_needs_no_cloudpickle():
    """cloudpickle is required only for its own format."""
    assert "cloudpickle" not in names_of(requirements_after_saving(LogisticRegression(), "pickle"))


def test_pandas_is_required_when_the_pickle_holds_a_frame():
    """An attribute that is a data frame needs pandas."""
    pandas = pytest.importorskip("pandas")
    model = LogisticRegression()
    model.history_ = pandas.DataFrame({"a": [1]})
    assert "pandas" in names_of(requirements_after_saving(model))
    assert "pandas" not in names_of(requirements_after_saving(LogisticRegression()))


def make_module(folder, name, *, package=False):
    text = "class Thing:\n    pass\n"
    if package:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(text)
    else:
        (folder / f"{name}.py").write_text(text)


def make_distribution(root, name, version, files, *, record=True):
    info = root / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nText\n"
    )
    if record:
        (info / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))


def test_a_module_on_the_users_path_is_local(tmp_path, monkeypatch):
    """The user's own files are named apart: nobody can install them."""
    make_module(tmp_path, "own_steps_a")
    make_module(tmp_path, "own_package_a", package=True)
    monkeypatch.syspath_prepend(tmp_path)
    things = [importlib.import_module(name).Thing() for name in ("own_steps_a", "own_package_a")]
    needs = requirements_after_saving(things)
    assert needs.local_modules == ("own_package_a", "own_steps_a")
    assert names_of(needs) == ["cloudpickle", "numpy", "scikit-learn", "scipy"]


def test_an_editable_install_is_local(tmp_path, monkeypatch):
    """Sources with their egg-info beside them are the user's, though they have a version."""
    make_module(tmp_path, "own_editable_a")
    info = tmp_path / "own_editable_a.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: own_editable_a\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("own_editable_a\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert requirements_after_saving(
        importlib.import_module("own_editable_a").Thing()
    ).local_modules == ("own_editable_a",)


def test_a_distribution_of_another_name_is_found_by_its_files(tmp_path, monkeypatch):
    """The same-named distribution is not believed when the file belongs to another."""
    make_module(tmp_path, "thing_b", package=True)
    make_distribution(tmp_path, "thing_b", "9.9", ["something_else.py"])
    make_distribution(tmp_path, "the-other-name", "1.2+cu121", ["thing_b/__init__.py"])
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("thing_b")
    assert distribution_of("thing_b") == "the-other-name==1.2"


def test_a_namespace_package_belongs_to_the_distribution_of_the_module(tmp_path, monkeypatch):
    """Two distributions may share a top-level name; each module has one owner."""
    for part in ("one", "two"):
        (tmp_path / "shared_ns").mkdir(exist_ok=True)
        make_module(tmp_path / "shared_ns", part)
        make_distribution(tmp_path, f"shared-{part}", "3.0", [f"shared_ns/{part}.py"])
    monkeypatch.syspath_prepend(tmp_path)
    thing = importlib.import_module("shared_ns.two").Thing()
    needs = requirements_after_saving(thing)
    assert "shared-two==3.0" in needs.lines
    assert "shared-one==3.0" not in needs.lines
    assert needs.local_modules == ()


def test_a_linux_package_without_a_list_of_files_is_found(tmp_path, monkeypatch):
    """Debian's packages list only their top-level names."""
    root = tmp_path / "dist-packages"
    root.mkdir()
    make_module(root, "thing_c")
    make_distribution(root, "thing_c", "4.0", [], record=False)
    (root / "thing_c-4.0.dist-info" / "top_level.txt").write_text("thing_c\n")
    monkeypatch.syspath_prepend(root)
    importlib.import_module("thing_c")
    assert distribution_of("thing_c") == "thing_c==4.0"


def test_reading_names_runs_nothing(tmp_path):
    """The pickle is only read: a hostile one does nothing, and no library is imported."""
    script = """
        import os, pickle, subprocess, sys
        from skledger.models.requirements import named_modules, requirements_of

        class Hostile:
            def __reduce__(self):
                return os.mkdir, ("executed",)

        def refuse(*arguments, **keywords):
            raise AssertionError("a process was started")

        subprocess.Popen.__init__ = refuse
        found = named_modules(pickle.dumps(Hostile(), 5))
        assert found == {os.mkdir.__module__}, found
        lines = requirements_of(frozenset(found), "cloudpickle").lines
        assert [line.split("==")[0] for line in lines] == ["cloudpickle", "numpy", "scikit-learn", "scipy"]
        print(sorted({"sklearn", "scipy", "numpy", "cloudpickle"} & set(sys.modules)), os.listdir())
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "[] []"
