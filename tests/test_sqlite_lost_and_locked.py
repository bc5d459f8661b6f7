"""A SQLite file that is removed, moved, replaced or locked while a process works with it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing

import pytest
from sqlalchemy.exc import IntegrityError

from skledger.errors import StoreError
from skledger.stores import sqlite
from skledger.stores.opening import open_store
from skledger.tracking.entities import RunChange, RunInfo, as_params

SUFFIXES = ("", "-wal", "-shm")
posix = pytest.mark.skipif(os.name == "nt", reason="what is open cannot be removed there")


def write_run(store, name="a run", experiment="0"):
    run_id = uuid.uuid4().hex
    info = RunInfo(run_id, experiment, name, "me", "RUNNING", 1, None, "active", f"/x/{run_id}")
    store.write(RunChange(run_id, create=info, params=as_params({"p": 1})))
    return run_id


def names(store):
    return sorted(run.info.run_name for run in store.search_runs(["0"], max_results=50_000))


def names_in(path):
    """The names of the runs in a file, as somebody else finds them."""
    store = open_store(f"sqlite:///{path}")
    try:
        return names(store)
    finally:
        store.close()


def assert_whole(path):
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []


@posix
@pytest.mark.parametrize("suffixes", [("",), ("", "-wal"), ("", "-shm"), SUFFIXES])
@pytest.mark.parametrize("before", [1, 30])
def test_a_removed_file_is_made_again(tmp_path, suffixes, before):
    """After `rm skledger.db`, with or without its log, runs go to a new whole database."""
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}")
    for _ in range(before):
        write_run(store, "old")
    for suffix in suffixes:
        os.remove(f"{path}{suffix}")
    write_run(store, "new")
    assert names(store) == ["new"]
    assert names_in(path) == ["new"]
    for number in range(20):
        write_run(store, f"later {number:02}")
    assert len(names(store)) == 21
    store.close()
    assert sorted(os.listdir(tmp_path)) == ["x.db"]
    assert_whole(path)


@posix
def test_a_removed_file_is_made_again_after_close_and_for_readers(tmp_path):
    """A store that was closed before, or is only read from then on, finds an empty database."""
    path = tmp_path / "deep" / "x.db"
    store = open_store(f"sqlite:///{path}")
    write_run(store)
    store.close()
    path.unlink()
    write_run(store, "new")
    assert names(store) == ["new"]
    shutil.rmtree(path.parent)
    assert names(store) == []
    assert store.get_experiment("0").name == "Default"


@posix
def test_threads_go_on_when_the_file_is_removed(tmp_path):
    """Threads that write meanwhile go on; what they write from then on is in one new database."""
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}")
    failures, stop = [], threading.Event()

    def work(number):
        while not stop.is_set():
            try:
                write_run(store, str(number))
            except StoreError as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
    for thread in threads:
        thread.start()
    for suffixes in [("",), SUFFIXES, ("",)]:
        time.sleep(0.2)
        for suffix in suffixes:
            try:
                os.remove(f"{path}{suffix}")
            except FileNotFoundError:
                pass
    time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    count = len(names(store))
    assert count
    last = write_run(store, "last")
    assert store.get_run(last).info.run_name == "last"
    assert len(names_in(path)) == count + 1
    store.close()
    assert_whole(path)


@posix
def test_processes_go_on_when_the_file_is_removed(tmp_path):
    """Several processes agree on the new database, whoever of them makes it."""
    path = tmp_path / "x.db"
    code = """
import sys, uuid
from skledger.stores.opening import open_store
from skledger.tracking.entities import RunChange, RunInfo
store = open_store(sys.argv[1])
for line in sys.stdin:
    for _ in range(20):
        run_id = uuid.uuid4().hex
        store.write(RunChange(run_id, create=RunInfo(
            run_id, "0", line.strip(), "me", "RUNNING", 1, None, "active", "/x")))
    print("done", flush=True)
"""
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"sqlite:///{path}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for word in ("first", "second", "third"):
        for process in crowd:
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
        for process in crowd:
            assert process.stdout.readline() == "done\n"
        assert names_in(path) == [word] * 60
        if word != "third":
            path.unlink()
    for process in crowd:
        process.stdin.close()
        assert process.wait(30) == 0
        process.stdout.close()
    assert_whole(path)


@posix
def test_a_moved_file_is_whole(tmp_path):
    """A database that is moved away under a live process takes along what its log holds."""
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}")
    for _ in range(5):
        write_run(store, "old")
    path.rename(tmp_path / "kept.db")
    write_run(store, "new")
    assert names(store) == ["new"]
    store.close()
    assert names_in(tmp_path / "kept.db") == ["old"] * 5
    assert_whole(tmp_path / "kept.db")


@posix
def test_a_restored_file_is_the_one_that_counts(tmp_path):
    """A back-up that takes the file's place is not mixed with the log of the one before."""
    path = tmp_path / "x.db"
    store = open_store(f"sqlite:///{path}")
    write_run(store, "saved")
    store.close()
    shutil.copy(path, tmp_path / "copy.db")
    for _ in range(30):
        write_run(store, "regretted")
    os.replace(tmp_path / "copy.db", path)
    write_run(store, "new")
    assert names(store) == ["new", "saved"]
    store.close()
    assert_whole(path)


@posix
def test_leftovers_of_a_killed_process_do_no_harm(tmp_path):
    """A log without its database, as after a kill and `rm skledger.db`, is not read."""
    path = tmp_path / "x.db"
    code = f"""
import os
from skledger.stores.opening import open_store
store = open_store("sqlite:///{path}")
store.create_experiment("one")
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert os.path.getsize(f"{path}-wal")
    path.unlink()
    store = open_store(f"sqlite:///{path}")
    write_run(store)
    assert [each.name for each in store.search_experiments()] == ["Default"]
    store.close()
    assert_whole(path)


def test_a_lock_of_somebody_else_is_waited_for_once(tmp_path, monkeypatch):
    """After one wait in vain the next are short, for a new store too, until a write went well."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 1.0)
    monkeypatch.setattr(sqlite, "SHORT_TIMEOUT", 0.1)
    store = open_store(f"sqlite:///{tmp_path}/x.db")
    run_id = write_run(store)

    def seconds_in_vain(of):
        start = time.perf_counter()
        with pytest.raises(StoreError, match="locked; another process keeps it busy"):
            write_run(of)
        return time.perf_counter() - start

    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert seconds_in_vain(store) > 0.9
    assert seconds_in_vain(store) < 0.6
    assert store.get_run(run_id).info.run_id == run_id  # that readers need not wait changes nothing
    assert seconds_in_vain(store) < 0.6
    assert seconds_in_vain(open_store(store.uri)) < 0.6
    other.execute("COMMIT")
    write_run(store)
    other.execute("BEGIN IMMEDIATE")
    assert seconds_in_vain(store) > 0.9
    other.execute("COMMIT")
    other.close()
    write_run(store)


def test_a_file_that_cannot_even_be_opened_is_waited_for_once(tmp_path, monkeypatch):
    """A lock that keeps a new file from being prepared does not hold up each attempt."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 1.0)
    monkeypatch.setattr(sqlite, "SHORT_TIMEOUT", 0.1)
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        with pytest.raises(StoreError, match="locked"):
            open_store(f"sqlite:///{tmp_path}/x.db")
        taken.append(time.perf_counter() - start)
    assert taken[0] > 0.9
    assert max(taken[1:]) < 0.8
    other.execute("ROLLBACK")
    other.close()
    write_run(open_store(f"sqlite:///{tmp_path}/x.db"))


def only_look(monkeypatch, *paths):
    """Have the system say that paths must not be written; the tests may run as root."""
    real = os.access
    kept = {str(path) for path in paths}
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in kept and real(path, mode))


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_read_only_database_is_read_and_refuses_writes(tmp_path, monkeypatch, what):
    """Reading works without a trace; writing says that it is read-only; until it is not."""
    path = tmp_path / "odd ?#%41 name.db"
    uri = f"sqlite:///{path}"
    store = open_store(uri)
    run_id = write_run(store)
    store.close()
    only_look(monkeypatch, path if what == "file" else tmp_path)
    looker = open_store(uri)
    assert looker.get_run(run_id).data.params == {"p": "1"}
    with pytest.raises(StoreError, match="cannot write.*readonly.*writable"):
        write_run(looker)
    with pytest.raises(StoreError, match="cannot write.*readonly.*writable"):
        looker.create_experiment("one")
    assert os.listdir(tmp_path) == [path.name]
    monkeypatch.undo()
    write_run(looker)
    assert len(names(looker)) == 2


def test_who_may_only_look_sees_what_the_owner_writes(tmp_path, monkeypatch):
    """A read-only store follows the owner's writes, whether they are in the log or folded in."""
    uri = f"sqlite:///{tmp_path}/x.db"
    owner = open_store(uri)
    write_run(owner, "1")
    owner.close()
    only_look(monkeypatch, tmp_path / "x.db")
    looker = open_store(uri)
    assert names(looker) == ["1"]
    monkeypatch.undo()
    owner = open_store(uri)
    write_run(owner, "2")
    only_look(monkeypatch, tmp_path / "x.db")
    assert names(looker) == ["1", "2"]
    owner.close()
    assert names(looker) == ["1", "2"]


def test_a_file_that_is_not_there_yet_is_not_read_only(tmp_path, monkeypatch):
    """A new database is made, though nobody may write to a file that does not exist."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    store = open_store(f"sqlite:///{tmp_path}/new/x.db")
    monkeypatch.undo()
    write_run(store)


def test_the_driver_s_errors_are_translated(tmp_path):
    """What the driver refuses while rows are sent is what SQLAlchemy makes of it."""
    from skledger.stores import sql_rows

    store = open_store(f"sqlite:///{tmp_path}/x.db")
    run_id = write_run(store)
    rows = sql_rows.Rows()
    rows["tag"].append((run_id, "k", "v"))
    with store._database.writing() as connection:
        sql_rows.send(connection, rows)
    with pytest.raises(IntegrityError), store._database.writing() as connection:
        sql_rows.send(connection, rows)
    rows["tag"] = [(run_id, "other", object())]
    with pytest.raises(StoreError, match="type 'object'"), store._database.writing() as connection:
        sql_rows.send(connection, rows)
    assert store.get_run(run_id).data.tags == {"k": "v"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_threads_may_fork_at_once(tmp_path):
    """Forks of several threads, while others write, leave no lock behind in parent or child."""
    code = f"""
import os, threading, uuid
from skledger.stores.opening import open_store
from skledger.tracking.entities import RunChange, RunInfo
stores = [open_store("sqlite:///{tmp_path}/x.db"), open_store("memory:")]
def write(name):
    for store in stores:
        run_id = uuid.uuid4().hex
        store.write(RunChange(run_id, create=RunInfo(
            run_id, "0", name, "me", "RUNNING", 1, None, "active", "/x")))
def fork():
    for _ in range(5):
        child = os.fork()
        if not child:
            write("child"); stores[0].close(); os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
def work():
    while not stop.is_set():
        write("parent")
stop = threading.Event()
crowd = [threading.Thread(target=fork) for _ in range(4)]
busy = [threading.Thread(target=work) for _ in range(2)]
for each in crowd + busy: each.start()
for each in crowd: each.join()
stop.set()
for each in busy: each.join()
assert len(stores[0].search_runs(["0"], "attributes.run_name = 'child'")) == 20
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
