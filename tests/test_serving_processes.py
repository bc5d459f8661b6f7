"""The server as processes: limits, workers, ends, and models that are not what was booked."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from _scoring_server import ScoringServer
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

import skledger
import skledger.sklearn
from skledger.models import infer_signature

X, y = load_iris(return_X_y=True, as_frame=True)
ROW = [5.1, 3.5, 1.4, 0.2]

#: Waits for a file as long as the first number of a row says; negative numbers end the process.
SLOW = """
import os, signal, time
from pathlib import Path
import numpy as np
from sklearn.base import BaseEstimator

class Slow(BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = 1
        return self

    def predict(self, X):
        wait = float(np.asarray(X)[0][0])
        if wait == -3:
            os._exit(3)
        if wait < -1:
            raise RuntimeError("broken")
        if wait < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        Path("started").touch()
        end = time.monotonic() + wait
        while wait and time.monotonic() < end and not Path("go on").exists():
            time.sleep(0.01)
        return np.full(len(X), os.getpid())
"""
TAMPERED = "skledger-was-here"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A classifier with a signature, in a folder."""
    folder = tmp_path_factory.mktemp("classifier") / "m"
    model = LogisticRegression(max_iter=500).fit(X, y)
    skledger.sklearn.save_model(model, folder, signature=infer_signature(X, y))
    return folder


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """A model whose predictions take as long as they are told, or end the process."""
    (tmp_path / "slow_model.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib
    import sys

    sys.modules.pop("slow_model", None)
    module = importlib.import_module("slow_model")
    skledger.sklearn.save_model(module.Slow().fit(None), tmp_path / "slow")
    yield tmp_path / "slow"
    sys.modules.pop("slow_model", None)


def until(true, seconds=60):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.02)


def is_there(server):
    """Tell whether somebody listens."""
    host, port = server.uri.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def body_of(seconds):
    return {"instances": [[float(seconds)]]}


# -- limits ----------------------------------------------------------------------------------------


def test_large_bodies_are_refused(classifier, tmp_path):
    """Told or untold, packed or not, with 413; the server has not kept them, and goes on."""
    large = json.dumps({"instances": [ROW] * 20_000})
    with ScoringServer(classifier, tmp_path, "--max-body", "100k") as server:
        for content, more in (
            (large, {}),
            (gzip.compress(large.encode()), {"content_encoding": "gzip"}),
            (gzip.compress(bytes(50_000_000)), {"content_encoding": "gzip"}),
        ):
            answer = server.post(content, **more)
            assert answer.status_code == 413
            assert "100,000 bytes" in answer.json()["message"]

        def parts():
            for at in range(0, len(large), 10_000):
                yield large[at : at + 10_000].encode()

        named = {"content-type": "application/json"}
        answer = server.client.post("/invocations", content=parts(), headers=named)
        assert answer.status_code == 413
        assert server.predictions({"instances": [ROW]}) == [0]


def test_a_request_that_never_ends_is_given_up(classifier, tmp_path):
    """With 408, when its body does not come; others are answered meanwhile."""
    with ScoringServer(classifier, tmp_path, "--timeout", "1") as server:
        address = server.uri.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1]))) as waiting:
            waiting.sendall(
                b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            assert server.predictions({"instances": [ROW]}) == [0]
            assert b" 408 " in waiting.recv(1000)


def test_a_server_without_a_free_thread_says_so(slow, tmp_path):
    """504 for what takes too long, 503 for what waits too long; and when it is over it answers."""
    options = ("--threads", "1", "--timeout", "1")
    with ScoringServer(slow, tmp_path, *options) as server, ThreadPoolExecutor(2) as pool:
        late = pool.submit(server.post, body_of(600))
        until((tmp_path / "started").exists)
        waited = server.post(body_of(0))
        assert waited.status_code == 503
        assert int(waited.headers["retry-after"]) >= 1
        assert late.result().status_code == 504
        assert server.client.get("/health").status_code == 503
        (tmp_path / "go on").touch()
        until(lambda: server.client.get("/health").status_code == 200)
        assert server.predictions(body_of(0)) == [server.process.pid]


def test_a_client_that_hangs_up_costs_nothing(slow, tmp_path):
    """Neither in the middle of its request nor before its answer."""
    with ScoringServer(slow, tmp_path, "--threads", "2") as server:
        host, port = server.uri.removeprefix("http://").split(":")
        head = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        for body in (
            b"Content-Length: 100\r\n\r\n{",
            b"Content-Length: 21\r\n\r\n" + b'{"instances":[[0.2]]}',
        ):
            with socket.create_connection((host, int(port))) as gone:
                gone.sendall(head + body)
        assert server.predictions(body_of(0)) == [server.process.pid]
        until(lambda: server.metrics()["skledger_invocations_in_progress"] == 0)
        assert "Traceback" not in server.text()


def test_a_model_that_fails_is_a_500(slow, tmp_path):
    """With what it said; the traceback stays with whoever runs the server."""
    with ScoringServer(slow, tmp_path) as server:
        answer = server.post(body_of(-2))
        assert answer.status_code == 500
        assert "RuntimeError: broken" in answer.json()["message"]
        assert "Traceback" not in answer.text and "Traceback" in server.text()
        assert server.predictions(body_of(0)) == [server.process.pid]


# -- processes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_answered_before_the_end(slow, tmp_path, workers, number):
    """After SIGTERM or Ctrl-C nothing new is taken, and the exit code is 0."""
    with (
        ScoringServer(slow, tmp_path, "--workers", workers) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        under_way = pool.submit(server.post, body_of(60))
        until((tmp_path / "started").exists)
        server.process.send_signal(number)
        until(lambda: not is_there(server))
        assert server.process.poll() is None and not under_way.done()
        (tmp_path / "go on").touch()
        assert under_way.result().status_code == 200
        assert server.process.wait(30) == 0
        assert server.text().endswith("Stopped.\n") and "Traceback" not in server.text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_does_not_wait(slow, tmp_path, workers):
    """Who asks twice gets the end at once."""
    with (
        ScoringServer(slow, tmp_path, "--workers", workers) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        under_way = pool.submit(server.post, body_of(600))
        until((tmp_path / "started").exists)
        server.process.send_signal(signal.SIGINT)
        until(lambda: not is_there(server))
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 0
        try:
            assert under_way.result().status_code == 500
        except httpx.TransportError:
            pass  # the connection is gone, which says the same


def test_several_workers_answer_and_dead_ones_are_replaced(slow, tmp_path):
    """Each is asked; the figures are those of all; the connection of the dead one is lost only."""
    with ScoringServer(slow, tmp_path, "--workers", "2") as server:

        def ask(_):
            answer = httpx.post(f"{server.uri}/invocations", json=body_of(0.02), timeout=60)
            return answer.json()["predictions"][0]

        with ThreadPoolExecutor(8) as pool:
            asked = set(pool.map(ask, range(60)))
        assert len(asked) == 2 and server.process.pid not in asked
        assert server.metrics()["skledger_predicted_rows_total"] == 60
        with pytest.raises(Exception):
            server.post(body_of(-1))
        until(lambda: server.metrics()["skledger_worker_starts_total"] == 3)
        assert "SIGKILL; another takes its place" in server.text()
        with ThreadPoolExecutor(8) as pool:
            until(lambda: len(set(pool.map(ask, range(20))) - asked) == 1)
        assert server.metrics()["skledger_predicted_rows_total"] > 60


@pytest.mark.slow
def test_a_worker_that_ends_while_it_predicts_is_replaced(slow, tmp_path):
    """Whatever its exit code is; that of a worker that cannot serve the model is no exception."""
    with ScoringServer(slow, tmp_path, "--workers", "2") as server:
        with pytest.raises(Exception):
            server.post(body_of(-3))
        until(lambda: server_starts(server) == 3)
        assert "exit code 3; another takes its place" in server.text()
        assert server.process.poll() is None
        assert server.post(body_of(0)).status_code == 200


def test_why_a_model_cannot_be_served_is_said_once(classifier, tmp_path):
    """However many workers there are."""
    import shutil

    shutil.copytree(classifier, tmp_path / "m")
    (tmp_path / "m" / "model.pkl").unlink()
    for model, why in ((tmp_path / "m", "'model.pkl' is missing"), (tmp_path / "x", "no folder")):
        with (
            pytest.raises(RuntimeError) as failed,
            ScoringServer(model, tmp_path, "--workers", "2"),
        ):
            pass
        text = str(failed.value)
        assert text.count("Error: ") == 1 and text.count(why) == 1, text
        assert len(text.splitlines()) == 1, text


#: Tells that it is being loaded, and takes long.
LOADING = """
import time
from pathlib import Path

def load():
    Path(f"loading {time.monotonic_ns()}").touch()
    time.sleep(60)
"""


class Loading:
    """Takes long to be unpickled."""

    def __reduce__(self):
        import loading_model

        return loading_model.load, ()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_while_the_model_is_loaded_is_one_line(classifier, tmp_path, monkeypatch, workers):
    """As in a terminal, where workers get it, too: exit code 130, no traceback, nobody left."""
    import shutil

    (tmp_path / "loading_model.py").write_text(LOADING)
    monkeypatch.syspath_prepend(str(tmp_path))
    shutil.copytree(classifier, tmp_path / "m")
    (tmp_path / "m" / "model.pkl").write_bytes(pickle.dumps(Loading()))
    sys.modules.pop("loading_model", None)
    log = (tmp_path / "log").open("w+b")
    process = subprocess.Popen(
        [sys.executable, "-m", "skledger", "models", "serve", "-m", "m", "-p", "0", "-w", workers],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        until(lambda: len(list(tmp_path.glob("loading [0-9]*"))) == int(workers))
        children = psutil.Process(process.pid).children()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
        psutil.wait_procs(children, 10)
        assert not any(each.is_running() for each in children)
        log.seek(0)
        assert log.read() == b"Stopped before any request was answered.\n"
    finally:
        process.kill()
        log.close()


@pytest.mark.parametrize("seconds", [0.6, 1.0, 1.4])
def test_ctrl_c_while_workers_start_is_one_line(classifier, tmp_path, seconds):
    """Whatever Python does at that moment in the workers."""
    with (tmp_path / "log").open("w+b") as log:
        command = ["models", "serve", "-m", str(classifier), "-p", "0", "-w", "2"]
        process = subprocess.Popen(
            [sys.executable, "-m", "skledger", *command],
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until(lambda: psutil.Process(process.pid).children())
        time.sleep(seconds - 0.5)
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(30)
        log.seek(0)
        text = log.read().decode()
    assert "Traceback" not in text and "KeyboardInterrupt" not in text
    if "Serving" in text:  # it was faster
        assert code == 0
    else:
        assert (code, text) == (130, "Stopped before any request was answered.\n")


def test_workers_do_not_outlive_the_server(slow, tmp_path):
    """Not even when it is killed; the port is free again."""
    with ScoringServer(slow, tmp_path, "--workers", "2") as server:
        workers = psutil.Process(server.process.pid).children()
        assert len(workers) == 2
        server.process.kill()
        server.process.wait()
        psutil.wait_procs(workers, 30)
        assert not any(each.is_running() for each in workers)
        assert not is_there(server)


def test_a_port_that_is_taken_is_an_error(classifier, tmp_path):
    """One line, exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with (
            pytest.raises(RuntimeError, match=f"(?s)port {port}.*-p"),
            ScoringServer(classifier, tmp_path, "-p", port),
        ):
            pass


# -- trust -----------------------------------------------------------------------------------------


class Command:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {Path.cwd() / TAMPERED}",)


def logged(tmp_path):
    """Log a model in a run; return its URI and its folder."""
    model = LogisticRegression(max_iter=500).fit(X, y)
    with skledger.start_run():
        info = skledger.sklearn.log_model(
            model, name="m", signature=infer_signature(X, y), input_example=X[:2]
        )
    store = skledger.get_logged_model(info.model_id)
    return info.model_uri, Path(store.artifact_location)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_tampered_model_is_not_served(tmp_path, workers):
    """Its pickle is not executed, no request is answered, and the exit code is 1."""
    uri, folder = logged(tmp_path)
    with ScoringServer(uri, tmp_path, "--workers", workers) as server:
        assert server.predictions({"instances": [ROW]}) == [0]
    (folder / "model.pkl").write_bytes(pickle.dumps(Command()))
    with (
        pytest.raises(RuntimeError, match="not the file that was booked"),
        ScoringServer(uri, tmp_path, "--workers", workers),
    ):
        pass
    assert not (tmp_path / TAMPERED).exists()


@pytest.mark.parametrize("name", ["MLmodel", "serving_input_example.json", "requirements.txt"])
def test_no_file_of_a_model_may_change(tmp_path, name):
    """What a page would show, and what says how the model is loaded, are compared, too."""
    uri, folder = logged(tmp_path)
    (folder / name).write_text((folder / name).read_text() + "\n")
    with (
        pytest.raises(RuntimeError, match="not the file that was booked"),
        ScoringServer(uri, tmp_path),
    ):
        pass


def test_a_worker_that_starts_anew_looks_again(tmp_path):
    """A model that was changed while it is served is never unpickled."""
    uri, folder = logged(tmp_path)
    with ScoringServer(uri, tmp_path, "--workers", "2") as server:
        (folder / "model.pkl").write_bytes(pickle.dumps(Command()))
        for path in ("/docs", "/metrics", "/version", "/health"):
            assert server.client.get(path).status_code == 200
        psutil.Process(server.process.pid).children()[0].kill()
        assert server.process.wait(60) == 1
        assert "not the file that was booked" in server.text()
    assert not (tmp_path / TAMPERED).exists()


def test_a_name_of_the_registry_is_looked_up_once(tmp_path):
    """A worker that starts anew serves the same version as the others, wherever the alias points."""
    uri, _ = logged(tmp_path)
    client = skledger.MlflowClient()
    skledger.register_model(uri, "iris")
    client.set_registered_model_alias("iris", "champion", "1")
    with ScoringServer("models:/iris@champion", tmp_path, "--workers", "2") as server:
        assert server.predictions({"instances": [ROW]}) == [0]
        other = LogisticRegression(max_iter=500).fit(X, 2 - y)
        with skledger.start_run():
            skledger.sklearn.log_model(other, name="m", registered_model_name="iris")
        client.set_registered_model_alias("iris", "champion", "2")
        for each in psutil.Process(server.process.pid).children():
            each.kill()
        until(lambda: server_starts(server) == 4)
        assert server.predictions({"instances": [ROW]}) == [0]


def server_starts(server):
    """Return how many workers were started; 0 while nobody can tell."""
    try:
        return server.metrics()["skledger_worker_starts_total"]
    except httpx.TransportError:
        return 0


def test_a_model_without_code_needs_no_trust(tmp_path):
    """The format skops, with pickles refused."""
    pytest.importorskip("skops")
    model = LogisticRegression(max_iter=500).fit(X, y)
    skledger.sklearn.save_model(model, tmp_path / "m", serialization_format="skops")
    with ScoringServer(tmp_path / "m", tmp_path, "--no-pickle") as server:
        assert server.predictions({"instances": [ROW]}) == [0]


def test_requests_are_never_unpickled(classifier, tmp_path):
    """Whatever they claim to be."""
    with ScoringServer(classifier, tmp_path) as server:
        content = pickle.dumps(Command())
        for kind in (
            "application/x-pickle",
            "application/octet-stream",
            "application/json",
            "text/csv",
        ):
            assert server.post(content, kind=kind).status_code in (400, 415)
    assert not (tmp_path / TAMPERED).exists()


def test_pickles_can_be_refused(classifier, tmp_path):
    """By an option, or by the environment."""
    for options, env in ((["--no-pickle"], {}), ([], {"SKLEDGER_ALLOW_PICKLE": "0"})):
        with (
            pytest.raises(RuntimeError, match="(?i)pickle"),
            ScoringServer(classifier, tmp_path, *options, env=env),
        ):
            pass


def test_concurrent_requests_get_their_own_answers(classifier, tmp_path):
    """Hundreds at the same time, each with the predictions for its rows."""
    expected = LogisticRegression(max_iter=500).fit(X, y).predict(X)
    rows = X.to_numpy().tolist()
    rng = np.random.default_rng(0)
    wrong = []
    with ScoringServer(classifier, tmp_path, "--workers", "2") as server:

        def ask(seed):
            at = np.random.default_rng(seed).integers(0, len(rows), 5)
            found = server.predictions({"instances": [rows[i] for i in at]})
            if found != expected[at].tolist():
                wrong.append(seed)

        threads = [
            threading.Thread(target=lambda: [ask(s) for s in rng.integers(0, 10**9, 25)])
            for _ in range(8)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert server.metrics()['skledger_invocations_total{status="200"}'] == 200
    assert not wrong
