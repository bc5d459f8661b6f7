"""The diagram of an estimator is drawn later, from a likeness taken when the fit ended."""

import re

import numpy as np
import pandas as pd
import pytest
from _estimators import data_for, sklearn_estimators
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.utils import estimator_html_repr

from skledger.capture.likeness import likeness

ESTIMATORS = dict(sklearn_estimators())
#: They keep objects of scipy, which may hold anything and are left out: their diagram does not
#: list the names of the features they make.
OF_SCIPY = ("SplineTransformer", "IsotonicRegression")
X, y = load_iris(return_X_y=True)


def page(estimator):
    """The diagram, without the numbers that differ each time it is drawn."""
    text = re.sub(r"sk-(container|estimator)-id-[\w-]+", "id", estimator_html_repr(estimator))
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def sized(text):
    """A diagram without the fitted attributes, which newer scikit-learn lists: large ones are
    not held."""
    return re.sub(
        r"(?s)<div class=\"estimator-table\">\s*<details>\s*<summary>Fitted.*?</details>"
        r"\s*</div>",
        "",
        text,
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_it_looks_like_the_estimator(name):
    """Fitted and not."""
    estimator = ESTIMATORS[name]
    assert page(likeness(estimator)) == page(estimator)
    estimator.fit(*data_for(estimator))
    drawn = sized(page(likeness(estimator)))
    if type(estimator).__name__ in OF_SCIPY:
        assert "features fitted" not in drawn
    else:
        assert drawn == sized(page(estimator))


def test_nested_estimators_are_as_they_were():
    """What the user does to parts of it afterwards does not show."""
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4] * 5, "b": list("xyxy") * 5, "c": range(20)})
    columns = make_column_transformer(
        (StandardScaler(), ["a"]), (OneHotEncoder(), ["b"]), remainder="passthrough"
    )
    union = FeatureUnion([("columns", columns)])
    search = GridSearchCV(make_pipeline(union, SVC()), {"svc__C": [1, 7.5]}, cv=2)
    search.fit(frame, [0, 1] * 10)
    before = sized(page(search))
    taken = likeness(search)
    assert sized(page(taken)) == before
    search.estimator.set_params(svc__kernel="poly")
    search.best_estimator_.set_params(svc__kernel="poly")
    columns.set_params(remainder="drop")
    assert sized(page(search)) != before
    assert sized(page(taken)) == before


def test_nothing_large_is_held():
    """The trees, the training data of a neighbours' model and the like are not kept."""
    import weakref

    class Holder(SVC):
        def fit(self, X, y):
            self.data_ = np.zeros((1000, 100))
            return super().fit(X, y)

    estimator = Holder().fit(X, y)
    link = weakref.ref(estimator.data_)
    taken = likeness(estimator)
    del estimator
    assert link() is None
    assert "Holder" in page(taken)


def test_drawing_runs_no_code_of_the_user(run_python):
    """A class of ``__main__`` stays as it is, its fits are booked, nothing of it is unpickled."""
    done = run_python(
        """
        import numpy as np, skledger
        from sklearn.base import BaseEstimator, ClassifierMixin

        calls = []

        class Mine(ClassifierMixin, BaseEstimator):
            made = 0
            def __init__(self, k=1):
                Mine.made += 1
                self.k = k
            def fit(self, X, y):
                calls.append(1)
                self.classes_ = np.unique(y)
                return self
            def predict(self, X):
                return np.zeros(len(X), dtype=int)
            def __setstate__(self, state):
                raise SystemError("unpickled")

        skledger.autolog()
        X, y = np.eye(6), [0, 1] * 3
        before = vars(Mine)["predict"]
        Mine().fit(X, y)
        skledger.flush()
        assert vars(Mine)["predict"] is before
        assert Mine.predict.__globals__ is globals()
        assert Mine.made == 1, Mine.made
        Mine().fit(X, y)
        skledger.flush()
        assert len(calls) == 2
        runs = skledger.search_runs(output_format="list")
        assert len(runs) == 2
        from skledger.stores.artifacts import artifact_store
        for run in runs:
            assert "estimator.html" in artifact_store(run.info.artifact_uri).list()
    """,
        script=True,
    )
    assert done.stderr == ""


def test_the_members_of_a_forest_are_not_copied():
    """No diagram shows them, and the likeness is taken while the user waits."""
    forest = RandomForestClassifier(50, random_state=0).fit(X, y)
    assert "estimators_" not in vars(likeness(forest))
