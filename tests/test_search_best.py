"""The best runs by a metric are the same whether all runs are sorted or only the best are read."""

from __future__ import annotations

import math
import random

import pytest

from skledger.stores.opening import open_store
from skledger.tracking.entities import (
    LifecycleStage,
    Metric,
    Param,
    RunChange,
    RunInfo,
    RunTag,
    ViewType,
)

COUNT = 3000
LEVELS = {
    # Every value is one of these kinds; the last two have many ties at the top.
    "all differ": lambda chance: chance.random(),
    "few values": lambda chance: float(chance.randrange(5)),
    "mostly the best": lambda chance: 1.0 if chance.random() < 0.95 else chance.random(),
}


@pytest.fixture(scope="module", params=LEVELS)
def filled(request, tmp_path_factory):
    """A store with two experiments, and what it holds: (experiment, value, start, id, ...)."""
    chance = random.Random(request.param)
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('best') / 'runs.db'}")
    for name in ("one", "two"):
        store.create_experiment(name)
    changes, held = [], []
    for number in range(COUNT):
        run_id = f"{chance.getrandbits(128):032x}"
        experiment = "2" if chance.random() < 0.3 else "1"
        start = chance.randrange(COUNT // 3)
        value = LEVELS[request.param](chance)
        if chance.random() < 0.1:
            value = chance.choice((math.nan, math.inf, -math.inf, None))
        deleted = chance.random() < 0.1
        stage = LifecycleStage.DELETED if deleted else LifecycleStage.ACTIVE
        param, child = str(chance.randrange(4)), chance.random() < 0.5
        info = RunInfo(run_id, experiment, f"r{number}", "me", "RUNNING", start, None, stage, "x")
        changes.append(
            RunChange(
                run_id,
                create=info,
                params=(Param("p", param),),
                metrics=() if value is None else (Metric("m", value, 1),),
                tags=(RunTag("mlflow.parentRunId", "parent"),) if child else (),
            )
        )
        held.append((experiment, value, start, run_id, deleted, param, child))
    store.write(*changes)
    yield store, held
    store.close()


def in_order(held, ascending):
    """Return identifiers as the contract orders them: numbers, NaN, nothing; the newest first."""

    def key(each):
        _, value, start, run_id, *_ = each
        if value is None:
            return 2, 0, -start, run_id
        if math.isnan(value):
            return 1, 0, -start, run_id
        return 0, value if ascending else -value, -start, run_id

    return [each[3] for each in sorted(held, key=key)]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("size", [1, 7, 40])
def test_the_best_are_the_first_of_all_in_order(filled, ascending, size):
    """Pages of any size are parts of the whole order, ties, NaN and missing values included."""
    store, held = filled
    order = [f"metrics.m {'ASC' if ascending else 'DESC'}"]
    expected = in_order([h for h in held if h[0] == "1" and not h[4]], ascending)
    token, got = None, []
    for _ in range(4):
        page = store.search_runs(["1"], "", ViewType.ACTIVE_ONLY, size, order, token)
        got += [run.info.run_id for run in page]
        token = page.token
    assert got == expected[: 4 * size]


@pytest.mark.parametrize(
    ("filter_string", "view_type", "experiments", "kept"),
    [
        ("tags.mlflow.parentRunId IS NULL", ViewType.ACTIVE_ONLY, ["1"],
         lambda h: h[0] == "1" and not h[4] and not h[6]),
        ("params.p = '3' and metrics.m < 0.5", ViewType.ALL, ["1", "2"],
         lambda h: h[5] == "3" and h[1] is not None and h[1] < 0.5),
        ("params.p = 'no such'", ViewType.ALL, ["1", "2"], lambda _: False),
        ("", ViewType.DELETED_ONLY, ["2"], lambda h: h[0] == "2" and h[4]),
        ("", ViewType.ALL, ["1", "2"], lambda _: True),
    ],
)  # fmt: skip
def test_filters_views_and_experiments_choose_before_the_order(
    filled, filter_string, view_type, experiments, kept
):
    """What is best is the best of what was asked for, not of everything."""
    store, held = filled
    expected = in_order([each for each in held if kept(each)], False)
    page = store.search_runs(experiments, filter_string, view_type, 5, ["metrics.m DESC"])
    assert [run.info.run_id for run in page] == expected[:5]
    assert bool(page.token) == (len(expected) > 5)


def test_further_orders_decide_among_the_same_values(filled):
    """The second key of an order tells the runs apart that have the same value."""
    store, held = filled
    here = [each for each in held if each[0] == "1" and not each[4] and each[1] == each[1]]
    here = [each for each in here if each[1] is not None]
    expected = sorted(here, key=lambda each: (-each[1], each[5], -each[2], each[3]))
    page = store.search_runs(["1"], "", max_results=9, order_by=["metrics.m DESC", "params.p ASC"])
    assert [run.info.run_id for run in page] == [each[3] for each in expected[:9]]
