"""What a metric gave, as numbers, as a document and as a picture; and its call as text.

Nothing here keeps or changes what belongs to the user: what is needed later is copied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skledger.capture.metrics_labels import target_array

__all__ = [
    "MAX_ROWS",
    "REPORT",
    "Outcome",
    "as_json",
    "call_text",
    "copied",
    "is_real",
    "read_value",
    "report_metrics",
]

#: What gives averages besides values of classes.
REPORT = "classification_report"
#: The most values that a document holds of one array.
MAX_VALUES = 10_000
#: The most points that it holds of a curve, and of a larger array.
MAX_POINTS = 1000
#: The most rows that are copied for pictures; of more, evenly spaced ones.
MAX_ROWS = 2_000_000
#: The most values of several columns that are.
MAX_CELLS = 8_000_000
#: Longest text of an argument, as MLflow has it.
MAX_TEXT = 32
#: Longest text of a report.
MAX_REPORT = 100_000
#: How deep lists in lists are followed.
DEPTH = 4

#: What the parts are called of what some functions return.
PARTS = {
    "precision_recall_fscore_support": ("precision", "recall", "fscore", "support"),
    "homogeneity_completeness_v_measure": ("homogeneity", "completeness", "v_measure"),
    "class_likelihood_ratios": ("positive", "negative"),
    "roc_curve": ("fpr", "tpr", "thresholds"),
    "precision_recall_curve": ("precision", "recall", "thresholds"),
    "det_curve": ("fpr", "fnr", "thresholds"),
    "confusion_matrix_at_thresholds": ("tns", "fps", "fns", "tps", "thresholds"),
}
#: Those of them whose arrays go along together.
CURVES = ("roc_curve", "precision_recall_curve", "det_curve", "confusion_matrix_at_thresholds")


@dataclass(slots=True)
class Outcome:
    """What a metric gave.

    Parameters
    ----------
    metrics : dict of str to float
        Numbers, by what is put behind the name of the function: nothing for the value itself.
    document : object
        Whatever is more than one number, ready to be written as JSON; None otherwise.
    curve : dict of str to list
        Of a curve its parts, for a picture.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    document: Any = None
    curve: dict[str, Any] = field(default_factory=dict)


def is_real(value: Any) -> bool:
    """Tell whether a value is one real number, as MLflow does."""
    kinds = int | float | np.number
    return isinstance(value, kinds) and not isinstance(value, bool | np.complexfloating)


def read_value(function: str, value: Any) -> Outcome | None:
    """Read what a metric returned.

    Parameters
    ----------
    function : str
        The name of the function.
    value : object
        What it returned; it is not kept.

    Returns
    -------
    Outcome or None
        None for what says nothing: None, a bool, objects.
    """
    if is_real(value):
        return Outcome({"": float(value)})
    if isinstance(value, str):
        return Outcome(document=value[:MAX_REPORT])
    if isinstance(value, Mapping):
        metrics = report_metrics(value) if function == REPORT else {}
        return Outcome(metrics, as_json(value))
    if isinstance(value, tuple) and value:
        return _parts(function, value)
    document = as_json(value)
    return Outcome(document=document) if isinstance(document, list | dict) and document else None


def _parts(function: str, value: tuple[Any, ...]) -> Outcome:
    """Read a tuple, whose parts have names."""
    names = getattr(type(value), "_fields", None) or PARTS.get(function, ())
    if len(names) != len(value):
        names = tuple(str(place) for place in range(len(value)))
    metrics = {f"_{k}": float(v) for k, v in zip(names, value, strict=True) if is_real(v)}
    kept = value
    if function in CURVES:
        kept = tuple(_thinned(each, len(value[0])) for each in value)
    document = {name: as_json(each) for name, each in zip(names, kept, strict=True)}
    return Outcome(metrics, document, document if function in CURVES else {})


def _thinned(points: Any, count: int) -> Any:
    """Return evenly spaced points of a curve, the first and the last among them."""
    if count <= MAX_POINTS or not isinstance(points, np.ndarray) or points.ndim != 1:
        return points
    places = np.linspace(0, count - 1, MAX_POINTS).astype(np.intp)
    # The thresholds of a precision-recall curve are one less than its points.
    return points[np.minimum(places, len(points) - 1)]


def report_metrics(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the averages of a classification report, by what is put behind its name."""
    found: dict[str, float] = {}
    for part, row in report.items():
        if part == "accuracy" and is_real(row):
            found["_accuracy"] = float(row)
        elif part.endswith(" avg") and isinstance(row, Mapping):
            for name, value in row.items():
                if name != "support" and is_real(value):
                    found[f"_{part}_{name}".replace(" ", "_").replace("-", "_")] = float(value)
    return found


def as_json(value: Any, depth: int = DEPTH) -> Any:
    """Return a value in a form that JSON has; large arrays as evenly spaced values.

    What is not finite becomes ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``; what has no such form,
    the name of its type.
    """
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return _scalar(value)
    if isinstance(value, Mapping) and depth:
        return {str(key): as_json(each, depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple) and depth:
        return [as_json(each, depth - 1) for each in value[:MAX_VALUES]]
    if hasattr(value, "__array__") and hasattr(value, "shape"):
        return _array(np.asarray(value))
    return f"<{type(value).__name__}>"


def _scalar(value: Any) -> Any:
    """Return one value; what is no number by its text."""
    plain = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, float):
        return _finite(plain)
    return plain if plain is None or isinstance(plain, bool | int | str) else str(plain)


def _finite(number: float) -> Any:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _array(values: NDArray[Any]) -> Any:
    if values.dtype.kind not in "biufUSO":
        return f"<{values.dtype} of shape {values.shape}>"
    if values.size <= MAX_VALUES:
        return _listed(values.tolist())
    step = -(-values.size // MAX_POINTS)
    # A copy of the few, never of the whole.
    some = values.flat[::step] if values.flags.c_contiguous else values.T.flat[::step]
    return {"shape": list(values.shape), "every": step, "values": _listed(some.tolist())}


def _listed(values: Any) -> Any:
    if isinstance(values, list):
        return [_listed(each) for each in values]
    return _scalar(values)


def copied(arguments: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return copies of the arrays among the arguments of a metric, to be looked at later.

    Parameters
    ----------
    arguments : mapping
        By the names of the parameters.

    Returns
    -------
    dict
        Of one row each for every target; of more than `MAX_ROWS` of them every k-th row. Sparse
        matrices are left out.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, value in arguments.items():
        if value is None or isinstance(value, str) or not hasattr(value, "__len__"):
            continue
        array = target_array(value)
        if not isinstance(array, np.ndarray) or not 1 <= array.ndim <= 2:
            continue
        if name == "labels":
            found[name] = array.copy()
            continue
        step = max(1, -(-len(array) // MAX_ROWS), -(-array.size // MAX_CELLS))
        found[name] = (
            array[::step].copy() if array is value or step > 1 or _is_view(array) else array
        )
    return found


def _is_view(array: NDArray[Any]) -> bool:
    # What was made of a list or of text owns its memory, and nobody else has it.
    return array.base is not None or not array.flags.owndata


def call_text(
    function: str,
    estimator_class: str | None,
    arguments: Mapping[str, Any],
    names: Mapping[str, str],
) -> str:
    """Return a call as text, in MLflow's form.

    Parameters
    ----------
    function : str
        The name of the function, or ``score``.
    estimator_class : str or None
        The class of the estimator whose method it is.
    arguments : mapping
        What was given, by the names of the parameters.
    names : mapping
        The user's variable behind an argument, where there is one.

    Returns
    -------
    str
        Such as ``accuracy_score(y_true=y_test, y_pred=p, normalize=False)``. An array without a
        variable is ``<ndarray>``, and text is cut at 32 characters.
    """
    shown = ", ".join(f"{key}={_shown(key, value, names)}" for key, value in arguments.items())
    whole = function if estimator_class is None else f"{estimator_class}.{function}"
    return f"{whole}({shown})"


def _shown(key: str, value: Any, names: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}...")
    if value is None or np.isscalar(value):
        return repr(value)
    return names.get(key) or f"<{type(value).__name__}>"
