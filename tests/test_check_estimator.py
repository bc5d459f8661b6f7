"""scikit-learn's own checks of an estimator come out the same with autologging and without."""

from __future__ import annotations

import warnings

import pytest
from _estimators import sklearn_estimators
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data

import skledger

QUICK = ("GaussianNB", "Ridge", "KernelCenterer", "PCA", "LabelEncoder")
SLOW = (
    "AdaBoostClassifier",
    "BernoulliRBM",
    "Birch",
    "CalibratedClassifierCV",
    "CountVectorizer",
    "DBSCAN",
    "DecisionTreeRegressor",
    "ExtraTreesClassifier",
    "FastICA",
    "FeatureUnion",
    "GaussianProcessRegressor",
    "GridSearchCV-2",
    "HalvingGridSearchCV",
    "HistGradientBoostingRegressor",
    "IsolationForest",
    "KMeans",
    "KNeighborsClassifier",
    "LinearSVC",
    "LogisticRegression",
    "MLPRegressor",
    "MiniBatchNMF",
    "MultiOutputRegressor",
    "Pipeline-2",
    "PLSRegression",
    "SGDClassifier",
    "SVC",
    "SimpleImputer",
    "StackingRegressor",
    "VotingClassifier",
)
BY_NAME = dict(sklearn_estimators())


class Nearest(ClassifierMixin, BaseEstimator):
    """A user's own classifier, as scikit-learn's developer guide writes one."""

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        if y.dtype.kind == "f" and (y % 1).any():
            raise ValueError("Unknown label type: continuous")
        self.X_, self.y_ = X, y
        self.classes_ = sorted(set(y))
        return self

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        distances = ((X[:, None, :] - self.X_[None, :, :]) ** 2).sum(axis=2)
        return self.y_[distances.argmin(axis=1)]


def _outcomes(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(clone(estimator), on_fail=None, on_skip=None)
    return [
        (each["check_name"], each["status"], type(each["exception"]).__name__) for each in results
    ]


def _compare(estimator, swallowed):
    skledger.set_tracking_uri("memory:")
    without = _outcomes(estimator)
    with skledger.autolog(log_models=False, silent=True):
        ours = _outcomes(estimator)
    assert [pair for pair in zip(without, ours, strict=True) if pair[0] != pair[1]] == []
    assert sum(status == "passed" for _, status, _ in without) > 0
    # The checks fit what nothing can be predicted from; what they swallow is tested elsewhere.
    swallowed.clear()


@pytest.mark.parametrize("name", QUICK)
def test_quick_estimators(name, swallowed):
    """Every check of every estimator here has the same outcome."""
    _compare(BY_NAME[name], swallowed)


def test_a_class_of_the_user(swallowed):
    """A class of one's own passes and fails the same checks."""
    _compare(Nearest(), swallowed)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_more_estimators(name, swallowed):
    """The same over every family of estimators."""
    _compare(BY_NAME[name], swallowed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["XGBClassifier", "LGBMRegressor"])
def test_other_packages(name, swallowed):
    """The same for boosters of other packages, whatever they pass and fail."""
    package = pytest.importorskip({"X": "xgboost", "L": "lightgbm"}[name[0]])
    _compare(getattr(package, name)(n_estimators=2, n_jobs=1), swallowed)
