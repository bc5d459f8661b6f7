"""What a thousand small fits cost in one process, one after the other without a pause.

Each logger's loop runs from beginning to end without the others in between: skledger draws its
pictures when training pauses, and is to have no pauses here that users would not have.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

from fit_cost import stored_by_one_fit
from shared import LOGGERS, Child, main, median, progress, table, times

CASES = {
    "logistic loop": "LogisticRegression, iris",
    "ridge loop": "Ridge, diabetes",
}
FITS, MLFLOW_FITS = 1000, 10

Loops = dict[str, list[dict[str, Any]]]


def measure(given: argparse.Namespace) -> str:
    """Measure, and return the part of the report."""
    fits, passes = (200, 1) if given.quick else (FITS, 2)
    mlflow_fits = 0 if given.without_mlflow else 3 if given.quick else MLFLOW_FITS
    found = {case: measure_case(case, fits, passes, mlflow_fits) for case in CASES}
    return report(found, fits, mlflow_fits)


def measure_case(case: str, fits: int, passes: int, mlflow_fits: int) -> Loops:
    """Measure one case."""
    rows, _ = stored_by_one_fit(case)
    found: Loops = defaultdict(list)
    for number in range(passes):
        for logger in LOGGERS:
            count = mlflow_fits * (number == 0) if logger == "mlflow" else fits
            if count:
                progress(f"{CASES[case]}: {count} fits with {logger}")
                found[logger].append(one_loop(logger, case, count, rows))
    return found


def one_loop(logger: str, case: str, count: int, rows: int) -> dict[str, Any]:
    """Run one loop, after a first fit that is not counted."""
    child = Child(logger, case, rows)
    child.ask("fit")
    before = child.check(1)
    loop = child.ask("loop", count)
    # Counted now, for the folder goes with the process.
    after = child.check(1 + count)
    loop["pictures"] = after["pictures"] - before["pictures"]
    loop["exit"] = child.close()
    loop["each"] = loop["seconds"] / count
    return loop


def report(found: dict[str, Loops], fits: int, mlflow_fits: int) -> str:
    """Return the table."""
    rows = []
    for case, name in CASES.items():
        bare = median(loop["each"] for loop in found[case]["bare"])
        for logger, loops in found[case].items():
            each = median(loop["each"] for loop in loops)
            whole = loops[0]["fits"][-1] == fits
            rows.append(
                (
                    f"{name}: {logger}",
                    f"{each * 1000:,.2f}",
                    f"{each * fits:,.1f}" if whole else f"({each * fits:,.0f})",
                    times(each / bare),
                    f"{median(loop['cpu'] / loop['fits'][-1] for loop in loops) * 1000:,.1f}",
                    growth(loops) if whole else "-",
                    f"{median(loop['exit'] for loop in loops):.1f}",
                )
            )
    note = (
        f" MLflow fits {mlflow_fits} times; its total, in brackets, is that multiplied up."
        if mlflow_fits
        else ""
    )
    return "\n".join(
        (
            f"## {fits:,} small fits in a row\n",
            f"A loop over the values of one param, without a pause.{note} Memory is what the peak "
            "of the process rises by after the first tenth of the loop. (Aim: 15 times the bare "
            "loop at most, flat memory.)\n",
            table(
                (
                    "",
                    "a fit, ms",
                    f"{fits:,} fits, s",
                    "/ bare",
                    "CPU of a fit, ms",
                    "memory, MB",
                    "exit, s",
                ),
                rows,
            ),
            pictures(found),
        )
    )


def growth(loops: list[dict[str, Any]]) -> str:
    """Return by how much the peak of memory rose during the loop, in MB."""
    return f"{median(loop['memory'][-1] - loop['memory'][0] for loop in loops) / 2**20:+.1f}"


def pictures(found: dict[str, Loops]) -> str:
    """Say how many pictures were drawn meanwhile, for those that were not are not paid for."""
    told = []
    for case, loops in found.items():
        ours = loops["skledger"][0]
        told.append(
            f"{CASES[case]}: {ours['fits'][-1]:,} runs stored, {ours['pictures']} "
            "pictures drawn before the loop ended"
        )
    return (
        "skledger leaves pictures undrawn when fits never pause; the numbers behind them are "
        f"stored with each run, and they are drawn on demand. {'; '.join(told)}.\n"
    )


if __name__ == "__main__":
    main(measure)
