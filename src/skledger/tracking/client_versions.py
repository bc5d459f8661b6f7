"""The client's versions of registered models: make them, find them, change them, delete them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from skledger.errors import InvalidParameterError, NotFoundError
from skledger.tracking.client_base import ClientPart
from skledger.tracking.client_registered_models import texts
from skledger.tracking.entities import PagedList
from skledger.tracking.registering import placed
from skledger.tracking.registry_entities import (
    ModelVersion,
    ModelVersionChange,
    ModelVersionStage,
    NewModelVersion,
    RegisteredModelChange,
)
from skledger.tracking.registry_versions import version_of

__all__ = ["ModelVersionsPart"]


class ModelVersionsPart(ClientPart):
    """Methods on the versions of registered models."""

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Mapping[str, Any] | None = None,
        run_link: str | None = None,
        description: str | None = None,
        await_creation_for: int | None = 300,
        model_id: str | None = None,
    ) -> ModelVersion:
        """Make a version of a registered model, which must be there; see `register_model`.

        Parameters
        ----------
        name : str
            The registered model.
        source : str
            What it is: ``models:/m-<id>``, ``runs:/<run id>/<path>``, a path or a URI.
        run_id, run_link : str, optional
            The run that made it, and where that is shown; of a logged model, its run.
        tags : mapping, optional
            Every value becomes its ``str``.
        description : str, optional
            What it is.
        await_creation_for : int, default=300
            Taken for compatibility: it is there when the call returns.
        model_id : str, optional
            The logged model that it is, instead of what `source` says.

        Raises
        ------
        NotFoundError
            When there is no such registered model, or no such logged model.
        """
        new = placed(
            NewModelVersion(
                f"models:/{model_id}" if model_id else str(source),
                run_id=run_id,
                run_link=run_link,
            ),
            self.tracking_uri,
            self._registry_uri,
        )
        change = ModelVersionChange(name, create=new, description=description, tags=texts(tags))
        return self._registry().write_registry(change)[0]

    def copy_model_version(self, src_model_uri: str, dst_name: str) -> ModelVersion:
        """Make a version of a registered model of another one, with its tags and description.

        Parameters
        ----------
        src_model_uri : str
            ``models:/<name>/<version>``, ``models:/<name>@<alias>`` or ``models:/<name>/<stage>``.
        dst_name : str
            The registered model that it becomes a version of; made when it is new.
        """
        store = self._registry()
        found = version_of(src_model_uri, store)
        new = NewModelVersion(
            f"models:/{found.name}/{found.version}",
            store.get_model_version_download_uri(found.name, found.version),
            found.run_id,
            found.run_link,
        )
        return store.write_registry(
            RegisteredModelChange(dst_name, create=True, exist_ok=True),
            ModelVersionChange(
                dst_name, create=new, description=found.description, tags=texts(found.tags)
            ),
        )[0]

    def get_model_version(self, name: str, version: str | int) -> ModelVersion:
        """Return a version; `NotFoundError` when there is none."""
        return self._registry().get_model_version(name, version)

    def get_model_version_by_alias(self, name: str, alias: str) -> ModelVersion:
        """Return the version that an alias stands for; ``latest`` is the last one."""
        return self._registry().get_model_version_by_alias(name, alias)

    def get_model_version_download_uri(self, name: str, version: str | int) -> str:
        """Return where the files of a version are."""
        return self._registry().get_model_version_download_uri(name, version)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int = 10_000,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[ModelVersion]:
        """Find versions of all registered models, one page of them.

        Parameters
        ----------
        filter_string : str, optional
            Such as ``"name = 'iris' and tags.stage = 'canary'"``; there are also ``run_id``,
            ``source_path`` and ``version_number``.
        max_results : int, default=10000
            The length of a page.
        order_by : sequence of str, optional
            Such as ``["version_number DESC"]``; by default those that changed last come first.
        page_token : str, optional
            The `token` of the page before.
        """
        return self._registry().search_model_versions(
            filter_string, max_results, order_by, page_token
        )

    def update_model_version(
        self, name: str, version: str | int, description: str | None = None
    ) -> ModelVersion:
        """Set the description of a version; None removes it."""
        self._change_version(name, version, description=description or "")
        return self.get_model_version(name, version)

    def delete_model_version(self, name: str, version: str | int) -> None:
        """Remove a version; its number is not given again, and the logged model stays."""
        self._change_version(name, version, delete=True)

    def set_model_version_tag(
        self,
        name: str,
        version: str | int | None = None,
        key: str | None = None,
        value: Any = None,
        stage: str | None = None,
    ) -> None:
        """Set a tag of a version, or of the last one in a stage; the value becomes its ``str``."""
        number = self._number(name, version, stage, "set_model_version_tag")
        self._change_version(name, number, tags=texts({_required(key): value}))

    def delete_model_version_tag(
        self,
        name: str,
        version: str | int | None = None,
        key: str | None = None,
        stage: str | None = None,
    ) -> None:
        """Remove a tag of a version, or of the last one in a stage."""
        number = self._number(name, version, stage, "delete_model_version_tag")
        self._change_version(name, number, deleted_tags=(_required(key),))

    # Stages, which MLflow keeps for old scripts

    def transition_model_version_stage(
        self,
        name: str,
        version: str | int,
        stage: str,
        archive_existing_versions: bool = False,
    ) -> ModelVersion:
        """Move a version to a stage. MLflow means to remove stages; aliases take their place.

        Parameters
        ----------
        name, version
            The version.
        stage : {"None", "Staging", "Production", "Archived"}
            In any case of letters.
        archive_existing_versions : bool, default=False
            Archive all others that are in that stage.
        """
        _warn("transition_model_version_stage", "set_registered_model_alias")
        self._change_version(name, version, stage=stage, archive_existing=archive_existing_versions)
        return self.get_model_version(name, version)

    def get_latest_versions(
        self, name: str, stages: Sequence[str] | None = None
    ) -> list[ModelVersion]:
        """Return the last version of each stage, by default of all."""
        _warn("get_latest_versions", "get_model_version_by_alias or search_model_versions")
        return PagedList(self._registry().get_latest_versions(name, stages))

    def get_model_version_stages(self, name: str, version: str | int) -> list[str]:
        """Return the stages that there are."""
        _warn("get_model_version_stages", "aliases")
        return list(ModelVersionStage.ALL)

    # The inside

    def _change_version(self, name: str, version: str | int, **fields: Any) -> None:
        self._registry().write_registry(ModelVersionChange(name, str(version), **fields))

    def _number(
        self, name: str, version: str | int | None, stage: str | None, method: str
    ) -> str | int:
        if (version is None) == (stage is None):
            raise InvalidParameterError(
                f"{method} takes a version or a stage; it was given version={version!r} and "
                f"stage={stage!r}."
            )
        if version is not None:
            return version
        _warn(f"{method}(stage=...)", f"{method}(version=...)")
        found = self._registry().get_latest_versions(name, [str(stage)])
        if not found:
            raise NotFoundError(f"The registered model {name!r} has no version in {stage!r}.")
        return found[-1].version


def _required(key: str | None) -> str:
    if key is None:
        raise InvalidParameterError("A tag has a key: give key='...'.")
    return str(key)


def _warn(name: str, successor: str) -> None:
    warnings.warn(
        f"MLflow means to remove stages of models, and `{name}` with them; use {successor}.",
        FutureWarning,
        stacklevel=3,
    )
