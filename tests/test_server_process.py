"""The tracking server as processes: start, size, slow clients, workers, ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from _tracking_server import TrackingServer

API = "/api/2.0/mlflow"
UPLOAD = "/api/2.0/mlflow-artifacts/artifacts/0/slow/artifacts"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with TrackingServer(f"sqlite:///{folder}/s.db", folder=folder) as running:
        yield running


def until(true, seconds=30):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.02)


def connect(server):
    return socket.create_connection(("127.0.0.1", server.port), timeout=30)


def head(method, path, size, *more):
    lines = (f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {size}", *more)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def created(server, name):
    return server.client.post(f"{API}/experiments/create", json={"name": name})


def family(server):
    """Return the process and those it started."""
    process = psutil.Process(server.process.pid)
    return [process, *process.children(recursive=True)]


# -- start and size ----------------------------------------------------------------------------------


def test_it_starts_without_the_large_libraries(tmp_path):
    """Neither scikit-learn nor pandas nor NumPy nor matplotlib; in half a second of work."""
    code = """
    import sys, time
    from skledger.server.settings import ServerSettings
    from skledger.server.tracking import TrackingServer
    import skledger.server.process.answering, uvicorn
    job = TrackingServer(ServerSettings("sqlite:///s.db", "artifacts"))
    with job.application(0, None):
        pass
    heavy = {"sklearn", "scipy", "pandas", "numpy", "matplotlib", "mlflow", "fsspec"} & set(sys.modules)
    assert not heavy, heavy
    print(time.process_time())
    """
    code = "\n".join(line.removeprefix("    ") for line in code.splitlines())
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                             text=True, check=True).stdout)
        for _ in range(2)
    ]  # fmt: skip
    assert min(seconds) < 1.5


def test_a_worker_is_small(server):
    """Far below 150 MB, also after requests."""
    for at in range(200):
        server.client.get("/")
        created(server, f"small {at}")
    assert all(each.memory_info().rss < 150e6 for each in family(server))


# -- slow clients ------------------------------------------------------------------------------------


def test_slow_clients_keep_nobody_waiting(server):
    """A hundred that send half a request, or do not read their answer, and the rest is quick."""
    large = server.client.put(f"{UPLOAD}/large.bin", content=b"x" * 8_000_000)
    assert large.status_code == 200
    slow = []
    for at in range(30):
        kinds = (
            b"GET / HTT",
            head("PUT", f"{UPLOAD}/{at}.bin", 1000, "Content-Type: text/plain") + b"x" * 10,
            head("POST", f"{API}/runs/create", 1000, "Content-Type: application/json") + b'{"',
            f"GET {UPLOAD}/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        )
        for each in kinds:
            slow.append(connect(server))
            slow[-1].sendall(each)
    time.sleep(0.5)
    for at in range(10):
        begun = time.monotonic()
        assert created(server, f"quick {at}").status_code == 200
        assert server.client.get("/").status_code == 200
        assert server.client.put(f"{UPLOAD}/q{at}.bin", content=b"y").status_code == 200
        assert time.monotonic() - begun < 3
    for each in slow:
        each.close()
    until(lambda: all(len(each.net_connections()) < 10 for each in family(server)))
    left = [each.name for each in server.folder.rglob("*.bin")]
    assert sorted(left) == sorted(["large.bin", *(f"q{at}.bin" for at in range(10))])


def test_half_a_request_is_not_waited_for_without_end(tmp_path, monkeypatch):
    """A head that does not come, and a body that does not, end the connection."""
    from skledger.server.process import protocol

    script = tmp_path / "serve.py"
    script.write_text(
        "from skledger.server.process import answering, protocol\n"
        "answering.guarded_protocol = lambda: protocol.guarded_protocol(0.5)\n"
        "from skledger.server.settings import ServerSettings\n"
        "from skledger.server.tracking import TrackingServer\n"
        "from skledger.server.process.listening import listen\n"
        "listening = listen('127.0.0.1', 0)\n"
        "settings = ServerSettings('memory:', 'artifacts', body_seconds=0.5)\n"
        "ready = lambda _: print(listening.getsockname()[1], flush=True)\n"
        "answering.answer_requests(TrackingServer(settings), listening, ready=ready)\n"
    )
    assert protocol._SECONDS <= 60
    process = subprocess.Popen([sys.executable, script], cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        port = int(process.stdout.readline())
        expected = {
            b"": None,
            b"GET / HTTP/1.1\r\nHost: loc": None,
            head("POST", f"{API}/runs/create", 100) + b"{": 408,
            head("PUT", f"{UPLOAD}/x.bin", 100) + b"{": 408,
        }
        for sent, status in expected.items():
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(sent)
                got = b""
                while part := connection.recv(65536):
                    got += part
            assert (int(got.split()[1]) if got else None) == status, sent
        # The next one on the same connection.
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = b""
            while not got.endswith(b"OK"):
                got += connection.recv(65536)
            connection.sendall(b"GET /he")
            assert connection.recv(65536) == b""
        # Who is idle between two requests may be so for longer.
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert client.get("/health").status_code == 200
            time.sleep(1)
            assert client.get("/health").status_code == 200
    finally:
        process.terminate()
        assert process.wait(20) == 0
        process.stdout.close()


# -- workers -----------------------------------------------------------------------------------------


def store_of(kind, request, folder):
    if kind == "sqlite":
        return f"sqlite:///{folder}/s.db"
    return request.getfixturevalue("postgres").new_database()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_workers_share_one_store(kind, request, tmp_path):
    """From the first moment: all make tables at the same time, nothing is lost or made twice."""
    with TrackingServer(store_of(kind, request, tmp_path), workers=3, folder=tmp_path) as server:
        until(lambda: len(family(server)) >= 4)

        def book(at):
            with httpx.Client(base_url=server.uri, timeout=60) as client:
                body = {"experiment_id": "0", "run_name": f"r{at}", "start_time": at}
                run = client.post(f"{API}/runs/create", json=body).json()["run"]["info"]["run_id"]
                metrics = [{"key": "m", "value": at, "timestamp": k, "step": k} for k in range(5)]
                told = client.post(
                    f"{API}/runs/log-batch", json={"run_id": run, "metrics": metrics}
                )
                assert told.status_code == 200, told.text
                shared = client.post(f"{API}/experiments/create", json={"name": "the one"})
                return run, shared.status_code

        with ThreadPoolExecutor(12) as pool:
            booked = list(pool.map(book, range(60)))
        assert sorted({status for _, status in booked}) == [200, 400]
        assert [status for _, status in booked].count(200) == 1
        body = {"experiment_ids": ["0"], "max_results": 1000}
        runs = server.client.post(f"{API}/runs/search", json=body).json()["runs"]
        assert {each["info"]["run_id"] for each in runs} == {run for run, _ in booked}
        assert all(each["data"]["metrics"][0]["step"] == 4 for each in runs)
    assert server.process.returncode == 0


def test_a_worker_that_dies_is_replaced(tmp_path):
    """Requests go on being answered, and what was booked is there."""
    with TrackingServer(f"sqlite:///{tmp_path}/s.db", workers=2, folder=tmp_path) as server:
        assert created(server, "before").status_code == 200
        first = set(family(server)[1:])
        for each in first:
            each.kill()
        until(lambda: len(set(family(server)[1:]) - first) == 2)
        with httpx.Client(base_url=server.uri, timeout=60) as client:
            found = client.get(f"{API}/experiments/get-by-name?experiment_name=before")
            assert found.status_code == 200
        assert "another takes its place" in server.text()


def test_workers_end_with_the_process_that_started_them(tmp_path):
    """Also when that is killed: the port is free again."""
    with TrackingServer(f"sqlite:///{tmp_path}/s.db", workers=2, folder=tmp_path) as server:
        workers = family(server)[1:]
        server.process.kill()
        until(lambda: not any(each.is_running() for each in workers))


def test_a_store_that_cannot_be_opened_is_told_once(tmp_path):
    """With the reason, by one process as by several, and no traceback."""
    (tmp_path / "no.db").write_bytes(b"this is no database" * 100)
    for workers in (1, 3):
        with (
            pytest.raises(RuntimeError) as raised,
            TrackingServer(f"sqlite:///{tmp_path}/no.db", workers=workers, folder=tmp_path),
        ):
            pass
        text = str(raised.value)
        assert text.count("Error: ") == 1
        assert "no.db" in text
        assert "Traceback" not in text


# -- the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_is_finished(number, workers, tmp_path):
    """An upload that has begun ends well; new connections are not taken any more."""
    with TrackingServer(f"sqlite:///{tmp_path}/s.db", workers=workers, folder=tmp_path) as server:
        upload = connect(server)
        upload.sendall(head("PUT", f"{UPLOAD}/late.bin", 10) + b"01234")
        time.sleep(0.3)
        idle = connect(server)
        server.process.send_signal(number)

        def is_closed():
            try:
                connect(server).close()
            except OSError:
                return True
            return False

        until(is_closed)
        assert idle.recv(10) == b""
        upload.sendall(b"56789")
        assert b" 200 " in upload.recv(1000)
        upload.close()
        idle.close()
        assert server.process.wait(20) == 0
    assert (tmp_path / "s-artifacts/0/slow/artifacts/late.bin").read_bytes() == b"0123456789"
    assert server.text().endswith("Stopped.\n")
    assert "Traceback" not in server.text()
    # The write-ahead log is folded into the database.
    assert not (tmp_path / "s.db-wal").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_asked_twice_it_waits_for_nobody(workers, tmp_path):
    """A second Ctrl-C ends it at once; half a file is nowhere."""
    with TrackingServer(f"sqlite:///{tmp_path}/s.db", workers=workers, folder=tmp_path) as server:
        upload = connect(server)
        upload.sendall(head("PUT", f"{UPLOAD}/late.bin", 10) + b"01234")
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        server.process.wait(20)
        assert time.monotonic() - begun < 5
        upload.close()
    assert not list(tmp_path.rglob("late.bin"))
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_stopping_under_load_loses_nothing(tmp_path):
    """What was answered with 200 is in the store, whenever the stop came."""
    uri = f"sqlite:///{tmp_path}/s.db"
    answered = []
    with TrackingServer(uri, workers=2, folder=tmp_path) as server:

        def book(seed):
            with httpx.Client(base_url=server.uri, timeout=30) as client:
                for at in range(10_000):
                    name = f"e{seed}-{at}"
                    try:
                        told = client.post(f"{API}/experiments/create", json={"name": name})
                    except httpx.TransportError:
                        return
                    if told.status_code == 200:
                        answered.append(json.loads(told.text)["experiment_id"])

        threads = [threading.Thread(target=book, args=(at,)) for at in range(4)]
        for each in threads:
            each.start()
        time.sleep(1)
        assert server.stop() == 0
        for each in threads:
            each.join()
    from skledger.stores.opening import open_store

    store = open_store(uri)
    known = {each.experiment_id for each in store.search_experiments(max_results=50_000)}
    store.close()
    assert answered
    assert set(answered) <= known


# -- what has not arrived ----------------------------------------------------------------------------


def test_what_ended_while_the_server_was_away_is_not_called_killed(tmp_path, run_python):
    """Its end waits in an outbox: the pages say so, and it is finished when that was sent."""
    place = f"sqlite:///{tmp_path}/s.db"
    stop, stopped = tmp_path / "stop", tmp_path / "stopped"
    code = f"""
    import pathlib, time
    import skledger
    with skledger.start_run(run_name="a search") as parent:
        skledger.start_run(run_name="one", nested=True, tags={{"skledger.candidate": "0"}})
        skledger.log_metric("mean_test_score", 0.5)
        skledger.end_run()
        assert skledger.flush(20)
        pathlib.Path({str(stop)!r}).touch()
        while not pathlib.Path({str(stopped)!r}).exists():
            time.sleep(0.02)
        skledger.log_metric("late", 1.0)
    """
    with TrackingServer(place, folder=tmp_path) as server:
        port, env = server.port, {"SKLEDGER_TRACKING_URI": server.uri}
        with ThreadPoolExecutor(1) as pool:
            script = pool.submit(run_python, code, env=env)
            until(lambda: stop.exists() or script.done())
            server.stop()
            stopped.touch()
            script.result()
    with TrackingServer(place, folder=tmp_path, port=port) as server:

        def found():
            asked = {"experiment_ids": ["0"], "filter": "tags.`mlflow.runName` = 'a search'"}
            (run,) = server.client.post(f"{API}/runs/search", json=asked).json()["runs"]
            return run["info"]

        run = found()
        assert run["status"] == "RUNNING"
        for page in ("", "/search"):
            text = server.client.get(f"/runs/{run['run_id']}{page}").text
            assert "has arrived" in text and "skledger sync" in text
        run_python("from skledger.cli import main; main(['sync'])", check=False, env=env)
        assert found()["status"] == "FINISHED"
        assert "has arrived" not in server.client.get(f"/runs/{run['run_id']}").text
