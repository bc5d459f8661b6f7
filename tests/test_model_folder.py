"""The model folder: what is written, that it is whole or absent, and that it loads verified."""

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skledger.errors import InvalidParameterError, ModelError, ModelIntegrityError, NotFoundError
from skledger.models import load_sklearn_model, parse_model_uri, save_sklearn_model
from skledger.models.pickling import pickle_into

X, y = load_iris(return_X_y=True)
FILES = {"MLmodel", "model.pkl", "requirements.txt", "python_env.yaml", "conda.yaml"}
NASTY = [
    "plain",
    'it\'s "quoted" \\ back\\n',
    "colon: # hash - {brace} [bracket] & * ! | > % @ `",
    "line\nbreak\ttab\r\x00\x1b\x7f\x85\x9f\u2028\u2029\ufeff",
    "null",
    "yes",
    "1.10",
    "0x1F",
    " leading and trailing ",
    "",
    "Größe 学習 🚀",
]


FITTED = pickle.dumps(LogisticRegression(max_iter=300).fit(X, y))


@pytest.fixture
def model():
    return pickle.loads(FITTED)


def described(folder):
    return yaml.safe_load((Path(folder) / "MLmodel").read_bytes())


def entries(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def run_python(script, *arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        cwd=cwd,
    ).stdout


class Unpicklable(LogisticRegression):
    """Refuses after part of it was written."""

    def __getstate__(self):
        return {"ballast": bytes(200_000), "lock": threading.Lock()}


# ---------------------------------------------------------------------------------- saving


def test_the_folder_holds_the_files_of_mlflow(tmp_path, model):
    """Five files, each with its digest, and their sizes add up."""
    saved = save_sklearn_model(model, tmp_path / "model")
    assert set(entries(saved.path)) == set(saved.digests) == FILES
    for name, digest in saved.digests.items():
        assert hashlib.sha256((saved.path / name).read_bytes()).hexdigest() == digest
    assert saved.size_bytes == sum(file.stat().st_size for file in saved.path.iterdir())
    assert saved.local_modules == ()
    assert entries(tmp_path) == ["model"]


def test_the_descriptor_says_what_mlflow_reads(tmp_path, model):
    """Every field of `MLmodel` has MLflow's name and form."""
    import platform

    import sklearn

    signature = {"inputs": '[{"type": "tensor"}]', "outputs": None, "params": None}
    saved = save_sklearn_model(
        model, tmp_path / "m", model_id="m-" + "a" * 32, run_id="b" * 32, signature=signature
    )
    found = described(saved.path)
    assert len(found.pop("model_uuid")) == 32
    assert len(found.pop("utc_time_created")) == len("2026-01-01 00:00:00.000000")
    assert isinstance(found.pop("mlflow_version"), str)
    assert found == {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
                "python_version": platform.python_version(),
            },
            "sklearn": {
                "code": None,
                "pickled_model": "model.pkl",
                "serialization_format": "cloudpickle",
                "sklearn_version": sklearn.__version__,
            },
        },
        "model_id": "m-" + "a" * 32,
        "model_size_bytes": (saved.path / "model.pkl").stat().st_size,
        "run_id": "b" * 32,
        "signature": signature,
    }


def test_a_transformer_is_no_python_function(tmp_path):
    """Without `predict` there is nothing for pyfunc to call."""
    saved = save_sklearn_model(StandardScaler().fit(X), tmp_path / "m")
    assert list(described(saved.path)["flavors"]) == ["sklearn"]


def test_the_environment_files_list_the_requirements(tmp_path, model):
    """The three files agree with each other and with what is installed."""
    import platform

    folder = save_sklearn_model(model, tmp_path / "m").path
    lines = (folder / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in lines] == [
        "cloudpickle",
        "numpy",
        "scikit-learn",
        "scipy",
    ]
    conda = yaml.safe_load((folder / "conda.yaml").read_bytes())
    assert conda["dependencies"] == [
        f"python={platform.python_version()}",
        "pip",
        {"pip": ["mlflow", *lines]},
    ]
    virtualenv = yaml.safe_load((folder / "python_env.yaml").read_bytes())
    assert virtualenv["python"] == platform.python_version()
    assert virtualenv["dependencies"] == ["-r requirements.txt", "mlflow"]


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("loader", ["SafeLoader", "CSafeLoader"])
def test_any_text_reads_back_from_the_descriptor(tmp_path, model, text, loader):
    """Names and signatures are quoted so that YAML gives back the very text."""
    if not hasattr(yaml, loader):
        pytest.skip("PyYAML was built without libyaml")
    signature = {"inputs": json.dumps([{"name": text}]), "outputs": text, "params": None}
    saved = save_sklearn_model(
        model,
        tmp_path / "m",
        artifact_path=text,
        model_id=text,
        run_id=text,
        signature=signature,
        metadata={"note": text, text: [1, 1e20, None, True, {"deep": text}]},
    )
    found = yaml.load((saved.path / "MLmodel").read_bytes(), getattr(yaml, loader))
    assert (found["artifact_path"], found["model_id"], found["run_id"]) == (text, text, text)
    assert found["signature"] == signature
    assert found["metadata"] == {"note": text, text: [1, 1e20, None, True, {"deep": text}]}


def test_half_a_surrogate_pair_does_not_spoil_the_file(tmp_path, model):
    """No UTF-8 file can hold it; the rest stays readable."""
    saved = save_sklearn_model(model, tmp_path / "m", artifact_path="a\ud800b")
    assert described(saved.path)["artifact_path"] == "a\ufffdb"


def test_metadata_that_yaml_cannot_hold_is_refused(tmp_path, model):
    """The error says what may be passed, and nothing is left."""
    with pytest.raises(ModelError, match="metadata"):
        save_sklearn_model(model, tmp_path / "m", metadata={"a": object()})
    assert entries(tmp_path) == []


def test_missing_parents_are_made(tmp_path, model):
    """The target may lie any depth below what exists."""
    assert save_sklearn_model(model, tmp_path / "a" / "b" / "artifacts").path.is_dir()


def test_what_cannot_be_pickled_leaves_nothing_behind(tmp_path):
    """No folder, no temporary folder, no parent that was made for it."""
    with pytest.raises(
        ModelError, match=r"Unpicklable cannot be pickled with cloudpickle: TypeError"
    ):
        save_sklearn_model(Unpicklable(), tmp_path / "a" / "b" / "artifacts")
    assert entries(tmp_path) == []


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    """Ctrl-C while pickling passes through, and the half-written folder goes."""

    class Interrupted(LogisticRegression):
        def __getstate__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_sklearn_model(Interrupted(), tmp_path / "m")
    assert entries(tmp_path) == []


def test_a_disk_that_refuses_is_named(tmp_path, model, monkeypatch):
    """A full disk leaves nothing behind, and the message names the folder."""

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skledger.models.contents.write_model", full)
    with pytest.raises(ModelError, match=r"cannot be written to .*No space left"):
        save_sklearn_model(model, tmp_path / "new" / "m")
    assert entries(tmp_path) == []


def test_a_taken_path_is_an_error(tmp_path, model):
    """What stands there stays as it is."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("m", "file"):
        with pytest.raises(ModelError, match="overwrite=True"):
            save_sklearn_model(model, tmp_path / name)
    assert entries(tmp_path) == ["file", "m"]
    assert entries(tmp_path / "m") == ["mine.txt"]


def test_an_empty_folder_is_taken_over(tmp_path, model):
    """As with MLflow, a temporary folder may be the target."""
    (tmp_path / "m").mkdir()
    save_sklearn_model(model, tmp_path / "m")
    assert set(entries(tmp_path / "m")) == FILES


def test_overwrite_replaces_the_whole_folder(tmp_path, model):
    """Nothing of the old folder is mixed into the new one."""
    for name in ("m", "file"):
        (tmp_path / name).mkdir() if name == "m" else (tmp_path / name).write_text("old")
    (tmp_path / "m" / "old.txt").write_text("old")
    for name in ("m", "file"):
        save_sklearn_model(model, tmp_path / name, overwrite=True)
        assert set(entries(tmp_path / name)) == FILES
    assert entries(tmp_path) == ["file", "m"]


def test_a_failed_overwrite_keeps_the_old_folder(tmp_path, model):
    """The old model stays until the new one is complete."""
    saved = save_sklearn_model(model, tmp_path / "m")
    with pytest.raises(ModelError):
        save_sklearn_model(Unpicklable(), tmp_path / "m", overwrite=True)
    assert entries(tmp_path) == ["m"]
    assert load_sklearn_model(tmp_path / "m", digests=saved.digests).max_iter == 300


def test_unknown_formats_are_refused(tmp_path, model):
    """The message lists those that are known."""
    with pytest.raises(InvalidParameterError, match="'json'.*'pickle', 'skops' or 'joblib'"):
        save_sklearn_model(model, tmp_path / "m", serialization_format="json")
    with pytest.raises(InvalidParameterError, match="'gzip'.*'zlib' or 'zstd'"):
        save_sklearn_model(model, tmp_path / "m", compression="gzip")
    assert entries(tmp_path) == []


def test_plain_pickle_says_how_a_lambda_can_be_stored(tmp_path):
    """The format pickle refuses lambdas; the message points to cloudpickle."""
    steps = FunctionTransformer(lambda values: values)
    with pytest.raises(ModelError, match="serialization_format='cloudpickle'"):
        save_sklearn_model(steps, tmp_path / "m", serialization_format="pickle")
    save_sklearn_model(steps, tmp_path / "m")


@pytest.mark.parametrize("serialization_format", ["cloudpickle", "pickle"])
def test_a_large_model_goes_to_the_file_in_parts(
    tmp_path, model, monkeypatch, serialization_format
):
    """Size, digest and content are those of the whole pickle."""
    monkeypatch.setattr("skledger.models.pickling._SPILL", 100_000)
    monkeypatch.setattr("skledger.models.pickling._LARGE", 300_000)
    model.small_ = [np.arange(9_000.0) + i for i in range(20)]
    model.large_ = np.asfortranarray(np.arange(90_000.0).reshape(300, 300))
    model.bytes_ = bytes(400_000)
    saved = save_sklearn_model(model, tmp_path / "m", serialization_format=serialization_format)
    loaded = load_sklearn_model(saved.path, digests=saved.digests)
    assert np.array_equal(loaded.large_, model.large_)
    assert np.array_equal(loaded.small_, model.small_)
    assert loaded.bytes_ == model.bytes_
    assert "numpy" in (saved.path / "requirements.txt").read_text()


# ------------------------------------------------------------- what cloudpickle stores by value

SCRIPT = """
    import operator, sys
    import wrapt
    from sklearn.datasets import load_iris
    from sklearn.utils.metaestimators import available_if
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from skledger.models import save_sklearn_model
    {patch}

    OFFSET = 3

    class Mine(LogisticRegression):
        def fit(self, X, y, *, offset=OFFSET):
            self.seen_ = offset
            return super().fit(X, y)

        def predict(self, X):
            return super().predict(X) + OFFSET - self.seen_

        @available_if(lambda self: True)
        def offset(self):
            return OFFSET

        @classmethod
        def make(cls):
            return cls()

    {wrap}
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(FunctionTransformer(lambda values: values + OFFSET), Mine(max_iter=500))
    model.fit(X, y)
    saved = save_sklearn_model(model, sys.argv[1], run_id=None)
    assert saved.local_modules == (), saved.local_modules
    print(model.score(X, y))
"""
FAKE = """
    class Patch(wrapt.FunctionWrapper):
        def __reduce_ex__(self, protocol):
            return operator.getitem, ((self.__wrapped__,), 0)
"""
WRAP = """
    def hook(wrapped, instance, args, kwargs):
        return wrapped(*args, **kwargs)
    mine = [(Mine, name) for name in ("fit", "predict", "offset", "make")]
    for owner, name in [*mine, (LogisticRegression, "fit")]:
        setattr(owner, name, Patch(vars(owner)[name], hook))
"""
REAL = """
    import skledger
    skledger.autolog()
"""


def fill(patch, wrap):
    # Each part is dedented by itself, for they stand at different depths.
    plain = textwrap.dedent(SCRIPT)
    return plain.replace("{patch}", textwrap.dedent(patch)).replace("{wrap}", textwrap.dedent(wrap))


def test_a_model_of_a_script_carries_nothing_of_ours(tmp_path):
    """A class of `__main__` is stored with its code, and without the hooks on its methods."""
    scores = {}
    for name, patch, wrap in (("fake", FAKE, WRAP), ("real", REAL, "")):
        scores[name] = run_python(fill(patch, wrap), tmp_path / name, cwd=tmp_path).split()[-1]
        content = (tmp_path / name / "model.pkl").read_bytes()
        assert b"skledger" not in content
        assert b"wrapt" not in content
        assert "wrapt" not in (tmp_path / name / "requirements.txt").read_text()
    elsewhere = """
        import pickle, sys
        sys.modules["skledger"] = sys.modules["wrapt"] = None
        from sklearn.datasets import load_iris
        X, y = load_iris(return_X_y=True)
        for name in ("fake", "real"):
            model = pickle.load(open(f"{name}/model.pkl", "rb"))
            kinds = {name: type(value).__name__ for name, value in vars(type(model[-1])).items()}
            assert kinds["fit"] == kinds["predict"] == "function", kinds
            assert kinds["offset"] == "_AvailableIfDescriptor", kinds
            assert kinds["make"] == "classmethod", kinds
            assert model[-1].offset() == 3
            print(name, model.score(X, y))
            model.fit(X, y)
    """
    lines = run_python(elsewhere, cwd=tmp_path).splitlines()
    assert lines == [f"{name} {score}" for name, score in scores.items()]


def test_a_reference_into_main_is_stored_by_value(tmp_path):
    """Anywhere in the object, also behind text that says the same."""
    script = """
        import functools, io, sys
        from skledger.models.pickling import pickle_into

        def double(value):
            return 2 * value

        for stored in (functools.partial(double, 2), [__name__, functools.partial(double, 2)]):
            file = io.BytesIO()
            pickle_into(file, stored, "cloudpickle")
            print(file.getvalue().hex())
    """
    alone, listed = (pickle.loads(bytes.fromhex(line)) for line in run_python(script).split())
    assert alone() == 4
    assert listed[0] == "__main__"
    assert listed[1]() == 4


def test_a_module_registered_by_value_is_stored(tmp_path, monkeypatch):
    """cloudpickle's register_pickle_by_value holds for our models as well."""
    import importlib

    import cloudpickle

    (tmp_path / "steps_by_value.py").write_text("def same(values):\n    return values\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("steps_by_value")
    cloudpickle.register_pickle_by_value(module)
    try:
        file = io.BytesIO()
        pickle_into(file, FunctionTransformer(module.same), "cloudpickle")
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    monkeypatch.delitem(sys.modules, "steps_by_value")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    assert pickle.loads(file.getvalue()).func([1]) == [1]


# --------------------------------------------------------------------------------- loading


def test_a_model_loads_with_the_same_predictions(tmp_path):
    """Equal to the bit, verified or not."""
    model = make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(X, y)
    for serialization_format in ("cloudpickle", "pickle"):
        saved = save_sklearn_model(
            model, tmp_path / serialization_format, serialization_format=serialization_format
        )
        for digests in (saved.digests, None):
            loaded = load_sklearn_model(str(saved.path), digests=digests)
            assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_changed_file_is_not_loaded(tmp_path, model, name):
    """One byte more in any booked file stops the load; the message names file and digests."""
    saved = save_sklearn_model(model, tmp_path / "m")
    with (saved.path / name).open("ab") as stream:
        stream.write(b" ")
    found = hashlib.sha256((saved.path / name).read_bytes()).hexdigest()
    with pytest.raises(ModelIntegrityError) as caught:
        load_sklearn_model(saved.path, digests=saved.digests)
    message = str(caught.value)
    assert repr(name) in message
    assert saved.digests[name] in message
    assert found in message
    assert "verify=False" in message
    load_sklearn_model(saved.path, digests=None)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_booked_file_is_reported(tmp_path, model, name):
    """A file that went missing is as suspicious as one that changed."""
    saved = save_sklearn_model(model, tmp_path / "m")
    (saved.path / name).unlink()
    with pytest.raises(ModelIntegrityError, match=f"{name}.*is missing"):
        load_sklearn_model(saved.path, digests=saved.digests)


def test_nothing_is_unpickled_before_everything_is_verified(tmp_path, model):
    """A hostile pickle does not run, whichever file gives it away."""
    saved = save_sklearn_model(model, tmp_path / "m")
    mark = tmp_path / "executed"

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(mark),)

    hostile = pickle.dumps(Hostile())
    (saved.path / "model.pkl").write_bytes(hostile)
    with pytest.raises(ModelIntegrityError):
        load_sklearn_model(saved.path, digests=saved.digests)
    # The pickle's digest is booked as it is, and another file does not fit.
    digests = saved.digests | {
        "model.pkl": hashlib.sha256(hostile).hexdigest(),
        "conda.yaml": "0" * 64,
    }
    with pytest.raises(ModelIntegrityError, match="conda"):
        load_sklearn_model(saved.path, digests=digests)
    assert not mark.exists()


def test_a_pickle_that_was_never_booked_is_not_loaded(tmp_path, model):
    """A descriptor that names another file, or no digests at all, is no way around."""
    saved = save_sklearn_model(model, tmp_path / "m")
    with pytest.raises(ModelIntegrityError, match="not booked"):
        load_sklearn_model(saved.path, digests={})
    text = (
        (saved.path / "MLmodel")
        .read_text()
        .replace('pickled_model: "model.pkl"', "pickled_model: other.pkl")
    )
    (saved.path / "MLmodel").write_text(text)
    (saved.path / "other.pkl").write_bytes((saved.path / "model.pkl").read_bytes())
    digests = saved.digests | {"MLmodel": hashlib.sha256(text.encode()).hexdigest()}
    with pytest.raises(ModelIntegrityError, match=r"'other.pkl'.*not booked"):
        load_sklearn_model(saved.path, digests=digests)


@pytest.mark.parametrize(
    "name",
    ["../outside.pkl", "/etc/passwd", "C:\\outside.pkl", "a/../../outside.pkl", "..\\outside.pkl"],
)
def test_a_path_out_of_the_folder_is_refused(tmp_path, model, name):
    """The descriptor may only name files in its own folder."""
    folder = save_sklearn_model(model, tmp_path / "m").path
    (tmp_path / "outside.pkl").write_bytes((folder / "model.pkl").read_bytes())
    text = (
        (folder / "MLmodel")
        .read_text()
        .replace('pickled_model: "model.pkl"', f"pickled_model: '{name}'")
    )
    (folder / "MLmodel").write_text(text)
    with pytest.raises(ModelError, match="outside"):
        load_sklearn_model(folder, digests=None)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_out_of_the_folder_is_refused(tmp_path, model):
    """A link in the folder that leads outside is not followed; a link to the folder is."""
    saved = save_sklearn_model(model, tmp_path / "m")
    (tmp_path / "link").symlink_to(saved.path)
    load_sklearn_model(tmp_path / "link", digests=saved.digests)
    (saved.path / "model.pkl").rename(tmp_path / "outside.pkl")
    (saved.path / "model.pkl").symlink_to(tmp_path / "outside.pkl")
    for digests in (None, saved.digests):
        with pytest.raises(ModelError, match="outside"):
            load_sklearn_model(saved.path, digests=digests)


def test_what_is_no_model_folder_is_explained(tmp_path, model):
    """Each way of not being a scikit-learn model has its message."""
    with pytest.raises(NotFoundError, match="no model folder"):
        load_sklearn_model(tmp_path / "nothing", digests=None)
    with pytest.raises(ModelError, match="'MLmodel' is missing"):
        load_sklearn_model(tmp_path, digests=None)
    for text, message in (
        ("{", "is not YAML"),
        ("- 1", "lists no flavors"),
        ("flavors: {xgboost: {}}", r"'xgboost'.*expected 'sklearn'"),
        ("flavors: {sklearn: {serialization_format: onnx}}", "format 'onnx'"),
        ("flavors: {sklearn: {serialization_format: pickle}}", "pickled_model is None"),
        ("flavors: {sklearn: {pickled_model: gone.pkl}}", "'gone.pkl' is missing"),
    ):
        (tmp_path / "MLmodel").write_text(text)
        with pytest.raises(ModelError, match=message):
            load_sklearn_model(tmp_path, digests=None)


def test_a_missing_module_is_named_with_what_to_install(tmp_path, monkeypatch):
    """The message gives the content of requirements.txt."""
    import importlib

    (tmp_path / "own_steps_z.py").write_text("class Step:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("own_steps_z")
    saved = save_sklearn_model([module.Step()], tmp_path / "m", code_paths=[])
    assert saved.local_modules == ("own_steps_z",)
    del module.Step
    with pytest.raises(ModelError, match="Step.*scikit-learn=="):
        load_sklearn_model(saved.path, digests=saved.digests)
    monkeypatch.delitem(sys.modules, "own_steps_z")
    (tmp_path / "own_steps_z.py").unlink()
    importlib.invalidate_caches()
    with pytest.raises(ModelError, match="'own_steps_z'.*scikit-learn=="):
        load_sklearn_model(saved.path, digests=saved.digests)


def test_a_broken_pickle_is_a_model_error(tmp_path, model):
    """Truncated or not a pickle at all."""
    folder = save_sklearn_model(model, tmp_path / "m").path
    (folder / "model.pkl").write_bytes((folder / "model.pkl").read_bytes()[:-10])
    with pytest.raises(ModelError, match="cannot be unpickled"):
        load_sklearn_model(folder, digests=None)


@pytest.mark.parametrize("transformer", [False, True])
def test_other_versions_are_told_once(tmp_path, model, transformer):
    """One warning names both versions of scikit-learn and of Python; equal versions are silent."""
    estimator = StandardScaler().fit(X) if transformer else model
    folder = save_sklearn_model(estimator, tmp_path / "m").path
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_sklearn_model(folder, digests=None)
    version = ".".join(map(str, sys.version_info[:3]))
    for name in ("MLmodel", "python_env.yaml"):
        text = (folder / name).read_text()
        text = text.replace(f'python_version: "{version}"', "python_version: 3.4.1")
        text = text.replace(f'python: "{version}"', "python: 3.4.1")
        text = "\n".join(
            "    sklearn_version: 0.24.2" if "sklearn_version" in line else line
            for line in text.split("\n")
        )
        (folder / name).write_text(text)
    with pytest.warns(UserWarning, match=r"scikit-learn 0\.24\.2 .* and Python 3\.4\.1 ") as caught:
        load_sklearn_model(folder, digests=None)
    assert len(caught) == 1


def test_modules_stored_beside_the_pickle_are_importable(tmp_path, monkeypatch):
    """MLflow's `code` folder: used on the caller's word, or when every file in it was booked."""
    import importlib

    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "own_steps_c.py").write_text("class Step:\n    pass\n")
    step = importlib.import_module("own_steps_c").Step()
    saved = save_sklearn_model([step], tmp_path / "m", code_paths=[])
    (saved.path / "code").mkdir()
    (tmp_path / "own_steps_c.py").rename(saved.path / "code" / "own_steps_c.py")
    text = (saved.path / "MLmodel").read_text().replace("code: null", "code: code")
    (saved.path / "MLmodel").write_text(text)
    digests = saved.digests | {"MLmodel": hashlib.sha256(text.encode()).hexdigest()}
    monkeypatch.delitem(sys.modules, "own_steps_c")
    importlib.invalidate_caches()
    with pytest.raises(ModelIntegrityError, match=r"code/own_steps_c\.py.*not booked"):
        load_sklearn_model(saved.path, digests=digests)
    code = (saved.path / "code" / "own_steps_c.py").read_bytes()
    digests["code/own_steps_c.py"] = hashlib.sha256(code).hexdigest()
    for booked in (digests, digests, None):
        assert type(load_sklearn_model(saved.path, digests=booked)[0]).__name__ == "Step"


# ------------------------------------------------------------------------------------ URIs

MODEL_ID = "m-" + "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("uri", "kind", "parts"),
    [
        ("runs:/abc/model", "run", {"run_id": "abc", "artifact_path": "model"}),
        ("runs:/abc/sub/model/", "run", {"run_id": "abc", "artifact_path": "sub/model"}),
        (f"models:/{MODEL_ID}", "logged_model", {"model_id": MODEL_ID}),
        ("models:/m-short", "registered", {"name": "m-short"}),
        ("models:/iris", "registered", {"name": "iris"}),
        ("models:/iris/latest", "registered", {"name": "iris"}),
        ("models:/iris/12", "registered", {"name": "iris", "version": 12}),
        ("models:/iris/Production", "registered", {"name": "iris", "stage": "Production"}),
        ("models:/iris@champion", "registered", {"name": "iris", "alias": "champion"}),
        ("models:/a@b@champion", "registered", {"name": "a@b", "alias": "champion"}),
        ("some/folder", "path", {"path": Path("some/folder")}),
        ("/some/folder", "path", {"path": Path("/some/folder")}),
        (Path("some/folder"), "path", {"path": Path("some/folder")}),
        ("C:\\models\\iris", "path", {"path": Path("C:\\models\\iris")}),
        ("file:///some/a%20folder", "path", {"path": Path("/some/a folder")}),
        ("file://localhost/some/folder", "path", {"path": Path("/some/folder")}),
        ("s3://bucket/model", "artifact", {}),
        ("mlflow-artifacts:/0/models/x", "artifact", {}),
    ],
)
def test_a_model_uri_is_taken_apart(uri, kind, parts):
    """Each accepted form sets its own fields and no others."""
    parsed = parse_model_uri(uri)
    assert parsed.kind == kind
    fields = ("run_id", "artifact_path", "model_id", "name", "version", "alias", "stage", "path")
    assert {
        name: getattr(parsed, name) for name in fields if getattr(parsed, name) is not None
    } == parts


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "  ",
        "runs:/abc",
        "runs:/abc/",
        "runs://abc/model",
        "runs:abc/model",
        "runs:/abc/../other",
        "models:/",
        "models:/@champion",
        "models:/iris@",
        "models:/iris/1/2",
        "models://iris/1",
        "s3://bucket",
        "s3://bucket/../model",
        "file://elsewhere/model",
        "file:",
    ],
)
def test_other_uris_are_refused_with_the_accepted_forms(uri):
    """The message repeats what was given and lists what can be."""
    with pytest.raises(InvalidParameterError) as caught:
        parse_model_uri(uri)
    assert repr(uri) in str(caught.value)
    assert "runs:/<run_id>/<path>" in str(caught.value)


def test_importing_the_package_imports_nothing():
    """The names are there, and nothing heavy is loaded for them until they are used."""
    script = """
        import sys
        import skledger.models
        from skledger.models import parse_model_uri
        parse_model_uri("models:/iris")
        print(sorted({"sklearn", "numpy", "scipy", "yaml", "cloudpickle", "pandas"} & set(sys.modules)))
    """
    assert run_python(script).strip() == "[]"
