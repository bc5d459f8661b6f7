"""In whatever order things are imported, defined, switched and patched, each fit is booked once,
and nothing stays behind. Each order runs in a process of its own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap

import pytest

HELPERS = """
import skledger

def runs():
    return sorted(r.data.tags["estimator_name"] for r in skledger.search_runs(output_format="list"))

def data():
    from sklearn.datasets import make_classification
    return make_classification(n_samples=40, n_features=4, random_state=0)

def methods():
    '''Return the function objects that autologging may touch, by where they are.'''
    import joblib, warnings
    from sklearn.base import BaseEstimator, ClusterMixin, OutlierMixin, TransformerMixin
    import sklearn.utils
    sklearn.utils.all_estimators()  # imports every module
    found, stack = {}, [BaseEstimator, ClusterMixin, OutlierMixin, TransformerMixin]
    while stack:
        cls = stack.pop()
        stack.extend(cls.__subclasses__())
        for owner in cls.__mro__[:-1]:
            for name, value in vars(owner).items():
                found[owner, name] = value
    found["Parallel"] = joblib.Parallel.__call__
    for name, value in vars(warnings).items():
        found["warnings", name] = value
    return found

def same(before, after):
    changed = [key for key, value in before.items() if after.get(key) is not value]
    return [key for key in changed if key[1] not in ("__abstractmethods__", "_abc_impl")]

def left_behind():
    import gc
    from skledger.hooks.patching import BoundPatch, Patch
    gc.collect()
    # A module that was imported meanwhile keeps the ``warn`` it bound to a name, passive.
    return [
        o for o in gc.get_objects() if type(o) in (Patch, BoundPatch) and o.__name__ != "warn"
    ]
"""

SET_UP = 'skledger.set_tracking_uri("memory:")'


def run(script, folder, *, helpers=True):
    """Run a script in a new process; its assertions are the test's."""
    parts = (HELPERS, SET_UP) if helpers else ()
    path = folder / "script.py"
    path.write_text("\n".join((*parts, textwrap.dedent(script), "skledger.flush()" * helpers)))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SKLEDGER_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "could not book" not in done.stderr, done.stderr
    return done.stdout


STEPS = {
    "import scikit-learn": "from sklearn.base import BaseEstimator\nfrom sklearn.linear_model import Ridge",
    "import skledger": HELPERS + SET_UP,
    "autolog": "skledger.autolog()",
    "define": """
class Mine(BaseEstimator):
    def fit(self, X, y=None):
        self.inner_ = Ridge().fit(X, y)
        return self
""",
}
ORDERS = [
    order
    for order in itertools.permutations(STEPS)
    if order.index("import scikit-learn") < order.index("define")
    and order.index("import skledger") < order.index("autolog")
]


@pytest.mark.parametrize("order", ORDERS, ids=", ".join)
def test_every_order_books_each_fit_once(order, tmp_path):
    """However imports, ``autolog()`` and the definition of a class follow each other."""
    script = "\n".join(STEPS[step] for step in order)
    script += textwrap.dedent("""
        from sklearn.cluster import KMeans  # imported after everything else
        X, y = data()
        Ridge().fit(X, y)
        Mine().fit(X, y)
        KMeans(2, n_init=1).fit_predict(X)
        assert runs() == ["KMeans", "Mine", "Ridge"], runs()
        skledger.autolog(disable=True)
        Ridge().fit(X, y)
        Mine().fit(X, y)
        assert len(runs()) == 3
        assert left_behind() == []
        skledger.flush()
    """)
    run(script, tmp_path, helpers=False)


def test_autolog_imports_no_scikit_learn(tmp_path):
    """Before scikit-learn is imported ``autolog()`` only waits for it; disabled meanwhile, it
    waits for nothing."""
    run(
        """
        import sys
        skledger.autolog()
        assert not {"sklearn", "joblib", "numpy"} & set(sys.modules)
        skledger.autolog(disable=True)
        from sklearn.linear_model import Ridge
        assert left_behind() == []
        X, y = data()
        Ridge().fit(X, y)
        assert runs() == []
        skledger.autolog()
        Ridge().fit(X, y)
        assert runs() == ["Ridge"]
        """,
        tmp_path,
    )


def test_twice_is_once(tmp_path):
    """``autolog()`` again only changes the configuration; one ``disable`` ends it."""
    run(
        """
        from sklearn.linear_model import Ridge
        before = methods()
        skledger.autolog()
        first = vars(Ridge)["fit"]
        skledger.autolog(extra_tags={"a": "b"})
        skledger.autolog(extra_tags={"a": "c"})
        assert vars(Ridge)["fit"] is first
        Ridge().fit(*data())
        (run,) = skledger.search_runs(output_format="list")
        assert run.data.tags["a"] == "c"
        skledger.autolog(disable=True)
        skledger.autolog(disable=True)
        del first
        assert same(before, methods()) == []
        assert left_behind() == []
        """,
        tmp_path,
    )


def test_disable_leaves_no_trace(tmp_path):
    """Every class has the very function objects it had, those born meanwhile have their own;
    ``warnings`` and joblib too; no wrapper is left in memory."""
    run(
        """
        import gc, inspect
        from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
        from sklearn.cluster import KMeans
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import Pipeline

        def define():
            class Born(TransformerMixin, BaseEstimator):
                def fit(self, X, y=None): return self
                def fit_transform(self, X, y=None): return X
                def transform(self, X): return X
                def get_feature_names_out(self, names=None): return names
            class Child(Born):
                def fit_transform(self, X, y=None): return super().fit_transform(X)
            class Alias(Pipeline):
                fit_transform = Pipeline.fit_transform
                train = Pipeline.fit_predict
            return Born, Child, Alias

        before, plain = methods(), define()
        X, y = data()
        for _ in range(3):
            skledger.autolog()
            born = define()
            LogisticRegression().fit(X, y)
            Alias = born[2]
            Alias([("k", KMeans(2, n_init=1))]).train(X)
            assert type(born[1]().set_output(transform="pandas").fit_transform(X)).__name__ == "DataFrame"
            skledger.autolog(disable=True)
            assert same(before, methods()) == []
            for mine, other in zip(born[:2], plain[:2], strict=True):
                for name, value in vars(other).items():
                    assert type(vars(mine)[name]) is type(value), (mine, name)
                    if inspect.isfunction(value):
                        inner = inspect.unwrap(vars(mine)[name])
                        assert type(inner) is type(define), name
                        assert inner.__code__ is inspect.unwrap(value).__code__
            Alias([("k", KMeans(2, n_init=1))]).train(X)
            Alias([("k", KMeans(2, n_init=1))]).fit_transform(X)
            del born, Alias, mine, other
        assert len(runs()) == 9
        skledger.flush()  # a picture that is not drawn yet may hold a class
        assert left_behind() == []
        """,
        tmp_path,
    )


def test_disable_then_enable(tmp_path):
    """What was born while it was off is met when it is on again."""
    run(
        """
        from sklearn.base import BaseEstimator
        from sklearn.linear_model import Ridge
        X, y = data()
        skledger.autolog()
        model = Ridge()
        bound = model.fit  # looked up while on
        skledger.autolog(disable=True)
        class Between(BaseEstimator):
            def fit(self, X, y=None): return self
        Between().fit(X, y)
        assert bound(X, y) is model
        assert runs() == []
        skledger.autolog()
        Between().fit(X, y)
        Ridge().fit(X, y)
        bound(X, y)
        assert runs() == ["Between", "Ridge", "Ridge"]
        """,
        tmp_path,
    )


def test_the_context_manager_puts_back_what_was(tmp_path):
    """Off stays off, the outer configuration returns, with an exception too."""
    run(
        """
        from sklearn.linear_model import Ridge
        X, y = data()
        before = methods()
        with skledger.autolog():
            Ridge().fit(X, y)
        assert same(before, methods()) == []
        try:
            with skledger.autolog():
                Ridge().fit(X, y[:3])
        except ValueError:
            pass
        else:
            raise AssertionError
        assert same(before, methods()) == []
        Ridge().fit(X, y)
        assert len(runs()) == 2

        skledger.autolog(extra_tags={"level": "outer"})
        with skledger.autolog(extra_tags={"level": "inner"}):
            Ridge(alpha=2).fit(X, y)
            with skledger.autolog(disable=True):
                Ridge(alpha=3).fit(X, y)
        Ridge(alpha=4).fit(X, y)
        found = {r.data.params["alpha"]: r.data.tags.get("level")
                 for r in skledger.search_runs(output_format="list")}
        assert found == {"1.0": None, "2": "inner", "4": "outer"}, found
        """,
        tmp_path,
    )


OTHER_PATCHERS = """
import functools, wrapt
from sklearn.linear_model import Ridge
calls = []

class Plain:
    def put_on(self):
        original = self.original = Ridge.fit
        def fit(self, *args, **kwargs):
            calls.append("other")
            return original(self, *args, **kwargs)
        Ridge.fit = self.there = self.dress(fit, original)
    def dress(self, fit, original):
        return fit
    def take_off(self):
        Ridge.fit = self.original

class Dressed(Plain):
    def dress(self, fit, original):
        return functools.wraps(original)(fit)

class Raw(Plain):
    def put_on(self):
        original = self.original = vars(Ridge)["fit"]
        def fit(self, *args, **kwargs):
            calls.append("other")
            return original.__get__(self, type(self))(*args, **kwargs)
        Ridge.fit = self.there = fit

class Wrapt:
    def put_on(self):
        def wrapper(wrapped, instance, args, kwargs):
            calls.append("other")
            return wrapped(*args, **kwargs)
        wrapt.wrap_function_wrapper("sklearn.linear_model", "Ridge.fit", wrapper)
        self.there = vars(Ridge)["fit"]
    def take_off(self):
        wrapt.unwrap_object(Ridge, "fit", self.there)

X, y = data()
plain = vars(Ridge)["fit"]

def fit(booked, called):
    before, calls[:] = len(runs()), []
    model = Ridge()
    assert model.fit(X, y) is model
    assert model.coef_.shape == (4,)
    assert len(runs()) - before == booked, len(runs()) - before
    assert len(calls) == called, calls
"""
PATCHERS = ["Plain", "Dressed", "Raw", "Wrapt"]


@pytest.mark.parametrize("other", PATCHERS)
def test_beside_another_patch(other, tmp_path):
    """Somebody else patches the same method, before us or after us, and leaves before us or
    after us: each of the two is called once, and the last to leave leaves the plain function."""
    run(
        OTHER_PATCHERS
        + textwrap.dedent(f"""
        # He comes first: his patch stays when we leave.
        other = {other}()
        other.put_on()
        skledger.autolog()
        fit(booked=1, called=1)
        skledger.autolog()
        fit(booked=1, called=1)
        skledger.autolog(disable=True)
        assert vars(Ridge)["fit"] is other.there
        fit(booked=0, called=1)
        skledger.autolog()
        skledger.autolog(disable=True)
        other.take_off()
        assert vars(Ridge)["fit"] is plain
        assert left_behind() == []

        # He comes after us and leaves before us.
        skledger.autolog()
        other.put_on()
        fit(booked=1, called=1)
        other.take_off()
        fit(booked=1, called=0)
        skledger.autolog(disable=True)
        del other
        fit(booked=0, called=0)
        assert vars(Ridge)["fit"] is plain, vars(Ridge)["fit"]
        assert left_behind() == []

        # He comes after us and stays: ours is passive under his; we come back, he leaves.
        other = {other}()
        skledger.autolog()
        other.put_on()
        fit(booked=1, called=1)
        skledger.autolog()
        fit(booked=1, called=1)
        skledger.autolog(disable=True)
        assert vars(Ridge)["fit"] is other.there
        fit(booked=0, called=1)
        skledger.autolog()
        fit(booked=1, called=1)
        other.take_off()
        fit(booked=1, called=0)
        skledger.autolog(disable=True)
        fit(booked=0, called=0)
        skledger.autolog()
        fit(booked=1, called=0)
        """),
        tmp_path,
    )


def test_every_kind_of_class_is_met(tmp_path):
    """Class keywords, metaclasses, abstract classes, data classes, generics, late methods."""
    run(
        """
        import abc, dataclasses, typing
        from sklearn.base import BaseEstimator, RegressorMixin
        skledger.autolog()
        X, y = data()
        T = typing.TypeVar("T")

        class Keyword(BaseEstimator):
            def __init_subclass__(cls, *, label="none", **rest):
                super().__init_subclass__(**rest)
                cls.label = label
            label = "none"
            def fit(self, X, y=None): return self
        class Labelled(Keyword, label="mine"):
            def fit(self, X, y=None): return super().fit(X)
        class Meta(abc.ABCMeta): pass
        class Abstract(BaseEstimator, metaclass=Meta):
            @abc.abstractmethod
            def fit(self, X, y=None): ...
        class Concrete(Abstract):
            def fit(self, X, y=None): return self
        @dataclasses.dataclass
        class Data(BaseEstimator):
            alpha: float = 1.0
            def fit(self, X, y=None): return self
        class Generic(BaseEstimator, typing.Generic[T]):
            def fit(self, X: T, y: T | None = None) -> "Generic[T]": return self
        class Mixin:
            def fit(self, X, y=None): return self
        class FromMixin(Mixin, RegressorMixin, BaseEstimator): pass
        Dynamic = type("Dynamic", (BaseEstimator,), {"fit": lambda self, X, y=None: self})
        class FitsWhileBorn(BaseEstimator):
            def fit(self, X, y=None):
                class Inner(BaseEstimator):
                    def fit(self, X, y=None): return self
                Inner().fit(X)
                return self

        assert Labelled.label == "mine" and Keyword.label == "none"
        try:
            Abstract()
        except TypeError:
            pass
        for cls in (Keyword, Labelled, Concrete, Data, Generic, FromMixin, Dynamic, FitsWhileBorn):
            model = cls()
            assert model.fit(X, y) is model
        names = ["Concrete", "Data", "Dynamic", "FitsWhileBorn", "FromMixin", "Generic",
                 "Keyword", "Labelled"]
        assert runs() == names, runs()
        assert Mixin().fit(X) is not None  # no estimator: no run
        assert runs() == names
        """,
        tmp_path,
    )


def test_names_bound_while_on_go_on_working(tmp_path):
    """``from warnings import warn`` while on, used when off: it points to the right line."""
    run(
        """
        import warnings
        from sklearn.base import BaseEstimator
        skledger.autolog()
        from warnings import warn
        class Warns(BaseEstimator):
            def fit(self, X, y=None):
                warn("bound", stacklevel=2)
                return self
        def lines():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                Warns().fit([[1]])  # this line
            with open(__file__) as script:
                text = script.read().splitlines()
            return ["this line" in text[w.lineno - 1] for w in caught if w.filename == __file__]
        assert lines() == [True]
        skledger.autolog(disable=True)
        assert lines() == [True]
        """,
        tmp_path,
    )


def test_pickles_load_where_skledger_is_not(tmp_path):
    """Fitted estimators, methods, and classes of ``__main__`` pickled by value, made while on,
    load and work in a process that can import neither skledger nor wrapt."""
    run(
        """
        import pickle, cloudpickle, joblib
        from sklearn.base import BaseEstimator, TransformerMixin
        from sklearn.cluster import KMeans
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
        X, y = data()

        class Before(BaseEstimator):
            def fit(self, X, y=None):
                self.n_ = len(X)
                return self
            def predict(self, X): return [self.n_] * len(X)
        skledger.autolog()
        class Mine(TransformerMixin, Before):
            def fit(self, X, y=None):
                return super().fit(X)
            def fit_transform(self, X, y=None): return self.fit(X).transform(X)
            def transform(self, X): return X
            def get_feature_names_out(self, names=None): return names

        pipe = make_pipeline(Mine(), LogisticRegression()).fit(X, y)
        search = GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2).fit(X, y)
        shadowed = KMeans(2, n_init=1)
        shadowed.fit = shadowed.fit  # a bound method in the instance
        things = {
            "pipe": pipe, "search": search, "mine": Mine().fit(X), "before": Before().fit(X),
            "class": Mine, "method": Mine().fit, "function": Mine.fit, "bound": search.fit,
            "of class": LogisticRegression.fit, "raw": vars(Mine)["fit"], "shadowed": shadowed,
            "delegated": make_pipeline(KMeans(2, n_init=1)).fit_predict,
        }
        pickled = cloudpickle.dumps(things)
        assert b"skledger" not in pickled and b"wrapt" not in pickled
        for name in ("search", "bound", "of class", "shadowed", "delegated"):
            plain = pickle.dumps(things[name])
            assert b"skledger" not in plain and b"wrapt" not in plain, name
            pickle.loads(plain)
        joblib.dump(search, "search.joblib")
        with open("things.pkl", "wb") as stream:
            stream.write(pickled)
        """,
        tmp_path,
    )
    run(
        """
        import pickle, sys, joblib
        for name in ("skledger", "wrapt"):
            sys.modules[name] = None
        from sklearn.datasets import make_classification
        X, y = make_classification(n_samples=40, n_features=4, random_state=0)
        with open("things.pkl", "rb") as stream:
            things = pickle.load(stream)
        assert things["pipe"].predict(X).shape == (40,)
        assert things["pipe"].fit(X, y).score(X, y) > 0.5
        assert things["search"].predict(X).shape == (40,)
        assert things["mine"].n_ == 40 and things["mine"].fit(X[:9]).n_ == 9
        assert things["mine"].fit_transform(X).shape == (40, 4)
        assert things["before"].predict(X)[0] == 40
        assert things["class"]().fit(X).n_ == 40
        assert things["method"](X).n_ == 40
        assert things["function"](things["class"](), X).n_ == 40
        assert things["raw"](things["class"](), X).n_ == 40
        assert things["bound"](X, y).best_params_
        assert things["shadowed"].fit(X).labels_.shape == (40,)
        assert things["delegated"](X).shape == (40,)
        assert joblib.load("search.joblib").predict(X).shape == (40,)
        loaded = [m for m in sys.modules if m.startswith(("skledger", "wrapt")) and sys.modules[m]]
        assert loaded == [], loaded
        """,
        tmp_path,
        helpers=False,
    )
