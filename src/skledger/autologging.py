"""``autolog()``: the switch and its configuration."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from types import TracebackType
from typing import TYPE_CHECKING, Any

from skledger._guard import contain, logger, switch
from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    from skledger.capture.sources import Fit
    from skledger.hooks.events import FitCall, Measured
    from skledger.ledger.fits import FitLedger

__all__ = ["Config", "autolog", "classes_changed", "model_loaded"]

#: Options that take a word besides True and False.
_WORDS = {
    "progress": ("auto",),
    "log_cross_validation": ("folds",),
    "training_metrics": ("auto", "full", "sampled"),
}
FORMATS = ("cloudpickle", "pickle", "skops", "joblib")


def _check_names(given: Any) -> None:
    """Refuse a choice of checks with a name that is none."""
    if isinstance(given, bool) or given == ():
        return
    from skledger.capture.checks import NAMES

    if not isinstance(given, tuple) or any(each not in NAMES for each in given):
        raise InvalidParameterError(
            f"checks is True, False or a list with some of {', '.join(map(repr, NAMES))}, "
            f"not {given!r}."
        )


@dataclass(frozen=True, slots=True)
class Config:
    """What `autolog` was asked for; see there."""

    log_input_examples: bool = False
    log_model_signatures: bool = True
    log_models: bool = True
    log_datasets: bool = True
    disable: bool = False
    exclusive: bool = False
    disable_for_unsupported_versions: bool = False
    silent: bool = False
    max_tuning_runs: int | None = None
    log_post_training_metrics: bool = True
    serialization_format: str = "cloudpickle"
    registered_model_name: str | None = None
    pos_label: Any = None
    extra_tags: Mapping[str, str] = field(default_factory=dict)
    progress: bool | str = "auto"
    log_cross_validation: bool | str = True
    max_model_size: int | None = None
    training_metrics: bool | str = "auto"
    checks: bool | Sequence[str] = True

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            words = _WORDS.get(each.name)
            if words is not None:
                if not isinstance(value, bool) and value not in words:
                    raise InvalidParameterError(
                        f"{each.name} is True, False or {' or '.join(map(repr, words))}, "
                        f"not {value!r}."
                    )
            elif each.name == "checks":
                _check_names(value)
            elif isinstance(each.default, bool) and not isinstance(value, bool):
                raise InvalidParameterError(f"{each.name} is True or False, not {value!r}.")
        most = self.max_tuning_runs
        if most is not None and (isinstance(most, bool) or not isinstance(most, int)):
            raise InvalidParameterError(
                f"max_tuning_runs is a whole number or None, not {most!r}. None books every "
                "candidate, 0 none."
            )
        if self.max_tuning_runs is not None and self.max_tuning_runs < 0:
            raise InvalidParameterError(
                f"`max_tuning_runs` must be non-negative, instead got {self.max_tuning_runs}. "
                "None books every candidate."
            )
        if self.serialization_format not in FORMATS:
            raise InvalidParameterError(
                f"serialization_format is one of {', '.join(map(repr, FORMATS))}, "
                f"not {self.serialization_format!r}."
            )
        if self.registered_model_name is not None:
            from skledger.tracking.registering import check_registered_name

            check_registered_name(self.registered_model_name)
        if not isinstance(self.extra_tags, Mapping):
            raise InvalidParameterError(
                f"extra_tags is a mapping of names to values, not {self.extra_tags!r}."
            )


_current = Config(disable=True)


def _drop(record: logging.LogRecord) -> bool:
    """Filter every record out."""
    return False


class _Restore:
    """What `autolog` returns: a context manager that puts the configuration before it back."""

    def __init__(self, before: Config) -> None:
        self._before = before

    def __enter__(self) -> _Restore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _apply(self._before)

    def __repr__(self) -> str:
        if not switch.enabled:
            return "skledger: autologging is off"
        from skledger.tracking.session import get_tracking_uri

        return f"skledger: autologging to {get_tracking_uri()}"


class _LateLedger:
    """A `FitLedger` that is imported by the first fit, so that `autolog()` costs next to nothing.

    Parameters
    ----------
    config : Config
        What `autolog` was asked for.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ledger: FitLedger | None = None

    def _get(self) -> FitLedger:
        if self._ledger is None:
            from skledger.ledger.fits import FitLedger

            self._ledger = FitLedger(self._config)
        return self._ledger

    def fit_started(self, call: FitCall) -> object | None:
        """Note what must be noted before the fit."""
        return self._get().fit_started(call)

    def fit_ended(self, call: FitCall, note: Any) -> None:
        """Book the fit."""
        self._get().fit_ended(call, note)

    def validation_started(self, call: FitCall) -> object | None:
        """Note what must be noted before the cross-validation."""
        return self._get().validation_started(call)

    def validation_ended(self, call: FitCall, note: Any) -> None:
        """Book the cross-validation."""
        self._get().validation_ended(call, note)

    def fit_of(self, estimator: Any) -> Fit | None:
        """Return the fit of an estimator; before the first there is none."""
        # A fit under an earlier configuration was booked by another ledger of this process.
        if self._ledger is None and "skledger.ledger.fits" not in sys.modules:
            return None
        return self._get().fit_of(estimator)

    def measured(self, event: Measured) -> None:
        """Book what a metric or a score gave."""
        self._get().measured(event)


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    max_tuning_runs: int | None = None,
    log_post_training_metrics: bool = True,
    serialization_format: str = "cloudpickle",
    registered_model_name: str | None = None,
    pos_label: Any = None,
    extra_tags: Mapping[str, str] | None = None,
    progress: bool | str = "auto",
    log_cross_validation: bool | str = True,
    max_model_size: int | str | None = None,
    training_metrics: bool | str = "auto",
    checks: bool | Sequence[str] = True,
    log_traces: bool = True,
    exclude_flavors: Sequence[str] | None = None,
) -> _Restore:
    """Book every fit of a scikit-learn estimator as a run, from now on.

    Calling it again only changes the configuration. As a context manager
    (``with skledger.autolog(): ...``) it puts back what was there before.

    Parameters
    ----------
    log_input_examples : bool, default=False
        Store the first five rows of the training data with the model, as they were before the fit.
    log_model_signatures : bool, default=True
        Store what the model takes and gives, inferred from the training data.
    log_models : bool, default=True
        Store the fitted model, so that it loads again.
    log_datasets : bool, default=True
        Describe the training data as an input of the run: name, digest, schema, sizes, classes.
    disable : bool, default=False
        Stop: every method is given back to its class.
    exclusive : bool, default=False
        Book fits in runs of their own even inside a run of yours.
    disable_for_unsupported_versions : bool, default=False
        Do nothing under a scikit-learn older than 1.6.
    silent : bool, default=False
        Write no log lines.
    max_tuning_runs : int, optional
        Book only so many candidates of a search, the best, when it is done. By default every
        candidate is a child run that is written as it comes; 0 books none.
    log_post_training_metrics : bool, default=True
        Book what ``score`` and the functions of ``sklearn.metrics`` give after a fit, in the run of
        the model whose predictions are measured.
    serialization_format : {"cloudpickle", "pickle", "skops", "joblib"}, default="cloudpickle"
        How models are stored. What skops cannot write is stored by cloudpickle, and one line says
        so; with ``SKLEDGER_ALLOW_PICKLE=0`` it is not stored.
    registered_model_name : str, optional
        Register the model of every fit under this name; of a search, the search itself.
    pos_label : object, optional
        The positive class of a binary target; precision, recall and F1 are then its own.
    extra_tags : mapping of str to str, optional
        Tags for every run that autologging makes.
    progress : {"auto"} or bool, default="auto"
        Show how far a search is: on a terminal and in a notebook, always, or never.
    log_cross_validation : {"folds"} or bool, default=True
        Book ``cross_validate`` and its kin, each as a run; "folds" makes each fold a child run,
        too. With False nothing of them is booked, nor what they fit.
    max_model_size : int or str, optional
        Leave models out that are larger, in bytes or as ``"500 MB"``; the run says so. By default
        ``SKLEDGER_MAX_MODEL_SIZE`` decides, and without it there is no limit.
    training_metrics : {"auto", "full", "sampled"} or bool, default="auto"
        What is predicted for training metrics and pictures: all rows, unless that would take more
        than 1 s and more than half of the time of the fit, and then a random sample ("auto" or
        True); all rows ("full"); at most 1,000 random rows ("sampled"); nothing (False).
    checks : bool or sequence of str, default=True
        Say when something looks wrong: "constant_prediction", "target_in_features",
        "train_better_than_test", "missing_class"; all of them, none, or those that are named.
    log_traces : bool, default=True
        Taken for compatibility; there are no traces here.
    exclude_flavors : sequence of str, optional
        As `disable` when ``"sklearn"`` is among them; any other name means nothing here.

    Returns
    -------
    context manager
        May be ignored.

    Raises
    ------
    InvalidParameterError
        When an argument has a value that means nothing.
    """
    before = _current
    _apply(
        Config(
            log_input_examples=log_input_examples,
            log_model_signatures=log_model_signatures,
            log_models=log_models,
            log_datasets=log_datasets,
            disable=disable or "sklearn" in (exclude_flavors or ()),
            exclusive=exclusive,
            disable_for_unsupported_versions=disable_for_unsupported_versions,
            silent=silent,
            max_tuning_runs=max_tuning_runs,
            log_post_training_metrics=log_post_training_metrics,
            serialization_format=serialization_format,
            registered_model_name=registered_model_name,
            pos_label=pos_label,
            extra_tags={} if extra_tags is None else extra_tags,
            progress=progress,
            log_cross_validation=log_cross_validation,
            max_model_size=_size(max_model_size),
            training_metrics=training_metrics,
            checks=tuple(checks) if isinstance(checks, list | set | frozenset) else checks,
        )
    )
    if switch.enabled:
        _warn_of_bad_uri()
        with contain("what git says of the program"):
            from skledger.tracking.context import look_around

            # git takes its time, so it is asked now, in the background.
            look_around()
    return _Restore(before)


def _size(given: int | str | None) -> int | None:
    if given is None:
        return None
    from skledger.models.compressing import size_in_bytes

    return size_in_bytes(given, "max_model_size")


def _apply(config: Config) -> None:
    """Put a configuration into force: install or remove the hooks, set the switch."""
    global _current
    from skledger.hooks import estimators, predicting, scoring, validation, warned, workers

    _current = config
    # A filter, because the level belongs to the user.
    (logger.addFilter if config.silent else logger.removeFilter)(_drop)
    if config.disable or (config.disable_for_unsupported_versions and _is_unsupported()):
        switch.enabled = False
        for hook in (workers, warned, scoring, predicting, validation, estimators):
            hook.unpatch()
        return
    ledger = _LateLedger(config)
    estimators.patch(ledger)
    validation.patch(ledger)
    for after_fit in (predicting, scoring):
        if config.log_post_training_metrics:
            after_fit.patch(ledger)
        else:
            after_fit.unpatch()
    warned.patch()
    workers.patch()
    switch.enabled = True


def classes_changed() -> None:
    """Hook what has come out of a pickle in the place of a class's own methods."""
    classes = sys.modules.get("skledger.hooks.classes")
    if classes is not None:
        with contain("fits of classes that were unpickled"):
            classes.visit_again()


def model_loaded(estimator: Any, described: Mapping[str, Any]) -> None:
    """Link a model that was loaded from a run with that run: what is measured of it goes there."""
    if switch.enabled and _current.log_post_training_metrics:
        from skledger.ledger.fits import FitLedger

        with contain(f"the link from {type(estimator).__name__} to its run"):
            FitLedger(_current).loaded(estimator, described)


def _warn_of_bad_uri() -> None:
    """Say now, not at the first fit, that the environment names a store that cannot be."""
    # One that was set by a call has been checked then; without a variable nothing is imported.
    if not any(os.environ.get(f"{name}_TRACKING_URI") for name in ("SKLEDGER", "MLFLOW")):
        return
    from skledger.stores.opening import check_uri
    from skledger.tracking.session import get_tracking_uri

    try:
        check_uri(get_tracking_uri())
    except InvalidParameterError as error:
        logger.warning("skledger: no fit will be booked: %s", error)


def _is_unsupported() -> bool:
    from importlib.metadata import version

    loaded = sys.modules.get("sklearn")
    number = getattr(loaded, "__version__", None) or version("scikit-learn")
    major, minor = (int(part) for part in number.split(".")[:2])
    return (major, minor) < (1, 6)
