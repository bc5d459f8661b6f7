"""The outbox: what is booked for a tracking server is stored at once and forwarded later."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import statistics
import threading
import time
import uuid
from dataclasses import replace

import _boxes
import pytest
from _boxes import URI, end, files_below, new_info, start, theirs

import skledger
from skledger.errors import (
    InvalidParameterError,
    NotFoundError,
    ParamConflictError,
    StoreError,
    StoreUnavailableError,
)
from skledger.stores import outbox_courier, outbox_delivery, outbox_reading, outbox_uploads
from skledger.stores.artifacts import artifact_store
from skledger.stores.memory import MemoryStore
from skledger.stores.outbox import OutboxStore, outboxes
from skledger.stores.outbox_codec import decode_change, encode_change
from skledger.stores.outbox_groups import grouped
from skledger.stores.outbox_place import folder_of, plain_uri
from skledger.stores.outbox_queue import CHANGE, Entry
from skledger.stores.outbox_replay import Replay
from skledger.stores.process_lock import ProcessLock
from skledger.tracking import session
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    LoggedModel,
    Metric,
    ModelChange,
    Param,
    RunChange,
    RunInfo,
    RunTag,
)

server, open_box, box = _boxes.server, _boxes.open_box, _boxes.box


# What is booked


def test_booking_takes_less_than_a_millisecond_and_asks_nobody(box, server):
    """While nothing answers, a run is booked, read and found again, on this machine alone."""

    def fault(step):
        assert threading.current_thread() is not threading.main_thread(), step
        raise StoreUnavailableError("nobody answers")

    server.fault = fault
    info = start(box, "an experiment")
    seconds = []
    for step in range(300):
        change = RunChange(info.run_id, metrics=(Metric("loss", 1 / (step + 1), step, step),))
        begun = time.perf_counter()
        box.write(change)
        seconds.append(time.perf_counter() - begun)
    assert statistics.median(seconds) < 0.001
    run = box.get_run(info.run_id)
    assert run.info.artifact_uri == info.artifact_uri
    assert run.data.metrics == {"loss": 1 / 300}
    assert len(box.get_metric_history(info.run_id, "loss")) == 300
    assert [each.info.run_id for each in box.local.running_runs("kind")] == [info.run_id]
    assert box.local.last_signs([info.run_id]) == {info.run_id: 1000}
    assert box.left().records == 301


def test_everything_arrives_once_and_is_then_read_from_the_server(box, server):
    """Params, metrics, tags, data sets, times and state are the server's when all is sent."""
    info = new_info(box, "FINISHED", "exp", end_time=5)
    data = DatasetInput(Dataset("d", "1", "local", "{}"), (RunTag("mlflow.data.context", "train"),))
    box.write(
        RunChange(
            info.run_id,
            create=info,
            params=(Param("C", "1"),),
            metrics=(Metric("a", math.inf, 1), Metric("b", math.nan, 1), Metric("c", 0.1, 1, 7)),
            tags=(RunTag("é", "\u2028 ü"),),
            inputs=(data,),
        )
    )
    assert box.flush(10)
    run = theirs(server, info)
    assert run.data.params == {"C": "1"}
    assert run.data.metrics["a"] == math.inf and math.isnan(run.data.metrics["b"])
    assert run.data.tags["é"] == "\u2028 ü"
    assert run.inputs.dataset_inputs == [data]
    assert (run.info.status, run.info.start_time, run.info.end_time) == ("FINISHED", 1000, 5)
    assert server.store.get_experiment(run.info.experiment_id).name == "exp"
    assert set(server.metrics.values()) == {1}
    read = box.get_run(info.run_id)
    assert read.info == replace(run.info, run_id=info.run_id)
    assert run.info.run_id != info.run_id


def test_a_run_that_goes_on_is_read_from_here(box, server):
    """What was sent of it stays readable without the server, until it has ended."""
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("a", "1"),)))
    assert box.flush(10)
    server.is_away()
    assert box.get_run(info.run_id).data.params == {"a": "1"}
    server.is_back()
    end(box, info)
    assert box.flush(10)
    assert box.get_run(info.run_id).info.artifact_uri != info.artifact_uri


def test_many_small_writes_are_sent_in_few_requests(box, server):
    """A thousand values of a metric are a handful of requests."""
    server.is_away()
    info = start(box)
    for step in range(1000):
        box.write(RunChange(info.run_id, metrics=(Metric("m", 0.5, step, step),)))
    server.is_back()
    server.asked = 0
    assert box.flush(20)
    assert server.asked < 20
    assert len(server.metrics) == 1000 and set(server.metrics.values()) == {1}


def test_what_names_another_run_comes_after_it(box, server):
    """A child finds its parent on the server, and a search its best child."""
    server.is_away()
    parent = start(box)
    child = new_info(box, "FINISHED", end_time=3)
    tag = RunTag("mlflow.parentRunId", parent.run_id)
    box.write(RunChange(parent.run_id, metrics=(Metric("a", 1.0, 1),)))
    box.write(RunChange(child.run_id, create=child, tags=(tag,)))
    box.write(RunChange(parent.run_id, metrics=(Metric("a", 2.0, 2),)))
    box.write(RunChange(parent.run_id, tags=(RunTag("skledger.best_run", child.run_id),)))
    end(box, parent)
    server.is_back()
    assert box.flush(10)
    there, below = theirs(server, parent), theirs(server, child)
    assert below.data.tags["mlflow.parentRunId"] == there.info.run_id
    assert there.data.tags["skledger.best_run"] == below.info.run_id


def test_a_param_never_changes(box):
    """Another value for a param of a run that is read from here is refused at once."""
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("a", "1"),)))
    box.write(RunChange(info.run_id, params=(Param("a", "1"), Param("b", "2"))))
    with pytest.raises(ParamConflictError, match="'a' of run"):
        box.write(RunChange(info.run_id, params=(Param("c", "3"), Param("a", "2"))))
    assert box.get_run(info.run_id).data.params == {"a": "1", "b": "2"}


def test_what_no_store_takes_is_refused_at_once(box):
    """A value that is too long, or a state that is none, never gets into the queue."""
    info = new_info(box, name="by name")
    with pytest.raises(InvalidParameterError):
        box.write(RunChange(info.run_id, create=info, params=(Param("a", "x" * 6001),)))
    with pytest.raises(InvalidParameterError):
        box.write(RunChange(info.run_id, status="DONE"))
    assert box.left().records == 0


def test_another_process_sees_what_waits(open_box, server):
    """A second process that opens the outbox reads what the first one booked, and adds to it."""
    server.is_away()
    first, second = open_box(), open_box()
    info = start(first)
    second.write(RunChange(info.run_id, params=(Param("a", "1"),)))
    first.write(RunChange(info.run_id, params=(Param("b", "2"),)))
    assert first.get_run(info.run_id).data.params == {"a": "1", "b": "2"}
    assert second.get_run(info.run_id) == first.get_run(info.run_id)
    server.is_back()
    assert first.flush(10)
    assert theirs(server, info).data.params == {"a": "1", "b": "2"}


def test_the_next_process_sends_what_was_left(open_box, server):
    """Opening the outbox is enough."""
    server.is_away()
    first = open_box()
    info = start(first)
    first.close()
    server.is_back()
    open_box()
    deadline = time.monotonic() + 10
    while not server.runs and time.monotonic() < deadline:
        time.sleep(0.01)
    assert theirs(server, info).data.tags["kind"] == "test"


# What is read


def test_searches_see_both_sides_once(box, server):
    """Runs of the server and of the outbox come in one list, in order, each once."""
    sent = [start(box, start_time=t) for t in (10, 30, 50)]
    for each in sent[:2]:
        end(box, each)
    assert box.flush(10)
    waiting = [start(box, start_time=t) for t in (20, 40, 60)]
    found = box.search_runs(["0"])
    assert [run.info.start_time for run in found] == [60, 50, 40, 30, 20, 10]
    assert {run.info.run_id for run in found} == {each.run_id for each in [*sent, *waiting]}
    by_time = box.search_runs(["0"], order_by=["attributes.start_time ASC"])
    assert [run.info.start_time for run in by_time] == [10, 20, 30, 40, 50, 60]
    finished = box.search_runs(["0"], "attributes.status = 'FINISHED'")
    assert [run.info.start_time for run in finished] == [30, 10]
    assert box.count_runs(["0"]) == {(None, "FINISHED"): 2, (None, "RUNNING"): 4}


@pytest.mark.parametrize("length", [1, 2, 3, 5, 100])
def test_pages_of_searches_over_both_sides_have_no_gap(box, server, length):
    """Page by page, every run comes once, in order, whatever the length of a page."""
    for t in range(0, 14, 2):
        end(box, start(box, start_time=t))
    assert box.flush(10)
    for t in range(1, 14, 2):
        start(box, start_time=t)
    assert box.flush(10)  # the server has a part of these, too
    seen, token = [], None
    while True:
        page = box.search_runs(["0"], max_results=length, page_token=token)
        assert len(page) <= length
        seen += [run.info.start_time for run in page]
        token = page.token
        if token is None:
            break
    assert seen == list(range(13, -1, -1))


def test_without_an_answer_reading_says_how_much_waits(box, server, monkeypatch):
    """What only the server knows is asked for a while at most; the error tells what waits here."""
    monkeypatch.setattr(outbox_reading, "PATIENCE", 0.2)
    release = threading.Event()
    server.fault = lambda step: release.wait(20)
    start(box)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="within 0.2 s; 1 record waits here"):
        box.search_runs(["0"])
    with pytest.raises(StoreUnavailableError):
        box.get_run("f" * 32)
    assert time.monotonic() - begun < 2
    release.set()


def test_a_run_nobody_knows_is_not_found(box):
    """The server is asked, and says so."""
    with pytest.raises(NotFoundError):
        box.get_run("f" * 32)


def test_looking_makes_nothing(open_box, tmp_path):
    """To read from a server leaves no file behind."""
    box = open_box("untouched")
    assert box.search_runs(["0"]) == []
    assert [each.name for each in box.search_experiments()] == ["Default"]
    assert box.local.running_runs("tag") == []
    box.close()
    assert not (tmp_path / "untouched").exists()


def test_a_run_of_the_server_that_is_taken_up_is_read_from_here(open_box, server):
    """From then on neither booking nor reading it asks anybody; what it had stays."""
    first, box = open_box(), open_box()
    info = new_info(first, "FINISHED", end_time=5)
    first.write(RunChange(info.run_id, create=info, params=(Param("a", "1"),)))
    first.write(RunChange(info.run_id, metrics=(Metric("m", 1.0, 1, 0),)))
    assert first.flush(10)
    their_id = theirs(server, info).info.run_id
    assert box.get_run(their_id).info.status == "FINISHED"
    box.write(RunChange(their_id, status="RUNNING"))
    assert box.flush(10)
    server.is_away()
    box.write(RunChange(their_id, metrics=(Metric("m", 2.0, 2, 1),), params=(Param("b", "2"),)))
    run = box.get_run(their_id)
    assert run.data.params == {"a": "1", "b": "2"} and run.data.metrics == {"m": 2.0}
    assert run.info.artifact_uri == f"{box.folder}/files/{their_id}/artifacts"
    server.is_back()
    assert [each.value for each in box.get_metric_history(their_id, "m")] == [1.0, 2.0]
    artifact_store(run.info.artifact_uri).put_bytes("late.txt", b"x")
    end(box, box.get_run(their_id).info)
    assert box.flush(10)
    assert theirs(server, info).data.metrics == {"m": 2.0}
    place = box.get_run(their_id).info.artifact_uri
    assert artifact_store(place).list() == ["late.txt"]


def test_what_waits_for_a_run_of_the_server_shows_at_once(box, server):
    """A tag that was just set is read back, though the run itself is on the server."""
    info = start(box)
    end(box, info)
    assert box.flush(10)
    their_id = theirs(server, info).info.run_id
    server.fault = lambda step: None if "get run" in step else _raise()
    box.write(RunChange(their_id, tags=(RunTag("note", "new"),)))
    assert box.get_run(their_id).data.tags["note"] == "new"
    assert "note" not in theirs(server, info).data.tags


def _raise():
    raise StoreUnavailableError("busy")


# Experiments


def test_experiments_are_known_by_name_until_the_server_says_more(box, server):
    """The identifier that stands for a name is understood wherever the server's is."""
    server.is_away()
    experiment = box.experiment_for_runs("new one")
    assert experiment.experiment_id == "name:new one"
    assert box.get_experiment("name:new one").name == "new one"
    info = start(box, "new one")
    assert box.get_experiment_by_name("new one").experiment_id == "name:new one"
    server.is_back()
    assert box.flush(10)
    number = server.store.get_experiment_by_name("new one").experiment_id
    end(box, info)
    for each in (number, "name:new one"):
        assert [run.data.tags["kind"] for run in box.search_runs([each])] == ["test"]
    assert box.get_experiment_by_name("new one").experiment_id == number
    assert box.experiment_for_runs(None).experiment_id == "0"
    assert box.get_run(info.run_id).info.experiment_id == number


def test_experiments_can_be_made_while_the_server_is_away(box, server):
    """One is made with its tags when the server is back; a name that is taken by then is used."""
    server.is_away()
    made = box.create_experiment("later", tags={"a": "b"})
    assert made == "name:later"
    info = start(box, "later")
    server.is_back()
    assert box.flush(10)
    there = server.store.get_experiment_by_name("later")
    assert there.tags == {"a": "b"}
    assert theirs(server, info).info.experiment_id == there.experiment_id


def test_runs_for_a_deleted_experiment_are_set_aside(box, server):
    """Nothing is made in its place; when it is restored, they can be sent."""
    server.store.create_experiment("gone")
    number = server.store.get_experiment_by_name("gone").experiment_id
    experiments = server.store._experiments
    experiments[number] = replace(experiments[number], lifecycle_stage="deleted")
    info = start(box, "gone")
    box.write(RunChange(info.run_id, params=(Param("a", "1"),)))
    assert box.flush(10)
    assert {each.run_id for each in box.left().refused} == {info.run_id}
    assert "is deleted on the server" in box.left().refused[0].error
    assert box.get_run(info.run_id).data.params == {"a": "1"}
    experiments[number] = replace(experiments[number], lifecycle_stage="active")
    assert box.sync(lambda: None, 10, retry_refused=True) is None
    assert box.left().is_nothing
    assert theirs(server, info).data.params == {"a": "1"}


# Files


def test_files_are_sent_once_and_removed_at_last(box, server):
    """Files of a run appear on the server, also those that come after its end."""
    info = start(box, "files")
    files = artifact_store(info.artifact_uri)
    files.put_bytes("a/b.txt", b"1")
    files.put_bytes("ü.txt", b"2")
    assert box.flush(10)
    place = theirs(server, info).info.artifact_uri
    assert artifact_store(place).list("a") == ["a/b.txt"]
    files.put_bytes("a/b.txt", b"changed")
    end(box, info)
    assert box.flush(10)
    files.put_bytes("late.png", b"3")
    assert box.flush(10)
    there = artifact_store(place)
    assert there.open("a/b.txt").read() == b"changed"
    assert there.list() == ["a", "late.png", "ü.txt"]
    counts = {path.removeprefix(place): n for path, n in server.files.items()}
    assert counts == {"/a/b.txt": 2, "/ü.txt": 1, "/late.png": 1}
    assert box.left().files == 0
    box.close()
    assert files_below(box.folder / "files") == []


def test_files_that_are_being_read_stay_for_a_while(box, server, monkeypatch):
    """What the server has is removed only after a lease."""
    info = start(box)
    artifact_store(info.artifact_uri).put_bytes("x", b"1")
    end(box, info)
    assert box.flush(10)
    time.sleep(0.3)
    assert files_below(box.folder / "files") == [f"{info.run_id}/artifacts/x"]
    monkeypatch.setattr(outbox_delivery, "LEASE", 0.0)
    assert outbox_uploads.LEASE >= 5


def test_files_of_a_run_that_is_not_booked_yet_wait_for_it(box, server):
    """A fit writes its files first, then its run: meanwhile they are nobody's."""
    info = new_info(box)
    artifact_store(info.artifact_uri).put_bytes("x", b"1")
    start(box)
    assert box.flush(10)
    time.sleep(0.2)
    assert not server.files
    assert box.left().is_nothing
    box.write(RunChange(info.run_id, create=info))
    assert box.flush(10)
    assert list(server.files.values()) == [1]


def write_model(box, info, content=b"pickle"):
    """Write a model into the spool as a fit does, and return its record."""
    from hashlib import sha256

    model_id = f"m-{uuid.uuid4().hex}"
    place = f"{box.folder}/files/models/{model_id}/artifacts"
    descriptor = f'model_id: "{model_id}"\nrun_id: "{info.run_id}"\n'.encode()
    files = {"MLmodel": descriptor, "model.pkl": content}
    for name, data in files.items():
        artifact_store(place).put_bytes(name, data)
    digests = {name: sha256(data).hexdigest() for name, data in files.items()}
    return LoggedModel(
        model_id,
        info.experiment_id,
        "model",
        place,
        1,
        1,
        info.run_id,
        tags={"skledger.digests": json.dumps(digests), "t": "1"},
        params={"C": "1"},
        metrics=(Metric("m", 1.0, 1),),
    )


def test_models_name_what_the_server_calls_them(box, server):
    """``MLmodel`` and the digests are those of the server's model; before, they are ours."""
    from hashlib import sha256

    server.is_away()
    info = new_info(box, "FINISHED", "models", end_time=9)
    model = write_model(box, info)
    box.write(RunChange(info.run_id, create=info, models=(model,)))
    assert box.get_logged_model(model.model_id).artifact_location == model.artifact_location
    assert box.search_logged_models(info.run_id, "model") == [model]
    assert box.get_run(info.run_id).outputs.model_outputs[0].model_id == model.model_id
    assert box.left().files == 2
    server.is_back()
    assert box.flush(10)
    run = theirs(server, info)
    there = server.get_logged_model(model.model_id)
    assert there.model_id == server.models[model.model_id] != model.model_id
    read = box.get_logged_model(model.model_id)
    assert read == replace(there, model_id=model.model_id, source_run_id=info.run_id)
    files = artifact_store(there.artifact_location)
    descriptor = files.open("MLmodel").read()
    assert descriptor == f'model_id: "{there.model_id}"\nrun_id: "{run.info.run_id}"\n'.encode()
    digests = json.loads(there.tags["skledger.digests"])
    assert digests["MLmodel"] == sha256(descriptor).hexdigest()
    assert digests["model.pkl"] == sha256(files.open("model.pkl").read()).hexdigest()
    assert there.tags["t"] == "1" and there.params == {"C": "1"}
    assert set(server.files.values()) == {1}
    assert run.info.status == "FINISHED"
    box.close()
    assert files_below(box.folder / "files") == []


def test_what_a_model_was_measured_on_waits_and_arrives(box, server):
    """It shows, and is found by its data, under our identifiers before and after it was sent."""
    server.is_away()
    info = new_info(box, "FINISHED", "measured", end_time=9)
    model = write_model(box, info)
    metric = Metric("acc", 0.5, 5, dataset_name="my test", dataset_digest="d1")
    box.write(RunChange(info.run_id, create=info, models=(replace(model, metrics=(metric,)),)))
    later = replace(metric, key="f1", dataset_digest="d2")
    box.write(
        RunChange(
            info.run_id,
            metrics=(later,),
            model_changes=(ModelChange(model.model_id, metrics=(later,)),),
        )
    )
    for sent in (False, True):
        if sent:
            server.is_back()
            assert box.flush(10)
        read = box.get_logged_model(model.model_id)
        assert set(read.metrics) == {metric, later}
        told = {(each.model_id, each.run_id) for each in read.metrics}
        assert told == {(model.model_id, info.run_id)}
        assert not box.get_metric_history(info.run_id, "f1")[0].dataset_name


def test_a_model_whose_digests_are_in_a_file_is_whole(box, server):
    """Where many files are booked by one list, the list and its digest follow."""
    from hashlib import sha256

    info = new_info(box, "FINISHED", end_time=9)
    model = write_model(box, info)
    listed = model.tags["skledger.digests"].encode()
    artifact_store(model.artifact_location).put_bytes("digests.json", listed)
    tag = json.dumps({"digests.json": sha256(listed).hexdigest()})
    model = replace(model, tags={"skledger.digests": tag})
    box.write(RunChange(info.run_id, create=info, models=(model,)))
    assert box.flush(10)
    there = box.get_logged_model(model.model_id)
    files = artifact_store(there.artifact_location)
    content = files.open("digests.json").read()
    assert json.loads(there.tags["skledger.digests"]) == {
        "digests.json": sha256(content).hexdigest()
    }
    descriptor = files.open("MLmodel").read()
    assert json.loads(content)["MLmodel"] == sha256(descriptor).hexdigest()


def test_a_model_that_was_replaced_goes(box, server):
    """Steps of partial_fit replace the model: the server keeps the last one only."""
    server.is_away()
    info = start(box)
    first, second = write_model(box, info), write_model(box, info)
    box.write(RunChange(info.run_id, models=(first,)))
    box.write(RunChange(info.run_id, models=(second,), deleted_models=(first.model_id,)))
    assert [m.model_id for m in box.search_logged_models(info.run_id)] == [second.model_id]
    server.is_back()
    end(box, info)
    assert box.flush(10)
    assert [
        m.name for m in server.store.search_logged_models(theirs(server, info).info.run_id)
    ] == ["model"]


# The fluent API over it


@pytest.fixture
def in_use(box, monkeypatch):
    """The outbox as the store of the tracking URI."""
    session._session.stores[URI] = box
    monkeypatch.setenv("SKLEDGER_TRACKING_URI", URI)
    return box


def test_runs_are_booked_in_an_experiment_of_the_environment_unasked(in_use, server, monkeypatch):
    """By its name or by its identifier; whether there is one, the server says later."""
    number = server.store.create_experiment("theirs")
    server.is_away()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    with skledger.start_run() as by_id:
        skledger.log_text("a", "a.txt")
    assert by_id.info.artifact_uri.startswith(f"{in_use.folder}/files/")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "by name")
    session._session.experiments.clear()
    with skledger.start_run() as by_name:
        skledger.log_param("b", 1)
    server.is_back()
    assert skledger.flush(10)
    assert theirs(server, by_id.info).info.experiment_id == number
    assert len(server.files) == 1
    there = server.store.get_experiment_by_name("by name")
    assert theirs(server, by_name.info).info.experiment_id == there.experiment_id


def test_files_of_an_experiment_that_was_chosen_by_its_number_wait_here(in_use, server):
    """Wherever the server keeps the artifacts of an experiment, nobody waits for it."""
    number = server.store.create_experiment("theirs")
    chosen = skledger.set_experiment(experiment_id=number)
    assert (chosen.experiment_id, chosen.name) == (number, "theirs")
    server.is_away()
    with skledger.start_run() as run:
        skledger.log_text("a", "a.txt")
        assert skledger.get_artifact_uri().startswith(f"{in_use.folder}/files/")
    server.is_back()
    assert skledger.flush(10)
    assert theirs(server, run.info).info.experiment_id == number


def test_a_run_whose_process_is_gone_ends(open_box, server):
    """Whoever opens the outbox next ends it, without asking the server."""
    from skledger.tracking.dead_runs import end_at_opening
    from skledger.tracking.processes import identity_of

    server.is_away()
    child = os.fork()
    if child == 0:
        os._exit(0)
    tag = RunTag("skledger.process", identity_of(child))
    os.waitpid(child, 0)
    first = open_box()
    info = new_info(first)
    first.write(RunChange(info.run_id, create=info, tags=(tag,)))
    second = open_box()
    end_at_opening(second)
    run = second.get_run(info.run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["skledger.error.type"] == "ProcessDied"
    server.is_back()
    assert second.flush(10)
    assert theirs(server, info).info.status == "KILLED"


def test_a_run_that_was_deleted_is_let_go(box, server):
    """It is deleted on the server, and its files here go, though it never ended."""
    info = start(box)
    artifact_store(info.artifact_uri).put_bytes("x", b"1")
    box.write(RunChange(info.run_id, lifecycle_stage="deleted"))
    assert box.flush(10)
    assert theirs(server, info).info.lifecycle_stage == "deleted"
    box.close()
    assert files_below(box.folder / "files") == []


def test_a_run_of_which_nothing_comes_is_let_go(box, server, monkeypatch):
    """One that another machine left open does not keep its files here for ever."""
    from skledger.stores import outbox_runs

    info = start(box)
    artifact_store(info.artifact_uri).put_bytes("x", b"1")
    assert box.flush(10)
    monkeypatch.setattr(outbox_runs, "SILENCE", -1000)
    box.close()
    assert files_below(box.folder / "files") == []
    assert box.get_run(info.run_id).info.artifact_uri == theirs(server, info).info.artifact_uri
    box.write(RunChange(info.run_id, status="FINISHED", end_time=3))
    assert box.flush(10)
    assert theirs(server, info).info.status == "FINISHED"


# Who forwards


def test_one_process_forwards_and_others_append(open_box, server, tmp_path):
    """Who does not get the lock leaves what it books to the one that has it."""
    lock = ProcessLock(tmp_path / "box" / "lock")
    assert lock.acquire()
    box = open_box()
    info = start(box)
    assert not box.flush(0.5)
    assert not server.runs
    lock.release()
    assert box.flush(10)
    assert theirs(server, info)


def test_a_forked_child_books_into_the_same_outbox(box, server):
    """The child has a thread and a connection of its own; nothing is lost or sent twice."""
    info = start(box)
    server.is_away()
    box.write(RunChange(info.run_id, params=(Param("of", "parent"),)))
    child = os.fork()
    if child == 0:
        try:
            box.write(RunChange(info.run_id, tags=(RunTag("of", "child"),)))
            ok = box.get_run(info.run_id).data.tags["of"] == "child"
            os._exit(0 if ok else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert box.get_run(info.run_id).data.tags["of"] == "child"
    server.is_back()
    assert box.flush(10)
    run = theirs(server, info)
    assert run.data.tags["of"] == "child" and run.data.params == {"of": "parent"}


def test_an_outage_is_told_once_and_its_end_once(box, server, caplog):
    """One warning when the server does not answer, one line when it does again, none between."""
    server.is_away()
    info = start(box)
    for step in range(20):
        box.write(RunChange(info.run_id, metrics=(Metric("m", 1.0, step),)))
        time.sleep(0.02)
    assert not box.flush(1)
    lines = [record.message for record in caplog.records]
    assert len(lines) == 1
    assert re.search(r"nobody answers; nothing is lost: \d+ records? waits? in /", lines[0])
    server.is_back()
    assert box.flush(10)
    time.sleep(0.2)
    lines = [record.message for record in caplog.records]
    assert lines[1:] == [f"skledger: {URI} answers again; what waited was sent"]


def test_a_server_that_comes_and_goes_is_not_told_of_each_time(box, server, caplog, monkeypatch):
    """Within minutes of the first warning no other comes."""
    monkeypatch.setattr(outbox_courier, "QUIET", 300.0)
    for _ in range(3):
        server.is_away()
        start(box)
        assert not box.flush(1)
        server.is_back()
        assert box.flush(5)
        time.sleep(0.1)
    assert len([r for r in caplog.records if "nothing is lost" in r.message]) == 1


def test_pauses_grow_while_the_server_is_away(box, server):
    """It is asked less and less often, whatever is booked meanwhile."""
    server.is_away()
    info = start(box)
    begun = time.monotonic()
    while time.monotonic() - begun < 1.0:
        box.write(RunChange(info.run_id, metrics=(Metric("m", 1.0, 1),)))
        time.sleep(0.005)
    assert server.asked < 8


def test_the_forwarder_waits_for_pauses_of_training(box, server, monkeypatch):
    """While a fit is under way, little of the time goes to forwarding."""
    from skledger._guard import switch

    monkeypatch.setattr(outbox_courier, "PATIENCE", 0.6)
    switch.fit_started()
    try:
        start(box)
        time.sleep(0.3)
        assert not server.runs
    finally:
        switch.fit_ended()
    assert box.flush(10)
    assert server.runs


# What is refused


def refusing(server, key):
    """Let the server refuse whatever has a param or tag of that key."""
    take = server._data

    def data(change, retry):
        for each in (*change.params, *change.tags):
            if each.key == key:
                raise InvalidParameterError(f"no {key}, please")
        take(change, retry)

    server._data = data


def test_what_is_refused_for_good_is_kept_and_the_rest_is_sent(box, server, caplog):
    """One param that the server does not take costs that param alone."""
    refusing(server, "bad")
    info = start(box)
    params = tuple(Param(key, "1") for key in ("a", "b", "bad", "c"))
    box.write(RunChange(info.run_id, params=params, metrics=(Metric("m", 1.0, 1),)))
    end(box, info)
    assert box.flush(10)
    run = theirs(server, info)
    assert run.data.params == {"a": "1", "b": "1", "c": "1"}
    assert run.data.metrics == {"m": 1.0} and run.info.status == "FINISHED"
    left = box.left()
    assert left.records == 0 and not left.is_nothing
    assert [(each.summary, each.error) for each in left.refused] == [
        ("param bad", "no bad, please")
    ]
    lines = [r.message for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(lines) == 1 and "refused something for good: no bad, please" in lines[0]
    assert set(server.metrics.values()) == {1}


def test_what_another_process_has_set_is_refused_by_the_server(box, server):
    """A conflict that only the server can see does not hold up what follows."""
    info = start(box)
    end(box, info)
    assert box.flush(10)
    their_id = theirs(server, info).info.run_id
    server.store.write(RunChange(their_id, params=(Param("a", "theirs"),)))
    box.write(RunChange(their_id, params=(Param("a", "ours"), Param("b", "2"))))
    other = start(box)
    assert box.flush(10)
    assert theirs(server, info).data.params == {"a": "theirs", "b": "2"}
    assert theirs(server, other)
    assert [each.summary for each in box.left().refused] == ["param a"]


def test_a_run_that_the_server_does_not_create_is_kept_whole(box, server):
    """It stays readable here, and is sent when the reason is gone."""
    create = server._create

    def refuse(change, retry):
        if change.create is not None:
            raise InvalidParameterError("no runs today")

    server._create = refuse
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("a", "1"),)))
    artifact_store(info.artifact_uri).put_bytes("x", b"1")
    end(box, info)
    box.flush(2)
    assert len(box.left().refused) >= 1 and not server.runs and not server.files
    assert box.get_run(info.run_id).data.params == {"a": "1"}
    server._create = create
    assert box.sync(lambda: None, 10, retry_refused=True) is None
    assert box.left().is_nothing
    assert theirs(server, info).data.params == {"a": "1"}
    assert list(server.files.values()) == [1]


def test_whoever_may_not_write_loses_nothing(box, server, caplog):
    """Without permission nothing is set aside: it waits, and the warning says what to do."""
    server.is_away(StoreError("401: set SKLEDGER_TRACKING_TOKEN"))
    info = start(box)
    for _ in range(3):
        assert not box.flush(3)
    assert box.left().refused == () and box.left().records == 1
    (line,) = [record.message for record in caplog.records]
    assert "set SKLEDGER_TRACKING_TOKEN; nothing is lost" in line
    server.is_back()
    assert box.flush(10)
    assert theirs(server, info)


def test_a_run_that_may_not_be_created_is_kept_whole(box, server):
    """Where other questions are answered, what is forbidden does not block the rest."""
    create = server._create

    def forbid(change, retry):
        if change.create is not None and change.create.run_name == "forbidden":
            raise StoreError("403: you may not do that")
        create(change, retry)

    server._create = forbid
    info = start(box, run_name="forbidden")
    box.write(RunChange(info.run_id, params=(Param("a", "1"),)))
    other = start(box)
    assert box.flush(20)
    assert theirs(server, other)
    assert {each.run_id for each in box.left().refused} == {info.run_id}
    server._create = create
    assert box.sync(lambda: None, 10, retry_refused=True) is None
    assert theirs(server, info).data.params == {"a": "1"}


def test_an_entry_that_cannot_be_read_does_not_hold_up_others(box, server, swallowed):
    """What a newer version has booked, or what is damaged, is set aside."""
    info = start(box)
    assert box.flush(10)
    box._databases[0].do("INSERT INTO entries (run_id,kind,body,made) VALUES ('r','new','?',1)")
    box._databases[0].do("INSERT INTO entries (run_id,kind,body,made) VALUES ('r','change','{',1)")
    end(box, info)
    assert box.flush(10)
    assert theirs(server, info).info.status == "FINISHED"
    assert [each.summary for each in box.left().refused] == ["something that cannot be read"] * 2
    assert all(isinstance(each, TypeError) for each in swallowed)
    swallowed.clear()


def test_a_run_nobody_knows_does_not_hold_up_others(box, server):
    """A change of a run that does not exist is set aside with what the server says."""
    box.write(RunChange("f" * 32, params=(Param("a", "1"),)))
    info = start(box)
    assert box.flush(10)
    assert theirs(server, info)
    assert [each.run_id for each in box.left().refused] == ["f" * 32]


def test_a_file_that_is_refused_is_kept(box, server):
    """Such as one that is too large for the server."""
    artifacts = server.artifacts

    def refuse(place):
        files = artifacts(place)
        put = files.put_file

        def put_file(path, source):
            if path == "large":
                raise InvalidParameterError("too large")
            put(path, source)

        files.put_file = put_file
        return files

    box._delivery.uploads._artifacts = refuse
    info = start(box)
    for name in ("a", "large", "z"):
        artifact_store(info.artifact_uri).put_bytes(name, b"1")
    end(box, info)
    assert box.flush(10)
    assert artifact_store(theirs(server, info).info.artifact_uri).list() == ["a", "z"]
    assert [each.summary for each in box.left().refused] == ["the file large"]
    box.close()
    assert files_below(box.folder / "files") == [f"{info.run_id}/artifacts/large"]
    box._delivery.uploads._artifacts = artifacts
    assert box.sync(lambda: None, 10, retry_refused=True) is None
    assert box.left().is_nothing
    assert artifact_store(theirs(server, info).info.artifact_uri).list() == ["a", "large", "z"]


def test_a_change_that_the_server_always_fails_on_is_set_aside_at_last(box, server, monkeypatch):
    """As long as it answers other questions, one change does not block the rest for ever."""
    from skledger.stores import outbox_forwarder

    monkeypatch.setattr(outbox_forwarder, "MOST_TRIES", 4)
    take = server._data

    def data(change, retry):
        if any(each.key == "poison" for each in change.params):
            raise StoreUnavailableError("500: something broke", status=500)
        take(change, retry)

    server._data = data
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("poison", "1"),)))
    other = start(box)
    assert box.sync(lambda: None, 20) is None
    assert theirs(server, other)
    assert [each.summary for each in box.left().refused] == ["param poison"]


# The place


def test_the_place_of_an_outbox(monkeypatch, tmp_path):
    """One for each server and user, without passwords in it; SKLEDGER_OUTBOX moves them all."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "boxes"))
    assert plain_uri("HTTP://me:secret@Host:5000/mlflow/?a=b") == "http://host:5000/mlflow"
    assert folder_of("http://me:secret@host") == folder_of("http://me:changed@host/")
    assert folder_of("http://me:secret@host") != folder_of("http://host/")
    with monkeypatch.context() as patch:
        patch.setenv("SKLEDGER_TRACKING_TOKEN", "a token")
        first = folder_of("http://host")
        patch.setenv("SKLEDGER_TRACKING_TOKEN", "another")
        assert len({first, folder_of("http://host"), folder_of("http://you@host")}) == 3
    assert folder_of("http://host").parent == tmp_path / "boxes"
    assert folder_of("http://host") != folder_of("http://host:1")
    monkeypatch.delenv("SKLEDGER_OUTBOX")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert folder_of("http://host").parent == tmp_path / "state" / "skledger" / "outbox"


def test_an_outbox_is_for_its_user_only(box):
    """What is booked may be confidential, also when a file comes first."""
    info = new_info(box)
    artifact_store(info.artifact_uri).put_bytes("x", b"1")
    box.write(RunChange(info.run_id, create=info))
    assert box.folder.stat().st_mode & 0o077 == 0


def test_an_outbox_that_cannot_be_written_says_so(tmp_path, server):
    """The error names the folder and what to do."""
    (tmp_path / "file").write_text("")
    box = OutboxStore(URI, lambda: server, tmp_path / "file" / "box", server.artifacts)
    info = new_info(box)
    with pytest.raises(StoreError, match="set SKLEDGER_OUTBOX to another folder"):
        box.write(RunChange(info.run_id, create=info))


def test_an_outbox_that_was_removed_is_made_anew(box, server):
    """What is booked after that is kept."""
    import shutil

    server.is_away()
    start(box)
    shutil.rmtree(box.folder)
    info = start(box)
    assert box.left().records == 1
    server.is_back()
    assert box.flush(10)
    assert theirs(server, info)


# The same as any store


def test_a_change_reads_back_as_it_was():
    """Everything that a change can say survives the queue."""
    info = RunInfo("r" * 32, "name:x", "n", "u", "RUNNING", 1, None, "active", "/a")
    model = LoggedModel("m-1", "0", "m", "/m", 1, 2, None, metrics=(Metric("a", -0.0, 1, -5),))
    measured = Metric("b", 1.0, 1, dataset_name="größe", dataset_digest="d1")
    change = RunChange(
        info.run_id,
        create=info,
        status="FAILED",
        end_time=0,
        run_name="",
        lifecycle_stage="deleted",
        metrics=(Metric("k", math.inf, -1, 2**62), Metric("k", 1e-320, 1)),
        params=(Param("p", "\x00\U0001f600"),),
        tags=(RunTag("t", ""),),
        deleted_tags=("x",),
        inputs=(DatasetInput(Dataset("d", "1", "t", "s", None, "p"), (RunTag("a", "b"),)),),
        models=(model,),
        deleted_models=("m-2",),
        model_changes=(
            ModelChange("m-1", "READY", (Metric("a", math.inf, 1), measured), (Param("p", "1"),)),
            ModelChange("m-3", tags=(RunTag("t", ""),), deleted_tags=("x", "y")),
        ),
    )
    assert decode_change(encode_change(change)) == change
    plain = RunChange("r")
    assert decode_change(encode_change(plain)) == plain


def changes_at_random(chance, run_id, count):
    keys = ["a", "b", "c"]
    for _ in range(count):
        yield RunChange(
            run_id,
            status=chance.choice([None, None, "RUNNING", "FINISHED"]),
            end_time=chance.choice([None, 5, 7]),
            run_name=chance.choice([None, None, "name", "other"]),
            metrics=tuple(
                Metric(
                    chance.choice(keys),
                    chance.choice([0.0, 1.5, math.nan, math.inf]),
                    chance.randrange(3),
                    chance.randrange(3),
                )
                for _ in range(chance.randrange(4))
            ),
            params=tuple(
                Param(f"p{chance.randrange(50)}", "1") for _ in range(chance.randrange(3))
            ),
            tags=tuple(
                RunTag(chance.choice(keys), str(chance.random()))
                for _ in range(chance.randrange(3))
            ),
            deleted_tags=tuple(chance.sample(keys, chance.randrange(2))),
        )


@pytest.mark.parametrize("seed", range(8))
def test_a_replayed_run_is_what_a_store_would_have(seed):
    """Change by change, and after they were put together to be sent."""
    import random

    chance = random.Random(seed)
    info = RunInfo("r" * 32, "0", "n", "u", "RUNNING", 1, None, "active", "/a")
    changes = [RunChange(info.run_id, create=info)]
    changes += changes_at_random(chance, info.run_id, 30)
    store, replay = MemoryStore(), Replay.of_new(info)
    for change in changes:
        store.write(change)
        if change.create is None:
            replay.apply(change)
    expected = store.get_run(info.run_id)
    assert _text(replay.run()) == _text(expected)
    for key in "abc":
        assert list(map(_text, replay.history(key))) == list(
            map(_text, store.get_metric_history(info.run_id, key))
        )
    entries = [
        Entry(n, info.run_id, CHANGE, encode_change(each), 0) for n, each in enumerate(changes)
    ]
    together = MemoryStore()
    groups = grouped(entries)
    assert len(groups) < len(entries) / 3
    for group in groups:
        together.write(group.change)
    assert _text(together.get_run(info.run_id)) == _text(expected)


def _text(entity):
    """Return an entity in a form in which NaN equals itself, and order does not matter."""
    told = entity.to_dictionary()
    return json.dumps(told, sort_keys=True)


# The command


@pytest.fixture
def command(box, monkeypatch):
    """Run ``skledger sync`` for the outbox of the stand-in."""
    from click.testing import CliRunner

    from skledger.cli import main

    monkeypatch.setattr("skledger.stores.outbox.open_outbox", lambda uri, sends: box)

    def run(*arguments):
        return CliRunner().invoke(main, ["sync", *arguments], catch_exceptions=False)

    return run


def test_sync_sends_what_waits(command, box, server):
    """It says how much; the exit code is 0 when nothing is left."""
    server.is_away()
    info = start(box)
    artifact_store(info.artifact_uri).put_bytes("x", b"12345")
    told = command(URI, "--status")
    assert told.exit_code == 1
    assert "1 record and 1 file wait (5 B) for http://standin" in told.output
    server.is_back()
    told = command(URI)
    assert told.exit_code == 0, told.output
    assert "Sent 1 record and 1 file to http://standin in" in told.output
    assert theirs(server, info)
    assert command(URI, "--status").output == "Nothing waits for http://standin.\n"


def test_sync_gives_up_when_nobody_answers(command, box, server, monkeypatch):
    """The exit code is 1, and it says what waits where and why."""
    monkeypatch.setattr(outbox_delivery, "GIVE_UP", 0.5)
    server.is_away()
    start(box)
    told = command(URI)
    assert told.exit_code == 1
    assert "Error: nobody answers" in told.output
    assert "1 record waits for http://standin" in told.output
    assert str(box.folder) in told.output


def test_sync_ends_when_its_time_is_over(command, box, server):
    """``--timeout`` is the longest it takes."""
    server.is_away()
    start(box)
    begun = time.monotonic()
    assert command(URI, "--timeout", "0.3").exit_code == 1
    assert time.monotonic() - begun < 4


def test_sync_shows_what_was_refused_and_tries_it_again(command, box, server):
    """Nothing is dropped in silence."""
    take = server._data
    refusing(server, "bad")
    info = start(box)
    box.write(RunChange(info.run_id, params=(Param("bad", "1"),)))
    told = command(URI)
    assert told.exit_code == 1
    assert "refused 1 thing for good" in told.output and "no bad, please" in told.output
    assert "param bad" in command(URI, "--status").output
    server._data = take
    told = command(URI, "--retry-refused")
    assert told.exit_code == 0, told.output
    assert theirs(server, info).data.params == {"bad": "1"}


def test_sync_is_for_servers(command):
    """Another URI is refused; without one and without a server there is nothing to do."""
    told = command("sqlite:///x.db")
    assert told.exit_code == 1 and "not the address of a tracking server" in told.output


def test_sync_finds_every_server_that_something_waits_for(command, monkeypatch, tmp_path, server):
    """Without an address all outboxes of this machine are looked at."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "boxes"))
    assert command().output == "There is nothing to do: nothing waits for any server.\n"
    server.is_away()
    other = OutboxStore("http://other:1/x", lambda: server, artifacts=server.artifacts)
    start(other)
    other.close()
    assert outboxes() == ["http://other:1/x"]
