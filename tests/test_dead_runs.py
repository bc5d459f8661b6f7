"""Runs whose process was killed: who ends them, when, and which runs are left alone."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from _pages import serving
from _tracking_server import TrackingServer
from click.testing import CliRunner

import skledger
from skledger.cli import main
from skledger.stores import sqlite
from skledger.tracking import processes, session
from skledger.tracking.context import process_identity
from skledger.tracking.dead_runs import end_at_opening, find_dead_runs
from skledger.tracking.entities import Metric, RunChange, RunInfo, as_tags
from skledger.tracking.names import now_ms
from skledger.tracking.processes import process_lives, process_text

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="there it cannot be told who lives")

HOST, PID, START = process_identity().rsplit("/", 2)
#: A process that had our number before us.
DEAD = f"{HOST}/{PID}/{int(START or 0) - 1}"
#: The number of no process: beyond the greatest there can be.
GONE = f"{HOST}/{2**22 + 1}/1"
ELSEWHERE = f"elsewhere/{PID}/1"


def book(process=None, *, name="a run", status="RUNNING", start_time=1000, parent=None, **content):
    """Book a run as some process would have; return its identifier."""
    run_id = os.urandom(16).hex()
    info = RunInfo(run_id, "0", name, "me", status, start_time, None, "active", "/x")
    tags = {"mlflow.runName": name}
    if process is not None:
        tags["skledger.process"] = process
    if parent is not None:
        tags["mlflow.parentRunId"] = parent
    store = session.get_store(end_dead_runs=False)
    store.write(RunChange(run_id, create=info, tags=as_tags(tags), **content))
    return run_id


def open_again():
    """Open the store as a new process would."""
    session.reset()
    return session.get_store()


def as_it_is(run_id):
    """Return a run without ending any."""
    return session.get_store(end_dead_runs=False).get_run(run_id)


def assert_ended(run, end_time, reason="ProcessDied"):
    assert (run.info.status, run.info.end_time) == ("KILLED", end_time)
    assert run.data.tags["skledger.error.type"] == reason
    assert "skledger.process" not in run.data.tags


@pytest.fixture
def cli():
    """Run a command as a process of its own would: with a store that is not open yet."""

    def run(*arguments, code=0):
        session.reset()
        result = CliRunner().invoke(main, [str(each) for each in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return run


def begin(code):
    """Start a program; return it when it has printed a line, and that line."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    return process, process.stdout.readline().strip()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


IN_A_RUN = """
    import time
    import skledger
    with skledger.start_run(run_name="outer") as run:
        skledger.log_metric("loss", 0.5)
        with skledger.start_run(run_name="inner", nested=True):
            print(run.info.run_id, flush=True)
            time.sleep(60)
    """

IN_A_FIT = """
    import time
    import skledger; skledger.autolog()
    from sklearn.base import BaseEstimator
    class Slow(BaseEstimator):
        def fit(self, X, y=None):
            print("fitting", flush=True)
            time.sleep(60)
            return self
    Slow().fit([[1.0]])
    """


@posix
def test_a_killed_script_is_ended_by_the_next_one(run_python):
    """After SIGKILL inside `start_run`, another process that opens the store ends both runs."""
    process, outer = begin(IN_A_RUN)
    # While it lives, nobody ends its runs.
    run_python("import skledger; skledger.search_runs()")
    assert as_it_is(outer).info.status == "RUNNING"
    kill(process)
    run_python("import skledger; skledger.search_runs()")
    store = session.get_store()
    run = store.get_run(outer)
    inner = next(each for each in store.search_runs(["0"]) if each.info.run_name == "inner")
    assert_ended(inner, inner.info.start_time)
    # That it started a child is the last that is known of it.
    assert_ended(run, inner.info.start_time)
    said = run.data.tags["skledger.error.message"]
    assert f"process {process.pid} on {socket.gethostname()} ended without ending this run" in said


@posix
def test_a_killed_fit_is_ended_by_a_command(cli):
    """A fit that was announced and then killed is KILLED for whoever looks."""
    process, line = begin(IN_A_FIT)
    assert line == "fitting"
    deadline = time.monotonic() + 30
    runs = []
    while not runs and time.monotonic() < deadline:
        time.sleep(0.1)
        if Path("skledger.db").exists():
            runs = session.get_store(end_dead_runs=False).search_runs(["0"])
    assert "RUNNING" in cli("runs")
    kill(process)
    table = cli("runs")
    assert re.search(r" Slow-\w{4} +KILLED ", table)
    assert "RUNNING" not in table
    assert f"ProcessDied: The process {process.pid} on" in cli("show", "last")
    run = as_it_is(runs[0].info.run_id)
    assert_ended(run, run.info.start_time)


@needs_proc
def test_only_what_is_surely_dead_is_ended():
    """Gone processes and reused numbers are; the living, other machines and riddles are not."""
    dead = [book(each) for each in (DEAD, GONE)]
    kept = [
        book(each)
        for each in (
            process_identity(),
            f"{HOST}/{PID}/",
            ELSEWHERE,
            f"{HOST}+12345/{PID}/1",
            f"{HOST}/x/1",
            f"{HOST}/{'9' * 5000}/1",
            "a/b",
            "",
            None,
        )
    ]
    ended = book(DEAD, status="FINISHED")
    store = open_again()
    for run_id in dead:
        assert_ended(store.get_run(run_id), 1000)
    assert {store.get_run(each).info.status for each in kept} == {"RUNNING"}
    assert store.get_run(ended).info.status == "FINISHED"
    assert store.get_run(ended).data.tags["skledger.process"] == DEAD


@posix
def test_the_end_is_the_last_sign_of_life():
    """The latest metric, or what a descendant shows; never a time in the future, never now."""
    metrics = (Metric("a", 1, 5000), Metric("b", 1, 4000), Metric("c", 1, now_ms() * 1000))
    lone = book(GONE, metrics=metrics)
    top = book(GONE, name="top")
    middle = book(GONE, parent=top)
    book(GONE, parent=middle, metrics=(Metric("a", 1, 7000),))
    finished = book(parent=middle)
    store = session.get_store(end_dead_runs=False)
    store.write(RunChange(finished, status="FINISHED", end_time=9000))
    store = open_again()
    assert [store.get_run(each).info.end_time for each in (lone, top, middle)] == [5000, 9000, 9000]


@posix
def test_runs_that_are_each_others_parents_end():
    """A circle of parents does not hang."""
    one = book(GONE)
    two = book(GONE, parent=one, start_time=2000)
    tags = as_tags({"mlflow.parentRunId": two})
    session.get_store(end_dead_runs=False).write(RunChange(one, tags=tags))
    store = open_again()
    assert [store.get_run(each).info.end_time for each in (one, two)] == [2000, 2000]


@posix
def test_thousands_of_children_end_with_their_parent(cli):
    """A search of 1,200 candidates is ended whole, more than one page of it."""
    store = session.get_store()
    changes = []
    for number in range(1200):
        run_id = f"{number:032x}"
        info = RunInfo(run_id, "0", f"c{number}", "me", "RUNNING", 1000, None, "active", "/x")
        tags = {"skledger.process": GONE} | ({"mlflow.parentRunId": f"{0:032x}"} if number else {})
        changes.append(RunChange(run_id, create=info, tags=as_tags(tags)))
    store.write(*changes)
    alive = book(process_identity())
    assert "Would end 1200 runs" in cli("gc", "--dry-run")
    store = open_again()
    assert len(store.search_runs(["0"], "status = 'KILLED'", max_results=5000)) == 1200
    assert store.get_run(alive).info.status == "RUNNING"


@posix
def test_a_run_that_ended_while_it_was_judged_stays_as_it_is(monkeypatch):
    """A process that ends its run, then itself, between two looks has not died in it."""
    store = session.get_store()
    run_id = book(GONE)
    still = book(GONE)
    end = RunChange(run_id, status="FINISHED", end_time=2000, deleted_tags=("skledger.process",))
    real = store.running_runs

    def running_runs(*args):
        found = real(*args)
        store.write(end)
        return found

    monkeypatch.setattr(store, "running_runs", running_runs)
    assert [each.run.info.run_id for each in find_dead_runs(store)] == [still]


@posix
def test_a_run_that_was_judged_wrongly_heals():
    """Its own end is the one that counts."""
    with skledger.start_run() as run:
        changed = RunChange(run.info.run_id, tags=as_tags({"skledger.process": GONE}))
        session.get_store().write(changed)
        end_at_opening(session.get_store())
        assert as_it_is(run.info.run_id).info.status == "KILLED"
        skledger.log_metric("m", 1)
    healed = as_it_is(run.info.run_id)
    assert healed.info.status == "FINISHED"
    assert healed.info.end_time >= run.info.start_time
    assert healed.data.metrics == {"m": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_does_not_end_its_parents_runs(run_python):
    """A child opens the store anew while its parent's run is under way; a dead child's run ends."""
    run_python(
        """
        import os, signal
        import skledger
        from skledger.tracking import session
        def child(work):
            pid = os.fork()
            if not pid:
                work()
                os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(pid, 0)
        def anew():
            session.reset()
            skledger.search_runs(output_format="list")
        with skledger.start_run(run_name="parent"):
            child(anew)
            child(lambda: skledger.start_run(run_name="child", nested=True))
            anew()
            found = skledger.search_runs(output_format="list")
            states = {run.info.run_name: run.info.status for run in found}
            assert states == {"parent": "RUNNING", "child": "KILLED"}, states
        """
    )


@posix
def test_a_read_only_database_stays_as_it_is(monkeypatch, cli):
    """It is read all the same, without a word; the command says that it cannot be written."""
    run_id = book(GONE)
    session.reset()
    real = os.access
    database = str(Path("skledger.db").absolute())
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != database and real(path, mode))
    assert open_again().get_run(run_id).info.status == "RUNNING"
    assert "RUNNING (process gone)" in cli("runs")
    assert "Would end 1 run" in cli("gc", "--dry-run")
    assert "readonly" in cli("gc", code=1)


@posix
def test_a_locked_database_stays_as_it_is(monkeypatch, caplog):
    """Whoever holds the lock keeps the runs from being ended, not from being read."""
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT", 0.2)
    run_id = book(GONE)
    with closing(sqlite3.connect("skledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert open_again().get_run(run_id).info.status == "RUNNING"
        other.execute("COMMIT")
    assert caplog.messages == []
    assert_ended(open_again().get_run(run_id), 1000)


def test_a_failure_of_ours_is_one_line(monkeypatch, caplog, swallowed):
    """Whatever goes wrong, the store opens."""
    monkeypatch.setattr(processes, "_this_host", lambda: 1 / 0)
    book("a/1/1")
    assert open_again().search_runs(["0"])
    assert "could not book the end of runs whose process is gone" in caplog.text
    assert [type(each) for each in swallowed] == [ZeroDivisionError]
    swallowed.clear()


@posix
def test_processes_that_open_at_once_agree(run_python):
    """Six of them end the same runs, once, and none of them fails."""
    ids = [book(GONE, metrics=(Metric("m", 1, 5000),)) for _ in range(20)]
    session.reset()
    code = "import sys, skledger; sys.stdin.readline(); skledger.search_runs(output_format='list')"
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    time.sleep(1)
    for each in crowd:
        each.stdin.write("\n")
        each.stdin.flush()
    for each in crowd:
        assert each.communicate(timeout=60)[1] == ""
        assert each.returncode == 0
    for run_id in ids:
        assert_ended(as_it_is(run_id), 5000)


@posix
def test_a_server_ends_runs_while_it_serves():
    """Within seconds, with nobody opening the store again; its children, too."""
    process, run_id = begin(IN_A_RUN)
    with TrackingServer(f"sqlite:///{Path.cwd()}/skledger.db", workers=2) as server:
        assert ">running</span>" in server.client.get(f"/runs/{run_id}").text
        kill(process)
        deadline = time.monotonic() + 20
        while as_it_is(run_id).info.status == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.1)
        page = server.client.get(f"/runs/{run_id}").text
    assert as_it_is(run_id).info.status == "KILLED"
    assert page.count(">killed</span>") == 2
    assert "The process ended without ending the run" in page


@posix
def test_a_server_that_is_read_only_tells_of_them():
    """The run does not go on in its pages, and the words are those of a page."""
    run_id = book(GONE)
    book(GONE, parent=run_id)
    with serving(session.get_store(end_dead_runs=False), read_only=True) as address:
        page, table = (httpx.get(address + at).text for at in (f"/runs/{run_id}", "/experiments/0"))
    assert "Its process is gone" in page
    assert "<code>skledger gc</code>" in page
    assert "`" not in page.partition("<main")[2].partition("</main>")[0]
    for each in (page, table):
        assert ">process gone</span>" in each
        assert ">running</span>" not in each
        assert "data-since" not in each
    assert as_it_is(run_id).info.status == "RUNNING"


def test_mlflow_reads_a_run_that_was_ended():
    """MLflow shows it KILLED, with its end and the reason."""
    mlflow = pytest.importorskip("mlflow")
    run_id = book(GONE, metrics=(Metric("m", 1, 5000),))
    open_again()
    run = mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/skledger.db").get_run(run_id)
    assert_ended(run, 5000)


def test_a_store_in_memory_does_the_same():
    """`memory:` has the same methods, and its runs of living processes stay."""
    skledger.set_tracking_uri("memory:")
    with skledger.start_run() as run:
        gone = book(GONE)
        end_at_opening(session.get_store())
        assert as_it_is(run.info.run_id).info.status == "RUNNING"
        if os.name == "posix":
            assert_ended(as_it_is(gone), 1000)


# -- identities ----------------------------------------------------------------------------------


def test_an_identity_names_a_process_that_lives():
    """Our own process lives; what was started and has ended does not, be it a zombie."""
    assert process_lives(process_identity()) is not False
    assert re.fullmatch(r"process \d+ on \S+", process_text(process_identity()))
    assert process_text("riddle") == process_text("") == "an unknown process"


@needs_proc
def test_a_zombie_has_ended():
    """A process that its parent has not asked about is there, but works no more."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = processes.identity_of(process.pid)
    assert process_lives(identity) is True
    process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while process_lives(identity) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process_lives(identity) is False
    process.wait()
    process.stdin.close()
    assert process_lives(identity) is False


def test_a_container_of_the_same_host_name_is_another_host(monkeypatch):
    """Numbers of processes mean something only in the namespace that they come from."""
    bare = socket.gethostname()
    try:
        monkeypatch.setattr(processes, "_namespace", lambda pid: "4026532999")
        assert processes.identity_of(os.getpid()).startswith(f"{bare}+4026532999/{os.getpid()}/")
        assert process_lives(f"{bare}/1/1") is None
        assert process_lives(f"{bare}+4026532998/1/1") is None
        assert process_text(f"{bare}+4026532999/7/1") == f"process 7 on {bare}"
    finally:
        monkeypatch.undo()
    assert process_lives(f"{bare}+4026532999/1/1") is None


# -- skledger gc ---------------------------------------------------------------------------------


@posix
def test_gc_ends_dead_runs_and_lists_them(cli):
    """A line for each run, in a pipe as on a terminal; the second time there is nothing to do."""
    gone = book(GONE, name="lost [red]")
    kept = [book(each) for each in (ELSEWHERE, None, process_identity())]
    output = cli("gc")
    assert re.search(rf"^{gone[:8]}  lost \[red\]  1970-01-01 .* is gone$", output, re.MULTILINE)
    assert output.endswith("Ended 1 run.\n")
    assert_ended(as_it_is(gone), 1000)
    assert {as_it_is(each).info.status for each in kept} == {"RUNNING"}
    assert cli("gc") == "There is nothing to do: no run is left without its process.\n"


@posix
def test_gc_can_only_show(cli):
    """``--dry-run`` lists the same and changes nothing."""
    ids = [book(GONE), book(ELSEWHERE)]
    for options, count in (([], 1), (["--stale-after", "30m"], 2)):
        output = cli("gc", "--dry-run", *options)
        assert f"Would end {count} run" in output
        assert "nothing was changed" in output
        assert [run_id[:8] in output for run_id in ids] == [True, count == 2]
    assert {as_it_is(each).info.status for each in ids} == {"RUNNING"}


def test_gc_ends_what_has_been_silent_for_long(cli):
    """Runs of other machines and without a process, by their last metric or a child's; no others."""
    now = now_ms()
    hour = 3_600_000
    stale = [
        book(ELSEWHERE, start_time=now - 9 * hour, metrics=(Metric("m", 1, now - 3 * hour),)),
        book(start_time=now - 4 * hour),
        book("x" * 7000, start_time=now - 4 * hour),
    ]
    parent = book(ELSEWHERE, start_time=now - 9 * hour)
    of_ours = book(start_time=now - 9 * hour)
    kept = [
        parent,
        of_ours,
        book(ELSEWHERE, parent=parent, start_time=now - hour),
        book(process_identity(), parent=of_ours, start_time=now - 9 * hour),
        book(ELSEWHERE, start_time=now - 9 * hour, metrics=(Metric("m", 1, now - hour),)),
    ]
    output = cli("gc", "--stale-after", "2h")
    assert "Ended 3 runs" in output
    assert f"silent: process {PID} on elsewhere" in output
    for run_id, hours in zip(stale, (3, 4, 4), strict=True):
        assert_ended(as_it_is(run_id), now - hours * hour, "Stale")
    said = as_it_is(stale[0]).data.tags["skledger.error.message"]
    assert re.match(r"Nothing has been booked of this run since \d{4}-.* UTC\. Whether pro", said)
    assert {as_it_is(each).info.status for each in kept} == {"RUNNING"}


@pytest.mark.parametrize("age", ["7", "d", "0d", "-1d", "1.5h", "7 d", "7y", "7D", "", "٣d"])
def test_gc_refuses_a_span_of_time_it_cannot_read(cli, age):
    """The message tells the forms there are."""
    assert "such as 30m, 12h, 7d or 2w" in cli("gc", f"--stale-after={age}", code=2)


def test_gc_ends_runs_of_mlflow_only_when_asked(cli):
    """A run that MLflow left RUNNING names no process."""
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(f"sqlite:///{Path.cwd()}/skledger.db")
    run_id = client.create_run("0", start_time=now_ms() - 3 * 7 * 86_400_000).info.run_id
    assert "nothing to do" in cli("gc")
    assert "nothing to do" in cli("gc", "--stale-after", "4w")
    assert "silent: an unknown process" in cli("gc", "--stale-after", "2w")
    assert_ended(client.get_run(run_id), client.get_run(run_id).info.start_time, "Stale")


def test_gc_needs_a_database(cli):
    """Where there is none, it makes none."""
    assert "There is no database" in cli("gc", code=1)
    assert not Path("skledger.db").exists()
