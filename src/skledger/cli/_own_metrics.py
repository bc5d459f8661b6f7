"""Which metrics of a run its user logged, and which autologging did."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator

from skledger.tracking.entities import Run
from skledger.tracking.searches import FITS_TAG

__all__ = ["own_metrics"]

#: A run without any of these tags holds nothing that autologging measured.
_AUTOLOGGED = frozenset({"mlflow.autologging", FITS_TAG, "estimator_name"})
#: What the names of a further fit in such a run end in.
_SUFFIX = re.compile(r"-\d+\Z")
_MEASURED = r"(\w*score|\w+_error|log_loss|roc_auc)"
_OF_FITS = re.compile(f"fit_seconds|n_samples|n_features|best_cv_score|training_{_MEASURED}")
#: What is known of iterations; the second are names that a user may well choose, too.
_OF_ITERATIONS = re.compile(
    "n_iter|oob_score|best_iteration|staged_score|loss_curve|oob_improvement|oob_scores"
    r"|estimator_errors|lower_bounds|((validation|valid|eval)(_\d+)?|training|learn)-.+"
)
_OF_A_CURVE = re.compile("validation_scores?|train_score|scores|loglike|error")
#: The params that a fit with ``warm_start`` has charted.
_CHANGED_TAG = "skledger.changed_params"
#: What cross-validations, candidates and folds hold besides, and which tags and metrics tell them.
_OF_FOLDS = re.compile(
    r"(mean|std|rank|split\d+)_(test|train)_.+|(mean|std)_(fit|score)_time|score|pvalue"
    rf"|((mean|std)_)?permutation_score|cv_{_MEASURED}"
)
_SCORE_OF_FOLD = re.compile(r"(test|train)_.+")
_HAS_FOLDS = ("skledger.function", "skledger.candidate", "skledger.fold")
_TIME_OF_FOLDS = "mean_fit_time"


def own_metrics(run: Run) -> Iterator[str]:
    """Yield the metrics that a user logged, as far as tags and names tell.

    Parameters
    ----------
    run : Run
        The run.
    """
    tags, metrics = run.data.tags, run.data.metrics
    if not _AUTOLOGGED & tags.keys():
        yield from metrics
        return
    is_users = FITS_TAG in tags
    charted = _charted_params(tags.get(_CHANGED_TAG, "{}"))
    has_folds = _TIME_OF_FOLDS in metrics or any(key.startswith(_HAS_FOLDS) for key in tags)
    for key in metrics:
        name = _SUFFIX.sub("", key) if is_users else key
        if _OF_FITS.fullmatch(name) or _OF_ITERATIONS.fullmatch(name) or name in charted:
            continue
        if not is_users and _OF_A_CURVE.fullmatch(name):
            continue
        if has_folds and _OF_FOLDS.fullmatch(name):
            continue
        # In a run of the user's, what has no mean may be a score on other data.
        of_fold = has_folds and (not is_users or f"mean_{key}" in metrics)
        if not (of_fold and _SCORE_OF_FOLD.fullmatch(name)):
            yield key


def _charted_params(text: str) -> Collection[str]:
    """Return the params that are metrics, too; a tag can be set to anything."""
    try:
        found = json.loads(text)
    except ValueError:
        return ()
    return found if isinstance(found, dict) else ()
