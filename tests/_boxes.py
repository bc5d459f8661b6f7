"""Outboxes of a stand-in for a server, for tests: open some, book runs, look at what arrived."""

from __future__ import annotations

import uuid

import pytest
from _standin import RUN_TAG, Standin

from skledger.stores import outbox_courier
from skledger.stores.outbox import OutboxStore
from skledger.tracking.entities import RunChange, RunInfo, RunTag

URI = "http://standin"


@pytest.fixture
def server(tmp_path):
    return Standin(tmp_path / "server")


@pytest.fixture
def open_box(tmp_path, server, monkeypatch):
    """Open the outbox of the stand-in, as often as wanted; each as another process would."""
    monkeypatch.setattr(outbox_courier, "GATHER", 0.01)
    monkeypatch.setattr(outbox_courier, "SHORTEST_PAUSE", 0.05)
    monkeypatch.setattr(outbox_courier, "SHORTEST_LOOK", 0.05)
    monkeypatch.setattr(outbox_courier, "LONGEST_LOOK", 0.2)
    monkeypatch.setattr(outbox_courier, "BUSY_LOOK", 0.05)
    monkeypatch.setattr(outbox_courier, "QUIET", -1.0)
    opened = []

    def open_(folder="box"):
        store = OutboxStore(URI, lambda: server, tmp_path / folder, server.artifacts)
        opened.append(store)
        return store

    yield open_
    server.is_back()
    for store in opened:
        store.close()


@pytest.fixture
def box(open_box):
    return open_box()


def new_info(store, status="RUNNING", name=None, **fields):
    experiment = store.experiment_for_runs(name)
    run_id = uuid.uuid4().hex
    place = f"{experiment.artifact_location}/{run_id}/artifacts"
    told = {"start_time": 1000, "end_time": None, "run_name": "n", **fields}
    return RunInfo(
        run_id=run_id,
        experiment_id=experiment.experiment_id,
        user_id="u",
        status=status,
        lifecycle_stage="active",
        artifact_uri=place,
        **told,
    )


def start(store, name=None, **fields):
    """Book a run and return what it is."""
    info = new_info(store, name=name, **fields)
    store.write(RunChange(info.run_id, create=info, tags=(RunTag("kind", "test"),)))
    return info


def end(store, info, status="FINISHED"):
    store.write(RunChange(info.run_id, status=status, end_time=2000))


def theirs(server, info):
    """Return the run that the server has; it must be one."""
    found = [r for r in server.store._runs.values() if r.tags.get(RUN_TAG) == info.run_id]
    assert len(found) == 1
    return server.store.get_run(found[0].info.run_id)


def files_below(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
