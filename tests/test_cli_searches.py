"""The command line on runs with children: searches, cross-validations, thousands of candidates."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
import warnings
from pathlib import Path

import pytest
from _commands import book, invoke, on_terminal
from rich.cells import cell_len

import skledger
from skledger.cli import _ranking
from skledger.tracking.context import process_identity
from skledger.tracking.entities import Metric, RunChange, RunInfo, as_params, as_tags
from skledger.tracking.names import new_run_id, now_ms
from skledger.tracking.searches import candidate_count
from skledger.tracking.session import get_store

DOCS = (Path(__file__).parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.fixture
def quiet_autolog():
    """Autologging on, without a progress bar; what scikit-learn warns of is not of interest."""
    skledger.autolog(progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def grid(values, binary, **kwargs):
    """Search for a C, two folds each; return the run's identifier."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(LogisticRegression(solver="liblinear"), {"C": values}, cv=2, **kwargs)
    search.fit(*binary)
    return skledger.last_active_run().info.run_id


def section(output, title):
    """Return the lines of a section of a page, without their indentation."""
    _, found, rest = output.partition(f"\n{title}")
    assert found, output
    return [line.strip() for line in rest.partition("\n\n")[0].splitlines()[1:]]


def make(name, parent=None, *, tags=None, params=None, metrics=(), status="FINISHED", ago=0):
    """Return the creation of a run."""
    run_id, now = new_run_id(), now_ms() - ago
    if status == "RUNNING":
        tags = {"skledger.process": process_identity(), **(tags or {})}
    every = {"mlflow.runName": name, **({"mlflow.parentRunId": parent} if parent else {})}
    end = None if status == "RUNNING" else now
    place = str(Path.cwd() / "artifacts")
    return RunChange(
        run_id,
        create=RunInfo(run_id, "0", name, "me", status, now, end, "active", place),
        tags=as_tags({**every, **(tags or {})}),
        params=as_params(params or {}),
        metrics=tuple(Metric(key, value, now) for key, value in dict(metrics).items()),
    )


def candidate(parent, number, score=None, **kwargs):
    """Return the creation of a candidate."""
    tags = {"skledger.candidate": number, **kwargs.pop("tags", {})}
    metrics = {} if score is None else {"mean_test_score": score, "std_test_score": 0.01}
    kwargs = {"params": {"C": number}, "metrics": metrics, **kwargs}
    return make(f"SVC-{number}", parent, tags=tags, **kwargs)


def write(*changes):
    """Write runs; return their identifiers."""
    get_store().write(*changes)
    return [each.run_id for each in changes]


# -- runs ----------------------------------------------------------------------------------------


def test_a_search_is_one_line_that_counts_its_candidates():
    """How many there are, go on, and failed; nothing of it where no run has children."""
    book("alone")
    assert "children" not in invoke("runs").output
    (search,) = write(make("search", status="RUNNING"))
    write(candidate(search, 0, 0.5), candidate(search, 1, status="FAILED"))
    write(candidate(search, 2, status="RUNNING"))
    head, *lines = invoke("runs").output.splitlines()
    assert "children" in head.split()
    assert len(lines) == 2
    assert "3, 1 running, 1 failed" in "".join(lines)
    (row,) = (each for each in json.loads(invoke("runs", "--json").output) if each["children"])
    assert (row["run_name"], row["children"]) == ("search", 3)


def test_children_come_best_first():
    """Candidates by their score, those without one last; other children as they came."""
    (parent,) = write(make("search"))
    write(*(candidate(parent, n, score) for n, score in enumerate((0.5, None, 0.9, 0.7, 0.9))))
    lines = invoke("runs", "--children").output.splitlines()[2:]
    assert [line.split()[1] for line in lines] == ["SVC-2", "SVC-4", "SVC-3", "SVC-0", "SVC-1"]


def test_the_last_rung_of_a_halving_search_comes_first(monkeypatch):
    """However good the scores on little data were; also where the store sorts them."""
    (parent,) = write(make("search"))
    write(
        *(
            candidate(parent, n, score, params={"C": n, "iter": rung, "n_resources": 10 * rung})
            for n, (rung, score) in enumerate([(2, 0.9), (10, 0.1), (2, 0.8), (10, 0.2), (9, 0.5)])
        )
    )
    for many in (1000, 1):
        monkeypatch.setattr(_ranking, "_MANY", many)
        lines = invoke("runs", "--children", 4).output.splitlines()[2:]
        assert [line.split()[1] for line in lines[:4]] == ["SVC-3", "SVC-1", "SVC-4", "SVC-0"]
        assert "and 1 more" in lines[4]


def test_a_filter_lists_children_when_no_other_run_matches():
    """With the name of their parent; when others match, children are only counted."""
    (parent,) = write(make("search", params={"kernel": "rbf"}))
    book("other", params={"kernel": "rbf"})
    write(*(candidate(parent, n, n / 10, params={"kernel": "rbf", "C": n}) for n in range(5)))
    output = invoke("runs", "--filter", "params.C IN ('1', '3')").output
    assert re.search(r"SVC-3 +search ", output)
    assert len(output.splitlines()) == 3
    found = invoke("runs", "--filter", "params.kernel = 'rbf'")
    assert "SVC" not in found.stdout
    assert found.stderr == "Left out: 5 children; with --children they are listed, too.\n"
    whole = invoke("runs", "--filter", "params.kernel = 'rbf'", "--children")
    assert len(whole.stdout.splitlines()) == 8
    assert whole.stderr == ""
    cut = invoke("runs", "--filter", "params.kernel = 'rbf'", "-n", 1).stderr
    assert "Shown: 1 of 2 runs" in cut


def test_an_order_sorts_children_in_when_only_they_have_its_key():
    """Sorting by what the other runs have leaves children out, and says so."""
    (parent,) = write(make("search", metrics={"best_cv_score": 0.3}))
    book("other", metrics={"training_score": 0.5})
    write(*(candidate(parent, n, n / 10) for n in range(4)))
    found = invoke("runs", "--order-by", "metrics.training_score DESC")
    assert [line.split()[1] for line in found.stdout.splitlines()[1:]] == ["other", "search"]
    assert "Left out: 4 children" in found.stderr
    lines = invoke("runs", "--order-by", "metrics.mean_test_score DESC").stdout.splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["SVC-3", "SVC-2", "SVC-1"]
    assert "SVC" not in invoke("runs", "--order-by", "metrics.nope").stdout


def test_machines_get_children_unless_they_say_otherwise():
    """JSON and CSV hold every candidate; ``--children 0`` leaves them out."""
    (parent,) = write(make("search"))
    write(*(candidate(parent, n, n / 10) for n in range(12)))
    assert len(json.loads(invoke("runs", "--json").output)) == 13
    assert len(invoke("runs", "--csv").output.splitlines()) == 14
    assert len(json.loads(invoke("runs", "--json", "--children", 0).output)) == 1
    (row, best, _) = json.loads(invoke("runs", "--json", "--children", 2).output)
    assert row["children"] == 12
    assert best["run_name"] == "SVC-11"
    invoke("runs", "--children", "-1", code=2)
    invoke("runs", "--children", "some", code=2)


def test_a_parent_that_is_gone():
    """Its children are listed by the beginning of its identifier, or what stands for one."""
    write(candidate("a" * 32, 1, 0.5), candidate('it\'s "gone"', 2, 0.5))
    assert " it's \"go " in invoke("runs", "--filter", "params.C = '2'").output
    assert " aaaaaaaa " in invoke("runs", "--filter", "params.C = '1'").output
    assert "a" * 32 in invoke("show", "SVC-1").output


def test_ten_thousand_candidates_are_not_read_to_list_their_search(monkeypatch):
    """The page of the newest runs, and that of the search, stay quick."""
    (parent,) = write(make("search", params={"best_C": 1}))
    for start in range(0, 10_000, 500):
        write(*(candidate(parent, n, n / 20_000) for n in range(start, start + 500)))
    began = time.perf_counter()
    assert "10,000" in invoke("runs").output
    assert time.perf_counter() - began < 2  # it takes 0.05 s; reading them all, 3 s
    began = time.perf_counter()
    lines = section(invoke("show", parent).output, "Candidates, the best first: 10 of 10,000")
    assert [line.split()[1] for line in lines[1:4]] == ["9999", "9998", "9997"]
    assert time.perf_counter() - began < 2


# -- show: searches ------------------------------------------------------------------------------


def test_show_a_search(quiet_autolog, binary):
    """The best candidates with what was searched, mean and deviation, the time, the status."""
    run_id = grid([0.001 * 2**n for n in range(12)], binary)
    output = invoke("show", run_id).output
    head, *lines = section(output, "Candidates, the best first: 10 of 12")
    assert head.split() == ["run", "candidate", "C", "test_score", "fit", "time", "status"]
    assert len(lines) == 11
    scores = [float(line.split()[3]) for line in lines[:10]]
    assert scores == sorted(scores, reverse=True)
    assert all(re.search(r"0\.\d+ ± [\d.e-]+ +[\d.]+ ms +FINISHED$", line) for line in lines[:10])
    best = get_store().get_run(run_id).data.tags["skledger.best_run"]
    assert lines[0].startswith(best[:8])
    assert lines[10] == "--top N shows more of them, --all shows all"
    assert len(section(invoke("show", run_id, "--top", 3).output, "Candidates")) == 5
    assert len(section(invoke("show", run_id, "--all").output, "Candidates")) == 13
    invoke("show", run_id, "--all", "--top", 3, code=2)
    shown = json.loads(invoke("show", run_id, "--json", "--top", 2).output)
    assert shown["children"] == 12
    assert shown["children_by_status"] == {"FINISHED": 12}
    assert [each["run_id"][:8] for each in shown["candidates"]] == [
        line.split()[0] for line in lines[:2]
    ]


def test_show_a_candidate(quiet_autolog, binary):
    """Its parent by name, and the score of each fold."""
    run_id = grid([1.0, 2.0], binary)
    name = get_store().get_run(run_id).info.run_name
    best = get_store().get_run(run_id).data.tags["skledger.best_run"]
    output = invoke("show", best).output
    assert re.search(rf"^  parent +{name}  {run_id}$", output, re.MULTILINE)
    folds = section(output, "Folds")
    assert [line.split()[0] for line in folds] == ["fold", "0", "1", "mean", "std"]
    assert json.loads(invoke("show", best, "--json").output)["parent_run_name"] == name
    assert "Candidates" not in output


def test_candidates_that_failed_are_counted_by_their_error(quiet_autolog, binary):
    """Last in the table, with the type; their numbers below it."""
    run_id = grid([1.0, -1.0, -2.0], binary)
    lines = section(invoke("show", run_id).output, "Candidates, the best first: 3")
    assert [line.split()[1] for line in lines[1:4]] == ["0", "1", "2"]
    assert lines[2].endswith("FAILED InvalidParameterError")
    assert lines[4] == "2 failed: InvalidParameterError (2)"
    assert "3, 2 failed" in invoke("runs").output


def test_several_scorers_have_a_column_each(quiet_autolog, binary):
    """The one that decides comes first, and decides the order."""
    scoring = {"acc": "accuracy", "auc": "roc_auc"}
    run_id = grid([0.0001, 1.0], binary, scoring=scoring, refit="auc", return_train_score=True)
    head, *lines = section(invoke("show", run_id).output, "Candidates")
    assert re.search("test_auc +test_acc +train_auc +train_acc", head)
    first, second = (float(line.split()[3]) for line in lines)
    assert first > second


def test_several_searches_in_a_run_have_a_table_each(quiet_autolog, binary):
    """Headed by the search, with its own params, scorers and numbers."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    from sklearn.svm import SVC

    with skledger.start_run(run_name="mine") as run:
        model = LogisticRegression(solver="liblinear")
        GridSearchCV(model, {"C": [0.1, 1.0, -1.0]}, cv=2).fit(*binary)
        scoring = {"auc": "roc_auc", "acc": "accuracy"}
        RandomizedSearchCV(
            SVC(), {"gamma": [1e-4, 1e-3]}, n_iter=2, cv=2, scoring=scoring, refit="auc"
        ).fit(*binary)
    output = invoke("show", "mine").output
    head, *lines = section(output, "Candidates of GridSearchCV (fit 1), the best first: 3")
    assert head.split() == ["run", "candidate", "C", "test_score", "fit", "time", "status"]
    assert sorted(line.split()[1] for line in lines[:3]) == ["0", "1", "2"]
    assert lines[3] == "1 failed: InvalidParameterError (1)"
    head, *lines = section(output, "Candidates of RandomizedSearchCV (fit 2), the best first: 2")
    assert head.split()[:5] == ["run", "candidate", "gamma", "test_auc", "test_acc"]
    assert sorted(line.split()[1] for line in lines) == ["0", "1"]
    best = get_store().get_run(run.info.run_id).data.tags["skledger.best_run-2"]
    assert lines[0].startswith(best[:8])
    top = invoke("show", "mine", "--top", 1).output
    assert "(fit 1), the best first: 1 of 3" in top
    assert "(fit 2), the best first: 1 of 2" in top
    shown = json.loads(invoke("show", "mine", "--json").output)["candidates"]
    assert [each["tags"]["skledger.fit"] for each in shown] == ["1", "1", "1", "2", "2"]


def test_a_second_search_that_is_going_on_is_not_taken_for_the_first():
    """Its class and its params are not booked yet; the progress is its own."""
    tags = {"estimator_name": "GridSearchCV", "skledger.fits": "2"}
    given = {"param_grid": "{'C': [1, 2]}"}
    run = make("mine", tags=tags, params=given, metrics={"fit_seconds": 1}, status="RUNNING")
    (parent,) = write(run)
    write(*(candidate(parent, n, 0.9, tags={"skledger.fit": 1}) for n in range(2)))
    write(*(candidate(parent, n, 0.25, tags={"skledger.fit": 2}) for n in range(3)))
    output = invoke("show", parent).output
    assert "Candidates of GridSearchCV (fit 1), the best first: 2" in output
    assert "Candidates of fit 2, the best first: 3" in output
    assert "progress    3 candidates, best score 0.25" in output


def test_one_search_after_other_fits_of_a_run_has_the_plain_title(quiet_autolog, binary):
    """There is nothing to tell it from; what another fit was given is not among its params."""
    from sklearn.linear_model import LogisticRegression

    with skledger.start_run(run_name="mine"):
        LogisticRegression(solver="liblinear").fit(*binary)
        grid([1.0, 2.0], binary)
    head, *lines = section(invoke("show", "mine").output, "Candidates, the best first: 2")
    assert head.split()[:4] == ["run", "candidate", "C", "test_score"]
    assert len(lines) == 2


def test_the_documented_way_to_the_best_candidates_lists_candidates_only(quiet_autolog, binary):
    """Folds of a nested cross-validation and other cross-validations stay out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    model = LogisticRegression(solver="liblinear")
    cross_val_score(GridSearchCV(model, {"C": [0.001, 1.0]}, cv=2), *binary, cv=2)
    cross_val_score(model, *binary, cv=2)
    grid([0.001, 1.0, 2.0], binary)
    documented = re.findall(r"^skledger (runs .*skledger\.candidate.*)$", DOCS, re.MULTILINE)
    assert len(documented) == 1
    arguments = shlex.split(documented[0])
    head, *lines = invoke(*arguments).stdout.splitlines()
    assert head.split()[2] == "parent"
    assert len(lines) == 7
    assert all(line.split()[1].startswith("LogisticRegression-") for line in lines)
    assert not any("cross_val_score" in line.split()[2] for line in lines)
    scores = [float(line.split()[-1]) for line in lines]
    assert scores == sorted(scores, reverse=True)


def test_a_halving_search_shows_its_rungs(quiet_autolog, binary):
    """Two more columns, and the last rung first."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import HalvingGridSearchCV

    model = LogisticRegression(solver="liblinear")
    HalvingGridSearchCV(model, {"C": [0.1, 1, 10]}, cv=2, random_state=0).fit(*binary)
    head, *lines = section(invoke("show", "last").output, "Candidates")
    assert head.split()[:5] == ["run", "candidate", "C", "iter", "n_resources"]
    assert [line.split()[3] for line in lines] == ["1", "0", "0", "0"]


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("width", [60, 80, 140])
def test_candidates_fit_the_terminal(width):
    """The score stays, names of steps are left out where they must be, no line is too wide."""
    params = {"svc__C": 1.5, "columntransformer__num__imputer__strategy": "most_frequent"}
    given = {"param_grid": str({key: [value] for key, value in params.items()})}
    (parent,) = write(make("search", params=given))
    write(*(candidate(parent, n, 0.5, params={**params, "other": n}) for n in range(3)))
    lines = [line.rstrip() for line in on_terminal(width, "show", "search")]
    start = lines.index("Candidates, the best first: 3")
    table = lines[start + 1 : start + 5]
    assert all(cell_len(line) <= width for line in table)
    assert "0.5 ± 0.0" in table[1]
    assert "other" not in table[0]
    assert ("svc__C" in table[0]) == (width == 140)
    assert " C " in table[0].replace("svc__C", " C ")


# -- show: cross-validations ---------------------------------------------------------------------


def test_show_a_cross_validation(quiet_autolog, binary):
    """A line for each fold, a column for each scorer; the metrics do not say it again."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_validate

    model = LogisticRegression(solver="liblinear")
    found = cross_validate(model, *binary, cv=12, scoring=["accuracy", "f1"])
    output = invoke("show", "last").output
    head, *lines = section(output, "Folds")
    assert head.split() == ["fold", "test_accuracy", "test_f1"]
    assert [line.split()[0] for line in lines] == [*map(str, range(10)), "and", "mean", "std"]
    assert float(lines[3].split()[1]) == pytest.approx(found["test_accuracy"][3], abs=1e-4)
    assert float(lines[11].split()[2]) == pytest.approx(found["test_f1"].mean(), abs=1e-4)
    assert "test_f1" not in "".join(section(output, "Metrics"))
    whole = section(invoke("show", "last", "--all").output, "Folds")
    assert len(whole) == 15
    if os.name != "nt":
        assert sum("fold " in line for line in on_terminal(24, "show", "last")) == 2


def test_without_all_of_its_folds_a_cross_validation_has_no_mean():
    """Nor a deviation: a failed fold, or one that is running or was killed, is not made up for."""
    now = now_ms()
    for status in ("FINISHED", "RUNNING", "KILLED"):
        tags = {"skledger.function": "cross_validate"}
        run = make(f"cv-{status}", tags=tags, params={"cv": "3"}, status=status)
        write(run)
        scores = [Metric(key, 0.5, now, fold) for key in ("test_a", "test_b") for fold in (0, 2)]
        write(RunChange(run.run_id, metrics=tuple(scores)))
        lines = section(invoke("show", run.run_id).output, "Folds")
        assert [line.split()[0] for line in lines] == ["fold", "0", "2"]
        write(RunChange(run.run_id, metrics=(Metric("mean_test_b", 0.5, now),)))
        lines = section(invoke("show", run.run_id).output, "Folds")
        assert [line.split() for line in lines[2:]] == [["2", "0.5", "0.5"], ["mean", "0.5"]]


def test_a_cross_validation_with_a_failed_fold_has_no_empty_lines(quiet_autolog, binary):
    """What scikit-learn scores NaN leaves no mean."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_validate

    class FailsOnce(LogisticRegression):
        def fit(self, X, y):
            if not (X == binary[0][0]).all(axis=1).any():
                raise ValueError("not this one")
            return super().fit(X, y)

    cross_validate(FailsOnce(solver="liblinear"), *binary, cv=3)
    lines = section(invoke("show", "last").output, "Folds")
    assert [line.split()[0] for line in lines] == ["fold", "1", "2"]
    assert all(len(line.split()) == 2 for line in lines)


def test_show_curves(quiet_autolog, binary):
    """The points of a learning curve by rows, those of a validation curve by value."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import learning_curve, validation_curve

    model = LogisticRegression(solver="liblinear")
    learning_curve(model, *binary, cv=2, train_sizes=[100, 200], shuffle=True, random_state=0)
    head, first, second = section(invoke("show", "last").output, "Learning curve")
    assert head.split() == ["training", "rows", "train_score", "test_score"]
    assert (first.split()[0], second.split()[0]) == ("100", "200")
    assert first.count("±") == 2
    time.sleep(0.01)
    validation_curve(model, *binary, cv=2, param_name="C", param_range=[0.5, 2])
    head, first, second = section(invoke("show", "last").output, "Validation curve")
    assert (head.split()[0], first.split()[0], second.split()[0]) == ("C", "0.5", "2")


def test_a_nested_cross_validation_is_a_tree(quiet_autolog, binary):
    """Folds, the search of each, what it found, and how many candidates it had."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, cross_val_score

    search = GridSearchCV(LogisticRegression(solver="liblinear"), {"C": [0.5, 2.0]}, cv=2)
    cross_val_score(search, *binary, cv=3)
    lines = section(invoke("show", "last").output, "Children")
    assert [line.split()[0] for line in lines[::2]] == [f"GridSearchCV-fold-{n}" for n in range(3)]
    for line in lines[1::2]:
        assert re.match(
            r"└── GridSearchCV-\w{4}  \w{8}  best_cv_score 0\.9\d+  C=\d\.\d  2 cand", line
        )
    assert len(lines) == 6


def test_nested_runs_of_the_users_are_a_tree():
    """Each with its state when that is not FINISHED; ten of them unless told."""
    with skledger.start_run(run_name="mine"):
        for number in range(12):
            with skledger.start_run(run_name=f"part-{number}", nested=True):
                book("piece", nested=True, metrics={"training_score": 0.5})
    (row,) = (run for run in get_store().search_runs(["0"]) if run.info.run_name == "part-3")
    get_store().write(RunChange(row.info.run_id, status="FAILED"))
    lines = section(invoke("show", "mine").output, "Children")
    assert len(lines) == 21
    assert lines[0].startswith("part-0")
    assert "training_score 0.5" in lines[1]
    assert lines[6].endswith("FAILED")
    assert lines[20] == "and 2 more"
    assert len(section(invoke("show", "mine", "--all").output, "Children")) == 24


# -- show: what is still running -----------------------------------------------------------------


def test_show_tells_how_far_a_search_is():
    """Candidates done of how many, how many are running, the best score, the time to go."""
    params = {"param_grid": "{'C': array([1., 2., 3.]), 'kernel': ['a', 'b']}"}
    (parent,) = write(make("search", params=params, status="RUNNING", ago=60_000))
    assert re.search(r"progress +for 1 min", invoke("show", parent).output)
    write(candidate(parent, 0, 0.5), candidate(parent, 1, 0.75, status="FINISHED"))
    write(candidate(parent, 2, status="RUNNING"))
    output = invoke("show", parent).output
    told = r"progress +2 of 6 candidates, 1 running, best score 0\.75, for 1 min 0\d s, about 2 min"
    assert re.search(told, output)
    get_store().write(RunChange(parent, status="FINISHED", end_time=now_ms()))
    assert "progress" not in invoke("show", parent).output


def test_show_tells_how_far_a_cross_validation_is():
    """Folds done of how many."""
    tags = {"skledger.function": "cross_val_score"}
    run = make("cv", tags=tags, params={"cv": "5"}, status="RUNNING", ago=2000)
    write(run)
    scores = tuple(Metric("test_score", 0.5, now_ms(), fold) for fold in range(2))
    write(RunChange(run.run_id, metrics=scores))
    output = invoke("show", "cv").output
    assert re.search(r"progress +2 of 5 folds, for 2\.\d s, about 3 s to go", output)
    assert [line.split()[0] for line in section(output, "Folds")][1:3] == ["0", "1"]


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"param_grid": "{'C': [1, 2], 'kernel': ['a', 'b', 'c']}"}, 6),
        ({"param_grid": "[{'C': [1, 2]}, {'kernel': ['a'], 'C': (1, 2, 3)}]"}, 5),
        ({"param_grid": "{'C': array([1.e-03, 1.e+00]), 'svc': [SVC(C=1), None]}"}, 4),
        ({"param_distributions": "{'C': <scipy object at 0x1>}", "n_iter": "30"}, 30),
        ({"n_trials": "7"}, 7),
        ({"param_grid": "{'C': array([0., 1., ..., 9.])}"}, None),
        ({"param_grid": "{'C': [1, 2], 'kern..."}, None),
        ({"param_grid": "{'C': range(3)}"}, None),
        ({"param_grid": "{'C': [1]}", "factor": "3", "resource": "n_samples"}, None),
        ({}, None),
    ],
)
def test_the_number_of_candidates_is_read_from_the_params(params, count):
    """Without evaluating anything; None where the text does not tell."""
    assert candidate_count(params) == count
