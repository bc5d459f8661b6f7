"""Whatever the signature of fit, data, target and weights are found."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDRegressor

import skledger


def last_metrics():
    return skledger.last_active_run().data.metrics


def test_estimators_do_not_take_each_others_signatures(autolog, regression):
    """scikit-learn's fits share one decorator; each has its own parameters all the same."""
    X, y = regression
    weight = np.linspace(0.1, 3, len(y))
    PCA(2).fit(X)
    model = Ridge().fit(X, y, weight)
    expected = model.score(X, y, sample_weight=weight)
    assert last_metrics()["training_score"] == pytest.approx(expected, abs=1e-12)
    model = SGDRegressor(random_state=0).fit(X, y, np.zeros(X.shape[1]))
    assert last_metrics()["training_score"] == pytest.approx(model.score(X, y), abs=1e-12)
    LogisticRegression().fit(X[:50], y[:50] > 100)
    assert "training_accuracy_score" in last_metrics()


def undecorated(function):
    def wrapper(self, *args, **kwargs):
        return function(self, *args, **kwargs)

    return wrapper


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def plain(self, X, y):
    self.model_ = LinearRegression().fit(X, y)
    return self


def other_names(this, data, y):
    return plain(this, data, y)


def keyword_only(self, *, X, y):
    return plain(self, X, y)


def loose(self, *args, **kwargs):
    return plain(self, *args, **kwargs)


def with_more(self, X, y, **fit_params):
    return plain(self, X, y)


@pytest.mark.parametrize(
    ("fit", "call"),
    [
        (plain, lambda m, X, y: m.fit(X, y)),
        (plain, lambda m, X, y: m.fit(X=X, y=y)),
        (plain, lambda m, X, y: type(m).fit(m, X, y)),
        (plain, lambda m, X, y: functools.partial(m.fit, X)(y)),
        (undecorated(plain), lambda m, X, y: m.fit(X, y)),
        (decorated(plain), lambda m, X, y: m.fit(X, y=y)),
        (other_names, lambda m, X, y: m.fit(X, y)),
        (keyword_only, lambda m, X, y: m.fit(X=X, y=y)),
        (loose, lambda m, X, y: m.fit(X, y)),
        (with_more, lambda m, X, y: m.fit(X, y, extra=3)),
    ],
)
def test_any_form_of_fit_and_of_its_call(autolog, regression, fit, call):
    """The metrics are there, and the run is one."""
    X, y = regression
    cls = type(
        "Odd",
        (RegressorMixin, BaseEstimator),
        {"fit": fit, "predict": lambda self, X: self.model_.predict(X)},
    )
    model = cls()
    assert call(model, X, y) is model
    assert last_metrics()["training_r2_score"] == pytest.approx(model.score(X, y), abs=1e-12)
    assert last_metrics()["n_features"] == 10
    assert len(skledger.search_runs()) == 1


def test_an_object_that_only_shares_a_mixin_is_left_alone(autolog, regression):
    """What is no estimator is not listened to; what it fits is."""

    class Shared:
        def fit(self, X, y):
            self.model_ = Ridge().fit(X, y)
            return self

    class Estimator(Shared, BaseEstimator):
        pass

    Estimator().fit(*regression)
    Shared().fit(*regression)
    names = [r.data.tags["estimator_name"] for r in skledger.search_runs(output_format="list")]
    assert sorted(names) == ["Estimator", "Ridge"]


def test_threads_of_an_executor_inside_a_fit_are_part_of_it(autolog, regression):
    """A user's estimator may use threads of its own."""
    from concurrent.futures import ThreadPoolExecutor

    class Many(BaseEstimator):
        def fit(self, X, y):
            with ThreadPoolExecutor(2) as pool:
                self.models_ = list(pool.map(lambda a: Ridge(alpha=a).fit(X, y), [1, 2, 3]))
            return self

    Many().fit(*regression)
    assert len(skledger.search_runs()) == 1


def test_odd_texts_and_long_names_lose_nothing(autolog):
    """Lone surrogates, long keys, long messages and long class names are made storable."""

    class Odd(BaseEstimator):
        def __init__(self, path="caf\udce9", knob=1):
            self.path, self.knob = path, knob

        def get_params(self, deep=True):
            return {"path": self.path, "k" * 300: 1, "k" * 301: 2}

        def fit(self, X, y=None):
            raise FileNotFoundError("no \udce9 " + "x" * 9000)

    Odd.__name__ = "Very" * 100
    with pytest.raises(FileNotFoundError):
        Odd().fit([[1.0]])
    run = skledger.last_active_run()
    assert run.info.status == "FAILED"
    assert run.data.params["path"] == "caf\\udce9"
    assert len(run.data.params) == 3
    assert run.data.tags["skledger.error.message"].endswith("...")
    with skledger.start_run(), pytest.raises(FileNotFoundError):
        Odd().fit([[1.0]])


def test_long_params_are_whole(autolog, multiclass):
    """A long dictionary inside a pipeline and a long array are written out."""
    from sklearn.pipeline import Pipeline

    weights = dict.fromkeys(range(200), 1.0)
    model = LogisticRegression(class_weight=weights, max_iter=500)
    Pipeline([("m", model)]).fit(*multiclass)
    assert skledger.last_active_run().data.params["m__class_weight"] == str(weights)

    class WithArray(BaseEstimator):
        def __init__(self, grid=None):
            self.grid = grid

        def fit(self, X, y=None):
            return self

    WithArray(np.arange(1500)).fit([[1.0]])
    assert " 750 " in skledger.last_active_run().data.params["grid"]


def test_a_failing_log_handler_costs_nothing(autolog, regression, swallowed):
    """The user's logging may be broken: the fit is not."""
    import logging

    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError("handler")

    class Odd(BaseEstimator):
        def get_params(self, deep=True):
            raise TypeError("no params")

        def fit(self, X, y):
            return self

    handler = Broken()
    logging.getLogger("skledger").addHandler(handler)
    try:
        Odd().fit(*regression)
    finally:
        logging.getLogger("skledger").removeHandler(handler)
    assert skledger.last_active_run().info.status == "FINISHED"
    skledger.flush()
    swallowed.clear()


def test_a_fit_that_outlives_autolog_is_booked(regression):
    """What began under autologging is booked when it ends, in whatever thread."""
    import threading

    began, go_on = threading.Event(), threading.Event()

    class Slow(BaseEstimator):
        def fit(self, X, y):
            began.set()
            go_on.wait(20)
            return self

        def __sklearn_clone__(self):
            return Ridge()

    with skledger.autolog(log_models=False):
        thread = threading.Thread(target=Slow().fit, args=regression)
        thread.start()
        began.wait(20)
    go_on.set()
    thread.join()
    (run,) = skledger.search_runs(output_format="list")
    assert run.info.status == "FINISHED"


def test_our_own_work_warns_nobody(autolog, regression, recwarn):
    """A deprecated property, a noisy predict: the user sees only what the fit itself warned."""
    import warnings

    class Noisy(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            warnings.warn("mine", UserWarning, stacklevel=1)
            self.mean_ = y.mean()
            return self

        def predict(self, X):
            warnings.warn("from predict", UserWarning, stacklevel=1)
            return np.full(len(X), self.mean_)

        def __getstate__(self):
            warnings.warn("from getstate", DeprecationWarning, stacklevel=1)
            return super().__getstate__()

        def get_params(self, deep=True):
            warnings.warn("from get_params", FutureWarning, stacklevel=1)
            return super().get_params(deep)

    Noisy().fit(*regression)
    skledger.flush()
    assert [str(each.message) for each in recwarn] == ["mine"]
    assert skledger.last_active_run().data.tags["skledger.warnings"] == "UserWarning: mine"


def test_children_of_multiprocessing_finish_what_they_began(run_python):
    """A forked worker ends its streams and runs, and draws its pictures."""
    run_python(
        """
        import multiprocessing
        import skledger; skledger.autolog()
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge, SGDRegressor
        X, y = load_diabetes(return_X_y=True)
        model = None
        def work():
            global model
            model = SGDRegressor().partial_fit(X, y)
            Ridge().fit(X, y)
            skledger.start_run()
        if __name__ == "__main__":
            child = multiprocessing.get_context("fork").Process(target=work)
            child.start(); child.join(60)
            assert child.exitcode == 0
        """
    )
    from skledger.ledger.drawing import missing_pictures

    runs = skledger.search_runs(output_format="list")
    assert [run.info.status for run in runs] == ["FINISHED"] * 3
    assert [missing_pictures(run) for run in runs] == [[]] * 3


def test_a_fork_beside_another_threads_fit_leaves_the_child_listening(run_python):
    """Only a child that a fit itself has forked is passive."""
    run_python(
        """
        import os, threading
        import skledger; skledger.autolog()
        from sklearn.base import BaseEstimator
        from sklearn.linear_model import Ridge
        began, go_on = threading.Event(), threading.Event()
        class Slow(BaseEstimator):
            def fit(self, X, y=None):
                began.set(); go_on.wait(20); return self
        thread = threading.Thread(target=Slow().fit, args=([[1]],)); thread.start(); began.wait(20)
        pid = os.fork()
        if pid == 0:
            Ridge().fit([[1.0], [2.0]], [1.0, 2.0]); os._exit(0)
        os.waitpid(pid, 0); go_on.set(); thread.join()
        """
    )
    assert len(skledger.search_runs()) == 2
