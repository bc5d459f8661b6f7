"""SQLite under many processes, forks, kills and full disks."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import uuid

import pytest

from skledger.errors import StoreError
from skledger.stores.opening import open_store
from skledger.tracking.entities import Metric, RunChange, RunInfo, as_params

PRELUDE = """
import sys, uuid
from skledger.errors import StoreError
from skledger.stores.opening import open_store
from skledger.tracking.entities import *

def change(name, size=5):
    run_id = uuid.uuid4().hex
    info = RunInfo(run_id, "0", name, "me", "RUNNING", 1, None, "active", "/x/" + run_id)
    return RunChange(
        run_id, create=info, status="FINISHED", end_time=2,
        params=as_params({f"p{i}": i for i in range(size)}),
        metrics=tuple(Metric(f"m{i}", i, 1) for i in range(size)),
        tags=as_tags({f"t{i}": i for i in range(size)}),
    )
"""


def start(code, *arguments, **options):
    program = PRELUDE + textwrap.dedent(code)
    return subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], **options)


def write_run(store, name="a run"):
    run_id = uuid.uuid4().hex
    info = RunInfo(run_id, "0", name, "me", "RUNNING", 1, None, "active", f"/x/{run_id}")
    store.write(RunChange(run_id, create=info, params=as_params({"p": 1})))
    return run_id


@pytest.mark.parametrize("attempt", range(3))
def test_eight_processes_open_a_fresh_file(tmp_path, attempt):
    """Eight processes that open a new database at once all succeed, and no run is lost."""
    uri = f"sqlite:///{tmp_path}/deep/skledger.db"
    code = """
    sys.stdin.readline()  # all start together
    store = open_store(sys.argv[1])
    for number in range(10):
        store.write(change(f"{sys.argv[2]}-{number}"))
    """
    crowd = [start(code, uri, who, stdin=subprocess.PIPE) for who in range(8)]
    time.sleep(1.0)
    for process in crowd:
        process.stdin.write(b"\n")
        process.stdin.close()
    assert [process.wait(60) for process in crowd] == [0] * 8
    store = open_store(uri)
    runs = store.search_runs(["0"])
    assert {run.info.run_name for run in runs} == {f"{w}-{n}" for w in range(8) for n in range(10)}
    assert all(len(run.data.params) == len(run.data.metrics) == 5 for run in runs)
    assert [each.name for each in store.search_experiments()] == ["Default"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_gets_connections_of_its_own(tmp_path):
    """Parent and children write on after a fork, while other threads of the parent write too."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    write_run(store)
    stop, failures = threading.Event(), []

    def keep_writing():
        try:
            while not stop.is_set():
                write_run(store, "thread")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=keep_writing) for _ in range(2)]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(5):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(10):
                    write_run(store, "child")
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
        write_run(store, "parent")
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    stop.set()
    for thread in threads:
        thread.join()
    assert (codes, failures) == ([0] * 5, [])
    names = [run.info.run_name for run in store.search_runs(["0"], max_results=50_000)]
    assert (names.count("child"), names.count("parent")) == (50, 5)
    store.close()
    assert check(tmp_path / "x.db") == "ok"


def check(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchone()[0]
    finally:
        connection.close()


def test_a_killed_writer_leaves_whole_runs(tmp_path):
    """kill -9 in the middle of writing: the database opens, and every run in it is complete."""
    uri = f"sqlite:///{tmp_path}/x.db"
    code = """
    store = open_store(sys.argv[1])
    print("ready", flush=True)
    while True:
        store.write(*(change("run", 20) for _ in range(3)))
        print("booked", flush=True)
    """
    booked = 0
    for attempt in range(6):
        process = start(code, uri, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.05 + 0.037 * attempt)
        process.send_signal(signal.SIGKILL)
        booked += process.stdout.read().count("booked")
        process.wait(10)
        process.stdout.close()
        store = open_store(uri)
        runs = store.search_runs(["0"], max_results=50_000)
        assert len(runs) >= 3 * booked
        assert len(runs) % 3 == 0
        for run in runs:
            assert run.info.status == "FINISHED"
            assert len(run.data.params) == len(run.data.metrics) == len(run.data.tags) == 20
        store.close()
    assert booked > 0
    assert check(tmp_path / "x.db") == "ok"


def test_a_busy_database_is_waited_for(tmp_path):
    """A write waits while another program holds the lock, and succeeds after it."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.4, other.execute, ("COMMIT",))
    timer.start()
    run_id = write_run(store)
    timer.join()
    assert store.get_run(run_id).data.params == {"p": "1"}
    other.close()


def test_readers_do_not_wait_for_a_writer(tmp_path):
    """While somebody writes, the last committed state is read at once."""
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    run_id = write_run(store)
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("DELETE FROM params")
    assert store.get_run(run_id).data.params == {"p": "1"}
    other.execute("ROLLBACK")
    other.close()


def test_a_full_disk_is_a_store_error(tmp_path):
    """When the file cannot grow, the write fails as a StoreError and nothing of it stays."""
    code = """
    import resource
    store = open_store(sys.argv[1])
    store.write(change("first"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
    try:
        for _ in range(100):
            store.write(*(change("more", 50) for _ in range(20)))
    except StoreError as error:
        assert sys.argv[1] in str(error) and "disk" in str(error), error
        sys.exit(7)
    """
    uri = f"sqlite:///{tmp_path}/x.db"
    assert start(code, uri).wait(60) == 7
    store = open_store(uri)
    runs = store.search_runs(["0"], max_results=50_000)
    assert len(runs) % 20 == 1
    assert all(len(run.data.params) in (5, 50) for run in runs)
    assert write_run(store)


def read_only(path):
    """Make a file one that cannot be written, for root too; return how to undo it."""
    if os.geteuid() == 0:
        done = subprocess.run(["chattr", "+i", path], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("root may write to everything here")
        return lambda: subprocess.run(["chattr", "-i", path], check=True)
    os.chmod(path, 0o444)
    return lambda: os.chmod(path, 0o644)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_file_reads_and_refuses_writes(tmp_path):
    """Runs in a file that cannot be written are read; writing is a StoreError."""
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}")
    run_id = write_run(store)
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    undo = read_only(path)
    try:
        again = open_store(f"sqlite:///{path}")
        assert again.get_run(run_id).info.run_id == run_id
        with pytest.raises(StoreError, match="cannot write.*readonly.*writable"):
            write_run(again)
        again.close()
    finally:
        undo()


def test_a_damaged_file_is_a_store_error(tmp_path):
    """A database whose pages are overwritten gives StoreErrors, not exceptions of the driver."""
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}")
    run_id = write_run(store)
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="x.db"):
        open_store(f"sqlite:///{path}").get_run(run_id)


def test_metrics_of_one_run_from_many_processes(tmp_path):
    """Processes that log to the same run lose no value, and agree on the last one."""
    uri = f"sqlite:///{tmp_path}/x.db"
    store = open_store(uri)
    run_id = write_run(store)
    code = """
    store = open_store(sys.argv[1])
    for step in range(25):
        number = int(sys.argv[3]) + 4 * step
        store.write(RunChange(sys.argv[2], metrics=(Metric("m", number, 1, number),)))
    """
    crowd = [start(code, uri, run_id, who) for who in range(4)]
    assert [process.wait(60) for process in crowd] == [0] * 4
    assert [each.step for each in store.get_metric_history(run_id, "m")] == list(range(100))
    assert store.get_run(run_id).data.metrics == {"m": 99.0}
    assert Metric("m", 99.0, 1, 99) in store.get_metric_history(run_id, "m")
