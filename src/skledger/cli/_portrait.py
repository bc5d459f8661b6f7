"""Everything about one run, gathered for people or machines to read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skledger.cli import _family
from skledger.cli._below import Below, look_below
from skledger.cli._finding import PARENT_TAG
from skledger.cli._ranking import Counts
from skledger.errors import NotFoundError, SkledgerError
from skledger.tracking.entities import LoggedModel, Metric, Run
from skledger.tracking.session import get_store

if TYPE_CHECKING:
    from skledger.stores.artifacts import ArtifactStore

__all__ = ["Portrait", "as_dictionary", "load_lines", "portrait_of"]


@dataclass(slots=True)
class Portrait:
    """A run and what belongs to it.

    Parameters
    ----------
    run : Run
        The run.
    experiment : str
        The name of its experiment.
    history : dict of str to list of Metric
        Every value of each metric.
    models : list of LoggedModel
        The models it made.
    sizes : dict of str to int
        The size in bytes of each model's folder, by the model's identifier.
    lost : dict of str to str
        Of the models without files, what is missing, by the model's identifier.
    files : dict of str to int
        The size in bytes of each artifact, by its path.
    undrawn : list of str
        The pictures that have not been drawn.
    trouble : str
        Why files or pictures could not be looked at; empty when they could.
    parent : Run or None
        The run it is a child of; None also when that is gone.
    below : Below or None
        Its children; None when it has none.
    """

    run: Run
    experiment: str
    history: dict[str, list[Metric]] = field(default_factory=dict)
    models: list[LoggedModel] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    undrawn: list[str] = field(default_factory=list)
    trouble: str = ""
    parent: Run | None = None
    below: Below | None = None

    @property
    def steps(self) -> dict[str, int]:
        """How many values each metric has."""
        return {key: len(values) for key, values in self.history.items()}


def portrait_of(run: Run, most: int | None = None) -> Portrait:
    """Gather everything about a run; files that cannot be reached do not hide the rest.

    Parameters
    ----------
    run : Run
        The run.
    most : int or None
        How many of its candidates, and of its other children; None: all.
    """
    from skledger.ledger.drawing import missing_pictures
    from skledger.stores.artifacts import artifact_store

    store = get_store()
    info = run.info
    made = Portrait(run, store.get_experiment(info.experiment_id).name)
    made.history = {key: store.get_metric_history(info.run_id, key) for key in run.data.metrics}
    made.parent = _parent_of(run)
    made.below = look_below(run, most)
    made.models = store.search_logged_models(info.run_id)
    try:
        made.files = _sizes(artifact_store(info.artifact_uri))
        for model in made.models:
            _look_at(model, artifact_store(model.artifact_location), made)
        made.undrawn = missing_pictures(run)
    except (SkledgerError, OSError, ValueError) as error:
        made.trouble = str(error)
    return made


def _parent_of(run: Run) -> Run | None:
    try:
        return get_store().get_run(run.data.tags[PARENT_TAG])
    except (KeyError, NotFoundError):
        return None


def _look_at(model: LoggedModel, folder: ArtifactStore, made: Portrait) -> None:
    """Note the size of a model's folder, or what is missing of it."""
    sizes = _sizes(folder)
    if "MLmodel" in sizes:
        made.sizes[model.model_id] = sum(sizes.values())
    else:
        gone = f"its folder {folder.uri} is missing"
        made.lost[model.model_id] = f"{folder.uri} has no MLmodel" if sizes else gone


def _sizes(folder: ArtifactStore) -> dict[str, int]:
    """Return the size of each file below a folder, without those that are being written."""
    from skledger.stores.artifacts import files_below

    return dict(sorted((info.path, info.file_size or 0) for info in files_below(folder)))


def load_lines(model: LoggedModel) -> list[str]:
    """Return the lines of Python that load a model, wherever they are run."""
    from skledger.models.python_model_descriptor import MODEL_FILE
    from skledger.tracking.model_uris import DIGESTS_TAG

    # The store's own URI is absolute, so the lines are good in any folder.
    uri = get_store().uri
    # Without digests of ours it needs the reader's word; see `load_model`.
    trust = "" if DIGESTS_TAG in model.tags else ", verify=False"
    module = "pyfunc" if f'"{MODEL_FILE}"' in model.tags.get(DIGESTS_TAG, "") else "sklearn"
    return [
        "import skledger",
        f'skledger.set_tracking_uri("{uri}")',
        f'model = skledger.{module}.load_model("{model.model_uri}"{trust})',
    ]


def as_dictionary(portrait: Portrait) -> dict[str, Any]:
    """Return a portrait as JSON has it."""
    run, below, steps = portrait.run, portrait.below, portrait.steps
    counts = {} if below is None else below.counts
    held = _row(run, portrait.experiment, counts)
    return {
        **held,
        "metrics": {
            key: {"value": value, "steps": steps[key]} for key, value in held["metrics"].items()
        },
        "lifecycle_stage": run.info.lifecycle_stage,
        "user": run.info.user_id,
        "artifact_uri": run.info.artifact_uri,
        "datasets": [
            {
                "name": each.dataset.name,
                "digest": each.dataset.digest,
                **{tag.key: tag.value for tag in each.tags},
            }
            for each in run.inputs.dataset_inputs
        ],
        "models": [
            {
                "model_id": model.model_id,
                "name": model.name,
                "uri": model.model_uri,
                "location": model.artifact_location,
                "bytes": portrait.sizes.get(model.model_id),
                "load": None if model.model_id in portrait.lost else load_lines(model)[-1],
            }
            for model in portrait.models
        ],
        "artifacts": portrait.files,
        "undrawn": portrait.undrawn,
        "parent_run_name": None if portrait.parent is None else portrait.parent.info.run_name,
        "children_by_status": dict(counts),
        "candidates": [
            _row(each, portrait.experiment, {})
            for search in (below.searches if below else ())
            for each in search.candidates
        ],
    }


def _row(run: Run, experiment: str, counts: Counts) -> dict[str, Any]:
    return _family.as_dictionary(_family.Row(run, experiment=experiment, below=counts))
