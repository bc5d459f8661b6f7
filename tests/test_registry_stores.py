"""Registered models in every store: what a write changes, what is found, who may write at once."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid

import pytest
from _mlflow_server import mlflow_server  # noqa: F401 - a fixture

from skledger.errors import AlreadyExistsError, InvalidParameterError, NotFoundError
from skledger.stores.opening import open_store
from skledger.stores.rest import RestStore
from skledger.tracking.entities import RunTag
from skledger.tracking.registry_entities import (
    ModelVersionChange,
    NewModelVersion,
    RegisteredModelAlias,
    RegisteredModelChange,
)

STORES = ["sqlite", "memory", "file", "postgres", "mysql", "rest"]
#: What an MLflow server takes as a source without a run.
SOURCE = "s3://bucket/models/one"


def uri_of(request, kind, tmp_path):
    if kind in ("postgres", "mysql"):
        return request.getfixturevalue(kind).new_database()
    return {
        "sqlite": f"sqlite:///{tmp_path}/skledger.db",
        "memory": "memory:",
        "file": f"{tmp_path}/runs",
    }[kind]


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    if request.param == "rest":
        opened = RestStore(request.getfixturevalue("mlflow_server").uri)
    else:
        opened = open_store(uri_of(request, request.param, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def name():
    """A name that no other test has, for the server is shared."""
    return f"iris {uuid.uuid4().hex[:8]}"


def tags(**values):
    return tuple(RunTag(key, value) for key, value in values.items())


def make(store, name, *versions, **fields):
    """Make a registered model with versions of these sources."""
    changes = [ModelVersionChange(name, create=NewModelVersion(each)) for each in versions]
    model = RegisteredModelChange(name, create=True, **fields)
    return store.write_registry(model, *changes)


def alias(name, **versions):
    return RegisteredModelChange(
        name, aliases=tuple(RegisteredModelAlias(each, str(at)) for each, at in versions.items())
    )


def test_a_model_and_its_versions_are_made_in_one_write(store, name):
    """Versions are numbered from 1, and come back with what was written."""
    before = time.time_ns() // 1_000_000
    made = make(store, name, SOURCE, SOURCE, description="Of flowers.", tags=tags(team="ä"))
    assert [(each.name, each.version) for each in made] == [(name, "1"), (name, "2")]
    model = store.get_registered_model(name)
    assert (model.name, model.description, model.tags) == (name, "Of flowers.", {"team": "ä"})
    assert model.creation_timestamp >= before
    assert model.last_updated_timestamp >= model.creation_timestamp
    assert [each.version for each in model.latest_versions] == ["2"]
    version = store.get_model_version(name, 1)
    assert (version.source, version.status, version.current_stage) == (SOURCE, "READY", "None")
    assert (version.tags, version.aliases, version.run_id, version.model_id) == ({}, [], None, None)
    assert store.get_model_version_download_uri(name, "1") == SOURCE


def test_a_name_is_taken_once(store, name):
    """A second model of a name is refused, unless it is as good; then nothing of it changes."""
    make(store, name, description="first")
    with pytest.raises(AlreadyExistsError, match="there is a registered model"):
        make(store, name)
    again = RegisteredModelChange(name, create=True, exist_ok=True, description="second")
    new = ModelVersionChange(name, create=NewModelVersion(SOURCE))
    assert store.write_registry(again, new)[0].version == "1"
    assert store.get_registered_model(name).description == "first"


def test_descriptions_and_tags_change(store, name):
    """Each is set, changed and removed, of models and of versions."""
    make(store, name, SOURCE)
    for change in (RegisteredModelChange, lambda name, **_: ModelVersionChange(name, "1", **_)):
        store.write_registry(change(name, description="d", tags=tags(a="1", b="x y/z")))
        store.write_registry(change(name, tags=tags(a="2"), deleted_tags=("b", "nothing")))
    for each in (store.get_registered_model(name), store.get_model_version(name, 1)):
        assert (each.description, each.tags) == ("d", {"a": "2"})
    store.write_registry(RegisteredModelChange(name, description=""))
    assert store.get_registered_model(name).description is None
    assert store.get_model_version(name, "1").description == "d"


def test_an_alias_stands_for_one_version_and_may_move(store, name):
    """It is found by its name, with the case it has; ``latest`` is the last version."""
    make(store, name, SOURCE, SOURCE, SOURCE)
    store.write_registry(alias(name, champion=1, Champion=2))
    assert store.get_model_version_by_alias(name, "champion").version == "1"
    store.write_registry(alias(name, champion=2))
    assert store.get_model_version(name, 2).aliases == ["Champion", "champion"]
    assert store.get_registered_model(name).aliases == {"champion": "2", "Champion": "2"}
    assert store.get_model_version_by_alias(name, "latest").version == "3"
    store.write_registry(RegisteredModelChange(name, deleted_aliases=("champion", "nothing")))
    with pytest.raises(NotFoundError, match="no alias 'champion'"):
        store.get_model_version_by_alias(name, "champion")


def test_stages_and_the_last_version_of_each(store, name):
    """A stage is named in any case; what was in it is archived when that is asked for."""
    make(store, name, SOURCE, SOURCE, SOURCE, SOURCE)
    for number in (1, 2):
        store.write_registry(ModelVersionChange(name, str(number), stage="production"))
    store.write_registry(ModelVersionChange(name, "3", stage="Production", archive_existing=True))
    stages = [store.get_model_version(name, each).current_stage for each in (1, 2, 3, 4)]
    assert stages == ["Archived", "Archived", "Production", "None"]
    latest = store.get_latest_versions(name)
    assert [(each.version, each.current_stage) for each in latest] == [
        ("2", "Archived"),
        ("3", "Production"),
        ("4", "None"),
    ]
    assert [each.version for each in store.get_latest_versions(name, ["PRODUCTION"])] == ["3"]
    assert store.get_latest_versions(name, ["Staging"]) == []


def test_the_number_of_a_deleted_version_is_not_given_again(store, name):
    """With a version its aliases go; the next one has the next number."""
    make(store, name, SOURCE, SOURCE)
    store.write_registry(alias(name, champion=2))
    store.write_registry(ModelVersionChange(name, "2", delete=True))
    for ask in (
        lambda: store.get_model_version(name, 2),
        lambda: store.get_model_version_by_alias(name, "champion"),
        lambda: store.get_model_version_download_uri(name, 2),
        lambda: store.write_registry(ModelVersionChange(name, "2", description="d")),
        lambda: store.write_registry(alias(name, champion=2)),
    ):
        with pytest.raises(NotFoundError):
            ask()
    assert [each.version for each in store.get_registered_model(name).latest_versions] == ["1"]
    new = ModelVersionChange(name, create=NewModelVersion(SOURCE))
    assert store.write_registry(new)[0].version == "3"


def test_a_renamed_model_keeps_everything(store, name):
    """Versions, tags and aliases follow the name; one that is taken is refused."""
    make(store, name, SOURCE, SOURCE, tags=tags(a="1"))
    store.write_registry(ModelVersionChange(name, "1", tags=tags(b="2")), alias(name, champion=1))
    new = f"{name} renamed"
    store.write_registry(RegisteredModelChange(name, new_name=new))
    assert store.get_registered_model(new).tags == {"a": "1"}
    version = store.get_model_version_by_alias(new, "champion")
    assert (version.name, version.version, version.tags) == (new, "1", {"b": "2"})
    with pytest.raises(NotFoundError, match="no registered model"):
        store.get_registered_model(name)
    make(store, name)
    with pytest.raises(AlreadyExistsError):
        store.write_registry(RegisteredModelChange(name, new_name=new))
    assert store.get_registered_model(name).name == name


def test_a_deleted_model_is_gone_with_its_versions(store, name):
    """Its name is free; a new model of it begins at version 1."""
    make(store, name, SOURCE, tags=tags(a="1"))
    store.write_registry(ModelVersionChange(name, "1", tags=tags(b="2")), alias(name, champion=1))
    store.write_registry(RegisteredModelChange(name, delete=True))
    assert store.search_model_versions(f"name = '{name}'") == []
    for change in (RegisteredModelChange(name, delete=True), ModelVersionChange(name, "1")):
        with pytest.raises(NotFoundError):
            store.write_registry(change, ModelVersionChange(name, "1", description="d"))
    assert make(store, name, SOURCE)[0].version == "1"
    assert store.get_registered_model(name).aliases == {}


def test_models_are_searched(store):
    """By name and tags, in an order, by pages."""
    prefix = uuid.uuid4().hex[:8]
    for each, team in (("b", "blue"), ("a", "red"), ("c", "blue")):
        make(store, f"{prefix} {each}", SOURCE, tags=tags(team=team))
        time.sleep(0.002)

    def found(where="", **options):
        where = f"name LIKE '{prefix}%'{' and ' if where else ''}{where}"
        return [each.name[-1] for each in store.search_registered_models(where, **options)]

    assert found() == ["a", "b", "c"]
    assert found("tags.team = 'blue'") == ["b", "c"]
    assert found("tags.team != 'blue'") == ["a"]
    assert found("tags.team ILIKE 'BL%'") == ["b", "c"]
    assert found(order_by=["name DESC"]) == ["c", "b", "a"]
    assert found(order_by=["last_updated_timestamp DESC"]) == ["c", "a", "b"]
    first = store.search_registered_models(f"name ILIKE '{prefix.upper()}%'", 2)
    assert [each.name[-1] for each in first] == ["a", "b"]
    assert [each.version for each in first[0].latest_versions] == ["1"]
    rest = store.search_registered_models(f"name ILIKE '{prefix}%'", 2, None, first.token)
    assert ([each.name[-1] for each in rest], rest.token) == (["c"], None)
    for wrong in ("nothing = 'a'", "name > 'a'", "tags.a"):
        with pytest.raises(InvalidParameterError):
            store.search_registered_models(wrong)


def test_versions_are_searched(store, name):
    """By model, run, source, number and tags; what changed last comes first."""
    other = f"{name} other"
    run_id = uuid.uuid4().hex
    make(store, name, SOURCE, "s3://bucket/models/two", SOURCE)
    new = NewModelVersion(SOURCE, run_id=run_id)
    make(store, other)
    store.write_registry(ModelVersionChange(other, create=new, tags=tags(a="1")))
    time.sleep(0.002)
    store.write_registry(ModelVersionChange(name, "2", description="d"))

    def found(where, **options):
        versions = store.search_model_versions(where, **options)
        return [(each.name.removeprefix(name), each.version) for each in versions]

    assert found(f"name = '{name}'") == [("", "2"), ("", "3"), ("", "1")]
    assert found(f"run_id = '{run_id}'") == found(f"run_id IN ('{run_id}')") == [(" other", "1")]
    assert found(f"name = '{name}' and source_path LIKE '%two'") == [("", "2")]
    assert found(f"name = '{other}' and tags.a = '1'") == [(" other", "1")]
    assert found(f"name = '{name}' and version_number >= 2", order_by=["version_number"]) == [
        ("", "2"),
        ("", "3"),
    ]
    both = f"name LIKE '{name}%'"
    assert found(both, order_by=["name DESC", "version_number DESC"])[0] == (" other", "1")
    first = store.search_model_versions(both, 3, ["version_number"])
    rest = store.search_model_versions(both, 3, ["version_number"], first.token)
    assert ([each.version for each in first], [each.version for each in rest]) == (
        ["1", "1", "2"],
        ["3"],
    )


def test_what_cannot_be_is_refused(store, name):
    """Names, aliases, versions and stages, each with what was given; nothing is written."""
    make(store, name, SOURCE)
    for change, told in (
        (RegisteredModelChange("", create=True), "is empty"),
        (RegisteredModelChange("a/b", create=True), "no '/' and no ':'"),
        (RegisteredModelChange("a:b", create=True), "no '/' and no ':'"),
        (RegisteredModelChange("..", create=True), "that of a folder"),
        (RegisteredModelChange("x" * 257, create=True), "257 characters"),
        (RegisteredModelChange(name, new_name="a/b"), "no '/' and no ':'"),
        (alias(name, latest=1), "'latest' is taken"),
        (alias(name, v12=1), "'v12' is taken"),
        (RegisteredModelChange(name, aliases=(RegisteredModelAlias("a b", "1"),)), "letters"),
        (ModelVersionChange(name, "one"), "a whole number such as 1, got 'one'"),
        (ModelVersionChange(name, "1", stage="Live"), "Staging, Production, Archived, got 'Live'"),
        (ModelVersionChange(name, "1", stage="None", archive_existing=True), "goes with Staging"),
        (ModelVersionChange(name, create=NewModelVersion("")), "source of a version is empty"),
    ):
        with pytest.raises(InvalidParameterError, match=told):
            store.write_registry(RegisteredModelChange(name, description="lost"), change)
    assert store.get_registered_model(name).description is None


@pytest.mark.parametrize("store", [each for each in STORES if each != "rest"], indirect=True)
def test_a_write_is_all_or_nothing(store, name):
    """When one of several changes is refused, the others are not made."""
    make(store, name, SOURCE)
    with pytest.raises(NotFoundError):
        store.write_registry(
            RegisteredModelChange(name, description="lost", tags=tags(a="1"), new_name="lost"),
            ModelVersionChange("lost", create=NewModelVersion(SOURCE)),
            RegisteredModelChange("new", create=True),
            ModelVersionChange("lost", "7", description="there is none"),
        )
    model = store.get_registered_model(name)
    assert (model.description, model.tags) == (None, {})
    assert [each.name for each in store.search_registered_models()] == [name]
    assert len(store.search_model_versions()) == 1


def test_odd_names_keys_and_values_come_back(store):
    """A name with spaces, percent signs and letters of any language; tags of any key and text."""
    name = f"ä 模型 b..c @1 {uuid.uuid4().hex[:8]}"
    odd = {"a/b c.d": "1\n2", "mlflow.x": ""}
    make(store, name, SOURCE, tags=tags(**odd))
    store.write_registry(ModelVersionChange(name, "1", tags=tags(**odd)))
    assert store.get_registered_model(name).tags == odd
    assert store.get_model_version(name, 1).tags == odd
    assert store.search_registered_models(f"name = '{name}'")[0].name == name


WRITER = """
import sys, time
from skledger.stores.opening import open_store
from skledger.tracking.registry_entities import *
uri, name, count, begin = sys.argv[1:]
store = open_store(uri)
time.sleep(max(0.0, float(begin) - time.time()))
for _ in range(int(count)):
    model = RegisteredModelChange(name, create=True, exist_ok=True)
    new = ModelVersionChange(name, create=NewModelVersion("s3://bucket/one"))
    print(store.write_registry(model, new)[0].version, flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", "file", "postgres", "mysql"])
def test_eight_processes_register_at_once(request, kind, tmp_path):
    """Every version has a number of its own, from 1 without a gap, and the model is made once."""
    uri = uri_of(request, kind, tmp_path)
    open_store(uri).close()
    command = [sys.executable, "-c", WRITER, uri, "iris", "10", str(time.time() + 3)]
    crowd = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    told = [process.communicate(timeout=120)[0].split() for process in crowd]
    assert sorted(int(each) for numbers in told for each in numbers) == list(range(1, 81))
    store = open_store(uri)
    assert store.get_model_version_by_alias("iris", "latest").version == "80"
    assert len(store.search_model_versions("name = 'iris'")) == 80
    store.close()
