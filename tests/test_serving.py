"""A model behind HTTP: the forms of requests, the types of answers, and errors that help."""

from __future__ import annotations

import gzip
import json
import sys

import numpy as np
import pandas as pd
import pytest
from _scoring_server import ScoringServer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import skledger
import skledger.sklearn
from skledger.models import infer_signature
from skledger.server.scoring.scorer import load_scorer

X, y = load_iris(return_X_y=True, as_frame=True)
ROW = [5.1, 3.5, 1.4, 0.2]
NAMES = list(X.columns)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A classifier with a signature, in a folder."""
    model = LogisticRegression(max_iter=500).fit(X, y)
    folder = tmp_path_factory.mktemp("classifier") / "m"
    signature = infer_signature(X, model.predict(X))
    skledger.sklearn.save_model(model, folder, signature=signature, input_example=X[:3])
    return model, folder


@pytest.fixture(scope="module")
def server(classifier, tmp_path_factory):
    """That classifier behind HTTP."""
    with ScoringServer(classifier[1], tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": NAMES, "data": [ROW, ROW]}},
        {"dataframe_split": {"columns": NAMES[::-1], "data": [ROW[::-1]] * 2, "index": [5, 6]}},
        {"dataframe_split": {"data": [ROW, ROW]}},
        {"dataframe_records": [dict(zip(NAMES, ROW))] * 2},
        {
            "dataframe_records": [
                dict(zip(NAMES[::-1], ROW[::-1])),
                {**dict(zip(NAMES, ROW)), "z": 1},
            ]
        },
        {"instances": [ROW, ROW]},
        {"instances": [dict(zip(NAMES, ROW))] * 2},
        {"inputs": [ROW, ROW]},
        {"inputs": {name: [value] * 2 for name, value in zip(NAMES, ROW)}},
        {"columns": NAMES, "data": [ROW, ROW]},
        {"columns": NAMES, "index": [0, 1], "data": [ROW, ROW]},
        {"columns": NAMES, "instances": [ROW, ROW]},
        {"columns": [*NAMES, "target"], "data": [[*ROW, 0]] * 2},
        [dict(zip(NAMES, ROW))] * 2,
        {"instances": [[5, 3.5, 1.4, 0.2], ROW]},
    ],
    ids=str,
)
def test_every_form_of_request_is_answered(server, body):
    """MLflow's, those of MLflow 1, and the one that tutorials teach; columns go by their names."""
    answer = server.post(body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"predictions": [0, 0]}


def test_csv_is_taken(server):
    """With names in the first line, in any order; other columns are left out."""
    text = X.assign(target=y)[["target", *NAMES[::-1]]].to_csv(index=True)
    expected = LogisticRegression(max_iter=500).fit(X, y).predict(X).tolist()
    assert server.predictions(text, kind="text/csv") == expected
    assert server.predictions(text.encode("utf-16"), kind="text/csv; charset=utf-16") == expected


def test_whole_numbers_stay_whole(server):
    """And probabilities are asked for by a param or by the address."""
    body = {"instances": [ROW]}
    assert server.post(body).text.replace(" ", "") == '{"predictions":[0]}'
    expected = (
        LogisticRegression(max_iter=500).fit(X, y).predict_proba(pd.DataFrame([ROW], columns=NAMES))
    )
    asked_for = {**body, "params": {"predict_method": "predict_proba"}}
    assert np.array_equal(server.predictions(asked_for), expected)
    path = "/invocations?predict_method=predict_proba"
    assert np.array_equal(server.predictions(body, path=path), expected)


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ("{", None, "no JSON"),
        (b"\xff\xfe{}", None, "UTF-8"),
        ("", None, "no JSON"),
        ("7", None, "one of dataframe_split"),
        ("[" * 100_000, None, "too deep"),
        ('{"instances": [[%s]]}' % ("9" * 9999), None, "no JSON"),
        ({}, None, "no field with data"),
        ({"instances": [ROW], "inputs": [ROW]}, None, "instances and inputs"),
        ({"instance": [ROW]}, "instance", "no such field"),
        ({"instances": [ROW], "parms": {}}, "parms", "no such field"),
        ({"instances": [ROW], "params": 1}, "params", "expected an object"),
        ({"instances": [ROW], "params": {"x": 1}}, "params.x", "no params"),
        (
            {"instances": [ROW], "params": {"predict_method": "fit"}},
            "params.predict_method",
            "'fit'",
        ),
        (
            {"instances": [ROW], "params": {"predict_method": "__class__"}},
            "params.predict_method",
            "predict_proba",
        ),
        ({"instances": ROW}, "instances", r"[[...]]"),
        ({"instances": [ROW, ROW[:2]]}, "instances", "row 1 has 2 values"),
        ({"instances": [ROW, 1]}, "instances", "some are not"),
        ({"instances": [[1.0, 2.0]]}, "instances", "sepal width"),
        ({"instances": 1}, "instances", "a number"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "inputs", "unequal lengths"),
        ({"inputs": None}, "inputs", "null"),
        ({"dataframe_split": {"columns": NAMES}}, "dataframe_split.data", "missing"),
        (
            {"dataframe_split": {"columns": NAMES, "data": [ROW[:2]]}},
            "dataframe_split.data",
            "row 0 has 2",
        ),
        (
            {"dataframe_split": {"columns": NAMES[:2], "data": [ROW[:2]]}},
            "dataframe_split.data",
            "petal length",
        ),
        (
            {"dataframe_split": {"columns": NAMES[:2] * 2, "data": [ROW]}},
            "dataframe_split.data",
            "twice",
        ),
        (
            {"dataframe_split": {"columns": "abcd", "data": [ROW]}},
            "dataframe_split.columns",
            "list of names",
        ),
        ({"dataframe_split": [ROW]}, "dataframe_split", "a list"),
        ({"dataframe_split": {"data": [ROW], "cols": 1}}, "dataframe_split.cols", "no such field"),
        ({"dataframe_records": [ROW]}, "dataframe_records[0]", "a list"),
        (
            {"dataframe_records": [dict(zip(NAMES, ROW)), {"a": 1}]},
            "dataframe_records",
            "row 1 lacks",
        ),
        (
            {"instances": [[*ROW[:3], "wide"]]},
            "instances",
            "'petal width (cm)': row 0 is 'wide', expected a number",
        ),
        ({"instances": [[*ROW[:3], True]]}, "instances", "expected a number"),
        ({"instances": [[*ROW[:3], 2**60]]}, "instances", "2**53"),
        ({"instances": [[*ROW[:3], None]]}, None, "NaN"),
        ({"instances": []}, None, "0 sample"),
    ],
    ids=str,
)
def test_what_cannot_be_taken_is_explained(server, body, field, words):
    """With 400, the field and the reason; the server goes on."""
    told = server.refusal(body)
    assert told["error_code"] == "BAD_REQUEST"
    assert words in told["message"]
    assert told.get("field") == field
    assert server.predictions({"instances": [ROW]}) == [0]


def test_wrong_csv_is_explained(server):
    """By column and row."""
    head = ",".join(NAMES)
    for text, words in (
        ("", "empty"),
        ("a,b\n1,2\n", "'petal width (cm)'"),
        (f"{head}\n1,2,3,4\n1,2,x,4\n", "column 'petal length (cm)': row 1 is 'x'"),
        (f"{head}\n1,2,3,4\n1,2,3,4,5,6,7\n", "CSV"),
    ):
        assert words in server.refusal(text, kind="text/csv")["message"], text
    assert (
        "lines"
        in server.refusal(f"{head}\n", kind="text/csv", path="/invocations?lines=1")["message"]
    )


def test_other_content_types_and_paths(server):
    """415, 404 and 405 say what is there instead."""
    for kind in ("text/plain", "application/xml", "application/json; charset=latin-1", None):
        answer = server.post({"instances": [ROW]}, kind=kind)
        assert answer.status_code == 415
        assert "application/json" in answer.json()["message"]
    assert server.post({"instances": [ROW]}, content_encoding="br").status_code == 415
    assert server.client.get("/nothing").status_code == 404
    answer = server.client.get("/invocations")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert server.client.post("/ping").status_code == 405


def test_packed_bodies_are_taken(server):
    """By gzip; what is broken is named."""
    packed = gzip.compress(json.dumps({"instances": [ROW]}).encode())
    assert server.predictions(packed, content_encoding="gzip") == [0]
    assert "gzip" in server.refusal(packed[:-9], content_encoding="gzip")["message"]
    assert "gzip" in server.refusal(b"no", content_encoding="gzip")["message"]


def test_the_small_paths(server):
    """Whether it is there, its version, and the figures of Prometheus."""
    for path in ("/ping", "/health"):
        assert server.client.get(path).status_code == 200
        assert server.client.head(path).content == b""
    assert server.client.get("/version").text == skledger.__version__
    before = server.metrics()
    server.predictions({"instances": [ROW] * 7})
    server.refusal({})
    after = server.metrics()
    for name, more in (
        ('skledger_invocations_total{status="200"}', 1),
        ('skledger_invocations_total{status="400"}', 1),
        ("skledger_predicted_rows_total", 7),
        ('skledger_invocation_seconds_bucket{le="+Inf"}', 2),
        ("skledger_invocation_seconds_count", 2),
    ):
        assert after[name] - before[name] == more, name
    assert after["skledger_invocations_in_progress"] == 0
    assert any(name.startswith("skledger_model_info{") for name in after)


def test_the_page_shows_the_signature_and_requests_that_work(server, tmp_path):
    """What it shows can be copied; it loads nothing from anywhere."""
    import html
    import re
    import shutil
    import subprocess

    answer = server.client.get("/", follow_redirects=True)
    assert answer.url.path == "/docs"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    text = answer.text
    assert all(name in text for name in (*NAMES, "predict_proba", "LogisticRegression", "double"))
    assert not re.search(r"<script|<link|<img|src=", text)
    curl, python, proba = map(html.unescape, re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", python], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[0, 0]"
    if shutil.which("curl"):
        for command, expected in ((curl, [0, 0]), (proba, None)):
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
            found = json.loads(done.stdout)["predictions"]
            assert found == expected if expected else len(found[0]) == 3


def test_nothing_of_a_model_becomes_html(tmp_path):
    """Names of columns and classes are text on the page."""
    evil = "<script>alert(1)</script>"
    frame = pd.DataFrame({evil: [0.0, 1.0], "b": [1.0, 0.0]})
    model = LogisticRegression().fit(frame, [evil, "'\"&"])
    skledger.sklearn.save_model(model, tmp_path / "m", input_example=frame)
    with ScoringServer(tmp_path / "m", tmp_path) as running:
        page = running.client.get("/docs").text
        assert "<script" not in page and "&lt;script&gt;" in page
        assert running.predictions({"dataframe_split": {"columns": [evil, "b"], "data": [[0, 1]]}})


def test_the_answers_are_those_of_mlflow(classifier, tmp_path):
    """MLflow's own parsing and predicting, asked in the same process, agrees on its forms."""
    pyfunc = pytest.importorskip("mlflow.pyfunc")
    server = pytest.importorskip("mlflow.pyfunc.scoring_server")
    model = pyfunc.load_model(str(classifier[1]))
    scorer = load_scorer(classifier[1], digests=None)
    split = {"columns": NAMES, "data": X.to_numpy().tolist()}
    for body in (
        {"dataframe_split": split},
        {"dataframe_records": X.to_dict("records")},
        {"instances": X.to_dict("records")},
        {"inputs": X.to_dict("list")},
    ):
        text = json.dumps(body)
        theirs = server.invocations(
            text, "application/json", model, model.metadata.get_input_schema()
        )
        assert (
            json.loads(theirs.response)["predictions"]
            == json.loads(scorer.answer_json(text.encode()).content)["predictions"]
        )
