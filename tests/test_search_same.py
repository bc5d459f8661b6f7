"""A search is the same with autologging and without: results, warnings, output, errors."""

from __future__ import annotations

import contextlib
import io
import pickle
import random
import re
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from _estimators import answers, differences, untimed
from scipy import sparse
from scipy.stats import uniform
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
)
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import skledger

X, y = make_classification(n_samples=60, n_features=5, random_state=0)
PACKAGE = str(Path(skledger.__file__).parent)
GROUPS = np.repeat(range(12), 5)
WEIGHTS = np.linspace(0.5, 2.0, 60)
DEPTHS = {"max_depth": [1, 2, 3]}

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _in_memory(_own_place):
    skledger.set_tracking_uri("memory:")


def tree():
    return DecisionTreeClassifier(random_state=0)


class Fussy(ClassifierMixin, BaseEstimator):
    """Fails for some of its settings, warns for others."""

    def __init__(self, number=0, when="number"):
        self.number = number
        self.when = when

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        if self.number == 1:
            warnings.warn("one is the loneliest number", RuntimeWarning, stacklevel=1)
        if self.number == 2 and (self.when == "always" or X[0, 0] == globals()["X"][0, 0]):
            raise ValueError(f"two is too many: {self.number!r}")
        return self

    def predict(self, X):
        return self.classes_[(X[:, 0] > self.number - 1).astype(int)]


def several_scores(estimator, X, y):
    """Return several scores from one callable."""
    predicted = estimator.predict(X)
    return {"accuracy": accuracy_score(y, predicted), "f1": f1_score(y, predicted)}


def sometimes_a_score(estimator, X, y):
    """Fail to score the deepest trees."""
    if estimator.max_depth == 3:
        raise TypeError("cannot score this")
    return accuracy_score(y, estimator.predict(X))


def second_best(results):
    """Choose a candidate that is not the best."""
    return int(np.argsort(results["rank_test_score"], kind="stable")[1])


def simplest_by_f1(results):
    """Choose from several metrics."""
    return int(np.argmax(results["mean_test_f1"]))


class TwoRounds(BaseSearchCV):
    """A user's own search: two calls for candidates, with columns of its own."""

    def __init__(self, estimator, *, cv=None, n_jobs=None, refit=True):
        super().__init__(estimator=estimator, cv=cv, n_jobs=n_jobs, refit=refit)

    def _run_search(self, evaluate_candidates):
        first = [{"max_depth": depth} for depth in (1, 2)]
        results = evaluate_candidates(first, more_results={"round": [0, 0]})
        best = results["params"][int(np.argmax(results["mean_test_score"]))]["max_depth"]
        evaluate_candidates(
            ({"max_depth": best + more} for more in (2, 3, 4)),
            cv=ShuffleSplit(3, random_state=0),
            more_results={"round": [1, 1, 1]},
        )


# -- one search and all that can be seen of it -----------------------------------------------------


@dataclass
class Case:
    """A search to be made anew for each run, the arguments of its fit, and where it happens."""

    search: Callable[[], Any]
    args: Callable[[], tuple[Any, ...]] = lambda: (X.copy(), y.copy())
    kwargs: dict[str, Any] = field(default_factory=dict)
    context: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    fails: bool = False
    filters: str = "always"
    #: Whether warnings become exceptions, which pass our frame, and scikit-learn quotes tracebacks.
    quotes_our_frames: bool = False
    #: What our log may say of it, because scikit-learn cannot do it either.
    excused: str | None = None


def run(case: Case) -> dict[str, Any]:
    """Make and fit a search; return all of it that must be the same with and without us."""
    np.random.seed(11)
    random.seed(11)
    printed, error, result = io.StringIO(), None, None
    with case.context():
        search, args = case.search(), case.args()
        with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
            warnings.simplefilter(case.filters)
            try:
                result = search.fit(*args, **case.kwargs)
            except Exception as raised:
                error = raised
        said = answers(search, args) if error is None else {}
    return {
        "search": search,
        "returned self": result is search,
        "attributes": list(vars(search)),
        "answers": said,
        "args": args,
        "error": seen_of(error, case.quotes_our_frames),
        "printed": re.sub(r"time= *[\d.]+m?(s|min)", "time=#", printed.getvalue()),
        "warned": [
            (each.category, clockless(str(each.message)), each.filename, each.lineno)
            for each in caught
            if each.category is not ResourceWarning
        ],
        "random state": (np.random.get_state(), random.getstate()),
    }


def seen_of(error: BaseException | None, quotes_our_frames: bool = False) -> Any:
    """Return what a user sees of an exception: its type, message, frames and cause."""
    if error is None:
        return None
    texts = [clockless(str(each)) for each in (error, *error.args)]
    if quotes_our_frames:
        quoted = re.compile(rf'  File "{re.escape(PACKAGE)}.*\n(?:    .*\n)*')
        texts = [quoted.sub("", text) for text in texts]
    frames = [
        (frame.filename, frame.lineno, frame.name)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(PACKAGE)
    ]
    return {
        "type": type(error),
        "texts": texts,
        "frames": frames,
        "cause": type(error.__cause__),
        "notes": getattr(error, "__notes__", None),
    }


def clockless(text: str) -> str:
    """Return a message without addresses in memory."""
    return re.sub(r"0x[0-9a-fA-F]+", "0x", text)


def top_runs():
    """Return the runs that are nobody's children."""
    runs = skledger.search_runs(output_format="list")
    return [each for each in runs if "mlflow.parentRunId" not in each.data.tags]


def assert_same(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run without autologging and with it; compare to the bit all but what a clock decides."""
    bare = run(case)
    with skledger.autolog():
        ours = run(case)
    assert (bare["error"] is not None) == case.fails, bare["error"]
    assert untimed(differences(bare, ours)) == set()
    (top,) = top_runs()
    assert top.info.status == ("FAILED" if case.fails else "FINISHED")
    if not case.fails:
        search = ours["search"]
        assert top.data.tags["estimator_name"] == type(search).__name__
        if case.excused is None:
            assert b"skledger" not in cloudpickle.dumps(search)
    return bare, ours


# -- every kind of search, in this process and others ----------------------------------------------

KINDS = {
    "grid": lambda **options: GridSearchCV(tree(), DEPTHS, cv=3, **options),
    "randomized": lambda **options: RandomizedSearchCV(
        tree(),
        {"max_depth": range(1, 9), "min_samples_split": uniform(0.01, 0.3)},
        n_iter=5,
        cv=3,
        random_state=np.random.RandomState(3),
        **options,
    ),
    "halving grid": lambda **options: HalvingGridSearchCV(
        tree(), {"max_depth": [1, 2, 3, 4, 5, 6]}, cv=3, random_state=0, **options
    ),
    "halving random": lambda **options: HalvingRandomSearchCV(
        tree(), {"max_depth": range(1, 20)}, n_candidates=6, cv=3, random_state=0, **options
    ),
    "own": lambda **options: TwoRounds(tree(), cv=3, **options),
}


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_search(kind, n_jobs):
    """Grids, samples, halvings and a user's own search, in one process and in two."""
    assert_same(Case(lambda: KINDS[kind](n_jobs=n_jobs)))


@pytest.mark.parametrize("backend", ["threading", "multiprocessing", "sequential"])
def test_other_backends(backend):
    """What joblib's other backends do is left as it is."""
    assert_same(
        Case(lambda: KINDS["grid"](n_jobs=2), context=lambda: joblib.parallel_config(backend))
    )


def test_the_global_random_state_is_drawn_from_alike():
    """A search without a seed draws from NumPy's global state, in the same order."""
    assert_same(
        Case(
            lambda: RandomizedSearchCV(
                DecisionTreeClassifier(),
                {"max_depth": range(1, 9)},
                n_iter=4,
                cv=ShuffleSplit(3),
            )
        )
    )


# -- options ---------------------------------------------------------------------------------------


def grid(estimator=None, space=None, **options):
    """Return a maker of grid searches."""
    made = {"cv": 3, **options}
    return lambda: GridSearchCV(
        clone(estimator) if estimator is not None else tree(), space or DEPTHS, **made
    )


def numbers(**options):
    """Return a maker of grid searches over an estimator that fails and warns."""
    return grid(Fussy(), {"number": [0, 1, 2, 3]}, **options)


SCORING = ["accuracy", "f1"]

CASES: dict[str, Case] = {
    "refit=False": Case(grid(refit=False)),
    "refit=callable": Case(grid(refit=second_best)),
    "several metrics": Case(grid(scoring=SCORING, refit="f1", return_train_score=True)),
    "several metrics, no refit": Case(grid(scoring=SCORING, refit=False)),
    "several metrics, refit=callable": Case(grid(scoring=SCORING, refit=simplest_by_f1)),
    "several metrics by name": Case(
        grid(scoring={"a": "accuracy", "b": make_scorer(f1_score)}, refit="a")
    ),
    "several metrics, bad refit": Case(grid(scoring=SCORING, refit=True), fails=True),
    "scoring=callable": Case(grid(scoring=make_scorer(f1_score))),
    "scoring=callable of several": Case(grid(scoring=several_scores, refit="f1")),
    "scoring=callable of several, 2 jobs": Case(grid(scoring=several_scores, refit="f1", n_jobs=2)),
    "scoring fails": Case(grid(scoring=sometimes_a_score)),
    "scoring fails, error_score=0": Case(grid(scoring=sometimes_a_score, error_score=0)),
    "scoring fails, raise": Case(grid(scoring=sometimes_a_score, error_score="raise"), fails=True),
    "scoring unknown": Case(grid(scoring="no_such_score"), fails=True),
    "train scores": Case(grid(return_train_score=True)),
    "fits fail": Case(numbers()),
    "fits fail, 2 jobs": Case(numbers(n_jobs=2)),
    "fits fail, error_score=0": Case(numbers(error_score=0)),
    "fits fail, several metrics": Case(
        numbers(error_score=0.25, scoring=SCORING, refit="f1", return_train_score=True)
    ),
    "fits fail, raise": Case(numbers(error_score="raise"), fails=True),
    "fits fail, raise, 2 jobs": Case(numbers(error_score="raise", n_jobs=2), fails=True),
    "fits fail, raise, threads": Case(
        numbers(error_score="raise", n_jobs=2),
        context=lambda: joblib.parallel_config("threading"),
        fails=True,
    ),
    "all fits fail": Case(
        grid(Fussy(when="always"), {"number": [2]}),
        fails=True,
    ),
    "a param that is none": Case(grid(space={"no_such_param": [1]}), fails=True),
    "no candidates": Case(grid(space={"max_depth": []}), fails=True),
    "targets too short": Case(grid(), args=lambda: (X, y[:-7]), fails=True),
    "warnings are errors": Case(numbers(), filters="error", fails=True, quotes_our_frames=True),
    "warnings once": Case(numbers(), filters="default"),
    "cv=generator": Case(
        lambda: GridSearchCV(tree(), DEPTHS, cv=(split for split in KFold(3).split(X))),
        excused="cannot pickle 'generator' object",
    ),
    "cv=list": Case(grid(cv=list(KFold(3).split(X)))),
    "groups": Case(grid(cv=GroupKFold(4)), kwargs={"groups": GROUPS}),
    "groups missing": Case(grid(cv=GroupKFold(4)), fails=True),
    "weights": Case(grid(), kwargs={"sample_weight": WEIGHTS}),
    "weights of a step": Case(
        grid(
            make_pipeline(StandardScaler(), tree()), {"decisiontreeclassifier__max_depth": [1, 2]}
        ),
        kwargs={"decisiontreeclassifier__sample_weight": WEIGHTS},
    ),
    "sparse": Case(grid(), args=lambda: (sparse.csr_matrix(X), y)),
    "sparse array": Case(grid(), args=lambda: (sparse.csc_array(X), y)),
    "lists": Case(grid(), args=lambda: (X.tolist(), y.tolist())),
    "frame": Case(
        grid(),
        args=lambda: (pd.DataFrame(X, columns=list("abcde")), pd.Series(y, name="target")),
    ),
    "frame, 2 jobs": Case(
        grid(n_jobs=2),
        args=lambda: (pd.DataFrame(X, columns=list("abcde")), pd.Series(y).astype(str)),
    ),
    "no targets": Case(
        grid(KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3]}), args=lambda: (X,)
    ),
    "estimators as params": Case(
        grid(
            Pipeline([("scale", StandardScaler()), ("model", LogisticRegression())]),
            [
                {"scale": [StandardScaler(), MinMaxScaler(), "passthrough"]},
                {"model": [SVC(random_state=0), tree()], "scale": [None]},
            ],
        )
    ),
    "spaces that differ": Case(
        grid(SVC(), [{"kernel": ["linear"]}, {"kernel": ["rbf"], "gamma": [0.1, 1.0]}])
    ),
    "fits that warn": Case(grid(LogisticRegression(max_iter=1), {"C": [0.1, 10.0]})),
    "fits that warn, 2 jobs": Case(
        grid(SGDClassifier(max_iter=1, random_state=0), {"alpha": [0.1]}, n_jobs=2)
    ),
    "in a pipeline": Case(lambda: make_pipeline(StandardScaler(), grid()())),
    "in a search": Case(
        lambda: GridSearchCV(grid(cv=2)(), {"estimator__min_samples_leaf": [1, 4]}, cv=2)
    ),
    "prefit as a step": Case(
        grid(
            make_pipeline(StandardScaler(), grid(SVC(), {"C": [1, 2]}, cv=2)()),
            {"standardscaler": ["passthrough"]},
        )
    ),
}
CASES |= {
    f"verbose={verbose}, n_jobs={n_jobs}": Case(grid(verbose=verbose, n_jobs=n_jobs))
    for verbose in (1, 2, 3, 10)
    for n_jobs in (None, 1)
}
CASES |= {
    f"pre_dispatch={dispatch}, n_jobs={n_jobs}": Case(grid(pre_dispatch=dispatch, n_jobs=n_jobs))
    for dispatch in ("all", 1, 3, "n_jobs", "2*n_jobs")
    for n_jobs in (1, 2)
}


@pytest.mark.parametrize("name", CASES)
def test_options(name, swallowed):
    """Each option of a search does what it does without us."""
    case = CASES[name]
    assert_same(case)
    skledger.flush()
    if case.excused is not None:
        assert any(case.excused in str(error) for error in swallowed)
        swallowed[:] = [error for error in swallowed if case.excused not in str(error)]


def _routed(estimator):
    return estimator.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_metadata_routing(n_jobs):
    """Routed weights and groups reach fit, score and split as without us."""

    def search():
        return GridSearchCV(_routed(tree()), DEPTHS, cv=GroupKFold(3), n_jobs=n_jobs)

    assert_same(
        Case(
            search,
            kwargs={"sample_weight": WEIGHTS, "groups": GROUPS},
            context=lambda: sklearn.config_context(enable_metadata_routing=True),
        )
    )


def test_metadata_that_nobody_asked_for():
    """Weights that no part has requested are refused with scikit-learn's own words."""
    _, ours = assert_same(
        Case(
            grid(),
            kwargs={"sample_weight": WEIGHTS},
            context=lambda: sklearn.config_context(enable_metadata_routing=True),
            fails=True,
        )
    )
    assert "sample_weight" in ours["error"]["texts"][0]


# -- output of other processes ---------------------------------------------------------------------


PRINTING = """
import sys, skledger
if sys.argv[1] == "ours":
    skledger.autolog()
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier
tree = DecisionTreeClassifier(random_state=0)
GridSearchCV(tree, {"max_depth": [1, 2, 3]}, cv=3, n_jobs=2, verbose=10).fit(
    *load_iris(return_X_y=True)
)
"""


@pytest.mark.slow
def test_output_of_workers(run_python):
    """What workers print is the same, in whatever order they print it."""

    def lines(who):
        printed = run_python(PRINTING, who).stdout
        printed = re.sub(r"time= *[\d.]+m?(s|min)", "time=#", printed)
        # A worker's end of a line may come behind another worker's line.
        return sorted(filter(None, re.split(r"\n|(?=\[CV)", printed)))

    bare = lines("bare")
    assert lines("ours") == bare
    assert sum("END" in line for line in bare) == 9


# -- where an error ends ---------------------------------------------------------------------------


@pytest.mark.parametrize("n_jobs", [None, 1])
def test_a_traceback_ends_in_the_users_frame(n_jobs):
    """With error_score="raise" the last frame is the line of the user's fit that raised."""
    with skledger.autolog(), pytest.raises(ValueError, match="two is too many: 2") as caught:
        numbers(error_score="raise", n_jobs=n_jobs)().fit(X, y)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.name) == (__file__, "fit")
    assert last.line.startswith("raise ValueError")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_traceback_from_a_worker_is_joblibs():
    """The exception of another process comes with the traceback that it had there."""
    with skledger.autolog(), pytest.raises(ValueError, match="two is too many: 2") as caught:
        numbers(error_score="raise", n_jobs=2)().fit(X, y)
    assert type(caught.value.__cause__).__name__ == "_RemoteTraceback"
    text = str(caught.value.__cause__)
    assert "raise ValueError" in text
    assert "skledger" not in text.replace(__file__, "")


def test_an_interrupt_passes():
    """Ctrl-C in a fit comes out of the search as it went in."""

    class Interrupted(Fussy):
        def fit(self, X, y, sample_weight=None):
            raise KeyboardInterrupt("stop")

    with skledger.autolog(), pytest.raises(KeyboardInterrupt, match="stop"):
        GridSearchCV(Interrupted(), {"number": [0]}, cv=2).fit(X, y)
    (top,) = top_runs()
    assert top.info.status == "KILLED"


# -- the search afterwards -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_fitted_search_afterwards(kind, tmp_path):
    """A search that was fitted with autologging clones, prints, pickles and copies as any other."""
    bare = KINDS[kind]().fit(X, y)
    with skledger.autolog():
        ours = KINDS[kind]().fit(X, y)
        assert clockless(repr(ours)) == clockless(repr(bare))
        assert clockless(repr(clone(ours))) == clockless(repr(clone(bare)))
        assert list(vars(clone(ours))) == list(vars(clone(bare)))
        pickled = pickle.dumps(ours)
        joblib.dump(ours, tmp_path / "search.joblib")
    assert b"skledger" not in pickled
    for again in (pickle.loads(pickled), joblib.load(tmp_path / "search.joblib")):
        found = untimed(differences(again, bare))
        # The nodes of a tree have bytes that mean nothing, and lose them in a pickle; a
        # distribution of SciPy has methods that it makes anew.
        lost = re.compile(r"\.nodes$|^\.param_distributions")
        assert {place for place in found if not lost.search(place)} == set()
        assert np.array_equal(again.predict(X), bare.predict(X))
    assert "skledger" not in ours._repr_html_()


def test_fitting_twice_is_like_fitting_once():
    """A second fit of the same search starts from nothing."""
    bare = KINDS["grid"]().fit(X, y)
    with skledger.autolog():
        ours = KINDS["grid"]()
        ours.fit(X[:40], y[:40])
        ours.fit(X, y)
    assert untimed(differences(vars(bare), vars(ours))) == set()
    assert len(top_runs()) == 2


def test_a_clone_of_a_search_fits_with_autologging_off_again():
    """When autologging has ended, searches leave nothing behind."""
    with skledger.autolog():
        ours = KINDS["grid"]().fit(X, y)
    clone(ours).fit(X, y)
    assert len(top_runs()) == 1
