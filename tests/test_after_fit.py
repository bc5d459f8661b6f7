"""What is computed after a fit lands in the run of the model that it is about."""

from __future__ import annotations

import gc
import json
import textwrap
import time
import weakref
from pathlib import Path

import _mlflow_server
import numpy as np
import pytest
from _snippets import PRELUDE, SNIPPETS
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score
from sklearn.model_selection import train_test_split

import skledger
from skledger.stores.artifacts import artifact_store

mlflow_server = _mlflow_server.mlflow_server


def files_of(run):
    return artifact_store(run.info.artifact_uri)


def read(run, name):
    with files_of(run).open(name) as stream:
        return json.load(stream)


def info_of(run):
    """Return ``metric_info.json``, empty where there is none."""
    return read(run, "metric_info.json") if "metric_info.json" in files_of(run).list() else {}


def keys_of(run):
    """Return the keys of what was measured, and the documents."""
    documents = {each for each in files_of(run).list("measured") if each.endswith(".json")}
    return {*info_of(run), *documents}


def after(run):
    """Return the metrics that were booked after the fit."""
    return {key: run.data.metrics[key] for key in info_of(run)}


def top_runs():
    runs = skledger.search_runs(output_format="list")
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


@pytest.fixture
def split(binary):
    """Breast cancer as ``X_train, X_test, y_train, y_test``."""
    return train_test_split(*binary, random_state=0)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda each: each.name)
def test_a_snippet_books_these_keys(snippet):
    """Code as people write it, with exactly the keys that it is booked under."""
    source = compile(PRELUDE + textwrap.dedent(snippet.code), "script.py", "exec")
    exec(source, {"__name__": "__main__"})
    skledger.flush()
    found = {}
    for run in top_runs():
        name = run.data.tags.get("estimator_name", "user")
        found.setdefault(name, set()).update(keys_of(run))
        assert set(info_of(run)) <= set(run.data.metrics)
    assert found == snippet.keys


def test_there_are_enough_snippets():
    """At least forty of them, all different."""
    assert len({each.name for each in SNIPPETS}) == len(SNIPPETS) >= 40


def test_values_are_those_that_were_returned(autolog, split):
    """A metric is booked with the value the user got, in the run and of the logged model."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    accuracy = accuracy_score(y_test, model.predict(X_test))
    area = roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])
    score = model.score(X_test, y_test)
    run = skledger.last_active_run()
    expected = {
        "accuracy_score_X_test": accuracy,
        "roc_auc_score_X_test": area,
        "LogisticRegression_score_X_test": score,
    }
    assert after(run) == expected
    of_model = {each.key: each.value for each in skledger.last_logged_model().metrics}
    assert expected.items() <= of_model.items()


def test_metrics_of_a_logged_model_tell_their_data(autolog, split):
    """Those of the fit the training data, those after it what they were measured on."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    model.score(X_test, y_test)
    accuracy_score(y_test, model.predict(X_test))
    accuracy_score(y_train, model.predict(X_train))
    accuracy_score(y_test.copy(), [0] * len(y_test))  # nobody's
    run = skledger.last_active_run()
    used = {each.dataset.name: each.dataset.digest for each in run.inputs.dataset_inputs}
    found = {
        each.key: (each.dataset_name, each.dataset_digest)
        for each in skledger.last_logged_model().metrics
    }
    train, test = (("X_train", used["X_train"]), ("X_test", used["X_test"]))
    assert train != test
    for key in ("training_score", "fit_seconds", "accuracy_score-2_X_train"):
        assert found[key] == train
    for key in ("LogisticRegression_score_X_test", "accuracy_score_X_test"):
        assert found[key] == test
    asked = [{"dataset_name": "X_test", "dataset_digest": used["X_test"]}]
    order = [{"field_name": "metrics.accuracy_score_X_test", "dataset_name": "X_test"}]
    (only,) = skledger.search_logged_models(
        filter_string="metrics.accuracy_score_X_test > 0",
        datasets=asked,
        order_by=order,
        output_format="list",
    )
    assert only.source_run_id == run.info.run_id


def test_metric_info_tells_the_calls(autolog, split):
    """MLflow's form, and how the model was found where it is not the very array."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    p = model.predict(X_test)
    accuracy_score(y_test, p, normalize=False)
    accuracy_score(y_true=y_test, y_pred=p.tolist())
    roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])
    model.score(X_test, y_test, sample_weight=np.ones(len(y_test)))
    assert info_of(skledger.last_active_run()) == {
        "LogisticRegression_score_X_test": (
            "LogisticRegression.score(X=X_test, y=y_test, sample_weight=<ndarray>)"
        ),
        "accuracy_score-2_X_test": "accuracy_score(y_true=y_test, y_pred=<list>)  # values",
        "accuracy_score_X_test": "accuracy_score(y_true=y_test, y_pred=p, normalize=False)",
        "roc_auc_score_X_test": "roc_auc_score(y_true=y_test, y_score=<ndarray>)  # view",
    }


def test_documents_hold_what_was_returned(autolog, split):
    """A matrix is a document with the call, its value and the numbers of its picture."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    matrix = confusion_matrix(y_test, model.predict(X_test))
    skledger.flush()
    run = skledger.last_active_run()
    document = read(run, "measured/confusion_matrix_X_test.json")
    assert document["value"] == matrix.tolist()
    assert document["call"] == "confusion_matrix(y_true=y_test, y_pred=<ndarray>)"
    assert document["picture"]["labels"] == ["0", "1"]
    assert "measured/confusion_matrix_X_test.png" in files_of(run).list("measured")


def test_nan_is_a_value(autolog, split):
    """A metric that is not defined is booked as such."""
    from sklearn.metrics import r2_score

    X_train, X_test, y_train, _ = split
    model = Ridge().fit(X_train, y_train)
    one = X_test[:1]
    with pytest.warns(UserWarning, match="not well-defined"):
        r2_score([1.0], model.predict(one))
    (value,) = after(skledger.last_active_run()).values()
    assert np.isnan(value)


def test_held_out_pictures_come_once(autolog, split):
    """The same pictures as for training data, of the first metric of labels and of scores."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    p, proba = model.predict(X_test), model.predict_proba(X_test)
    for _ in range(3):
        accuracy_score(y_test, p)
        roc_auc_score(y_test, proba[:, 1])
    accuracy_score(y_train, model.predict(X_train))
    skledger.flush()
    run = skledger.last_active_run()
    names = {"confusion_matrix", "roc_curve", "precision_recall_curve", "calibration"}
    drawn = {each for each in files_of(run).list() if each.startswith("X_")}
    assert drawn == {f"X_test_{name}.png" for name in names} | {"X_test_plots.json"}
    numbers = read(run, "X_test_plots.json")
    expected = confusion_matrix(y_test, p).tolist()
    assert numbers["X_test_confusion_matrix"]["matrix"] == expected
    area = numbers["X_test_roc_curve"]["curves"][0]["area"]
    assert area == pytest.approx(roc_auc_score(y_test, proba[:, 1]), abs=1e-6)


def test_a_score_brings_pictures_too(autolog, split):
    """Of a regressor, predictions against targets and residuals, by one more predict."""
    X_train, X_test, y_train, y_test = split
    asked = []

    class Counting(Ridge):
        def predict(self, X):
            asked.append(len(X))
            return super().predict(X)

    model = Counting().fit(X_train, y_train)
    asked.clear()
    model.score(X_test, y_test)
    model.score(X_test, y_test)
    assert len(asked) == 3
    skledger.flush()
    names = {"X_test_predicted_vs_actual.png", "X_test_residuals.png"}
    assert names <= set(files_of(skledger.last_active_run()).list())


def test_a_part_of_the_data_gives_no_picture_of_it(autolog, split):
    """A slice is not what its name says."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    p = model.predict(X_test)
    accuracy_score(y_test[:20], p[:20])
    skledger.flush()
    run = skledger.last_active_run()
    assert not [each for each in files_of(run).list() if each.startswith("X_test")]
    accuracy_score(y_test, p)
    skledger.flush()
    assert "X_test_confusion_matrix.png" in files_of(run).list()


def test_two_models_in_one_run_keep_their_pictures(autolog, split):
    """The second has the ending of its fit, as all its files."""
    X_train, X_test, y_train, y_test = split
    with skledger.start_run() as run:
        for C in (0.01, 1.0):
            LogisticRegression(C=C).fit(X_train, y_train).score(X_test, y_test)
    skledger.flush()
    names = {"X_test_confusion_matrix.png", "X_test_confusion_matrix-2.png"}
    assert names <= set(files_of(run).list())


def test_undrawn_pictures_are_drawn_later(autolog, split):
    """Their numbers are stored beside."""
    from skledger.ledger.drawing import draw_missing

    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    confusion_matrix(y_test, model.predict(X_test))
    skledger.flush()
    run = skledger.last_active_run()
    wanted = ["X_test_confusion_matrix.png", "measured/confusion_matrix_X_test.png"]
    for each in wanted:
        Path(files_of(run).local_path(each)).unlink()
    assert sorted(draw_missing(run)) == wanted


def test_what_was_measured_is_seen_by_who_reads(autolog, split):
    """Reading writes what waits; without it, it is there soon."""
    X_train, X_test, y_train, y_test = split
    model = Ridge().fit(X_train, y_train)
    run_id = skledger.last_active_run().info.run_id
    model.score(X_test, y_test)
    assert "Ridge_score_X_test" in skledger.get_run(run_id).data.metrics
    model.score(X_test, y_test)
    from skledger.tracking.session import get_store

    until = time.monotonic() + 10
    while time.monotonic() < until:
        if "Ridge_score-2_X_test" in get_store().get_run(run_id).data.metrics:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the background writer has not written it")


def test_what_was_measured_is_written_at_exit(run_python):
    """A script that ends right after its last metric loses nothing."""
    run_python(
        """
        import skledger
        from sklearn.linear_model import Ridge
        from sklearn.metrics import r2_score
        skledger.autolog()
        X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.1, 1.9, 3.0]
        model = Ridge().fit(X, y)
        r2_score(y, model.predict(X))
        """
    )
    (run,) = top_runs()
    assert set(info_of(run)) == {"r2_score_X"}


def test_another_process_goes_on_counting(autolog, split, run_python, tmp_path):
    """A model that is loaded elsewhere is measured in its run, under further names."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    accuracy_score(y_test, model.predict(X_test))
    skledger.flush()
    run = skledger.last_active_run()
    np.savez(tmp_path / "data.npz", X=X_test, y=y_test)
    run_python(
        f"""
        import numpy as np, skledger
        from sklearn.metrics import accuracy_score
        skledger.autolog()
        with np.load("data.npz") as data:
            X_test, y_test = data["X"], data["y"]
        model = skledger.sklearn.load_model("runs:/{run.info.run_id}/model")
        accuracy_score(y_test, model.predict(X_test))
        """
    )
    assert set(info_of(run)) == {"accuracy_score_X_test", "accuracy_score-2_X_test"}
    assert "accuracy_score-2_X_test" in skledger.get_run(run.info.run_id).data.metrics


def test_data_that_a_model_is_measured_on_are_inputs(autolog, split):
    """Once each, beside the training data, by name and in MLflow's contexts."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    for _ in range(2):
        model.score(X_test, y_test)
        accuracy_score(y_test, model.predict(X_test))
    accuracy_score(y_train, model.predict(X_train))
    inputs = skledger.last_active_run().inputs.dataset_inputs
    found = {(each.tags[0].value, each.dataset.name) for each in inputs}
    assert found == {("train", "X_train"), ("eval", "X_test")}
    assert len(inputs) == 2


def test_each_fit_of_a_warm_start_is_a_step(autolog, split):
    """What is measured between the fits has the step of the one before."""
    X_train, X_test, y_train, y_test = split
    model = SGDClassifier(random_state=0, warm_start=True)
    for _ in range(2):
        model.fit(X_train, y_train)
        model.score(X_test, y_test)
    run_id = skledger.last_active_run().info.run_id
    client = skledger.TrackingClient()
    history = client.get_metric_history(run_id, "SGDClassifier_score_X_test")
    assert [each.step for each in history] == [0, 1]


def test_steps_of_a_stream_are_steps_of_the_metric(autolog, split):
    """What is measured after each partial_fit has the step of that call."""
    X_train, X_test, y_train, y_test = split
    model = SGDClassifier(random_state=0)
    values = []
    for _ in range(3):
        model.partial_fit(X_train, y_train, classes=[0, 1])
        values.append(model.score(X_test, y_test))
    client = skledger.TrackingClient()
    run_id = skledger.last_active_run().info.run_id
    history = client.get_metric_history(run_id, "SGDClassifier_score_X_test")
    assert [(each.step, each.value) for each in history] == list(enumerate(values))


def test_nothing_of_the_users_is_kept(autolog, split):
    """Predictions, data and models go when the user lets them go."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    data, truth = X_test.copy(), y_test.copy()
    predicted = model.predict(data)
    accuracy_score(truth, predicted)
    confusion_matrix(truth, predicted)
    model.score(data, truth)
    gone = [weakref.ref(each) for each in (data, truth, predicted, model)]
    del data, truth, predicted, model
    gc.collect()
    assert [each() for each in gone] == [None] * 4
    skledger.flush()


def test_later_changes_do_not_leak(autolog, split):
    """What is booked is what was measured, whatever happens to the arrays then."""
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    truth, predicted = y_test.copy(), model.predict(X_test)
    matrix = confusion_matrix(truth, predicted)
    expected = matrix.tolist()
    matrix[:], truth[:], predicted[:] = 0, 0, 0
    skledger.flush()
    run = skledger.last_active_run()
    assert read(run, "measured/confusion_matrix_X_test.json")["value"] == expected
    numbers = read(run, "X_test_plots.json")
    assert numbers["X_test_confusion_matrix"]["matrix"] == expected


def test_checks_of_a_score_are_tags(autolog):
    """A model that knows its training data by heart is told of, once."""
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 5)), rng.integers(0, 2, 400)
    X_train, X_test, y_train, y_test = X[:200], X[200:], y[:200], y[200:]
    model = DecisionTreeClassifier(random_state=0).fit(X_train, y_train)
    model.score(X_test, y_test)
    accuracy_score(y_test, model.predict(X_test))
    tags = skledger.last_active_run().data.tags
    assert "score is" in tags["skledger.check.train_better_than_test"]


def test_large_values_are_bounded(autolog, split):
    """A curve of many points and a large matrix are kept as evenly spaced values."""
    from sklearn.metrics import precision_recall_curve

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30_000, 3)), rng.integers(0, 2, 30_000)
    model = LogisticRegression().fit(X[:100], y[:100])
    precision_recall_curve(y, model.predict_proba(X)[:, 1])
    skledger.flush()
    document = read(skledger.last_active_run(), "measured/precision_recall_curve_X.json")
    assert {len(each) for each in document["value"].values()} == {1000}
    assert document["value"]["recall"][0] == 1.0
    assert document["value"]["recall"][-1] == 0.0


def test_a_notebook_books_as_a_script_does(tmp_path):
    """Cells of their own for fit, prediction and metric; names are those of the cells."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [
        "from sklearn.metrics import accuracy_score, classification_report",
        PRELUDE + "skledger.autolog()",
        "model = LogisticRegression(max_iter=200)\nmodel.fit(X_train, y_train)",
        "model.predict(X_test)",
        "y_pred = _",
        "accuracy_score(y_test, y_pred)",
        "model.score(X_test, y_test)",
        "p = model.predict_proba(X_test)[:, 1]",
        "accuracy_score(y_test, p > 0.5)",
        "skledger.flush()",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=resources).execute()
    (run,) = top_runs()
    assert set(info_of(run)) == {
        "accuracy_score_X_test",
        "accuracy_score-2_X_test",
        "LogisticRegression_score_X_test",
    }


LIKE_MLFLOW = """
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score, mean_squared_error

model = LogisticRegression(max_iter=200).fit(X_train, y_train)
p = model.predict(X_test)
accuracy_score(y_test, p)
accuracy_score(y_test, p, normalize=False)
f1_score(y_test, p, average="macro", zero_division=0.0)
f1_score(y_test, p, average=None)
model.score(X_test, y_test)
model.score(X_train, y_train)
model.score(X_test, y_test, sample_weight=np.ones(len(y_test)))
X_test = X_test.copy()
q = model.predict(X_test)
accuracy_score(y_true=y_test, y_pred=q)
accuracy_score(y_test[:50], model.predict(X_test[:50]))
proba = model.predict_proba(X_test)
log_loss(y_test, proba)
other = Ridge().fit(X_train, y_train)
r = other.predict(X_test)
mean_squared_error(y_test, r)
mean_squared_error(y_test, p)
"""


def test_keys_and_calls_are_those_of_mlflow(run_python):
    """The same script under MLflow's autologging books the same keys, values and calls."""
    pytest.importorskip("mlflow")
    run_python(
        "import json, logging, mlflow\n"
        "mlflow.set_tracking_uri('sqlite:///theirs.db')\n"
        "mlflow.sklearn.autolog(log_models=False, log_datasets=False, silent=True)\n"
        + PRELUDE.replace("import skledger\n", "")
        + LIKE_MLFLOW
        + textwrap.dedent(
            """
            found = {}
            for run in mlflow.search_runs(output_format="list"):
                info = mlflow.artifacts.load_dict(run.info.artifact_uri + "/metric_info.json")
                values = {key: [run.data.metrics[key], info[key]] for key in info}
                found[run.data.tags["estimator_name"]] = values
            json.dump(found, open("theirs.json", "w"))
            """
        ),
        script=True,
        env={"MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    theirs = json.loads(Path("theirs.json").read_text())
    code = compile(PRELUDE + "skledger.autolog()" + LIKE_MLFLOW, "script.py", "exec")
    exec(code, {"__name__": "__main__"})
    ours = {
        run.data.tags["estimator_name"]: {k: [v, info_of(run)[k]] for k, v in after(run).items()}
        for run in top_runs()
    }
    assert ours == theirs
    assert len(ours["LogisticRegression"]) == 10


def test_a_tracking_server_has_it_too(autolog, split, mlflow_server):
    """What was measured reaches a server through the outbox, and its files."""
    skledger.set_tracking_uri(mlflow_server.uri)
    X_train, X_test, y_train, y_test = split
    model = LogisticRegression().fit(X_train, y_train)
    accuracy_score(y_test, model.predict(X_test))
    confusion_matrix(y_test, model.predict(X_test))
    assert skledger.flush(60)
    (run,) = top_runs()
    assert keys_of(run) == {"accuracy_score_X_test", "measured/confusion_matrix_X_test.json"}
    assert "accuracy_score_X_test" in run.data.metrics


def test_a_fork_leaves_the_parents_models_alone(autolog, split):
    """A child counts no calls in a run of its parent."""
    import multiprocessing

    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this platform does not fork")
    X_train, X_test, y_train, y_test = split
    model = Ridge().fit(X_train, y_train)
    model.score(X_test, y_test)
    child = multiprocessing.get_context("fork").Process(target=model.score, args=(X_test, y_test))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert set(after(skledger.last_active_run())) == {"Ridge_score_X_test"}
