"""Pictures of a run, drawn from its stored numbers: soon after the fit, or on demand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

from skledger._guard import contain, logger
from skledger.ledger.place import Place
from skledger.ledger.records import PLOTS_FILE
from skledger.stores.artifacts import artifact_store, local_folder
from skledger.tracking.entities import LoggedModel, Run
from skledger.tracking.model_uris import DIGESTS_TAG

__all__ = ["Drawing", "draw_missing", "missing_pictures"]

DIAGRAM_FILE = "estimator.html"
#: The models whose diagram is that of their run. A search's best estimator is in the search's.
DRAWN_MODEL = re.compile(r"model(-\d+)?")


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn after one fit.

    Parameters
    ----------
    place : Place
        Where the files go.
    pictures : dict
        The numbers behind each picture, by name.
    likeness : BaseEstimator or None
        What stands for the estimator as it was when the fit ended.
    """

    place: Place
    pictures: dict[str, dict[str, Any]]
    likeness: Any

    def draw(self) -> None:
        """Draw everything."""
        if can_draw():
            for name, picture in self.pictures.items():
                with contain(f"the picture {name}"):
                    self._put(f"{name}.png", _png(picture))
        with contain("the diagram of the estimator"):
            if self.likeness is not None:
                self._put(DIAGRAM_FILE, _diagram(self.likeness))

    def _put(self, name: str, content: bytes) -> None:
        self.place.artifacts.put_bytes(self.place.file_name(name), content)


@cache
def can_draw() -> bool:
    """Tell whether matplotlib is there; say once when it is not."""
    found = find_spec("matplotlib") is not None
    if not found:
        logger.warning(
            "skledger: could not book pictures: matplotlib is not installed; the numbers behind "
            "them are stored. `pip install matplotlib`, then `skledger plots --missing` draws them"
        )
    return found


def load(model: LoggedModel) -> Any:
    """Return the estimator of a logged model, its files verified."""
    from skledger.models.loading import load_sklearn_model

    digests = json.loads(model.tags[DIGESTS_TAG]) or {}  # none booked is not: any will do
    return load_sklearn_model(local_folder(model.artifact_location), digests=digests)


def _png(picture: dict[str, Any]) -> bytes:
    from skledger.capture.plots import draw

    return draw(picture)


def _diagram(estimator: Any) -> bytes:
    from sklearn.utils import estimator_html_repr

    page: str = estimator_html_repr(estimator)
    return page.encode()


def _diagram_of(model: LoggedModel) -> bytes:
    return _diagram(load(model))


def missing_pictures(run: Run) -> list[str]:
    """Return the names of the pictures of a run that have not been drawn."""
    return [name for name, _ in _missing(run)]


def draw_missing(run: Run) -> list[str]:
    """Draw what is missing of the pictures of a run; return the names of the files."""
    artifacts = artifact_store(run.info.artifact_uri)
    drawn = []
    for name, make in _missing(run):
        artifacts.put_bytes(name, make())
        drawn.append(name)
    return drawn


def _missing(run: Run) -> Iterator[tuple[str, Callable[[], bytes]]]:
    from skledger.tracking.session import get_store

    artifacts = artifact_store(run.info.artifact_uri)
    present = set(artifacts.list())
    stem = PLOTS_FILE.removesuffix(".json")
    for path in sorted(present):
        if path.startswith(stem) and path.endswith(".json"):
            suffix = path.removeprefix(stem).removesuffix(".json")
            with artifacts.open(path) as stream:
                numbers = json.load(stream)
            for name, picture in numbers.items():
                if f"{name}{suffix}.png" not in present:
                    yield f"{name}{suffix}.png", partial(_png, picture)
    for model in get_store().search_logged_models(run.info.run_id):
        found = DRAWN_MODEL.fullmatch(model.name)
        if found is None or DIGESTS_TAG not in model.tags:
            continue
        name = f"estimator{found[1] or ''}.html"
        if name not in present:
            yield name, partial(_diagram_of, model)
