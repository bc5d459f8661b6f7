"""Identifiers and readable names."""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skledger.tracking.entities import RunInfo

__all__ = ["new_model_id", "new_model_place", "new_run_id", "now_ms", "random_name"]

_ADJECTIVES = (
    "amber ancient brave bright calm clever crisp daring eager early fair fleet fond gentle "
    "golden grand happy hardy honest humble keen kind lively loyal lucky mellow merry mild neat "
    "noble patient plain proud quick quiet rapid ready rustic serene sharp silent silver simple "
    "smooth sober solid spry steady sturdy subtle sunny swift tidy vivid warm wise witty young"
).split()
_NOUNS = (
    "abacus acorn anchor arch atlas badger beacon birch bison bridge brook cairn cedar cliff comet "
    "copper crane delta dune ember falcon fern finch fjord garnet glade harbor hawk heron hill "
    "iris island jay juniper lagoon lantern larch lark ledger lynx maple marten meadow mesa moth "
    "oak opal orchid otter owl pebble pine plover quartz quill raven reef ridge river robin rook "
    "sable sparrow spruce stork summit swan teal thistle tide trout valley walnut willow wren"
).split()

# A generator of our own: run names must not move the user's random state, nor be moved by a seed.
_random = random.SystemRandom()


def new_run_id() -> str:
    """Return 32 hexadecimal digits."""
    return uuid.uuid4().hex


def new_model_id() -> str:
    """Return ``m-`` and 32 hexadecimal digits."""
    return f"m-{uuid.uuid4().hex}"


def random_name() -> str:
    """Return a name that people can say, such as ``quiet-otter-417``."""
    return f"{_random.choice(_ADJECTIVES)}-{_random.choice(_NOUNS)}-{_random.randrange(1000)}"


def now_ms() -> int:
    """Return the time in ms since the epoch."""
    return time.time_ns() // 1_000_000


def new_model_place(info: RunInfo) -> tuple[str, str]:
    """Return the identifier of a new model of a run, and where its files belong."""
    root = info.artifact_uri.removesuffix(f"/{info.run_id}/artifacts")
    model_id = new_model_id()
    return model_id, f"{root}/models/{model_id}/artifacts"
