"""`skledger models`: what names a model, where its answers go, and what is refused in which words."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _http_servers import HttpServer
from click.testing import CliRunner
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

import skledger
import skledger.sklearn
from skledger.cli import main
from skledger.models import infer_signature
from skledger.tracking import session

X, y = load_iris(return_X_y=True, as_frame=True)
LABELS = y.map({0: "setosa", 1: "versicolor", 2: "virginica"})
MODEL = LogisticRegression(max_iter=500).fit(X, LABELS)


@pytest.fixture
def folder(tmp_path):
    """A model in a folder, and data beside it."""
    skledger.sklearn.save_model(MODEL, tmp_path / "m", signature=infer_signature(X, LABELS))
    X.to_csv("in.csv", index=False)
    return str(tmp_path / "m")


@pytest.fixture
def run():
    """A run with one model."""
    with skledger.start_run() as run:
        skledger.sklearn.log_model(MODEL, name="model", signature=infer_signature(X, LABELS))
    return run


def invoke(*arguments, **options):
    result = CliRunner().invoke(main, ["models", *map(str, arguments)], **options)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def done(*arguments, **options):
    result = invoke(*arguments, **options)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments, code=1, **options):
    result = invoke(*arguments, **options)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def predicted(path):
    return pd.read_csv(path)["predictions"].tolist()


EXPECTED = MODEL.predict(X).tolist()

# -- where predictions go --------------------------------------------------------------------------


def test_a_pipe_is_written_into_and_stays(folder):
    """So do devices, which nothing may replace."""
    os.mkfifo("pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_text()), daemon=True)
    reader.start()
    done("predict", "-m", folder, "-i", "in.csv", "-o", "pipe")
    assert stat.S_ISFIFO(Path("pipe").lstat().st_mode)
    reader.join(10)
    assert read and read[0].splitlines() == ["predictions", *EXPECTED]
    assert not [name for name in os.listdir(".") if name.startswith(".pipe")]


def test_of_a_link_the_target_is_written(folder):
    """The link stays; a target that is not there yet is made; what fails leaves it as it was."""
    Path("there").mkdir()
    Path("there/old.csv").write_text("old")
    Path("there/old.csv").chmod(0o640)
    for name in ("old", "new"):
        Path(f"{name}.csv").symlink_to(f"there/{name}.csv")
        done("predict", "-m", folder, "-i", "in.csv", "-o", f"{name}.csv")
        assert Path(f"{name}.csv").is_symlink()
        assert predicted(f"there/{name}.csv") == EXPECTED
    assert stat.S_IMODE(Path("there/old.csv").stat().st_mode) == 0o640
    X.iloc[:, :2].to_csv("few.csv", index=False)
    refused("predict", "-m", folder, "-i", "few.csv", "-o", "old.csv")
    assert predicted("old.csv") == EXPECTED
    assert sorted(os.listdir("there")) == ["new.csv", "old.csv"]
    Path("a").symlink_to("b")
    Path("b").symlink_to("a")
    assert "'a'" in refused("predict", "-m", folder, "-i", "in.csv", "-o", "a")
    os.mkfifo("pipe")
    Path("to pipe").symlink_to("pipe")
    reader = threading.Thread(target=lambda: Path("pipe").read_text(), daemon=True)
    reader.start()
    done("predict", "-m", folder, "-i", "in.csv", "-o", "to pipe")
    assert stat.S_ISFIFO(Path("pipe").lstat().st_mode) and Path("to pipe").is_symlink()


def test_the_input_may_be_the_output(folder):
    """It is read whole before it is replaced."""
    done("predict", "-m", folder, "-i", "in.csv", "-o", "in.csv", "--chunk", "7")
    assert predicted("in.csv") == EXPECTED


def test_an_output_that_cannot_be_is_named_itself(folder):
    """A folder, and a place that is not there; not the input."""
    for output in (".", "m", "nowhere/out.csv"):
        said = refused("predict", "-m", folder, "-i", "in.csv", "-o", output)
        assert f"cannot write to {output!r}" in said and "predict from" not in said
    assert "it is a folder" in refused("predict", "-m", folder, "-i", "in.csv", "-o", ".")


def test_a_pipe_can_be_the_input(folder):
    """As the shell's <(...) is one."""
    os.mkfifo("pipe")
    content = Path("in.csv").read_bytes()
    threading.Thread(target=lambda: Path("pipe").write_bytes(content), daemon=True).start()
    done("predict", "-m", folder, "-i", "pipe", "-o", "out.csv")
    assert predicted("out.csv") == EXPECTED


# -- what is predicted -----------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", ["1", "4", "1000"])
def test_probabilities_of_several_outputs_are_by_output(tmp_path, chunk):
    """A list of rows for each output, however large the parts are."""
    two = np.c_[y, y == 0]
    model = RandomForestClassifier(5, random_state=0).fit(X, two)
    skledger.sklearn.save_model(model, tmp_path / "m", signature=infer_signature(X))
    X[::15].to_csv("in.csv", index=False)
    options = ("-i", "in.csv", "-o", "out.json", "--method", "predict_proba", "--chunk", chunk)
    assert "10 rows" in done("predict", "-m", tmp_path / "m", *options)
    found = json.loads(Path("out.json").read_text())["predictions"]
    assert found == [each.tolist() for each in model.predict_proba(X[::15])]


def test_a_head_without_rows_becomes_one(folder, tmp_path):
    """It is said that there were none; the columns must be there all the same."""
    Path("head.csv").write_text(",".join(X.columns) + "\n")
    said = done("predict", "-m", folder, "-i", "head.csv", "-o", "out.csv")
    assert "no rows" in said and "Predicted 0 rows" in said
    assert Path("out.csv").read_text() == "predictions\n"
    done("predict", "-m", folder, "-i", "head.csv", "-o", "p.csv", "--method", "predict_proba")
    assert Path("p.csv").read_text() == "setosa,versicolor,virginica\n"
    done("predict", "-m", folder, "-i", "head.csv", "-o", "out.json")
    assert json.loads(Path("out.json").read_text()) == {"predictions": []}
    said = CliRunner().invoke(main, ["models", "predict", "-m", folder, "-i", "head.csv"])
    assert said.stdout == "predictions\n" and "no rows" in said.stderr
    Path("few.csv").write_text("sepal length (cm)\n")
    assert "missing" in refused("predict", "-m", folder, "-i", "few.csv")
    Path("nothing.csv").write_text("")
    assert "empty" in refused("predict", "-m", folder, "-i", "nothing.csv")
    skledger.sklearn.save_model(LinearRegression().fit(X, np.c_[y, y]), tmp_path / "plain")
    done("predict", "-m", tmp_path / "plain", "-i", "head.csv", "-o", "out.csv")
    refused("predict", "-m", folder, "-i", "head.csv", "--method", "fit")


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators_are_noticed(folder, mark, name):
    """What is wrong is the separator, not all of the columns."""
    X.to_csv("other.csv", index=False, sep=mark)
    said = refused("predict", "-m", folder, "-i", "other.csv")
    assert name in said and "commas" in said
    X.iloc[:, :2].to_csv("few.csv", index=False)
    assert name not in refused("predict", "-m", folder, "-i", "few.csv")


# -- which model is meant --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri",
    [
        f"runs:/{'a' * 32}/model",
        "runs:/abc/model",
        "runs:/last/model",
        "models:/wine/1",
        "models:/wine@best",
        f"models:/m-{'a' * 32}",
        "last",
        "nothing",
        f"mlruns/0/{'a' * 32}/artifacts/model",
    ],
)
@pytest.mark.parametrize("command", [["predict", "-m"], ["check"], ["serve", "-p", "0", "-m"]])
def test_looking_makes_no_store(command, uri, tmp_path):
    """Neither the default one nor one that is named."""
    Path("in.csv").write_text("a\n1\n")
    for option in ([], ["--uri", "sqlite:///other.db"], ["--uri", "runs"]):
        refused(*command, uri, *option)
        assert os.listdir(tmp_path) == ["in.csv"]
        session.reset()


def test_a_folder_and_a_registry_alone_need_no_store_of_runs(folder, monkeypatch, tmp_path):
    """A model in a folder is used where nothing was ever booked; so is a registry elsewhere."""
    before = sorted(os.listdir(tmp_path))
    done("check", folder)
    done("predict", "-m", folder, "-i", "in.csv")
    assert sorted(os.listdir(tmp_path)) == before
    Path("elsewhere").mkdir()
    monkeypatch.setenv("SKLEDGER_REGISTRY_URI", f"sqlite:///{tmp_path}/elsewhere/registry.db")
    assert "There is no database" in refused("list")
    assert "There is no database" in refused("check", "models:/wine/1")
    assert not os.listdir("elsewhere")
    done("register", folder, "wine")
    assert "wine" in done("list")
    session.reset()
    refused("check", "models:/wine@nope")
    invoke("check", "models:/wine/1")
    assert not Path("skledger.db").exists()


@pytest.mark.parametrize("command", [["predict", "-i", "in.csv", "-m"], ["check"]])
def test_runs_are_named_as_they_are_shown(run, command):
    """By the beginning of their identifier, their name, or as the last one."""
    X.to_csv("in.csv", index=False)
    run_id = run.info.run_id
    for name in (run_id, run_id[:8], run.info.run_name, "last"):
        done(*command, f"runs:/{name}/model")
    done(*command, "last")
    said = refused(*command, "runs:/ffffffffff/model")
    assert "ffffffffff" in said and "skledger runs" in said
    for given in (run_id, run_id[:8], f"runs:/{run_id}", f"runs:/{run_id[:8]}/"):
        said = refused(*command, given)
        assert f"runs:/{run_id}/model" in said and "not a model" in said
    with skledger.start_run():
        pass
    assert "no model" in refused(*command, "last")
    Path("last").mkdir()  # a folder of that name is meant first
    assert "MLmodel" in refused(*command, "last")


def test_artifacts_are_those_of_the_server_that_is_named(tmp_path):
    """`--uri` tells where mlflow-artifacts:/ is, without any other request to it."""
    skledger.sklearn.save_model(MODEL, tmp_path / "m", signature=infer_signature(X, LABELS))
    root = "/api/2.0/mlflow-artifacts/artifacts"
    asked = []

    def answer(handler):
        from urllib.parse import parse_qs, urlsplit

        parts = urlsplit(handler.path)
        asked.append(handler.path)
        if parts.path == root:
            assert parse_qs(parts.query)["path"] == ["1/models/m"]
            files = sorted((tmp_path / "m").iterdir())
            found = [
                {"path": each.name, "is_dir": False, "file_size": each.stat().st_size}
                for each in files
            ]
            handler.reply(body={"files": found})
        elif parts.path.startswith(f"{root}/1/models/m/"):
            handler.reply(body=(tmp_path / "m" / Path(parts.path).name).read_bytes())
        else:
            handler.reply(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"})

    X.to_csv("in.csv", index=False)
    with HttpServer(answer) as server:
        uri = ("mlflow-artifacts:/1/models/m", "--uri", server.uri)
        done("check", *uri)
        said = done("predict", "-i", "in.csv", "--no-verify", "-m", *uri)
        assert said.splitlines()[1:] == EXPECTED
    assert asked and all(each.startswith(root) for each in asked)
    assert not Path("skledger.db").exists()


# -- check -----------------------------------------------------------------------------------------


def test_a_model_file_that_is_missing_or_changed_is_told(folder):
    """With exit code 1, although no digests are known."""
    done("check", folder)
    file = Path(folder, "model.pkl")
    content = file.read_bytes()
    file.write_bytes(content[:-100])
    assert "'model.pkl' was changed" in refused("check", folder)
    file.unlink()
    assert "'model.pkl' is missing" in refused("check", folder)
    told = json.loads(refused("check", folder, "--json"))
    assert told["differs"] is True
    assert any(each["what"] == "model file" and each["differs"] for each in told["findings"])


def test_the_folder_of_a_booked_model_is_compared_with_its_digests(run):
    """Also when the folder itself is named."""
    model = skledger.search_logged_models(output_format="list")[0]
    folder = Path(model.artifact_location)
    assert "that were booked" in done("check", folder)
    content = bytearray((folder / "model.pkl").read_bytes())
    content[-10] ^= 1
    (folder / "model.pkl").write_bytes(content)
    for uri in (folder, f"runs:/{run.info.run_id}/model"):
        assert "not the file that was booked" in refused("check", uri)


def test_the_folder_of_a_logged_model_makes_no_store(run, tmp_path):
    """Although it has the place of one that a store would know."""
    model = skledger.search_logged_models(output_format="list")[0]
    session.reset()
    Path("skledger.db").rename("moved.db")
    for name in ("skledger.db-wal", "skledger.db-shm"):
        Path(name).unlink(missing_ok=True)
    before = sorted(os.listdir(tmp_path))
    done("check", model.artifact_location)
    X.to_csv(tmp_path.parent / "in.csv", index=False)
    done("predict", "-m", model.artifact_location, "-i", tmp_path.parent / "in.csv")
    assert sorted(os.listdir(tmp_path)) == before


# -- the registry ----------------------------------------------------------------------------------


def nothing_is_registered():
    return "There are no registered models." in done("list")


def test_what_is_no_model_is_not_registered(run, tmp_path):
    """Neither as a version nor as a name, and it is said what would be one."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    run_id = run.info.run_id
    sources = ("nofolder", "empty", "file", run_id, run_id[:8], f"runs:/{run_id}", "a/b")
    for source in (*sources, tmp_path / "empty", (tmp_path / "empty").as_uri()):
        said = refused("register", source, "wine")
        assert "runs:/" in said, source
    refused("register", f"runs:/{run_id}/other", "wine")
    refused("register", "models:/nothing/1", "wine")
    assert nothing_is_registered()


def test_the_model_of_the_last_run_is_registered(run):
    """`last` is that one, and a short identifier is enough."""
    run_id = run.info.run_id
    assert f"runs:/{run_id}/model as models:/wine/1" in done("register", "last", "wine")
    done("register", f"runs:/{run_id[:8]}/model", "wine")
    model = skledger.search_logged_models(output_format="list")[0]
    versions = skledger.MlflowClient().search_model_versions("name = 'wine'")
    assert {each.source for each in versions} == {f"models:/{model.model_id}"}
    assert {each.run_id for each in versions} == {run_id}


def test_a_bad_alias_is_refused_before_a_version_is_made(run):
    """So is one that means a version, and a tag that is none."""
    for options in (
        ("--alias", "bad alias"),
        ("--alias", "good", "--alias", "latest"),
        ("--alias", "v1"),
    ):
        assert "alias" in refused("register", "last", "wine", *options)
    assert nothing_is_registered()
    done("register", "last", "wine", "--alias", "champion")
    assert "champion" in done("list", "wine", "--json")


def test_aliases_that_are_not_there_are_told(run):
    """In words of the command line."""
    done("register", "last", "wine", "--alias", "champion")
    told = [
        refused("alias", "wine", "nope", "--delete"),
        refused("alias", "beer", "nope", "--delete"),
        refused("alias", "beer", "nope", "1"),
        refused("alias", "wine", "champion", "challenger", code=2),
        refused("alias", "wine", "bad alias", "1"),
        refused("alias", "wine", "champion", "7"),
        refused("check", "models:/wine@nope"),
        refused("check", "models:/beer@nope"),
        refused("register", "models:/wine@nope", "wine"),
        refused("list", "beer"),
        refused("stage", "beer", "1", "Production"),
    ]
    for text in told:
        assert "registered_model_" not in text and "get_" not in text, text
    assert "champion" in told[0] and "'nope'" in told[0]
    assert "is no more" in done("alias", "wine", "champion", "--delete")
    assert "has no alias" in refused("alias", "wine", "champion", "--delete")


def test_a_filter_without_a_match_says_so(run):
    """There may be registered models nevertheless."""
    assert nothing_is_registered()
    done("register", "last", "wine")
    said = done("list", "--filter", "name = 'beer'")
    assert "matches" in said and "There are no" not in said
    assert "matches" in done("list", "wine", "--filter", "tags.team = 'blue'")


def test_help_says_what_the_group_is_for():
    """Serving, predicting, checking, and the registry."""
    said = " ".join(done("--help").split())
    for word in ("HTTP", "predict", "check", "registry", "alias"):
        assert word in said
    assert "regist" in CliRunner().invoke(main, ["--help"]).output


# -- serve -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "-1", "1e300"])
def test_a_timeout_is_a_number_of_seconds(folder, value):
    """Refused by the option, before anything is looked for."""
    said = refused("serve", "-m", folder, "-p", "0", "-t", value, code=2)
    assert "seconds" in said and "--timeout" in said
