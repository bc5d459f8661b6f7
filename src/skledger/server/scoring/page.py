"""The page ``/docs``: what the model takes and gives, and requests to copy. It needs no network."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from html import escape
from typing import Any

from skledger.errors import ModelError
from skledger.models.verified import ModelFolder
from skledger.server.scoring.scorer import Scorer
from skledger.types.data_types import DataType

__all__ = ["docs_page", "example_request"]

#: Rows of an example; and bytes of one that is too large to be shown.
_ROWS, _LARGEST = 2, 20_000
_VALUES = {
    "boolean": True,
    "integer": 1,
    "long": 1,
    "float": 0.5,
    "double": 0.5,
    "string": "text",
    "binary": "AAE=",
    "datetime": "2024-05-01T12:30:00",
}
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1c1c1c;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse}td,th{border-bottom:1px solid #ddd;padding:.2rem 1rem .2rem 0;
text-align:left;vertical-align:top}
pre{background:#f4f4f4;padding:.8rem;overflow:auto;user-select:all;border-radius:4px}
code{background:#f4f4f4}.scroll{max-height:22rem;overflow:auto}
@media (prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}
pre,code{background:#262626}td,th{border-color:#444}}
"""


def example_request(scorer: Scorer, folder: ModelFolder) -> dict[str, Any] | None:
    """Return a request that the model takes: its own example, or one made of its signature.

    Raises
    ------
    ModelIntegrityError
        The example is not the one that was booked with the model.
    """
    return _stored(scorer, folder) or _made(scorer)


def docs_page(scorer: Scorer, folder: ModelFolder, uri: str, address: str, timeout: float) -> bytes:
    """Return the page as HTML.

    Parameters
    ----------
    scorer : Scorer
        The model.
    folder : ModelFolder
        Where its example is.
    uri : str
        What was asked to be served.
    address : str
        Of the server, such as ``http://127.0.0.1:5000``.
    timeout : float
        The longest a request may take, in seconds.
    """
    kind = scorer.kind
    example = example_request(scorer, folder)
    parts = [
        f"<h1>{escape(kind)}</h1>",
        f"<p><code>{escape(uri)}</code></p>",
        _facts(scorer),
        "<h2>What it takes</h2>",
        _inputs(scorer),
        "<h2>What it gives</h2>",
        _outputs(scorer),
        "<h2>Requests</h2>",
        _requests(scorer, example, address),
        "<h2>Other forms of data</h2>",
        _FORMS,
        "<h2>Answers</h2>",
        _ANSWERS.replace("TIMEOUT", f"{timeout:g}"),
    ]
    title = f"<title>{escape(kind)}</title>"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8">{title}<style>{_STYLE}</style>'
    return (head + "\n".join(parts) + "</html>").encode()


_FORMS = """<table><tr><th>field</th><th>data</th></tr>
<tr><td><code>dataframe_split</code></td><td><code>{"columns": [names], "data": [rows]}</code></td>
</tr><tr><td><code>dataframe_records</code></td><td><code>[{name: value, ...}, ...]</code></td></tr>
<tr><td><code>instances</code></td><td>rows, as lists or as objects</td></tr>
<tr><td><code>inputs</code></td><td>rows, or <code>{name: [values], ...}</code></td></tr></table>
<p>With <code>Content-Type: text/csv</code> the body is CSV, with names in its first line. Dates are
ISO 8601, bytes base64, what is missing is <code>null</code>.</p>"""

_ANSWERS = """<p><code>{"predictions": ...}</code>; or <code>{"error_code": ..., "message": ...,
"field": ...}</code> with 400 for what cannot be taken, 413 for too much, 415 for another content
type, 503 for a server that is busy and 504 for a prediction that takes longer than TIMEOUT s.</p>
<p>Also there: <code>/ping</code>, <code>/health</code>, <code>/version</code>,
<code>/metrics</code>.</p>"""


def _facts(scorer: Scorer) -> str:
    model = scorer.model
    told = {
        "model": model.model_id,
        "run": model.run_id,
        "written": model.utc_time_created,
        "answers with": scorer.method,
        "can also be asked for": ", ".join(m for m in scorer.methods if m != scorer.method),
    }
    return _table([(name, value) for name, value in told.items() if value])


def _table(rows: Sequence[Sequence[Any]], head: Sequence[str] = ()) -> str:
    top = "".join(f"<th>{escape(each)}</th>" for each in head)
    lines = ["<tr>" + "".join(f"<td>{escape(str(each))}</td>" for each in row) for row in rows]
    return f'<div class="scroll"><table>{top}{"".join(lines)}</table></div>'


def _inputs(scorer: Scorer) -> str:
    inputs = scorer.inputs
    if inputs.tensors is not None:
        rows = [(each.name or "", each.type.name, each.shape) for each in inputs.tensors]
        note = "<p>-1 stands for any size.</p>"
        return _table(rows, ("array", "type", "shape")) + note + _params(scorer)
    if inputs.specs is not None:
        rows = [
            (
                "" if each.name is None else each.name,
                repr(each.type),
                "" if each.required else "yes",
            )
            for each in inputs.specs
        ]
        return _table(rows, ("column", "type", "may be absent")) + _params(scorer)
    if inputs.names is not None:
        note = "<p>It has no signature; it was trained with these columns.</p>"
        return note + _table([(each,) for each in inputs.names], ("column",))
    count = getattr(scorer.estimator, "n_features_in_", None)
    told = "" if count is None else f" It was trained with {count} columns."
    return f"<p>It has no signature.{told}</p>"


def _params(scorer: Scorer) -> str:
    schema = scorer.model.get_params_schema()
    if schema is None:
        return ""
    rows = [(each.name, repr(each.dtype), each.default) for each in schema]
    return "<p>Params:</p>" + _table(rows, ("param", "type", "default"))


def _outputs(scorer: Scorer) -> str:
    schema = scorer.model.get_output_schema()
    told = "" if schema is None else f"<p><code>{escape(repr(schema))}</code></p>"
    classes = getattr(scorer.estimator, "classes_", None)
    if classes is not None and "predict_proba" in scorer.methods:
        names = escape(", ".join(map(str, classes)))
        told += f"<p>Probabilities are in the order of the classes: {names}.</p>"
    return told or "<p>It has no signature that tells.</p>"


def _requests(scorer: Scorer, example: dict[str, Any] | None, address: str) -> str:
    if example is None:
        example = {"instances": [["..."]]}
    told = _pre(_curl(address, example)) + _pre(_python(address, example))
    others = [each for each in scorer.methods if each != scorer.method]
    if others:
        asked = {**example, "params": {"predict_method": others[0]}}
        told += f"<p>For <code>{others[0]}</code>:</p>" + _pre(_curl(address, asked))
    return told


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _curl(address: str, request: Any) -> str:
    return (
        f"curl {address}/invocations \\\n  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(request))}"
    )


def _python(address: str, request: Any) -> str:
    # By way of JSON, since true and null are not Python's.
    text = json.dumps(json.dumps(request))
    return (
        "import json, urllib.request\n\n"
        f"request = urllib.request.Request(\n    {address + '/invocations'!r},\n"
        f"    data={text}.encode(),\n"
        '    headers={"Content-Type": "application/json"},\n)\n'
        "with urllib.request.urlopen(request) as answer:\n"
        '    print(json.load(answer)["predictions"])'
    )


def _stored(scorer: Scorer, folder: ModelFolder) -> dict[str, Any] | None:
    info = scorer.model.saved_input_example_info or {}
    name = info.get("serving_input_path")
    if not isinstance(name, str):
        return None
    try:
        request = json.loads(folder.read(name))
    except (ValueError, ModelError) as error:
        if isinstance(error, ModelError) and folder.digests is not None:
            raise
        return None
    cut = _cut(request)
    return cut if isinstance(cut, dict) and len(json.dumps(cut)) <= _LARGEST else None


def _cut(request: Any) -> Any:
    """Return a request with its first rows only."""
    if not isinstance(request, dict):
        return None
    split = request.get("dataframe_split")
    if isinstance(split, dict) and isinstance(split.get("data"), list):
        rest = {name: each for name, each in split.items() if name != "index"}
        return {**request, "dataframe_split": {**rest, "data": split["data"][:_ROWS]}}
    return {
        name: each[:_ROWS] if isinstance(each, list) else each for name, each in request.items()
    }


def _made(scorer: Scorer) -> dict[str, Any] | None:
    inputs = scorer.inputs
    if inputs.specs is not None:
        row = [_value(each.type) for each in inputs.specs]
        if inputs.names is None:
            return {"instances": [row]}
        return {"dataframe_split": {"columns": list(map(str, inputs.names)), "data": [row]}}
    if inputs.tensors is not None:
        shape = [max(size, 1) for size in inputs.tensors[0].shape]
        named = inputs.tensors[0].name is not None
        return None if named or math.prod(shape) > _LARGEST else {"instances": _zeros(shape)}
    names, count = inputs.names, getattr(scorer.estimator, "n_features_in_", None)
    if names is not None:
        return {"dataframe_split": {"columns": list(map(str, names)), "data": [[0.5] * len(names)]}}
    return None if count is None else {"instances": [[0.5] * count]}


def _value(kind: Any) -> Any:
    return _VALUES[kind.name] if isinstance(kind, DataType) else 0


def _zeros(shape: Sequence[int]) -> Any:
    return [_zeros(shape[1:]) for _ in range(shape[0])] if shape else 0.5
