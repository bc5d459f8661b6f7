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
from skledger.errors import StoreError
from skledger.ledger.place import Place
from skledger.stores.artifacts import ArtifactStore, artifact_store, local_folder
from skledger.tracking.entities import LoggedModel, Run
from skledger.tracking.model_uris import DIGESTS_TAG

__all__ = ["Drawing", "draw_missing", "missing_pictures"]

DIAGRAM_FILE = "estimator.html"
#: Files with the numbers behind pictures, and what the names of those end in.
PLOTS = re.compile(r".+_plots(-\d+)?\.json")
#: Those of a fit.
OF_A_FIT = re.compile(r"training_plots(-\d+)?\.json")
#: Where each file may hold the numbers behind one picture of its own name.
MEASURED_FOLDER = "measured"
#: What a run has one of at the least when something was measured in it.
MEASURED = frozenset({MEASURED_FOLDER, "metric_info.json"})
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


def _pictures_in(artifacts: ArtifactStore, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pictures whose numbers a file holds; one of the user's may have such a name."""
    with artifacts.open(path) as stream:
        try:
            numbers = json.load(stream)
        except ValueError as error:
            raise StoreError(
                f"the numbers behind pictures in {path} are damaged ({error}); put the file of a "
                "copy in its place, or delete it"
            ) from error
    for name, picture in numbers.items() if isinstance(numbers, dict) else ():
        if isinstance(picture, dict) and "kind" in picture:
            yield name, picture


def _missing_of_measured(artifacts: ArtifactStore) -> Iterator[tuple[str, Callable[[], bytes]]]:
    measured = set(artifacts.list(MEASURED_FOLDER))
    for path in sorted(measured):
        drawn = f"{path.removesuffix('.json')}.png"
        if path.endswith(".json") and drawn not in measured:
            for name, picture in _pictures_in(artifacts, path):
                if name == "picture":
                    yield drawn, partial(_png, picture)


def _missing(run: Run) -> Iterator[tuple[str, Callable[[], bytes]]]:
    from skledger.tracking.session import get_store

    artifacts = artifact_store(run.info.artifact_uri)
    present = set(artifacts.list())
    for path in sorted(present):
        found = (PLOTS if present & MEASURED else OF_A_FIT).fullmatch(path)
        if found is not None:
            for name, picture in _pictures_in(artifacts, path):
                if f"{name}{found[1] or ''}.png" not in present:
                    yield f"{name}{found[1] or ''}.png", partial(_png, picture)
    if MEASURED_FOLDER in present:
        yield from _missing_of_measured(artifacts)
    for model in get_store().search_logged_models(run.info.run_id):
        found = DRAWN_MODEL.fullmatch(model.name)
        if found is None or DIGESTS_TAG not in model.tags:
            continue
        name = f"estimator{found[1] or ''}.html"
        if name not in present:
            yield name, partial(_diagram_of, model)
