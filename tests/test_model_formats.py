"""The formats of a model: all of scikit-learn in each of them, compressed, mapped, and bounded."""

from __future__ import annotations

import copy
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml
from _estimators import answers, data_for, differences, sklearn_estimators
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skledger
import skledger.sklearn
from skledger.errors import (
    InvalidParameterError,
    ModelError,
    ModelIntegrityError,
    ModelTooLargeError,
)
from skledger.models import load_sklearn_model, save_sklearn_model
from skledger.models.versions import VersionDifference, compare_versions, pip_command

X, y = load_iris(return_X_y=True)
FORMATS = ("cloudpickle", "pickle", "skops", "joblib")
DOCS = Path(__file__).parents[1] / "docs" / "models.md"

#: Estimators that skops does not write, and why; the table in docs/models.md says the same.
NOT_IN_SKOPS = {"Birch": "skops refuses it: its tree of clusters refers to itself"}


@pytest.fixture(scope="module")
def fitted():
    """Every estimator, fitted, with the data and what it says of them."""
    result = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, template in sklearn_estimators():
            estimator, args = copy.deepcopy(template), data_for(template)
            estimator.fit(*copy.deepcopy(args))
            result[name] = estimator, args, answers(estimator, args)
    return result


@pytest.mark.parametrize("serialization_format", FORMATS)
def test_every_estimator_comes_back(tmp_path, fitted, serialization_format):
    """Its answers are equal to the bit, whichever format it went through, without more trust."""
    refused = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, (estimator, args, said) in fitted.items():
            path = tmp_path / name
            try:
                saved = save_sklearn_model(
                    estimator, path, serialization_format=serialization_format
                )
            except ModelError as error:
                refused[name] = error.message
                continue
            assert saved.unknown_types == ()
            allow = serialization_format != "skops"
            loaded = load_sklearn_model(path, digests=saved.digests, allow_pickle=allow)
            assert not differences(answers(loaded, args), said), name
    expected = NOT_IN_SKOPS if serialization_format == "skops" else {}
    assert refused.keys() == expected.keys()


def test_the_documentation_counts_what_skops_takes(fitted):
    """How many there are, how many come back, and which do not."""
    text = DOCS.read_text(encoding="utf-8")
    classes = {type(estimator).__name__ for estimator, _, _ in fitted.values()}
    assert f"{len(classes) - len(NOT_IN_SKOPS)} of {len(classes)}" in text
    for name, why in NOT_IN_SKOPS.items():
        assert f"| `{name}` | {why} |" in text


def test_the_reviewed_types_are_those_of_the_script(run_python):
    """The file in the package is what the script makes of this scikit-learn, or of a newer one."""
    script = Path(__file__).parents[1] / "scripts" / "trusted_types.py"
    found = run_python(
        f"""
        import runpy, sys
        sys.argv = ["trusted_types.py", "--check"]
        runpy.run_path({str(script)!r}, run_name="__main__")
        """,
        check=False,
    )
    missing = [line for line in found.stdout.splitlines() if line.startswith("+ estimators")]
    assert not missing, found.stdout


def test_more_is_made_of_a_skops_file_on_the_callers_word_only(caplog):
    """Types of your own are named to `trusted`, by name or as they are; a line says so at once."""
    model = make_pipeline(FunctionTransformer(np.fliplr), Own()).fit(X)
    info = skledger.sklearn.log_model(model, serialization_format="skops", code_paths=[])
    name = f"{Own.__module__}.Own"
    assert f"trusted=['numpy.fliplr', '{name}']" in caplog.text
    with pytest.raises(ModelError, match=r"not known to be harmless: .*trusted=\["):
        skledger.sklearn.load_model(info.model_uri, trusted=["numpy.fliplr"])
    for own in (name, Own):
        loaded = skledger.sklearn.load_model(info.model_uri, trusted=["numpy.fliplr", own])
        assert np.array_equal(loaded.transform(X), np.fliplr(X))


class Own(BaseEstimator):
    """A step that does nothing."""

    def fit(self, X, y=None):
        self.seen_ = len(X)
        return self

    def transform(self, X):
        return X


def test_skops_says_at_once_what_it_could_not_read_again(tmp_path):
    """It stores functions by name, and a lambda has none."""
    with pytest.raises(ModelError, match="lambda.*cloudpickle"):
        save_sklearn_model(
            FunctionTransformer(lambda values: values), tmp_path / "m", serialization_format="skops"
        )
    assert not (tmp_path / "m").exists()


# ---------------------------------------------------------------------------- compression


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
@pytest.mark.parametrize("serialization_format", FORMATS)
def test_a_compressed_model_is_smaller_and_the_same(tmp_path, serialization_format, compression):
    """The digest is that of the file; the format is noted where MLflow looks for it."""
    model = RandomForestClassifier(30, random_state=0).fit(X, y)
    plain = save_sklearn_model(model, tmp_path / "p", serialization_format=serialization_format)
    saved = save_sklearn_model(
        model,
        tmp_path / "c",
        serialization_format=serialization_format,
        compression=compression,
    )
    assert saved.size_bytes < plain.size_bytes / 2
    flavors = yaml.safe_load((saved.path / "MLmodel").read_bytes())["flavors"]
    assert flavors["sklearn"]["serialization_format"] == f"{serialization_format}+{compression}"
    loaded = load_sklearn_model(saved.path, digests=saved.digests)
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X))
    file = saved.path / flavors["sklearn"]["pickled_model"]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelIntegrityError):
        load_sklearn_model(saved.path, digests=saved.digests)
    with pytest.raises(ModelError, match="unpack"):
        load_sklearn_model(saved.path, digests=None)


def test_an_absent_library_is_named(tmp_path, monkeypatch):
    """zstd needs one, zlib does not."""
    import sys

    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(ModelError, match=r"skledger\[zstd\].*zlib"):
        save_sklearn_model(StandardScaler(), tmp_path / "m", compression="zstd")
    save_sklearn_model(StandardScaler(), tmp_path / "m", compression="zlib")


# ---------------------------------------------------------------------------------- mapping


def test_arrays_are_mapped_after_the_digest_was_compared(tmp_path):
    """From joblib's format only; what was changed is not mapped."""
    model = LogisticRegression().fit(X, y)
    model.large_ = np.arange(1_000_000.0)
    info = skledger.sklearn.log_model(model, serialization_format="joblib")
    loaded = skledger.sklearn.load_model(info.model_uri, mmap_mode="r")
    assert isinstance(loaded.large_, np.memmap)
    assert np.array_equal(loaded.large_, model.large_)
    assert np.array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="read-only"):
        loaded.large_[0] = 1
    read = skledger.sklearn.load_model(info.model_uri)
    assert type(read.large_) is np.ndarray
    file = Path(skledger.get_logged_model(info.model_id).artifact_location, "model.joblib")
    content = bytearray(file.read_bytes())
    content[-1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelIntegrityError):
        skledger.sklearn.load_model(info.model_uri, mmap_mode="r")


def test_what_cannot_be_mapped_is_explained(tmp_path):
    """Another format, and a way of mapping that could write to the file."""
    save_sklearn_model(StandardScaler(), tmp_path / "p")
    with pytest.raises(InvalidParameterError, match=r"serialization_format='joblib'"):
        skledger.sklearn.load_model(str(tmp_path / "p"), mmap_mode="r")
    save_sklearn_model(StandardScaler(), tmp_path / "j", serialization_format="joblib")
    with pytest.raises(InvalidParameterError, match=r"'r\+'"):
        skledger.sklearn.load_model(str(tmp_path / "j"), mmap_mode="r+")


# ------------------------------------------------------------------------------------- size


@pytest.mark.parametrize("serialization_format", FORMATS)
def test_a_model_that_is_too_large_is_given_up_before_it_is_written(
    tmp_path, monkeypatch, serialization_format
):
    """Counted before compression; nothing stays, and the error says what allows it."""
    model = StandardScaler().fit(X)
    model.large_ = [np.arange(100_000.0) for _ in range(5)]
    for compression in (None, "zlib"):
        with pytest.raises(ModelTooLargeError, match="SKLEDGER_MAX_MODEL_SIZE") as caught:
            save_sklearn_model(
                model,
                tmp_path / "m",
                serialization_format=serialization_format,
                compression=compression,
                max_size=1_000_000,
            )
        assert 1_000_000 < caught.value.found < 3_000_000
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("SKLEDGER_MAX_MODEL_SIZE", "1 MB")
    with pytest.raises(ModelTooLargeError):
        skledger.sklearn.save_model(
            model, tmp_path / "m", serialization_format=serialization_format
        )
    monkeypatch.setenv("SKLEDGER_MAX_MODEL_SIZE", "0.1 GB")
    skledger.sklearn.save_model(model, tmp_path / "m", serialization_format=serialization_format)
    monkeypatch.setenv("SKLEDGER_MAX_MODEL_SIZE", "much")
    with pytest.raises(InvalidParameterError, match=r"SKLEDGER_MAX_MODEL_SIZE.*'500 MB'"):
        skledger.sklearn.save_model(model, tmp_path / "n")


# --------------------------------------------------------------------------------- versions


def other_versions(folder):
    """Make a folder say that it was saved long ago."""
    file = folder / "MLmodel"
    file.write_text(re.sub(r"sklearn_version: .*", 'sklearn_version: "1.0.2"', file.read_text()))
    (folder / "requirements.txt").write_text(
        "# what it needs\ncloudpickle>=1\nnumpy==1.22.4\nscikit_learn==1.0.2\n"
        "no-such-package[extra]==3.1 ; python_version > '3'\n-c constraints.txt\n"
    )


def test_versions_are_compared(tmp_path):
    """Only what is pinned and differs: scikit-learn first, then by name; nothing is run."""
    import sklearn

    folder = save_sklearn_model(SelectKBest(k=2).fit(X, y), tmp_path / "m").path
    assert compare_versions(folder) == []
    other_versions(folder)
    found = compare_versions(folder)
    assert found == [
        VersionDifference("scikit-learn", "1.0.2", sklearn.__version__),
        VersionDifference("no-such-package", "3.1", None),
        VersionDifference("numpy", "1.22.4", np.__version__),
    ]
    assert str(found[1]) == "no-such-package 3.1 (here not installed)"
    assert pip_command(found).startswith("pip install scikit-learn==1.0.2 no-such-package==3.1")
    assert pip_command([]) == ""


def test_loading_under_other_versions_warns_once_for_all(tmp_path):
    """With both versions and what to install, where the user calls; scikit-learn's own is kept."""
    from sklearn.exceptions import InconsistentVersionWarning

    model = StandardScaler().fit(X)
    folder = save_sklearn_model(model, tmp_path / "m").path
    other_versions(folder)
    import sklearn

    content = (folder / "model.pkl").read_bytes()
    own = sklearn.__version__.encode()
    (folder / "model.pkl").write_bytes(
        content.replace(own, b"1.0.2"[: len(own)].ljust(len(own), b"0"))
    )
    with pytest.warns() as caught:
        skledger.sklearn.load_model(str(folder))
    ours = [each for each in caught if each.category is UserWarning]
    assert len(ours) == 1 and ours[0].filename == __file__
    text = str(ours[0].message)
    assert "scikit-learn 1.0.2 (here" in text and "numpy 1.22.4 (here" in text
    assert "pip install scikit-learn==1.0.2 numpy==1.22.4" in text
    assert any(issubclass(each.category, InconsistentVersionWarning) for each in caught)
