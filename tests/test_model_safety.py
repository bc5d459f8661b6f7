"""Models that somebody made to do harm: nothing of theirs runs, and nothing outside is reached."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import SplineTransformer
from sklearn.tree import DecisionTreeClassifier

import skledger
import skledger.pyfunc
import skledger.sklearn
from skledger.errors import InvalidParameterError, ModelError, ModelIntegrityError
from skledger.models import get_model_info, load_sklearn_model, save_sklearn_model
from skledger.models.requirements import named_modules
from skledger.models.skops_format import dumped, loaded
from skledger.models.versions import compare_versions
from skledger.tracking.session import get_store

skops_io = pytest.importorskip("skops.io")

X, y = load_iris(return_X_y=True)


class Bomb:
    """Leaves a file when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path):
    yield
    assert not (tmp_path / "executed").exists()


def logged(**options):
    """Log a small model; return its information and its folder."""
    info = skledger.sklearn.log_model(LogisticRegression(max_iter=500).fit(X, y), **options)
    return info, Path(get_store().get_logged_model(info.model_id).artifact_location)


def rewrite(folder, **changes):
    """Change what MLmodel says of the scikit-learn flavour."""
    described = yaml.safe_load((folder / "MLmodel").read_bytes())
    described["flavors"]["sklearn"].update(changes)
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


LOADERS = (skledger.sklearn.load_model, skledger.pyfunc.load_model)


@pytest.mark.parametrize(
    "options", [{}, {"serialization_format": "joblib"}, {"compression": "zlib"}]
)
def test_a_pickle_that_was_put_in_place_of_the_model_is_not_read(options):
    """Neither by either loader nor by what only looks at the model."""
    info, folder = logged(**options)
    file = next(folder.glob("model.*"))
    content = pickle.dumps(Bomb())
    file.write_bytes(zlib.compress(content) if options.get("compression") else content)
    for load in LOADERS:
        for uri in (info.model_uri, f"runs:/{info.run_id}/model"):
            with pytest.raises(ModelIntegrityError, match="not the file that was booked"):
                load(uri)
            with pytest.raises(ModelError):
                load(uri, verify=False, allow_pickle=False)
    assert get_model_info(info.model_uri).flavors
    compare_versions(folder)
    named_modules(content)


@pytest.mark.parametrize(
    "name", ["cloudpickle", "pickle", "joblib", "cloudpickle+zlib", "joblib+zstd"]
)
def test_pickles_can_be_refused_outright(tmp_path, monkeypatch, name):
    """By the call, or by the environment, over everything else; skops stays."""
    serialization_format, _, compression = name.partition("+")
    options = {"serialization_format": serialization_format, "compression": compression or None}
    info, folder = logged(**options)
    safe, _ = logged(serialization_format="skops")
    for load in LOADERS:
        for uri in (info.model_uri, str(folder)):
            for verify in (True, False):
                with pytest.raises(ModelError, match="allow_pickle=False"):
                    load(uri, verify=verify, allow_pickle=False)
        assert load(safe.model_uri, allow_pickle=False).predict(X).shape == (150,)
    for value in ("0", "false", " No "):
        monkeypatch.setenv("SKLEDGER_ALLOW_PICKLE", value)
        for load in LOADERS:
            with pytest.raises(ModelError, match="SKLEDGER_ALLOW_PICKLE"):
                load(info.model_uri, allow_pickle=True)
            assert load(safe.model_uri).predict(X).shape == (150,)
    monkeypatch.setenv("SKLEDGER_ALLOW_PICKLE", "nope")
    with pytest.raises(InvalidParameterError, match="expected 0 or 1"):
        skledger.sklearn.load_model(info.model_uri)


def test_modules_of_a_model_are_refused_like_pickles(tmp_path):
    """They run as soon as they are imported."""
    Path("bomb.py").write_text("import os\nos.mkdir('executed')\n")
    info, _ = logged(serialization_format="skops", code_paths=["bomb.py"])
    with pytest.raises(ModelError, match="modules of its author"):
        skledger.sklearn.load_model(info.model_uri, allow_pickle=False)


def test_a_pickle_under_another_name_is_no_skops(tmp_path):
    """The format decides how the file is read, not the other way round."""
    folder = save_sklearn_model(
        LogisticRegression().fit(X, y), tmp_path / "m", serialization_format="skops"
    ).path
    (folder / "model.skops").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="cannot be read by skops"):
        load_sklearn_model(folder, digests=None)


# ------------------------------------------------------------------------------------ skops


def edited(model, edit, files=None):
    """Return a skops file of a model after an edit of its schema."""
    source = zipfile.ZipFile(io.BytesIO(skops_io.dumps(model)))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                edit(schema)
                content = json.dumps(schema).encode()
            elif files is not None:
                content = files(name, content)
            archive.writestr(name, content)
    return target.getvalue()


def replaced(schema, by):
    schema.clear()
    schema.update(by)


def node(loader, name, **more):
    module, _, cls = name.rpartition(".")
    return {"__class__": cls, "__module__": module, "__loader__": loader, "__id__": 1, **more}


TEXT = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}


def harmful_nodes():
    """Files that would run something if what they name were trusted."""
    argument = node("TupleNode", "builtins.tuple", content=[{**TEXT, "content": '"executed"'}])
    function = node("FunctionNode", "os.mkdir")
    keywords = node(
        "DictNode",
        "builtins.dict",
        content={},
        key_types=node("ListNode", "builtins.list", content=[]),
    )
    partial = {"func": function, "args": argument, "kwds": keywords, "namespace": keywords}
    return {
        "constructor": node("ConstructorFromReduceNode", "os.mkdir", content=argument),
        "function": function,
        "partial": node("PartialNode", "functools.partial", content=partial),
        "methodcaller": node("OperatorFuncNode", "operator.methodcaller", attrs=argument),
        "type": node("TypeNode", "os.system"),
        "tuple": node("TupleNode", "os.mkdir", content=[{**TEXT, "content": '"executed"'}]),
    }


@pytest.mark.parametrize("kind", harmful_nodes())
def test_a_skops_file_cannot_trust_itself(tmp_path, kind):
    """Neither in the file nor in MLmodel; the error names what it wanted."""
    folder = save_sklearn_model(
        LogisticRegression().fit(X, y), tmp_path / "m", serialization_format="skops"
    ).path
    by = {**harmful_nodes()[kind], "protocol": 2, "_skops_version": "0.16"}
    content = edited(LogisticRegression(), lambda schema: replaced(schema, by))
    (folder / "model.skops").write_bytes(content)
    listed = ["os.mkdir", "os.system", "posix.mkdir", "functools.partial", "operator.methodcaller"]
    rewrite(folder, skops_trusted_types=listed, trusted=listed)
    for load in LOADERS:
        with pytest.raises(ModelError, match="not known to be harmless|cannot be read by skops"):
            load(str(folder))


@pytest.mark.parametrize("loader", ["ConstructorFromReduceNode", "TupleNode", "ListNode"])
def test_reviewed_functions_are_not_called_by_a_file(loader):
    """A name that is harmless as the value of a param would be called in other places."""
    name = "sklearn.cluster._kmeans._kmeans_single_lloyd"
    item = {**TEXT, "content": "1"}
    content = (
        [item]
        if loader != "ConstructorFromReduceNode"
        else node("TupleNode", "builtins.tuple", content=[item])
    )
    by = {**node(loader, name, content=content), "protocol": 2, "_skops_version": "0.16"}
    made = edited(LogisticRegression(), lambda schema: replaced(schema, by))
    with pytest.raises(ModelError, match="_kmeans_single_lloyd"):
        loaded(made, [], "the model")


def test_no_reviewed_type_runs_code_of_a_file():
    """None of the callables that take others' functions is among them."""
    from skledger.models.skops_format import reviewed_types

    for name, loaders in reviewed_types().items():
        assert name.split(".")[0] in ("sklearn", "numpy", "scipy"), name
        assert not loaders & {"PartialNode", "OperatorFuncNode", "MethodNode", "TypeNode"}
        assert not any(
            word in name for word in ("PyFunc", "partial", "methodcaller", "load", "eval")
        )


def indices(model, part, name, value):
    """Return a model whose trees' nodes say something else."""
    seen = []

    def change(entry, content):
        if not entry.endswith(".npy"):
            return content
        array = np.load(io.BytesIO(content))
        if array.dtype.names and name in array.dtype.names:
            seen.append(entry)
            array[name][part] = value
            buffer = io.BytesIO()
            np.save(buffer, array)
            return buffer.getvalue()
        return content

    made = edited(model, lambda schema: None, change)
    assert seen
    return made


@pytest.mark.parametrize(
    ("model", "part", "name", "value"),
    [
        (DecisionTreeClassifier(), 0, "left_child", 10**6),
        (DecisionTreeClassifier(), 0, "right_child", 0),
        (DecisionTreeClassifier(), 0, "feature", 4),
        (DecisionTreeClassifier(), 0, "feature", -7),
        (RandomForestClassifier(3, random_state=0), 0, "left_child", 10**6),
        (HistGradientBoostingClassifier(max_iter=3), 0, "left", 10**6),
        (HistGradientBoostingClassifier(max_iter=3), 0, "feature_idx", 99),
        (KNeighborsClassifier(algorithm="kd_tree", leaf_size=10), 0, "idx_end", 10**6),
        (KNeighborsClassifier(algorithm="ball_tree", leaf_size=10), -1, "is_leaf", 0),
    ],
    ids=str,
)
def test_indices_that_lead_astray_are_found_before_anything_follows_them(model, part, name, value):
    """scikit-learn would read other memory, or die."""
    model.fit(X, y)
    content = indices(model, part, name, value)
    with pytest.raises(ModelError, match="tampered"):
        loaded(content, [], "the model")
    assert np.array_equal(loaded(dumped(model)[0], [], "it").predict(X), model.predict(X))


def test_trees_look_at_no_more_features_than_their_estimator_takes():
    """A tree with many features in an estimator of few reads beyond the row."""
    wide = DecisionTreeClassifier().fit(np.hstack([np.zeros((150, 50)), X]), y)
    wide.n_features_in_ = 4
    with pytest.raises(ModelError, match="more features"):
        loaded(dumped(wide)[0], [], "the model")
    spline = SplineTransformer().fit(X)
    spline.bsplines_[0].c = spline.bsplines_[0].c[:2]
    with pytest.raises(ModelError, match="coefficients"):
        loaded(dumped(spline)[0], [], "the model")


# -------------------------------------------------------------------------- paths and bombs


@pytest.mark.parametrize("name", ["../outside.pkl", "/etc/passwd", "a/../../outside.pkl", "C:\\x"])
@pytest.mark.parametrize("key", ["pickled_model", "code"])
def test_paths_in_a_description_stay_in_the_folder(tmp_path, key, name):
    """For the model and for its modules."""
    (tmp_path / "outside.pkl").write_bytes(pickle.dumps(Bomb()))
    folder = save_sklearn_model(LogisticRegression().fit(X, y), tmp_path / "m").path
    rewrite(folder, **{key: name})
    with pytest.raises(ModelError, match="lies outside"):
        load_sklearn_model(folder, digests=None)


def test_links_in_a_folder_stay_in_the_folder(tmp_path):
    """For the model, its modules, its example, and in a copy of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    (outside / "steps.py").write_text("import os\nos.mkdir('executed')\n")
    (outside / "secret.json").write_text('{"columns": ["a"], "data": [[1]]}')
    Path("own.py").write_text("x = 1\n")
    info, folder = logged(code_paths=["own.py"], input_example=X[:2])
    (folder / "code" / "steps.py").symlink_to(outside / "steps.py")
    with pytest.raises(ModelError, match="outside"):
        skledger.sklearn.load_model(str(folder))
    (folder / "code" / "steps.py").unlink()
    (folder / "input_example.json").unlink()
    (folder / "input_example.json").symlink_to(outside / "secret.json")
    with pytest.raises(ModelError, match="outside"):
        skledger.pyfunc.load_model(str(folder)).input_example  # noqa: B018
    (folder / "model.pkl").unlink()
    (folder / "model.pkl").symlink_to(outside / "model.pkl")
    for copy in (None, tmp_path / "copy"):
        with pytest.raises(ModelError, match="outside"):
            skledger.sklearn.load_model(str(folder), copy)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_is_no_file(tmp_path):
    """Reading it would have no end."""
    folder = save_sklearn_model(LogisticRegression().fit(X, y), tmp_path / "m").path
    (folder / "model.pkl").unlink()
    os.mkfifo(folder / "model.pkl")
    with pytest.raises(ModelError, match="no file"):
        load_sklearn_model(folder, digests=None)


def test_byte_code_beside_the_modules_is_not_run(tmp_path, monkeypatch):
    """Python would run it in place of the source that was booked, if it looks like its own."""
    import importlib.util
    import struct

    Path("own_steps_q.py").write_text("class Step:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("own_steps_q")
    saved = save_sklearn_model([module.Step()], tmp_path / "m")
    source = saved.path / "code" / "own_steps_q.py"
    found = source.stat()
    code = compile("import os\nos.mkdir('executed')\nclass Step:\n    pass\n", "x", "exec")
    import marshal

    head = importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, int(found.st_mtime), found.st_size)
    cached = Path(importlib.util.cache_from_source(str(source)))
    cached.parent.mkdir()
    cached.write_bytes(head + marshal.dumps(code))
    import sys

    monkeypatch.delitem(sys.modules, "own_steps_q")
    Path("own_steps_q.py").unlink()
    importlib.invalidate_caches()
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert type(load_sklearn_model(saved.path, digests=saved.digests)[0]).__name__ == "Step"
    monkeypatch.delitem(sys.modules, "own_steps_q", raising=False)


def test_a_compressed_bomb_does_not_go_off(tmp_path, monkeypatch):
    """More than is promised, and a promise of too much, are refused before memory is taken."""
    folder = save_sklearn_model(
        LogisticRegression().fit(X, y), tmp_path / "m", compression="zlib"
    ).path
    (folder / "model.pkl.zz").write_bytes(zlib.compress(bytes(50_000_000), 9))
    with pytest.raises(ModelError, match="more than the"):
        load_sklearn_model(folder, digests=None)
    for promised, words in ((10**13, "SKLEDGER_MAX_MODEL_SIZE"), ("much", "nothing says")):
        rewrite(folder, uncompressed_size_bytes=promised)
        with pytest.raises(ModelError, match=words):
            load_sklearn_model(folder, digests=None)
    monkeypatch.setenv("SKLEDGER_MAX_MODEL_SIZE", "1 MB")
    rewrite(folder, uncompressed_size_bytes=50_000_000)
    with pytest.raises(ModelError, match="the bound is 1,048,576"):
        load_sklearn_model(folder, digests=None)


def test_an_archive_bomb_does_not_go_off(monkeypatch):
    """What a skops file unpacks to is added up before anything is unpacked."""
    content = skops_io.dumps(LogisticRegression())
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(30_000_000))
    monkeypatch.setenv("SKLEDGER_MAX_MODEL_SIZE", "10 MB")
    with pytest.raises(ModelError, match="would unpack to 30,"):
        loaded(buffer.getvalue(), [], "the model")


def test_a_digest_is_that_of_the_bytes(tmp_path):
    """Nothing but the whole file will do."""
    saved = save_sklearn_model(LogisticRegression().fit(X, y), tmp_path / "m")
    content = (saved.path / "model.pkl").read_bytes()
    assert saved.digests["model.pkl"] == hashlib.sha256(content).hexdigest()
    (saved.path / "model.pkl").write_bytes(content + b"\0")
    with pytest.raises(ModelIntegrityError):
        load_sklearn_model(saved.path, digests=saved.digests)


def test_the_place_of_a_booked_model_is_compared_with_what_was_booked():
    """A path, or a URI of it, into the store in use is no way around the digests."""
    info, folder = logged()
    assert skledger.sklearn.load_model(folder).n_iter_.size == 1
    (folder / "model.pkl").write_bytes(pickle.dumps(Bomb()))
    for place in (str(folder), folder.as_uri(), folder.absolute()):
        with pytest.raises(ModelIntegrityError, match="is not the file that was booked"):
            skledger.sklearn.load_model(place)
        with pytest.raises(ModelIntegrityError, match="is not the file that was booked"):
            skledger.pyfunc.load_model(place)


def test_artifacts_of_nobody_are_not_unpickled_without_a_word(tmp_path):
    """A URI among artifacts says nothing of who put the files there."""
    fsspec = pytest.importorskip("fsspec")
    model = LogisticRegression(max_iter=500).fit(X, y)
    skledger.sklearn.save_model(model, tmp_path / "m")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "m"), "/bucket/m", recursive=True)
    try:
        with pytest.raises(ModelIntegrityError, match=r"No digest is booked.*verify=False"):
            skledger.sklearn.load_model("memory://bucket/m")
        loaded = skledger.sklearn.load_model("memory://bucket/m", verify=False)
        assert (loaded.predict(X) == model.predict(X)).all()
    finally:
        memory.rm("/bucket", recursive=True)


@pytest.mark.parametrize("field", ["pickled_model", "serialization_format"])
def test_a_description_that_unfolds_without_end_is_refused(tmp_path, field):
    """YAML can name a list of lists of lists by a few letters each."""
    skledger.sklearn.save_model(LogisticRegression(max_iter=500).fit(X, y), tmp_path / "m")
    described = yaml.safe_load((tmp_path / "m" / "MLmodel").read_bytes())
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]\n" for at in range(1, 12))
    described["flavors"]["sklearn"][field] = "BOMB"
    text = bomb + yaml.safe_dump(described).replace("BOMB", "*a11")
    (tmp_path / "m" / "MLmodel").write_text(text)
    with pytest.raises(ModelError) as caught:
        skledger.sklearn.load_model(str(tmp_path / "m"))
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    "change",
    [
        {"signature": 5},
        {"signature": {"inputs": "[" * 100_000}},
        {"signature": {"inputs": "5", "outputs": None}},
        {"signature": {"inputs": None, "params": '[{"name": "a"}]'}},
        {"saved_input_example_info": 5},
        {"metadata": [1]},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_broken_description_is_told_in_words(tmp_path, change):
    """Whatever part of it somebody broke."""
    skledger.sklearn.save_model(LogisticRegression(max_iter=500).fit(X, y), tmp_path / "m")
    file = tmp_path / "m" / "MLmodel"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_bytes()), **change}))
    with pytest.raises((ModelError, InvalidParameterError)) as caught:
        skledger.pyfunc.load_model(str(tmp_path / "m")).predict(X)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("name", ["x", "__reduce__", "n_iter_", 5])
def test_only_public_methods_are_asked(tmp_path, name):
    """A description cannot have anything else called."""
    skledger.sklearn.save_model(LogisticRegression(max_iter=500).fit(X, y), tmp_path / "m")
    file = tmp_path / "m" / "MLmodel"
    described = yaml.safe_load(file.read_bytes())
    described["flavors"]["python_function"]["predict_fn"] = name
    file.write_text(yaml.safe_dump(described))
    with pytest.raises(ModelError, match="which is no method of this LogisticRegression"):
        skledger.pyfunc.load_model(str(tmp_path / "m"))
