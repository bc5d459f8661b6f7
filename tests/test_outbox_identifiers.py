"""Identifiers that a process has handed out stay what they are, wherever a run is read from."""

from __future__ import annotations

import subprocess
import sys
import uuid

import _boxes
import _mlflow_server
import pytest
from _boxes import end, new_info, start, theirs

import skledger
from skledger.stores.outbox_database import Database
from skledger.tracking import session
from skledger.tracking.entities import Metric, RunChange, RunTag

pytestmark = pytest.mark.timeout(300)
mlflow_server = _mlflow_server.mlflow_server
server, open_box, box = _boxes.server, _boxes.open_box, _boxes.box

PARENT = "mlflow.parentRunId"


@pytest.fixture
def in_use(mlflow_server, tmp_path, monkeypatch):
    """The server as the tracking URI, with an outbox of the test's own."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outboxes"))
    skledger.set_tracking_uri(mlflow_server.uri)
    skledger.set_experiment(f"ids-{uuid.uuid4().hex[:12]}")
    yield mlflow_server
    session.reset()


def sent():
    assert session.get_store().sync(lambda: None, 60) is None


def test_runs_keep_the_identifiers_that_the_script_knows(in_use):
    """Before and after they were sent, in every answer, and in the tags that name other runs."""
    with skledger.start_run() as parent:
        with skledger.start_run(nested=True) as child:
            skledger.log_metric("a", 1)
        skledger.set_tag("skledger.best_run", child.info.run_id)
    client = skledger.MlflowClient()
    ids = {parent.info.run_id, child.info.run_id}

    def check():
        assert set(skledger.search_runs().run_id) == ids
        assert skledger.last_active_run().info.run_id == parent.info.run_id
        assert skledger.get_run(child.info.run_id).info.run_id == child.info.run_id
        assert skledger.get_run(child.info.run_id).data.tags[PARENT] == parent.info.run_id
        assert client.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id
        best = client.get_run(parent.info.run_id).data.tags["skledger.best_run"]
        assert best == child.info.run_id
        frame = skledger.search_runs(filter_string=f"tags.{PARENT} = '{parent.info.run_id}'")
        assert list(frame.run_id) == [child.info.run_id]
        assert list(frame[f"tags.{PARENT}"]) == [parent.info.run_id]
        experiment = [parent.info.experiment_id]
        counts = session.get_store().count_runs(experiment, tag=PARENT)
        assert counts[parent.info.run_id, "FINISHED"] == 1

    check()
    sent()
    check()
    assert skledger.get_run(parent.info.run_id).info.artifact_uri.startswith("mlflow-artifacts:")


def test_models_keep_the_identifiers_that_the_script_knows(in_use, binary):
    """The model that a run made, the run that made a model, and what was found by a search."""
    from sklearn.linear_model import LogisticRegression

    with skledger.start_run() as run:
        info = skledger.sklearn.log_model(LogisticRegression().fit(*binary), name="model")
    client = skledger.MlflowClient()

    def check():
        model = skledger.get_logged_model(info.model_id)
        assert (model.model_id, model.source_run_id) == (info.model_id, run.info.run_id)
        (made,) = client.get_run(run.info.run_id).outputs.model_outputs
        assert made.model_id == info.model_id
        found = skledger.search_logged_models(output_format="list")
        assert [each.model_id for each in found] == [info.model_id]
        (of_run,) = session.get_store().search_logged_models(run.info.run_id)
        assert (of_run.model_id, of_run.source_run_id) == (info.model_id, run.info.run_id)

    check()
    sent()
    check()
    assert skledger.sklearn.load_model(f"models:/{info.model_id}").coef_.shape[0] == 1


OTHER = """
import sys
import skledger
skledger.set_tracking_uri(sys.argv[1])
run = skledger.get_run(sys.argv[2])
(found,) = skledger.search_runs([run.info.experiment_id], output_format="list")
print(run.info.run_id, found.info.run_id, skledger.get_run(run.info.run_id).info.run_id)
"""


def test_other_processes_see_the_identifiers_of_the_server(in_use):
    """They understand both."""
    with skledger.start_run() as run:
        pass
    sent()
    done = subprocess.run(
        [sys.executable, "-c", OTHER, in_use.uri, run.info.run_id], capture_output=True, text=True
    )
    (their_id,) = set(done.stdout.split())
    assert their_id != run.info.run_id
    again = skledger.get_run(their_id)
    assert again.info.run_id == run.info.run_id
    with skledger.start_run(run_id=their_id) as taken_up:
        skledger.log_metric("late", 1)
    assert taken_up.info.run_id == run.info.run_id
    sent()
    assert skledger.get_run(run.info.run_id).data.metrics == {"late": 1.0}
    assert skledger.get_run(run.info.run_id).info.status == "FINISHED"


def test_identifiers_hold_when_another_process_sends(open_box, server):
    """What the server calls a run is known to all who share the outbox."""
    mine, other = open_box(), open_box()
    server.is_away()
    parent = start(mine)
    child = new_info(mine, "FINISHED", end_time=3)
    tag = RunTag(PARENT, parent.run_id)
    mine.write(RunChange(child.run_id, create=child, tags=(tag,)))
    end(mine, parent)
    server.is_back()
    assert other.sync(lambda: None, 10) is None
    their_parent = theirs(server, parent).info.run_id
    (found,) = mine.search_runs(["0"], f"tags.`{PARENT}` = '{their_parent}'")
    assert (found.info.run_id, found.data.tags[PARENT]) == (child.run_id, parent.run_id)
    (seen,) = other.search_runs(["0"], f"tags.`{PARENT}` = '{their_parent}'")
    assert (seen.info.run_id, seen.data.tags[PARENT]) == (
        theirs(server, child).info.run_id,
        their_parent,
    )


def test_what_is_written_under_either_identifier_is_of_one_run(box, server):
    """Also while the run is read from here."""
    info = start(box)
    assert box.flush(10)
    their_id = theirs(server, info).info.run_id
    box.write(RunChange(their_id, metrics=(Metric("a", 1.0, 1),)))
    assert box.get_run(info.run_id).data.metrics == {"a": 1.0}
    assert box.get_run(their_id).info.run_id == info.run_id
    assert [m.value for m in box.get_metric_history(their_id, "a")] == [1.0]


def test_running_runs_come_in_the_order_of_the_identifiers_that_are_told(box, server):
    """Page by page, each once."""
    for _ in range(6):
        info = start(box)
        end(box, info)
        assert box.flush(10)
        # Somebody else goes on with it.
        server.store.write(RunChange(theirs(server, info).info.run_id, status="RUNNING"))
    ids, after = [], ""
    while page := box.running_runs(max_results=2, after=after):
        ids += [run.info.run_id for run in page]
        after = ids[-1]
    assert ids == sorted(box._ids._given)


def test_an_outbox_of_an_earlier_version_is_used_on(tmp_path):
    """Tables that came later are made in it; what it holds stays."""
    database = Database(tmp_path / "queue.db", "http://x")
    database.do("INSERT INTO experiments VALUES ('a','1')")
    for table in ("names", "copies", "awaited"):
        database.do(f"DROP TABLE {table}")
    database.close()
    assert database.rows("SELECT * FROM experiments") == [("a", "1")]
    assert database.rows("SELECT * FROM awaited") == database.rows("SELECT * FROM names") == []
