"""When and whose: experiments, runs, the fluent API and the client over a store.

MLflow has some of these names here, too; they are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from skledger._lazy import lazily

if TYPE_CHECKING:
    from skledger.tracking.client import MlflowClient, TrackingClient
    from skledger.tracking.session import (
        get_registry_uri,
        get_tracking_uri,
        is_tracking_uri_set,
        set_registry_uri,
        set_tracking_uri,
    )

__all__ = [
    "MlflowClient",
    "TrackingClient",
    "get_registry_uri",
    "get_tracking_uri",
    "is_tracking_uri_set",
    "set_registry_uri",
    "set_tracking_uri",
]

__getattr__ = lazily(
    __name__,
    {name: f"{__name__}.{'client' if name.endswith('Client') else 'session'}" for name in __all__},
    ("client", "fluent"),
)


def __dir__() -> list[str]:
    return sorted((*globals(), *__all__))
