"""Nothing is lost and nothing comes twice, whatever happens between a fit and its server.

A real server, behind a proxy that loses requests and answers.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from hashlib import sha256

import pytest
from _mlflow_server import mlflow_server  # noqa: F401 - a fixture
from _proxy import Proxy

import skledger
from skledger._writer import writer
from skledger.stores import outbox_courier
from skledger.stores.artifacts import artifact_store
from skledger.stores.outbox import open_outbox
from skledger.stores.rest import RestStore
from skledger.tracking import session
from skledger.tracking.entities import (
    LoggedModel,
    Metric,
    Param,
    RunChange,
    RunInfo,
    RunTag,
    ViewType,
)

pytestmark = pytest.mark.timeout(300)

#: By how much a fit may be slower with a server that does not answer than with a file, in s.
SLOWER = 0.1


@pytest.fixture
def proxy(mlflow_server, tmp_path, monkeypatch):  # noqa: F811
    """A proxy before the server that is not started yet; outboxes are the test's own."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outboxes"))
    monkeypatch.setattr(outbox_courier, "SHORTEST_PAUSE", 0.1)
    monkeypatch.setattr(outbox_courier, "LONGEST_PAUSE", 0.5)
    made = Proxy(mlflow_server.uri)
    yield made
    made.choose = lambda *_: 503
    session.reset()
    made.stop()


@pytest.fixture
def name():
    """An experiment of the test's own, which the server does not have."""
    return f"faults-{uuid.uuid4().hex[:12]}"


def runs_of(server, name):
    """Return the runs that a server has of an experiment."""
    store = RestStore(server.uri)
    experiment = store.get_experiment_by_name(name)
    if experiment is None:
        return []
    return list(store.search_runs([experiment.experiment_id], view_type=ViewType.ALL))


def files_of(server, run):
    """Return the artifacts of a run on the server's disk, with their digests."""
    folder = server.artifacts / run.info.experiment_id / run.info.run_id / "artifacts"
    return {
        str(each.relative_to(folder)): sha256(each.read_bytes()).hexdigest()
        for each in sorted(folder.rglob("*"))
        if each.is_file()
    }


def fit_some(data, count, first=0):
    """Fit, and return the seconds that each took."""
    from sklearn.linear_model import LogisticRegression

    seconds = []
    for number in range(first, first + count):
        begun = time.perf_counter()
        LogisticRegression(C=1.0 + number).fit(*data)
        seconds.append(time.perf_counter() - begun)
    return seconds


def fit_as_quickly(data, uri, name, tmp_path):
    """Fit until it is as quick as with a file, for a machine may be busy; return how many."""
    skledger.autolog()
    count = 0
    for _ in range(6):
        skledger.set_tracking_uri(f"sqlite:///{tmp_path / 'beside.db'}")
        with_file = min(fit_some(data, 3))
        skledger.set_tracking_uri(uri)
        skledger.set_experiment(name)
        with_server = min(fit_some(data, 3, count))
        count += 3
        if with_server - with_file < SLOWER:
            return count
    raise AssertionError(f"{with_server} s instead of {with_file} s")


def check_fits(server, name, count):
    """Make sure that the server has so many fits, each whole and once."""
    runs = runs_of(server, name)
    assert sorted(float(run.data.params["C"]) for run in runs) == [1.0 + n for n in range(count)]
    skledger.set_tracking_uri(server.uri)
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.metrics["training_score"] > 0.9
        files = files_of(server, run)
        assert {"training_plots.json", "estimator.html", "training_roc_curve.png"} <= set(files)
        store = RestStore(server.uri)
        models = store.search_logged_models(run.info.run_id)
        assert [model.name for model in models] == ["model"]
        theirs = store.get_run(run.info.run_id).outputs.model_outputs
        assert [each.model_id for each in theirs] == [models[0].model_id]
        estimator = skledger.sklearn.load_model(f"runs:/{run.info.run_id}/model")
        assert str(estimator.C) == run.data.params["C"]
    return runs


def test_a_server_that_is_down_costs_nothing_and_loses_nothing(
    proxy,
    mlflow_server,  # noqa: F811
    name,
    binary,
    tmp_path,
):
    """Fits are as quick as with a file; ``skledger sync`` brings all of them, each once."""
    count = fit_as_quickly(binary, proxy.uri, name, tmp_path)
    run_id = skledger.last_active_run().info.run_id
    before = skledger.sklearn.load_model(f"runs:/{run_id}/model")
    elsewhere = subprocess.run(
        [sys.executable, "-c", LOAD, proxy.uri, run_id], capture_output=True, text=True, timeout=120
    )
    assert elsewhere.stdout.split() == [str(before.C)], elsewhere.stderr
    writer.flush(60)
    assert not session.get_store().flush(5)
    session.reset()  # as the process ends
    assert runs_of(mlflow_server, name) == []
    proxy.start()
    synced = subprocess.run(
        [sys.executable, "-m", "skledger", "sync", proxy.uri], capture_output=True, text=True
    )
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert re.search(r"Sent \d+ records and \d+ files", synced.stdout)
    check_fits(mlflow_server, name, count)
    skledger.set_tracking_uri(proxy.uri)
    after = skledger.sklearn.load_model(f"runs:/{run_id}/model")
    assert after.C == before.C
    assert open_outbox(proxy.uri).left().is_nothing


LOAD = """
import sys
import skledger
skledger.set_tracking_uri(sys.argv[1])
print(skledger.sklearn.load_model(f"runs:/{sys.argv[2]}/model").C)
"""


@pytest.mark.slow
def test_a_server_that_never_answers_holds_up_nobody(
    proxy,
    mlflow_server,  # noqa: F811
    name,
    binary,
    tmp_path,
):
    """It accepts and is silent: fits are as quick as ever, and the process ends soon."""
    proxy.choose = lambda *_: "hang"
    proxy.start()
    count = fit_as_quickly(binary, proxy.uri, name, tmp_path)
    writer.flush(60)
    store = session.get_store()
    begun = time.monotonic()
    with pytest.raises(skledger.SkledgerError, match=r"did not answer within .* wait here"):
        store.search_runs(["0"])
    assert time.monotonic() - begun < 9
    begun = time.monotonic()
    session.reset()
    assert time.monotonic() - begun < 5
    proxy.choose = lambda *_: None
    assert open_outbox(proxy.uri).sync(lambda: None, 120) is None
    check_fits(mlflow_server, name, count)


def test_the_process_ends_in_time_while_the_server_hangs(proxy, tmp_path):
    """A script that fits once ends within seconds, and says what is left."""
    proxy.choose = lambda *_: "hang"
    proxy.start()
    script = textwrap.dedent(
        """
        import sys, time
        import skledger
        skledger.set_tracking_uri(sys.argv[1])
        with skledger.start_run():
            skledger.log_param("a", 1)
        time.sleep(0.5)
        print(time.time(), flush=True)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, proxy.uri], capture_output=True, text=True, timeout=120
    )
    ended = time.time()
    assert done.returncode == 0, done.stderr
    assert ended - float(done.stdout) < 5.0  # of it, 2.5 s to wait; the rest is Python's own end
    assert "wait to be sent to" in done.stderr


def test_a_server_that_fails_at_random_gets_everything_once(
    proxy,
    mlflow_server,  # noqa: F811
    name,
    binary,
):
    """A third of the requests is answered 500 or 429, or done without an answer."""
    chance = random.Random(7)
    faults = [500, 429, "lose", 503]
    proxy.choose = lambda *_: chance.choice(faults) if chance.random() < 0.33 else None
    proxy.start()
    skledger.set_tracking_uri(proxy.uri)
    skledger.set_experiment(name)
    skledger.autolog()
    fit_some(binary, 2)
    writer.flush(60)
    assert session.get_store().sync(lambda: None, 200) is None
    assert session.get_store().left().is_nothing
    proxy.choose = lambda *_: None
    check_fits(mlflow_server, name, 2)


@pytest.mark.slow
def test_one_sync_suffices_for_a_server_that_fails_at_random(
    proxy,
    mlflow_server,  # noqa: F811
    name,
):
    """Errors, refusals for the moment, and requests that were done without an answer."""
    store = open_outbox(proxy.uri)
    expected = book(store, name, 2)
    store.close()
    chance = random.Random(11)

    def choose(*_):
        kinds = {0.15: 500, 0.25: 429, 0.30: 503, 0.35: "lose", 0.42: "drop", 1.0: None}
        drawn = chance.random()
        return next(kind for share, kind in kinds.items() if drawn < share)

    proxy.choose = choose
    proxy.start()
    synced = subprocess.run(
        [sys.executable, "-m", "skledger", "sync", proxy.uri], capture_output=True, text=True
    )
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert open_outbox(proxy.uri, sends=False).left().is_nothing
    check_booked(mlflow_server, name, expected)


# A process that is killed at every point of a delivery


def book(store, name, count):
    """Book runs with everything they may have; return what each must be in the end."""
    experiment = store.experiment_for_runs(name)
    expected = {}
    parent = None
    for number in range(count):
        run_id = uuid.uuid4().hex
        place = f"{experiment.artifact_location}/{run_id}/artifacts"
        info = RunInfo(
            run_id=run_id,
            experiment_id=experiment.experiment_id,
            run_name=f"run {number}",
            user_id="u",
            status="RUNNING",
            start_time=1000 + number,
            end_time=None,
            lifecycle_stage="active",
            artifact_uri=place,
        )
        tags = [RunTag("number", str(number))]
        if parent is not None:
            tags.append(RunTag("mlflow.parentRunId", parent))
        params = tuple(Param(f"p{n}", str(n * number)) for n in range(150))
        store.write(RunChange(run_id, create=info, tags=tuple(tags), params=params))
        for step in range(5):
            store.write(RunChange(run_id, metrics=(Metric("m", step / 10, 5000 + step, step),)))
        files = {"a.txt": b"a" * number, "deep/b.bin": os.urandom(1000)}
        for path, content in files.items():
            artifact_store(place).put_bytes(path, content)
        model = book_model(experiment, run_id)
        store.write(RunChange(run_id, status="FINISHED", end_time=2000 + number, models=(model,)))
        expected[run_id] = {path: sha256(each).hexdigest() for path, each in files.items()}
        parent = parent or run_id
    return expected


def book_model(experiment, run_id):
    model_id = f"m-{uuid.uuid4().hex}"
    place = f"{experiment.artifact_location}/models/{model_id}/artifacts"
    files = {"MLmodel": f"model_id: {model_id}\nrun_id: {run_id}\n".encode(), "x.pkl": b"x"}
    for path, content in files.items():
        artifact_store(place).put_bytes(path, content)
    digests = json.dumps({path: sha256(each).hexdigest() for path, each in files.items()})
    return LoggedModel(
        model_id,
        experiment.experiment_id,
        "model",
        place,
        1,
        1,
        run_id,
        tags={"skledger.digests": digests},
    )


def check_booked(server, name, expected):
    """Make sure that the server has each record and each file once."""
    runs = runs_of(server, name)
    by_ours = {run.data.tags["skledger.run_id"]: run for run in runs}
    assert len(runs) == len(expected) and set(by_ours) == set(expected)
    first = by_ours[next(iter(expected))]
    for run_id, files in expected.items():
        run = by_ours[run_id]
        number = int(run.data.tags["number"])
        assert run.data.params == {f"p{n}": str(n * number) for n in range(150)}
        history = RestStore(server.uri).get_metric_history(run.info.run_id, "m")
        assert [(m.step, m.value) for m in history] == [(n, n / 10) for n in range(5)]
        assert (run.info.status, run.info.end_time) == ("FINISHED", 2000 + number)
        assert run.info.run_name == f"run {number}"
        if number:
            assert run.data.tags["mlflow.parentRunId"] == first.info.run_id
        assert files_of(server, run) == files
        check_model(server, run)
    folder = server.artifacts / first.info.experiment_id
    assert len([each for each in folder.iterdir() if each.name != "models"]) == len(expected)
    assert len(list((folder / "models").iterdir())) == len(expected)


def check_model(server, run):
    """Make sure that a run has one model, whole, which names itself and its run."""
    (model,) = RestStore(server.uri).search_logged_models(run.info.run_id)
    assert model.status == "READY"
    folder = server.artifacts / run.info.experiment_id / "models" / model.model_id / "artifacts"
    found = {each.name: each.read_bytes() for each in folder.iterdir()}
    assert found["MLmodel"].decode().split() == [
        "model_id:",
        model.model_id,
        "run_id:",
        run.info.run_id,
    ]
    digests = {path: sha256(each).hexdigest() for path, each in found.items()}
    assert json.loads(model.tags["skledger.digests"]) == digests


SYNC = """
import sys
from skledger.stores.outbox import open_outbox
store = open_outbox(sys.argv[1])
store.sync(lambda: None, 60)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_is_killed_while_forwarding_loses_nothing(
    proxy,
    mlflow_server,  # noqa: F811
    name,
    when,
):
    """Killed again and again, before a request reaches the server or before its answer comes."""
    chance = random.Random(when)
    store = open_outbox(proxy.uri)
    expected = book(store, name, 4)  # nobody listens yet
    store.close()
    proxy.start()
    kills = 0
    for _ in range(8):
        kills += killed_at(proxy, chance.randrange(1, 25), when)
    assert kills >= 4
    assert open_outbox(proxy.uri).sync(lambda: None, 120) is None
    assert open_outbox(proxy.uri).left().is_nothing
    check_booked(mlflow_server, name, expected)


def killed_at(proxy, request, when):
    """Send from a process that is killed at one of its requests; tell whether it came to that."""
    killed = threading.Event()
    first = proxy.count
    process = subprocess.Popen([sys.executable, "-c", SYNC, proxy.uri])

    def kill(number):
        if number - first == request:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed.set()

    def choose(number, method, path):
        kill(number)
        return 503 if killed.is_set() else None

    if when == "before":
        proxy.choose = choose
    else:
        proxy.after = kill
    assert process.wait(120) in (0, -signal.SIGKILL)
    proxy.choose, proxy.after = (lambda *_: None), None
    return killed.is_set()


def test_two_processes_send_one_outbox(proxy, mlflow_server, name):  # noqa: F811
    """Whoever comes first sends; the other waits or helps, and nothing comes twice."""
    store = open_outbox(proxy.uri)
    expected = book(store, name, 4)
    store.close()
    proxy.start()
    both = [subprocess.Popen([sys.executable, "-c", SYNC, proxy.uri]) for _ in range(3)]
    assert [each.wait(200) for each in both] == [0, 0, 0]
    assert open_outbox(proxy.uri).left().is_nothing
    check_booked(mlflow_server, name, expected)


def test_an_outage_in_the_middle_of_a_search_is_no_loss(
    proxy,
    mlflow_server,  # noqa: F811
    name,
    binary,
):
    """A search whose server goes and comes back has all its children below it there."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    proxy.start()
    skledger.set_tracking_uri(proxy.uri)
    skledger.set_experiment(name)
    skledger.autolog()
    away = threading.Timer(0.3, lambda: setattr(proxy, "choose", lambda *_: 503))
    away.start()
    GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0, 100.0]}, cv=3).fit(*binary)
    away.join()
    proxy.choose = lambda *_: None
    writer.flush(60)
    assert session.get_store().sync(lambda: None, 100) is None
    runs = runs_of(mlflow_server, name)
    (search,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not search]
    assert len(children) == 4
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {search.info.run_id}
    assert search.data.tags["skledger.best_run"] in {run.info.run_id for run in children}
    assert {run.info.status for run in runs} == {"FINISHED"}
