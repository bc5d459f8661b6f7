"""Identifiers that were chosen here, for runs and models whose server chooses its own.

What a write creates carries the identifier of ours as a tag. Whoever asks for that identifier
later, in this process or another, finds the run or the model by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from skledger.errors import NotFoundError
from skledger.stores.rest_api import Api
from skledger.tracking.entities import RunTag

__all__ = ["MODEL_TAG", "RUN_TAG", "Aliases", "all_experiments", "as_tag_filter"]

#: The tags that hold what a run and a model are called here.
RUN_TAG = "skledger.run_id"
MODEL_TAG = "skledger.model_id"

#: The tags of a run whose value is a run.
REFERENCES = ("mlflow.parentRunId", "skledger.best_run")

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_QUOTED_ID = re.compile(r"""(?<=['"])(?:m-)?[0-9a-f]{32}(?=['"])""")
#: What stands before an identifier that is meant as it is written.
_OF_OUR_TAG = re.compile(
    r"skledger\.(?:run|model)_id[`\"]?\s*(?:!?=\s*|(?:NOT\s+)?IN\s*\([^()]*)['\"]\Z", re.IGNORECASE
)
_PAGE = 1000
#: A request names at most as many experiments.
_EXPERIMENTS = 500


class Aliases:
    """What the server calls the runs and models of ours.

    Parameters
    ----------
    api : Api
        The server.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        # By every identifier that was asked for: the server's, and of a run its experiment.
        self._runs: dict[str, tuple[str, str]] = {}
        self._models: dict[str, str] = {}

    def learn_run(self, run_id: str, server_id: str, experiment_id: str) -> None:
        """Remember what the server calls a run, and where it is."""
        self._runs[run_id] = self._runs[server_id] = (server_id, experiment_id)

    def learn_model(self, model_id: str, server_id: str) -> None:
        """Remember what the server calls a model."""
        self._models[model_id] = self._models[server_id] = server_id

    def knows_run(self, run_id: str) -> bool:
        """Whether a run is remembered."""
        return run_id in self._runs

    def knows_model(self, model_id: str) -> bool:
        """Whether a model is remembered."""
        return model_id in self._models

    def run(self, run_id: str) -> str:
        """Return what the server calls a run; `NotFoundError` when there is none."""
        return self._run(run_id)[0]

    def experiment_of(self, run_id: str) -> str:
        """Return the experiment of a run."""
        return self._run(run_id)[1]

    def model(self, model_id: str) -> str:
        """Return what the server calls a model; `NotFoundError` when there is none."""
        found = self._models.get(model_id)
        if found is None:
            found = self._look_up_model(model_id)
            self.learn_model(model_id, found)
        return found

    def find_run(self, run_id: str, experiment_ids: Sequence[str] | None = None) -> str | None:
        """Return what the server calls a run of ours by its tag, or None; remembered when found."""
        told = self._tagged_run(run_id, experiment_ids)
        if told is None:
            return None
        self.learn_run(run_id, told["run_id"], str(told["experiment_id"]))
        return str(told["run_id"])

    def find_model(self, model_id: str, experiment_ids: Sequence[str] | None = None) -> str | None:
        """Return what the server calls a model of ours by its tag, or None."""
        if not _MODEL_ID.fullmatch(model_id):
            return None
        where = as_tag_filter(MODEL_TAG, model_id)
        for chunk in self._experiments(experiment_ids):
            body = {"experiment_ids": chunk, "filter": where, "max_results": 1}
            for each in self._api.post("logged-models/search", body).get("models", ()):
                found = str(each["info"]["model_id"])
                self.learn_model(model_id, found)
                return found
        return None

    def in_tag(self, tag: RunTag) -> RunTag:
        """Return a tag that names a run with what the server calls that run."""
        if tag.key not in REFERENCES or not _RUN_ID.fullmatch(tag.value):
            return tag
        return RunTag(tag.key, self.or_itself(tag.value))

    def in_filter(self, text: str | None) -> str:
        """Return a filter with what the server calls the runs and models that it names."""
        if not text:
            return ""

        def theirs(match: re.Match[str]) -> str:
            if _OF_OUR_TAG.search(text[: match.start()]):
                return match[0]
            return self.or_itself(match[0])

        return _QUOTED_ID.sub(theirs, text)

    def or_itself(self, identifier: str) -> str:
        """Return what the server calls a run or a model; what it does not know stays as it is."""
        try:
            return self.model(identifier) if "-" in identifier else self.run(identifier)
        except NotFoundError:
            return identifier

    # The inside

    def _run(self, run_id: str) -> tuple[str, str]:
        found = self._runs.get(run_id)
        if found is None:
            told = self._look_up_run(run_id)
            self.learn_run(run_id, told["run_id"], str(told["experiment_id"]))
            found = self._runs[run_id]
        return found

    def _look_up_run(self, run_id: str) -> dict[str, Any]:
        try:
            found = self._api.get("runs/get", run_id=run_id)["run"]["info"]
            return {"run_id": found.get("run_id") or found["run_uuid"], **found}
        except NotFoundError as error:
            told = self._tagged_run(run_id, None)
            if told is None:
                raise NotFoundError(
                    f"there is no run {run_id!r} at {self._api.uri}: check its identifier"
                ) from error
            return told

    def _tagged_run(
        self, run_id: str, experiment_ids: Sequence[str] | None
    ) -> dict[str, Any] | None:
        if not _RUN_ID.fullmatch(run_id):
            return None
        for chunk in self._experiments(experiment_ids):
            body = {
                "experiment_ids": chunk,
                "filter": as_tag_filter(RUN_TAG, run_id),
                "run_view_type": "ALL",
                "max_results": 1,
            }
            for each in self._api.post("runs/search", body).get("runs", ()):
                return dict(each["info"])
        return None

    def _look_up_model(self, model_id: str) -> str:
        missing = NotFoundError(
            f"there is no logged model {model_id!r} at {self._api.uri}: check its identifier"
        )
        if "/" in model_id or not model_id:
            raise missing
        try:
            told = self._api.get(f"logged-models/{quote(model_id, safe='')}")
            return str(told["model"]["info"]["model_id"])
        except NotFoundError as error:
            found = self.find_model(model_id)
            if found is None:
                raise missing from error
            return found

    def _experiments(self, experiment_ids: Sequence[str] | None) -> Iterator[Sequence[str]]:
        found = all_experiments(self._api) if experiment_ids is None else experiment_ids
        for at in range(0, len(found), _EXPERIMENTS):
            yield found[at : at + _EXPERIMENTS]


def all_experiments(api: Api) -> list[str]:
    """Return the identifiers of every experiment, deleted ones included."""
    found: list[str] = []
    token = ""
    while True:
        body = {"view_type": "ALL", "max_results": _PAGE, "page_token": token}
        page = api.post("experiments/search", body)
        found += [str(each["experiment_id"]) for each in page.get("experiments", ())]
        token = page.get("next_page_token", "")
        if not token:
            return found


def as_tag_filter(key: str, value: str) -> str:
    """Return the filter for what has a tag; the value is an identifier and needs no quoting."""
    return f"tags.`{key}` = '{value}'"
