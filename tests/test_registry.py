"""Registering, loading by name, autologging into the registry, and the command line."""

from __future__ import annotations

import json
import logging
import pickle
import warnings

import pytest
from click.testing import CliRunner
from sklearn.linear_model import LinearRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV

import skledger
from skledger.cli import main
from skledger.errors import InvalidParameterError, ModelIntegrityError, NotFoundError

X, Y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 3.0]


@pytest.fixture
def client():
    return skledger.MlflowClient()


def log(slope=1.0, name="model", **options):
    model = LinearRegression().fit(X, [slope * y for y in Y])
    with skledger.start_run() as run:
        info = skledger.sklearn.log_model(model, name=name, **options)
    return run.info.run_id, info


def slope_of(uri, **options):
    return round(float(skledger.sklearn.load_model(uri, **options).coef_[0]), 6)


def test_a_model_is_registered_and_loads_by_number_alias_and_stage(client):
    """Each way of naming a version means that version, wherever a model URI is taken."""
    run_id, first = log(1.0)
    made = skledger.register_model(f"runs:/{run_id}/model", "iris", tags={"by": 1})
    assert (made.version, made.run_id, made.model_id) == ("1", run_id, first.model_id)
    assert (made.source, made.tags) == (first.model_uri, {"by": "1"})
    second = log(2.0)[1]
    assert skledger.register_model(second.model_uri, "iris", 300).version == "2"
    client.set_registered_model_alias("iris", "champion", "1")
    with pytest.warns(FutureWarning, match="remove stages"):
        client.transition_model_version_stage("iris", 2, "Staging")
    uris = (
        "models:/iris/1",
        "models:/iris@champion",
        "models:/iris/Staging",
        "models:/iris/latest",
    )
    assert [slope_of(each) for each in uris] == [1.0, 1.0, 2.0, 2.0]
    assert slope_of("models:/iris") == 2.0
    assert skledger.pyfunc.load_model("models:/iris@champion").predict([[2.0]])[0] == 2.0
    assert skledger.models.get_model_info("models:/iris/2").model_id == second.model_id
    client.set_registered_model_alias("iris", "champion", 2)
    assert slope_of("models:/iris@champion") == 2.0


def test_the_files_of_a_version_are_artifacts(client, tmp_path):
    """They are listed and downloaded by the version's URI, whole or one by one."""
    info = log(registered_model_name="iris")[1]
    assert info.registered_model_version == 1
    client.set_registered_model_alias("iris", "champion", 1)
    names = {each.path for each in skledger.artifacts.list_artifacts("models:/iris@champion")}
    assert {"MLmodel", "model.pkl"} <= names
    path = skledger.artifacts.download_artifacts("models:/iris/1/MLmodel", dst_path=tmp_path / "to")
    assert info.model_id in open(path).read()
    whole = skledger.artifacts.download_artifacts("models:/iris/latest", dst_path=tmp_path / "all")
    assert round(float(skledger.sklearn.load_model(whole).coef_[0]), 6) == 1.0
    assert "flavors" in skledger.artifacts.load_text("models:/iris/1/MLmodel")
    with pytest.raises(InvalidParameterError, match="leaves the model"):
        skledger.artifacts.download_artifacts("models:/iris/1/../../x")


def test_a_version_is_verified_by_the_digests_of_its_model(client, tmp_path):
    """A changed file is refused by every name; and no name makes another folder trustworthy."""
    info = log(registered_model_name="iris")[1]
    client.copy_model_version("models:/iris/1", "copies")
    folder = client.get_logged_model(info.model_id).artifact_location
    with open(f"{folder}/model.pkl", "ab") as file:
        file.write(b"more")
    for uri in ("models:/iris/1", "models:/copies/1"):
        with pytest.raises(ModelIntegrityError, match="not the file that was booked"):
            skledger.sklearn.load_model(uri)

    class Command:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    evil = tmp_path / "evil"
    skledger.sklearn.save_model(Ridge().fit(X, Y), evil)
    (evil / "model.pkl").write_bytes(pickle.dumps(Command()))
    client.create_model_version("iris", str(evil))
    with pytest.raises(ModelIntegrityError, match="No digest is booked"):
        skledger.sklearn.load_model("models:/iris/2")
    assert not (tmp_path / "ran").exists()


def test_a_copy_stays_the_model_that_it_was(client):
    """A version of another registered model loads it even when that one is renamed or replaced."""
    log(1.0, registered_model_name="staging")
    client.update_model_version("staging", 1, "the first")
    client.set_model_version_tag("staging", 1, "a", "b")
    copied = client.copy_model_version("models:/staging/1", "production")
    assert (copied.source, copied.description, copied.tags) == (
        "models:/staging/1",
        "the first",
        {"a": "b"},
    )
    assert client.copy_model_version("models:/production@latest", "third").version == "1"
    client.delete_registered_model("staging")
    log(2.0, registered_model_name="staging")
    assert slope_of("models:/production/1") == slope_of("models:/third/1") == 1.0


def test_the_logged_model_tells_its_versions(client):
    """As MLflow books it, so that its pages lead from a model to its versions."""
    info = log(registered_model_name="a")[1]
    skledger.register_model(info.model_uri, "b")
    told = json.loads(client.get_logged_model(info.model_id).tags["mlflow.modelVersions"])
    assert told == [{"name": "a", "version": 1}, {"name": "b", "version": 1}]


def test_what_cannot_be_registered(client):
    """A model that is not there, a run without it, a name that cannot be: nothing is registered."""
    run_id, info = log()
    for uri, error in (
        (f"runs:/{run_id}/nothing", NotFoundError),
        ("runs:/" + "0" * 32 + "/model", NotFoundError),
        ("models:/m-" + "0" * 32, NotFoundError),
        ("models:/nothing/1", NotFoundError),
        ("models:/", InvalidParameterError),
    ):
        with pytest.raises(error):
            skledger.register_model(uri, "iris")
    with pytest.raises(InvalidParameterError, match="no '/'"):
        skledger.register_model(info.model_uri, "a/b")
    with pytest.raises(InvalidParameterError, match="no '/'"):
        log(registered_model_name="a/b")
    with pytest.raises(NotFoundError, match="no registered model 'iris'"):
        client.create_model_version("iris", info.model_uri)
    assert skledger.search_registered_models() == []
    assert len(skledger.search_logged_models()) == 1


def test_the_client_changes_what_it_names(client):
    """Descriptions, tags and stages, with MLflow's arguments and warnings."""
    log(registered_model_name="iris")
    model = client.update_registered_model("iris", "d")
    assert model.description == "d"
    assert client.update_registered_model("iris").description is None
    client.set_registered_model_tag("iris", "k", 1)
    client.delete_registered_model_tag("iris", "nothing")
    assert client.get_registered_model("iris").tags == {"k": "1"}
    skledger.set_model_version_tag("iris", 1, "k", "v")
    with pytest.warns(FutureWarning, match="stage"):
        client.set_model_version_tag("iris", key="s", value=1, stage="None")
    assert skledger.search_model_versions()[0].tags == {"k": "v", "s": "1"}
    client.delete_model_version_tag("iris", "1", "k")
    with pytest.raises(InvalidParameterError, match="a version or a stage"):
        client.set_model_version_tag("iris", key="s", value=1)
    with pytest.warns(FutureWarning, match="get_latest_versions"):
        assert [each.version for each in client.get_latest_versions("iris")] == ["1"]
    with pytest.warns(FutureWarning):
        assert client.get_model_version_stages("iris", 1)[0] == "None"
    with pytest.warns(FutureWarning, match="search_registered_models"):
        assert [each.name for each in client.list_registered_models()] == ["iris"]
    assert client.get_model_version_download_uri("iris", 1).endswith("/artifacts")
    assert client.rename_registered_model("iris", "flowers").name == "flowers"
    assert slope_of("models:/flowers/1") == 1.0
    client.delete_registered_model("flowers")
    with pytest.raises(NotFoundError, match="no registered model 'flowers'"):
        skledger.sklearn.load_model("models:/flowers/1")


def test_the_registry_may_be_in_another_store(tmp_path):
    """After `set_registry_uri` versions are there, and the models behind them where they were."""
    place = f"sqlite:///{tmp_path}/registry.db"
    skledger.set_registry_uri(place)
    log(registered_model_name="iris")
    assert slope_of("models:/iris/1") == 1.0
    elsewhere = skledger.MlflowClient(place)
    assert [each.name for each in elsewhere.search_registered_models()] == ["iris"]
    assert elsewhere.search_runs(["0"]) == []
    skledger.set_registry_uri("")
    assert skledger.search_registered_models() == []
    assert skledger.MlflowClient(registry_uri=place).get_model_version("iris", 1).version == "1"
    path = skledger.artifacts.download_artifacts("models:/iris/1", registry_uri=place)
    assert skledger.sklearn.load_model(path).coef_.shape == (1,)


def test_a_client_registers_where_it_tracks(tmp_path):
    """A client of another store has that store's registered models, unless one was chosen."""
    other = skledger.MlflowClient(f"sqlite:///{tmp_path}/other.db")
    other.create_registered_model("there")
    assert skledger.search_registered_models() == []
    assert [each.name for each in other.search_registered_models()] == ["there"]


def test_autologging_registers(client):
    """Every fit is a version; of a search, the search itself, and none of its candidates."""
    with skledger.autolog(registered_model_name="iris"):
        Ridge().fit(X, Y)
        GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2).fit(X, Y)
        stream = SGDClassifier(random_state=0)
        for _ in range(3):
            stream.partial_fit(X, [0, 1, 0, 1], classes=[0, 1])
        with skledger.start_run() as own:
            Ridge().fit(X, Y)
        del stream
        skledger.flush()
    LinearRegression().fit(X, Y)
    versions = client.search_model_versions(order_by=["version_number"])
    assert [each.version for each in versions] == ["1", "2", "3", "4"]
    loaded = [
        type(skledger.sklearn.load_model(f"models:/iris/{at}")).__name__ for at in range(1, 5)
    ]
    assert sorted(loaded) == ["GridSearchCV", "Ridge", "Ridge", "SGDClassifier"]
    assert own.info.run_id in {each.run_id for each in versions}


def test_a_registration_that_fails_costs_one_line(client, caplog, swallowed, monkeypatch, tmp_path):
    """The fit and its run are as ever; the log says what was not registered."""
    monkeypatch.setenv("SKLEDGER_REGISTRY_URI", f"sqlite:///{tmp_path}/file/registry.db")
    (tmp_path / "file").write_text("no folder")
    with caplog.at_level(logging.WARNING, "skledger"), skledger.autolog(registered_model_name="a"):
        model = Ridge().fit(X, Y)
    assert model.coef_.shape == (1,)
    run = skledger.search_runs(output_format="list")[0]
    assert run.info.status == "FINISHED"
    assert len(run.outputs.model_outputs) == 1
    lines = [each.getMessage() for each in caplog.records]
    assert len(lines) == 1
    assert "the registration of the model as 'a'" in lines[0]
    swallowed.clear()
    with pytest.raises(InvalidParameterError, match="no '/'"):
        skledger.autolog(registered_model_name="a/b")


def test_models_and_versions_print(client):
    """A line inside lists, a block alone, a table for a list, also in notebooks."""
    log(registered_model_name="iris")
    client.set_registered_model_alias("iris", "champion", 1)
    client.update_registered_model("iris", "<b>Of flowers</b>")
    model, version = client.get_registered_model("iris"), client.get_model_version("iris", 1)
    assert repr(model) == "<RegisteredModel 'iris' versions: 1, champion: 1>"
    assert repr(version).startswith("<ModelVersion 'iris' 1 champion, source='models:/m-")
    assert str(model).splitlines()[0] == "RegisteredModel 'iris'"
    assert "aliases" in str(version)
    assert "&lt;b&gt;Of flowers" in model._repr_html_()
    table = repr(client.search_model_versions()).splitlines()
    assert table[0].split() == ["name", "version", "aliases", "stage", "created", "source"]
    assert "<table" in client.search_registered_models()._repr_html_()
    assert dict(version)["version"] == "1"
    assert model.to_dictionary()["aliases"] == {"champion": "1"}
    assert {model, version} == {model, version}


def run(*arguments):
    return CliRunner().invoke(main, ["models", *arguments])


def test_the_command_line_registers_and_lists():
    """`skledger models register`, `alias`, `stage` and `list` do what the client does."""
    run_id, _ = log()
    done = run("register", f"runs:/{run_id}/model", "iris", "--alias", "champion", "--tag", "a=b=c")
    assert done.exit_code == 0, done.output
    assert "as models:/iris/1." in done.output
    assert "models:/iris@champion is version 1 now." in done.output
    assert run("register", f"runs:/{run_id}/model", "iris").exit_code == 0
    assert "models:/iris/2 is in Production now." in run("stage", "iris", "2", "production").output
    listed = run("list").output.splitlines()
    assert listed[1].split()[:5] == ["iris", "1,", "2", "(Production)", "champion:"]
    versions = json.loads(run("list", "iris", "--json").output)
    assert [each["version"] for each in versions] == ["2", "1"]
    assert versions[1]["tags"] == {"a": "b=c"}
    assert [
        each["version"]
        for each in json.loads(run("list", "iris", "--filter", "tags.a = 'b=c'", "--json").output)
    ] == ["1"]
    assert "is no more" in run("alias", "iris", "champion", "--delete").output
    for wrong in (
        ("list", "nothing"),
        ("register", "runs:/x/y", "iris"),
        ("alias", "iris", "champion"),
        ("stage", "iris", "2", "Live"),
        ("register", f"runs:/{run_id}/model", "iris", "--tag", "a"),
    ):
        failed = run(*wrong)
        assert failed.exit_code != 0, wrong
        assert "Error" in failed.output


def test_old_scripts_run():
    """What tutorials write: wait for READY, compare stages, read the last version."""
    from skledger.entities.model_registry.model_version_status import ModelVersionStatus

    client = skledger.tracking.MlflowClient()
    run_id, _ = log(name="m")
    client.create_registered_model("old")
    result = client.create_model_version(name="old", source=f"runs:/{run_id}/m", run_id=run_id)
    details = client.get_model_version(name=result.name, version=result.version)
    assert ModelVersionStatus.from_string(details.status) == ModelVersionStatus.READY
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        client.transition_model_version_stage("old", details.version, stage="Production")
        latest = client.get_latest_versions("old", stages=["Production"])[0]
    assert int(latest.version) == 1
    assert slope_of(f"models:/old/{latest.current_stage}") == 1.0
    for each in client.search_registered_models(filter_string="name='old'"):
        assert each.latest_versions[0].run_id == run_id


def test_errors_say_what_there_is(client):
    """Names that are near, the versions and the aliases."""
    log(name="m", registered_model_name="wine")
    client.set_registered_model_alias("wine", "champion", 1)
    client.create_registered_model("empty")
    for uri, told in (
        ("models:/wien/1", "no registered model 'wien' in .*; did you mean 'wine'"),
        ("models:/wine/9", "no version 9 .* Its versions: 1; its aliases: champion"),
        ("models:/wine@chmpion", "no alias 'chmpion'. Its versions: 1; its aliases: champion"),
        ("models:/wine/Production", "no version in Production. Its versions: 1"),
        ("models:/empty/latest", "'empty' in .* has no versions yet"),
        ("models:/other", "no registered model 'other'"),
    ):
        with pytest.raises(NotFoundError, match=told):
            skledger.sklearn.load_model(uri)


@pytest.mark.parametrize("source", ["nofolder", "last", "/nowhere/at/all", "."])
def test_what_is_no_model_is_not_registered(client, source):
    """A slip of the keyboard does not become the newest version."""
    with pytest.raises(NotFoundError, match="no model in .* to register"):
        skledger.register_model(source, "wine")
    assert client.search_registered_models() == []


def test_slips_are_told_in_words():
    """What was given, and what was expected."""
    info = log()[1]
    for call, told in (
        (lambda: skledger.register_model(info, "x"), "not a ModelInfo; its model_uri is one"),
        (lambda: skledger.sklearn.load_model(None), "not a NoneType"),
        (lambda: skledger.sklearn.load_model(info), "its model_uri is one"),
        (lambda: skledger.sklearn.load_model("model:/wine/1"), "did you mean models:/wine/1"),
        (lambda: skledger.sklearn.load_model("run:/abc/model"), "did you mean runs:/abc/model"),
        (lambda: skledger.register_model(info.model_uri, "x", tags=["a"]), "are a dictionary"),
    ):
        with pytest.raises(InvalidParameterError, match=told):
            call()
