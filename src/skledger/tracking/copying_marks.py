"""How a copy says of what it is one, so that nothing is copied twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skledger.errors import NotFoundError
from skledger.stores.base import Store
from skledger.tracking.addresses import without_credentials
from skledger.tracking.entities import LifecycleStage, PagedList, Run, ViewType
from skledger.tracking.runs import PARENT_TAG

__all__ = [
    "COPIED_TAG",
    "COPYING_TAG",
    "OWN_TAGS",
    "Chosen",
    "Copies",
    "every_run",
    "experiment_ids",
    "mark_of",
]

#: What a run, or a logged model, is a copy of: ``<tracking URI>#<identifier>``.
COPIED_TAG = "skledger.copied_from"
#: The same on a run that is not wholly there, for as long as it is not.
COPYING_TAG = "skledger.copying"

_PAGE = 1000
#: How many experiments one search names.
_EXPERIMENTS = 200
#: Not what the user wrote: the identifiers under which a server's own were first known.
_ALIASES = ("skledger.run_id", "skledger.model_id")
#: Tags that belong to one copy, and are not copied on.
OWN_TAGS = (COPIED_TAG, COPYING_TAG, *_ALIASES)


def mark_of(store: Store, identifier: str) -> str:
    """Return what a copy of a run or a model of that store is marked with; no password in it."""
    return f"{without_credentials(store.uri)}#{identifier}"


def experiment_ids(store: Store) -> list[str]:
    """Return the identifiers of all experiments, deleted ones included."""
    found: list[str] = []
    token: str | None = None
    while True:
        page = store.search_experiments(ViewType.ALL, max_results=_PAGE, page_token=token)
        found += [each.experiment_id for each in page]
        token = page.token
        if not token:
            return found


def every_run(store: Store, ids: Sequence[str], filter_string: str = "") -> Iterator[Run]:
    """Yield the runs of experiments, deleted ones included, the oldest first in each group."""
    for at in range(0, len(ids), _EXPERIMENTS):
        token: str | None = None
        while True:
            page: PagedList[Run] = store.search_runs(
                ids[at : at + _EXPERIMENTS],
                filter_string,
                ViewType.ALL,
                _PAGE,
                ["attributes.start_time ASC"],
                token,
            )
            yield from page
            token = page.token
            if not token:
                break


@dataclass(frozen=True, slots=True)
class Chosen:
    """A run of the source, in short.

    Parameters
    ----------
    run_id, name : str
        The run.
    start_time : int
        When it began, in ms.
    parent : str or None
        The run it is a child of.
    copied_from : str
        What it is a copy of itself; empty for most.
    """

    run_id: str
    name: str
    start_time: int
    parent: str | None
    copied_from: str

    @classmethod
    def of(cls, run: Run) -> Chosen:
        """Return a run in short."""
        info, tags = run.info, run.data.tags
        copied_from = tags.get(COPIED_TAG, "")
        return cls(info.run_id, info.run_name, info.start_time, tags.get(PARENT_TAG), copied_from)


class Copies:
    """The runs of one store that are copied, or half copied, to another.

    Parameters
    ----------
    source, destination : Store
        The two.
    """

    def __init__(self, source: Store, destination: Store) -> None:
        self._source, self._destination = source, destination
        # By the identifier alone: it tells a run from all others wherever its store has moved.
        self._whole: dict[str, str] = {}
        self._begun: dict[str, str] = {}
        self._taken: set[str] = set()
        ids = experiment_ids(destination)
        for tag in (COPIED_TAG, COPYING_TAG):
            for run in every_run(destination, ids, f"tags.`{tag}` LIKE '%#%'"):
                self._note(run.data.tags[tag].rpartition("#")[2], run)

    def whole(self, chosen: Chosen) -> str | None:
        """Return the identifier of a run's copy that is wholly there; None when there is none."""
        run_id = chosen.run_id
        if run_id not in self._whole and run_id not in self._begun:
            original = self._original_of(chosen)
            if original is not None:
                self._whole[run_id] = original
        return self._whole.get(run_id)

    def begun(self, run_id: str) -> str | None:
        """Return the identifier of a copy that was begun; None when there is none."""
        return self._begun.get(run_id)

    def is_free(self, run_id: str) -> bool:
        """Whether no other run of the destination has that identifier; ask `whole` first."""
        return run_id not in self._taken

    def translate(self, run_id: str) -> str | None:
        """Return what a run is called at the destination, as far as it is known."""
        return self._whole.get(run_id) or self._begun.get(run_id)

    def look_again(self, run_id: str) -> None:
        """Find out whether a copy was begun, or is whole, after a call that broke off."""
        mark = mark_of(self._source, run_id).replace("'", "''")
        ids = experiment_ids(self._destination)
        for tag in (COPIED_TAG, COPYING_TAG):
            for run in every_run(self._destination, ids, f"tags.`{tag}` = '{mark}'"):
                self._note(run_id, run)

    def _note(self, run_id: str, copy: Run) -> None:
        tags, stage = copy.data.tags, copy.info.lifecycle_stage
        # Only what is whole is deleted, and on a server it has both marks then.
        is_deleted = COPIED_TAG in tags and stage == LifecycleStage.DELETED
        if COPYING_TAG in tags and not is_deleted:
            self._whole.pop(run_id, None)
            self._begun[run_id] = copy.info.run_id
        else:
            self._begun.pop(run_id, None)
            self._whole[run_id] = copy.info.run_id

    def begin(self, run_id: str, copy_id: str) -> None:
        """Note that a run is being copied."""
        self._begun[run_id] = copy_id

    def finish(self, run_id: str) -> None:
        """Note that a run is wholly there."""
        self._whole[run_id] = self._begun.pop(run_id)

    def _original_of(self, chosen: Chosen) -> str | None:
        """Return the run itself, where it came from the destination or was brought by hand."""
        address, _, original = chosen.copied_from.rpartition("#")
        here = without_credentials(self._destination.uri)
        if original and address == here and _find(self._destination, original) is not None:
            return original
        found = _find(self._destination, chosen.run_id)
        if found is None:
            return None
        # The same digits are the same run, unless it began at another time.
        if found.info.start_time == chosen.start_time:
            return found.info.run_id
        self._taken.add(chosen.run_id)
        return None


def _find(store: Store, run_id: str) -> Run | None:
    try:
        return store.get_run(run_id)
    except NotFoundError:
        return None
