"""A model to be served, as every process that answers is told it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from skledger.models.verified import ModelFolder
from skledger.server.scoring.app import Limits, ScoringApp
from skledger.server.scoring.metrics import Metrics
from skledger.server.scoring.page import docs_page
from skledger.server.scoring.scorer import Scorer, load_scorer

__all__ = ["Served"]

#: Longer than the longest request, for its answer to get away, in seconds.
_LAST_ANSWERS = 5


@dataclass(frozen=True, slots=True)
class Served:
    """A model to be served, as every worker is told it.

    Parameters
    ----------
    uri : str
        What was asked for, without a password.
    address : str
        Of the server, such as ``http://127.0.0.1:5000``.
    folder : str
        The model folder, on this machine.
    digests : dict or None
        What its files must hash to.
    refusal : str or None
        Without digests: why no code in it may run.
    trusted : list of str
        Types that a file of the format skops may have.
    allow_pickle : bool
        Whether a model may run code when it is loaded.
    mmap_mode : {"r", "c"} or None
        Map the arrays of a model in the format joblib, so that workers share them.
    limits : Limits
        What a worker takes on.
    workers : int
        How many there are.
    """

    uri: str
    address: str
    folder: str
    digests: Mapping[str, str] | None
    refusal: str | None
    trusted: list[str] = field(default_factory=list)
    allow_pickle: bool = True
    mmap_mode: str | None = None
    limits: Limits = field(default_factory=Limits)
    workers: int = 1

    def load(self) -> Scorer:
        """Load the model, after its files were compared with their digests."""
        return load_scorer(
            Path(self.folder),
            digests=self.digests,
            refusal=self.refusal,
            trusted=self.trusted,
            allow_pickle=self.allow_pickle,
            mmap_mode=self.mmap_mode,
        )

    @property
    def grace(self) -> float:
        """So long requests that are under way may take after the server was told to stop, in s."""
        return self.limits.seconds + _LAST_ANSWERS

    @property
    def shared_size(self) -> int:
        """The bytes of the file that all workers count in."""
        return Metrics.size(self.workers)

    def told(self) -> dict[str, Any]:
        """Return what `from_told` makes it of, in types that JSON has."""
        return asdict(self)

    @classmethod
    def from_told(cls, told: dict[str, Any]) -> Self:
        """Return what another process has told."""
        return cls(**{**told, "limits": Limits(**told["limits"])})

    @contextlib.contextmanager
    def application(self, worker: int, shared: int | None) -> Iterator[ScoringApp]:
        """Give what answers requests, with the model loaded; see `Job`."""
        scorer = self.load()
        folder = ModelFolder(Path(self.folder), self.digests, self.refusal)
        page = docs_page(scorer, folder, self.uri, self.address, self.limits.seconds)
        labels = {"uri": self.uri, "estimator": scorer.kind}
        if scorer.model.model_id:
            labels["model_id"] = scorer.model.model_id
        metrics = Metrics(shared, worker, self.workers, labels)
        yield ScoringApp(scorer, page, metrics, self.limits)
