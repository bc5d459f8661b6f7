"""PostgreSQL and MySQL: many processes, MLflow in turns, servers that are away or come back."""

from __future__ import annotations

import logging
import math
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid

import pytest
from test_sqlite_mlflow_interop import NUMBERS, check_ours, write_run

import skledger
from skledger.errors import (
    AlreadyExistsError,
    InvalidParameterError,
    NotFoundError,
    StoreError,
)
from skledger.stores import sql_server
from skledger.stores.opening import open_store
from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    Metric,
    RunChange,
    RunInfo,
    as_params,
    as_tags,
)

mlflow = pytest.importorskip("mlflow")
logging.getLogger("alembic").setLevel(logging.ERROR)

BOTH = pytest.mark.parametrize("server", ["postgres", "mysql"], indirect=True)


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def log(caplog, swallowed):
    """The lines skledger logs; errors it swallows are expected here."""
    caplog.set_level(logging.INFO, "skledger")
    yield lambda: [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    skledger.flush()
    swallowed.clear()


def name_of(uri):
    return uri.rpartition("/")[2]


def for_mlflow(uri):
    """MLflow, through SQLAlchemy, knows drivers of its own unless one is named."""
    return uri.replace("postgresql:", "postgresql+psycopg:")


def info(run_id, **changes):
    fields = {
        "experiment_id": "0",
        "run_name": "a run",
        "user_id": "me",
        "status": "RUNNING",
        "start_time": 1,
        "end_time": None,
        "lifecycle_stage": "active",
        "artifact_uri": "/x",
    }
    return RunInfo(run_id, **(fields | changes))


def create(store, run_id=None, **content):
    run_id = run_id or uuid.uuid4().hex
    store.write(RunChange(run_id, create=info(run_id), **content))
    return run_id


def together(code, crowd, *arguments):
    """Run code in several processes, which begin at the same moment."""
    program = "import sys\nsys.stdin.readline()\n" + textwrap.dedent(code)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, *map(str, (*arguments, who))],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        for who in range(crowd)
    ]
    time.sleep(0.5)
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.close()
        process.stdin = None
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors.decode()
        assert b"could not book" not in errors, errors.decode()


# Many at once


@BOTH
def test_eight_processes_open_an_empty_database(server):
    """Those that open a new database at once all find one schema, and no run is lost."""
    uri = server.new_database()
    code = """
    import uuid
    from skledger.stores.opening import open_store
    from skledger.tracking.entities import RunChange, RunInfo, as_params
    store = open_store(sys.argv[1])
    for number in range(5):
        run_id = uuid.uuid4().hex
        made = RunInfo(run_id, "0", f"{sys.argv[2]}-{number}", "me", "FINISHED", 1, 2, "active", "/x")
        store.write(RunChange(run_id, create=made, params=as_params({"a": number})))
    assert store.experiment_for_runs("of all").experiment_id
    """
    together(code, 8, uri)
    store = open_store(uri)
    assert {run.info.run_name for run in store.search_runs(["0"])} == {
        f"{who}-{number}" for who in range(8) for number in range(5)
    }
    assert sorted(each.name for each in store.search_experiments()) == ["Default", "of all"]
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize(("server", "crowd", "fits"), [("postgres", 8, 50), ("mysql", 4, 5)], indirect=["server"])  # fmt: skip
def test_fits_of_many_processes(server, crowd, fits, tmp_path):
    """Processes that fit at once lose none of their runs."""
    uri = server.new_database()
    code = """
    import skledger
    from sklearn.datasets import load_iris
    from sklearn.tree import DecisionTreeClassifier
    skledger.set_tracking_uri(sys.argv[1])
    skledger.autolog(log_post_training_metrics=False)
    X, y = load_iris(return_X_y=True)
    for number in range(int(sys.argv[2])):
        DecisionTreeClassifier(random_state=number).fit(X, y)
    """
    together(code, crowd, uri, fits)
    skledger.set_tracking_uri(uri)
    runs = skledger.search_runs(output_format="list")
    assert len(runs) == crowd * fits
    for run in runs:
        assert run.info.status == "FINISHED"
        assert len(run.outputs.model_outputs) == 1
    seen = sorted(run.data.params["random_state"] for run in runs)
    assert seen == sorted(str(number) for number in range(fits) for _ in range(crowd))
    model = skledger.sklearn.load_model(f"runs:/{runs[0].info.run_id}/model")
    assert model.predict([[5.1, 3.5, 1.4, 0.2]]).tolist() == [0]


@BOTH
def test_writers_of_one_data_set(server):
    """Threads that book the same new data sets at the same moment all succeed, with one of each."""
    store = open_store(server.new_database())
    start, failures, made = threading.Barrier(8), [], []

    def work():
        try:
            for number in range(6):
                item = DatasetInput(Dataset("data", f"d{number}", "code", "{}"))
                start.wait(60)
                made.append(create(store, inputs=(item,)))
        except BaseException as error:
            failures.append(error)
            start.abort()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(len(store.get_run(run_id).inputs.dataset_inputs) == 1 for run_id in made)
    name = name_of(store.uri)
    assert int(server.execute("SELECT COUNT(*) FROM datasets", name)[0][0]) == 6
    store.close()


@BOTH
def test_writers_of_one_run(server):
    """Processes that write to the same run and the same metric keep all of its history."""
    store = open_store(server.new_database())
    run_id = create(store)
    code = """
    from skledger.stores.opening import open_store
    from skledger.tracking.entities import Metric, RunChange, as_params, as_tags
    store, who = open_store(sys.argv[1]), int(sys.argv[3])
    for step in range(10):
        metrics = (Metric("m", who, 1, step), Metric(f"of {who}", step, 1, step))
        store.write(RunChange(
            sys.argv[2], metrics=metrics, tags=as_tags({"last": who}), params=as_params({"same": 1})
        ))
    """
    together(code, 4, server.uri(name_of(store.uri)), run_id)
    history = [(each.step, each.value) for each in store.get_metric_history(run_id, "m")]
    assert history == [(step, float(who)) for step in range(10) for who in range(4)]
    data = store.get_run(run_id).data
    assert data.metrics == {"m": 3.0} | {f"of {who}": 9.0 for who in range(4)}
    assert data.params == {"same": "1"}
    assert data.tags["last"] in ("0", "1", "2", "3")
    store.close()


@BOTH
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_gets_connections_of_its_own(server):
    """Parent and children write on after a fork, while other threads of the parent write too."""
    store = open_store(server.new_database())
    create(store)
    stop, failures = threading.Event(), []

    def work():
        try:
            while not stop.is_set():
                create(store)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(4):
            child = os.fork()
            if not child:
                code = 1
                try:
                    for _ in range(3):
                        store.get_run(create(store))
                    code = 0
                finally:
                    os._exit(code)
            create(store)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert len(store.search_runs(["0"])) >= 1 + 4 * 4
    store.close()


# MLflow


@BOTH
def test_mlflow_and_skledger_in_turns(server):
    """MLflow migrates and reads our database, writes to it, and we go on, with nothing lost."""
    uri = server.new_database()
    store = open_store(uri)
    run_id, model = write_run(store)
    ours = store.get_run(run_id)
    client = mlflow.MlflowClient(for_mlflow(uri))
    check_ours(client, run_id, model)
    theirs = client.create_run("0", run_name="theirs", tags={"k": "v"}).info.run_id
    for key, value in NUMBERS.items():
        client.log_metric(theirs, key, value, step=2)
    client.log_param(theirs, "C", "2")
    client.log_metric(run_id, "acc", 0.75, step=9)
    experiment_id = client.create_experiment("of mlflow")
    for each in (store, open_store(uri)):
        run = each.get_run(theirs)
        assert run.data.params["C"] == "2"
        assert run.data.tags["mlflow.runName"] == "theirs"
        assert {key: repr(value) for key, value in run.data.metrics.items()} == {
            key: repr(value) for key, value in NUMBERS.items()
        }
        assert each.get_run(run_id).data.metrics["acc"] == 0.75
        assert each.get_run(run_id).inputs == ours.inputs
        assert repr(each.search_logged_models(run_id)) == repr([model])
        again, _ = write_run(each, "again", experiment_id)
        assert client.get_run(again).data.params == ours.data.params
        each.write(RunChange(theirs, tags=as_tags({"k": "w"}), params=as_params({"D": 3})))
        assert client.get_run(theirs).data.tags["k"] == "w"
        each.close()
    made = store.create_experiment("of skledger")
    store.update_experiment(made, name="renamed", tags={"a": "b"})
    assert client.get_experiment_by_name("renamed").tags["a"] == "b"
    store.update_experiment(experiment_id, lifecycle_stage="deleted")
    assert client.get_experiment(experiment_id).lifecycle_stage == "deleted"
    client.restore_experiment(experiment_id)
    assert len(store.search_runs([experiment_id])) == 2
    client.delete_experiment(experiment_id)
    assert store.search_runs([experiment_id]) == []
    store.update_experiment(experiment_id, lifecycle_stage="active")
    assert len(client.search_runs([experiment_id])) == 2
    store.close()


@BOTH
def test_a_database_that_mlflow_made(server):
    """A database of MLflow's own revision opens, reads and takes runs that MLflow reads."""
    uri = server.new_database()
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", for_mlflow(uri)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(for_mlflow(uri))
    theirs = client.create_run("0", run_name="theirs").info.run_id
    client.log_metric(theirs, "acc", 0.5)
    store = open_store(uri)
    assert store.get_run(theirs).data.metrics == {"acc": 0.5}
    assert store.create_experiment("ours") == "1"
    if "mysql" in uri:
        # A database as it comes is no place for every letter.
        with pytest.raises(InvalidParameterError, match="CHARACTER SET utf8mb4"):
            create(store, tags=as_tags({"note": "🎉"}))
        create(store, tags=as_tags({"note": "größer"}))
    else:
        run_id, model = write_run(store)
        check_ours(client, run_id, model)
        client.delete_run(run_id)
        assert store.get_run(run_id).info.lifecycle_stage == "deleted"
    store.close()


FILTERS = [
    "tags.k LIKE 'A%'",
    "tags.k LIKE 'a%'",
    "tags.k ILIKE 'a%'",
    "tags.k NOT LIKE 'A%'",
    "tags.k LIKE '_b%'",
    "tags.k = 'ab'",
    "tags.k != 'ab'",
    "tags.k = 'ab '",
    r"tags.k LIKE 'a\%b'",
    "tags.k LIKE '%[ab]'",
    "params.p = 'X'",
    "params.p ILIKE 'x'",
    "run_name LIKE 'R%'",
    "run_name ILIKE 'r%'",
    "run_name = 'R1'",
    "metrics.m > 0.5",
    "metrics.m != 0.5",
    "metrics.m <= 1",
    "status = 'RUNNING' and start_time > 2",
    "tags.k IS NULL",
    "params.p IS NOT NULL",
    "dataset.name LIKE 'D%'",
    "dataset.digest = 'd1'",
]
ORDERS = [["metrics.m"], ["metrics.m DESC"], ["params.p", "start_time"], ["start_time ASC"]]


@BOTH
def test_searches_have_the_same_answers(server):
    """Filters and orders find the same runs as MLflow's on this kind of database."""
    uri = server.new_database()
    store = open_store(uri)
    texts = ["ab", "AB", "Ab c", "aXb", "a%b", "x[ab]", None]
    numbers = [0.5, math.nan, math.inf, -math.inf, 0.9, 1.0, None]
    for count, (text, number) in enumerate(zip(texts, numbers, strict=True)):
        run_id, name = uuid.uuid4().hex, f"{'rR'[count % 2]}{count}"
        tags = {"mlflow.runName": name} | ({} if text is None else {"k": text})
        dataset = DatasetInput(Dataset(f"{'dD'[count % 2]}ata", f"d{count}", "code", "{}"))
        store.write(
            RunChange(
                run_id,
                create=info(run_id, run_name=name, start_time=count),
                tags=as_tags(tags),
                params=as_params({} if text is None else {"p": "xX"[count % 2]}),
                metrics=() if number is None else (Metric("m", number, 1),),
                inputs=(dataset,),
            )
        )
    client = mlflow.MlflowClient(for_mlflow(uri))
    for text in FILTERS:
        try:
            theirs = [run.info.run_name for run in client.search_runs(["0"], text)]
        except mlflow.MlflowException as error:
            assert "NOT LIKE" in text, error
            continue
        assert [run.info.run_name for run in store.search_runs(["0"], text)] == theirs, text
    for order in ORDERS:
        theirs = [run.info.run_name for run in client.search_runs(["0"], order_by=order)]
        ours = [run.info.run_name for run in store.search_runs(["0"], order_by=order)]
        assert ours == theirs, order
    store.close()


@BOTH
def test_a_new_database_is_exactly_mlflows(server):
    """Tables, columns, keys and indexes of a new database are those of MLflow's revision."""
    made, theirs = server.new_database(), server.new_database()
    open_store(made).close()
    program = """
import sys
from alembic import command
from sqlalchemy import create_engine
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
Base.metadata.create_all(create_engine(sys.argv[1]))
command.upgrade(_get_alembic_config(sys.argv[1]), "bda7b8c39065")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, for_mlflow(theirs)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert describe(made) == describe(theirs)


def describe(uri):
    """Return what the database knows of each table."""
    from sqlalchemy import create_engine, inspect

    engine = create_engine(for_mlflow(uri))
    inspector, found = inspect(engine), {}
    for table in inspector.get_table_names():
        links = inspector.get_foreign_keys(table)
        found[table] = (
            [
                (each["name"], str(each["type"]).partition(" COLLATE")[0], each["nullable"])
                + (each.get("default"),)
                for each in inspector.get_columns(table)
            ],
            inspector.get_pk_constraint(table)["constrained_columns"],
            sorted(
                (str(link["name"]), link["referred_table"], str(link["options"])) for link in links
            ),
            sorted(
                (index["name"], tuple(index["column_names"]), bool(index["unique"]))
                for index in inspector.get_indexes(table)
                # Ours stand beside those of MLflow; one of them serves MySQL as a link's, too.
                if not index["name"].startswith("skledger_")
                and (table, index["name"]) != ("runs", "experiment_id")
            ),
        )
    engine.dispose()
    return found


# Servers that are away


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


SCHEMES = pytest.mark.parametrize("scheme", ["postgresql", "mysql+pymysql"])


@SCHEMES
def test_a_server_that_is_not_there(scheme, binary, log):
    """A fit goes on with one line; the API says at once what is wrong, without the password."""
    from sklearn.linear_model import LogisticRegression

    uri = f"{scheme}://me:secret@127.0.0.1:{free_port()}/runs"
    skledger.set_tracking_uri(uri)
    started = time.monotonic()
    with pytest.raises(StoreError, match="Connection refused.*start the server") as it:
        skledger.search_runs()
    skledger.autolog()
    model = LogisticRegression(max_iter=5000)
    assert model.fit(*binary) is model
    assert time.monotonic() - started < 5
    (line,) = log()
    assert "Connection refused" in line
    assert "secret" not in line + str(it.value)
    assert "me:***@127.0.0.1" in str(it.value)


@SCHEMES
def test_a_server_that_does_not_answer(scheme, binary, log, monkeypatch):
    """The first fit waits for seconds, and those that follow not at all, until it is back."""
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setattr(sql_server, "_away", {})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        uri = f"{scheme}://me:secret@127.0.0.1:{silent.getsockname()[1]}/runs"
        started = time.monotonic()
        with pytest.raises(StoreError, match="time"):
            open_store(uri)
        first = time.monotonic() - started
        assert 1 < first < 8
        skledger.set_tracking_uri(uri)
        skledger.autolog()
        started = time.monotonic()
        for _ in range(5):
            LogisticRegression(max_iter=5000).fit(*binary)
        with pytest.raises(StoreError, match="not answered in time.*half a minute"):
            skledger.search_runs()
        assert time.monotonic() - started < 3
    assert "secret" not in "".join(log())
    sql_server._away.clear()
    with pytest.raises(StoreError, match="refused"):
        open_store(uri)


@BOTH
def test_a_server_that_restarts(server):
    """What was open goes on when the server is back; in between each call is a clear error."""
    store = open_store(server.new_database())
    run_id = create(store)
    server.stop()
    try:
        for call in (lambda: store.get_run(run_id), lambda: create(store)):
            started = time.monotonic()
            with pytest.raises(StoreError, match="refused"):
                call()
            assert time.monotonic() - started < 5
    finally:
        server.start()
    create(store)
    assert len(store.search_runs(["0"])) == 2
    # Without a call in between.
    server.stop()
    server.start()
    create(store)
    assert len(store.search_runs(["0"])) == 3
    store.close()


@BOTH
def test_a_row_that_others_hold(server, monkeypatch):
    """A write waits for another program's lock, but not for ever."""
    monkeypatch.setattr("skledger.stores.postgresql.LOCK_TIMEOUT", 1)
    monkeypatch.setattr("skledger.stores.mysql.LOCK_TIMEOUT", 1)
    store = open_store(server.new_database())
    run_id = create(store)
    with server.connect(name_of(store.uri)) as other:
        cursor = other.cursor()
        cursor.execute("BEGIN")
        cursor.execute("UPDATE runs SET name = 'held'")
        started = time.monotonic()
        with pytest.raises(StoreError, match="(?i)lock.*timeout.*try again"):
            store.write(RunChange(run_id, status="FINISHED"))
        assert 0.5 < time.monotonic() - started < 4
        cursor.execute("ROLLBACK")
    store.write(RunChange(run_id, status="FINISHED"))
    assert store.get_run(run_id).info.status == "FINISHED"
    store.close()


# What is refused


@BOTH
def test_an_unknown_database(server):
    """A database that is not there is an error that says how to make one."""
    with pytest.raises(StoreError, match="(?i)nowhere.*CREATE DATABASE"):
        open_store(server.uri("nowhere"))


@BOTH
def test_tables_of_others(server):
    """Other tables may stand beside ours, but not under the same names."""
    uri = server.new_database()
    server.execute("CREATE TABLE orders (id INTEGER)", name_of(uri))
    open_store(uri).close()
    other = server.new_database()
    server.execute("CREATE TABLE runs (id INTEGER)", name_of(other))
    with pytest.raises(StoreError, match="no revision"):
        open_store(other)


@BOTH
def test_what_is_too_long_for_the_tables(server):
    """Where the tables have a limit that files have not, the error says so, and nothing is cut."""
    store = open_store(server.new_database())
    run_id = uuid.uuid4().hex
    with pytest.raises(InvalidParameterError, match="too long.*artifact location"):
        store.write(RunChange(run_id, create=info(run_id, artifact_uri="/" + "x" * 250)))
    with pytest.raises(NotFoundError):
        store.get_run(run_id)
    store.close()


@BOTH
def test_artifacts_go_to_a_folder(server, tmp_path, monkeypatch):
    """By default artifacts go to `mlartifacts` in the current folder, for good."""
    monkeypatch.chdir(tmp_path)
    uri = server.new_database()
    store = open_store(uri)
    assert store.get_experiment("0").artifact_location == f"{tmp_path}/mlartifacts/0"
    monkeypatch.chdir("/")
    again = open_store(uri, artifact_root="s3://bucket/x")
    assert again.get_experiment("0").artifact_location == f"{tmp_path}/mlartifacts/0"
    made = again.get_experiment(again.create_experiment("other"))
    assert made.artifact_location == f"s3://bucket/x/{made.experiment_id}"
    for each in (store, again):
        each.close()


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [("postgresql://h/d", "psycopg", "postgres"), ("mysql://h/d", "pymysql", "mysql")],
)
def test_a_driver_that_is_missing(run_python, uri, module, extra):
    """Without its driver a store says what to install; the URI itself is fine."""
    code = f"""
    import sys
    for each in ({module!r}, "psycopg2", "MySQLdb"):
        sys.modules[each] = None
    from skledger.errors import StoreError
    from skledger.stores.opening import check_uri, open_store
    check_uri({uri!r})
    try:
        open_store({uri!r})
    except StoreError as error:
        assert "pip install 'skledger[{extra}]'" in str(error), error
    else:
        raise AssertionError
    """
    run_python(code)


def test_a_driver_that_is_not_known():
    """A driver that is none of those known is named, with those that are."""
    with pytest.raises(InvalidParameterError, match="'asyncpg' is not one of psycopg, psycopg2"):
        open_store("postgresql+asyncpg://h/d")


def test_stores_of_one_kind_import_nothing_of_others(run_python):
    """A SQLite file needs no driver of servers, no HTTP client, no YAML."""
    code = """
    import sys
    from skledger.stores.opening import open_store
    open_store("sqlite:///x.db").create_experiment("e")
    unwanted = ("psycopg", "pymysql", "httpx", "fsspec", "yaml", "sqlalchemy.dialects.mysql")
    found = [each for each in unwanted if each in sys.modules]
    assert not found, found
    """
    run_python(code)


# Only one of them


def test_a_nul_in_postgresql(postgres):
    """PostgreSQL has no NUL: it is shown by the sign for it, in a search too."""
    store = open_store(postgres.new_database())
    run_id = create(store, params=as_params({"sep": "a\0b"}), tags=as_tags({"k\0": "\0"}))
    data = store.get_run(run_id).data
    assert (data.params, data.tags) == ({"sep": "a␀b"}, {"k␀": "␀"})
    assert len(store.search_runs(["0"], "params.sep = 'a\0b'")) == 1
    store.close()


def test_a_reader_of_postgresql(postgres):
    """Who may only read can read, and a write says what is missing."""
    store = open_store(postgres.new_database())
    name = name_of(store.uri)
    run_id = create(store)
    postgres.execute("CREATE ROLE reader LOGIN", name)
    postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", name)
    reader = open_store(postgres.uri(name).replace("tester@", "reader@"))
    assert reader.get_run(run_id).info.run_id == run_id
    with pytest.raises(StoreError, match="permission denied.*ask for the right"):
        create(reader)
    for each in (store, reader):
        each.close()


def test_keys_that_mysql_takes_for_one(mysql):
    """Our database tells case, accents and blanks apart; in MLflow's own the error says why not."""
    store = open_store(mysql.new_database())
    keys = ["c", "C", "ç", "c ", " c", "🎉"]
    params = {key: str(number) for number, key in enumerate(keys)}
    run_id = create(store, params=as_params(params), tags=as_tags(params))
    data = store.get_run(run_id).data
    assert (data.params, data.tags) == (params, params)
    for key, value in params.items():
        assert len(store.search_runs(["0"], f"params.`{key}` = '{value}'")) == 1
    store.create_experiment("one")
    store.create_experiment("One")
    with pytest.raises(AlreadyExistsError):
        store.create_experiment("One")
    store.close()
    uri = mysql.new_database()
    mlflow.MlflowClient(for_mlflow(uri)).search_experiments()
    theirs = open_store(uri)
    create(theirs, params=as_params({"c": 1, "d": 1}))
    with pytest.raises(StoreError, match="Duplicate.*differ only by case"):
        create(theirs, params=as_params({"c": 1, "C": 2}))
    theirs.close()


def test_a_schema_that_was_left_half_made(mysql):
    """MySQL takes no table back: who was killed while making them is followed by who goes on."""
    uri = mysql.new_database()
    open_store(uri).close()
    name = name_of(uri)
    mysql.execute("DELETE FROM alembic_version", name)
    mysql.execute("DROP TABLE tags", name)
    mysql.execute("CREATE TABLE skledger_schema_in_the_making (nothing INTEGER)", name)
    store = open_store(uri)
    create(store, tags=as_tags({"a": "b"}))
    assert store.create_experiment("one") == "1"
    assert mysql.execute("SHOW TABLES LIKE 'skledger%'", name) == []
    store.close()
