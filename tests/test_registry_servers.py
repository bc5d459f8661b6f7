"""Registered models on a tracking server: a real one, one that is away, one that loses answers."""

from __future__ import annotations

import logging
import uuid

import pytest
from _mlflow_server import MlflowServer, mlflow_server  # noqa: F401 - a fixture
from _proxy import Proxy
from sklearn.linear_model import LinearRegression, Ridge

import skledger
from skledger.errors import NotFoundError, StoreUnavailableError
from skledger.stores import outbox_courier
from skledger.tracking import session

X, Y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]


@pytest.fixture(autouse=True)
def _own_outbox(tmp_path, monkeypatch):
    """Keep the outbox in the test's folder, and do not wait for long."""
    monkeypatch.setenv("SKLEDGER_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.setattr(outbox_courier, "SHORTEST_PAUSE", 0.05)


@pytest.fixture
def name():
    return f"iris {uuid.uuid4().hex[:8]}"


def log(**options):
    with skledger.start_run():
        return skledger.sklearn.log_model(LinearRegression().fit(X, Y), name="m", **options)


def use(uri):
    skledger.set_tracking_uri(uri)
    return skledger.MlflowClient()


def test_a_server_registers_what_waits_here(mlflow_server, name):  # noqa: F811
    """What was booked a moment ago is sent first, and the version loads, verified, by its name."""
    client = use(mlflow_server.uri)
    info = log(registered_model_name=name)
    assert info.registered_model_version == 1
    assert skledger.register_model(info.model_uri, name).version == "2"
    client.set_registered_model_alias(name, "champion", 2)
    client.set_model_version_tag(name, 2, "a", "b")
    for uri in (f"models:/{name}/1", f"models:/{name}@champion", f"models:/{name}/latest"):
        assert skledger.sklearn.load_model(uri).predict([[5.0]])[0] == pytest.approx(5.0)
    assert skledger.search_model_versions(filter_string=f"run_id = '{info.run_id}'")
    names = {each.path for each in skledger.artifacts.list_artifacts(f"models:/{name}@champion")}
    assert "MLmodel" in names
    import mlflow

    theirs = mlflow.MlflowClient(mlflow_server.uri, mlflow_server.uri)
    assert theirs.get_model_version_by_alias(name, "champion").tags == {"a": "b"}
    assert theirs.get_registered_model(name).latest_versions[0].version == "2"


def test_autologging_queues_its_registrations(mlflow_server, name):  # noqa: F811
    """A fit does not wait for the server; once all is sent, each fit is a version."""
    client = use(mlflow_server.uri)
    with skledger.autolog(registered_model_name=name):
        for alpha in (1.0, 2.0, 3.0):
            Ridge(alpha).fit(X, Y)
    assert skledger.flush(60)
    versions = client.search_model_versions(f"name = '{name}'", order_by=["version_number"])
    assert [each.version for each in versions] == ["1", "2", "3"]
    found = [skledger.sklearn.load_model(f"models:/{name}/{at}").alpha for at in (1, 2, 3)]
    assert found == [1.0, 2.0, 3.0]


@pytest.mark.slow
def test_a_server_that_is_away(tmp_path, name, caplog):
    """A call says so; `log_model` and autologging keep the registration, in order, until it is back."""
    server = MlflowServer(tmp_path / "server")
    client = use(server.uri)
    with caplog.at_level(logging.WARNING, "skledger"):
        info = log(registered_model_name=name)
    assert info.registered_model_version is None
    assert any("will be registered as" in each.getMessage() for each in caplog.records)
    with skledger.autolog(registered_model_name=name):
        Ridge(7.0).fit(X, Y)
    for call in (
        lambda: skledger.register_model(info.model_uri, name),
        lambda: client.create_registered_model("other"),
        lambda: client.get_registered_model(name),
    ):
        with pytest.raises(StoreUnavailableError):
            call()
    try:
        server.start()
        assert skledger.flush(120)
        assert len(client.search_model_versions(f"name = '{name}'")) == 2
        assert skledger.sklearn.load_model(f"models:/{name}/1").coef_[0] == pytest.approx(1.0)
        assert skledger.sklearn.load_model(f"models:/{name}/2").alpha == 7.0
        with pytest.raises(NotFoundError):
            client.get_registered_model("other")
    finally:
        session.close_stores()
        server.stop()


def test_an_answer_that_is_lost_makes_no_second_version(mlflow_server, name):  # noqa: F811
    """What the server did though nobody heard of it is found again, and not done twice."""
    proxy = Proxy(mlflow_server.uri)
    lost = []

    def choose(number, method, path):
        if "model-versions/create" in path and len(lost) < 2:
            lost.append(path)
            return "lose"
        return None

    proxy.choose = choose
    proxy.start()
    try:
        client = use(proxy.uri)
        with skledger.autolog(registered_model_name=name):
            Ridge().fit(X, Y)
        assert skledger.flush(60)
        assert len(lost) >= 1
        assert [each.version for each in client.search_model_versions(f"name = '{name}'")] == ["1"]
    finally:
        session.close_stores()
        proxy.stop()


def test_what_the_server_refuses_is_set_aside(mlflow_server, name):  # noqa: F811
    """A registration whose model is gone does not hold up what comes after it."""
    use(mlflow_server.uri)
    store = session.get_store()
    store.queue_registration(name, "models:/m-" + "0" * 32, None)
    with skledger.autolog(registered_model_name=name):
        Ridge().fit(X, Y)
    assert skledger.flush(60) is False  # one thing is not there, and never will be
    left = store.left()
    assert [each.summary for each in left.refused] == [
        f"a version of the registered model {name!r}"
    ]
    assert len(skledger.search_model_versions(filter_string=f"name = '{name}'")) == 1
