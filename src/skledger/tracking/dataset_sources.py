"""Where the data of a data set comes from: a path, a URI, or the code that made it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skledger.errors import InvalidParameterError, SkledgerError

__all__ = ["DatasetSource"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
#: MLflow's tags that say which code made the data.
_CODE_TAGS = (
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
)


class DatasetSource:
    """Where data comes from.

    Attributes
    ----------
    source_type : str
        ``local``, ``http``, the scheme of a URI such as ``s3``, or ``code``.
    content : dict
        What MLflow keeps of such a source: ``uri``, ``url`` or ``tags``.
    """

    def __init__(self, source_type: str, content: Mapping[str, Any]) -> None:
        self.source_type = source_type
        self.content = dict(content)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source_type!r}, {self.content!r})"

    @classmethod
    def of(cls, source: Any) -> DatasetSource:
        """Return the source that a path or a URI names; None is the code that runs."""
        if isinstance(source, DatasetSource):
            return source
        if source is None:
            from skledger.tracking.context import default_tags

            tags = default_tags()
            return cls("code", {"tags": {key: tags[key] for key in _CODE_TAGS if key in tags}})
        if not isinstance(source, str | os.PathLike):
            raise InvalidParameterError(
                f"The source of a data set is a path or a URI, not {type(source).__name__}."
            )
        text = os.fspath(source)
        scheme = _SCHEME.match(text)
        kind = scheme[1].lower() if scheme else "local"
        if kind in ("http", "https"):
            return cls("http", {"url": text})
        return cls("local" if kind == "file" else kind, {"uri": text})

    @property
    def uri(self) -> str | None:
        """Its path or URI; None of code."""
        found = self.content.get("uri", self.content.get("url"))
        return None if found is None else str(found)

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return dict(self.content)

    def to_json(self) -> str:
        """Return what is kept of it, as JSON."""
        return json.dumps(self.content)

    def load(self, dst_path: str | None = None) -> str:
        """Bring the data to this machine and return its path.

        Parameters
        ----------
        dst_path : str, optional
            The folder to put it in; by default a temporary one, where a copy is needed.
        """
        if self.uri is None:
            raise SkledgerError(
                "The data was made by code, so there is nothing to load; name its source when "
                "you log it: from_pandas(df, source='data.csv')."
            )
        if self.source_type == "local" and dst_path is None:
            from skledger.tracking.artifacts import local_path

            return local_path(self.uri)
        if self.source_type != "http":
            from skledger.tracking.artifacts import download_artifacts

            return download_artifacts(artifact_uri=self.uri, dst_path=dst_path)
        import tempfile
        from urllib.parse import urlsplit
        from urllib.request import urlretrieve

        folder = Path(dst_path or tempfile.mkdtemp(prefix="skledger-"))
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / (Path(urlsplit(self.uri).path).name or "data")
        urlretrieve(self.uri, target)
        return str(target)
