"""``skledger sync``, and what an outbox sets aside, keeps trying, loses or lets go."""

from __future__ import annotations

import random
import re
import shutil
import time

import _boxes
import pytest
from _boxes import URI, end, files_below, new_info, start, theirs
from _tracking_server import TrackingServer
from click.testing import CliRunner

import skledger
from skledger.cli import main
from skledger.errors import InvalidParameterError, StoreUnavailableError
from skledger.stores import outbox_delivery, outbox_forwarder
from skledger.stores.artifacts import artifact_store
from skledger.stores.opening import open_store
from skledger.stores.outbox import OutboxStore
from skledger.stores.process_lock import ProcessLock
from skledger.tracking import session
from skledger.tracking.entities import Metric, Param, RunChange

server, open_box, box = _boxes.server, _boxes.open_box, _boxes.box


@pytest.fixture
def command(open_box, server, tmp_path, monkeypatch):
    """Run ``skledger sync`` for the outbox of the stand-in, as a process of its own would."""

    def open_outbox(uri, *, sends=True):
        return OutboxStore(URI, lambda: server, tmp_path / "box", server.artifacts, sends=sends)

    monkeypatch.setattr("skledger.stores.outbox.open_outbox", open_outbox)

    def run(*arguments):
        return CliRunner().invoke(main, ["sync", URI, *arguments], catch_exceptions=False)

    return run


def refusing(server, key):
    """Let the server refuse params of that key; return what undoes it."""
    take = server._data

    def data(change, retry):
        for each in change.params:
            if each.key == key:
                raise InvalidParameterError(f"no {key}, please")
        take(change, retry)

    server._data = data
    return lambda: setattr(server, "_data", take)


@pytest.fixture
def left_behind(open_box, server):
    """A run that waits, with a file, of a process that has ended."""
    server.is_away()
    box = open_box()
    info = start(box)
    artifact_store(info.artifact_uri).put_bytes("a/x.txt", b"12345")
    box.close()
    return info


# The command


def test_looking_at_what_waits_sends_nothing(command, server, left_behind):
    """Though the server is there by now."""
    server.is_back()
    before = server.asked
    told = command("--status")
    time.sleep(0.3)
    assert told.exit_code == 1 and "1 record and 1 file wait (5 B)" in told.output
    assert server.asked == before and not server.runs


def test_a_sync_in_vain_says_once_why(command, server, left_behind, caplog, monkeypatch):
    """One error, and what waits; no warnings besides."""
    monkeypatch.setattr(outbox_delivery, "GIVE_UP", 0.5)
    caplog.clear()
    told = command()
    assert told.exit_code == 1
    lines = told.output.splitlines()
    assert lines[0] == "Error: nobody answers"
    assert lines[1].startswith("1 record and 1 file wait (5 B) for http://standin")
    assert len(lines) == 2 and caplog.records == []


def test_what_is_sent_again_is_counted(command, box, server):
    """``--retry-refused`` tells how much the server took of it."""
    undo = refusing(server, "bad")
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("bad", "1"), Param("good", "1"))))
    assert box.flush(10)
    assert "Sent" not in command("--retry-refused").output
    undo()
    assert "Sent 1 record to http://standin" in command("--retry-refused").output
    assert theirs(server, info).data.params == {"bad": "1", "good": "1"}


def test_what_is_refused_can_be_dropped(command, box, server):
    """It is told what is dropped, nothing is sent, and that is the end of it."""
    assert command("--drop-refused").output == (
        "There is nothing to drop: http://standin refused nothing.\n"
    )
    refusing(server, "bad")
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("bad", "1"),)))
    assert box.flush(10)
    server.is_away()
    box.write(RunChange(info.run_id, params=(Param("waits", "1"),)))
    box.close()
    asked = server.asked
    told = command("--drop-refused")
    assert told.exit_code == 0 and server.asked == asked
    assert "Dropped 1 thing that http://standin does not have:" in told.output
    assert "param bad" in told.output and "no bad, please" in told.output
    assert "refused 1" not in command("--status").output
    server.is_back()
    assert command().exit_code == 0
    assert theirs(server, info).data.params == {"waits": "1"}


def test_a_run_that_is_dropped_goes_as_a_whole(command, box, server):
    """One that the server did not create: with its values, its files and its models."""
    create = server._create

    def refuse(change, retry):
        raise InvalidParameterError("no runs today")

    server._create = refuse
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("a", "1"),)))
    artifact_store(info.artifact_uri).put_bytes("x", b"1")
    box.flush(1)
    box.close()
    assert command("--drop-refused").exit_code == 0
    assert command("--status").output == "Nothing waits for http://standin.\n"
    assert files_below(box.folder / "files") == []
    server._create = create
    assert box.search_runs(["0"]) == []
    other = start(box)
    assert box.flush(10)
    assert list(server.runs) == [other.run_id]


def test_a_file_that_is_dropped_is_removed(command, box, server):
    """It would be sent again otherwise."""

    def artifacts(place):
        files = server.artifacts(place)

        def put_file(path, source):
            raise InvalidParameterError("too large")

        files.put_file = put_file
        return files

    box._delivery.uploads._artifacts = artifacts
    info = start(box)
    artifact_store(info.artifact_uri).put_bytes("large", b"1")
    box.flush(5)
    assert "the file large" in command("--drop-refused").output
    assert command("--status").exit_code == 0
    assert files_below(box.folder / "files") == []


def test_dropping_goes_alone(command):
    """With another option it is not clear what is meant."""
    assert command("--drop-refused", "--status").exit_code == 2


# A server that fails now and then


def test_what_fails_in_passing_is_never_refused(box, server, monkeypatch):
    """However often: no connection, too many requests and a busy server say nothing about it."""
    monkeypatch.setattr(outbox_forwarder, "MOST_TRIES", 3)
    monkeypatch.setattr(outbox_delivery, "LONGEST_PAUSE", 0.01)
    chance, kinds = random.Random(3), (None, 429, 502, 503, 504)

    def fault(step):
        if step.startswith("before") and "search_experiments" not in step:
            if chance.random() < 0.6:
                status = chance.choice(kinds)
                raise StoreUnavailableError(f"{step}: {status}", 0.001, status)

    server.fault = fault
    infos = [start(box) for _ in range(3)]
    for info in infos:
        for step in range(20):
            box.write(RunChange(info.run_id, metrics=(Metric("m", 1.0, step, step),)))
        box.write(RunChange(info.run_id, deleted_tags=("kind",)))
        end(box, info)
    assert box.sync(lambda: None, 60) is None
    assert box.left().is_nothing
    assert set(server.metrics.values()) == {1} and len(server.metrics) == 60
    assert {theirs(server, info).info.status for info in infos} == {"FINISHED"}


def test_attempts_are_counted_since_something_got_through(box, server, monkeypatch):
    """A change in many parts, each of which fails now and then, is not given up for their sum."""
    monkeypatch.setattr(outbox_forwarder, "MOST_TRIES", 6)
    monkeypatch.setattr(outbox_delivery, "LONGEST_PAUSE", 0.01)
    box._courier.stop(0.0)
    failed: dict[str, int] = {}
    take = server._data

    def data(change, retry):
        # Each part fails three times with a 500: twelve times in all.
        part = repr(change)
        failed[part] = failed.get(part, 0) + 1
        if failed[part] <= 3:
            raise StoreUnavailableError("500: not now", status=500)
        take(change, retry)

    server._data = data
    info = new_info(box, "FINISHED", end_time=3)
    box.write(
        RunChange(
            info.run_id,
            create=info,
            params=(Param("a", "1"),),
            metrics=(Metric("m", 1.0, 1),),
            deleted_tags=("x",),
        )
    )
    assert box.sync(lambda: None, 30) is None
    assert box.left().is_nothing
    assert theirs(server, info).data.params == {"a": "1"}
    assert sum(failed.values()) > 12


def test_a_sync_goes_on_as_long_as_something_is_taken(box, server, monkeypatch):
    """And for a while after: not as soon as nothing was for a moment."""
    monkeypatch.setattr(outbox_delivery, "GIVE_UP", 0.6)
    monkeypatch.setattr(outbox_delivery, "TAKES_NOTHING", 1.5)
    monkeypatch.setattr(outbox_delivery, "LONGEST_PAUSE", 0.1)
    info = start(box)
    assert box.flush(10)

    def busy(step):
        raise StoreUnavailableError("503: busy", status=503)

    server.fault = busy
    end(box, info)
    begun = time.monotonic()
    assert "busy" in str(box.sync(lambda: None))
    assert 1.2 < time.monotonic() - begun < 4
    server.is_away()
    begun = time.monotonic()
    assert "nobody" in str(box.sync(lambda: None))
    assert time.monotonic() - begun < 1.2


def test_a_mistake_of_ours_refuses_nothing(box, server, swallowed, monkeypatch):
    """What cannot be sent for it waits, is logged once, and holds up only what names it."""
    take, is_broken = server._data, [True]

    def data(change, retry):
        if is_broken[0] and any(each.key == "odd" for each in change.params):
            raise AttributeError("no such thing")
        take(change, retry)

    server._data = data
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("odd", "1"),)))
    other = start(box)
    end(box, other)
    for _ in range(3):
        assert not box.flush(0.5)
    assert theirs(server, other).info.status == "FINISHED"
    assert box.left().aside == () and box.left().records > 0
    assert [str(each) for each in swallowed] == ["no such thing"]
    swallowed.clear()
    is_broken[0] = False
    assert box.flush(10)
    assert theirs(server, info).data.params == {"odd": "1"}


# Files that vanish


def test_a_file_that_vanishes_before_it_was_sent_is_told_of(command, box, server, caplog):
    """Once in the log, and by the command until it is dropped; the rest is sent."""
    server.is_away()
    info = start(box)
    for name in ("a/x.txt", "a/y.txt", "z.txt"):
        artifact_store(info.artifact_uri).put_bytes(name, b"1")
    box.flush(0.5)
    shutil.rmtree(f"{info.artifact_uri}/a")
    server.is_back()
    end(box, info)
    assert box.flush(10)
    assert artifact_store(theirs(server, info).info.artifact_uri).list() == ["z.txt"]
    assert [each.body for each in box.left().lost] == ["a/x.txt", "a/y.txt"]
    (line,) = [r.message for r in caplog.records if "removed" in r.message]
    assert "2 files were removed from the outbox before http://standin had them" in line
    told = command("--status")
    assert told.exit_code == 1
    assert "2 files cannot be sent any more:" in told.output and "the file a/x.txt" in told.output
    assert command("--retry-refused").exit_code == 1
    assert "Dropped 2 things" in command("--drop-refused").output
    assert command("--status").exit_code == 0


def test_a_file_of_a_model_that_vanishes_is_told_of(box, server, tmp_path):
    """The digests of a model name its files."""
    import json
    from hashlib import sha256

    from skledger.tracking.entities import LoggedModel

    lock = ProcessLock(tmp_path / "box" / "lock")
    assert lock.acquire()
    info = new_info(box, "FINISHED", end_time=9)
    place = f"{box.folder}/files/models/m-1/artifacts"
    for name in ("MLmodel", "model.pkl"):
        artifact_store(place).put_bytes(name, b"1")
    digests = json.dumps(dict.fromkeys(("MLmodel", "model.pkl"), sha256(b"1").hexdigest()))
    model = LoggedModel(
        "m-1", "0", "model", place, 1, 1, info.run_id, tags={"skledger.digests": digests}
    )
    box.write(RunChange(info.run_id, create=info, models=(model,)))
    (tmp_path / "box/files/models/m-1/artifacts/model.pkl").unlink()
    lock.release()
    assert box.flush(10)
    assert [each.body for each in box.left().lost] == ["model/model.pkl"]


def test_a_lost_file_that_is_written_again_is_sent(box, server):
    """Then it is lost no more."""
    server.is_away()
    info = start(box)
    files = artifact_store(info.artifact_uri)
    files.put_bytes("x", b"1")
    box.flush(0.5)
    shutil.rmtree(info.artifact_uri)
    box.flush(0.5)
    assert len(box.left().lost) == 1
    files.put_bytes("x", b"2")
    server.is_back()
    assert box.flush(10)
    assert box.left().is_nothing
    assert list(server.files.values()) == [1]


def test_what_waits_for_a_wrong_address_can_be_discarded(command, left_behind, open_box):
    """After a question, or with --yes; nothing is sent, and nothing waits any more."""
    assert command("--discard").exit_code == 1  # nobody said yes
    assert command("--status").exit_code == 1
    done = command("--discard", "--yes")
    assert done.exit_code == 0
    assert "Discarded" in done.output and "1 file" in done.output
    assert command("--status").exit_code == 0
    assert "nothing to discard" in command("--discard", "--yes").output
    assert open_box().left().is_nothing


def test_a_flush_is_not_done_when_something_was_refused(box, server, monkeypatch):
    """True means that the server has everything."""
    monkeypatch.setitem(session._session.stores, URI, box)
    info = start(box)
    assert skledger.flush(10) is True
    refusing(server, "bad")
    box.write(RunChange(info.run_id, params=(Param("bad", "1"),)))
    assert skledger.flush(10) is False


def test_a_home_that_cannot_be_written_to(tmp_path, monkeypatch):
    """One message without a traceback."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "file" / "outbox"))
    done = CliRunner().invoke(main, ["sync", "http://127.0.0.1:9"])
    assert done.exit_code in (0, 1)
    assert done.exception is None or isinstance(done.exception, SystemExit)


# Whose it is


SCRIPT = """
import skledger
from sklearn.linear_model import Ridge
skledger.autolog()
Ridge().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
skledger.flush(10)
"""


def test_what_one_user_booked_is_not_sent_as_another(tmp_path, run_python, monkeypatch):
    """Refused or not: it stays, is told of, and goes as somebody else when that is said."""
    monkeypatch.setattr("skledger.stores.outbox_courier.SETTLED", 0)
    users = str(tmp_path / "users.json")

    def token(*words):
        done = CliRunner().invoke(main, ["server-auth", "token", *words, "--file", users])
        return next(word for word in done.output.split() if len(word) > 30)

    alice, bob = token("alice"), token("bob", "--read-only")
    uri = f"sqlite:///{tmp_path}/s.db"
    with TrackingServer(uri, "--auth", users, folder=tmp_path) as server:

        def names():
            return {each.info.user_id for each in open_store(uri).search_runs(["0"])}

        def ran(code, whose):
            env = {"SKLEDGER_TRACKING_URI": server.uri, "SKLEDGER_TRACKING_TOKEN": whose or None}
            return run_python(code, check=False, env={k: v for k, v in env.items() if v})

        def sync(*words, whose=alice):
            return ran(f"from skledger.cli import main; main(['sync', *{words!r}])", whose)

        said = ran(SCRIPT, bob).stderr
        assert "may only read" in said and "refused something for good" in said
        assert "does not know" in ran(SCRIPT, "wrong").stderr
        said = ran(SCRIPT, None).stderr
        assert "asks who you are" in said and "--as-me" in said
        assert said.count("TRACKING_TOKEN") == 1 and ".;" not in said
        done = sync()
        assert done.returncode == 1 and not names()
        assert done.stdout.count("Booked ") == 3 and "--as-me" in done.stdout
        assert "without user or token" in done.stdout and alice not in done.stdout
        # Who books as alice has her own sent, and is told of the rest.
        ran(SCRIPT, alice)
        assert len(open_store(uri).search_runs(["0"])) == 1
        # What a server refuses for good is not tried again and again.
        done = sync(whose=bob)
        assert "refused 1 thing for good" in done.stdout and "Error" not in done.stderr
        assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S+ refused: ", server.text(), re.M)
        done = sync("--as-me", "--retry-refused")
        assert done.returncode == 0, done.stdout
        assert len(open_store(uri).search_runs(["0"])) == 4
        assert "Nothing waits" in sync("--status").stdout
