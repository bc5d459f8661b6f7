"""Copying the versions of registered models that are models of copied runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from skledger.errors import NotFoundError, SkledgerError, StoreError
from skledger.stores.base import Store
from skledger.tracking.copying_marks import COPIED_TAG, mark_of
from skledger.tracking.entities import as_tags
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionChange,
    NewModelVersion,
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelChange,
)
from skledger.tracking.registry_versions import logged_model_of

__all__ = ["RegistryCopier"]

_PAGE = 1000
#: Numbers of deleted versions that are taken at the destination, so that others keep theirs.
_GAP = 1000
#: What belongs to one store alone.
_OWN_TAGS = (COPIED_TAG, "skledger.registration")


@dataclass(slots=True)
class _Names:
    """What a version is at the destination."""

    source: str
    location: str | None
    run_id: str | None


class RegistryCopier:
    """Copies versions, each once, with their tags, descriptions, stages and aliases.

    Parameters
    ----------
    source, destination : Store
        From where, and to where.
    translate : callable
        Returns what a run of the source is called at the destination; None when it is not there.
    everything : bool
        Copy versions that are of no run as well.
    """

    def __init__(
        self,
        source: Store,
        destination: Store,
        translate: Callable[[str], str | None],
        *,
        everything: bool,
    ) -> None:
        self._source, self._destination = source, destination
        self._translate, self._everything = translate, everything
        #: How many versions were copied, and how many are there but for their runs.
        self.copied, self.left_out = 0, 0
        self.notes: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        """Copy what belongs to the runs that are at the destination."""
        for model in self._models():
            try:
                self._copy_model(model)
            except StoreError:
                raise
            except SkledgerError as error:
                self.failures.append(f"registered model {model.name!r}: {error.message}")
        if self.left_out:
            self.notes.append(
                f"{self.left_out:,} version{'s' if self.left_out > 1 else ''} of registered models "
                "not copied, because their runs are not"
            )

    def _models(self) -> Iterator[RegisteredModel]:
        token: str | None = None
        while True:
            page = self._source.search_registered_models(None, _PAGE, None, token)
            yield from page
            token = page.token
            if token is None:
                return

    def _copy_model(self, model: RegisteredModel) -> None:
        versions = _versions(self._source, model.name)
        wanted = [each for each in versions if self._belongs(each)]
        self.left_out += len(versions) - len(wanted)
        there = {each.tags.get(COPIED_TAG): each for each in self._there(model.name)}
        missing = [each for each in wanted if self._mark(each) not in there]
        if not missing:
            return
        make = RegisteredModelChange(
            model.name,
            create=True,
            exist_ok=True,
            description=model.description,
            tags=as_tags(model.tags),
        )
        self._destination.write_registry(make)
        # Where somebody else has versions of that name, ours come behind them.
        keeps_numbers = None not in there
        for version in missing:
            self._copy(version, keeps_numbers=keeps_numbers)

    def _there(self, name: str) -> list[ModelVersion]:
        try:
            self._destination.get_registered_model(name)
        except NotFoundError:
            return []
        return _versions(self._destination, name)

    def _belongs(self, version: ModelVersion) -> bool:
        if version.run_id is None:
            return self._everything
        return self._translate(version.run_id) is not None

    def _mark(self, version: ModelVersion) -> str:
        return mark_of(self._source, f"{version.name}/{version.version}")

    def _copy(self, version: ModelVersion, *, keeps_numbers: bool) -> None:
        names = self._names(version)
        change = ModelVersionChange(
            version.name,
            create=NewModelVersion(
                names.source,
                names.location,
                names.run_id,
                version.run_link,
                version.user_id,
                version.creation_timestamp,
            ),
            description=version.description,
            stage=version.current_stage,
            tags=as_tags({**_own(version), COPIED_TAG: self._mark(version)}),
        )
        made = self._destination.write_registry(change)[0]
        for _ in range(_GAP):
            if not keeps_numbers or int(made.version) >= int(version.version):
                break
            # The numbers of versions that were deleted are taken here, too.
            gone = ModelVersionChange(made.name, made.version, delete=True)
            made = self._destination.write_registry(gone, change)[0]
        self.copied += 1
        self._set_aliases(version, made)
        self._check(version, made, names)

    def _names(self, version: ModelVersion) -> _Names:
        run_id = None if version.run_id is None else self._translate(version.run_id)
        model = logged_model_of(version, self._source, models=self._source)
        if model is not None and run_id is not None:
            mark = mark_of(self._source, model.model_id)
            for each in self._destination.search_logged_models(run_id):
                if mark == each.tags.get(COPIED_TAG):
                    return _Names(each.model_uri, each.artifact_location, run_id)
        source = version.source or ""
        if source.startswith("runs:/") and run_id is not None:
            source = source.replace(str(version.run_id), run_id)
            return _Names(source, source, run_id)
        location = self._source.get_model_version_download_uri(version.name, version.version)
        return _Names(source, location, run_id)

    def _set_aliases(self, version: ModelVersion, made: ModelVersion) -> None:
        held = self._destination.get_registered_model(made.name).aliases
        free = [each for each in version.aliases if each not in held]
        if taken := sorted(set(version.aliases) - set(free)):
            self.notes.append(
                f"models:/{made.name}@{taken[0]} is version {held[taken[0]]} at the destination, "
                f"and stays so; the version that was copied is {made.version}"
            )
        if free:
            aliases = tuple(RegisteredModelAlias(each, made.version) for each in free)
            self._destination.write_registry(RegisteredModelChange(made.name, aliases=aliases))
        if made.version != version.version:
            self.notes.append(
                f"version {version.version} of {made.name!r} is version {made.version} there"
            )

    def _check(self, version: ModelVersion, made: ModelVersion, names: _Names) -> None:
        """Compare the copy, read back, with what it is one of."""
        found = self._destination.get_model_version(made.name, made.version)
        wanted = replace(
            version,
            version=made.version,
            source=names.source,
            run_id=names.run_id,
            tags=_own(version),
        )
        wrong = [
            field
            for field in ("current_stage", "description", "source", "run_id", "run_link")
            if getattr(found, field) != getattr(wanted, field)
        ]
        if wrong or _own(found) != wanted.tags:
            raise SkledgerError(
                f"version {version.version} did not arrive as it was sent: "
                f"{', '.join(wrong) or 'tags'}. Delete version {made.version} at the destination "
                "and copy again; if it stays so, check the destination."
            )


def _own(version: ModelVersion) -> dict[str, str]:
    return {key: value for key, value in version.tags.items() if key not in _OWN_TAGS}


def _versions(store: Store, name: str) -> list[ModelVersion]:
    """Return the versions of a registered model, the first one first."""
    quote = '"' if "'" in name else "'"
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = store.search_model_versions(
            f"name = {quote}{name}{quote}", _PAGE, ["version_number"], token
        )
        found += page
        token = page.token
        if token is None:
            return found
