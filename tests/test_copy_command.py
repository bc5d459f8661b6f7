"""``skledger copy``: what it tells, its exit codes, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from _commands import invoke, on_terminal
from _copies import (
    assert_same,
    fill,
    new_run,
    runs_of,
)

from skledger.errors import (
    SkledgerError,
    StoreError,
)
from skledger.stores.opening import open_store
from skledger.tracking.copying import COPIED_TAG

# The command


@pytest.fixture
def database(tmp_path):
    """A database with what `fill` writes; returns its path."""
    store = open_store(f"sqlite:///{tmp_path}/here.db")
    fill(store)
    store.close()
    return tmp_path / "here.db"


def test_the_command_copies_and_tells(database, tmp_path):
    """It says what was copied, and that it was compared; again, that nothing was left to copy."""
    output = invoke("copy", "--from", database, "--to", tmp_path / "there.db").output
    assert "Copied 7 runs of 3 experiments to sqlite:///" in output
    assert "309 metric values" in output
    assert "1 model, 8 files" in output
    assert "SHA-256" in output
    again = invoke("copy", "--from", database, "--to", f"sqlite:///{tmp_path}/there.db").output
    assert "Copied nothing" in again
    assert "7 are there already" in again
    assert_same(
        open_store(f"sqlite:///{database}"),
        open_store(f"sqlite:///{tmp_path}/there.db"),
        ["wine", "Default", "gone"],
    )


def test_the_command_chooses(database, tmp_path):
    """By names of experiments, and by whatever names a run."""
    there = tmp_path / "there.db"
    told = json.loads(
        invoke("copy", "--from", database, "--to", there, "--run", "search", "--json").output
    )
    assert (told["copied"], told["experiments"]) == (4, ["wine"])
    output = invoke("copy", "--from", database, "--to", there, "--experiment", "Default").output
    assert "Copied 2 runs of 1 experiment to" in output
    result = invoke("copy", "--from", database, "--to", there, "--experiment", "nope", code=1)
    assert "There is no experiment named 'nope'" in result.output
    result = invoke("copy", "--from", database, "--to", there, "--run", "nope", code=1)
    assert "There is no run 'nope'" in result.output


def test_a_dry_run_changes_nothing(database, tmp_path):
    """It counts, and makes not even a database."""
    there = tmp_path / "there.db"
    output = invoke("copy", "--from", database, "--to", there, "--dry-run").output
    assert "there.db" in output and "memory:" not in output
    assert "Would copy 7 runs of 3 experiments" in output
    assert "Nothing was changed" in output
    assert not there.exists()
    invoke("copy", "--from", database, "--to", there, "--run", "failed")
    output = invoke("copy", "--from", database, "--to", there, "--dry-run").output
    assert "Would copy 6 runs of 3 experiments" in output
    assert "1 is there already" in output


def test_what_cannot_be_copied_from_or_to(database, tmp_path):
    """Missing, empty, the same, or nobody else's: one message, exit code 1, and nothing is made."""
    for source in (tmp_path / "missing.db", f"sqlite:///{tmp_path}/missing.db"):
        result = invoke("copy", "--from", source, "--to", tmp_path / "there.db", code=1)
        assert "There is no database" in result.output
        assert "nothing to copy" in result.output
    result = invoke("copy", "--from", tmp_path / "folder", "--to", database, code=1)
    assert "There is no folder" in result.output
    assert not (tmp_path / "missing.db").exists()
    assert not (tmp_path / "there.db").exists()
    result = invoke("copy", "--from", database, "--to", database, code=1)
    assert "same store" in result.output
    result = invoke("copy", "--from", database, "--to", "memory:", code=1)
    assert "lives in the process" in result.output
    result = invoke("copy", "--from", database, code=2)
    assert "--to" in result.output


def test_a_read_only_destination_is_told(database, tmp_path, monkeypatch):
    """The message of the store, and that the same copy goes on later."""
    from skledger.stores.sql import SqlStore

    def refused(*args, **kwargs):
        raise StoreError("sqlite:///there.db cannot be written to: it is read-only.")

    monkeypatch.setattr(SqlStore, "create_experiment", refused)
    monkeypatch.setattr(SqlStore, "write", refused)
    result = invoke("copy", "--from", database, "--to", tmp_path / "there.db", code=1)
    assert "it is read-only" in result.output
    assert "0 runs were copied" in result.output


def test_ctrl_c_says_how_to_go_on(tmp_path):
    """Exit code 130, one line, no traceback; the same command completes the copy."""
    store = open_store(f"sqlite:///{tmp_path}/here.db")
    for at in range(60):
        new_run(store, f"run-{at}", start=at, files={"f.bin": os.urandom(50_000)})
    store.close()
    command = [sys.executable, "-m", "skledger", "copy", "--from", "here.db", "--to", "there.db"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_a_copy(tmp_path / "there.db")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert re.search(r"Stopped: \d+ of 60 runs are there\. The same command goes on", err)
    assert "Traceback" not in out + err
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(runs_of(open_store(f"sqlite:///{tmp_path}/there.db"), "Default")) == 60


def wait_for_a_copy(path):
    """Wait until the first run is whole."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with contextlib.suppress(sqlite3.Error):
            with contextlib.closing(sqlite3.connect(path)) as connection:
                query = "SELECT count(*) FROM tags WHERE key = ?"
                if connection.execute(query, (COPIED_TAG,)).fetchone()[0]:
                    return
        time.sleep(0.02)
    raise AssertionError("nothing was copied")


def test_failures_are_told_and_the_exit_code_is_1(database, tmp_path, monkeypatch):
    """Each run that could not be copied is named on the standard error."""
    from skledger.tracking.copying_runs import RunCopier

    original = RunCopier.copy

    def failing(self, run, *args, **kwargs):
        if run.info.run_name == "failed":
            raise SkledgerError("no room for it")
        original(self, run, *args, **kwargs)

    monkeypatch.setattr(RunCopier, "copy", failing)
    result = invoke("copy", "--from", database, "--to", tmp_path / "there.db", code=1)
    assert re.search(r"Error: failed \([0-9a-f]{32}\): no room for it", result.output)
    assert "Copied 6 runs" in result.output


def test_a_bar_on_a_terminal(database, tmp_path):
    """It leaves nothing behind but the summary."""

    there = Path(tmp_path, "there.db")
    lines = on_terminal(100, "copy", "--from", str(database), "--to", str(there))
    text = "\n".join(lines)
    assert "Copied 7 runs of 3 experiments" in text
    assert "Traceback" not in text


def test_a_home_that_cannot_be_written_to_is_no_reason_not_to_copy(database, tmp_path, monkeypatch):
    """As in a container; only nobody is kept from beginning the same copy a second time."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "file" / "outbox"))
    assert (
        "Copied 7 runs" in invoke("copy", "--from", database, "--to", tmp_path / "there.db").output
    )
