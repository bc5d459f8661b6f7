"""The client's registered models: make them, find them, change them, delete them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skledger.tracking.client_base import ClientPart
from skledger.tracking.entities import PagedList, RunTag, as_tags
from skledger.tracking.registry_entities import (
    RegisteredModel,
    RegisteredModelAlias,
    RegisteredModelChange,
)

__all__ = ["RegisteredModelsPart", "texts"]


def texts(tags: Mapping[str, Any] | None) -> tuple[RunTag, ...]:
    """Return tags as they are booked; every value becomes its ``str``."""
    return as_tags({str(key): value for key, value in (tags or {}).items()})


class RegisteredModelsPart(ClientPart):
    """Methods on registered models."""

    def create_registered_model(
        self,
        name: str,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
        deployment_job_id: str | None = None,
    ) -> RegisteredModel:
        """Make a registered model, without versions.

        Parameters
        ----------
        name : str
            A name that no other has; without ``/`` and ``:``.
        tags : mapping, optional
            Every value becomes its ``str``.
        description : str, optional
            What it is for.
        deployment_job_id : str, optional
            Taken for compatibility.

        Raises
        ------
        AlreadyExistsError
            When the name is taken.
        """
        self._change_registered(name, create=True, tags=texts(tags), description=description)
        return self._registry().get_registered_model(name)

    def rename_registered_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a registered model another name, which its versions and aliases follow."""
        self._change_registered(name, new_name=new_name)
        return self._registry().get_registered_model(new_name)

    def update_registered_model(
        self, name: str, description: str | None = None, deployment_job_id: str | None = None
    ) -> RegisteredModel:
        """Set the description of a registered model; None removes it."""
        self._change_registered(name, description=description or "")
        return self._registry().get_registered_model(name)

    def delete_registered_model(self, name: str) -> None:
        """Remove a registered model with its versions; the logged models behind them stay."""
        self._change_registered(name, delete=True)

    def get_registered_model(self, name: str) -> RegisteredModel:
        """Return a registered model; `NotFoundError` when there is none."""
        return self._registry().get_registered_model(name)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int = 100,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> PagedList[RegisteredModel]:
        """Find registered models, one page of them.

        Parameters
        ----------
        filter_string : str, optional
            Such as ``"name LIKE 'iris%' and tags.team = 'blue'"``.
        max_results : int, default=100
            The length of a page.
        order_by : sequence of str, optional
            Such as ``["last_updated_timestamp DESC"]``; by default by name.
        page_token : str, optional
            The `token` of the page before.

        Returns
        -------
        PagedList of RegisteredModel
            Its `token` is None on the last page.
        """
        return self._registry().search_registered_models(
            filter_string, max_results, order_by, page_token
        )

    def set_registered_model_tag(self, name: str, key: str, value: Any) -> None:
        """Set a tag of a registered model, or change it; the value becomes its ``str``."""
        self._change_registered(name, tags=texts({key: value}))

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Remove a tag of a registered model; that there is none is no error."""
        self._change_registered(name, deleted_tags=(key,))

    def set_registered_model_alias(self, name: str, alias: str, version: str | int) -> None:
        """Let an alias stand for a version; ``models:/<name>@<alias>`` then loads it.

        Parameters
        ----------
        name : str
            A registered model.
        alias : str
            Letters, digits, ``_`` and ``-``; neither ``latest`` nor a number behind ``v``. One
            that stands for another version moves.
        version : str or int
            The number of the version.
        """
        self._change_registered(name, aliases=(RegisteredModelAlias(alias, str(version)),))

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Remove an alias; that there is none is no error."""
        self._change_registered(name, deleted_aliases=(alias,))

    def _change_registered(self, name: str, **fields: Any) -> None:
        self._registry().write_registry(RegisteredModelChange(name, **fields))
