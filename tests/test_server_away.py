"""A script whose tracking server is there, then away, then there again: what it may count on."""

from __future__ import annotations

import time
import uuid

import _mlflow_server
import pytest
from _commands import invoke
from _proxy import Proxy

import skledger
from skledger.errors import InvalidParameterError, NotFoundError, StoreUnavailableError
from skledger.stores import outbox_courier, outbox_experiments
from skledger.stores.rest import RestStore
from skledger.tracking import session
from skledger.tracking.entities import ViewType

pytestmark = pytest.mark.timeout(300)
mlflow_server = _mlflow_server.mlflow_server


@pytest.fixture
def proxy(mlflow_server, tmp_path, monkeypatch):
    """A proxy before the server, in use and running; outboxes are the test's own."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outboxes"))
    monkeypatch.setattr(outbox_courier, "SHORTEST_PAUSE", 0.1)
    monkeypatch.setattr(outbox_courier, "LONGEST_PAUSE", 0.5)
    made = Proxy(mlflow_server.uri).start()
    skledger.set_tracking_uri(made.uri)
    yield made
    made.choose = lambda *_: 503
    session.reset()
    made.stop()


@pytest.fixture
def there(mlflow_server):
    """The server itself, asked past the proxy."""
    store = RestStore(mlflow_server.uri)
    yield store
    store.close()


@pytest.fixture
def name():
    """An experiment of the test's own, which the server does not have."""
    return f"away-{uuid.uuid4().hex[:12]}"


def seconds_of(call, error=None):
    """Return how long a call takes, which may be to raise an error."""
    begun = time.monotonic()
    if error is None:
        call()
    else:
        with pytest.raises(error):
            call()
    return time.monotonic() - begun


# Experiments


def test_an_experiment_is_made_when_it_is_chosen(proxy, there, name):
    """With a server that answers it has its identifier at once, and is found in every way."""
    chosen = skledger.set_experiment(name)
    assert int(chosen.experiment_id) > 0
    assert there.get_experiment_by_name(name).experiment_id == chosen.experiment_id
    assert skledger.get_experiment_by_name(name).experiment_id == chosen.experiment_id
    assert len(skledger.search_runs(experiment_names=[name])) == 0
    found = skledger.search_experiments(filter_string=f"name = '{name}'")
    assert [each.experiment_id for each in found] == [chosen.experiment_id]
    skledger.set_experiment_tag("a", "b")
    assert there.get_experiment(chosen.experiment_id).tags["a"] == "b"
    with skledger.start_run() as run:
        skledger.log_text("a", "a.txt")
    assert run.info.experiment_id == chosen.experiment_id
    assert run.info.artifact_uri.startswith(session.get_store().spool_folder)
    with pytest.raises(skledger.SkledgerError):
        skledger.MlflowClient().rename_experiment("0", name)


def test_a_deleted_experiment_is_refused_when_it_is_chosen(proxy, there, name):
    """By its name and by its identifier, as in any store."""
    number = there.create_experiment(name)
    there.update_experiment(number, lifecycle_stage="deleted")
    with pytest.raises(InvalidParameterError, match="is deleted"):
        skledger.set_experiment(name)
    with pytest.raises(InvalidParameterError, match="is deleted"):
        skledger.set_experiment(experiment_id=number)


def test_an_experiment_chosen_without_an_answer_is_made_later(proxy, there, name):
    """It has a name only, soon; when the server is back, reads find it and the runs in it."""
    proxy.choose = lambda *_: "hang"
    took = seconds_of(lambda: skledger.set_experiment(name))
    assert 1.5 < took < 4
    assert seconds_of(lambda: skledger.set_experiment(f"{name}-2")) < 0.5
    skledger.set_experiment(name)
    with skledger.start_run() as run:
        skledger.log_metric("a", 1)
    assert run.info.experiment_id == f"name:{name}"
    assert len(session.get_store()._queue.waiting_experiments()) == 2
    proxy.choose = lambda *_: None
    assert session.get_store().sync(lambda: None, 60) is None
    number = there.get_experiment_by_name(name).experiment_id
    assert skledger.get_experiment_by_name(name).experiment_id == number
    assert skledger.get_experiment(f"name:{name}").experiment_id == number
    assert list(skledger.search_runs(experiment_names=[name]).run_id) == [run.info.run_id]
    assert there.get_experiment_by_name(f"{name}-2") is not None


def test_runs_that_wait_are_found_by_the_name_of_their_experiment(proxy, there, name):
    """Though the server has the experiment and not yet the runs."""
    proxy.choose = lambda *_: 503
    skledger.set_experiment(name)
    with skledger.start_run() as run:
        pass
    there.create_experiment(name)

    def only_reads(number, method, path):
        return None if method == "GET" or path.endswith("/search") else 503

    proxy.choose = only_reads
    assert list(skledger.search_runs(experiment_names=[name]).run_id) == [run.info.run_id]


def test_no_run_waits_for_an_experiment_of_the_environment(proxy, name, monkeypatch):
    """Nor for the default one: the server is not asked by who books."""
    proxy.choose = lambda *_: "hang"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)

    def book():
        with skledger.start_run():
            skledger.log_param("a", 1)

    assert seconds_of(book) < 1.5
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME")
    session._session.experiments.clear()
    assert seconds_of(book) < 0.5


# What this process has heard of


def test_what_was_seen_is_taken_while_the_server_is_away(proxy, there, name):
    """Runs are started in an experiment, and taken up, by identifiers that are known."""
    client = skledger.MlflowClient()
    number = client.create_experiment(name)
    with skledger.start_run(experiment_id=number) as first:
        skledger.log_param("p", "1")
        skledger.log_metric("a", 1)
    assert session.get_store().sync(lambda: None, 60) is None
    proxy.stop()
    with skledger.start_run(experiment_id=number) as second:
        skledger.log_metric("b", 1)
    third = client.create_run(number)
    fourth = client.create_run("0")
    assert skledger.set_experiment(experiment_id=number).name == name
    with skledger.start_run(run_id=first.info.run_id) as again:
        skledger.log_metric("a", 2)
    assert again.info.run_id == first.info.run_id
    assert again.data.params == {"p": "1"} and again.data.metrics == {"a": 1.0}
    assert skledger.get_run(first.info.run_id).data.metrics == {"a": 2.0}
    with skledger.start_run(parent_run_id=first.info.run_id) as child:
        pass
    with pytest.raises(StoreUnavailableError):
        client.set_experiment_tag(number, "a", "b")
    with pytest.raises(StoreUnavailableError):
        skledger.start_run(experiment_id="987654")
    with pytest.raises(StoreUnavailableError):
        skledger.start_run(run_id="f" * 32)
    proxy.start()
    assert session.get_store().sync(lambda: None, 60) is None
    assert session.get_store().left().is_nothing
    for run in (second, third, child):
        assert there.get_run(run.info.run_id).info.experiment_id == number
    assert there.get_run(fourth.info.run_id).info.experiment_id == "0"
    run = there.get_run(first.info.run_id)
    assert (run.data.metrics["a"], run.info.status) == (2.0, "FINISHED")


def test_known_identifiers_cost_no_time_when_the_server_hangs(proxy, name):
    """After it was found silent once, nothing that is known is waited for."""
    client = skledger.MlflowClient()
    number = client.create_experiment(name)
    proxy.choose = lambda *_: "hang"
    assert seconds_of(lambda: client.create_run(number)) < 0.5
    assert seconds_of(lambda: client.create_run("0")) < 0.5


def test_files_for_a_run_of_the_server_wait_here(proxy, there, name):
    """For one that was seen before; it has them when it is back."""
    number = there.create_experiment(name)
    with skledger.start_run(experiment_id=number) as run:
        pass
    assert session.get_store().sync(lambda: None, 60) is None
    session.reset()  # another process, which has not booked it
    skledger.set_tracking_uri(proxy.uri)
    (seen,) = skledger.MlflowClient().search_runs([number])
    their_id = there.server_run_id(run.info.run_id)
    assert seen.info.run_id == their_id
    proxy.stop()
    skledger.MlflowClient().log_text(their_id, "one", "notes/a.txt")
    skledger.MlflowClient().log_dict(their_id, {"a": 1}, "b.json")
    assert session.get_store().left().files == 2
    with pytest.raises(StoreUnavailableError):
        skledger.MlflowClient().log_text("f" * 32, "x", "x.txt")
    proxy.start()
    assert session.get_store().sync(lambda: None, 60) is None
    files = skledger.MlflowClient().list_artifacts(their_id)
    assert [each.path for each in files] == ["b.json", "notes"]
    assert session.get_store().left().is_nothing


# Silence


def test_a_silent_server_is_waited_for_once(proxy, name, monkeypatch):
    """One read takes 5 s at most, whatever it asks for; those after it fail at once."""
    proxy.choose = lambda *_: "hang"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with skledger.start_run():
        pass
    read = seconds_of(lambda: skledger.search_runs(experiment_names=[name]), StoreUnavailableError)
    assert 4 < read < 6.5
    client = skledger.MlflowClient()
    for call in (
        lambda: client.get_experiment("0"),
        lambda: skledger.search_runs(experiment_ids=["0"]),
        lambda: client.get_run("f" * 32),
    ):
        assert seconds_of(call, StoreUnavailableError) < 0.5
    # It is back, and the courier hears of it.
    proxy.choose = lambda *_: None
    assert session.get_store().sync(lambda: None, 60) is None
    assert client.get_experiment("0").name == "Default"


def test_an_error_tells_of_what_waits_only_when_something_does(proxy, name):
    """And the command that lists runs says it once."""
    proxy.stop()
    with pytest.raises(StoreUnavailableError) as caught:
        skledger.search_runs(experiment_ids=["0"])
    assert "wait" not in str(caught.value)
    with skledger.start_run():
        pass
    with pytest.raises(StoreUnavailableError, match=r"2 records wait here to be sent$"):
        skledger.search_runs(experiment_ids=["0"])


def test_a_command_tells_once_of_what_waits(proxy, name, caplog):
    """Its error does; what the background would add is left out."""
    proxy.stop()
    with skledger.start_run():
        skledger.log_text("a", "a.txt")
    session.reset()
    caplog.clear()
    told = invoke("runs", "--uri", proxy.uri, code=1).output
    session.reset()
    assert told.count("2 records wait") == 1
    assert [each.message for each in caplog.records if "wait" in each.message] == []


# Changes of experiments


def test_an_experiment_is_deleted_after_what_was_booked_in_it(proxy, there, name):
    """What waits is sent first, so that nothing is refused for it."""
    skledger.set_experiment(name)
    number = skledger.get_experiment_by_name(name).experiment_id
    with skledger.start_run() as run:
        for step in range(20):
            skledger.log_metric("m", step, step=step)
        skledger.log_text("a", "a.txt")
    skledger.MlflowClient().delete_experiment(number)
    assert session.get_store().sync(lambda: None, 60) is None
    assert session.get_store().left().is_nothing
    (found,) = there.search_runs([number], view_type=ViewType.ALL)
    assert found.data.tags["skledger.run_id"] == run.info.run_id
    assert found.data.metrics == {"m": 19.0}
    skledger.MlflowClient().restore_experiment(number)
    assert there.get_experiment(number).lifecycle_stage == "active"


def test_an_experiment_that_waits_can_be_tagged_when_the_server_is_back(
    proxy, there, name, monkeypatch
):
    """It is made first."""
    monkeypatch.setattr(outbox_experiments, "SHORT_PATIENCE", 0.5)
    proxy.stop()
    skledger.set_experiment(name)
    with pytest.raises((StoreUnavailableError, NotFoundError)):
        skledger.set_experiment_tags({"a": "b"})
    proxy.start()
    skledger.set_experiment_tags({"a": "b"})
    assert there.get_experiment_by_name(name).tags["a"] == "b"
