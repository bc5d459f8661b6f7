"""One fit, one run: what is booked."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import skledger


def all_runs():
    return skledger.search_runs(output_format="list", order_by=["start_time ASC"])


def only_run():
    runs = all_runs()
    assert len(runs) == 1
    return runs[0]


def artifacts(run):
    skledger.flush()
    from skledger.stores.artifacts import artifact_store

    return artifact_store(run.info.artifact_uri).list()


def read(run, name):
    from skledger.stores.artifacts import artifact_store

    with artifact_store(run.info.artifact_uri).open(name) as stream:
        return stream.read().decode()


def test_a_fit_is_a_finished_run_with_params_metrics_tags_and_model(autolog, binary):
    """The whole record of a plain fit is there when fit has returned."""
    X, y = binary
    model = LogisticRegression(C=0.5, max_iter=5000).fit(X, y)
    run = only_run()
    assert run.info.status == "FINISHED"
    assert run.info.end_time >= run.info.start_time
    assert run.data.params == {k: str(v) for k, v in model.get_params().items()}
    assert run.data.tags["estimator_name"] == "LogisticRegression"
    assert run.data.tags["estimator_class"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert run.data.tags["mlflow.autologging"] == "sklearn"
    assert run.data.metrics["training_score"] == model.score(X, y)
    assert run.data.metrics["training_f1_score"] == pytest.approx(
        f1_score(y, model.predict(X), average="weighted"), abs=1e-12
    )
    assert run.data.metrics["n_samples"] == 569
    assert run.data.metrics["n_features"] == 30
    assert 0 < run.data.metrics["fit_seconds"] < 60
    assert skledger.last_active_run().info.run_id == run.info.run_id
    again = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))


def test_the_pictures_and_the_diagram_are_there_after_a_flush(autolog, binary):
    """flush() waits for what is drawn in the background."""
    X, y = binary
    LogisticRegression(max_iter=5000).fit(X, y)
    found = artifacts(only_run())
    for name in (
        "training_confusion_matrix.png",
        "training_roc_curve.png",
        "training_precision_recall_curve.png",
        "coefficients.png",
        "estimator.html",
        "training_plots.json",
    ):
        assert name in found


def test_a_regressor_has_its_own_metrics_and_pictures(autolog, regression):
    """Errors and R2 for a regressor, predicted against actual and residuals as pictures."""
    X, y = regression
    Ridge().fit(X, y)
    run = only_run()
    for name in (
        "mean_squared_error",
        "root_mean_squared_error",
        "mean_absolute_error",
        "r2_score",
    ):
        assert f"training_{name}" in run.data.metrics
    found = artifacts(run)
    assert "training_predicted_vs_actual.png" in found
    assert "training_residuals.png" in found


@pytest.mark.parametrize("method", ["fit_predict", "fit"])
def test_a_clusterer_is_one_run(autolog, multiclass, method):
    """A clusterer is booked once, by fit as by fit_predict."""
    getattr(KMeans(3, n_init=1, random_state=0), method)(multiclass[0])
    assert only_run().data.tags["estimator_name"] == "KMeans"


def test_a_clusterer_without_fit_of_its_own_predict_is_one_run(autolog, multiclass):
    """fit_predict that comes from the mixin is one run, too."""
    DBSCAN().fit_predict(multiclass[0])
    assert only_run().data.tags["estimator_name"] == "DBSCAN"


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_a_transformer_that_is_a_model_is_one_run(autolog, multiclass, method):
    """PCA is booked, by either method."""
    getattr(PCA(2), method)(multiclass[0])
    assert only_run().data.tags["estimator_name"] == "PCA"


def test_what_only_prepares_data_makes_no_run(autolog, multiclass):
    """Scalers, encoders, selectors and column transformers make no run of their own."""
    X, y = multiclass
    StandardScaler().fit(X)
    StandardScaler().fit_transform(X)
    OneHotEncoder().fit([["a"], ["b"]])
    ColumnTransformer([("s", StandardScaler(), [0])]).fit_transform(X)
    SelectFromModel(DecisionTreeClassifier()).fit(X, y)

    class OwnScaler(StandardScaler):
        pass

    OwnScaler().fit(X)
    assert all_runs() == []


def test_a_pipeline_is_one_run_with_deep_params(autolog, multiclass):
    """Only the outermost fit counts."""
    X, y = multiclass
    make_pipeline(StandardScaler(), LogisticRegression(C=2.0)).fit(X, y)
    run = only_run()
    assert run.data.tags["estimator_name"] == "Pipeline"
    assert run.data.params["logisticregression__C"] == "2.0"


def test_a_meta_estimator_is_one_run(autolog, multiclass):
    """Estimators that fit estimators are one run, in one thread, many threads and processes.

    Only a search has children, its candidates.
    """
    X, y = multiclass
    parts = [("a", LogisticRegression(max_iter=500)), ("b", DecisionTreeClassifier())]
    from joblib import parallel_config

    VotingClassifier(parts).fit(X, y)
    with parallel_config("threading"):
        VotingClassifier(parts, n_jobs=2).fit(X, y)
    VotingClassifier(parts, n_jobs=2).fit(X, y)
    GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2, n_jobs=2).fit(X, y)
    outer = [run for run in all_runs() if "mlflow.parentRunId" not in run.data.tags]
    assert [run.data.tags["estimator_name"] for run in outer] == [
        "VotingClassifier",
        "VotingClassifier",
        "VotingClassifier",
        "GridSearchCV",
    ]


def test_a_search_without_refit_is_complete(autolog, multiclass):
    """There is no model to measure, and nothing is missing."""
    GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2, refit=False).fit(
        *multiclass
    )
    (run,) = (each for each in all_runs() if "mlflow.parentRunId" not in each.data.tags)
    assert "skledger.incomplete" not in run.data.tags
    assert run.data.metrics["n_samples"] == 150


def test_super_fit_and_a_fit_inside_a_users_estimator_are_one_run(autolog, multiclass):
    """A user's class is hooked like scikit-learn's, and what it fits inside is not a run."""
    X, y = multiclass

    class Careful(LogisticRegression):
        def fit(self, X, y):
            PCA(2).fit(X)
            return super().fit(X, y)

    class Wrapper(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.inner_ = Careful(max_iter=500).fit(X, y)
            self.classes_ = self.inner_.classes_
            return self

        def predict(self, X):
            return self.inner_.predict(X)

    Careful(max_iter=500).fit(X, y)
    Wrapper().fit(X, y)
    names = [run.data.tags["estimator_name"] for run in all_runs()]
    assert names == ["Careful", "Wrapper"]
    assert all_runs()[1].data.metrics["training_score"] > 0.9


def test_a_class_born_later_and_a_mixins_fit_are_hooked(autolog, multiclass):
    """The class need not exist when autolog() is called, nor write its fit itself."""

    class FitMixin:
        def fit(self, X, y=None):
            self.fitted_ = True
            return self

    class Late(FitMixin, BaseEstimator):
        pass

    Late().fit(multiclass[0])
    assert only_run().data.tags["estimator_name"] == "Late"


def test_a_failed_fit_is_a_failed_run_and_the_users_own_exception(autolog):
    """Type, message and traceback are booked; the exception is the one that was raised."""

    class Boom(ValueError):
        pass

    error = Boom("the bad thing")

    class Bad(BaseEstimator):
        def fit(self, X, y=None):
            raise error

    with pytest.raises(Boom) as caught:
        Bad().fit([[1]])
    assert caught.value is error
    run = only_run()
    assert run.info.status == "FAILED"
    assert run.data.tags["skledger.error.type"].endswith("Boom")
    assert run.data.tags["skledger.error.message"] == "the bad thing"
    traceback = read(run, "traceback.txt")
    assert "raise error" in traceback
    assert "Bad().fit([[1]])" in traceback
    assert traceback.startswith("Traceback (most recent call last)")
    assert "skledger/hooks" not in traceback
    assert run.data.tags["skledger.error.traceback"] == traceback


def test_an_interrupted_fit_is_a_killed_run(autolog):
    """Ctrl-C passes, and the run says so."""

    class Interrupted(BaseEstimator):
        def fit(self, X, y=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Interrupted().fit([[1]])
    assert only_run().info.status == "KILLED"


def test_warnings_are_booked_and_still_reach_the_user(autolog, binary):
    """A convergence warning is a tag and a file, each time, and is shown as without us."""
    X, y = binary
    for _ in range(2):
        with pytest.warns(ConvergenceWarning):
            LogisticRegression(max_iter=3).fit(X, y)
    for run in all_runs():
        assert run.data.tags["skledger.warnings"].startswith("ConvergenceWarning: lbfgs failed")
        assert "Increase the number of iterations" in read(run, "warnings.txt")


def test_a_warning_python_shows_only_once_is_booked_every_time(autolog):
    """The second fit warns too, although Python's default filter shows the first only."""

    class Noisy(BaseEstimator):
        def fit(self, X, y=None):
            warnings.warn("careful", UserWarning, stacklevel=1)
            warnings.warn("never mind", DeprecationWarning, stacklevel=1)
            return self

    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("default")
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.showwarning = lambda *args, **kwargs: None
        for _ in range(3):
            Noisy().fit([[1]])
    assert [r.data.tags["skledger.warnings"] for r in all_runs()] == ["UserWarning: careful"] * 3


def test_a_long_param_is_cut_visibly_and_kept_whole_in_a_file(autolog):
    """What a store cannot hold is not lost."""

    class Long(BaseEstimator):
        def __init__(self, text="x" * 7000, short="s"):
            self.text, self.short = text, short

        def fit(self, X, y=None):
            return self

    Long().fit([[1]])
    run = only_run()
    assert len(run.data.params["text"]) == 6000
    assert run.data.params["text"].endswith("...")
    assert json.loads(read(run, "params_in_full.json")) == {"text": "x" * 7000}


def test_sample_weight_counts_by_position_and_by_keyword(autolog, binary):
    """Both forms give the weighted metrics."""
    X, y = binary
    weight = np.linspace(0.1, 5, len(y))
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y, weight)
    DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y, sample_weight=weight)
    expected = model.score(X, y, sample_weight=weight)
    for run in all_runs():
        assert run.data.metrics["training_score"] == pytest.approx(expected, abs=1e-12)


def test_pos_label_gives_the_metrics_of_that_class(binary):
    """pos_label switches precision, recall and F1 to binary averaging."""
    skledger.autolog(pos_label=0)
    X, y = binary
    model = DecisionTreeClassifier(max_depth=2, random_state=0).fit(X, y)
    assert only_run().data.metrics["training_f1_score"] == pytest.approx(
        f1_score(y, model.predict(X), pos_label=0), abs=1e-12
    )


def test_metrics_are_those_of_the_data_before_training(autolog, regression):
    """A step that changes X in place does not leak into the metrics."""
    X, y = regression

    class InPlace(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            X *= 3.0
            return X

    X_train = X.copy()
    model = make_pipeline(InPlace(), LinearRegression()).fit(X_train, y)
    expected = model.score(X.copy(), y)
    assert only_run().data.metrics["training_score"] == pytest.approx(expected)


def test_a_frame_with_strings_and_gaps_trains_and_loads(autolog):
    """The usual tabular case, end to end."""
    from sklearn.impute import SimpleImputer

    frame = pd.DataFrame(
        {
            "age": [22, None, 38, 35, 54, 2, 27, 14],
            "sex": ["m", "f", "f", None, "m", "m", "f", "f"],
            "fare": [7.2, 71.3, 8.0, 53.1, 51.9, 21.1, 11.1, 30.1],
        }
    )
    y = pd.Series([0, 1, 1, 1, 0, 0, 1, 1], name="survived")
    model = make_pipeline(
        ColumnTransformer(
            [
                ("num", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "fare"]),
                ("cat", OneHotEncoder(handle_unknown="ignore"), ["sex"]),
            ]
        ),
        RandomForestClassifier(10, random_state=0),
    ).fit(frame, y)
    run = only_run()
    assert run.data.metrics["n_features"] == 3
    again = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert np.array_equal(again.predict_proba(frame), model.predict_proba(frame))


def test_refitting_the_same_estimator_makes_a_second_run(autolog, multiclass):
    """Each fit is a run of its own, and what follows does not change the first."""
    model = SVC(C=1.0).fit(*multiclass)
    model.set_params(C=9.0).fit(*multiclass)
    assert [run.data.params["C"] for run in all_runs()] == ["1.0", "9.0"]


def test_extra_tags_stand_on_every_run(multiclass):
    """extra_tags come along."""
    skledger.autolog(extra_tags={"team": "blue", "n": 3})
    SVC().fit(*multiclass)
    tags = only_run().data.tags
    assert tags["team"] == "blue"
    assert tags["n"] == "3"


def test_log_models_off_stores_no_model_but_the_diagram(multiclass):
    """Without a model the rest is booked, the diagram included."""
    skledger.autolog(log_models=False)
    SVC().fit(*multiclass)
    run = only_run()
    assert run.outputs.model_outputs == []
    assert "estimator.html" in artifacts(run)
    with pytest.raises(skledger.errors.NotFoundError, match="no model 'model'"):
        skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")


def test_a_long_fit_is_seen_running_while_it_lasts(autolog, monkeypatch):
    """After a moment the run appears as RUNNING, with its params; then it is finished once."""
    import time

    from skledger.ledger import place

    monkeypatch.setattr(place, "ANNOUNCE_AFTER", 0.05)
    seen = []

    class Slow(BaseEstimator):
        def __init__(self, knob=3):
            self.knob = knob

        def fit(self, X, y=None):
            deadline = time.monotonic() + 10
            while not seen and time.monotonic() < deadline:
                time.sleep(0.05)
                seen.extend(all_runs())
            return self

    Slow().fit([[1.0]])
    assert seen[0].info.status == "RUNNING"
    assert seen[0].data.params == {"knob": "3"}
    assert "skledger.process" in seen[0].data.tags
    assert only_run().info.status == "FINISHED"
