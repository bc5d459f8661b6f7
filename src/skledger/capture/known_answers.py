"""A score of the estimator's own, without asking again what the estimator has just answered.

Searches with ``scoring`` and classes with a ``score`` of their own call ``predict`` or
``predict_proba`` for it, although both have been called for the metrics already. While we compute
such a score, the wrappers of these methods (`skledger.hooks`) hand out copies of the known answers,
in this thread only, and only where the same would be asked: the same method of the same estimator,
which has the same attributes, about the same object with the same values, and nothing else. In all
other cases the method is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any

import numpy as np

from skledger._guard import contain, switch
from skledger.capture.data_sample import bytes_of, sample_of
from skledger.capture.metrics_score import call, loaded

__all__ = ["score_of"]

#: How deep searches and pipelines in each other are looked into.
_DEPTH = 16
_SEARCH = "sklearn.model_selection._search", "BaseSearchCV"
_PIPELINE = "sklearn.pipeline", "Pipeline"


def score_of(
    estimator: Any, X: Any, y: Any, weights: Mapping[str, Any], answers: Mapping[str, Any]
) -> float:
    """Return ``estimator.score(X, y, **weights)``.

    Parameters
    ----------
    estimator : estimator
        Fitted, with ``score``.
    X : array-like of shape (n_samples, n_features)
        The data.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None
        The targets.
    weights : mapping
        ``sample_weight``, or nothing.
    answers : mapping of str to object
        By the name of the method, what the estimator has answered for `X`.

    Returns
    -------
    float
        The score.
    """
    return float(call(_score, estimator, X, y, weights, answers))


def _score(
    estimator: Any, X: Any, y: Any, weights: Mapping[str, Any], answers: Mapping[str, Any]
) -> Any:
    known = {name: value for name, value in answers.items() if _copier(value) is not None}
    if known and not weights:
        estimator, X, known = _innermost(estimator, X, known)
    handout = None
    if known:
        with contain("what is known of the predictions"):
            handout = _handout(estimator, X, known)
    if handout is None:
        return estimator.score(X, y, **weights)
    this = threading.get_ident()
    switch.answers[this] = handout
    try:
        return estimator.score(X, y, **weights)
    finally:
        switch.answers.pop(this, None)


def _innermost(estimator: Any, X: Any, known: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return whose score that of a pipeline or a search is, and what that one is asked about.

    What stands before the last step of a pipeline transforms once, as in its ``score``; only there
    it can be known that the last step is asked about the same a second time.
    """
    for _ in range(_DEPTH):
        if _is_of(estimator, "score", _SEARCH) and estimator.scoring is None:
            passed = _passed_on(estimator, known, _SEARCH)
            inner = estimator.best_estimator_
        elif _is_of(estimator, "score", _PIPELINE) and not _is_routed():
            passed = _passed_on(estimator, known, _PIPELINE)
            inner = estimator.steps[-1][1]
            if passed:
                for _name, step in estimator.steps[:-1]:
                    if step is not None and not isinstance(step, str):
                        X = step.transform(X)
        else:
            break
        if not passed:
            break
        estimator, known = inner, passed
    return estimator, X, known


def _passed_on(estimator: Any, known: Mapping[str, Any], owner: tuple[str, str]) -> dict[str, Any]:
    """Return the answers that are those of an inner estimator."""
    return {name: value for name, value in known.items() if _is_of(estimator, name, owner)}


def _is_of(estimator: Any, name: str, owner: tuple[str, str]) -> bool:
    """Tell whether a method is that of a class of scikit-learn's, not of one derived from it."""
    cls = loaded(*owner)
    if cls is None or not isinstance(estimator, cls) or name in vars(estimator):
        return False
    return next(each for each in type(estimator).__mro__ if name in vars(each)) is cls


def _is_routed() -> bool:
    from sklearn import get_config

    return bool(get_config().get("enable_metadata_routing", False))


# -- handing out ----------------------------------------------------------------------------------


class _Reply:
    """What one estimator answered by one method.

    Parameters
    ----------
    estimator : estimator
        Who.
    function : callable
        The function that is called, below the wrapper.
    answer : object
        What it gave.
    """

    __slots__ = ("answer", "estimator", "function", "state")

    def __init__(self, estimator: Any, function: Any, answer: Any) -> None:
        self.estimator, self.function, self.answer = estimator, function, answer
        self.state = _state_of(estimator)

    def holds(self, wrapped: Any, instance: Any) -> bool:
        """Tell whether this is the call that was made, of an estimator that is as it was."""
        function = getattr(wrapped, "__func__", None)
        if instance is not self.estimator or function is not self.function:
            return False
        state = _state_of(instance)
        same = zip(state, self.state, strict=False)
        return len(state) == len(self.state) and all(one is other for one, other in same)


class _Handout:
    """Answers the calls of a score, where that is the same as calling.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        What all of it was asked about.
    seen : tuple
        Some of its values.
    replies : list of _Reply
        What is known.
    """

    def __init__(self, X: Any, seen: tuple[Any, ...], replies: list[_Reply]) -> None:
        self._X, self._seen, self._replies = X, seen, replies

    def __call__(
        self, wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any] | None:
        """Return the answer, alone in a tuple; None where the method is to be called."""
        asked = (*args, *kwargs.values())
        if len(asked) != 1 or asked[0] is not self._X or (kwargs and "X" not in kwargs):
            return None
        with contain("what is known of a prediction"):
            for reply in self._replies:
                if reply.holds(wrapped, instance):
                    copied = _copier(reply.answer)
                    is_same = copied is not None and _values_of(self._X) == self._seen
                    return (copied(),) if copied is not None and is_same else None
        return None


def _handout(estimator: Any, X: Any, known: dict[str, Any]) -> _Handout | None:
    """Return the answers of an estimator, which of a search are those of its best, too."""
    seen = _values_of(X)
    if seen is None:
        return None  # nobody looks into such data, so nobody sees whether they change
    replies: list[_Reply] = []
    for _ in range(_DEPTH):
        for name, answer in known.items():
            function = _hooked(estimator, name)
            if function is not None:
                replies.append(_Reply(estimator, function, answer))
        known = _passed_on(estimator, known, _SEARCH)
        if not known:
            break
        estimator = estimator.best_estimator_
    return _Handout(X, seen, replies) if replies else None


def _hooked(estimator: Any, name: str) -> Any:
    """Return the function of a method that a wrapper of ours calls; None where there is none."""
    inner = getattr(getattr(estimator, name, None), "__wrapped__", None)
    if isinstance(inner, MethodType) and inner.__self__ is estimator:
        return inner.__func__
    return None


def _state_of(estimator: Any) -> list[Any]:
    """Return all attributes, which are compared by identity, through searches and pipelines."""
    state: list[Any] = []
    parts = [estimator]
    for part in parts:
        held = getattr(part, "__dict__", {})
        state += held
        state += held.values()
        if len(parts) < _DEPTH:
            best, steps = held.get("best_estimator_"), held.get("steps")
            parts += [] if best is None else [best]
            if isinstance(steps, list):
                parts += [step[1] for step in steps if isinstance(step, tuple)]
    return state


def _values_of(X: Any) -> tuple[Any, ...] | None:
    """Return some values of data, which change when somebody writes to them."""
    sample = sample_of(X)
    if sample is None:
        return None
    return sample.shape, sample.dtype, *map(bytes_of, sample.values)


def _copier(answer: Any) -> Callable[[], Any] | None:
    """Return what copies an answer; None where nobody knows how."""
    if type(answer) is np.ndarray:
        return lambda: answer.copy(order="K")
    if type(answer) is list and all(type(each) is np.ndarray for each in answer):
        return lambda: [each.copy(order="K") for each in answer]  # one for each output
    if type(answer).__module__.partition(".")[0] in ("scipy", "pandas"):
        return getattr(answer, "copy", None)
    return None
