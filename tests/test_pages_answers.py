"""What pages answer when users' text is broken, hostile or huge, asked as programs ask."""

from __future__ import annotations

import contextlib
import csv
import html
import io
import json
import logging
import os
import re
import sqlite3
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from _booked import book, book_search, new_store
from _pages import serving

from skledger.server.pages import run_view
from skledger.stores.artifacts import artifact_store
from skledger.tracking.entities import LoggedModel, RunChange, RunTag
from skledger.tracking.registry_entities import (
    ModelVersionChange,
    NewModelVersion,
    RegisteredModelChange,
)

BOMB = (
    "b0: &b0 [lolol, lolol, lolol, lolol, lolol, lolol, lolol, lolol, lolol]\n"
    + "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9)}]\n" for i in range(1, 6))
    + "signature: {inputs: [{type: double, default: *b5}]}\n"
)


@pytest.fixture
def store(tmp_path):
    store = new_store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def client(store):
    with serving(store) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def _with_model(store, content):
    """Book a run with a folder of a model, as MLflow 2 does."""
    history = {"mlflow.log-model.history": '[{"artifact_path": "m"}]'}
    run_id = book(store, "0", "with a model", tags=history)
    files = artifact_store(store.get_run(run_id).info.artifact_uri)
    files.put_bytes("m/MLmodel", content.encode())
    return run_id


def _table(answer):
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text)))


@pytest.mark.parametrize(
    "content",
    [
        BOMB,
        "[" * 100_000,
        "a: 2020-99-99\nd: " + "1" * 5000,
        "flavors: {1: {}}",
        "signature: {inputs: [&x {type: array, items: *x}]}",
        "signature: {inputs: [{type: double, default: " + "x" * 1_000_000 + "}]}",
        "\n".join(f"a{i}: b" for i in range(200_000)),
    ],
)
def test_the_description_of_a_model_may_be_anything(store, client, content):
    """A page stays small and comes soon, whatever stands in MLmodel."""
    run_id = _with_model(store, content)
    start = time.monotonic()
    answer = client.get(f"/runs/{run_id}")
    assert answer.status_code == 200
    assert len(answer.content) < 100_000
    assert time.monotonic() - start < 3


def test_what_a_model_in_the_format_skops_needs_is_told(store, client):
    """The lines that load and serve it name the extra that reads it; of others they do not."""
    for form, needed in (("skops", True), ("pickle", False)):
        run_id = _with_model(store, f"flavors: {{sklearn: {{serialization_format: {form}}}}}")
        place = f"{store.get_run(run_id).info.artifact_uri}/m"
        new = NewModelVersion(f"runs:/{run_id}/m", place, run_id=run_id)
        store.write_registry(RegisteredModelChange(form, create=True))
        store.write_registry(ModelVersionChange(form, create=new))
        told = html.unescape(client.get(f"/runs/{run_id}").text)
        assert ("# pip install 'skledger[skops]'\nimport skledger" in told) == needed
        told = html.unescape(client.get(f"/models/{form}/versions/1").text)
        assert ("# pip install 'skledger[skops]'\nimport skledger" in told) == needed
        assert ("pip install 'skledger[serve,skops]'" in told) == needed


def test_tags_of_the_registry_are_those_that_people_set(store, client):
    """What programs note for themselves is no tag of a model or a version."""
    tags = (RunTag("skledger.registration", "0123"), RunTag("mlflow.x", "4567"), RunTag("a", "b"))
    store.write_registry(RegisteredModelChange("wine", create=True, tags=tags))
    store.write_registry(
        ModelVersionChange("wine", create=NewModelVersion("s3://models/wine"), tags=tags)
    )
    for path in ("/models", "/models/wine", "/models/wine/versions/1"):
        told = client.get(path).text
        assert "a: b" in told and "skledger.registration" not in told and "mlflow.x" not in told
    for path in ("/models.csv", "/models/wine/versions.csv"):
        head, row = _table(client.get(path))
        assert row[head.index("tags")] == "a=b"


def test_the_description_of_a_model_is_read(store, client):
    """Types, kinds and sizes are what MLmodel says, though it is read as text."""
    run_id = _with_model(
        store,
        "flavors:\n  python_function: {loader_module: x}\n  sklearn: {serialization_format: skops}\n"
        "model_size_bytes: 1234\nsignature:\n"
        '  inputs: \'[{"type": "double", "name": "age", "required": true}]\'\n'
        '  outputs: \'[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 4]}}]\'\n'
        '  params: \'[{"name": "top", "type": "long", "default": 5}]\'\n',
    )
    text = client.get(f"/runs/{run_id}").text
    for told in ("scikit-learn", "skops", "1.2 kB", "age", "int64 (any, 4)", "long = 5"):
        assert told in text


def test_a_failure_of_our_own_is_a_page_and_one_line(store, client, caplog, monkeypatch):
    """Status 500, a page that names nothing of the inside, and one line in the log."""
    run_id = book(store, "0", "one")

    def fail(run):
        raise RuntimeError("secret\nof ours")

    monkeypatch.setattr("skledger.server.pages.run.facts", fail)
    with caplog.at_level(logging.INFO, "skledger.server"):
        answer = client.get(f"/runs/{run_id}")
    assert answer.status_code == 500
    assert "<h1>" in answer.text and "its log says why" in answer.text
    assert "secret" not in answer.text and "RuntimeError" not in answer.text
    (line,) = [each.getMessage() for each in caplog.records if "failed" in each.getMessage()]
    assert "RuntimeError" in line and run_id in line and "\n" not in line
    assert all(each.exc_info is None for each in caplog.records)


def test_a_table_that_fails_is_no_half_file(store, client, monkeypatch):
    """What fails before the first rows of a CSV file is a page that says so."""
    run_id = book(store, "0", "one", metrics={"a": 1.0})

    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(store, "get_metric_history", fail)
    answer = client.get(f"/runs/{run_id}/metrics.csv?all=1")
    assert answer.status_code == 500 and "text/html" in answer.headers["content-type"]


@pytest.mark.parametrize("repository", ["https://[github/x", "https://github.com:x/y", "//["])
def test_an_address_that_is_none_is_no_link(store, client, repository):
    """The commit stands there without a link."""
    tags = {"mlflow.source.git.repoURL": repository, "mlflow.source.git.commit": "abcdef12"}
    answer = client.get(f"/runs/{book(store, '0', 'one', tags=tags)}")
    assert answer.status_code == 200 and "abcdef12" in answer.text


def test_the_page_of_a_commit(store):
    """Forges are linked to."""
    tags = {
        "mlflow.source.git.repoURL": "git@github.com:a/b.git",
        "mlflow.source.git.commit": "abcdef12",
    }
    facts = run_view.facts(store.get_run(book(store, "0", "one", tags=tags)))
    assert "https://github.com/a/b/commit/abcdef12" in [each.link for each in facts]


def test_csv_holds_no_formulas(store, client):
    """Text that a spreadsheet would compute begins with an apostrophe; numbers stay numbers."""
    formula = '=HYPERLINK("http://x/","y")'
    params = {"@p": "+1+1", "low": "-1.5", "high": "+1e-3", "least": "-inf", "x": "-x", "t": "\tx"}
    run_id = book(store, "0", formula, params, {"-m": -2.5})
    store.create_experiment("=cmd|' /C calc'!A0")
    head, row = _table(client.get("/experiments/0/runs.csv"))
    found = dict(zip(head, row, strict=True))
    assert found["run_name"] == f"'{formula}"
    assert found["params.@p"] == "'+1+1"
    assert found["params.x"] == "'-x" and found["params.t"] == "'\tx"
    assert (found["params.low"], found["params.high"]) == ("-1.5", "+1e-3")
    assert found["params.least"] == "-inf"
    assert found["metrics.-m"] == "-2.5"
    rows = _table(client.get(f"/runs/{run_id}/params.csv"))
    assert ["'@p", "'+1+1"] in rows
    assert "'=cmd|' /C calc'!A0" in [row[1] for row in _table(client.get("/experiments.csv"))]


def test_times_of_no_calendar_stand_in_tables(store, client):
    """A time that is no date is its number."""
    book(store, "0", "one", start=10**17)
    head, row = _table(client.get("/experiments/0/runs.csv"))
    assert row[head.index("start_time")] == str(10**17)


def test_only_columns_that_there_are(store, client):
    """Columns that a table has not are left out of its CSV; nothing of the inside is shown."""
    book(store, "0", "one", {"a": "1"})
    columns = ["foo", "__class__", "__init__", "status", "params.a", "duration"]
    head, row = _table(client.get("/experiments/0/runs.csv", params={"columns": columns}))
    assert head == ["run_id", "run_name", "status", "params.a", "duration"]
    assert row[2:] == ["FINISHED", "1", "1500"]


def test_an_archive_of_nothing_is_refused(store, client):
    """A folder that is not there is not found, before anything is sent."""
    run_id = book(store, "0", "one")
    artifact_store(store.get_run(run_id).info.artifact_uri).put_bytes("a/b.txt", b"x")
    assert client.get(f"/runs/{run_id}/artifacts.zip?path=nope").status_code == 404
    assert client.get(f"/runs/{run_id}/artifacts.zip?path=a").content[:2] == b"PK"
    assert client.get(f"/runs/{run_id}/artifacts.zip").status_code == 200


def test_all_files_as_an_archive_are_those_the_page_shows(store, client, tmp_path):
    """Models stand in it beside the run's own files; names keep their letters, files their time."""
    run_id = book(store, "0", "mein Übungslauf", {}, {"accuracy": 0.9})
    own = Path(urlsplit(store.get_run(run_id).info.artifact_uri).path) / "model" / "notes.txt"
    own.parent.mkdir(parents=True)  # named like a model
    own.write_text("mine")
    os.utime(own, (981_173_106, 981_173_106))
    made = [f"m-{number:032x}" for number in range(4)]
    for model_id, name in zip(made, ("model", "my forest", "my forest", "../../Wald"), strict=True):
        folder = tmp_path / model_id / "artifacts"
        folder.mkdir(parents=True)
        (folder / "MLmodel").write_text(model_id)
        model = LoggedModel(model_id, "0", name, str(folder), 1, 1, source_run_id=run_id)
        store.write(RunChange(run_id, models=(model,)))
    answer = client.get(f"/runs/{run_id}/artifacts.zip")
    assert "filename*=UTF-8''mein-%C3%9Cbungslauf.zip" in answer.headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert {each: archive.read(each).decode() for each in archive.namelist()} == {
        "model/notes.txt": "mine",
        f"model-{made[0]}/MLmodel": made[0],
        "my forest/MLmodel": made[1],
        f"my forest-{made[2]}/MLmodel": made[2],
        "Wald/MLmodel": made[3],
    }
    then = time.localtime(981_173_106)
    assert archive.getinfo("model/notes.txt").date_time == then[:6]


def test_the_beginning_of_an_identifier_leads_to_its_run(store, client):
    """As the commands show it; what several have, or none, is not found."""
    one, other = book(store, "0", "one"), book(store, "0", "other")
    alone = "ab12" + one[4:]
    info = replace(store.get_run(one).info, run_id=alone)
    store.write(RunChange(alone, create=info))
    answer = client.get(f"/runs/{alone[:8]}")
    assert answer.status_code == 303 and answer.headers["location"] == f"/runs/{alone}"
    assert client.get(f"/runs/{alone[:4].upper()}").headers["location"] == f"/runs/{alone}"
    assert one[:8] == other[:8]
    for begun in (one[:8], "ab13", "ab1", "ab12%"):
        assert client.get(f"/runs/{begun}").status_code == 404


def test_the_end_of_a_killed_run_is_not_made_up(store, client):
    """Its record ends with its last sign of life: it took at least so long, or nobody knows."""
    for reason, seconds, told in (
        ("ProcessDied", 0, "unknown"),
        ("Stale", 0, "unknown"),
        ("ProcessDied", 5, "at least 5.0 s"),
        ("KeyboardInterrupt", 5, "5.0 s"),
    ):
        tags = {"skledger.error.type": reason}
        run_id = book(store, "0", reason, tags=tags, status="KILLED", seconds=seconds)
        page = re.sub(r"<[^>]+>", "", client.get(f"/runs/{run_id}").text)
        assert f"took {told}" in page, (reason, seconds)


def test_only_a_search_that_has_finished_has_chosen(store, client):
    """The best candidate of one that was killed was not chosen by anybody."""
    for status, word in (("FINISHED", "chosen"), ("KILLED", "best"), ("RUNNING", "best so far")):
        parent, *_ = book_search(store, "0", status=status)
        page = client.get(f"/runs/{parent}/search").text
        assert f'best">{word}</span>' in page and f'"word": "{word}"' in page


def test_users_of_a_team_see_no_paths_of_the_server(store, client, tmp_path):
    """Neither on pages nor in what is refused; who looks at what is on the own machine does."""
    from skledger.server.security.users import UserFile

    users = UserFile(str(tmp_path / "users"))
    users.set_password("alice", "a long password")
    run_id = book(store, store.create_experiment("churn"), "one")
    pages = ("/", "/experiments/1", f"/runs/{run_id}", "/runs/nope", "/runs/nope/artifacts")
    api = "/api/2.0/mlflow/runs/get?run_id=" + "0" * 32
    paths = (str(tmp_path), store.uri)
    for settings in ({"auth_file": users.path}, {"host": "0.0.0.0", "hosts": ("team.example",)}):
        with (
            serving(store, **settings) as address,
            httpx.Client(base_url=address, auth=("alice", "a long password")) as member,
        ):
            for path in (*pages, api):
                text = member.get(path).text
                assert not any(each in text for each in paths), path
            assert f'title="{address}"' in member.get("/").text
            assert "no run" in member.get(api).json()["message"]
    for path in (*pages, api):
        assert any(each in client.get(path).text for each in paths), path


def test_a_search_of_very_long_numbers(store, client):
    """Numbers of thousands of digits are no numbers."""
    digits = "9" * 5000
    parent = book(store, "0", "search", {"n_iter": digits})
    book(
        store,
        "0",
        "c",
        {"a": "1"},
        {"mean_test_score": 1.0},
        {"skledger.candidate": digits},
        parent=parent,
    )
    for path in ("", "/search", "/search.csv", "/search/live", "/children.csv"):
        assert client.get(f"/runs/{parent}{path}").status_code == 200


@pytest.mark.parametrize("score", [float("inf"), float("-inf"), float("nan")])
def test_a_search_of_endless_scores(store, client, score):
    """Scores that JSON does not have are no points of the charts."""
    parent = book(store, "0", "search", {"cv": "3"})
    scores = {"mean_test_score": score, "mean_fit_time": score}
    tags = {"skledger.candidate": "1"}
    book(store, "0", "c", {"a": "1"}, scores, tags, parent=parent)
    text = client.get(f"/runs/{parent}/search").text
    drawn = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1]
    (point,) = json.loads(drawn, parse_constant=pytest.fail)["candidates"]
    assert point["scores"] == [None] and point["fit"] is None
    assert client.get(f"/runs/{parent}/search/live").status_code == 200


def test_half_letters_in_files(store, client):
    """JSON may hold what has no bytes."""
    run_id = book(store, "0", "one")
    files = artifact_store(store.get_run(run_id).info.artifact_uri)
    files.put_bytes("plain.json", b'{"a": "\\ud800", "b": ["\\udfff"]}')
    files.put_bytes("table.json", b'{"columns": ["\\ud800"], "data": [["\\ud800"]]}')
    for name in ("plain.json", "table.json"):
        assert client.get(f"/runs/{run_id}/artifacts?path={name}").status_code == 200


@pytest.mark.parametrize("text", ["5", "[" * 4000, "null", '[{"artifact_path": "\\ud800"}]', '""'])
def test_a_history_of_models_may_be_anything(store, client, text):
    """The tag in which MLflow notes models is shown, or left."""
    run_id = book(store, "0", "one")
    store.write(RunChange(run_id, tags=(RunTag("mlflow.log-model.history", text),)))
    assert client.get(f"/runs/{run_id}").status_code == 200


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("made in france", ["Made in France"]),
        ("a like b", ["a like b"]),
        ("100%", ["100% cotton"]),
        ("snake_case", ["snake_case"]),
        ("C\\x", ["C\\x"]),
        ("  cotton ", ["100% cotton"]),
        ("name LIKE '100%'", ["100% cotton"]),
        ("name ILIKE 'a' or", None),
        ("name = x", None),
    ],
)
def test_words_are_looked_for_in_names(store, client, typed, found):
    """The three lists take words and filters alike; a filter with a mistake is told."""
    names = ["Made in France", "a like b", "100% cotton", "snake_case", "other", "C\\x"]
    experiment_id = store.create_experiment("of runs")
    for name in names:
        book(store, experiment_id, name)
        store.create_experiment(name)
        store.write_registry(RegisteredModelChange(name, create=True))
    lists = [("/experiments.csv", "q"), ("/models.csv", "filter")]
    lists.append((f"/experiments/{experiment_id}/runs.csv", "filter"))
    for path, key in lists:
        words = typed.replace("name", "run_name") if "runs" in path else typed
        answer = client.get(path, params={key: words})
        if found is None:
            assert answer.status_code == 400, path
        else:
            place = 0 if "models" in path else 1
            assert [row[place] for row in _table(answer)[1:]] == found, path


def test_the_csv_of_the_registry_is_whole(store, client):
    """More models, and more versions, than a store gives at once."""
    store.write_registry(*(RegisteredModelChange(f"m{i}", create=True) for i in range(1100)))
    new = NewModelVersion("runs:/x/model", "/tmp/x", None)
    store.write_registry(*(ModelVersionChange("m1", create=new) for _ in range(1100)))
    assert len({row[0] for row in _table(client.get("/models.csv"))[1:]}) == 1100
    assert len({row[1] for row in _table(client.get("/models/m1/versions.csv"))[1:]}) == 1100


def test_counts_of_runs_come_with_the_page(store, client, monkeypatch):
    """Without scripts the runs are counted: at once, or behind a link when that takes long."""
    monkeypatch.setattr("skledger.server.pages.experiments._SECONDS", 10)
    experiment_id = store.create_experiment("churn")
    parent = book(store, experiment_id, "search")
    for status in ("KILLED", "FAILED", "RUNNING"):
        book(store, experiment_id, status, status=status, parent=parent)
    text = client.get("/").text
    assert '<td class="num">4</td>' in text and "1 failed" in text and "1 running" in text
    assert "1 killed" in text and "count as well" in text
    # The page of the experiment tells where they are.
    place = f"/experiments/{experiment_id}/count"
    assert "of 1 run, 3 below it" in client.get(place).text
    assert "of 4 runs<" in client.get(f"{place}?show=all").text
    assert "Count all runs" not in text
    monkeypatch.setattr("skledger.server.pages.experiments._SECONDS", -1)
    text = client.get("/").text
    assert "1 failed" not in text and "/?counts=all" in text
    assert "1 failed" in client.get("/?counts=all").text


def test_who_may_only_read_is_offered_no_change(store, tmp_path):
    """On a server that others may write to, pages ask who looks."""
    from skledger.server.security.users import UserFile

    users = UserFile(str(tmp_path / "users"))
    users.set_password("reader", "a long password", read_only=True)
    users.set_password("writer", "a long password")
    run_id = book(store, store.create_experiment("churn"), "one")
    pages = {"/": "New experiment", "/models": "New model", f"/runs/{run_id}": "Rename"}
    with serving(store, auth_file=str(tmp_path / "users")) as address:
        for name in ("reader", "writer"):
            with httpx.Client(base_url=address, auth=(name, "a long password")) as client:
                for path, offered in pages.items():
                    text = client.get(path).text
                    assert (offered in text) == (name == "writer"), (name, path)
                    assert ("read only" in text) == (name == "reader")


def test_a_store_that_fails_is_told_in_a_line(store, client, caplog):
    """While somebody else holds the database, pages say what happens (503), as the API does."""
    run_id = book(store, "0", "one")
    file = store.uri.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with caplog.at_level(logging.WARNING, "skledger.server"):
            answer = client.post(f"/runs/{run_id}/note", data={"note": "x"})
    assert (answer.status_code, "locked" in answer.text) == (503, True)
    assert [record.exc_info for record in caplog.records] == [None]


@pytest.mark.parametrize("of", ["run", "experiment", "model", "version"])
def test_what_somebody_else_wrote_is_not_overwritten(store, client, of):
    """Of two who edit one text the second is told what is there; who knows that may go on."""
    run_id = book(store, "0", "one")
    store.write_registry(RegisteredModelChange("m", create=True))
    store.write_registry(ModelVersionChange("m", create=NewModelVersion("s3://models/m")))
    page = {
        "run": f"/runs/{run_id}",
        "experiment": "/experiments/0",
        "model": "/models/m",
        "version": "/models/m/versions/1",
    }[of]

    def was():
        return re.search(r'name="was" value="(\w+)"', client.get(page).text)[1]

    def save(note, **more):
        return client.post(f"{page}/note", data={"note": note, **more})

    begun = was()
    assert save("mine, <b>", was=begun).status_code == 303
    refused = save("yours", was=begun)
    assert (refused.status_code, "mine, &lt;b&gt;" in refused.text) == (400, True)
    assert save("mine, <b>", was=begun).status_code == 303  # what is there already
    assert save("both", was=was()).status_code == 303
    assert save("by a program").status_code == 303
    assert "by a program" in client.get(page).text
