"""A fit is the same with autologging and without, for every estimator of scikit-learn."""

from __future__ import annotations

import copy
import inspect
import pickle
import pydoc
import warnings
from contextlib import contextmanager
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
from _estimators import (
    answers,
    call,
    data_for,
    differences,
    options_for,
    sklearn_estimators,
    untimed,
)
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

import skledger
from skledger.hooks.estimators import METHODS

ESTIMATORS = sklearn_estimators()
BY_NAME = dict(ESTIMATORS)
X, y = make_classification(n_samples=60, n_features=5, random_state=0)

#: What MLflow books no run for, spelled out once more, independently of the hooks.
PREPARING = ("preprocessing", "impute", "feature_extraction", "feature_selection")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _in_memory(_own_place):
    skledger.set_tracking_uri("memory:")


def only_prepares(estimator):
    cls = type(estimator)
    return cls.__module__.split(".")[1] in PREPARING or cls.__name__ == "ColumnTransformer"


def booked():
    """Return the runs that autologging made, without the children of a search."""
    runs = skledger.search_runs(output_format="list")
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


def booked_since(before):
    known = {run.info.run_id for run in before}
    return [run for run in booked() if run.info.run_id not in known]


def names(runs):
    return sorted(run.data.tags["estimator_name"] for run in runs)


def both(template, method, args, kwargs=None):
    """Call a method without autologging, then with it."""
    bare = call(template, method, args, kwargs)
    with skledger.autolog():
        ours = call(template, method, args, kwargs)
    return bare, ours


# -- every estimator -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_NAME)
def test_every_estimator(name):
    """Result, fitted state, predictions, data, warnings, output and random state are the same to
    the bit; the one run holds the params and the class, and its model predicts the same."""
    template = BY_NAME[name]
    args = data_for(template)
    expected_runs = 0 if only_prepares(template) else 1
    for method in METHODS:
        if not hasattr(template, method):
            continue
        before = booked()
        bare, ours = both(template, method, args, options_for(template, method, args))
        assert bare.error is None, "the data of this test does not fit the estimator"
        assert untimed(differences(bare.visible(), ours.visible())) == set()
        said = answers(bare.estimator, args)
        assert differences(said, answers(ours.estimator, args)) == set()
        assert b"skledger" not in pickle.dumps(ours.estimator)

        estimator, ours = ours.estimator, None
        params = {key: str(value) for key, value in _fresh_params(template).items()}
        del estimator  # ends the run of a partial_fit
        skledger.flush()
        runs = booked_since(before)
        assert len(runs) == expected_runs, method
        for run in runs:
            assert run.info.status == "FINISHED"
            assert run.data.tags["estimator_name"] == type(template).__name__
            assert run.data.tags["estimator_class"] == (
                f"{type(template).__module__}.{type(template).__qualname__}"
            )
            held = run.data.params
            assert {key: held.get(key) for key in params} == params
            loaded = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
            assert differences(said, answers(loaded, args)) == set()


def _fresh_params(template):
    """Return the params a run must hold: all of them, for a search its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fresh = copy.deepcopy(template)
        return fresh.get_params(deep=not isinstance(template, BaseSearchCV))


def _bad_calls(template, args):
    """Yield arguments that most estimators refuse, and all must refuse alike."""
    X, *rest = args
    yield ()
    yield (None, *rest)
    if isinstance(X, np.ndarray):
        broken = X.astype(float)
        broken.flat[3] = np.nan
        yield (broken, *rest)
        yield (X.reshape(-1)[: len(X)], *rest)
        yield (X[:0], *(part[:0] for part in rest))
        yield (X.astype(str).astype(object) + "x", *rest)
    if rest and get_tags(template).target_tags.required:
        yield X, rest[0][:-3]
        yield X, rest[0].astype(object).reshape(len(rest[0]), -1)[:, :1] * np.nan


@pytest.mark.parametrize("name", BY_NAME)
def test_every_failing_fit(name, swallowed):
    """A fit that fails raises the same exception, leaves the same estimator, and is a FAILED run;
    what it is given may be anything."""
    template = BY_NAME[name]
    bad_calls = list(_bad_calls(template, data_for(template)))
    without = [call(template, "fit", args) for args in bad_calls]
    skledger.autolog(log_models=False)
    for args, bare in zip(bad_calls, without, strict=True):
        before = booked()
        ours = call(template, "fit", args)
        assert untimed(differences(bare.visible(), ours.visible())) == set()
        if not only_prepares(template):
            (run,) = booked_since(before)
            assert run.info.status == ("FINISHED" if bare.error is None else "FAILED")
            if bare.error is not None:
                assert run.data.tags["skledger.error.type"] == type(bare.error).__qualname__
        if bare.error is None:
            # A fit may take what nothing can be predicted from, such as no data at all.
            swallowed.clear()


# -- classes and methods ---------------------------------------------------------------------------


def _classes():
    found = {type(template) for _, template in ESTIMATORS}
    return sorted(found, key=lambda cls: cls.__name__)


def _looks(cls, template):
    """Return how the training methods of a class and of an instance look from outside."""
    seen = {"repr": repr(template), "clone": repr(clone(template))}
    seen["pickle"] = pickle.dumps(template)
    seen["members"] = [name for name, _ in inspect.getmembers(cls, inspect.isfunction)]
    seen["dir"] = dir(cls)
    for name in METHODS:
        seen[f"has {name}"] = hasattr(cls, name), hasattr(template, name)
        for where, holder in (("class", cls), ("instance", template)):
            method = getattr(holder, name, None)
            if not callable(method):
                continue
            seen[f"{where} {name}"] = [
                str(inspect.signature(method)),
                inspect.getfullargspec(method),
                inspect.isfunction(method),
                inspect.ismethod(method),
                callable(method),
                method.__name__,
                method.__qualname__,
                method.__module__,
                method.__doc__,
                getattr(method, "__self__", None) is template,
                dict(method.__annotations__),
                method.__defaults__,
                method.__kwdefaults__,
                repr(method).partition(" at 0x")[0],
                method is getattr(holder, name),
                hash(method) == hash(getattr(holder, name)),
                method == getattr(holder, name),
                inspect.getsource(method),
                pydoc.plain(pydoc.render_doc(method)),
                joblib.hash(method) if where == "instance" else None,
            ]
    return seen


def test_classes_look_the_same():
    """Signature, documentation, source, name, module, ``repr``, ``dir``, pickle and hash of every
    class and method."""
    for cls in _classes():
        if cls.__name__ == "TSNE":
            continue  # its doc is the same; rendering every one costs a second
        template = next(each for _, each in ESTIMATORS if type(each) is cls)
        bare = _looks(cls, template)
        with skledger.autolog():
            ours = _looks(cls, template)
        assert differences(bare, ours) == set(), cls


def test_methods_of_every_class_survive_pickle_and_copy():
    """``est.fit`` and ``Est.fit`` go through pickle, cloudpickle and deepcopy, name nothing of
    ours, and come back as what they were."""
    skledger.autolog()
    for cls in _classes():
        template = copy.deepcopy(next(each for _, each in ESTIMATORS if type(each) is cls))
        for name in METHODS:
            if hasattr(template, name):
                for dumps in (pickle.dumps, cloudpickle.dumps):
                    pickled = dumps(getattr(template, name))
                    assert b"skledger" not in pickled and b"wrapt" not in pickled, cls
                    again = pickle.loads(pickled)
                    assert again.__name__ == name
                    assert type(again.__self__) is cls and again.__self__ is not template
                    of_class = dumps(getattr(cls, name))
                    assert b"skledger" not in of_class and b"wrapt" not in of_class, cls
                    assert pickle.loads(of_class).__qualname__ == getattr(cls, name).__qualname__
                copied = copy.deepcopy(getattr(template, name))
                assert type(copied.__self__) is cls and copied.__self__ is not template
                assert copy.copy(getattr(cls, name)).__qualname__ == getattr(cls, name).__qualname__


def test_a_pickle_made_without_us_loads_with_us_and_the_other_way_round():
    """Pickles carry no trace, so it does not matter where they were made."""
    model = RandomForestClassifier(3, random_state=0)
    bare = pickle.dumps(copy.deepcopy(model).fit(X, y))
    with skledger.autolog():
        ours = pickle.dumps(copy.deepcopy(model).fit(X, y))
        there = pickle.loads(bare)
        assert clone(there).fit(X, y).n_features_in_ == 5
    assert bare == ours
    assert differences(pickle.loads(ours), there) == set()


def test_availability_of_delegated_methods():
    """``hasattr(pipe, "fit_predict")`` still depends on the last step."""
    with skledger.autolog():
        assert hasattr(make_pipeline(StandardScaler(), KMeans(2)), "fit_predict")
        assert not hasattr(make_pipeline(StandardScaler(), Ridge()), "fit_predict")
        assert not hasattr(make_pipeline(StandardScaler(), Ridge()), "fit_transform")
        search = GridSearchCV(Ridge(), {"alpha": [1]})
        assert not hasattr(search, "predict_proba")
        with pytest.raises(AttributeError, match="fit_predict") as caught:
            make_pipeline(StandardScaler(), Ridge()).fit_predict
    with pytest.raises(AttributeError) as bare:
        make_pipeline(StandardScaler(), Ridge()).fit_predict
    assert str(caught.value) == str(bare.value)


def test_set_output_pandas():
    """``set_output("pandas")`` gives data frames from ``fit_transform``, of classes born before
    and while autologging is on."""
    Before = _make_transformer()
    skledger.autolog()
    After = _make_transformer()
    for transformer in (PCA(2), Before(), After(), make_pipeline(StandardScaler(), PCA(2))):
        frame = transformer.set_output(transform="pandas").fit_transform(X)
        assert type(frame).__name__ == "DataFrame", transformer
    assert names(booked()) == ["Doubler", "Doubler", "PCA", "Pipeline"]


def _make_transformer():
    class Doubler(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None, *, gain=1):
            self.n_features_in_ = X.shape[1]
            self.gain_ = gain
            return self

        def transform(self, X):
            return X * 2

        def get_feature_names_out(self, names=None):
            return np.array([f"d{n}" for n in range(self.n_features_in_)])

    return Doubler


def test_metadata_routing():
    """``set_fit_request`` exists with the same signature, and what is requested arrives."""
    import sklearn

    def look():
        Weighted = _make_transformer()
        estimator = Weighted().set_fit_request(gain=True)
        pipe = make_pipeline(estimator, LogisticRegression().set_fit_request(sample_weight=True))
        pipe.fit(X, y, gain=3, sample_weight=np.ones(len(y)))
        return (
            str(inspect.signature(Weighted.set_fit_request)),
            pipe[0].gain_,
            repr(pipe.get_metadata_routing()),
            repr(LogisticRegression().get_metadata_routing()),
            pipe[1].coef_,
        )

    with sklearn.config_context(enable_metadata_routing=True):
        bare = look()
        with skledger.autolog():
            ours = look()
            assert len(booked()) == 1
            with pytest.raises(TypeError, match="unexpected"):
                make_pipeline(StandardScaler(), Ridge()).fit(X, y, nonsense=1)
    assert differences(bare, ours) == set()


# -- classes of the user ---------------------------------------------------------------------------


class Echo(ClassifierMixin, BaseEstimator):
    """Returns, raises and warns what it is told."""

    def __init__(self, result=None, error=None, warns=0):
        self.result = result
        self.error = error
        self.warns = warns

    def fit(self, X, y=None, **more):
        self.got_ = (X, y, more)
        self.classes_ = np.array([0, 1])
        for level in range(1, self.warns + 1):
            warnings.warn(f"level {level}", UserWarning, stacklevel=level)
            from_the_name(f"name {level}", UserWarning, stacklevel=level)
        if self.error is not None:
            raise self.error
        return self if self.result is None else self.result

    def predict(self, X):
        return np.zeros(len(X))


from_the_name = warnings.warn  # as ``from warnings import warn`` binds it


def test_a_fit_may_return_anything():
    """What ``fit`` returns is handed on, the very object."""
    token = object()
    with skledger.autolog(log_models=False):
        assert Echo(result=token).fit(X, y) is token
        estimator = Echo()
        assert estimator.fit(X, y) is estimator
        assert Echo.fit(estimator, X, y) is estimator
        assert super(Echo, estimator) is not None
    assert len(booked()) == 3


def test_arguments_arrive_as_they_were_given():
    """The very objects, by position and by name, and those we know nothing of."""
    with skledger.autolog(log_models=False):
        estimator = Echo()
        extra = object()
        estimator.fit(X, y=y, wrapped=1, instance=2, args=3, kwargs=4, method=5, extra=extra)
    got_X, got_y, more = estimator.got_
    assert got_X is X and got_y is y and more["extra"] is extra
    assert {key: more[key] for key in ("wrapped", "instance", "args", "kwargs", "method")} == {
        "wrapped": 1, "instance": 2, "args": 3, "kwargs": 4, "method": 5
    }  # fmt: skip


class Stop(BaseException):
    """Not an Exception: nothing may catch it."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyboardInterrupt(),
        SystemExit(3),
        Stop("x"),
        GeneratorExit(),
        StopIteration(7),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_very_exception_arrives(error):
    """The same object, with nothing added to its cause, context or notes."""
    error.__traceback__ = None
    with skledger.autolog(), pytest.raises(BaseException) as caught:
        Echo(error=error).fit(X, y)
    assert caught.value is error
    assert error.__cause__ is None and error.__context__ is None
    assert not hasattr(error, "__notes__")
    (run,) = booked()
    assert run.info.status == ("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")


def test_the_context_of_an_exception_is_kept():
    """Raised while the user handles another one, it still says so."""
    with skledger.autolog(), pytest.raises(ValueError) as caught:
        try:
            raise KeyError("first")
        except KeyError:
            Echo(error=ValueError("second")).fit(X, y)
    assert isinstance(caught.value.__context__, KeyError)


def test_failures_inside_a_fit_name_nothing_of_ours():
    """Searches quote the tracebacks of their inner fits in errors and warnings: the same text."""
    failing = make_pipeline(StandardScaler(), Echo(error=ValueError("inside")))
    for error_score in ("raise", np.nan):
        search = GridSearchCV(failing, {"echo__warns": [0, 1]}, cv=2, error_score=error_score)
        bare, ours = both(search, "fit", (X, y))
        assert type(bare.error) is ValueError
        assert str(bare.error) == str(ours.error)
        assert untimed(differences(bare.visible(), ours.visible())) == set()
    assert "test_same_fit.py" in str(bare.error)
    half = GridSearchCV(LogisticRegression(), {"C": [1, -1]}, cv=2)
    bare, ours = both(half, "fit", (X, y))
    assert any(warned[0].__name__ == "FitFailedWarning" for warned in bare.warned)
    assert bare.warned == ours.warned


def test_wrong_arguments_raise_the_same_type_error():
    """A call that does not fit the signature fails as without us."""
    for args, kwargs in [((), {}), ((X, y, 1, 2, 3), {}), ((X, y), {"nonsense": 1})]:
        bare, ours = both(LogisticRegression(), "fit", args, kwargs)
        assert isinstance(bare.error, TypeError)
        assert str(bare.error) == str(ours.error)


def test_a_wrong_param_raises_the_same_error():
    """scikit-learn's validation of params speaks as without us."""
    bare, ours = both(LogisticRegression(C="much"), "fit", (X, y))
    assert type(bare.error).__name__ == "InvalidParameterError"
    assert differences(bare.visible(), ours.visible()) == set()


def test_unfitted_estimators_raise_the_same_error():
    """``predict`` before ``fit``."""
    with pytest.raises(Exception) as bare:
        LogisticRegression().predict(X)
    with skledger.autolog(), pytest.raises(type(bare.value)) as ours:
        LogisticRegression().predict(X)
    assert str(bare.value) == str(ours.value)


def test_odd_attributes_with_the_name_of_a_method_are_left_alone():
    """``fit_predict = None`` in a subclass says that it cannot; it goes on saying so."""
    skledger.autolog()

    class Odd(ClusterMixin, BaseEstimator):
        fit_predict = None
        fit_transform = "not here"

        def fit(self, X, y=None):
            return self

        @property
        def partial_fit(self):
            raise AttributeError("not now")

    odd = Odd()
    assert odd.fit_predict is None and Odd.fit_transform == "not here"
    assert isinstance(inspect.getattr_static(Odd, "partial_fit"), property)
    assert not hasattr(odd, "partial_fit")
    assert odd.fit(X) is odd
    assert len(booked()) == 1


def test_every_kind_of_method():
    """Static, class and partial methods, descriptors, lambdas, aliases, undecorated decorators."""
    import functools

    def decorated(function):
        def call(*args, **kwargs):
            return function(*args, **kwargs)

        return call

    def build():
        class Partial(BaseEstimator):
            def _fit(self, X, y=None, deep=False):
                self.deep_ = deep
                return self

            fit = functools.partialmethod(_fit, deep=True)

        class Static(BaseEstimator):
            @staticmethod
            def fit(X, y=None):
                return "static", len(X)

        class OfClass(BaseEstimator):
            @classmethod
            def fit(cls, X, y=None):
                return "class", cls.__name__

        class Lambda(BaseEstimator):
            fit = lambda self, X, y=None: self  # noqa: E731

        class Decorated(BaseEstimator):
            @decorated
            def fit(self, X, y=None):
                self.seen_ = len(X)
                return self

        class Alias(Pipeline):
            train = Pipeline.fit_predict
            fit = Pipeline.fit

        return Partial, Static, OfClass, Lambda, Decorated, Alias

    def look(classes):
        *simple, Alias = classes
        results = [cls().fit(X, y) for cls in simple]
        pipe = Alias([("km", KMeans(2, n_init=1, random_state=0))])
        kept = [getattr(each, "__dict__", each) for each in results]
        return kept, pipe.train(X), pipe.fit(X)["km"].labels_, str(inspect.signature(Alias.train))

    bare = look(build())
    with skledger.autolog(log_models=False):
        ours = look(build())
    assert differences(bare, ours) == set()
    assert names(booked()) == ["Alias", "Alias", "Decorated", "Lambda", "Partial"]


def test_super_and_own_calls_make_one_run():
    """A ``fit`` that calls its parent's, or another of its own methods, is one fit."""

    class Child(KMeans):
        def fit(self, X, y=None, sample_weight=None):
            super().fit(X)
            return self

        def fit_predict(self, X, y=None):
            return super().fit_predict(X)

    with skledger.autolog():
        Child(2, n_init=1).fit_predict(X)
    assert len(booked()) == 1


def test_a_class_may_be_mocked_meanwhile(monkeypatch):
    """``unittest.mock`` sees the signature, and what it patches it gives back."""
    from unittest import mock

    skledger.autolog()
    before = vars(Ridge)["fit"]
    double = mock.create_autospec(Ridge)
    with pytest.raises(TypeError):
        double().fit()
    with mock.patch.object(Ridge, "fit", autospec=True) as fake:
        Ridge().fit(X, y)
        fake.assert_called_once()
    assert vars(Ridge)["fit"] is before


# -- warnings --------------------------------------------------------------------------------------


def _warn_from_here(model):
    return model.fit(X, y)


def test_warnings_point_to_the_same_lines():
    """At every stack level, by ``warnings.warn`` and by the name bound before; in order."""
    seen = []
    for on in (False, True):
        with (
            skledger.autolog(disable=not on, log_models=False),
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always")
            _warn_from_here(Echo(warns=6))
        seen.append([(w.category, str(w.message), w.filename, w.lineno) for w in caught])
    # The line of the ``with`` block is the same one; nothing but the last levels may leave here.
    assert seen[0] == seen[1]
    assert len(seen[0]) == 12
    assert {Path(where[2]).name for where in seen[0][:6]} == {Path(__file__).name}
    (run,) = booked()
    assert run.data.tags["skledger.warnings"].count("level") == 6


def test_warnings_as_errors():
    """Under ``simplefilter("error")`` the warning is raised out of ``fit``, as without us."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bare, ours = [], []
        for on, errors in ((False, bare), (True, ours)):
            with skledger.autolog(disable=not on):
                try:
                    Echo(warns=2).fit(X, y)
                except UserWarning as error:
                    errors.append((type(error), str(error)))
    assert bare == ours == [(UserWarning, "level 1")]


@pytest.mark.parametrize(
    "action",
    [
        "default",
        "once",
        "module",
        "ignore",
        "always",
    ],
)
def test_repeated_warnings_are_shown_as_often(action):
    """The once-per-location rule counts the user's lines, as without us; and every run of the
    loop books its warnings all the same."""
    shown = []
    for on in (False, True):
        with skledger.autolog(disable=not on, log_models=False), _shown(action) as caught:
            for _ in range(3):
                _warn_from_here(Echo(warns=2))
            _warn_from_here(Echo(warns=2))
        shown.append([(str(w.message), w.filename, w.lineno) for w in caught])
    assert shown[0] == shown[1]
    assert len(shown[0]) == {"ignore": 0, "always": 16}.get(action, 4)
    if action != "ignore":
        assert ["level 2" in run.data.tags["skledger.warnings"] for run in booked()] == [True] * 4


@contextmanager
def _shown(action):
    """Forget what has been shown, and collect what is shown from now on."""
    warnings.onceregistry.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)
        yield caught


def test_a_warning_from_scikit_learn_is_shown_as_often():
    """ConvergenceWarning in a loop: whenever it is without us, and noted for every fit."""
    shown = []
    for on in (False, True):
        with skledger.autolog(disable=not on, log_models=False), _shown("default") as caught:
            for _ in range(3):
                LogisticRegression(max_iter=1).fit(X, y)
        shown.append([(w.category, w.filename, w.lineno) for w in caught])
    assert shown[0] == shown[1]
    assert {category.__name__ for category, *_ in shown[0]} == {"ConvergenceWarning"}
    assert all("ConvergenceWarning" in run.data.tags["skledger.warnings"] for run in booked())


def test_the_warnings_of_our_own_measuring_are_not_shown():
    """What scikit-learn's metrics would say while we compute them is for nobody."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with skledger.autolog():
            Echo().fit(X, y)  # predicts one class only: precision is ill-defined
            Echo().fit(X, y + 0.5)
    assert [str(each.message) for each in caught] == []


# -- the random state ------------------------------------------------------------------------------


def _alone(state):
    return DummyClassifier(strategy="stratified", random_state=state)


def _in_pipeline(state):
    return make_pipeline(StandardScaler(), DummyClassifier(strategy="uniform", random_state=state))


def _in_search(state):
    return GridSearchCV(_alone(state), {"constant": [0, 1]}, cv=2)


def _in_vote(state):
    return VotingClassifier([("d", _alone(state))])


def _in_stack(state):
    return StackingClassifier([("d", _alone(state))], cv=2)


@pytest.mark.parametrize(
    ("make", "given"),
    [
        pytest.param(_alone, False, id="global, alone"),
        pytest.param(_alone, True, id="given, alone"),
        pytest.param(_in_pipeline, False, id="global, in a pipeline"),
        pytest.param(_in_pipeline, True, id="given, in a pipeline"),
        pytest.param(_in_search, False, id="global, in a search"),
        pytest.param(_in_search, True, id="given, in a search"),
        pytest.param(_in_vote, False, id="global, in a vote"),
        pytest.param(_in_vote, True, id="given, in a vote"),
        pytest.param(_in_stack, False, id="global, in a stack"),
        pytest.param(_in_stack, True, id="given, in a stack"),
    ],
)
def test_predictions_that_draw_random_numbers(make, given):
    """Measuring predicts; the user's own draws, of the global state or of one that was given to
    the estimator, go on as if it had not."""
    drawn = []
    for on in (False, True):
        np.random.seed(3)
        estimator = make(np.random.RandomState(4) if given else None)
        with skledger.autolog(disable=not on):
            estimator.fit(X, y)
            drawn.append((estimator.predict(X), np.random.rand(4)))
    assert differences(*drawn) == set()


# -- parallel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing", "sequential"])
@pytest.mark.parametrize(
    "model",
    [
        VotingClassifier(
            [("a", DecisionTreeClassifier(random_state=0)), ("b", LogisticRegression())], n_jobs=2
        ),
        GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=2, n_jobs=2),
    ],
    ids=["vote", "search"],
)
def test_parallel_fits_are_one_run(model, backend):
    """On every backend of joblib, with the same result."""
    with joblib.parallel_config(backend=backend):
        bare, ours = both(model, "fit", (X, y))
    assert bare.error is None
    assert untimed(differences(bare.visible(), ours.visible())) == set()
    assert len(booked()) == 1


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_methods_can_be_sent_to_workers(backend):
    """``joblib.delayed(est.fit)`` goes to other processes and comes back fitted."""
    with skledger.autolog(), joblib.parallel_config(backend=backend):
        models = joblib.Parallel(n_jobs=2)(
            joblib.delayed(LogisticRegression(C=c).fit)(X, y) for c in (0.1, 1)
        )
        again = joblib.Parallel(n_jobs=2)(
            joblib.delayed(LogisticRegression.fit)(LogisticRegression(C=c), X, y) for c in (0.1, 1)
        )
    for model, other, c in zip(models, again, (0.1, 1), strict=True):
        expected = LogisticRegression(C=c).fit(X, y)
        assert differences(expected, model) == differences(expected, other) == set()


def test_a_cached_pipeline_finds_its_cache(tmp_path):
    """joblib's memory knows a step again, whether it was cached with or without us."""
    calls = tmp_path / "calls"
    pipe = Pipeline(
        [("count", CountingScaler(str(calls))), ("ridge", Ridge())], memory=str(tmp_path)
    )
    clone(pipe).fit(X, y)
    with skledger.autolog():
        clone(pipe).fit(X, y)
    clone(pipe).fit(X, y)
    assert calls.read_text() == "."


class CountingScaler(StandardScaler):
    """Leaves a dot in a file for every fit."""

    def __init__(self, path=""):
        super().__init__()
        self.path = path

    def fit(self, X, y=None, sample_weight=None):
        with open(self.path, "a") as stream:
            stream.write(".")
        return super().fit(X)
