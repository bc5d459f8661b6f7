"""The fluent API around fits: experiments, runs, params, metrics, tags, artifacts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import skledger
from skledger.errors import InvalidParameterError, NotFoundError, ParamConflictError, SkledgerError
from skledger.stores.artifacts import artifact_store
from skledger.tracking.session import get_store


def files_of(run):
    return artifact_store(run.info.artifact_uri).list()


def content(run, name):
    with artifact_store(run.info.artifact_uri).open(name) as stream:
        return stream.read()


def test_the_default_store_is_a_file_in_the_current_folder(tmp_path):
    """sqlite:///skledger.db, with the artifacts beside it, from the first use on."""
    assert skledger.get_tracking_uri() == f"sqlite:///{tmp_path / 'skledger.db'}"
    with skledger.start_run() as run:
        skledger.log_text("hello", "note.txt")
    assert (tmp_path / "skledger.db").exists()
    assert run.info.artifact_uri.startswith(str(tmp_path / "skledger-artifacts"))


def test_a_change_of_folder_does_not_change_the_store(tmp_path, monkeypatch):
    """A relative URI means the folder it was set in."""
    skledger.set_tracking_uri("sqlite:///mine.db")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    with skledger.start_run():
        pass
    assert (tmp_path / "mine.db").exists()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"MLFLOW_TRACKING_URI": "sqlite:///m.db"}, "sqlite:///m.db"),
        (
            {"MLFLOW_TRACKING_URI": "sqlite:///m.db", "SKLEDGER_TRACKING_URI": "sqlite:///s.db"},
            "sqlite:///s.db",
        ),
    ],
)
def test_the_environment_names_the_store(monkeypatch, variables, expected):
    """SKLEDGER_TRACKING_URI goes before MLFLOW_TRACKING_URI."""
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    assert skledger.get_tracking_uri() == expected


def test_a_run_holds_what_is_logged():
    """Params, metrics with steps, tags, a note and a name."""
    with skledger.start_run(run_name="first", tags={"a": 1}, description="why") as run:
        assert skledger.log_param("depth", 3) == 3
        skledger.log_params({"x": 0.5, "y": None})
        for step in range(3):
            skledger.log_metric("loss", 1 / (step + 1), step=step)
        skledger.log_metrics({"acc": np.float32(0.5), "n": np.int64(3), "flag": True}, step=7)
        skledger.set_tag("team", "blue")
        skledger.set_tags({"team": "red", "n": 1})
    booked = skledger.get_run(run.info.run_id)
    assert booked.info.run_name == "first"
    assert booked.data.params == {"depth": "3", "x": "0.5", "y": "None"}
    assert booked.data.metrics == {"loss": 1 / 3, "acc": 0.5, "n": 3.0, "flag": 1.0}
    assert booked.data.tags["team"] == "red"
    assert booked.data.tags["a"] == "1"
    assert booked.data.tags["mlflow.note.content"] == "why"
    assert booked.data.tags["mlflow.user"] == booked.info.user_id
    history = get_store().get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]


def test_values_beyond_numbers_are_kept():
    """NaN and the infinities are values, too."""
    with skledger.start_run() as run:
        skledger.log_metrics({"nan": math.nan, "inf": math.inf, "minus": -math.inf})
    metrics = skledger.get_run(run.info.run_id).data.metrics
    assert math.isnan(metrics["nan"])
    assert metrics["inf"] == math.inf
    assert metrics["minus"] == -math.inf


@pytest.mark.parametrize("value", ["half", b"0.5", None, [1, 2], np.array([1.0, 2.0]), object()])
def test_what_is_no_number_is_refused_with_its_name(value):
    """The message says what was given and what to do instead."""
    with skledger.start_run(), pytest.raises(InvalidParameterError, match="'acc'.*one real number"):
        skledger.log_metric("acc", value)


def test_a_param_does_not_change():
    """The same value again is fine, another is refused and named."""
    with skledger.start_run():
        skledger.log_param("a", 1)
        skledger.log_param("a", 1)
        with pytest.raises(ParamConflictError, match=r"'a'.*'1'.*'2'"):
            skledger.log_params({"b": 1, "a": 2})
        assert "b" not in skledger.get_run(skledger.active_run().info.run_id).data.params


def test_logging_without_a_run_starts_one():
    """As in MLflow."""
    skledger.log_metric("m", 1)
    assert skledger.active_run() is not None
    skledger.end_run()
    assert skledger.active_run() is None
    assert skledger.last_active_run().data.metrics == {"m": 1.0}


def test_runs_nest_and_a_second_one_is_refused():
    """nested=True makes a child; without it the message names the way out."""
    with skledger.start_run() as parent:
        with pytest.raises(SkledgerError, match="nested=True"):
            skledger.start_run()
        with skledger.start_run(nested=True) as child:
            assert skledger.active_run().info.run_id == child.info.run_id
        assert skledger.active_run().info.run_id == parent.info.run_id
    tags = skledger.get_run(child.info.run_id).data.tags
    assert tags["mlflow.parentRunId"] == parent.info.run_id


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (None, "FINISHED")]
)
def test_a_with_block_ends_the_run_by_its_outcome(error, status):
    """An exception fails the run, an interrupt kills it, and both pass."""
    try:
        with skledger.start_run() as run:
            if error:
                raise error
    except (ValueError, KeyboardInterrupt):
        assert error is not None
    info = skledger.get_run(run.info.run_id).info
    assert info.status == status
    assert info.end_time >= info.start_time


def test_end_run_inside_a_with_block_keeps_its_status():
    """The block does not end the run twice."""
    with skledger.start_run() as run:
        skledger.end_run("KILLED")
    assert skledger.get_run(run.info.run_id).info.status == "KILLED"
    with pytest.raises(InvalidParameterError, match="DONE"):
        skledger.end_run("DONE")


def test_a_run_is_taken_up_by_its_identifier():
    """start_run(run_id) goes on where the run was."""
    with skledger.start_run() as run:
        skledger.log_metric("m", 1)
    with skledger.start_run(run_id=run.info.run_id, tags={"again": "yes"}) as again:
        assert again.info.status == "RUNNING"
        skledger.log_metric("m", 2, step=1)
    booked = skledger.get_run(run.info.run_id)
    assert booked.data.metrics == {"m": 2.0}
    assert booked.data.tags["again"] == "yes"
    with pytest.raises(NotFoundError, match="0000"):
        skledger.start_run(run_id="0" * 32)


def test_experiments_group_runs():
    """set_experiment creates or takes up, by name or identifier."""
    first = skledger.set_experiment("one")
    with skledger.start_run():
        pass
    assert skledger.set_experiment(experiment_id=first.experiment_id).name == "one"
    second = skledger.create_experiment("two", tags={"k": "v"})
    with skledger.start_run(experiment_id=second):
        pass
    assert skledger.get_experiment(second).tags == {"k": "v"}
    assert skledger.get_experiment_by_name("three") is None
    assert len(skledger.search_runs()) == 1
    assert len(skledger.search_runs(experiment_names=["one", "two"])) == 2
    assert len(skledger.search_runs(search_all_experiments=True)) == 2
    assert skledger.search_runs(experiment_names=["three"]).empty
    with pytest.raises(skledger.errors.AlreadyExistsError, match="two"):
        skledger.create_experiment("two")
    with pytest.raises(InvalidParameterError, match="either"):
        skledger.set_experiment()


def test_the_experiment_in_use_is_tagged_renamed_and_deleted():
    """What happens to it counts at once: a deleted one takes no runs until it is restored."""
    experiment = skledger.set_experiment("one")
    skledger.set_experiment_tags({"team": "blue", "n": 1})
    skledger.set_experiment_tag("n", 2)
    skledger.delete_experiment_tag("team")
    assert skledger.get_experiment(experiment.experiment_id).tags == {"n": "2"}
    skledger.rename_experiment(experiment.experiment_id, "first")
    with skledger.start_run() as run:
        pass
    assert run.info.experiment_id == experiment.experiment_id
    skledger.delete_experiment(experiment.experiment_id)
    with pytest.raises(InvalidParameterError, match="'first' is deleted"):
        skledger.start_run()
    with pytest.raises(InvalidParameterError, match="deleted"):
        skledger.set_experiment("first")
    skledger.restore_experiment(experiment.experiment_id)
    with skledger.start_run() as run:
        pass
    assert len(skledger.search_runs()) == 2
    found = skledger.search_experiments(filter_string="name LIKE 'fir%'", max_results=5)
    assert [each.name for each in found] == ["first"]
    for number in range(3):
        skledger.create_experiment(f"more{number}")
    assert len(skledger.search_experiments()) == 5
    assert len(skledger.search_experiments(max_results=2, order_by=["name"])) == 2


def test_runs_are_deleted_and_come_back():
    """delete_run hides a run, restore_run shows it; a tag of the active run goes."""
    with skledger.start_run(tags={"a": 1}) as run:
        skledger.delete_tag("a")
        with pytest.raises(NotFoundError, match="'a'"):
            skledger.delete_tag("a")
    skledger.delete_run(run.info.run_id)
    assert len(skledger.search_runs()) == 0
    with pytest.raises(InvalidParameterError, match="deleted"):
        skledger.start_run(run_id=run.info.run_id)
    skledger.restore_run(run.info.run_id)
    assert len(skledger.search_runs()) == 1


def test_the_last_active_run_is_the_one_worked_on_last():
    """An outer run that ends after its children is the last one."""
    with skledger.start_run() as outer:
        with skledger.start_run(nested=True) as inner:
            pass
        assert skledger.last_active_run().info.run_id == outer.info.run_id
    assert skledger.last_active_run().info.run_id == outer.info.run_id
    with skledger.start_run(run_id=inner.info.run_id):
        pass
    assert skledger.last_active_run().info.run_id == inner.info.run_id


def test_what_mlflow_has_and_is_not_needed_here_does_nothing(caplog):
    """System metrics, asynchronous logging, traces: taken, and said at DEBUG."""
    caplog.set_level("DEBUG", "skledger")
    skledger.enable_system_metrics_logging()
    skledger.disable_system_metrics_logging()
    skledger.set_system_metrics_sampling_interval(1)
    skledger.flush_async_logging()
    with skledger.start_run(log_system_metrics=True):
        skledger.log_metric("m", 1, synchronous=False)
    assert [
        record.levelname for record in caplog.records if "system metrics" in record.message
    ] == ["DEBUG"] * 3
    skledger.autolog(log_traces=False, exclude_flavors=["xgboost"])
    from skledger._guard import switch

    assert switch.enabled
    skledger.autolog(exclude_flavors=["sklearn"])
    assert not switch.enabled


def test_search_runs_is_a_frame_with_mlflows_columns():
    """Columns by kind, times in UTC, what is missing is missing."""
    with skledger.start_run():
        skledger.log_param("a", 1)
    with skledger.start_run():
        skledger.log_metric("m", 0.5)
    frame = skledger.search_runs(order_by=["start_time ASC"])
    assert list(frame["params.a"]) == ["1", None] or frame["params.a"].isna().tolist() == [
        False,
        True,
    ]
    assert frame["metrics.m"].isna().tolist() == [True, False]
    assert str(frame["start_time"].dt.tz) == "UTC"
    assert len(skledger.search_runs(filter_string="metrics.m > 0.4")) == 1
    assert len(skledger.search_runs(filter_string="params.a = '2'")) == 0
    assert len(skledger.search_runs(max_results=1)) == 1
    with pytest.raises(InvalidParameterError):
        skledger.search_runs(filter_string="metrics.m >")
    with pytest.raises(InvalidParameterError, match="csv"):
        skledger.search_runs(output_format="csv")


@pytest.mark.parametrize("given", [-1, "x", 2.5, True, None, float("nan")])
def test_search_runs_refuses_a_number_of_runs_that_is_none(given):
    """Neither an empty answer nor an exception of Python's: what was given, what is expected."""
    with pytest.raises(InvalidParameterError, match="max_results must be a whole number") as raised:
        skledger.search_runs(max_results=given)
    assert repr(given) in str(raised.value)


@pytest.mark.parametrize("name", ["experiment_ids", "experiment_names", "order_by"])
def test_search_runs_refuses_a_text_where_it_takes_a_list(name):
    """Its letters are not taken for identifiers or names; the message shows what to write."""
    with pytest.raises(
        InvalidParameterError, match=f"{name} must be a list.*write \\['Default'\\]"
    ):
        skledger.search_runs(**{name: "Default"})
    with pytest.raises(InvalidParameterError, match=f"{name} must be a list"):
        skledger.search_runs(**{name: ""})
    with pytest.raises(InvalidParameterError, match=f"{name} must be a list.*got 7"):
        skledger.search_runs(**{name: 7})


def test_search_runs_takes_what_is_as_good_as_a_list_or_a_number():
    """Tuples, arrays, generators; whole numbers of NumPy; none at all."""
    for _ in range(3):
        with skledger.start_run() as run:
            pass
    ids = [run.info.experiment_id]
    for several in (tuple(ids), np.array(ids), (each for each in ids)):
        assert len(skledger.search_runs(experiment_ids=several)) == 3
    assert len(skledger.search_runs(experiment_names=(each for each in ["Default"]))) == 3
    assert len(skledger.search_runs(max_results=np.int64(2))) == 2
    assert len(skledger.search_runs(max_results=0)) == 0


@pytest.mark.parametrize("given", [1.5, "all", True, False])
def test_max_tuning_runs_is_a_whole_number(given):
    """A fraction is a number, too, but not one of candidates; nor is True."""
    with pytest.raises(InvalidParameterError, match=f"is a whole number or None, not {given!r}"):
        skledger.autolog(max_tuning_runs=given)


def test_artifacts_of_every_kind(tmp_path):
    """Files, folders, texts, dictionaries and figures."""
    from matplotlib.figure import Figure

    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "a.txt").write_text("a")
    (tmp_path / "d" / "e" / "b.txt").write_text("b")
    figure = Figure()
    figure.add_subplot().plot([1, 2])
    with skledger.start_run() as run:
        skledger.log_artifact("d/a.txt")
        skledger.log_artifact("d/a.txt", "sub/deep")
        skledger.log_artifact("d", "whole")
        skledger.log_artifacts("d", "content")
        skledger.log_text("hé", "texts/t.txt")
        skledger.log_dict({"k": [1, 2]}, "d.json")
        skledger.log_dict({"k": [1, 2]}, "d.yaml")
        skledger.log_figure(figure, "f.png")
        skledger.log_figure(figure, "f.svg")
        assert skledger.get_artifact_uri("d.json").endswith("artifacts/d.json")
        with pytest.raises(NotFoundError, match="nowhere"):
            skledger.log_artifact("nowhere.txt")
        with pytest.raises(InvalidParameterError, match=r"\.\."):
            skledger.log_text("x", "../../escape.txt")
        with pytest.raises(InvalidParameterError, match="int"):
            skledger.log_figure(3, "f.png")
    assert content(run, "sub/deep/a.txt") == b"a"
    assert content(run, "whole/d/e/b.txt") == b"b"
    assert content(run, "content/e/b.txt") == b"b"
    assert content(run, "texts/t.txt").decode() == "hé"
    assert json.loads(content(run, "d.json")) == {"k": [1, 2]}
    assert b"- 1" in content(run, "d.yaml")
    assert content(run, "f.png").startswith(b"\x89PNG")
    assert b"<svg" in content(run, "f.svg")
    assert not (Path(run.info.artifact_uri).parent.parent / "escape.txt").exists()


def test_long_values_are_cut_visibly():
    """A value over the limit ends in dots."""
    with skledger.start_run() as run:
        skledger.log_param("p", "x" * 7000)
        skledger.set_tag("t", "y" * 9000)
    data = skledger.get_run(run.info.run_id).data
    assert data.params["p"] == "x" * 5997 + "..."
    assert data.tags["t"].endswith("...")
    with skledger.start_run(), pytest.raises(InvalidParameterError, match="250"):
        skledger.log_param("k" * 300, 1)


def test_a_wrong_tracking_uri_is_refused_with_the_known_forms():
    """The message lists what is possible."""
    with pytest.raises(InvalidParameterError, match="sqlite:///"):
        skledger.set_tracking_uri("ftp://nowhere")
    with pytest.raises(InvalidParameterError, match="write sqlite:///mine.db"):
        skledger.set_tracking_uri("mine.db")
    with pytest.raises(InvalidParameterError, match="str"):
        skledger.set_tracking_uri(3)


def test_the_commit_of_a_repository_is_noted(run_python, tmp_path):
    """Inside a git repository a run knows its commit."""
    import subprocess

    def git(*words):
        name = ["-c", "user.name=n", "-c", "user.email=e@x"]
        return subprocess.run(
            ["git", *name, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q")
    (tmp_path / "train.py").write_text("import skledger\nwith skledger.start_run(): pass\n")
    git("add", "train.py")
    git("commit", "-qm", "one")
    import sys

    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, check=True)
    git("pack-refs", "--all")
    subprocess.run([sys.executable, "train.py"], cwd=tmp_path, check=True)
    tags = [run.data.tags for run in skledger.search_runs(output_format="list")]
    assert [t["mlflow.source.git.commit"] for t in tags] == [git("rev-parse", "HEAD")] * 2
    assert tags[0]["mlflow.source.name"] == "train.py"


def test_the_run_of_the_environment_is_for_the_first_that_starts(monkeypatch):
    """As with MLflow; an empty variable is none."""
    with skledger.start_run() as made:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    with skledger.start_run() as first:
        pass
    with skledger.start_run() as second:
        pass
    assert first.info.run_id == made.info.run_id != second.info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", "")
    with skledger.start_run() as third:
        assert third.info.run_id not in (made.info.run_id, second.info.run_id)


@pytest.mark.parametrize("key", ["../x", "/a", "a//b", "a/", ".", "bad key!@#", "", "a\nb"])
@pytest.mark.parametrize("log", [skledger.log_metric, skledger.log_param, skledger.set_tag])
def test_keys_that_a_server_or_a_folder_refuses_are_refused_everywhere(log, key):
    """At once, and with the key; not later by a server, when the script is gone."""
    with skledger.start_run() as run:
        with pytest.raises(InvalidParameterError, match="key of a"):
            log(key, 1)
        log("größe/a b-c_d.e:f", 1)
    data = skledger.get_run(run.info.run_id).data
    held = {**data.metrics, **data.params, **data.tags}
    assert "größe/a b-c_d.e:f" in held and key not in held


def test_the_tag_of_the_name_is_the_name():
    """As with MLflow: set by the fluent API, the client, or a batch."""
    client = skledger.MlflowClient()
    with skledger.start_run() as run:
        skledger.set_tag("mlflow.runName", "a")
    run_id = run.info.run_id
    assert skledger.get_run(run_id).info.run_name == "a"
    client.set_tag(run_id, "mlflow.runName", "b")
    assert skledger.get_run(run_id).info.run_name == "b"
    client.log_batch(run_id, tags=[skledger.entities.RunTag("mlflow.runName", "c")])
    assert skledger.get_run(run_id).info.run_name == "c"
    assert len(skledger.search_runs(filter_string="run_name = 'c'")) == 1
    made = client.create_run("0", tags={"mlflow.user": "bob", "mlflow.runName": "d"})
    assert (made.info.user_id, made.info.run_name) == ("bob", "d")
    with pytest.raises(InvalidParameterError, match="one name"):
        client.create_run("0", run_name="x", tags={"mlflow.runName": "y"})


def test_what_is_not_synchronous_can_be_waited_for():
    """It was booked when the call returned; scripts for MLflow wait all the same."""
    with skledger.start_run() as run:
        skledger.log_metric("m", "1.5", synchronous=False).wait()
        skledger.log_params({"p": 1}, synchronous=False).wait()
        skledger.set_tag("t", 1, synchronous=False).wait()
        skledger.MlflowClient().log_batch(run.info.run_id, synchronous=False).wait()
        assert skledger.log_metric("m", 2) is None
        assert skledger.log_param("q", 3) == 3
    assert skledger.get_run(run.info.run_id).data.metrics == {"m": 2.0}


def test_an_experiment_that_is_not_there_has_no_runs(caplog):
    """A script that looks for earlier runs works on its first day."""
    assert skledger.search_runs(experiment_names=["nope"]).empty
    assert "'nope'" in caplog.text


def test_a_download_is_a_copy(tmp_path):
    """Whoever removes it removes nothing of the run."""
    with skledger.start_run() as run:
        skledger.log_text("precious", "a/x:1.txt")
        skledger.log_text("long", "l" * 255)
    path = Path(skledger.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="a"))
    assert (path / "x:1.txt").read_text() == "precious"
    (path / "x:1.txt").unlink()
    assert skledger.artifacts.load_text(f"runs:/{run.info.run_id}/a/x:1.txt") == "precious"
    assert "l" * 255 in files_of(skledger.get_run(run.info.run_id))


def test_missing_files_are_errors_that_scripts_know():
    """`except FileNotFoundError` works as with MLflow."""
    with skledger.start_run():
        with pytest.raises(FileNotFoundError, match="nope"):
            skledger.log_artifact("nope.txt")
        with pytest.raises(NotFoundError, match="nope"):
            skledger.log_artifacts("nope")


def test_what_was_given_wrong_is_said():
    """No AttributeError from the inside."""
    with skledger.start_run():
        for call in (
            lambda: skledger.log_text(5, "a.txt"),
            lambda: skledger.log_params([1]),
            lambda: skledger.log_metrics("m"),
            lambda: skledger.set_tags(["a"]),
            lambda: skledger.set_experiment(5),
        ):
            with pytest.raises(InvalidParameterError, match=r"takes|mapping|is a text"):
                call()


def test_runs_and_experiments_go_into_sets():
    """Two readings of one run are one."""
    with skledger.start_run() as run:
        pass
    twice = [skledger.get_run(run.info.run_id) for _ in range(2)]
    assert len({*twice}) == 1
    assert len({*skledger.search_experiments(), *skledger.search_experiments()}) == 1


def test_the_tracking_uri_can_be_unset():
    """None goes back to the default, as with MLflow."""
    before = skledger.get_tracking_uri()
    skledger.set_tracking_uri("memory:")
    skledger.set_tracking_uri(None)
    assert skledger.get_tracking_uri() == before
