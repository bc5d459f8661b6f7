"""The tasks of a cross-validation, as scikit-learn sends them through ``joblib.Parallel``.

Searches and the functions of ``sklearn.model_selection`` hand joblib one task for each candidate
and split. What runs in this process is noted where it runs (`LocalTask`). What runs in others is
noted when joblib's callback brings its result home, which is long before joblib returns it when an
earlier task is slow. Whatever was seen in neither way is noted when ``Parallel`` returns, so only
the moment depends on joblib's inner workings, never whether.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from skledger._guard import contain
from skledger.hooks.events import Task, TaskListener

__all__ = ["FITTED", "KINDS", "Round"]

#: scikit-learn's functions that are sent as tasks, and the names of their first parameters.
KINDS: dict[str, tuple[str, ...]] = {
    "_fit_and_score": ("estimator", "X", "y"),
    "_fit_and_predict": ("estimator", "X", "y", "train", "test"),
    "_permutation_test_score": ("estimator", "X", "y"),
    "_incremental_fit_estimator": ("estimator", "X", "y", "classes", "train", "test"),
}

#: scikit-learn's option that has a task return the estimator it fitted.
FITTED = "return_estimator"


class Round:
    """One call of ``joblib.Parallel`` and the tasks it sends.

    Parameters
    ----------
    listener : TaskListener
        Who is told of tasks of the kinds in `KINDS`; others are nobody's business.

    Attributes
    ----------
    asks : bool
        Whether tasks in other processes are asked for what they fitted.
    """

    def __init__(self, listener: TaskListener) -> None:
        self._listener = listener
        # Stands for this round with the listener, who would otherwise hold what holds him.
        self._key = object()
        self.asks = False
        self._waiting: dict[int, Task] = {}
        self._count = 0
        self._lock = threading.Lock()

    def send(
        self,
        index: int,
        function: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        state: tuple[Any, ...],
    ) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Note a task that is about to be sent.

        Returns
        -------
        tuple
            The state of a thread inside it, and its keyword arguments: where the listener wants
            what was fitted, scikit-learn's own option asks for it.
        """
        with contain("a task of a cross-validation"):
            name = getattr(function, "__name__", "")
            if name not in KINDS:
                return state, kwargs
            given = dict(zip(KINDS[name], args, strict=False))
            given.update(kwargs)
            task = Task(
                round=self._key,
                index=index,
                kind=name,
                estimator=given.get("estimator"),
                params=given.get("parameters"),
                candidate=given.get("candidate_progress"),
                split=given.get("split_progress"),
                test=given.get("test"),
            )
            self._waiting[index] = task
            self._count += 1
            if name == "_fit_and_score" and self._listener.wants_estimators:
                kwargs = {**kwargs, FITTED: True}
                self.asks = True
            # What it does inside is not a task of this call; a search in it belongs to the task.
            return (*state[:-2], None, (self._listener, task)), kwargs
        return state, kwargs

    def done(self, index: int, result: Any, started: float | None, ended: float) -> None:
        """Tell the listener what a task returned, the first time it is known."""
        with self._lock:
            task = self._waiting.pop(index, None)
        if task is not None:
            if self.asks and isinstance(result, dict) and "estimator" in result:
                # scikit-learn has not asked for it, and must not find it.
                told = dict(result)
                del result["estimator"]
                result = told
            with contain(f"a task of {type(task.estimator).__name__}"):
                self._listener.task_done(task, result, started, ended)

    def failed(self, first: int, count: int, error: BaseException) -> None:
        """Tell the listener that one of some tasks raised."""
        with self._lock:
            found = [self._waiting.pop(first + at, None) for at in range(count)]
        tasks = [task for task in found if task is not None]
        if tasks:
            with contain(f"the failure of {type(tasks[0].estimator).__name__}"):
                self._listener.tasks_failed(tasks, error)

    def returned(self, results: Any) -> None:
        """Note what has not been noted on the way."""
        if self._waiting and isinstance(results, list):
            now = time.time()
            for index, result in enumerate(results):
                self.done(index, result, None, now)
        if self._count:
            with contain("the end of a round of tasks"):
                self._listener.round_ended(self._key, self._count)

    @contextmanager
    def following(self, parallel: Any) -> Iterator[None]:
        """Hear of each batch of tasks when its result has come home from another process."""
        register = getattr(parallel, "_register_new_job", None)
        if register is None:  # another joblib: `returned` notes everything
            yield
            return
        parallel._register_new_job = _Batches(self, register)
        try:
            yield
        finally:
            del parallel._register_new_job

    def batch_done(self, first: int, count: int, outcome: Mapping[str, Any], ended: float) -> None:
        """Take what joblib's callback brought for a batch: its results, or what one raised."""
        results = outcome.get("result")
        if isinstance(results, BaseException):
            self.failed(first, count, results)
            return
        if not isinstance(results, Sequence) or len(results) != count:
            return
        # The tasks of a batch run one after the other, and it is sent home as a whole.
        for at in range(count - 1, -1, -1):
            started = _start_of(results[at], ended)
            self.done(first + at, results[at], started, ended)
            ended = ended if started is None else started


def _start_of(result: Any, ended: float) -> float | None:
    """Return when a task began, from the durations that scikit-learn's result holds."""
    if isinstance(result, dict) and "fit_time" in result:
        return float(ended - result["fit_time"] - result.get("score_time", 0.0))
    return None


class _Batches:
    """Stands in for joblib's registration of a batch, to learn of its outcome."""

    def __init__(self, sent: Round, register: Callable[[Any], None]) -> None:
        self._sent = sent
        self._register = register
        self._count = 0

    def __call__(self, batch: Any) -> None:
        first, size = self._count, batch.batch_size
        self._count += size
        register_outcome = batch._register_outcome

        def tell(outcome: Any) -> None:
            # First: once it is registered, scikit-learn may take it, and find what we asked for.
            with contain("the result of a task"):
                self._sent.batch_done(first, size, outcome, time.time())
            register_outcome(outcome)

        with contain("the results of tasks as they come"):
            batch._register_outcome = tell
        self._register(batch)
