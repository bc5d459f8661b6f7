"""The fluent functions on registered models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from skledger.tracking.client import TrackingClient
from skledger.tracking.entities import PagedList
from skledger.tracking.registering import register
from skledger.tracking.registry_entities import ModelVersion, RegisteredModel

__all__ = [
    "register_model",
    "search_model_versions",
    "search_registered_models",
    "set_model_version_tag",
]

T = TypeVar("T")

_PAGE = 1000


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int | None = 300,
    *,
    tags: Mapping[str, Any] | None = None,
    env_pack: Any = None,
) -> ModelVersion:
    """Make a version of a registered model, which is made when it is new.

    Parameters
    ----------
    model_uri : str
        ``runs:/<run id>/<name>``, ``models:/m-<id>``, ``models:/<name>/<version>``, a path or the
        URI of a folder among artifacts.
    name : str
        The registered model.
    await_registration_for : int, default=300
        Taken for compatibility: the version is there when the call returns.
    tags : mapping, optional
        Of the version; every value becomes its ``str``.
    env_pack : object, optional
        Taken for compatibility.

    Returns
    -------
    ModelVersion
        ``models:/<name>/<version>`` loads it.

    Raises
    ------
    NotFoundError
        When there is no such run or model.
    StoreUnavailableError
        When the registry is on a server that is away.
    """
    return register(model_uri, name, tags)


def search_registered_models(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[RegisteredModel]:
    """Find registered models, of all pages.

    Parameters
    ----------
    max_results : int, optional
        How many at the most; by default all.
    filter_string : str, optional
        Such as ``"name LIKE 'iris%' and tags.team = 'blue'"``.
    order_by : sequence of str, optional
        Such as ``["last_updated_timestamp DESC"]``; by default by name.
    """
    client = TrackingClient()
    return _all(
        lambda size, token: client.search_registered_models(filter_string, size, order_by, token),
        max_results,
    )


def search_model_versions(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[ModelVersion]:
    """Find versions of registered models, of all pages.

    Parameters
    ----------
    max_results : int, optional
        How many at the most; by default all.
    filter_string : str, optional
        Such as ``"name = 'iris'"``; there are also ``run_id``, ``source_path``,
        ``version_number`` and ``tags.<key>``.
    order_by : sequence of str, optional
        Such as ``["version_number DESC"]``; by default those that changed last come first.
    """
    client = TrackingClient()
    return _all(
        lambda size, token: client.search_model_versions(filter_string, size, order_by, token),
        max_results,
    )


def set_model_version_tag(
    name: str, version: str | int | None = None, key: str | None = None, value: Any = None
) -> None:
    """Set a tag of a version, or change it; the value becomes its ``str``."""
    TrackingClient().set_model_version_tag(name, version, key, value)


def _all(page_of: Callable[[int, str | None], PagedList[T]], most: int | None) -> PagedList[T]:
    found: PagedList[T] = PagedList()
    token: str | None = None
    while most is None or len(found) < most:
        page = page_of(_PAGE if most is None else min(_PAGE, most - len(found)), token)
        found.extend(page)
        token = page.token
        if token is None:
            break
    return found
