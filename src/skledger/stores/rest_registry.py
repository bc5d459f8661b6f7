"""The registered models of a tracking server, over MLflow's REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skledger.errors import AlreadyExistsError, InvalidParameterError, NotFoundError
from skledger.stores.checks import check_max_results
from skledger.stores.registry_checks import (
    PROMPT_TAG,
    check_registry_changes,
    check_stages,
    no_alias,
    no_registered_model,
    no_version,
    parse_version,
    stage_of,
    taken_model_name,
)
from skledger.stores.rest_aliases import Aliases
from skledger.stores.rest_api import Api
from skledger.stores.rest_json import as_pairs, read_tags
from skledger.tracking.entities import PagedList
from skledger.tracking.filters import parse_filter, parse_order_by
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionChange,
    ModelVersionStage,
    NewModelVersion,
    RegisteredModel,
    RegisteredModelChange,
    RegistryChange,
    logged_model_in,
)

__all__ = ["REGISTRATION_TAG", "RegistryPart"]

#: The tag by which a version that was sent before, with an answer that was lost, is found again.
REGISTRATION_TAG = "skledger.registration"
#: The longest pages that the server gives.
_MODELS, _VERSIONS = 1000, 200_000


class RegistryPart:
    """The methods of a store on a tracking server that are about registered models.

    What a `Store` does and the server cannot: a write of several changes is not undone when one of
    them is refused.
    """

    uri: str
    _api: Api
    _aliases: Aliases

    def write_registry(self, *changes: RegistryChange, retry: bool = False) -> list[ModelVersion]:
        """Write changes, one after the other; return the versions that they made.

        Parameters
        ----------
        *changes : RegistryChange
            What to write.
        retry : bool, default=False
            Whether they may have been written before: a version that has the same tag
            `REGISTRATION_TAG` is then there, and not made again.
        """
        check_registry_changes(changes)
        made: list[ModelVersion] = []
        for change in changes:
            if isinstance(change, RegisteredModelChange):
                self._change_model(change)
            elif change.create is not None:
                found = self._made_before(change) if retry else None
                made.append(found or self._create_version(change, change.create))
            else:
                self._change_version(change)
        return [self.get_model_version(each.name, each.version) for each in made]

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model."""
        try:
            told = self._api.get("registered-models/get", name=name)
        except NotFoundError as error:
            raise no_registered_model(name, self.uri) from error
        return _read_model(told["registered_model"])

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Return the registered models that match, by their names unless ordered otherwise."""
        parse_filter(filter_string, "registered_model")
        parse_order_by(order_by, "registered_model")
        where = (filter_string or "").strip()
        if PROMPT_TAG not in where:
            # As MLflow's client asks: the server takes it for "is no prompt".
            where = f"{where}{' AND ' if where else ''}tag.`{PROMPT_TAG}` != 'true'"
        found = self._pages(
            "registered-models/search",
            "registered_models",
            {"filter": where, "order_by": list(order_by or ())},
            (check_max_results(max_results), _MODELS),
            page_token,
        )
        return PagedList([_read_model(each) for each in found], found.token)

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version of a registered model."""
        number = parse_version(name, version)
        try:
            told = self._api.get("model-versions/get", name=name, version=str(number))
        except NotFoundError as error:
            raise no_version(name, number, self.uri) from error
        return _read_version(told["model_version"])

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Return the versions that match, those that changed last first unless ordered."""
        parse_filter(filter_string, "model_version")
        parse_order_by(order_by, "model_version")
        found = self._pages(
            "model-versions/search",
            "model_versions",
            {"filter": self._aliases.in_filter(filter_string), "order_by": list(order_by or ())},
            (check_max_results(max_results), _VERSIONS),
            page_token,
        )
        return PagedList([_read_version(each) for each in found], found.token)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias stands for; ``latest`` is the last one."""
        try:
            told = self._api.get("registered-models/alias", name=name, alias=alias)
        except (NotFoundError, InvalidParameterError) as error:
            self.get_registered_model(name)
            raise no_alias(name, alias, self.uri) from error
        return _read_version(told["model_version"])

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """Return the last version of each stage, in the order of their numbers."""
        body: dict[str, Any] = {"name": name}
        if stages:
            body["stages"] = list(check_stages(stages))
        try:
            told = self._api.post("registered-models/get-latest-versions", body)
        except NotFoundError as error:
            raise no_registered_model(name, self.uri) from error
        found = [_read_version(each) for each in told.get("model_versions", ())]
        return sorted(found, key=lambda version: int(version.version))

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return where the files of a version are."""
        number = str(parse_version(name, version))
        try:
            told = self._api.get("model-versions/get-download-uri", name=name, version=number)
        except NotFoundError as error:
            raise no_version(name, number, self.uri) from error
        return str(told.get("artifact_uri", ""))

    # Writing

    def _change_model(self, change: RegisteredModelChange) -> None:
        name = change.name
        place = {"name": name}
        if change.create:
            body = {**place, "tags": as_pairs(change.tags), "description": change.description or ""}
            try:
                self._api.post("registered-models/create", body)
            except AlreadyExistsError as error:
                if change.exist_ok:
                    return
                raise taken_model_name(name) from error
        try:
            if change.delete:
                self._api.delete("registered-models/delete", place)
                return
            self._update_model(change, place)
        except NotFoundError as error:
            if change.aliases:
                raise
            raise no_registered_model(name, self.uri) from error

    def _update_model(self, change: RegisteredModelChange, place: Mapping[str, Any]) -> None:
        for key in change.deleted_tags:
            self._api.delete("registered-models/delete-tag", {**place, "key": key})
        if not change.create:
            for tag in as_pairs(change.tags):
                self._api.post("registered-models/set-tag", {**place, **tag})
            if change.description is not None:
                body = {**place, "description": change.description}
                self._api.patch("registered-models/update", body)
        for alias in change.deleted_aliases:
            self._api.delete("registered-models/alias", {**place, "alias": alias})
        for each in change.aliases:
            number = str(parse_version(change.name, each.version))
            body = {**place, "alias": each.alias, "version": number}
            try:
                self._api.post("registered-models/alias", body)
            except NotFoundError as error:
                self.get_registered_model(change.name)
                raise no_version(change.name, number, self.uri) from error
        if change.new_name not in (None, change.name):
            try:
                body = {**place, "new_name": change.new_name}
                self._api.post("registered-models/rename", body)
            except AlreadyExistsError as error:
                raise taken_model_name(str(change.new_name)) from error

    def _create_version(self, change: ModelVersionChange, new: NewModelVersion) -> ModelVersion:
        model_id = logged_model_in(new.source)
        body: dict[str, Any] = {
            "name": change.name,
            "source": new.source,
            "tags": as_pairs(change.tags),
            "description": change.description or "",
        }
        if model_id is not None:
            # One that is not there is an internal error of the server's, so it is looked for here.
            body["model_id"] = self._aliases.model(model_id)
            body["source"] = f"models:/{body['model_id']}"
        if new.run_id:
            body["run_id"] = self._aliases.or_itself(new.run_id)
        if new.run_link:
            body["run_link"] = new.run_link
        try:
            told = self._api.post("model-versions/create", body)
        except NotFoundError as error:
            self.get_registered_model(change.name)
            raise error
        made = _read_version(told["model_version"])
        if change.stage is not None and stage_of(change.stage) != ModelVersionStage.NONE:
            self._set_stage(change, made.version)
        return made

    def _made_before(self, change: ModelVersionChange) -> ModelVersion | None:
        """Return the version that an earlier attempt has made."""
        wanted = [tag for tag in change.tags if tag.key == REGISTRATION_TAG]
        quote = '"' if "'" in change.name else "'"
        if not wanted:
            return None
        where = f"name = {quote}{change.name}{quote}"
        return next(
            (
                each
                for each in self.search_model_versions(where, _VERSIONS)
                if each.tags.get(REGISTRATION_TAG) == wanted[0].value
            ),
            None,
        )

    def _change_version(self, change: ModelVersionChange) -> None:
        number = str(parse_version(change.name, change.version))
        place = {"name": change.name, "version": number}
        try:
            if change.delete:
                self._api.delete("model-versions/delete", place)
                return
            for key in change.deleted_tags:
                self._api.delete("model-versions/delete-tag", {**place, "key": key})
            for tag in as_pairs(change.tags):
                self._api.post("model-versions/set-tag", {**place, **tag})
            if change.description is not None:
                body = {**place, "description": change.description}
                self._api.patch("model-versions/update", body)
            if change.stage is not None:
                self._set_stage(change, number)
        except NotFoundError as error:
            self.get_registered_model(change.name)
            raise no_version(change.name, number, self.uri) from error

    def _set_stage(self, change: ModelVersionChange, number: str) -> None:
        body = {
            "name": change.name,
            "version": number,
            "stage": stage_of(change.stage),
            "archive_existing_versions": change.archive_existing,
        }
        self._api.post("model-versions/transition-stage", body)

    # The inside

    def _pages(
        self,
        path: str,
        what: str,
        query: Mapping[str, Any],
        limits: tuple[int, int],
        token: str | None,
    ) -> PagedList[dict[str, Any]]:
        """Return as many entries as are asked for, by pages as long as the server gives."""
        limit, longest = limits
        if token and not token.isascii():
            raise InvalidParameterError(
                f"{token!r} is not a page token: pass the `token` of the page before, unchanged"
            )
        found: PagedList[dict[str, Any]] = PagedList([], token)
        while True:
            size = min(limit - len(found), longest)
            asked = {key: value for key, value in query.items() if value}
            asked |= {"max_results": size}
            if found.token:
                asked["page_token"] = found.token
            page = self._api.get(path, **asked)
            found += page.get(what, ())
            found.token = page.get("next_page_token") or None
            if found.token is None or len(found) >= limit:
                return found


def _read_model(told: Mapping[str, Any]) -> RegisteredModel:
    latest = [_read_version(each) for each in told.get("latest_versions", ())]
    return RegisteredModel(
        str(told["name"]),
        int(told.get("creation_timestamp", 0)),
        _time(told),
        told.get("description") or None,
        sorted(latest, key=lambda version: int(version.version)),
        read_tags(told.get("tags", ())),
        {str(each["alias"]): str(each["version"]) for each in told.get("aliases", ())},
    )


def _read_version(told: Mapping[str, Any]) -> ModelVersion:
    return ModelVersion(
        str(told["name"]),
        str(told["version"]),
        int(told.get("creation_timestamp", 0)),
        _time(told),
        description=told.get("description") or None,
        user_id=told.get("user_id") or None,
        current_stage=told.get("current_stage") or ModelVersionStage.NONE,
        source=told.get("source"),
        run_id=told.get("run_id") or None,
        status=told.get("status", ""),
        status_message=told.get("status_message") or None,
        tags=read_tags(told.get("tags", ())),
        run_link=told.get("run_link") or None,
        aliases=sorted(told.get("aliases", ())),
    )


def _time(told: Mapping[str, Any]) -> int | None:
    time = told.get("last_updated_timestamp")
    return None if time is None else int(time)
