"""What the charts of a comparison draw: columns of params and metrics, and curves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skledger.server.pages.choosing import metric_places, preferred_metrics
from skledger.server.pages.table_usual import lateness
from skledger.tracking.entities import Metric, Run

if TYPE_CHECKING:
    from skledger.stores.base import Store

__all__ = ["chart_data", "curve_data", "curve_keys", "curves", "finite", "thinned"]

#: The most points of one curve that are sent to a page.
MOST_POINTS = 1000
#: In how many runs a metric is looked at for several steps, and how often at all.
_LOOKED_AT, _MOST_LOOKS = 3, 200


def chart_data(runs: Sequence[Run]) -> dict[str, object]:
    """Return params and metrics as columns, those that differ first."""
    params = sorted({key for run in runs for key in run.data.params})
    held = Counter(key for run in runs for key in run.data.metrics)
    places = metric_places(held)
    metrics = sorted(held, key=lambda key: (places[key], -held[key], key))
    late = lateness(runs)
    kinds = [run.data.tags.get("estimator_name") for run in runs]
    columns = [
        *(_columns("about", ["estimator"], [kinds]) if len(set(kinds)) > 1 else ()),
        *_columns("param", params, [[run.data.params.get(key) for run in runs] for key in params]),
        *_columns(
            "metric", metrics, [[run.data.metrics.get(key) for run in runs] for key in metrics]
        ),
    ]
    for each in columns:
        if each["kind"] == "param":
            # 0 is what was varied to see what it does, 2 what is seldom varied for that.
            dull, *rest = late.get(str(each["key"]), (True,))
            each["late"] = 2 if dull else int(any(rest[:2]))
    return {
        "runs": [
            {"id": run.info.run_id, "name": run.info.run_name, "status": run.info.status}
            for run in runs
        ],
        "columns": columns,
    }


def _columns(
    kind: str, keys: Sequence[str], values: Sequence[Sequence[object]]
) -> list[dict[str, object]]:
    found = []
    for key, held in zip(keys, values, strict=True):
        # JSON has no NaN; it is no place on an axis either.
        known = [_plain(each) for each in held]
        found.append({"kind": kind, "key": key, "values": known, "differs": len(set(known)) > 1})
    return found


def _plain(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def curve_keys(store: Store, runs: Sequence[Run]) -> tuple[list[str], list[str]]:
    """Return the metrics with several steps, and all others; those of most runs first.

    Only some of the runs are asked for each metric: those that have it are mostly of one kind.
    """
    owners: dict[str, list[Run]] = {}
    for run in runs:
        for key in run.data.metrics:
            owners.setdefault(key, []).append(run)
    every = sorted(preferred_metrics(owners), key=lambda key: 2 * len(owners[key]) < len(runs))
    places = range(_LOOKED_AT)
    looks = [(key, run) for place in places for key in every for run in owners[key][place:][:1]]
    found: set[str] = set()
    for key, run in looks[:_MOST_LOOKS]:
        if key not in found and len(store.get_metric_history(run.info.run_id, key)) > 1:
            found.add(key)
    return [key for key in every if key in found], [key for key in every if key not in found]


def curve_data(store: Store, runs: Sequence[Run], key: str) -> dict[str, object]:
    """Return the curves of a metric, and the names of the runs that have none."""
    without = [run.info.run_name for run in runs if key not in run.data.metrics]
    return {"metric": key, "curves": curves(store, runs, key), "without": without}


def curves(store: Store, runs: Sequence[Run], key: str) -> list[dict[str, object]]:
    """Return the values of a metric in each run that has it: steps, seconds since start, values."""
    found = []
    for run in runs:
        if key not in run.data.metrics:
            continue
        history = store.get_metric_history(run.info.run_id, key)
        start = run.info.start_time
        kept = thinned(history)
        found.append(
            {
                "id": run.info.run_id,
                "name": run.info.run_name,
                "of": len(history),
                "points": [
                    [each.step, (each.timestamp - start) / 1000, finite(each.value)]
                    for each in kept
                ],
            }
        )
    return found


def finite(value: float | None) -> float | None:
    """Return a number that JSON has and an axis has a place for; None for others."""
    return value if value is not None and math.isfinite(value) else None


def thinned(history: Sequence[Metric], most: int = MOST_POINTS) -> Sequence[Metric]:
    """Return at most so many points of a curve: the lowest and highest of even pieces."""
    if len(history) <= most:
        return history
    pieces = most // 2
    kept: list[Metric] = []
    for piece in range(pieces):
        start = piece * len(history) // pieces
        part = range(start, (piece + 1) * len(history) // pieces)
        low = min(part, key=lambda place: history[place].value)
        high = max(part, key=lambda place: history[place].value)
        kept += [history[place] for place in sorted({low, high})]
    return kept
