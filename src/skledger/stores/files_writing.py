"""Writing changes of runs: found, locked, checked, prepared, and then made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

from skledger.errors import AlreadyExistsError, InvalidParameterError, NotFoundError
from skledger.stores.checks import parse_experiment_id
from skledger.stores.files_drafts import Draft
from skledger.stores.files_layout import Layout, is_identifier
from skledger.stores.files_locks import lock_of, locked
from skledger.stores.files_medium import META
from skledger.stores.files_model_drafts import ModelDraft
from skledger.stores.files_steps import FolderAppearedError, Steps, tidy
from skledger.stores.model_changes import no_model
from skledger.tracking.entities import RunChange, RunInfo

__all__ = ["Writer"]

#: How often a write begins anew because something came into the folder of its new run.
_ATTEMPTS = 5


class Writer:
    """Writes changes, all of them or none.

    Parameters
    ----------
    layout : Layout
        Where things are.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._tidied: set[str] = set()

    def write(self, changes: Sequence[RunChange]) -> None:
        """Write changes that have been checked for what no store can take."""
        _check_identifiers(changes)
        for attempt in range(_ATTEMPTS):
            try:
                self._write(changes)
            except FolderAppearedError:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def _write(self, changes: Sequence[RunChange]) -> None:
        folders, infos = self._find(changes)
        if not folders:
            return
        removed = [each for change in changes for each in change.deleted_models]
        gone = [folder for each in removed if (folder := self._layout.model(each)) is not None]
        touched = self._touched(changes, removed)
        held = [*gone, *touched.values()]
        with locked(self._locks(changes, folders, infos, held)):
            drafts = {
                run_id: Draft(folder, infos.get(run_id)) for run_id, folder in folders.items()
            }
            for change in changes:
                drafts[change.run_id].apply(change)
            self._check_unique(drafts)
            models = _change_models(changes, drafts, touched)
            self._commit(list(drafts.values()), models)
        for folder in gone:
            with suppress(OSError):
                os.rmdir(folder)  # noqa: PTH106 - unless its artifacts are still there

    def _touched(self, changes: Sequence[RunChange], removed: list[str]) -> dict[str, str]:
        """Return the folders of the models that are there and change."""
        made = {model.model_id for change in changes for model in change.models}
        found: dict[str, str] = {}
        for change in changes:
            for each in change.model_changes:
                if each.model_id in made or each.model_id in found:
                    continue
                is_gone = each.model_id in removed
                folder = None if is_gone else self._layout.model(each.model_id)
                if folder is None:
                    raise no_model(each.model_id)
                found[each.model_id] = folder
        return found

    def _commit(self, drafts: list[Draft], models: list[ModelDraft]) -> None:
        experiment = drafts[0].experiment
        if experiment not in self._tidied:
            self._tidied.add(experiment)
            tidy(experiment)
        steps = Steps(experiment)
        try:
            for draft in drafts:
                draft.prepare(steps, self._layout)
            for model in models:
                model.prepare(steps)
            steps.commit()
        finally:
            steps.discard()
        for draft in drafts:
            self._layout.remember(draft.run_id, draft.experiment)
            if not draft.runs_on and not draft.is_new:
                with suppress(OSError):
                    os.unlink(draft.marker)  # noqa: PTH108

    def _find(self, changes: Sequence[RunChange]) -> tuple[dict[str, str], dict[str, RunInfo]]:
        """Return the folders of all runs, and the new runs."""
        folders: dict[str, str] = {}
        infos: dict[str, RunInfo] = {}
        for change in changes:
            if change.create is None:
                continue
            wanted = change.create.experiment_id
            experiment = self._layout.experiment(str(parse_experiment_id(wanted)))
            if experiment is None:
                raise NotFoundError(f"there is no experiment {wanted!r} in {self._layout.root}")
            if change.run_id in folders or self._layout.run(change.run_id) is not None:
                raise AlreadyExistsError(
                    f"there is a run {change.run_id!r} already: use another id"
                )
            folders[change.run_id] = f"{experiment}/{change.run_id}"
            infos[change.run_id] = change.create
        for change in changes:
            if change.run_id not in folders:
                folder = self._layout.run(change.run_id)
                if folder is None:
                    raise NotFoundError(
                        f"there is no run {change.run_id!r}: create it first, or check its "
                        "identifier"
                    )
                folders[change.run_id] = folder
        return folders, infos

    @staticmethod
    def _locks(
        changes: Sequence[RunChange],
        folders: dict[str, str],
        infos: dict[str, RunInfo],
        models: list[str],
    ) -> list[str]:
        """Return what to lock: all but folders that are not there yet.

        Those are seen by nobody until they are renamed to their place, which one process alone
        can do.
        """
        wanted = [folder for run_id, folder in folders.items() if run_id not in infos]
        appearing = [folders[run_id] for run_id in infos]
        for change in changes:
            experiment = os.path.dirname(folders[change.run_id])  # noqa: PTH120
            appearing += [f"{experiment}/models/{model.model_id}" for model in change.models]
        wanted += [folder for folder in appearing if os.path.isdir(folder)]  # noqa: PTH112
        return [lock_of(folder) for folder in (*wanted, *models)]

    def _check_unique(self, drafts: dict[str, Draft]) -> None:
        """Refuse runs that have appeared since they were looked for, and models that exist."""
        made: set[str] = set()
        for draft in drafts.values():
            if draft.is_new and os.path.exists(f"{draft.folder}/{META}"):  # noqa: PTH110
                raise AlreadyExistsError(f"there is a run {draft.run_id!r} already: use another id")
            for model_id in draft.models:
                if model_id in made or self._layout.model(model_id) is not None:
                    raise AlreadyExistsError(f"there is a logged model {model_id!r} already")
                made.add(model_id)


def _change_models(
    changes: Sequence[RunChange], drafts: Mapping[str, Draft], touched: Mapping[str, str]
) -> list[ModelDraft]:
    """Apply the changes of models, of new ones in the drafts of their runs."""
    known = {model_id: ModelDraft(folder) for model_id, folder in touched.items()}
    makers = {model_id: draft for draft in drafts.values() for model_id in draft.models}
    for change in changes:
        for each in change.model_changes:
            if each.model_id in known:
                known[each.model_id].apply(each, change.run_id)
            elif each.model_id in makers:
                makers[each.model_id].change_model(each)
            else:
                raise no_model(each.model_id)  # made and removed by this very write
    return list(known.values())


def _check_identifiers(changes: Sequence[RunChange]) -> None:
    """Refuse identifiers that cannot be the name of a folder."""
    for change in changes:
        made = [model.model_id for model in change.models]
        if change.create is not None:
            made.append(change.run_id)
        for name in made:
            if not is_identifier(name):
                raise InvalidParameterError(
                    f"{name!r} cannot be the identifier of a run or model in a folder of files: "
                    "expected letters, digits, '-' and '_' such as 'm-1f2e' (32 hexadecimal digits)"
                )
