"""Run every benchmark and rewrite ``report.md``.

::

    python benchmarks/run.py [--quick] [--without-mlflow]
"""

from __future__ import annotations

from datetime import UTC, datetime

import after_fit
import fit_cost
import import_cost
import many_fits
import models
import outage
import search_cost
import search_runs
import server
import serving
import training_metrics
from shared import HERE, load_average, machine, options, progress

HEAD = """\
# What skledger costs

Written by `python benchmarks/run.py`; `README.md` says how it is measured.
{scope}
{machine}
"""


def main() -> None:
    """Measure everything, then write."""
    given = options()
    started, load = datetime.now(UTC), load_average()
    asked = (
        import_cost,
        fit_cost,
        after_fit,
        training_metrics,
        search_cost,
        many_fits,
        search_runs,
        outage,
        models,
        serving,
        server,
    )
    parts = [each.measure(given) for each in asked]
    scope = "\n**A quick run, to see that it works: too few repetitions to rely on.**\n"
    head = HEAD.format(
        scope=scope if given.quick else "",
        machine=machine(started, (load, load_average())),
    )
    report = HERE / "report.md"
    report.write_text("\n".join((head, *parts)), encoding="utf-8")
    progress(f"wrote {report}")


if __name__ == "__main__":
    main()
