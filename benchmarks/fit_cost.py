"""What one fit costs: before it returns, until all is on disk, in CPU, and the first time.

Four processes per case (no logger, the floor, skledger, MLflow) live side by side and fit in turn,
so that whatever else the machine does hits all of them alike. Several such sets are started one
after the other, for the first fit of a process is measured too.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from shared import (
    CASES,
    LOGGERS,
    Child,
    main,
    median,
    ms,
    ms_spread,
    progress,
    table,
    times,
)

Samples = dict[str, list[float]]


@dataclass
class Plan:
    """How often what is measured.

    Parameters
    ----------
    sets : int
        How many times fresh processes are started.
    fits : int
        How many fits follow the first in each process.
    mlflow_sets, mlflow_fits : int
        The same for MLflow, of which a few are enough: it takes seconds, and varies little.
    """

    sets: int = 5
    fits: int = 8
    mlflow_sets: int = 2
    mlflow_fits: int = 3


@dataclass
class Measured:
    """What was measured of one case: by logger, then by quantity, in seconds."""

    first: dict[str, Samples] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    later: dict[str, Samples] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    rows: int = 0
    pictures: int = 0

    def of_first(self, logger: str, quantity: str) -> list[float]:
        """Return the samples of the first fit of a process."""
        return self.first[logger][quantity]

    def of_later(self, logger: str, quantity: str) -> list[float]:
        """Return the samples of the fits after it."""
        return self.later[logger][quantity]


def measure(given: argparse.Namespace) -> str:
    """Measure, and return the part of the report."""
    plan = Plan(2, 3, 1, 1) if given.quick else Plan()
    if given.without_mlflow:
        plan.mlflow_sets = 0
    found = {case: measure_case(case, plan) for case in CASES}
    return report(found)


def measure_case(case: str, plan: Plan) -> Measured:
    """Measure one case."""
    found = Measured()
    found.rows, found.pictures = stored_by_one_fit(case)
    for number in range(plan.sets):
        progress(f"{CASES[case]}: processes {number + 1} of {plan.sets}")
        loggers = LOGGERS if number < plan.mlflow_sets else LOGGERS[:-1]
        children = [Child(logger, case, found.rows) for logger in loggers]
        for child in children:
            first = child.ask("fit") | child.ready
            note(found.first[child.logger], first)
        for turn in range(plan.fits):
            for child in children:
                if child.logger != "mlflow" or turn < plan.mlflow_fits:
                    note(found.later[child.logger], child.ask("fit"))
        for child in children:
            child.check(1 + (plan.mlflow_fits if child.logger == "mlflow" else plan.fits))
            child.close()
    return found


def stored_by_one_fit(case: str) -> tuple[int, int]:
    """Return how many rows and pictures skledger makes of one fit; also warms the bytecode."""
    child = Child("skledger", case)
    child.ask("fit")
    before = child.ask("count")
    child.ask("fit")
    after = child.check(2)
    child.close()
    return after["rows"] - before["rows"], after["pictures"] - before["pictures"]


def note(samples: Samples, answer: dict[str, float]) -> None:
    """Keep what a process answered."""
    for quantity, value in answer.items():
        samples[quantity].append(value)


# -- the report -----------------------------------------------------------------------------------


def report(found: dict[str, Measured]) -> str:
    """Return the tables."""
    return "\n".join(
        (
            "## What a fit costs\n",
            "Milliseconds that are added to a fit, after the first of the process: median, in "
            "brackets the quartiles. The floor is what must be done by hand to keep a fit: "
            "serialise the model and write the file, compute the same metrics with scikit-learn's "
            "functions, insert as many rows into SQLite in one transaction.\n",
            "**Before `fit` returns** (aim: 20 ms at most, 1.5 times the floor at most)\n",
            compared(found, Measured.of_later, "returned"),
            "**Until everything is on disk**, pictures and the estimator's diagram included; the "
            "floor draws none\n",
            compared(found, Measured.of_later, "on disk"),
            "**CPU seconds**, of all threads and child processes, pictures included, beyond those "
            "of the fit itself (aim: a twentieth of MLflow's)\n",
            cpu(found),
            "**The first fit of a process**, with everything that is imported and the database "
            "that is made for it; scikit-learn is imported and has fitted before (aim: 400 ms)\n",
            first(found),
            "**The fit itself** under each logger, as a multiple of the bare fit (what hooks cost "
            "inside a fit), and what the floor is made of\n",
            parts(found),
        )
    )


def compared(
    found: dict[str, Measured], of: Callable[[Measured, str, str], list[float]], quantity: str
) -> str:
    """Return a table of one quantity."""
    rows = []
    for case, name in CASES.items():
        floor, ours, theirs = (of(found[case], logger, quantity) for logger in LOGGERS[1:])
        rows.append(
            (
                name,
                ms_spread(floor),
                ms_spread(ours),
                ms_spread(theirs),
                times(median(ours) / median(floor)),
                times(median(theirs) / median(floor)),
                times(median(theirs) / median(ours)),
            )
        )
    return table(
        (
            "",
            "floor, ms",
            "skledger, ms",
            "MLflow, ms",
            "skledger / floor",
            "MLflow / floor",
            "MLflow / skledger",
        ),
        rows,
    )


def cpu(found: dict[str, Measured]) -> str:
    """Return the table of CPU times."""
    rows = []
    for case, name in CASES.items():
        floor, ours, theirs = (median(found[case].of_later(each, "cpu")) for each in LOGGERS[1:])
        rows.append(
            (name, *(f"{value:.3f}" for value in (floor, ours, theirs)), times(theirs / ours))
        )
    return table(("", "floor, s", "skledger, s", "MLflow, s", "MLflow / skledger"), rows)


def first(found: dict[str, Measured]) -> str:
    """Return the table of first fits."""
    rows = []
    for case, name in CASES.items():
        cells = [name]
        for logger in LOGGERS[1:]:
            cells.append(ms_spread(found[case].of_first(logger, "returned")))
        for logger in LOGGERS[2:]:
            setup = found[case].of_first(logger, "setup")
            cells.append(ms(median(setup)) if setup else "-")
        rows.append(cells)
    return table(
        (
            "",
            "floor, ms",
            "skledger, ms",
            "MLflow, ms",
            "skledger: import and autolog(), ms",
            "MLflow: the same, ms",
        ),
        rows,
    )


def parts(found: dict[str, Measured]) -> str:
    """Return the table of what explains the others."""
    rows = []
    for case, name in CASES.items():
        bare = median(found[case].of_later("bare", "fit"))
        floor = found[case].later["floor"]
        rows.append(
            (
                name,
                ms(bare),
                *(times(median(found[case].of_later(each, "fit")) / bare) for each in LOGGERS[1:]),
                *(ms(median(floor[part])) for part in ("model", "metrics", "rows")),
                f"{median(floor['model bytes']) / 1024:,.0f}",
                str(found[case].rows),
                str(found[case].pictures),
            )
        )
    return table(
        (
            "",
            "bare fit, ms",
            "floor",
            "skledger",
            "MLflow",
            "floor: model, ms",
            "metrics, ms",
            "transaction, ms",
            "model, KB",
            "rows",
            "pictures",
        ),
        rows,
    )


if __name__ == "__main__":
    main(measure)
