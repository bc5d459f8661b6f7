"""`skledger copy` and registered models: what belongs to copied runs comes with them."""

from __future__ import annotations

import uuid

import pytest
from _mlflow_server import mlflow_server  # noqa: F401 - a fixture
from click.testing import CliRunner
from sklearn.linear_model import Ridge

import skledger
from skledger.cli import main
from skledger.stores.opening import open_store
from skledger.stores.rest import RestStore
from skledger.tracking.copying import copy

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
X, Y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]


@pytest.fixture
def name():
    return f"iris {uuid.uuid4().hex[:8]}"


@pytest.fixture
def client(tmp_path, name):
    """A store with a registered model of three versions, of which the second is deleted."""
    skledger.set_tracking_uri(f"sqlite:///{tmp_path}/from.db")
    skledger.set_experiment(name)
    client = skledger.MlflowClient()
    client.create_registered_model(name, {"team": "blue"}, "Of flowers.")
    for alpha in (1.0, 2.0, 3.0):
        with skledger.start_run(run_name=f"alpha {alpha}"):
            skledger.sklearn.log_model(Ridge(alpha).fit(X, Y), name="m", registered_model_name=name)
    client.delete_model_version(name, 2)
    client.set_registered_model_alias(name, "champion", 1)
    client.set_model_version_tag(name, 3, "a", "b")
    client.update_model_version(name, 3, "the third")
    client.transition_model_version_stage(name, 3, "Production")
    return client


@pytest.mark.parametrize("kind", ["sqlite", "file", "rest"])
def test_versions_come_with_their_runs(request, kind, client, name, tmp_path):
    """They have their numbers, tags, stages and aliases, and load verified; a second copy adds none."""
    uri = {"sqlite": f"sqlite:///{tmp_path}/to.db", "file": f"{tmp_path}/to"}.get(kind)
    uri = uri or request.getfixturevalue("mlflow_server").uri
    report = copy(client.tracking_uri, uri, [name])
    assert (report.versions, report.failures, report.notes) == (2, [], [])
    there = RestStore(uri) if kind == "rest" else open_store(uri)
    model = there.get_registered_model(name)
    assert (model.description, model.tags) == ("Of flowers.", {"team": "blue"})
    assert model.aliases == {"champion": "1"}
    third = there.get_model_version(name, 3)
    assert (third.current_stage, third.description, third.tags["a"]) == (
        "Production",
        "the third",
        "b",
    )
    assert len(there.search_model_versions(f"name = '{name}'")) == 2
    skledger.set_tracking_uri(uri)
    assert skledger.sklearn.load_model(f"models:/{name}@champion").alpha == 1.0
    assert skledger.sklearn.load_model(f"models:/{name}/Production").alpha == 3.0
    again = copy(client.tracking_uri, uri, [name])
    assert (again.versions, again.failures) == (0, [])
    assert len(there.search_model_versions(f"name = '{name}'")) == 2


def test_only_what_belongs_to_copied_runs_comes(client, name, tmp_path):
    """The rest is told; it comes when its run does, and keeps its number."""
    first = client.search_model_versions(f"name = '{name}'", order_by=["version_number"])[0]
    uri = f"sqlite:///{tmp_path}/to.db"
    report = copy(client.tracking_uri, uri, runs=[first.run_id])
    assert report.versions == 1
    assert report.notes == ["1 version of registered models not copied, because their runs are not"]
    copy(client.tracking_uri, uri)
    there = open_store(uri)
    assert [each.version for each in there.get_registered_model(name).latest_versions] == ["1", "3"]


def test_versions_of_others_stay(client, name, tmp_path):
    """Where the name has versions already, the copies come behind, and aliases stay."""
    uri = f"sqlite:///{tmp_path}/to.db"
    other = skledger.MlflowClient(uri)
    other.create_registered_model(name, description="theirs")
    other.create_model_version(name, "s3://bucket/theirs")
    other.set_registered_model_alias(name, "champion", 1)
    report = copy(client.tracking_uri, uri)
    assert report.versions == 2
    assert f"version 1 of {name!r} is version 2 there" in report.notes
    assert any("stays so" in each for each in report.notes)
    model = other.get_registered_model(name)
    assert (model.description, model.aliases) == ("theirs", {"champion": "1"})
    assert other.get_model_version(name, 1).source == "s3://bucket/theirs"


def test_the_command_counts_them(client, tmp_path):
    """`skledger copy` says how many versions were copied."""
    done = CliRunner().invoke(
        main, ["copy", "--from", client.tracking_uri, "--to", f"sqlite:///{tmp_path}/to.db"]
    )
    assert done.exit_code == 0, done.output
    assert "Copied 2 versions of registered models." in done.output
