"""One registry for skledger and a real MLflow, in turns: the same database, the same files."""

from __future__ import annotations

import inspect
import warnings

import pytest
from sklearn.linear_model import LinearRegression

import skledger
from skledger.errors import ModelIntegrityError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

X, Y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]


@pytest.fixture(params=["sqlite", "file", "postgres", "mysql"])
def uri(request, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    if request.param in ("postgres", "mysql"):
        uri = request.getfixturevalue(request.param).new_database()
        return uri.replace("postgresql://", "postgresql+psycopg://")
    return f"sqlite:///{tmp_path}/both.db" if request.param == "sqlite" else f"{tmp_path}/both"


@pytest.fixture
def mlflow(uri):
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    yield mlflow
    mlflow.set_tracking_uri(before)


def log(name="model", **options):
    with skledger.start_run():
        return skledger.sklearn.log_model(LinearRegression().fit(X, Y), name=name, **options)


def plain(version):
    fields = ("name", "current_stage", "description", "source", "run_id", "status", "run_link")
    told = {field: getattr(version, field) or None for field in fields}
    return {**told, "version": str(version.version), "tags": dict(version.tags)} | {
        "aliases": sorted(version.aliases),
        "times": (version.creation_timestamp, version.last_updated_timestamp),
    }


def bare(version):
    return {key: value for key, value in plain(version).items() if key != "aliases"}


def same(model, other):
    assert model.name == other.name
    assert (model.description or None, dict(model.tags)) == (
        other.description or None,
        dict(other.tags),
    )
    assert {k: str(v) for k, v in model.aliases.items()} == {
        k: str(v) for k, v in other.aliases.items()
    }
    assert (model.creation_timestamp, model.last_updated_timestamp) == (
        other.creation_timestamp,
        other.last_updated_timestamp,
    )
    # MLflow leaves the aliases out here, in a database.
    theirs = sorted(map(bare, other.latest_versions), key=lambda each: int(each["version"]))
    assert [bare(each) for each in model.latest_versions] == theirs


def test_both_write_and_read_in_turns(uri, mlflow):
    """What one registers, tags, moves and deletes, the other reads, changes and loads."""
    skledger.set_tracking_uri(uri)
    ours, theirs = skledger.MlflowClient(), mlflow.MlflowClient()
    info = log(registered_model_name="iris")
    assert info.registered_model_version == 1

    same(ours.get_registered_model("iris"), theirs.get_registered_model("iris"))
    assert plain(ours.get_model_version("iris", 1)) == plain(theirs.get_model_version("iris", 1))
    made = theirs.create_model_version("iris", info.model_uri, tags={"by": "mlflow"})
    assert int(made.version) == 2
    theirs.set_registered_model_alias("iris", "champion", 2)
    theirs.update_model_version("iris", "2", "d")
    assert plain(ours.get_model_version_by_alias("iris", "champion")) == plain(
        theirs.get_model_version_by_alias("iris", "champion")
    )
    ours.transition_model_version_stage("iris", 1, "Production")
    theirs.transition_model_version_stage("iris", 2, "Production", archive_existing_versions=True)
    ours.set_model_version_tag("iris", "1", "by", "skledger")
    theirs.set_registered_model_tag("iris", "team", "blue")
    same(ours.get_registered_model("iris"), theirs.get_registered_model("iris"))
    for loads in (skledger.sklearn.load_model, mlflow.sklearn.load_model):
        assert loads("models:/iris@champion").predict([[3.0]])[0] == pytest.approx(3.0)
        assert loads("models:/iris/Production").predict([[3.0]])[0] == pytest.approx(3.0)
    theirs.delete_model_version("iris", "2")
    ours.delete_model_version("iris", "1")
    assert ours.get_registered_model("iris").latest_versions == []
    assert theirs.get_registered_model("iris").latest_versions == []
    third = ours.create_model_version("iris", info.model_uri)
    assert (third.version, int(theirs.create_model_version("iris", "s3://a/b").version)) == ("3", 4)
    assert int(ours.create_model_version("iris", info.model_uri).version) == 5
    assert {int(each.version) for each in theirs.search_model_versions("name='iris'")} == {3, 4, 5}
    ours.rename_registered_model("iris", "flowers")
    same(ours.get_registered_model("flowers"), theirs.get_registered_model("flowers"))
    assert mlflow.sklearn.load_model("models:/flowers/3").predict([[3.0]])[0] > 2.9
    theirs.delete_registered_model("flowers")
    assert skledger.search_registered_models() == []


def test_searches_have_the_same_answers(uri, mlflow):
    """Filters and orders select and sort as MLflow's do, on the same records."""
    skledger.set_tracking_uri(uri)
    ours, theirs = skledger.MlflowClient(), mlflow.MlflowClient()
    info = log()
    for name, tags in (
        ("a", {"t": "x"}),
        ("B", {"t": "Y"}),
        ("ab", {}),
        ("c_d", {"t": "x", "u": "1"}),
    ):
        ours.create_registered_model(name, tags)
        for at in range(2):
            source = info.model_uri if at else f"s3://bucket/{name}"
            ours.create_model_version(name, source, info.run_id if at else None, tags)
    ours.update_model_version("B", 1, "changed last")
    for where in (
        "", "name = 'a'", "name != 'a'", "name LIKE 'a%'", "name ILIKE 'b%'", "name LIKE '%_d'",
        "tags.t = 'x'", "tags.t != 'x'", "tags.t ILIKE 'y'", "tags.t = 'x' AND tags.u = '1'",
        "tag.t LIKE '%'",
    ):  # fmt: skip
        found = [each.name for each in ours.search_registered_models(where)]
        assert found == [each.name for each in theirs.search_registered_models(where)], where
    for order in (["name DESC"], ["last_updated_timestamp DESC", "name"], ["name ASC"]):
        found = [each.name for each in ours.search_registered_models(order_by=order)]
        assert found == [each.name for each in theirs.search_registered_models(order_by=order)], (
            order
        )
    for where in (
        "", "name = 'a'", "name LIKE 'a%'", "name ILIKE 'B'", f"run_id = '{info.run_id}'",
        f"run_id IN ('{info.run_id}', 'x')", "source_path LIKE 's3%'", "version_number > 1",
        "version_number <= 1 AND name = 'B'", "tags.t = 'x'", "tags.t != 'x'",
    ):  # fmt: skip
        found = [plain(each) for each in ours.search_model_versions(where)]
        told = [plain(each) for each in theirs.search_model_versions(where)]
        assert sorted(map(str, found)) == sorted(map(str, told)), where
        assert found[:1] == told[:1], where
    for order in (["version_number ASC", "name"], ["name DESC", "version_number"]):
        found = [(each.name, each.version) for each in ours.search_model_versions(order_by=order)]
        assert found == [
            (each.name, str(each.version)) for each in theirs.search_model_versions(order_by=order)
        ], order


def test_prompts_of_mlflow_are_no_models(uri, mlflow):
    """They lie among the registered models; only a filter that names their tag finds them."""
    skledger.set_tracking_uri(uri)
    client = skledger.MlflowClient()
    client.create_registered_model("model")
    client.create_registered_model("prompt", {"mlflow.prompt.is_prompt": "true"})
    assert [each.name for each in client.search_registered_models()] == ["model"]
    key = "tags.`mlflow.prompt.is_prompt`"
    assert [each.name for each in client.search_registered_models(f"{key} = 'true'")] == ["prompt"]
    assert [each.name for each in client.search_registered_models(f"{key} != 'true'")] == ["model"]


@pytest.mark.parametrize("uri", ["sqlite", "file"], indirect=True)
def test_a_model_that_mlflow_logged_loads_on_your_word_only(uri, mlflow):
    """A name in a registry vouches for nothing: without digests, its pickle is not read."""
    skledger.set_tracking_uri(uri)
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            LinearRegression().fit(X, Y),
            name="model",
            registered_model_name="theirs",
            serialization_format="cloudpickle",
        )
    assert logged.registered_model_version == 1
    with pytest.raises(ModelIntegrityError, match="No digest is booked for 'models:/theirs/1'"):
        skledger.sklearn.load_model("models:/theirs/1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = skledger.sklearn.load_model("models:/theirs/1", verify=False)
    assert loaded.predict([[3.0]])[0] == pytest.approx(3.0)


NAMES = """create_registered_model rename_registered_model update_registered_model
delete_registered_model get_registered_model search_registered_models get_latest_versions
set_registered_model_tag delete_registered_model_tag create_model_version update_model_version
transition_model_version_stage delete_model_version get_model_version search_model_versions
get_model_version_download_uri get_model_version_stages set_model_version_tag
delete_model_version_tag set_registered_model_alias delete_registered_model_alias
get_model_version_by_alias copy_model_version"""


def test_names_and_arguments_are_mlflows():
    """Every call of MLflow's client and module is there, with its arguments in their order."""
    import mlflow

    pairs = [(skledger.MlflowClient, mlflow.MlflowClient, name) for name in NAMES.split()]
    fluent = "register_model search_registered_models search_model_versions set_model_version_tag"
    pairs += [(skledger, mlflow, name) for name in fluent.split()]
    for here, there, name in pairs:
        ours = list(inspect.signature(getattr(here, name)).parameters)
        assert ours == list(inspect.signature(getattr(there, name)).parameters), name
