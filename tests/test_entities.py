"""What is booked, as values: how it prints, in a terminal and in a notebook."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import skledger
from skledger.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    LoggedModelOutput,
    Metric,
    PagedList,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
)

RUN_ID = "0123456789abcdef0123456789abcdef"


def make_run(name="quiet-otter", run_id=RUN_ID, status="FINISHED", **data):
    info = RunInfo(run_id, "1", name, "ada", status, 1_000_000, 1_002_500, "active", "/a/b")
    return Run(info, RunData(**data))


def make_experiment(name="iris", **fields):
    return Experiment("1", name, "/artifacts/1", **fields)


class Page(HTMLParser):
    """Collects tags, attributes and text; every tag must be closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.attributes, self.cells = [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data)


def test_a_run_in_a_line():
    """Name, state, identifiers, some metrics; the same inside lists and dictionaries."""
    run = make_run(metrics={"acc": 0.98765, "n": 3.0, "c": 1e-9, "d": 2.0}, params={"C": "1"})
    line = repr(run)
    assert "\n" not in line
    assert line == (
        f"<Run 'quiet-otter' FINISHED run_id='{RUN_ID}' experiment_id='1', "
        "acc=0.9877, n=3, c=1e-09, … 1 more, 1 params>"
    )
    assert repr([run]) == f"[{line}]"


def test_a_run_in_a_block():
    """print(run) aligns what it is and what it holds; what it lacks is left out."""
    run = Run(
        make_run(
            metrics={"acc": 0.5, "nan": float("nan"), "inf": float("inf")},
            params={f"p{number}": "v" * 100 for number in range(20)},
            tags={"team": "blue", "mlflow.user": "ada", "mlflow.note.content": "why\nso"},
        ).info,
        RunData({"acc": 0.5, "nan": float("nan"), "inf": float("inf")}, {"C": "1"}, {"t": "x"}),
        RunInputs([DatasetInput(Dataset("train", "d", "code", "{}"))]),
        RunOutputs([LoggedModelOutput("m-1")]),
    )
    lines = str(run).splitlines()
    assert lines[0] == "Run 'quiet-otter'"
    assert "acc=0.5, nan=nan, inf=inf" in str(run)
    labels = [line[:16].strip() for line in lines[1:]]
    assert all(line[16] == " " and line[17] != " " for line in lines[1:])
    assert labels[:4] == ["run_id", "experiment_id", "status", "started"]
    assert "took 2.5 s" in lines[4]
    assert any("train" in line for line in lines)
    assert any("m-1" in line for line in lines)
    assert "data sets" not in str(make_run())


def test_an_experiment_prints_its_name_and_tags():
    """In a line, and in a block with its note."""
    experiment = make_experiment(
        tags={"team": "blue", "mlflow.note.content": "All of it"}, creation_time=0
    )
    assert repr(experiment) == "<Experiment 'iris' experiment_id='1', team=blue>"
    block = str(experiment)
    assert block.splitlines()[0] == "Experiment 'iris'"
    assert "All of it" in block
    assert "/artifacts/1" in block
    deleted = make_experiment(lifecycle_stage="deleted")
    assert repr(deleted) == "<Experiment 'iris' experiment_id='1', deleted>"


def test_lists_print_as_tables():
    """One row each, aligned; what is not shown is counted; other lists print as they do."""
    runs = PagedList(
        (make_run(f"run{n}", f"{n:032}", metrics={"acc": n / 3}) for n in range(25)), "token"
    )
    lines = repr(runs).splitlines()
    assert lines[0].split() == ["name", "status", "started", "took", "acc", "run_id"]
    assert len({line.index("0" * 20) for line in lines[1:21]}) == 1
    assert lines[-1] == "… 5 more here, more on the next page"
    assert len(lines) == 22
    experiments = repr(PagedList([make_experiment(tags={"a": "b"})]))
    assert experiments.splitlines()[1].split() == ["1", "iris", "active", "a=b"]
    assert repr(PagedList([1, 2])) == "[1, 2]"
    assert repr(PagedList()) == "[]"
    assert PagedList([1, 2]) == [1, 2]


def test_a_search_prints_as_a_table():
    """What search_runs and search_experiments return."""
    for _ in range(2):
        with skledger.start_run():
            skledger.log_metric("acc", 0.5)
    runs = skledger.search_runs(output_format="list")
    assert len(repr(runs).splitlines()) == 3
    assert runs._repr_html_().count("<tr>") == 3
    assert "Default" in repr(skledger.search_experiments())


EVIL = "<script>alert('x')</script>&\x1b[31m\n\u2028\"'"


@pytest.mark.parametrize(
    "entity",
    [
        make_run(EVIL, metrics={EVIL: 1.0}, params={EVIL: EVIL}, tags={EVIL: EVIL}),
        make_experiment(EVIL, tags={EVIL: EVIL, "mlflow.note.content": EVIL}),
        PagedList([make_run(EVIL, metrics={EVIL: 1.0})]),
        PagedList([make_experiment(EVIL, tags={EVIL: EVIL})], "token"),
    ],
)
def test_html_is_escaped_and_needs_nothing(entity):
    """No scripts, nothing from elsewhere, every tag closed; no control characters in text."""
    html = entity._repr_html_()
    page = Page(html)
    assert set(page.tags) <= {"div", "b", "table", "tr", "td", "th", "details", "summary"}
    assert {name for name, _ in page.attributes} <= {"style", "open"}
    assert "http" not in html
    assert "url(" not in html
    assert any("<script>" in cell for cell in page.cells)
    for text in (html, repr(entity), str(entity)):
        assert "\x1b" not in text
        assert "\u2028" not in text
    assert "\n" not in repr(list(entity) if isinstance(entity, list) else entity)


def test_html_holds_all_of_a_run():
    """Its metrics and params as tables that fold, up to a limit."""
    run = make_run(
        metrics={f"m{n}": n / 7 for n in range(60)}, params={"C": "1.5"}, tags={"team": "blue"}
    )
    cells = Page(run._repr_html_()).cells
    assert "metrics (60)" in cells
    assert {"m0", "m49", "… 10 more", "C", "1.5", "team=blue", RUN_ID} <= set(cells)
    assert "m50" not in cells
    assert Page(make_run()._repr_html_()).tags.count("details") == 0
    assert PagedList([1])._repr_html_() is None


def test_times_that_a_store_may_hold_do_not_break_printing():
    """None, negative, and beyond the calendar."""
    for start, end in ((0, None), (-5, 10**17), (10**18, 10**18 + 1), (None, None)):
        info = RunInfo(RUN_ID, "1", "n", "u", "RUNNING", start, end, "deleted", "")
        run = Run(info, RunData())
        assert "deleted" in repr(run)
        assert RUN_ID in str(run)
        assert RUN_ID in run._repr_html_()
    assert make_experiment(creation_time=10**18)._repr_html_()


def test_entities_are_values():
    """Equal by their fields, copied, pickled, and read as dictionaries."""
    run = make_run(metrics={"a": 1.0})
    for other in (pickle.loads(pickle.dumps(run)), copy.deepcopy(run)):
        assert other == run
    assert run != make_run(metrics={"a": 2.0})
    assert dict(run)["data"] is run.data
    assert run.to_dictionary()["info"]["run_name"] == "quiet-otter"
    assert dict(make_experiment())["name"] == vars(make_experiment())["name"] == "iris"
    told = {name: value for name, value in Metric("m", 1.0, 2) if value is not None}
    assert told == {"key": "m", "value": 1.0, "timestamp": 2, "step": 0}
    with pytest.raises(AttributeError):
        run.info.status = "FAILED"
    active = skledger.start_run()
    assert pickle.loads(pickle.dumps(active)).info == active.info
    skledger.end_run()


def test_scores_are_shown_before_counts(autolog):
    """What a notebook shows of a fit is how good it is, not how many rows it had."""
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier

    DecisionTreeClassifier(max_depth=2).fit(*load_iris(return_X_y=True))
    runs = skledger.search_runs(output_format="list")
    for shown in (repr(runs), repr(runs[0]), runs._repr_html_()):
        assert "training_" in shown and "n_samples" not in shown


def test_metrics_tell_what_they_were_measured_on():
    """Equal by number and data set, wherever they are read; copied, pickled and shown with both."""
    metric = Metric("acc", 0.5, 3, 1, "m-1", "holdout", "d1", "r1")
    assert metric == Metric("acc", 0.5, 3, 1, dataset_name="holdout", dataset_digest="d1")
    assert metric != Metric("acc", 0.5, 3, 1)
    for other in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric), replace(metric)):
        assert (dict(other), hash(other)) == (dict(metric), hash(metric))
    assert repr(Metric("acc", 0.5, 3)) == "Metric(key='acc', value=0.5, timestamp=3, step=0)"
    assert "dataset_name='holdout', dataset_digest='d1'" in repr(metric)
    with pytest.raises(AttributeError):
        metric.value = 1.0
