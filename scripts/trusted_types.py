"""Write ``src/skledger/models/trusted_types.json``: what a model in the format skops may name.

::

    python scripts/trusted_types.py            # write the file
    python scripts/trusted_types.py --check    # say what would change; 1 when something would

A file of the format skops names the types that are made when it is read. This script collects the
names that fitted models of scikit-learn have, by category, each with the kinds of nodes ("loaders"
of skops) that may carry it. The kinds matter: a function that only stands as the value of a param
is harmless, and the same function as the type of an array or of a tuple would be *called*, with
whatever the file gives it.

What is taken in was reviewed by category:

- classes are made with ``__new__`` and given a dictionary of attributes; nothing of theirs is
  called but ``__setstate__``, and those of scikit-learn were read;
- functions are referred to, never called while reading; they compute numbers from data that the
  caller passes later;
- nothing is in here that holds or calls code by its own arguments: no ``functools.partial``, no
  ``operator`` functions, no bound methods, no ``PyFuncDistance``, no ``make_scorer``;
- types that keep raw indices into memory (trees, neighbours, splines) are in here, because
  ``skledger.models.indices`` looks at the indices before the model is handed out.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "src" / "skledger" / "models" / "trusted_types.json"

OBJECT, FUNCTION = ["ObjectNode"], ["FunctionNode"]


def name_of(thing: Any) -> str:
    """Return the name that skops writes for a class or function."""
    return f"{thing.__module__}.{thing.__name__}"


def below(base: type, *, but: Iterable[str] = ()) -> list[str]:
    """Return the concrete classes of scikit-learn below a class."""
    found: set[type] = set()
    waiting = [base]
    while waiting:
        for each in waiting.pop().__subclasses__():
            found.add(each)
            waiting.append(each)
    names = {name_of(each) for each in found if not inspect.isabstract(each)}
    return sorted(each for each in names if each.startswith("sklearn.") and each not in set(but))


def estimators() -> list[str]:
    """All public estimators, the experimental ones too."""
    from sklearn.experimental import (
        enable_halving_search_cv,  # noqa: F401
        enable_iterative_imputer,  # noqa: F401
    )
    from sklearn.utils import all_estimators

    return [name_of(cls) for _, cls in all_estimators() if cls.__module__.startswith("sklearn.")]


def parts() -> list[str]:
    """The private classes that public estimators keep in their attributes."""
    return [
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.cluster._bisect_k_means._BisectingTree",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        "sklearn.utils._metadata_requests.MethodMapping",
        "sklearn.utils._metadata_requests.MethodPair",
        "sklearn.utils._metadata_requests.RouterMappingPair",
        "sklearn.utils._metadata_requests.MetadataRouter",
    ]


def kernels() -> list[str]:
    """The kernels of Gaussian processes."""
    from sklearn.gaussian_process.kernels import Kernel

    return below(Kernel)


def splitters() -> list[str]:
    """What splits data for a cross-validation."""
    from sklearn.model_selection import _split

    public = {name for name in _split.__all__ if isinstance(getattr(_split, name), type)}
    concrete = {name for name in public if not name.startswith("Base")}
    return [f"{_split.__name__}.{name}" for name in (*concrete, "_CVIterableWrapper")]


def scorers() -> list[str]:
    """What scores a model; the functions behind them stand below."""
    module = "sklearn.metrics._scorer"
    return [f"{module}.{each}" for each in ("_Scorer", "_PassthroughScorer", "_CurveScorer")]


def losses() -> list[str]:
    """Loss functions and their links."""
    from sklearn._loss.link import BaseLink
    from sklearn._loss.loss import BaseLoss

    return [*below(BaseLoss), *below(BaseLink), "sklearn._loss.link.Interval"]


def distances() -> list[str]:
    """Distances; not the one that calls a function of the caller's."""
    from sklearn.metrics._dist_metrics import DistanceMetric

    wanted = below(DistanceMetric)
    return [each for each in wanted if "PyFunc" not in each and "DistanceMetric" not in each]


def indexed() -> list[str]:
    """Types with raw indices, which are looked at after reading."""
    neighbours = [
        f"sklearn.neighbors._{module}.{cls}{width}"
        for module, cls in (("kd_tree", "KDTree"), ("ball_tree", "BallTree"))
        for width in ("", "32", "64")
    ]
    return [
        *neighbours,
        "scipy.interpolate._bsplines.BSpline",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    ]


def scores() -> list[str]:
    """Functions that judge features, and those behind the named scorers."""
    import sklearn.feature_selection as selection
    from sklearn.metrics import get_scorer, get_scorer_names

    judged = ("chi2", "f_classif", "f_regression", "f_oneway", "r_regression")
    mutual = ("mutual_info_classif", "mutual_info_regression")
    functions = [
        getattr(selection, each) for each in (*judged, *mutual) if hasattr(selection, each)
    ]
    functions += [get_scorer(each)._score_func for each in get_scorer_names()]
    return [name_of(each) for each in functions]


def functions() -> list[str]:
    """Functions on arrays that params of estimators have."""
    numpy = ("mean", "median", "max", "min", "amax", "amin", "sum", "std", "var", "prod")
    return [
        *(f"numpy.{each}" for each in numpy),
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
    ]


#: By category: the kinds of nodes, and the names.
CATEGORIES: dict[str, tuple[list[str], Callable[[], list[str]]]] = {
    "estimators": (OBJECT, estimators),
    "parts of estimators": (OBJECT, parts),
    "kernels": (OBJECT, kernels),
    "splitters": (OBJECT, splitters),
    "scorers": (OBJECT, scorers),
    "losses": (OBJECT, losses),
    "distances": (OBJECT, distances),
    "with indices": (OBJECT, indexed),
    "trees": (["TreeNode"], lambda: ["sklearn.tree._tree.Tree"]),
    "scores": (FUNCTION, scores),
    "functions": (FUNCTION, functions),
    "dictionaries": (["DictNode"], lambda: ["sklearn.utils._bunch.Bunch"]),
    "types of arrays": (["DTypeNode"], lambda: ["numpy.dtype"]),
    "sparse": (
        ["SparseMatrixNode"],
        lambda: [
            f"scipy.sparse._{form}.{form}_{kind}"
            for form in ("bsr", "coo", "csc", "csr", "dia")
            for kind in ("matrix", "array")
        ],
    ),
}


def collect() -> str:
    """Return the content of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            category: {"loaders": loaders, "names": sorted(set(names()))}
            for category, (loaders, names) in CATEGORIES.items()
        }
    return json.dumps(found, indent=1) + "\n"


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    wanted = collect()
    if not parser.parse_args().check:
        TARGET.write_text(wanted, encoding="utf-8")
        return 0
    there = json.loads(TARGET.read_text(encoding="utf-8"))
    for category, entry in json.loads(wanted).items():
        before = set(there.get(category, {}).get("names", ()))
        for name in sorted(before ^ set(entry["names"])):
            print(f"{'-' if name in before else '+'} {category}: {name}")
    return int(json.loads(wanted) != there)


if __name__ == "__main__":
    sys.exit(main())
