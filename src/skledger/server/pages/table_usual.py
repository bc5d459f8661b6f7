"""Which columns a run table has unless they are chosen: what tells good runs from bad ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from skledger.server.pages.choosing import metric_places
from skledger.tracking.entities import Run

__all__ = ["datasets", "lateness", "left_out", "seen", "usual_keys", "with_sorted"]

#: How many params, and metrics, are shown unless columns are chosen; and metrics of opened runs.
_FEW, _FEW_BELOW = 5, 2
#: How many metrics are in sight without scrolling sideways.
_IN_SIGHT = 2
#: Params that are set for other reasons than to try values; after a prefix as in `svc__tol`, too.
_DULL = re.compile(
    r"(.*__)?(verbose|tol|random_state|seed|n_jobs|copy(_\w+)?|cache_size|warm_start|error_score"
    r"|return_train_score|pre_dispatch|refit|memory|param_(grid|distributions)|steps|transformers"
    r"|estimators?|enable_metadata_routing)"
)
#: Longer values than this tell nothing in a column.
_LONG = 40


def seen(runs: Iterable[Run], group: str) -> dict[str, int]:
    """Return the keys of runs, in the order of their first run, and how many runs have each."""
    return Counter(key for run in runs for key in getattr(run.data, group))


def datasets(run: Run) -> str:
    """Return the names of a run's data sets, each once."""
    return ", ".join(dict.fromkeys(each.dataset.name for each in run.inputs.dataset_inputs))


def usual_keys(runs: Sequence[Run], several: bool, below: Sequence[Run] = ()) -> list[str]:
    """Return the keys of the usual columns.

    Parameters
    ----------
    runs : sequence of Run
        Those that decide.
    several : bool
        Whether they are of several experiments.
    below : sequence of Run, optional
        Runs that were opened below others: what tells them apart comes first, for they were
        opened to be looked at.
    """
    opened = [*_metrics(below)[:_FEW_BELOW], *_differing(below)[:_FEW]]
    others = [*_metrics(runs)[:_FEW], *_differing(runs)[:_FEW]]
    return list(dict.fromkeys([*_own(runs, several), *opened, *others]))


def with_sorted(keys: Sequence[str], key: str) -> list[str]:
    """Return usual columns with the metric that the table is sorted by among the first metrics."""
    metrics = [each for each in keys if each.startswith("metrics.")]
    if not key.startswith("metrics.") or key in metrics[:_IN_SIGHT]:
        return list(keys)
    others = [each for each in keys if each != key]
    places = [place for place, each in enumerate(others) if "." in each]
    first = places[0] if places else len(others)
    return [*others[:first], key, *others[first:]]


def left_out(keys: Iterable[str], runs: Sequence[Run]) -> str:
    """Return how many metrics, and params that differ, the columns leave out; for reading."""
    shown = set(keys)
    params = [key for key in _differing(runs) if not _DULL.fullmatch(key[len("params.") :])]
    counts = {
        "metric": sum(key not in shown for key in _metrics(runs)),
        "param": sum(key not in shown for key in params),
    }
    words = [f"{count} more {kind}{'s' * (count > 1)}" for kind, count in counts.items() if count]
    if counts["param"]:
        words[-1] += " that differ" if counts["param"] > 1 else " that differs"
    return " and ".join(words)


def _own(runs: Sequence[Run], several: bool) -> list[str]:
    keys = ["status", "start_time", "duration"]
    if several:
        keys.append("experiment")
    if any(_estimator_besides_name(run) for run in runs):
        keys.append("estimator")
    # Which parts of the data a call was given (`X_train`, or `X_train, X_test`) tells little.
    if len({datasets(run).partition(",")[0] for run in runs} - {""}) > 1:
        keys.append("dataset")
    return keys


def _metrics(runs: Sequence[Run]) -> list[str]:
    """Return the columns of metrics, in the order in which they tell how good a model is."""
    held = seen(runs, "metrics")
    places = metric_places(held)
    return [f"metrics.{key}" for key in sorted(held, key=lambda key: (places[key], -held[key]))]


def _estimator_besides_name(run: Run) -> bool:
    """Whether the estimator tells more than the name, which is often made of it."""
    estimator = run.data.tags.get("estimator_name", "")
    return bool(estimator) and estimator.lower() not in run.info.run_name.lower()


def _differing(runs: Sequence[Run]) -> list[str]:
    """Return columns of params with several values; with one run, of all.

    Those come first that were varied most among runs of one estimator: between estimators,
    defaults differ. What is mostly None comes after them, then what is seldom set to try values
    (``verbose``), and long values.
    """
    late = lateness(runs)
    return [f"params.{key}" for key in sorted(late, key=late.__getitem__)]


def lateness(runs: Sequence[Run]) -> dict[str, tuple[bool, bool, bool, int, int]]:
    """Return how late params with several values come where people look for what was tried.

    First whether a param is seldom set to try values, then whether it was varied in no estimator,
    and whether it is mostly None.
    """
    counts = seen(runs, "params")
    values: dict[str, Counter[str]] = {key: Counter() for key in counts}
    groups: dict[tuple[str, str], Counter[str]] = {}
    for run in runs:
        estimator = run.data.tags.get("estimator_name", "")
        for key, value in run.data.params.items():
            values[key][value] += 1
            groups.setdefault((key, estimator), Counter())[value] += 1
    varied: Counter[str] = Counter()
    for (key, _), held in groups.items():
        varied[key] += held.total() - max(held.values())
    keys = [key for key in counts if len(values[key]) > 1 or len(runs) == 1]

    def late(key: str) -> tuple[bool, bool, bool, int, int]:
        dull = bool(_DULL.fullmatch(key)) or max(map(len, values[key])) > _LONG
        empty = 2 * values[key]["None"] > counts[key]
        return dull, not varied[key], empty, -varied[key], -counts[key]

    return {key: late(key) for key in keys}
