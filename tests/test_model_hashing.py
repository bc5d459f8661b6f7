"""A model's file is hashed as it is read, and made from the very bytes that were hashed."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from skledger.errors import ModelIntegrityError
from skledger.models.folder import save_sklearn_model
from skledger.models.hashing import LARGE, read_and_hash
from skledger.models.loading import load_sklearn_model


@pytest.mark.parametrize(
    "size", [0, 1, LARGE - 1, LARGE, LARGE + 1, LARGE + (1 << 22), 2 * LARGE + 12_345]
)
def test_bytes_and_digest_are_those_of_the_file(tmp_path, size):
    """Whatever the size, and however the pieces fall."""
    file = tmp_path / "file"
    file.write_bytes(os.urandom(1 << 20) * (size >> 20) + os.urandom(size & ((1 << 20) - 1)))
    content, digest = read_and_hash(file)
    assert content == file.read_bytes()
    assert digest == hashlib.sha256(content).hexdigest()


def test_a_large_model_loads_and_one_that_was_changed_does_not(tmp_path):
    """The last byte of it is looked at as the first one."""
    X = np.random.default_rng(0).normal(size=(60_000, 40))
    model = KNeighborsClassifier(algorithm="brute").fit(X, X[:, 0] > 0)
    saved = save_sklearn_model(model, tmp_path / "model")
    loaded = load_sklearn_model(tmp_path / "model", digests=saved.digests)
    assert (loaded.predict(X[:20]) == model.predict(X[:20])).all()
    file = tmp_path / "model" / "model.pkl"
    assert file.stat().st_size > LARGE
    for at in (0, -1):
        content = bytearray(file.read_bytes())
        content[at] ^= 1
        file.write_bytes(content)
        with pytest.raises(ModelIntegrityError, match="is not the file that was booked"):
            load_sklearn_model(tmp_path / "model", digests=saved.digests)
        content[at] ^= 1
        file.write_bytes(content)


def test_loaded_arrays_can_be_written_to(tmp_path):
    """A model that goes on learning owns its memory."""
    X = np.random.default_rng(0).normal(size=(60_000, 40))
    saved = save_sklearn_model(KNeighborsClassifier().fit(X, X[:, 0] > 0), tmp_path / "model")
    loaded = load_sklearn_model(tmp_path / "model", digests=saved.digests)
    loaded._fit_X[0, 0] = 5.0
    assert loaded._fit_X[0, 0] == 5.0
