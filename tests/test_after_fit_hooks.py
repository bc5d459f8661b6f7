"""What the hooks hear after a fit, under which names, and that nobody notices them."""

from __future__ import annotations

import copy
import doctest
import gc
import inspect
import pickle
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, get_scorer, make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import skledger
from skledger.capture import provenance
from skledger.capture.sources import Fit
from skledger.ledger.fits import FitLedger

N = 60
RNG = np.random.default_rng(0)
X_train, X_test = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3))
y_train = (X_train[:, 0] + RNG.normal(size=N) > 0).astype(int)
y_test = (X_test[:, 0] + RNG.normal(size=N) > 0).astype(int)


class Heard:
    """Stands in for the ledger: says which models have runs, and notes what was measured."""

    def __init__(self):
        self.runs = {}
        self.events = []

    def book(self, model, run="A"):
        """Fit a model unheard, and give it a run."""
        if not hasattr(model, "n_features_in_"):
            skledger.autolog(disable=True)
            model.fit(X_train, y_train)
            skledger.autolog()
        self.runs[id(model)] = run
        return model

    def fit_of(self, ledger, estimator):
        run = self.runs.get(id(estimator))
        return run and Fit(run)

    def take(self):
        """Return what was heard since the last time: function, run, data set, how."""
        taken = [
            (e.function, e.source and e.source.run_id, e.source and e.source.dataset, e.how)
            for e in self.events
        ]
        self.events.clear()
        return taken


@pytest.fixture
def heard(monkeypatch):
    """Autologging on, the ledger replaced."""
    listener = Heard()
    monkeypatch.setattr(FitLedger, "fit_of", lambda self, model: listener.fit_of(self, model))
    monkeypatch.setattr(FitLedger, "measured", lambda self, event: listener.events.append(event))
    monkeypatch.setattr(FitLedger, "fit_started", lambda self, call: None)
    skledger.autolog()
    yield listener
    skledger.autolog(disable=True)


@pytest.fixture
def model(heard):
    """A logistic regression that has the run A."""
    return heard.book(LogisticRegression())


# -- what is heard --------------------------------------------------------------------------------


def test_a_metric_imported_before_and_after(heard, model):
    """Whoever holds the function calls us; what is told is what was given."""
    p = model.predict(X_test)
    value = accuracy_score(y_test, p, normalize=False)
    from sklearn.metrics import balanced_accuracy_score

    balanced_accuracy_score(y_test, y_pred=p)
    first, second = heard.events
    assert (first.function, first.value, first.how) == ("accuracy_score", value, "identity")
    assert set(first.arguments) == {"y_true", "y_pred", "normalize"}
    assert first.arguments["y_pred"] is p
    assert first.names == {"y_true": "y_test", "y_pred": "p"}
    source = first.source
    assert (source.run_id, source.dataset, source.method) == ("A", "X_test", "predict")
    assert (source.estimator(), source.estimator_class) == (model, "LogisticRegression")
    assert source.data() is X_test and source.n_samples == N
    assert second.names == {"y_true": "y_test", "y_pred": "p"}


def test_score_is_heard_with_its_data(heard, model):
    """Positional or by keyword; a search and a pipeline too."""
    value = model.score(X_test, y=y_test)
    (event,) = heard.events
    assert (event.function, event.estimator, event.value) == ("score", model, value)
    assert event.rows is X_test and event.arguments["y"] is y_test
    assert event.names == {"X": "X_test", "y": "y_test"}
    assert heard.take() == [("score", "A", "X_test", "score")]
    search = heard.book(GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2), "S")
    search.score(X_test, y_test)
    pipeline = heard.book(make_pipeline(StandardScaler(), LogisticRegression()), "P")
    pipeline.score(X=X_test, y=y_test)
    density = heard.book(KernelDensity(), "D")
    density.score(X_test)
    assert [each[:3] for each in heard.take()] == [
        ("score", "S", "X_test"),
        ("score", "P", "X_test"),
        ("score", "D", "X_test"),
    ]


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "decision_function"]
)
def test_every_answer_is_remembered(heard, model, method):
    """Of a model, a pipeline and a search: ``available_if`` or not."""
    for one, run in (
        (model, "A"),
        (heard.book(make_pipeline(StandardScaler(), LogisticRegression()), "P"), "P"),
        (heard.book(GridSearchCV(LogisticRegression(), {"C": [1]}, cv=2), "S"), "S"),
    ):
        answer = getattr(one, method)(X_test)
        roc_auc_score(y_test, answer if answer.ndim == 1 else answer[:, 1])
        assert [each[1:3] for each in heard.take()] == [(run, "X_test")]


def test_clusters_and_components(heard):
    """``transform`` of what has a run is known; what it gives, is not mistaken for labels."""
    from sklearn.metrics import mean_squared_error, silhouette_score

    pca, kmeans = heard.book(PCA(2), "P"), heard.book(KMeans(2, n_init=1), "K")
    Z = pca.transform(X_test)
    silhouette_score(Z, kmeans.predict(X_test))
    mean_squared_error(X_test[:, :2], Z)
    assert heard.take() == [
        ("silhouette_score", "K", "X_test", "identity"),
        ("mean_squared_error", "P", "X_test", "identity"),
    ]


def test_only_outermost_calls_count(heard, model):
    """What a score, a report, a forest or a cross-validation asks inside is its own business."""
    from sklearn.metrics import classification_report

    forest = heard.book(RandomForestClassifier(3, n_jobs=2), "F")
    model.score(X_test, y_test)
    classification_report(y_test, forest.predict(X_test))
    cross_val_score(model, X_test, y_test, cv=2, scoring="f1")
    assert [each[:2] for each in heard.take()] == [("score", "A"), ("classification_report", "F")]
    assert len(provenance._recent) == 1
    assert not provenance._nobodys  # the trees


def test_a_fit_that_measures_is_not_heard(heard, model):
    """Metrics inside of ``fit`` and ``predict`` are part of them."""

    class Measuring(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            self.first_ = accuracy_score(y, model.predict(X))
            return self

        def predict(self, X):
            accuracy_score(y_train, model.predict(X_train))
            return np.zeros(len(X), int)

    mine = Measuring().fit(X_train, y_train)
    heard.runs[id(mine)] = "M"
    mine.predict(X_train)
    assert heard.take() == []
    mine.score(X_train, y_train)
    assert heard.take() == [("score", "M", "X_train", "score")]


def test_scorers(heard, model):
    """Scorers ask the model and the metric; both are heard, with the user's data set."""
    make_scorer(f1_score)(model, X_test, y_test)
    get_scorer("roc_auc")(model, X_test, y_test)
    get_scorer("neg_mean_absolute_error")(model, X_test, y_test)
    assert heard.take() == [
        ("f1_score", "A", "X_test", "identity"),
        ("roc_auc_score", "A", "X_test", "identity"),
        ("mean_absolute_error", "A", "X_test", "identity"),
    ]
    svm = heard.book(LinearSVC(), "B")
    get_scorer("average_precision")(svm, X_test, y_test)
    assert heard.take() == [("average_precision_score", "B", "X_test", "identity")]


def test_curves_lead_to_their_area(heard, model):
    """``auc`` measures what ``roc_curve`` was given."""
    from sklearn.metrics import auc, roc_curve

    fpr, tpr, _ = roc_curve(y_test, model.predict_proba(X_test)[:, 1])
    auc(fpr, tpr)
    assert [each[:3] for each in heard.take()] == [
        ("roc_curve", "A", "X_test"),
        ("auc", "A", "X_test"),
    ]


def test_experiments_of_inspection_are_no_scores(heard, model):
    """``permutation_importance`` scores shuffled data; nobody wants to see those."""
    from sklearn.inspection import permutation_importance

    permutation_importance(model, X_test, y_test, n_repeats=2, scoring="accuracy")
    permutation_importance(model, X_test, y_test, n_repeats=2)
    assert heard.take() == []


def test_two_models_in_turn(heard, model):
    """Each prediction knows its own, also when they are measured later."""
    other = heard.book(LogisticRegression(C=0.001), "B")
    p, q = model.predict_proba(X_test), other.predict_proba(X_test)
    roc_auc_score(y_test, q[:, 1])
    roc_auc_score(y_test, p[:, 1])
    accuracy_score(y_test, p[:, 1] > 0.5)
    accuracy_score(y_test, p.argmax(1))
    assert [each[1] for each in heard.take()[:2]] == ["B", "A"]


def test_a_model_that_is_fitted_again(heard, model):
    """What was predicted before belongs to the run of before."""
    before = model.predict(X_test)
    heard.runs[id(model)] = "A2"
    after = model.predict(X_test)
    accuracy_score(y_test, before)
    accuracy_score(y_test, after)
    assert [each[1] for each in heard.take()] == ["A", "A2"]


def test_models_without_a_run_are_nobodys(heard, model):
    """What was fitted before autologging, and metrics of no model at all."""
    skledger.autolog(disable=True)
    stranger = LogisticRegression().fit(X_train, y_train)
    skledger.autolog()
    accuracy_score(y_test, stranger.predict(X_test))
    stranger.score(X_test, y_test)
    accuracy_score(y_test, np.ones(N, int))
    assert heard.take() == []


def test_inside_a_run_of_the_users(heard, model):
    """What is nobody's goes to the run that is open; so does what is ambiguous."""
    twin = heard.book(LogisticRegression(), "B")
    with skledger.start_run():
        accuracy_score(y_test, np.ones(N, int))
        model.predict(X_test)
        twin.predict(X_test)
        accuracy_score(y_test, model.predict(X_test).tolist())
        accuracy_score(y_test, model.predict(X_test))
        LinearRegression().fit(X_train, y_train).score(X_test, y_test)
    accuracy_score(y_test, twin.predict(X_test).tolist())
    assert heard.take() == [
        ("accuracy_score", None, None, "active run"),
        ("accuracy_score", None, None, "ambiguous"),
        ("accuracy_score", "A", "X_test", "identity"),
        ("score", None, None, "active run"),
    ]


def test_threads(heard, model):
    """Predicted in one thread, measured in another; scored in a pool."""
    p = model.predict(X_test)
    thread = threading.Thread(target=lambda: accuracy_score(y_test, p))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda each: model.score(each, y_test), [X_test]))
        pool.submit(model.score, X_test, y_test).result()
    assert heard.take() == [
        ("accuracy_score", "A", "X_test", "identity"),
        ("score", "A", "each", "score"),
        ("score", "A", "unknown_dataset", "score"),
    ]


# -- names ----------------------------------------------------------------------------------------


def test_names_are_those_of_the_calling_frame(heard, model):
    """A function's own variable, not its caller's; nothing where there is no variable."""

    def evaluate(features, target):
        return model.score(features, target)

    evaluate(X_test, y_test)
    model.score(X_test[:30], y_test[:30])
    _hidden = X_test[:20]
    model.score(_hidden, y_test[:20])
    holder = {"X": X_test[:25]}
    model.score(holder["X"], y_test[:25])
    assert [each[2] for each in heard.take()] == ["features"] + ["unknown_dataset"] * 3


def test_names_in_comprehensions_closures_and_scripts(heard, model):
    """Wherever Python keeps the variable."""
    part = X_test[:40]
    target = y_test[:40]
    [accuracy_score(target, one.predict(part)) for one in (model,)]
    (lambda: model.score(part, target))()
    space = {"model": model, "X_hold": X_test[:35], "y_hold": y_test[:35], "_": X_test[:35]}
    exec("_1 = X_hold\nmodel.score(X_hold, y_hold)", space)
    exec("class C:\n    X_in = X_hold[:30]\n    model.score(X_in, y_hold[:30])", space)
    assert [each[2] for each in heard.take()] == ["part", "part", "X_hold", "X_in"]


def test_of_two_names_the_written_one_counts(heard, model):
    """A variable that holds the same data is no name for a call that is written with another."""
    data = X_test + 0
    X_held = data
    model.score(X_held, y_test)
    model.score(data, y_test)
    accuracy_score(
        y_test,
        model.predict(
            X_held,
        ),
    )
    assert [e.source.dataset for e in heard.events] == ["X_held", "data", "X_held"]


def test_a_given_name_comes_first(heard, model):
    """`name_data` names the object, whatever variable holds it, and nothing else."""
    X_valid = skledger.name_data(X_test.copy(), "holdout")
    model.score(X_valid, y_test)
    model.score(X_valid[:30], y_test[:30])
    accuracy_score(y_test, model.predict(X_valid))
    assert [each[2] for each in heard.take()] == ["holdout", "unknown_dataset", "holdout"]


def test_frames_lists_and_sparse_data(heard, model):
    """Any kind of data has a name and a number."""
    import scipy.sparse

    frame, rows = pd.DataFrame(X_test), X_test.tolist()
    sparse = scipy.sparse.csr_array(X_test)
    keys = []
    for _ in range(2):
        for data in ("frame", "rows", "sparse"):
            exec(f"model.score({data}, y_test)", {**locals(), "y_test": y_test})
    keys = [event.source.data_key for event in heard.events]
    assert keys[:3] == keys[3:] and len(set(keys)) == 3
    assert {event.source.n_samples for event in heard.events} == {N}
    assert [each[2] for each in heard.take()] == ["frame", "rows", "sparse"] * 2


# -- nobody notices -------------------------------------------------------------------------------


def test_the_very_objects_come_back(heard):
    """Whatever a model or a metric returns, of whatever type, is what the user gets."""
    answers = [object(), [1, 2], (3,), None, np.float32(3), pd.Series([1.0])]

    class Odd(BaseEstimator):
        def fit(self, X, y=None):
            return self

        def predict(self, at):
            return answers[at]

        def score(self, at, y=None):
            return answers[at]

    odd = Odd()
    heard.runs[id(odd)] = "O"
    for at, each in enumerate(answers):
        assert odd.predict(at) is each
        assert odd.score(at) is each
    assert type(accuracy_score(y_test, y_test)) is float
    assert [event.value for event in heard.events[:2]] == answers[:2]


def test_nothing_of_the_users_is_kept_alive(heard):
    """Models, data and predictions go when the user lets them, inside of functions too."""
    models = [heard.book(LogisticRegression())]
    links = []

    def work(model):
        X, y = X_test.copy(), y_test.copy()
        p = model.predict(X)
        f1_score(y, p.tolist())
        accuracy_score(y, p)
        model.score(X, y)
        links.extend(map(weakref.ref, (X, y, p)))
        heard.events.clear()
        del X, y, p
        gc.collect()
        return [link() is None for link in links]

    assert work(models[0]) == [True, True, True]
    links.append(weakref.ref(models.pop()))
    gc.collect()
    assert links[-1]() is None


def test_the_users_locals_are_left_alone(heard, model):
    """Looking for names takes nothing out of a dictionary that the user made of his variables."""
    part = X_test[:30]
    mine = locals()
    model.score(part, y_test[:30])
    assert mine["part"] is part and mine["model"] is model
    assert heard.take()[0][2] == "part"


def test_exceptions_are_the_users_own(heard, model):
    """What a metric or a model raises passes through, and listening goes on."""
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        accuracy_score(y_test, model.predict(X_test)[:3])
    with pytest.raises(ValueError, match="features"):
        model.predict(X_test[:, :2])
    with pytest.raises(ValueError, match="features"):
        model.score(X_test[:, :2], y_test)
    assert heard.take() == []
    model.score(X_test, y_test)
    assert heard.take() == [("score", "A", "X_test", "score")]


def test_a_failure_of_ours_is_contained(heard, model, monkeypatch, swallowed, caplog):
    """The value comes back, and one line says what was lost."""

    def fail(*args):
        raise RuntimeError("the store is gone")

    monkeypatch.setattr(FitLedger, "measured", fail)
    assert model.score(X_test, y_test) == np.mean(model.predict(X_test) == y_test)
    accuracy_score(y_test, model.predict(X_test))
    monkeypatch.setattr(FitLedger, "fit_of", fail)
    model.predict(X_test)
    assert [str(each) for each in swallowed] == ["the store is gone"] * 3
    assert "could not book what accuracy_score gave: RuntimeError" in caplog.text
    swallowed.clear()


def test_warnings_point_where_they_would(heard, model):
    """A metric's warning is the user's line, with hooks and without."""
    model.predict(X_test)

    def places():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            f1_score([1, 0], [0, 0], average="macro")
            np.testing.assert_(f1_score(y_true=[1, 1], y_pred=[0, 0]) == 0)
        kept = [each for each in caught if issubclass(each.category, UndefinedMetricWarning)]
        return [(each.filename, each.lineno, str(each.message)) for each in kept]

    hooked = places()
    skledger.autolog(disable=True)
    assert hooked == places()


def test_scorers_pickle_clone_and_copy(heard, model):
    """A scorer that was made under autologging is as any other, and brings nothing of ours."""
    scorer = make_scorer(f1_score, average="macro")
    for one in (
        pickle.loads(pickle.dumps(scorer)),
        copy.deepcopy(scorer),
        clone(scorer, safe=False),
    ):
        assert one._score_func is f1_score
        assert one(model, X_test, y_test) == scorer(model, X_test, y_test)
    for each in (scorer, f1_score, model.predict, model.score, model):
        assert b"skledger" not in pickle.dumps(each)
    assert clone(model).get_params() == model.get_params()
    assert pickle.loads(pickle.dumps(model.predict))(X_test).shape == (N,)


def test_signatures_and_attributes_are_unchanged(heard):
    """Metadata routing, ``available_if``, ``set_output``: introspection sees the original."""
    from sklearn.svm import SVC

    hooked = {
        "metric": inspect.signature(f1_score),
        "predict": inspect.signature(LogisticRegression.predict),
        "score": inspect.signature(LogisticRegression().score),
        "pipeline": inspect.signature(make_pipeline(SVC()).score),
        "doc": LogisticRegression.score.__doc__,
        "has": hasattr(SVC(), "predict_proba"),
        "cannot": hasattr(make_pipeline(LinearSVC()), "predict_proba"),
        "routing": str(LogisticRegression().get_metadata_routing()),
    }
    skledger.autolog(disable=True)
    assert hooked == {
        "metric": inspect.signature(f1_score),
        "predict": inspect.signature(LogisticRegression.predict),
        "score": inspect.signature(LogisticRegression().score),
        "pipeline": inspect.signature(make_pipeline(SVC()).score),
        "doc": LogisticRegression.score.__doc__,
        "has": hasattr(SVC(), "predict_proba"),
        "cannot": hasattr(make_pipeline(LinearSVC()), "predict_proba"),
        "routing": str(LogisticRegression().get_metadata_routing()),
    }


def test_set_output_of_what_transforms(heard):
    """A class that is born under autologging wraps its ``transform`` once, as scikit-learn does."""
    pca = heard.book(PCA(2)).set_output(transform="pandas")
    assert list(pca.transform(X_test)) == ["pca0", "pca1"]

    class Mine(PCA):
        def transform(self, X):
            return super().transform(X) * 2

    mine = heard.book(Mine(2), "M").set_output(transform="pandas")
    assert isinstance(mine.transform(X_test), pd.DataFrame)
    assert isinstance(mine.set_output(transform="default").transform(X_test), np.ndarray)


def test_switching_off(heard, model, monkeypatch):
    """`log_post_training_metrics=False` and `disable=True` give everything back, and forget."""
    cells = [cell for cell in accuracy_score.__closure__ if callable(cell.cell_contents)]
    p = model.predict(X_test)
    for options in ({"log_post_training_metrics": False}, {"disable": True}):
        skledger.autolog()
        skledger.autolog(**options)
        accuracy_score(y_test, p)
        model.score(X_test, y_test)
        assert heard.take() == []
        assert accuracy_score.__wrapped__ in [cell.cell_contents for cell in cells]
        assert type(vars(ClassifierMixin)["score"]) is FunctionType
        assert not provenance.has_any()
    skledger.autolog(log_post_training_metrics=False)
    assert type(vars(LogisticRegression)["fit"]) is not FunctionType
    skledger.autolog()
    model.score(X_test, y_test)
    assert heard.take() == [("score", "A", "X_test", "score")]


class Outputs(doctest.DocTestRunner):
    """Runs examples and keeps what each printed."""

    def __init__(self):
        super().__init__(verbose=False)
        self.printed = []

    def report_success(self, out, test, example, got):
        if "Traceback" not in got:  # one prints a traceback, in which our frame stands
            self.printed.append((test.name, example.source, got))

    report_failure = report_success  # scikit-learn's examples are cut to a few decimals

    def report_unexpected_exception(self, out, test, example, exc_info):
        raise exc_info[1]


def outputs_of_examples():
    import sklearn.metrics

    runner = Outputs()
    for name in sklearn.metrics.__all__:
        function = getattr(sklearn.metrics, name)
        if inspect.isfunction(function):
            for test in doctest.DocTestFinder(recurse=False).find(function, name, globs={}):
                if "matplotlib" not in test.docstring:
                    runner.run(test)
    return runner.printed


@pytest.mark.filterwarnings("ignore")
def test_examples_of_scikit_learn_print_the_same(heard):
    """The docstring examples of all metrics, to the last digit, under autologging and without."""
    with skledger.start_run():
        hooked = outputs_of_examples()
    assert len({name for name, *_ in hooked}) > 50
    assert len({event.function for event in heard.events}) > 50
    skledger.autolog(disable=True)
    assert hooked == outputs_of_examples()


def test_in_workers_nothing_is_heard_and_nothing_fails(run_python):
    """Models and metrics go to other processes as they are."""
    run_python(
        """
        import skledger
        skledger.autolog(log_models=False)
        from joblib import Parallel, delayed
        from sklearn.datasets import make_classification
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import accuracy_score, make_scorer

        X, y = make_classification(60, random_state=0)
        model = LogisticRegression().fit(X, y)

        def work(model, scorer):
            import sys
            return scorer(model, X, y), model.score(X, y), "skledger.hooks.scoring" in sys.modules

        if __name__ == "__main__":
            found = Parallel(2)(delayed(work)(model, make_scorer(accuracy_score)) for _ in range(2))
            assert found[0] == found[1] and found[0][0] == found[0][1]
        """,
        script=True,
    )


def test_light_until_scikit_learn_is_there(run_python):
    """`autolog()` waits for scikit-learn; metrics imported first, or half-way, are hooked."""
    run_python(
        """
        import sys
        import skledger
        skledger.autolog()
        assert "numpy" not in sys.modules and "sklearn" not in sys.modules
        from sklearn.metrics import accuracy_score
        names = [type(cell.cell_contents).__name__ for cell in accuracy_score.__closure__]
        assert "CellPatch" in names, names
        assert "skledger.ledger.fits" not in sys.modules
        assert accuracy_score([1, 0], [1, 1]) == 0.5
        assert "skledger.ledger.fits" not in sys.modules
        skledger.autolog(disable=True)
        names = [type(cell.cell_contents).__name__ for cell in accuracy_score.__closure__]
        assert "CellPatch" not in names, names
        """
    )
