"""Odd values in every field of a store: each page and each table of it is still answered."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from _pages import serving

import skledger.server.pages as pages
import skledger.tracking.searches as searches
from skledger.errors import SkledgerError
from skledger.stores.artifacts import artifact_store
from skledger.stores.opening import open_store
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    Metric,
    Param,
    RunChange,
    RunInfo,
    RunTag,
)
from skledger.tracking.registry_entities import (
    ModelVersionChange,
    NewModelVersion,
    RegisteredModelAlias,
    RegisteredModelChange,
)

DIGITS = "9" * 5000
DEEP = "[" * 4000
#: Half a letter: what JSON may hold and UTF-8 may not.
HALF = json.dumps("\ud800")
BOMB = "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(9))
TEXTS = """
0|-1|5|1.5|1e400|-1e400|nan|inf|true|null|None|[]|{}|""|"x"|[[]]|[null]|[1, "a"]|[{}]|{"a": 1}|9e18
{"columns": [], "data": [[1]]}|{"columns": ["a"], "data": [[1, 2], []]}|{"columns": 1, "data": 2}
{"class_counts": {"a": -1, "b": 1e400}}|{"n_rows": null, "features_nbytes": "x"}|{"n_rows": [[[]]]}
{"mlflow_colspec": [1, null, {"type": "array"}, {"type": "object", "properties": {"a": 1}}]}
{"mlflow_colspec": [{"type": "tensor", "tensor-spec": {"shape": 5}}, {"type": {"a": []}}]}
{"mlflow_tensorspec": {"features": 5, "targets": "[1"}}|{"uri": 5}|{"url": {"a": 1}}|2020-99-99
[{"artifact_path": 5}]|[{"artifact_path": "../x"}]|[{"artifact_path": "\\ud800"}]|[5, null]
[{"artifact_path": "m"}]|[{"artifact_path": "a\\u0000b"}]|{"artifact_path": "m"}|[{"a": [[[]]]}]
https://[github/x|https://github.com:99999/x|https://github.com/%zz|git@github.com:|ssh://git@x/
http://[::1|//|://|https://|javascript:alert(1)|mailto:|file:///etc/passwd|s3://b/k|models:/x|runs:/
../../etc/passwd|..|.|/|\\|a/b|a//b|/abs|C:\\x|%00|%2e%2e|%|_|?|#|&a=b|a;b|'|"|`|''|'; --|{{ 7*7 }}
<script>alert(1)</script>|<b|</table>|&amp;|]]>|-->|${x}|%s|{0}|=1+1|+1+1|-x|@x|a,b|a\tb| | x |\u00a0
ü🎉|\u202eabc|e\u0301|\u200b|\ufeff|\u2028|\x01|\x1b[31m|\x7f|\ufffe|İ|ß|١٢٣|²|½|١|x y|*|**|# x|---
[x](javascript:alert(1))|![x](http://x)|`x|```|| a ||1_000|0x10|1e|--1|+|1.5.5|.5|5.|-0|1e5|1e-400
key: [unclosed|? [a]|!!python/object/apply:os.system [x]|!!int "x"|!!bool x|!!timestamp x|a: 0b
signature: {inputs: [&x {type: array, items: *x}]}|flavors: {1: {}}|flavors: 5|flavors: [sklearn]
signature: 5|signature: {inputs: 5}|signature: {inputs: "[1, {}]"}|signature: {inputs: [{name: [1]}]}
model_size_bytes: -5|model_size_bytes: 1e999|flavors: {sklearn: 5}|flavors: {? {a: b} : c}|a: &a [*a]
[{'a': [1, 2]}, 5]|{'a': [...]}|{'a': array(}|lambda: x|FINISHED|RUNNING|ProcessDied|Stale|1 OR 1=1
"""
VALUES = [
    *dict.fromkeys(each for line in TEXTS.strip("\n").split("\n") for each in line.split("|")),
    "",
    "\r\n",
    "a\r\nb",
    HALF,
    DIGITS,
    f"[{DIGITS}]",
    f'{{"a": {"9" * 400}, "class_counts": {{"a": {"9" * 400}, "b": -{"9" * 400}}}}}',
    f"model_size_bytes: {DIGITS}",
    f"model_size_bytes: {'9' * 400}",
    f'{{"features_nbytes": {"9" * 400}, "n_rows": {"9" * 400}}}',
    DEEP,
    '{"a":' * 4000,
    "(" * 4000,
    "* " * 2000,
    "> " * 2000,
    f'[{{"type": {DEEP}}}]',
    f'{{"a": {"[" * 900}{"]" * 900}}}',
    f'{{"mlflow_colspec": [{{"name": {"[" * 900}{"]" * 900}, "type": "x"}}]}}',
    "x" * 6000,
    "\n" * 500,
    BOMB,
    f"{BOMB}signature: {{inputs: [{{type: double, default: *b8}}]}}",
    "".join(f"{' ' * i}a:\n" for i in range(80)),
]
NUMBERS = [0, -1, 1, 2**31, 10**15, 10**17, -(10**17), 2**62, -(2**62), 2**63 - 1, -(2**63)]
FLOATS = [0.0, -0.0, 5e-324, 1e308, -1e308, float("inf"), float("-inf"), float("nan"), 1e15, 0.1]
#: What is asked for in addresses, one by one.
ODD = ["foo", "__class__", "\0", "9" * 30, "-1", "'", "all"]
FOLDER = Path(pages.__file__).parent
SOURCES = "".join(path.read_text() for path in [*FOLDER.glob("*.py"), Path(searches.__file__)])
#: Each tag that a page looks at: by its name in the code.
TAGS = sorted(
    {"estimator_name", "estimator_class", "skledger.check.x", "team"}
    | set(re.findall(r'"((?:mlflow|skledger)\.[\w.-]+[\w])"', SOURCES))
    - {"mlflow.parentRunId", "skledger.server", "mlflow.runName"}
)
PARAMS = "n_iter n_trials param_grid param_a best_x refit iter n_resources cv x".split()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with a run, and a child of it, for each odd value; with the runs' identifiers."""
    store = open_store(f"sqlite:///{tmp_path_factory.mktemp('odd')}/odd.db")
    runs = {}
    for number, value in enumerate(VALUES):
        runs[value] = _book(store, number, value)
    yield store, runs
    store.close()


def _tried(action, *values):
    """Do what a store may refuse, which is no matter here."""
    try:
        return action(*values)
    except SkledgerError:
        return None


def _book(store, number, value):
    named = _tried(store.create_experiment, value) if number % 5 == 0 else None
    # Many runs in few experiments: a table shows fifty of them.
    experiment_id = named if named and number % 40 == 0 else "0"
    for key in ("mlflow.note.content", "team", value):
        _tried(lambda key=key: store.update_experiment(named or "0", tags={key: value}))
    ids = [f"{number:031x}{place}" for place in range(2)]
    for place, run_id in enumerate(ids):
        _run(store, experiment_id, run_id, number, value, ids[0] if place else None)
        where = store.get_run(run_id).info.artifact_uri
        files = artifact_store(where)
        content = value.encode()
        for path in "m/MLmodel a.json a.csv a.tsv a.md a.txt a.html".split():
            files.put_bytes(path, content)
        with open(os.fsencode(where.removeprefix("file://")) + b"/\xff.txt", "wb") as file:
            file.write(b"x")
    _register(store, number, value, ids[0], where)
    return ids


def _run(store, experiment_id, run_id, number, value, parent):
    start, end = NUMBERS[number % 11], NUMBERS[number % 7]
    root = store.get_experiment(experiment_id).artifact_location
    info = RunInfo(
        run_id, experiment_id, "run", "ann", "FINISHED", start, end, "active", f"{root}/{run_id}"
    )
    store.write(RunChange(run_id, create=info))
    tags = dict.fromkeys([*TAGS, value], value)
    tags["mlflow.source.git.commit"] = "abcdef1234"
    if parent:
        tags["mlflow.parentRunId"] = parent
        tags["mlflow.log-model.history"] = '[{"artifact_path": "m"}]'
        tags["mlflow.source.git.repoURL"] = "https://github.com/" + value
    step = NUMBERS[number % 9]
    source = Dataset(value or "d", "0123", value or "code", value, value, value)
    given = DatasetInput(source, (RunTag("mlflow.data.context", value),))
    named = [RunChange(run_id, run_name=value), RunChange(run_id, inputs=(given,))]
    changes = [
        *named,
        *(RunChange(run_id, tags=(RunTag(k, v),)) for k, v in tags.items()),
        *(RunChange(run_id, params=(Param(key, value),)) for key in [*PARAMS, value]),
        *(
            RunChange(run_id, metrics=(Metric(key, FLOATS[number % 10], time, step),))
            for key in ("mean_test_score", "std_test_score", "loss", value)
            for time in (start, end)
        ),
    ]
    try:
        store.write(*changes)
    except SkledgerError:
        for change in changes:
            _tried(store.write, change)


def _register(store, number, value, run_id, where):
    tags = (RunTag("k", value),)
    new = NewModelVersion(value or "x", where, run_id)
    # A name that is refused hides the other fields.
    for name in (value, f"model {number}") if number % 4 == 0 else (f"model {number}",):
        for change in [
            RegisteredModelChange(name, create=True, description=value, tags=tags),
            ModelVersionChange(name, create=new),
            ModelVersionChange(name, "1", description=value, tags=tags),
            RegisteredModelChange(name, aliases=(RegisteredModelAlias(value, "1"),)),
        ]:
            _tried(store.write_registry, change)


@pytest.fixture(scope="module")
def client(made):
    with serving(made[0]) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


def _ask(client, where, /, **query):
    """Ask for a page, all of it; one that breaks off raises."""
    answer = client.get(where, params=query)
    assert answer.status_code < 500, (where, query, answer.text)
    return answer


#: Each page by its address, as it stands in the code.
PATHS = sorted(
    {each.path for each in pages.routes() if "GET" in (getattr(each, "methods", None) or ())}
)


def _paths(kind, **values):
    """Return the addresses of the pages about something."""
    found = [each for each in PATHS if f"{{{kind}" in each]
    for name, value in values.items():
        found = [re.sub(rf"{{{name}(:path)?}}", quote(value, safe=""), each) for each in found]
    return [each for each in found if "{" not in each]


@pytest.mark.slow
def test_every_page_of_a_run(made, client):
    """A run is shown with anything in its name, tags, params, metrics, data sets and files."""
    for value, ids in made[1].items():
        for path in _paths("run_id", run_id=ids[0], key="loss", path="a.json"):
            _ask(client, path)
        _ask(client, f"/runs/{ids[1]}")
        for path in "a.json a.csv a.md m".split():
            answer = _ask(client, f"/runs/{ids[0]}/artifacts", path=path)
            assert answer.status_code == 200, (value, path)
        _ask(client, f"/runs/{ids[0]}/metrics/{quote(value, safe='')}")


def test_every_table_and_comparison(made, client):
    """Tables, their CSV and comparisons hold every run."""
    store, runs = made
    experiments = {store.get_run(ids[0]).info.experiment_id for ids in runs.values()}
    for experiment_id in experiments:
        for path in _paths("experiment_id", experiment_id=experiment_id):
            _ask(client, path)
            _ask(client, path, show="all", size=200, columns=["start_time", "duration", "source"])
    every = [ids[0] for ids in runs.values()]
    for start in range(0, len(every), 40):
        some = ",".join(every[start : start + 40])
        for view in "table scatter parallel contour box curves pictures".split():
            _ask(client, "/compare", runs=some, view=view)
        _ask(client, "/compare.csv", runs=some)
        _ask(client, "/compare/curves", runs=some, metric="loss")


def test_every_page_of_the_registry(made, client):
    """Models and versions are shown with anything in their names, tags, aliases and sources."""
    models = made[0].search_registered_models(max_results=1000)
    assert len(models) > 100
    for each in models:
        for path in _paths("name", name=each.name, version="1"):
            _ask(client, path)


def test_every_page_without_a_subject(client):
    """The lists of all there is are answered."""
    for path in PATHS:
        if "{" not in path:
            assert _ask(client, path).status_code != 500


@pytest.mark.slow
def test_odd_addresses(made, client):
    """What is asked for in the path or the query may be anything."""
    run_id = made[1]["5"][1]
    few = made[0].create_experiment("with no run")
    names = sorted(set(re.findall(r'\.get(?:list)?\("(\w+)"', SOURCES)))
    assert {"filter", "order_by", "columns", "page_token", "path", "start", "rows"} <= set(names)
    fixed = [
        re.sub(r"{\w+(:path)?}", few, each.replace("{run_id}", run_id))
        for each in PATHS
        if "static" not in each
    ]
    for value in [
        "foo",
        "__class__",
        "artifact_uri",
        "\0",
        DIGITS[:30],
        "-1",
        "'",
        "[",
        "%",
        "\u0661",
    ]:
        for path in fixed:
            _ask(client, path, **dict.fromkeys(names, value))
        for path in PATHS:
            _ask(client, re.sub(r"{\w+(:path)?}", quote(value, safe=""), path))
    # One at a time: what is refused first hides the others.
    for name in names:
        for number, path in enumerate(fixed):
            _ask(client, path, **{name: ODD[number % len(ODD)]})
