"""Sending the files of an outbox: artifacts of runs, and the folders of models."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skledger.errors import InvalidParameterError, NotFoundError, StoreError, StoreUnavailableError
from skledger.stores.artifacts import ArtifactStore
from skledger.stores.outbox_awaited import Awaited
from skledger.stores.outbox_runs import RunsHere
from skledger.stores.outbox_spool import ORPHAN_AGE, Spool, SpooledFile
from skledger.tracking.entities import LoggedModel, ModelChange, RunChange, RunTag

if TYPE_CHECKING:
    from skledger.stores.outbox_forwarder import Remote

__all__ = ["Uploads"]

#: The tag of a logged model that holds the SHA-256 of each of its files (as the tracking writes).
DIGESTS_TAG = "skledger.digests"
#: The file that holds them when they are too many for a tag, which then holds its own.
DIGESTS_FILE = "digests.json"
_DESCRIPTOR = "MLmodel"
#: For how long files stay that the server has, in seconds: somebody may just be reading them.
LEASE = 10.0
#: Seconds between two looks for what nobody owns.
CLEANING = 60.0


class Uploads:
    """Sends the files that are in the spool, and removes those that the server has.

    Parameters
    ----------
    runs : RunsHere
        Knows which runs are read from here, and which files were sent.
    spool : Spool
        The files.
    remote : callable
        Returns the store of the server.
    artifacts : callable
        Returns the files at an artifact location of the server.
    awaited : Awaited
        Notices files that vanish.

    Attributes
    ----------
    runs : RunsHere
        As above.
    losses : list of str
        The files that vanished since this was last looked at.
    """

    def __init__(
        self,
        runs: RunsHere,
        spool: Spool,
        remote: Callable[[], Remote],
        artifacts: Callable[[str], ArtifactStore],
        awaited: Awaited,
    ) -> None:
        self.runs = runs
        self.losses: list[str] = []
        self._awaited = awaited
        self._spool = spool
        self._remote = remote
        self._artifacts = artifacts
        self._cleaned = -CLEANING

    # What waits

    def waiting(self) -> Iterator[tuple[str, SpooledFile]]:
        """Yield the files of runs that the server does not have, and the run of each."""
        for run_id in self._spool.runs():
            known: dict[str, str] | None = None
            for file in self._spool.files(self._spool.run_folder(run_id)):
                if known is None:
                    known = self.runs.files(run_id)
                if known.get(file.path) != file.stamp:
                    yield run_id, file

    def has_waiting(self) -> bool:
        """Tell whether there is a file to send."""
        known: dict[str, bool] = {}
        for run_id, _ in self.waiting():
            if run_id not in known:
                known[run_id] = self.runs.is_known(run_id) and self.runs.has_arrived(run_id)
            if known[run_id]:
                return True
        return False

    def count_waiting(self) -> tuple[int, int]:
        """Return how many files of runs and models wait, and their length in bytes."""
        found = list(self.waiting())
        known = {run_id for run_id in {each for each, _ in found} if self.runs.is_known(run_id)}
        sizes = [file.size for run_id, file in found if run_id in known]
        for model_id in self._spool.models():
            if self.runs.waits_for_model(model_id):
                folder = self._spool.model_folder(model_id)
                sizes += [file.size for file in self._spool.files(folder)]
        return len(sizes), sum(sizes)

    def notice(self) -> None:
        """Note the files that wait, and which of those that did are gone."""
        known: dict[str, bool] = {}
        waiting = set()
        for run_id, file in self.waiting():
            if run_id not in known:  # before a run is booked, its files are nobody's
                known[run_id] = self.runs.is_known(run_id)
            if known[run_id]:
                waiting.add((run_id, file.path))

        def is_there(run_id: str, path: str) -> bool:
            return Path(self._spool.run_folder(run_id), path).exists()

        self.losses += self._awaited.update(waiting, is_there)

    # Files of runs

    def send_files(self, refusals: list[str]) -> Iterator[int]:
        """Send the files that wait; yield 1 for each.

        Parameters
        ----------
        refusals : list of str
            Collects why files were refused for good.
        """
        places: dict[str, str | NotFoundError | None] = {}
        failure: StoreError | None = None
        for run_id, file in self.waiting():
            if run_id not in places:
                places[run_id] = self._place(run_id)
            place = places[run_id]
            if place is None:
                continue
            try:
                if isinstance(place, NotFoundError):
                    raise place
                self._artifacts(place).put_file(file.path, file.source)
            except StoreUnavailableError:
                raise
            except StoreError as error:
                failure = failure or error  # such as a permission: others may pass
                continue
            except (NotFoundError, InvalidParameterError) as error:
                if Path(file.source).exists():
                    self.runs.note_file(run_id, file.path, file.stamp, str(error))
                    refusals.append(str(error))
                else:
                    self._lose(run_id, file.path)
                continue
            self._note_sent(run_id, file)
            yield 1
        if failure is not None:
            raise failure

    def _place(self, run_id: str) -> str | NotFoundError | None:
        """Return where the server keeps the artifacts of a run; None when it is not there yet."""
        if not self.runs.is_known(run_id):
            # Files are written before their run is booked. Of one that never was, nobody knows.
            if self._spool.age(run_id) > ORPHAN_AGE:
                self._spool.remove_run(run_id)
            return None
        if not self.runs.has_arrived(run_id):
            return None
        place = self.runs.place(run_id)
        if place is None:
            try:
                place = self._remote().get_run(run_id).info.artifact_uri
            except NotFoundError as error:
                return error
            self.runs.learn_place(run_id, place)
        return place

    def _lose(self, run_id: str, path: str) -> None:
        if self._awaited.lose(run_id, path):
            self.losses.append(path)

    def _note_sent(self, run_id: str, file: SpooledFile) -> None:
        self._awaited.arrive(run_id, file.path)
        if self.runs.is_here(run_id):
            self.runs.note_file(run_id, file.path, file.stamp)
        elif self._spool.take_away(file):
            self.runs.forget_file(run_id, file.path)

    # Models

    def send_model(self, remote: Remote, part: RunChange, retry: bool, done: set[str]) -> None:
        """Create a logged model on the server and send its files.

        Its digests are booked last, with the descriptor as it is there: a model that has them is
        whole.

        Parameters
        ----------
        remote : Remote
            The store of the server.
        part : RunChange
            The change that makes this one model.
        retry : bool
            Whether the server may have it already.
        done : set of str
            Collects what was sent, so that it is not sent again by this process.
        """
        model = part.models[0]
        folder = self._spool.model_folder(model.model_id)
        is_ours = model.artifact_location == folder
        tags = dict(model.tags)
        booked = tags.pop(DIGESTS_TAG, None) if is_ours else None
        created = f"created {model.model_id}"
        if created not in done:
            remote.write(replace(part, models=(replace(model, tags=tags),)), retry=retry)
            done.add(created)
        if not is_ours:
            return
        there = remote.get_logged_model(model.model_id)
        target = self._artifacts(there.artifact_location)
        changed = self._changed_files(remote, model, there, booked)
        files = list(self._spool.files(folder))
        for path in sorted(_listed(folder, booked).difference(each.path for each in files)):
            self._lose(part.run_id, f"{model.name}/{path}")
        for file in files:
            mark = f"{model.model_id}/{file.path}"
            if mark not in done:
                if file.path in changed:
                    target.put_bytes(file.path, changed[file.path])
                else:
                    target.put_file(file.path, file.source)
                done.add(mark)
        if booked is not None:
            digests = json.loads(booked)
            digests.update(
                (name, hashlib.sha256(content).hexdigest())
                for name, content in changed.items()
                if name in digests
            )
            tag = RunTag(DIGESTS_TAG, json.dumps(digests))
            told = ModelChange(there.model_id, tags=(tag,))
            remote.write(RunChange(part.run_id, model_changes=(told,)), retry=True)

    def _changed_files(
        self, remote: Remote, model: LoggedModel, there: LoggedModel, booked: str | None
    ) -> dict[str, bytes]:
        """Return the files that name the model, its run, or the digest of a file that does."""
        folder = Path(self._spool.model_folder(model.model_id))
        try:
            content = (folder / _DESCRIPTOR).read_bytes()
        except OSError:
            return {}
        content = content.replace(model.model_id.encode(), there.model_id.encode())
        ours = model.source_run_id
        if ours is not None:
            theirs = there.source_run_id or remote.get_run(ours).info.run_id
            content = content.replace(ours.encode(), theirs.encode())
        changed = {_DESCRIPTOR: content}
        if booked is not None and set(json.loads(booked)) == {DIGESTS_FILE}:
            listed = json.loads((folder / DIGESTS_FILE).read_bytes())
            listed[_DESCRIPTOR] = hashlib.sha256(content).hexdigest()
            changed[DIGESTS_FILE] = json.dumps(listed).encode()
        return changed

    # The end of a run

    def finish_runs(self, keep: Callable[[str], None]) -> None:
        """Read the runs that are wholly on the server from there from now on.

        Parameters
        ----------
        keep : callable
            Called with each of them before, while it can still be read from here.
        """
        for run_id in self.runs.complete():
            files = self._spool.files(self._spool.run_folder(run_id))
            sent = self.runs.files(run_id)
            if all(sent.get(file.path) == file.stamp for file in files):
                keep(run_id)
                self.runs.finish(run_id)

    def clear(self, lease: float = LEASE) -> None:
        """Remove the files of runs that have been read from the server for a while."""
        before = time.time_ns() // 1_000_000 - round(lease * 1000)
        for run_id in self.runs.to_clear(before):
            sent, refused = self.runs.files(run_id), self.runs.refused_files(run_id)
            for file in self._spool.files(self._spool.run_folder(run_id)):
                if sent.get(file.path) == file.stamp and file.path not in refused:
                    self._spool.take_away(file)
            for model_id in self.runs.models(run_id):
                self._spool.remove_model(model_id)
            self._spool.prune_run(run_id)
            self.runs.clear(run_id)
        if time.monotonic() - self._cleaned > CLEANING:
            self._cleaned = time.monotonic()
            self._remove_orphans()

    def _remove_orphans(self) -> None:
        """Remove the folders of models that were never booked, of processes that were killed."""
        self.runs.forget_old()
        for model_id in self._spool.models():
            is_old = self._spool.age("models", model_id) > ORPHAN_AGE
            if is_old and not self.runs.is_known_model(model_id):
                self._spool.remove_model(model_id)
        self._spool.prune()


def _listed(folder: str, booked: str | None) -> set[str]:
    """Return the files that a model was booked with."""
    found = set(json.loads(booked)) if booked is not None else set()
    if found == {DIGESTS_FILE}:
        with suppress(OSError, ValueError):
            found |= set(json.loads(Path(folder, DIGESTS_FILE).read_bytes()))
    return found
