"""What it means when a database refuses a write, and trying again when that may help."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from skledger.errors import AlreadyExistsError, NotFoundError, SkledgerError
from skledger.stores import tables
from skledger.stores.sql_engine import CollisionError
from skledger.stores.sql_reading import load_models
from skledger.stores.sql_rows import in_chunks
from skledger.tracking.entities import RunChange

__all__ = ["explain_refusal", "trying"]

#: Seconds before the second attempt, at most; they double with each attempt.
PAUSE = 0.02


def trying(
    attempts: int,
    write: Callable[[], None],
    explain: Callable[[IntegrityError], SkledgerError | None],
    otherwise: Callable[[IntegrityError], SkledgerError],
) -> None:
    """Write, once more when another writer came in between.

    Two that book the same data set at the same time both find it missing, and the second one is
    refused; when it looks again, the data set is there.

    Parameters
    ----------
    attempts : int
        How often it is tried.
    write : callable
        One transaction, which does all of its work anew.
    explain : callable
        Returns what a refusal means, None when another attempt may succeed.
    otherwise : callable
        Returns the error when no attempt did.
    """
    for attempt in range(1, attempts + 1):
        try:
            return write()
        except CollisionError:
            if attempt == attempts:
                raise
        except IntegrityError as error:
            refusal = explain(error)
            if refusal is not None:
                raise refusal from error
            if attempt == attempts:
                raise otherwise(error) from error
        time.sleep(random.uniform(0.1, 1.0) * PAUSE * 2**attempt)
    return None


def explain_refusal(
    connection: Connection, uri: str, changes: Sequence[RunChange]
) -> SkledgerError | None:
    """Return what a refused write means; looked up only now, as it hardly ever happens."""
    created = {each.run_id: each.create for each in changes if each.create is not None}
    models = [model.model_id for each in changes for model in each.models]
    runs, experiments = tables.runs.c.run_uuid, tables.experiments.c.experiment_id
    for chunk in in_chunks(list(created)):
        for run_id in connection.scalars(select(runs).where(runs.in_(chunk))):
            return AlreadyExistsError(f"there is a run {run_id!r} already: use another id")
    wanted = {int(info.experiment_id) for info in created.values()}
    missing = wanted - set(connection.scalars(select(experiments)))
    if missing:
        return NotFoundError(
            f"there is no experiment {str(min(missing))!r} in {uri}: create it first"
        )
    found = load_models(connection, models)
    if found:
        return AlreadyExistsError(f"there is a logged model {found[0].model_id!r} already")
    return None
