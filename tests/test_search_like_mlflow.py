"""The same searches by MLflow, in a database and in memory: the same answers in the same order.

What is different on purpose, and why:

- MLflow reads a doubled quote inside of a text as two; here it is one, as in SQL.
- Infinity is found as infinity. MLflow stores the greatest float for it and compares with that.
- A run that has lost its tag ``mlflow.runName`` is found by its name; MLflow finds it no more.
- The status of a logged model is compared as text. MLflow compares its number with the text,
  which never fits.
- MLflow compares a NaN of a logged model as 0.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing

import _search_corpus as corpus
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from skledger.stores.opening import open_store
from skledger.tracking.entities import RunChange, ViewType
from skledger.tracking.filters import Comparison, format_filter, format_order_by

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
mlflow = pytest.importorskip("mlflow")
logging.getLogger("alembic").setLevel(logging.ERROR)

EXAMPLES = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
VIEWS = st.sampled_from([ViewType.ACTIVE_ONLY] * 3 + [ViewType.DELETED_ONLY, ViewType.ALL])


class Place:
    """One corpus in a database, which MLflow has open too, and in memory."""

    def __init__(self, folder):
        uri = f"sqlite:///{folder}/search.db"
        self.sql, self.memory = open_store(uri), open_store("memory:")
        tags = [{}, {"team": "abc"}, {"team": "ABC", "a b": ""}, {"team": "a_c"}]
        for number, name in enumerate(corpus.EXPERIMENTS):
            for store in (self.sql, self.memory):
                store.create_experiment(name, tags=tags[number % len(tags)])
        self.experiments = ["0", "1", "2"]
        changes = corpus.make_runs(self.experiments)
        self.run_ids = [change.run_id for change in changes]
        for store in (self.sql, self.memory):
            store.write(*changes)
            store.write(*corpus.make_models(changes))
        self.client = mlflow.MlflowClient(uri)
        self._write_by_mlflow()

    def _write_by_mlflow(self):
        """Let MLflow book some runs, and copy them to memory as they are read here."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        for number in range(6):
            run = self.client.create_run(
                self.experiments[number % 2], start_time=corpus.START + number % 3, run_name="fox"
            )
            run_id = run.info.run_id
            self.client.log_param(run_id, "C", corpus.TEXTS[number] or "x")
            for step in range(2):
                self.client.log_metric(run_id, "acc", corpus.NUMBERS[number] + step, 5, step)
            self.client.log_metric(run_id, "my metric", corpus.NUMBERS[-number - 1], 5)
            self.client.set_tag(run_id, "team", corpus.TEXTS[-number - 1])
            if number % 2:
                data = Dataset("iris", f"d{number}", "code", "{}")
                tags = [InputTag("mlflow.data.context", "eval")]
                self.client.log_inputs(run_id, [DatasetInput(data, tags)])
                self.client.set_terminated(run_id, "FAILED", corpus.START + 6)
            self.run_ids.append(run_id)
            self._copy(self.sql.get_run(run_id))

    def _copy(self, run):
        self.memory.write(
            RunChange(
                run.info.run_id,
                create=run.info,
                end_time=run.info.end_time,
                params=corpus.as_params(run.data.params),
                metrics=tuple(corpus.Metric(*each, 5) for each in run.data.metrics.items()),
                tags=corpus.as_tags(run.data.tags),
                inputs=tuple(run.inputs.dataset_inputs),
            )
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("search"))


def ids(runs):
    return [run.info.run_id for run in runs]


def test_runs_are_found_as_mlflow_finds_them(place):
    """Any filter and order of MLflow's grammar gives its answer, in a database and in memory."""
    found = set()

    @EXAMPLES
    @given(
        st.lists(corpus.run_conditions(place.run_ids), max_size=3),
        corpus.RUN_ORDERS,
        VIEWS,
        st.sampled_from([["0"], ["1", "0"], ["0", "1", "2"]]),
    )
    def compare(conditions, orderings, view, experiments):
        text, order = format_filter(conditions), format_order_by(orderings)
        wanted = ids(place.client.search_runs(experiments, text, view, 1000, order))
        assert ids(place.sql.search_runs(experiments, text, view, 1000, order)) == wanted
        assert ids(place.memory.search_runs(experiments, text, view, 1000, order)) == wanted
        found.add((len(conditions), min(len(wanted), 2)))

    compare()
    assert len(found) > 8, f"the searches are not varied enough: {sorted(found)}"


def test_pages_of_runs_are_those_of_mlflow(place):
    """Page by page, with ties in the order, nothing is left out, doubled or moved."""
    order = ["metrics.acc DESC", "params.C"]
    whole = ids(place.client.search_runs(place.experiments, "", ViewType.ALL, 1000, order))
    for store in (place.client, place.sql, place.memory):
        token, pages = None, []
        while token or not pages:
            page = store.search_runs(place.experiments, "", ViewType.ALL, 7, order, token)
            pages.append(ids(page))
            token = page.token
        assert sum(pages, []) == whole
        assert {len(page) for page in pages[:-1]} == {7}


def test_what_only_we_search_is_the_same_in_memory(place):
    """What MLflow's grammar lacks has one answer in every store."""

    @EXAMPLES
    @given(st.lists(corpus.more_run_conditions(), min_size=1, max_size=2), corpus.RUN_ORDERS)
    def compare(conditions, orderings):
        text, order = format_filter(conditions), format_order_by(orderings)
        wanted = ids(place.sql.search_runs(place.experiments, text, order_by=order))
        assert ids(place.memory.search_runs(place.experiments, text, order_by=order)) == wanted

    compare()


def test_experiments_are_found_as_mlflow_finds_them(place):
    """Filters and orders of experiments give MLflow's answers; those in memory are as old."""
    moment = int(place.sql.get_experiment("1").creation_time) - corpus.START

    @EXAMPLES
    @given(
        st.lists(corpus.experiment_conditions(), max_size=2),
        corpus.EXPERIMENT_ORDERS,
        st.integers(1, 3) | st.just(100),
    )
    def compare(conditions, orderings, most):
        conditions = [
            Comparison(each.kind, each.key, each.operator, each.value + moment)
            if isinstance(each.value, int)
            else each
            for each in conditions
        ]
        text = format_filter(conditions, "experiment")
        order = format_order_by(orderings, "experiment")
        theirs = place.client.search_experiments(ViewType.ALL, most, text, order)
        wanted = [each.experiment_id for each in theirs]
        ours = place.sql.search_experiments(ViewType.ALL, most, text, order)
        assert [each.experiment_id for each in ours] == wanted
        assume(not any("time" in each.key for each in (*conditions, *orderings)))
        if orderings:
            there = place.memory.search_experiments(ViewType.ALL, most, text, order)
            assert [each.experiment_id for each in there] == wanted

    compare()


def test_models_are_found_as_mlflow_finds_them(place):
    """Filters and orders of logged models give MLflow's answers."""

    @EXAMPLES
    @given(
        st.lists(corpus.model_conditions(place.run_ids), max_size=2),
        corpus.MODEL_ORDERS,
        st.sampled_from([["0"], ["0", "1", "2"]]),
        st.integers(1, 3) | st.just(100),
    )
    def compare(conditions, orderings, experiments, most):
        text = format_filter(conditions, "logged_model")
        # MLflow takes a key as it is, without quotes.
        order = [
            {
                "field_name": f"metrics.{each.key}" if each.kind == "metric" else each.key,
                "ascending": each.ascending,
            }
            for each in orderings
        ]
        theirs = place.client.search_logged_models(experiments, text, None, most, order)
        wanted = [each.model_id for each in theirs]
        clauses = format_order_by(orderings, "logged_model")
        for store in (place.sql, place.memory):
            ours = store.search_models(experiments, text, most, clauses)
            assert [each.model_id for each in ours] == wanted

    compare()


def test_metrics_of_models_count_on_the_data_set_that_is_asked_for(place):
    """With data sets, a model's metrics on others do not count; MLflow's answers again."""
    client = place.client
    run = client.create_run("2")
    for number, (name, digest) in enumerate(corpus.DATASETS):
        model = client.create_logged_model("2", "measured", run.info.run_id)
        for step in range(2):
            client.log_metric(
                run.info.run_id,
                "acc",
                [0.1, 0.9, 0.5, 0.7][(number + step) % 4],
                step=step,
                dataset_name=name,
                dataset_digest=digest,
                model_id=model.model_id,
            )
    for text in ("", "metrics.acc > 0.4", "name = 'measured'"):
        for asked in ([], corpus.DATASETS[:1], corpus.DATASETS[:3], [("iris", "")]):
            datasets = [
                {"dataset_name": name, **({"dataset_digest": digest} if digest else {})}
                for name, digest in asked
            ]
            order = [{"field_name": "metrics.acc", "ascending": False, "dataset_name": "iris"}]
            theirs = client.search_logged_models(["2"], text, datasets or None, 100, order)
            ours = place.sql.search_models(["2"], text, 100, order, datasets=asked)
            assert [each.model_id for each in ours] == [each.model_id for each in theirs]


def test_statuses_of_models_are_words(place):
    """Where MLflow compares a number with a text, the word counts here."""
    for store in (place.sql, place.memory):
        ready = store.search_models(place.experiments, "status = 'READY' and name ILIKE '%model'")
        assert {each.status for each in ready} == {"READY"}
        others = store.search_models(place.experiments, "status NOT IN ('READY') AND name != ''")
        assert {each.status for each in others} == {"PENDING", "FAILED"}


def test_a_run_without_its_name_tag_is_found_by_its_name(place):
    """The name that is shown is the one that is searched."""
    for store in (place.sql, place.memory):
        run_id = ids(store.search_runs(place.experiments, "run_name = 'fox'", max_results=1))[0]
        tag = store.get_run(run_id).data.tags["mlflow.runName"]
        store.write(RunChange(run_id, deleted_tags=("mlflow.runName",)))
        assert run_id in ids(store.search_runs(place.experiments, "run_name = 'fox'"))
        store.write(RunChange(run_id, tags=corpus.as_tags({"mlflow.runName": tag})))


def plan(database, query, *values):
    """Return how SQLite goes about a query."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
    return " / ".join(row[3] for row in rows)


def test_indexes_of_ours_stay_and_serve(place):
    """MLflow has migrated the database; what makes searches quick is still there."""
    statements = []
    path = place.sql.uri.removeprefix("sqlite:///")

    def listen(_connection, _cursor, statement, values, _context, _many):
        if statement.startswith("SELECT runs.run_uuid \n"):
            statements.append((statement, values))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        place.sql.search_runs(["0"], max_results=5)
        place.sql.search_runs(["0"], f"tags.mlflow.parentRunId = '{corpus.PARENTS[0]}'")
        place.sql.search_runs(["0"], f"run_id IN ('{place.run_ids[0]}', '{place.run_ids[1]}')")
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    newest, children, named = (plan(path, query, *values) for query, values in statements)
    assert "skledger_runs_by_start" in newest
    assert "ORDER BY" not in newest
    assert "skledger_tags_by_parent" in children
    for each in (children, named):
        assert "SEARCH runs USING INDEX sqlite_autoindex_runs_1" in each
