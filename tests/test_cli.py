"""The command line: what it prints, what it refuses, and what it never does."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from _commands import book, invoke, on_terminal
from rich.cells import cell_len

import skledger
from skledger.cli import main
from skledger.cli._invoked import skledger_command
from skledger.cli._process import status_text
from skledger.tracking.context import process_identity
from skledger.tracking.entities import Metric, RunChange, RunInfo, as_tags
from skledger.tracking.names import now_ms
from skledger.tracking.session import get_store

DOCS = Path(__file__).parent.parent / "docs" / "cli.md"


def all_commands(group=main, before=""):
    """Return every command by what is typed, those of groups included."""
    found = {}
    for name, command in group.commands.items():
        found[before + name] = command
        if isinstance(command, click.Group):
            found.update(all_commands(command, f"{before}{name} "))
    return found


COMMANDS = all_commands()


@pytest.fixture
def cli():
    """Run a command in this process; returns its result."""
    return invoke


def book_as(run_id, name="twin"):
    """Book a run under an identifier of our choice."""
    now = now_ms()
    info = RunInfo(run_id, "0", name, "me", "FINISHED", now, now, "active", str(Path.cwd() / "a"))
    get_store().write(RunChange(run_id, create=info, tags=as_tags({"mlflow.runName": name})))


def in_process(*arguments, **kwargs):
    """Run ``skledger`` as users do."""
    return subprocess.run(
        [sys.executable, "-m", "skledger", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        **kwargs,
    )


# -- help and documentation ----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_has_help_and_documentation(name):
    """A command or an option without a help text, or that docs/cli.md misses, fails here."""
    command = COMMANDS[name]
    text = DOCS.read_text(encoding="utf-8")
    assert command.help
    assert command.short_help
    assert f"\n## skledger {name}\n" in text
    section = text.split(f"\n## skledger {name}\n")[1].split("\n## ")[0]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            for each in parameter.opts + parameter.secondary_opts:
                assert f"`{each}" in section, f"{each} of {name} is not in docs/cli.md"
        else:
            assert parameter.name.upper() in section
            assert parameter.name.upper() in command.help


def test_the_documentation_names_no_option_that_is_gone():
    """Every option in the tables of docs/cli.md exists."""
    for section in DOCS.read_text(encoding="utf-8").split("\n## ")[1:]:
        title = section.splitlines()[0]
        if not title.startswith("skledger "):
            continue
        command = COMMANDS[title.removeprefix("skledger ")]
        options = [each for each in command.params if isinstance(each, click.Option)]
        known = {each for option in options for each in option.opts + option.secondary_opts}
        rows = [line for line in section.splitlines() if line.startswith("| `-")]
        named = {each for row in rows for each in re.findall(r"`(--?[a-z-]+)", row.split("|")[1])}
        assert named == known


def test_version(cli):
    """``--version`` tells the package's version."""
    assert cli("--version").output == f"skledger {skledger.__version__}\n"


def test_without_arguments_it_prints_help():
    """``python -m skledger`` alone prints help and the names of the commands."""
    done = in_process()
    assert done.returncode == 0
    for name in main.commands:
        assert f"  {name}  " in done.stdout


def test_listing_runs_imports_neither_scikit_learn_nor_pandas():
    """Looking at runs is quick: the large libraries stay out."""
    book("one")
    script = (
        "import sys\nfrom skledger.cli import main\n"
        "main(['runs'], standalone_mode=False)\n"
        "print([m for m in ('sklearn', 'pandas', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


# -- runs ----------------------------------------------------------------------------------------


def test_runs_are_listed_newest_first_with_short_identifiers(cli):
    """One line a run: identifier, name, status, metrics."""
    first = book("first", metrics={"training_score": 0.25})
    time.sleep(0.01)
    second = book("second", metrics={"rmse": 0.125, "best_cv_score": 0.5})
    lines = cli("runs").output.splitlines()
    assert lines[0].split() == (
        "run name status when duration estimator best_cv_score training_score rmse".split()
    )
    assert lines[1].split()[:3] == [second[:8], "second", "FINISHED"]
    assert lines[1].endswith("0.125")
    assert lines[2].split()[:3] == [first[:8], "first", "FINISHED"]
    assert "0.25" in lines[2]


def test_autologged_fits_are_listed_with_their_estimator(cli, autolog, binary):
    """A fit's run shows its class and its score; a failed fit shows as FAILED."""
    from sklearn.linear_model import LogisticRegression

    LogisticRegression(solver="liblinear").fit(*binary)
    with pytest.raises(ValueError):
        LogisticRegression(C=-1).fit(*binary)
    failed, fine = cli("runs").output.splitlines()[1:]
    assert " FAILED " in failed
    assert re.search(r" FINISHED .* LogisticRegression +0\.9\d+", fine)


def test_children_are_indented_under_their_parents_and_do_not_count(cli):
    """``--children 3``: three are shown, and how many more there are; ``-n`` counts parents."""
    with skledger.start_run(run_name="parent"):
        for number in range(10):
            book(f"child-{number}", nested=True)
        with skledger.start_run(run_name="late", nested=True):
            book("grandchild", nested=True)
    time.sleep(0.01)
    book("other")
    lines = cli("runs", "-n", 2, "--children", 3).output.splitlines()
    names = [line[10:].split("  FINISHED")[0].rstrip() for line in lines[1:]]
    assert names == ["other", "parent", "  child-0", "  child-1", "  child-2", "  and 8 more"]
    for every in (["--children", 20], ["--children"], ["--children", "-n", 5]):
        everything = cli("runs", *every).output
        assert re.search(r"^\w{8} {6}grandchild", everything, re.MULTILINE)
        assert "child-9" in everything
    for none in ([], ["--children", 0]):
        assert " child" not in cli("runs", *none).output.partition("\n")[2]
    assert "parent" not in cli("runs", "-n", 1).output


def test_a_circle_of_parents_ends(cli):
    """Tags that make two runs each other's parents do not hang the listing."""
    top = book("top")
    one, two = "1" * 32, "2" * 32
    book_as(one)
    book_as(two)
    for run_id, parent in ((one, two), (two, one)):
        tags = as_tags({"mlflow.parentRunId": parent})
        get_store().write(RunChange(run_id, tags=tags))
    assert top[:8] in cli("runs").output
    get_store().write(RunChange(one, tags=as_tags({"mlflow.parentRunId": top})))
    get_store().write(RunChange(two, tags=as_tags({"mlflow.parentRunId": one})))
    assert len(cli("runs", "--children").output.splitlines()) == 4
    assert "top" in cli("show", top).output
    assert "Children" in cli("show", one).output


def test_filter_and_order(cli):
    """A filter and an order list what matches, children too, and get columns of their own."""
    with skledger.start_run(run_name="parent"):
        for value in (0.1, 0.9, 0.5):
            book(f"child-{value}", metrics={"zeta": value, "training_score": 1.0}, nested=True)
    lines = cli(
        "runs", "--filter", "metrics.zeta > 0.2", "--order-by", "metrics.zeta DESC"
    ).output.splitlines()
    assert lines[0].split()[2] == "parent"
    assert lines[0].split()[7] == "zeta"
    assert [line.split()[1] for line in lines[1:]] == ["child-0.9", "child-0.5"]
    assert "No run" in cli("runs", "--filter", "metrics.zeta > 2").output


def test_a_key_that_no_run_has_is_named(cli):
    """A filter that finds nothing and an order by nothing tell which key is unknown."""
    book("one", metrics={"training_score": 0.5}, params={"C": 1})
    wrong = {
        "metrics.trainingscore > 0": "No run has a metric 'trainingscore'; did you mean "
        "'training_score'?",
        'metrics.`a "b` > 0': "No run has a metric 'a \"b'",
        "params.c = '1'": "No run has a param 'c'; did you mean 'C'?",
        "tags.C = '1'": "No run has a tag 'C'; did you mean the param, params.C?",
        "metrics.training_score > 0 and metrics.zzz < 1": "No run has a metric 'zzz'; there are "
        "training_score.",
    }
    for text, said in wrong.items():
        for machine in ([], ["--json"], ["--csv"]):
            assert said in cli("runs", "--filter", text, *machine).stderr
    for text in ("metrics.training_score > 1", "metrics.nope IS NULL", "params.C = '1'"):
        assert cli("runs", "--filter", text).stderr == ""
    ordered = cli("runs", "--order-by", "metrics.nope DESC")
    assert "No run has a metric 'nope'" in ordered.stderr
    assert "nope" not in ordered.stdout
    skledger.set_experiment("wine")
    result = cli("runs", "--experiment", "wine", "--order-by", "params.C")
    assert "No run of 'wine' has a param 'C'." in result.stderr


def test_experiments(cli, monkeypatch):
    """All experiments by default, or the one named by an option or by the environment."""
    book("plain")
    skledger.set_experiment("wine")
    book("red")
    assert "experiment" in cli("runs").output.splitlines()[0]
    assert "plain" not in cli("runs", "--experiment", "wine").output
    monkeypatch.setenv("SKLEDGER_EXPERIMENT_NAME", "wine")
    assert "plain" not in cli("runs").output
    assert "plain" in cli("runs", "--all").output
    cli("runs", "--all", "--experiment", "wine", code=2)
    monkeypatch.setenv("SKLEDGER_EXPERIMENT_NAME", "beer")
    assert "'Default', 'wine'" in cli("runs", code=1).stderr
    assert skledger.get_experiment_by_name("beer") is None


def test_json_and_csv(cli):
    """Both hold every metric and param; what JSON has no number for is text."""
    run_id = book(
        "a,b", metrics={"nan": float("nan"), "inf": float("inf"), "x": 0.5}, params={"p": "1\n2"}
    )
    (run,) = json.loads(cli("runs", "--json").stdout)
    assert run["run_id"] == run_id
    assert run["metrics"] == {"nan": "NaN", "inf": "Infinity", "x": 0.5}
    assert run["params"] == {"p": "1\n2"}
    (row,) = csv.DictReader(io.StringIO(cli("runs", "--csv").stdout))
    assert (row["run_name"], row["metrics.x"], row["params.p"]) == ("a,b", "0.5", "1\n2")
    cli("runs", "--csv", "--json", code=2)


def test_a_name_cannot_control_the_terminal(cli):
    """Escape sequences and markup in a name are shown, not obeyed."""
    book("\x1b[31mred [bold]x[/bold]")
    output = cli("runs").output
    assert "\x1b" not in output
    assert "[bold]x[/bold]" in output


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_table_fits_the_terminal(width):
    """No line is wider than the terminal; names are cut, and what says least is left out."""
    metrics = {"training_score": 0.5, "own_metric": 1, "another": 2}
    for name in ("a-very-long-name-" * 4, "a-longer-name-" * 6):
        tags = {"estimator_name": "RandomForestClassifier"}
        book(name, metrics=metrics, tags=tags)
    lines = on_terminal(width, "runs")
    assert max(map(len, lines[:3])) <= width
    head = lines[0].split()
    assert head[:3] == ["run", "name", "status"]
    assert ("estimator" in head) == ("training_score" in head) == (width >= 60)
    assert ("when" in head) == ("own_metric" in head) == (width >= 120)
    assert "…" in lines[1]
    assert "FINISHED" in lines[1]
    assert ("RandomForestClassifier" in lines[1]) == (width >= 80)


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_keeps_short_columns_whole():
    """Where names and estimators are short, the time fits a narrow terminal too."""
    book("a", metrics={"r2": 0.5})
    head, row, *hint = on_terminal(60, "runs")
    assert head.split() == ["run", "name", "status", "when", "duration", "estimator", "r2"]
    assert " s ago" in row
    assert " show " in " ".join(hint)


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_narrow_terminal_keeps_the_metric_that_most_runs_have():
    """A search's score does not drive out the score of all the other runs."""
    for number in range(2):
        book(f"a-long-name-{number}", metrics={"training_score": 0.5})
    book("search", metrics={"training_score": 0.75, "best_cv_score": 0.625})
    assert "training_score" in on_terminal(50, "runs")[0]
    named = on_terminal(50, "runs", "--order-by", "metrics.best_cv_score DESC")
    assert "best_cv_score" in named[0]
    assert "0.625" in named[1]


SCORES = {"best_cv_score": 0.5, "mean_test_score": 0.5, "training_score": 0.5, "fit_seconds": 1}
OWN = [f"own_{number:02d}" for number in range(12)]


def test_a_pipe_has_every_metric_that_the_user_logged(cli):
    """However many they are, and however many scores of searches and fits stand before them."""
    book("fit", metrics=SCORES, tags={"estimator_name": "SVC"})
    book("mine", metrics=dict.fromkeys(OWN, 1.5))
    result = cli("runs")
    head, mine, _ = result.stdout.splitlines()
    assert head.split()[6:] == [*list(SCORES)[:3], *OWN]
    assert mine.count("1.5") == len(OWN)
    assert result.stderr == ""


def test_metrics_of_autologging_are_not_taken_for_the_users(cli, autolog, binary):
    """A fit, a search and a cross-validation in the user's run, who logs similar names."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate

    model = LogisticRegression(solver="liblinear")
    own = {"test_accuracy": 0.5, "training_loss": 0.25, "mean_absolute_deviation": 0.125}
    with skledger.start_run(run_name="mine"):
        model.fit(*binary)
        model.fit(*binary)
        cross_validate(model, *binary, cv=2)
        GridSearchCV(model, {"C": [1.0, 2.0]}, cv=2).fit(*binary)
        skledger.log_metrics(own)
    cross_validate(model, *binary, cv=2, scoring=["accuracy", "f1"], return_train_score=True)
    cross_val_predict(model, *binary, cv=2)
    with skledger.start_run(run_name="by hand"):
        skledger.log_metrics({"fit_seconds": 7, "mean_absolute_error": 0.5})
    shown = cli("runs").output.splitlines()[0].split()[7:]
    telling = ["best_cv_score", "mean_test_score", "training_score"]
    assert shown[:3] == telling
    assert sorted(shown[3:]) == sorted([*own, "fit_seconds", "mean_absolute_error"])


def test_curves_of_autologging_are_not_taken_for_the_users(cli, autolog, regression):
    """Nor what is known of iterations, nor params that are charted; scores on other data are."""
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import BayesianRidge
    from sklearn.neural_network import MLPRegressor

    X, y = regression[0][:90], regression[1][:90]
    boosted = {"n_estimators": 3, "subsample": 0.5, "warm_start": True}
    model = GradientBoostingRegressor(**boosted).fit(X, y)
    model.set_params(n_estimators=5).fit(X, y)
    BayesianRidge(compute_score=True).fit(X, y)
    MLPRegressor(hidden_layer_sizes=(2,), max_iter=300, tol=1.0, early_stopping=True).fit(X, y)
    own = {"error": 0.5, "validation_score": 0.25}
    with skledger.start_run():
        GradientBoostingRegressor(n_estimators=3).fit(X, y)
        skledger.log_metrics(own)
    X_test, y_test = X[:20], y[:20]
    model.score(X_test, y_test)
    skledger.flush()
    shown = cli("runs").output.splitlines()[0].split()[6:]
    # In a run of the user's, a name that may be theirs is taken to be.
    mine = {*own, "train_score", "GradientBoostingRegressor_score_X_test"}
    assert shown[0] == "training_score"
    assert set(shown[1:]) == mine


def test_names_of_iterations_are_known(cli):
    """Each metric that `skledger.capture.iterations` gives is told from a user's."""
    from skledger.capture import iterations

    kept = [name[:-1] for name in (*iterations._CURVES, *iterations._COUNTS)]
    boosting = ["validation_0-rmse", "valid_1-l2", "training-auc", "learn-RMSE", "validation-RMSE"]
    names = [*kept, *boosting, "best_iteration", "staged_score"]
    book("fit", metrics=dict.fromkeys(names, 0.5), tags={"estimator_name": "SVC"})
    book("mine", metrics={"profit": 1.5})
    assert cli("runs").output.splitlines()[0].split()[6:] == ["profit"]


def test_the_duration_of_fits_is_not_shown_twice(cli):
    """``fit_seconds`` fills no free column: ``duration`` tells it."""
    book("clusters", metrics={"fit_seconds": 1.5}, tags={"estimator_name": "KMeans"})
    head = cli("runs").output.splitlines()[0]
    assert "duration" in head
    assert "fit_seconds" not in head
    assert "fit_seconds" in cli("runs", "--order-by", "metrics.fit_seconds").output


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_names_the_columns_it_has_no_room_for():
    """A wide one shows all; a narrow one says how many are missing, which, and what to do."""
    for number in range(2):
        book(f"fit-{number}", metrics=SCORES, tags={"estimator_name": "SVC"})
    book("mine", metrics={"profit": 2.5, "own_loss": 0.5})
    wide = on_terminal(220, "runs")
    assert wide[0].split()[6:] == [*list(SCORES)[:3], "profit", "own_loss"]
    assert "Left out" not in "".join(wide)
    lines = on_terminal(100, "runs")
    assert "profit" in lines[0]
    told = " ".join(line.strip() for line in lines[4:])
    found = re.search(r"Left out: (\d) columns? \((.*)\); .* wider terminal.* less -S", told)
    shown = tuple(title.rstrip("…") for title in lines[0].split())
    missing = {title for title in wide[0].split() if not title.startswith(shown)}
    assert missing
    assert int(found[1]) == len(missing)
    assert {*found[2].split(", ")} == missing
    book("many", metrics=dict.fromkeys(OWN, 1.5))
    told = " ".join(on_terminal(60, "runs"))
    assert re.search(r"Left out: 1\d columns \((\S+, ){8}\.\.\.\)", told)


def test_a_table_tells_how_many_runs_it_leaves_out(cli):
    """Twenty unless told; how many more there are goes to the standard error."""
    for number in range(23):
        book(f"run-{number}", metrics={"m": number})
    result = cli("runs")
    assert len(result.stdout.splitlines()) == 21
    assert result.stderr == "Shown: 20 of 23 runs; -n shows more.\n"
    assert "20 of 22 runs" in cli("runs", "--filter", "metrics.m > 0").stderr
    assert cli("runs", "-n", 1).stderr == "Shown: 1 of 23 runs; -n shows more.\n"
    assert cli("runs", "-n", 23).stderr == ""
    if os.name != "nt":
        assert "20 of 23 runs" in "".join(on_terminal(80, "runs"))


def test_json_and_csv_hold_all_runs_unless_limited(cli):
    """What machines read is not cut in silence."""
    for number in range(23):
        book(f"run-{number}")
    assert len(json.loads(cli("runs", "--json").stdout)) == 23
    assert len(cli("runs", "--csv").stdout.splitlines()) == 24
    assert len(json.loads(cli("runs", "--json", "-n", 2).stdout)) == 2


def book_running(name, process):
    """Book a run that is RUNNING for a minute, in a process."""
    run_id = os.urandom(16).hex()
    start = now_ms() - 60_000
    info = RunInfo(run_id, "0", name, "me", "RUNNING", start, None, "active", str(Path.cwd() / "a"))
    get_store().write(RunChange(run_id, create=info, tags=as_tags({"skledger.process": process})))
    return run_id


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_run_whose_process_is_gone_is_told_apart(cli):
    """RUNNING without its process says so, and has no duration; nothing is written."""
    script = "from skledger.tracking.context import process_identity as p; print(p())"
    dead = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    host, pid, start = process_identity().split("/")
    gone = {
        "dead": dead.stdout.strip(),
        "reused": f"{host}/{pid}/{int(start) - 1}",
    }
    alive = {
        "alive": f"{host}/{pid}/{start}",
        "elsewhere": f"elsewhere/{pid}/1",
        "unknown": "",
        "garbage": "a/b",
    }
    for name, process in {**gone, **alive}.items():
        run_id = book_running(name, process)
        row = next(line for line in cli("runs").output.splitlines() if f" {name} " in line)
        assert ("RUNNING (process gone)" in row) == (name in gone), name
        assert ("1 min" in row) == (name in alive), name
        shown = cli("show", run_id).output
        assert ("RUNNING (process gone)" in shown.splitlines()[0]) == (name in gone)
        assert get_store().get_run(run_id).info.status == "RUNNING"
    shown = [status_text(run, short=True).plain for run in get_store().search_runs(["0"])]
    assert shown.count("RUNNING?") == len(gone)
    # Another process that opens the store ends them.
    assert sum(" KILLED " in line for line in on_terminal(80, "runs")) == len(gone)


# -- nothing there -------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["runs"], ["runs", "--json"], ["runs", "--csv"]])
def test_looking_creates_no_database(cli, arguments):
    """Without a database, `runs` tells how to begin, and leaves the folder as it was."""
    result = cli(*arguments)
    assert "skledger.autolog()" in result.output
    assert list(Path.cwd().iterdir()) == []
    assert result.stdout.strip() == "[]" if "--json" in arguments else True


@pytest.mark.parametrize("arguments", [["show", "last"], ["plots", "last"], ["plots", "--missing"]])
def test_commands_on_runs_fail_without_a_database(cli, arguments):
    """What needs a run says that there is no database, and creates none."""
    assert "There is no database" in cli(*arguments, code=1).stderr
    assert list(Path.cwd().iterdir()) == []


def test_a_run_is_found_by_the_identifier_that_its_name_ends_in(cli):
    """A server of MLflow chose another one; the name keeps the first."""
    with skledger.start_run(
        run_name="Ridge-1bf5", tags={"skledger.run_id": "1bf5" + "0" * 28}
    ) as run:
        pass
    if not run.info.run_id.startswith("1bf5"):
        assert run.info.run_id in cli("show", "1bf5").output


def test_a_place_that_was_named_has_to_be_there(cli):
    """Unlike the usual one, in which nothing may have been booked yet."""
    for words in ((), ("--json",), ("--csv",)):
        for place, told in (("nope.db", "no database"), ("./nope", "no folder")):
            done = cli("runs", "--uri", place, *words, code=1)
            assert told in done.stderr and done.stdout == ""
        assert cli("runs", *words).exit_code == 0
    assert list(Path.cwd().iterdir()) == []


def test_an_empty_file_and_the_database_of_another_program_stay_as_they_are(cli):
    """No tables are made in a file that is only looked at."""
    Path("empty.db").touch()
    assert "empty.db is empty" in cli("runs", "--uri", "empty.db").output
    assert Path("empty.db").stat().st_size == 0
    connection = sqlite3.connect("other.db")
    connection.execute("CREATE TABLE addresses (name)")
    connection.commit()
    assert "'addresses'" in cli("runs", "--uri", "sqlite:///other.db", code=1).stderr
    tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("addresses",)]
    connection.close()


def test_a_database_copied_without_its_log_is_explained(cli):
    """Records may all be in the write-ahead log; looking at such a copy puts nothing beside it."""
    book("one")
    Path("copy").mkdir()
    shutil.copy("skledger.db", "copy")
    # The store is open, so its records are in the log still.
    assert Path("skledger.db-wal").stat().st_size > 4096 >= Path("copy/skledger.db").stat().st_size
    output = cli("runs", "--uri", "copy/skledger.db").output
    assert "skledger.db is empty (if it was copied from elsewhere, copy its -wal file" in output
    assert [path.name for path in Path("copy").iterdir()] == ["skledger.db"]
    shutil.copy("skledger.db-wal", "copy")
    assert " one " in cli("runs", "--uri", "copy/skledger.db").output


def test_a_store_without_runs_says_what_to_do(cli):
    """A database without runs is no error."""
    skledger.set_experiment("nothing yet")
    assert "skledger.autolog()" in cli("runs").output


# -- show ----------------------------------------------------------------------------------------


def test_show_a_fit(cli, autolog, binary):
    """Params, metrics, files, and a line of Python that does load the model."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(solver="liblinear", C=0.125).fit(*binary)
    skledger.flush()
    output = cli("show", "last").output
    assert re.search(r"^  C +0\.125$", output, re.MULTILINE)
    assert re.search(r"^  training_score +0\.9\d+$", output, re.MULTILINE)
    assert re.search(r"estimator\.html  [\d.]+ kB", output)
    assert "sklearn.linear_model" in output
    assert "not drawn" not in output
    lines = re.findall(r"^  (import skledger|skledger\.set.*|model = .*)$", output, re.MULTILINE)
    names = {}
    exec("\n".join(lines), names)
    assert (names["model"].coef_ == model.coef_).all()


def test_show_a_failed_fit(cli, autolog, binary):
    """The traceback of a failed fit is there."""
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(ValueError):
        LogisticRegression(C=-1).fit(*binary)
    output = cli("show", "last").output
    assert "Traceback (most recent call last):" in output
    assert "The 'C' parameter of LogisticRegression" in output


def test_show_warnings_notes_tags_and_steps(cli):
    """What the user added is there, and what a metric went through."""
    with skledger.start_run(run_name="mine", description="Why not?", tags={"team": "a"}):
        for step in range(3):
            skledger.log_metric("loss", 1 / (step + 1), step=step)
        skledger.log_text("hello", "deep/down/note.txt")
        skledger.set_tag("skledger.warnings", "ConvergenceWarning: slow")
    output = cli("show", "mine").output
    assert "Why not?" in output
    assert re.search(r"^Tags\n  team +a$", output, re.MULTILINE)
    assert re.search(r"loss +0\.3333 +the last of 3 values", output)
    assert "note.txt  5 B" in output
    assert "down/" in output
    assert "ConvergenceWarning: slow" in output
    shown = json.loads(cli("show", "mine", "--json").stdout)
    assert shown["metrics"]["loss"]["steps"] == 3
    assert shown["artifacts"] == {"deep/down/note.txt": 5}
    assert shown["tags"]["team"] == "a"


LONG = "Pipeline(steps=[('scale',\n                 StandardScaler()),\n" + "x" * 500 + ")"


def test_long_params_have_one_line_each(cli):
    """White space is one blank; ``--full`` and ``--json`` have the text as it is."""
    book("mine", params={"steps": LONG, "C": 1}, tags={"text": "a\n\nb"})
    output = cli("show", "mine").output
    line = f"  steps  Pipeline(steps=[('scale', StandardScaler()), {'x' * 500})"
    assert line in output.splitlines()
    assert "  text  a b" in output.splitlines()
    assert output.count("--full shows the texts whole") == 2
    full = cli("show", "mine", "--full").output
    assert "  steps  Pipeline(steps=[('scale',\n" in full
    assert "--full" not in full
    assert json.loads(cli("show", "mine", "--json").stdout)["params"]["steps"] == LONG


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_long_params_are_cut_at_the_edge_of_a_terminal():
    """One line each, with an ellipsis, however long the keys are."""
    book("mine", params={"steps": LONG, "k" * 200: "v" * 200, "wide": "語" * 100, "short": "s"})
    lines = [line.rstrip() for line in on_terminal(60, "show", "mine")]
    begin = lines.index("Params") + 1
    params = lines[begin : begin + 5]
    assert [line.split()[0].strip("k…") for line in params[:4]] == ["", "short", "steps", "wide"]
    assert all(cell_len(line) <= 60 for line in params)
    assert params[2].endswith("…")
    assert "--full" in params[4]


@pytest.mark.parametrize("left", [(), ("conda.yaml",)])
def test_show_tells_that_the_folder_of_a_model_is_gone(cli, autolog, binary, left):
    """No size and no line that loads it, for it cannot be loaded."""
    from sklearn.linear_model import LogisticRegression

    LogisticRegression(solver="liblinear").fit(*binary)
    skledger.flush()
    (model,) = get_store().search_logged_models(skledger.last_active_run().info.run_id)
    folder = Path(model.artifact_location)
    shutil.rmtree(folder)
    for name in left:
        folder.mkdir()
        (folder / name).touch()
    output = cli("show", "last").output
    said = f"{folder} has no MLmodel" if left else f"its folder {folder} is missing"
    assert f"  # model: {said}" in output
    assert "load_model" not in output
    (shown,) = json.loads(cli("show", "last", "--json").stdout)["models"]
    assert shown["bytes"] is None
    assert shown["load"] is None


def test_a_run_is_found_by_identifier_prefix_name_and_last(cli):
    """Any reference that fits one run will do; `last` leaves children out."""
    book("early")
    time.sleep(0.01)
    with skledger.start_run(run_name="parent") as run:
        time.sleep(0.01)
        book("child", nested=True)
    run_id = run.info.run_id
    for reference in (run_id, run_id[:12], run_id[:12].upper(), "parent", "last"):
        assert run_id in cli("show", reference).output.splitlines()[0]


def test_an_ambiguous_reference_lists_the_runs(cli):
    """When several runs fit, all are named and nothing is shown."""
    for ending in "ab":
        book_as("abc0" + ending * 28)
    assert "abc0" + "a" * 28 in cli("show", "abc0a").output
    for reference in ("abc", "twin"):
        message = cli("show", reference, code=1).stderr
        assert "abc0" + "a" * 28 in message
        assert "abc0" + "b" * 28 in message


def test_a_name_of_several_runs_is_told_from_the_beginning_of_an_identifier(cli):
    """A name cannot be continued: the identifiers are listed, with the parents."""
    for name in ("search-a", "search-b"):
        with skledger.start_run(run_name=name):
            book("SVC-0", nested=True)
    message = cli("show", "SVC-0", code=1).stderr
    assert "2 runs are named 'SVC-0'; give the identifier of one:" in message
    assert re.search(r"^  [0-9a-f]{32}  .*  of search-a$", message, re.MULTILINE)
    assert re.search(r"^  [0-9a-f]{32}  .*  of search-b$", message, re.MULTILINE)
    for ending in "ab":
        book_as("abc0" + ending * 28)
    message = cli("show", "abc", code=1).stderr
    assert "More than one run begins with 'abc'; give more of it:" in message


def test_where_very_many_runs_have_a_name_the_command_that_lists_them_is_told(cli):
    """It works as it is printed."""
    with skledger.start_run(run_name="search"):
        for _ in range(12):
            book("it's", nested=True)
    message = cli("show", "it's", code=1).stderr
    assert "More than 10 runs are named" in message
    command = re.search(r"all: (.*)$", message, re.MULTILINE)[1]
    arguments = shlex.split(command)[1:]
    assert len(cli(*arguments).stdout.splitlines()) == 13


@pytest.mark.parametrize("reference", ["nope", "f" * 32, "", "it's", "abc%", "_"])
def test_an_unknown_run(cli, reference):
    """One line, no traceback, exit code 1."""
    book("one")
    message = cli("show", reference, code=1).stderr
    assert message.startswith("Error: ")
    assert "there is no run" in message.lower()


def test_show_survives_artifacts_that_cannot_be_reached(cli):
    """A run whose files are elsewhere is shown without them."""
    now = now_ms()
    info = RunInfo("a" * 32, "0", "far", "me", "FINISHED", now, now, "active", "s3://bucket/x")
    get_store().write(RunChange(info.run_id, create=info, metrics=(Metric("m", 1.0, now),)))
    output = cli("show", "far").output
    assert "s3://bucket/x" in output
    assert re.search(r"^  m +1$", output, re.MULTILINE)


# -- plots ---------------------------------------------------------------------------------------


@pytest.fixture
def undrawn(autolog, binary):
    """Return two runs whose pictures have been taken away, with the names of the pictures."""
    from sklearn.linear_model import LogisticRegression

    found = []
    for C in (0.5, 1.0):
        LogisticRegression(solver="liblinear", C=C).fit(*binary)
        skledger.flush()
        run = skledger.last_active_run()
        folder = Path(run.info.artifact_uri)
        pictures = sorted([*folder.glob("*.png"), *folder.glob("*.html")])
        for path in pictures:
            path.unlink()
        found.append((run.info.run_id, pictures))
    assert all(pictures for _, pictures in found)
    return found


def test_plots_draws_what_a_run_misses(cli, undrawn):
    """A named run's pictures are drawn, and where they are is told; the other run's are not."""
    (one, pictures), (two, others) = undrawn
    assert pictures[0].name in cli("show", one).output
    output = cli("plots", one).output
    assert sorted(output.splitlines()[:-1]) == [str(each) for each in pictures]
    assert output.splitlines()[-1] == f"Drew {len(pictures)} pictures of 1 run"
    assert all(each.exists() for each in pictures)
    assert not any(each.exists() for each in others)
    assert cli("plots", one).output == "Nothing is missing\n"


def test_plots_missing_draws_everything(cli, undrawn):
    """``--missing`` goes over the whole store."""
    total = sum(len(pictures) for _, pictures in undrawn)
    assert cli("plots", "--missing").output == f"Drew {total} pictures of 2 runs\n"
    assert all(each.exists() for _, pictures in undrawn for each in pictures)


def test_plots_goes_on_after_a_run_that_cannot_be_drawn(cli, undrawn):
    """Damaged numbers cost one message and the exit code, not the other run's pictures."""
    (one, pictures), (_, others) = undrawn
    pictures[0].with_name("training_plots.json").write_text("{")
    result = cli("plots", "--missing", code=1)
    assert one in result.stderr
    assert "training_plots.json" in result.stderr
    assert all(each.exists() for each in others)


@pytest.mark.parametrize("name", ["X_plots.json", "measured/confusion_matrix_X.json"])
def test_damaged_numbers_of_what_was_measured_are_told(cli, autolog, binary, name):
    """As those of a fit are; `show` says so, and shows the rest."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import confusion_matrix

    X, y = binary
    confusion_matrix(y, LogisticRegression(solver="liblinear").fit(X, y).predict(X))
    skledger.flush()
    run = skledger.last_active_run()
    damaged = Path(run.info.artifact_uri, name)
    damaged.write_text("{")
    damaged.with_suffix(".png").unlink(missing_ok=True)
    result = cli("plots", "--missing", code=1)
    assert run.info.run_id in result.stderr
    assert name in result.stderr
    output = cli("show", "last").output
    assert name in output
    assert "training_score" in output


def test_files_of_the_users_are_no_numbers_of_pictures(cli):
    """Whatever is in a file with such a name: it is not ours where nothing was fitted."""
    with skledger.start_run():
        skledger.log_text("{", "my_plots.json")
        skledger.log_dict({"a": {"kind": "pie"}}, "other_plots.json")
    assert cli("plots", "last").output == "Nothing is missing\n"


def test_plots_needs_to_know_which(cli):
    """Without a run and without ``--missing`` it is a usage error."""
    book("one")
    assert "--missing" in cli("plots", code=2).stderr


def test_plots_stops_at_ctrl_c(cli, undrawn, monkeypatch):
    """What was drawn before Ctrl-C is told, and the code is a shell's own for it."""
    from skledger.ledger import drawing

    real, calls = drawing.draw_missing, []

    def second_is_interrupted(run):
        calls.append(run)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(run)

    monkeypatch.setattr(drawing, "draw_missing", second_is_interrupted)
    result = cli("plots", "--missing", code=130)
    assert "of 1 run; stopped" in result.output


# -- mistakes ------------------------------------------------------------------------------------


def test_a_bad_filter_points_at_the_place(cli):
    """The message has the filter with a caret; it comes even before there is a database."""
    message = cli("runs", "--filter", "metrics.a >> 1", code=1).stderr
    assert re.search(r"metrics\.a >> 1\n +\^", message)
    assert "order_by" in cli("runs", "--order-by", "nonsense", code=1).stderr


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("carrier-pigeon://loft", "carrier-pigeon"),
        ("sqlite:///garbage.db", "not a database"),
        ("sqlite:///folder", "folder"),
    ],
)
def test_a_store_that_cannot_be_opened(cli, uri, said):
    """One message in red, exit code 1, no traceback."""
    Path("garbage.db").write_text("This is no database. " * 100)
    Path("folder").mkdir()
    result = cli("runs", "--uri", uri, code=1)
    assert result.stderr.startswith("Error: ")
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_an_unreadable_database(cli):
    """A file that SQLite cannot read is named."""
    book("one")
    skledger.tracking.session.reset()
    Path("skledger.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    for leftover in Path().glob("skledger.db-*"):
        leftover.unlink()
    assert "skledger.db" in cli("runs", code=1).stderr


def test_usage_errors_have_the_code_2(cli):
    """Unknown commands and options."""
    cli("nope", code=2)
    cli("runs", "--nope", code=2)
    cli("runs", "-n", 0, code=2)


def test_the_uri_option_beats_the_environment(cli, monkeypatch):
    """``--uri`` on each command, as URI or as path."""
    skledger.set_tracking_uri("sqlite:///there.db")
    run_id = book("there")
    skledger.set_tracking_uri("")
    monkeypatch.setenv("SKLEDGER_TRACKING_URI", "sqlite:///nowhere.db")
    for uri in ("sqlite:///there.db", "there.db"):
        assert run_id[:8] in cli("runs", "--uri", uri).output
        assert run_id in cli("show", "last", "--uri", uri).output
        assert cli("plots", "--missing", "--uri", uri).output == "Nothing is missing\n"
    assert not Path("nowhere.db").exists()


def test_a_closed_pipe_is_no_error():
    """``skledger runs | head -1`` ends in silence."""
    for number in range(30):
        book(f"run-{number}", params={"p": "x" * 5000})
    command = f'"{sys.executable}" -m skledger runs --csv | head -c 10'
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


# -- demo ----------------------------------------------------------------------------------------


def test_demo():
    """It books in its own folder, even with a URI in the environment; again adds runs."""
    environment = {**os.environ, "SKLEDGER_TRACKING_URI": f"sqlite:///{Path.cwd() / 'mine.db'}"}
    done = in_process("demo", env=environment)
    assert done.returncode == 0, done.stderr
    assert "skledger.autolog()" in done.stdout
    assert "equal predictions: True" in done.stdout
    assert re.search(r"SVC-\w{4} +FAILED", done.stdout)
    assert "cd skledger-demo" in done.stdout
    assert [path.name for path in Path.cwd().iterdir()] == ["skledger-demo"]
    before = _count("skledger-demo/skledger.db")
    assert before >= 8
    again = subprocess.run(
        [sys.executable, "demo.py"], cwd="skledger-demo", capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    assert _count("skledger-demo/skledger.db") == 2 * before


def _programs(folder):
    """Make a ``skledger`` as pip does, which no PATH has; return it."""
    folder.mkdir(parents=True)
    python = folder / "python"
    python.symlink_to(sys.executable)
    program = folder / "skledger"
    program.write_text(f"#!{sys.executable}\nfrom skledger.cli import main\nmain()\n")
    program.chmod(0o755)
    return program


@pytest.mark.skipif(os.name == "nt", reason="programs have another ending")
@pytest.mark.parametrize(
    ("called", "place", "path", "said"),
    [
        (".venv/bin/skledger", ".venv/bin", "", "../.venv/bin/skledger"),
        ("{cwd}/.venv/bin/skledger", ".venv/bin", "", "../.venv/bin/skledger"),
        ("{cwd}/my env/skledger", "my env", "", '"../my env/skledger"'),
        (".venv/bin/skledger", ".venv/bin", "{cwd}/.venv/bin", "skledger"),
    ],
)
def test_what_to_do_next_names_the_command_as_it_was_called(
    tmp_path, called, place, path, said, monkeypatch
):
    """Without `skledger` on the PATH it is a path, right in the demonstration's folder."""
    _programs(tmp_path / place)
    monkeypatch.setenv("PATH", path.format(cwd=tmp_path) or "/usr/bin:/bin")
    called = called.format(cwd=tmp_path)
    monkeypatch.setattr(sys, "argv", [called])
    (tmp_path / "demo").mkdir()
    assert skledger_command(tmp_path / "demo") == said
    if path:
        return
    os.chdir(tmp_path / "demo")
    done = subprocess.run(f"{said} --version", shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("skledger "), done.stderr


def test_python_m_skledger_is_told_as_it_was_called(monkeypatch, tmp_path):
    """By its module it has the name of that Python, or its path."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    with click.Context(main, info_name="python -m skledger"):
        found = skledger_command(tmp_path / "demo")
    assert found == f"{Path('..', 'env', 'python')} -m skledger"


def test_demo_in_a_place_that_cannot_be_written(cli):
    """One message."""
    Path("file").touch()
    assert "--dir" in cli("demo", "--dir", "file/below", code=1).stderr


def _count(database):
    connection = sqlite3.connect(database)
    try:
        return connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    finally:
        connection.close()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_in_a_command_shows_no_traceback():
    """Ctrl-C ends any command without a traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "skledger", "demo"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Traceback" not in errors


def test_a_folder_of_runs_by_its_path(cli, tmp_path):
    """As good as its URI; one that is not there is said to be missing, and not made."""
    skledger.set_tracking_uri("./mlruns")
    with skledger.start_run(run_name="in a folder"):
        pass
    for uri in ("./mlruns", "mlruns/", str(tmp_path / "mlruns")):
        assert "in a folder" in cli("runs", "--uri", uri).output
    assert "There is no folder" in cli("runs", "--uri", "nothing", code=1).stderr
    assert "There is no folder" in cli("show", "last", "--uri", "nothing", code=1).stderr
    assert not (tmp_path / "nothing").exists()
