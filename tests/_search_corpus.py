"""Runs, experiments and models that differ in everything a search can ask for, and such searches.

What is generated stays within what MLflow's grammar takes, unless asked otherwise.
"""

from __future__ import annotations

import math
import random
import uuid

from hypothesis import strategies as st

from skledger.tracking.entities import (
    Dataset,
    DatasetInput,
    LoggedModel,
    Metric,
    RunChange,
    RunInfo,
    RunTag,
    as_params,
    as_tags,
)
from skledger.tracking.filters import Comparison, Ordering

NUMBERS = [0.5, 0.5, -1.5, 0.0, -0.0, 1e-7, 3, 12345.678, math.nan, math.inf, -math.inf]
TEXTS = ["abc", "ABC", "Abc", "", "a_c", "a%c", "a*c", "a?c", "[abc]", "é", "É", "it's", 'say "x"']
TEXTS += ["a\\c", "10", "9", " padded ", "line\nbreak"]
PARAMS = ["C", "c", "max depth", "a.b"]
METRICS = ["acc", "loss/val", "my metric"]
TAGS = ["team", "note.long", "mlflow.parentRunId", "a b"]
NAMES = ["calm-ant", "calm-Ant", "fox", "fox", "it's me"]
STATUSES = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
PARENTS = [uuid.UUID(int=number).hex for number in (1, 2)]
DATASETS = [("iris", "d1"), ("iris", "d2"), ("Wine", "d3"), ("wine%", "d4")]
CONTEXTS = ["train", "eval", "Train"]
START = 1_700_000_000_000
MODEL_TIMES = [1000, 2000, 2000, 3000]


def make_runs(experiment_ids, count=70, seed=3):
    """Return changes that create runs; many of them tie in time and in values."""
    chance = random.Random(seed)
    changes = []
    for _ in range(count):
        run_id = uuid.UUID(int=chance.getrandbits(128)).hex
        experiment_id = chance.choice(experiment_ids)
        start = START + chance.randrange(6)
        name = chance.choice(NAMES)
        info = RunInfo(
            run_id,
            experiment_id,
            name,
            chance.choice(["me", "Me", "you"]),
            chance.choice(STATUSES),
            start,
            chance.choice([None, start, start + 5, start + 7]),
            chance.choice(["active"] * 5 + ["deleted"]),
            f"/somewhere/{chance.choice('ab')}/{run_id}",
        )
        tags = _some(chance, TAGS, TEXTS)
        if "mlflow.parentRunId" in tags:
            tags["mlflow.parentRunId"] = chance.choice(PARENTS)
        changes.append(
            RunChange(
                run_id,
                create=info,
                end_time=info.end_time,
                params=as_params(_some(chance, PARAMS, TEXTS)),
                metrics=tuple(
                    Metric(key, value, start, step)
                    for key, value in _some(chance, METRICS, NUMBERS).items()
                    for step in range(chance.choice([1, 1, 2]))
                ),
                tags=as_tags({**tags, "mlflow.runName": name}),
                inputs=tuple(
                    DatasetInput(
                        Dataset(*each, "code", "{}"),
                        tuple(
                            RunTag("mlflow.data.context", context)
                            for context in chance.sample(CONTEXTS, chance.choice([0, 1]))
                        ),
                    )
                    for each in chance.sample(DATASETS, chance.choice([0, 0, 1, 2]))
                ),
            )
        )
    return changes


def make_models(changes, seed=5):
    """Return changes that add logged models to some of the runs."""
    chance = random.Random(seed)
    found = []
    for change in chance.sample(changes, 25):
        created = chance.choice(MODEL_TIMES)
        model = LoggedModel(
            f"m-{uuid.UUID(int=chance.getrandbits(128)).hex}",
            change.create.experiment_id,
            chance.choice(["model", "Model", "best_model"]),
            f"/models/{chance.choice('ab')}",
            created,
            created + chance.choice([0, 500]),
            change.run_id,
            status=chance.choice(["PENDING", "READY", "FAILED"]),
            model_type=chance.choice(["", "sklearn", "Agent"]),
            tags=_some(chance, TAGS, TEXTS),
            params=_some(chance, PARAMS, TEXTS),
            metrics=tuple(
                Metric(key, value, 1000 + step, step)
                for key, value in _some(chance, METRICS, NUMBERS).items()
                for step in range(chance.choice([1, 2]))
                if math.isfinite(value)  # MLflow has no way to store others with a model
            ),
        )
        found.append(RunChange(change.run_id, models=(model,)))
    return found


def _some(chance, keys, values):
    return {key: chance.choice(values) for key in keys if chance.random() < 0.7}


PATTERNS = st.sampled_from(
    [*TEXTS, "%", "a%", "%c", "a_c", "A_C", "_", "%b%", "%É", "é", "%'%", "calm-%", "%[%"]
    + ["CALM-ANT", "%\\%", "fo_", "%n%e%", "tr%", "D_", "wine\\%"]
)
TEXT_VALUES = st.sampled_from(TEXTS + NAMES + STATUSES + ["nothing like it"])
NUMBER_VALUES = st.sampled_from([0.0, 0.5, -1.5, 3.0, 1e-7, 0.4999, 1e300, -1e300])
NUMERIC = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


def _of_text(kind, keys, values=TEXT_VALUES, more=()):
    equal = st.tuples(st.sampled_from(["=", "!="]), values)
    like = st.tuples(st.sampled_from(["LIKE", "ILIKE", *more]), PATTERNS)
    return st.builds(
        lambda key, rest: Comparison(kind, key, *rest), st.sampled_from(keys), equal | like
    )


def _of_list(kind, keys, values, operators=("IN", "NOT IN")):
    lists = st.lists(values, min_size=1, max_size=3).map(tuple)
    return st.builds(
        Comparison, st.just(kind), st.sampled_from(keys), st.sampled_from(operators), lists
    )


def _of_nothing(kind, keys):
    nothing = st.sampled_from(["IS NULL", "IS NOT NULL"])
    return st.builds(Comparison, st.just(kind), st.sampled_from(keys), nothing)


def _of_number(kind, keys, values):
    return st.builds(Comparison, st.just(kind), st.sampled_from(keys), NUMERIC, values)


NOBODY = ["nobody has it"]
TIMES = st.integers(START - 1, START + 8)


def run_conditions(run_ids):
    """Return conditions on runs that MLflow takes."""
    return st.one_of(
        _of_number("metric", METRICS + NOBODY, NUMBER_VALUES),
        _of_text("param", PARAMS + NOBODY),
        _of_text("tag", TAGS + NOBODY),
        _of_text("tag", ["mlflow.parentRunId"], st.sampled_from(PARENTS)),
        _of_nothing("param", PARAMS + NOBODY),
        _of_nothing("tag", TAGS + NOBODY),
        _of_text("attribute", ["run_name", "status", "user_id", "artifact_uri"]),
        _of_list("attribute", ["run_id"], st.sampled_from(run_ids)),
        _of_text("attribute", ["run_id"], st.sampled_from(run_ids)),
        _of_number("attribute", ["start_time", "end_time"], TIMES),
        _of_text("dataset", ["name"], st.sampled_from(["iris", "Wine", "wine"])),
        _of_text("dataset", ["digest"], st.sampled_from(["d1", "D2"])),
        _of_text("dataset", ["context"], st.sampled_from(CONTEXTS)),
        _of_list("dataset", ["name"], st.sampled_from(["iris", "Wine", "wine"])),
        _of_list("dataset", ["context"], st.sampled_from(CONTEXTS)),
    )


def more_run_conditions():
    """Return conditions on runs that only our grammar has."""
    texts = st.sampled_from(TEXTS + NAMES)
    patterns = ("NOT LIKE", "NOT ILIKE")
    attributes = ["run_name", "status", "user_id"]
    return st.one_of(
        _of_text("param", PARAMS, more=patterns),
        _of_text("tag", TAGS, more=patterns),
        _of_text("attribute", attributes, more=patterns),
        _of_list("param", PARAMS, texts),
        _of_list("tag", TAGS, texts),
        _of_list("tag", ["mlflow.parentRunId"], st.sampled_from(PARENTS)),
        _of_list("attribute", attributes, texts | st.sampled_from(STATUSES)),
        _of_nothing("metric", METRICS + NOBODY),
        _of_nothing("attribute", [*attributes, "end_time", "duration"]),
        _of_number("attribute", ["duration"], st.sampled_from([0.005, 0.0, 0.003, 0.1, 1e300])),
        _of_number("metric", METRICS, st.sampled_from([math.inf, -math.inf])),
    )


def _orderings(*choices):
    ordering = st.one_of(
        st.builds(Ordering, st.just(kind), st.sampled_from(keys), st.booleans())
        for kind, keys in choices
    )
    return st.lists(ordering, max_size=3, unique_by=lambda each: (each.kind, each.key))


RUN_ORDERS = _orderings(
    ("metric", METRICS + NOBODY),
    ("param", PARAMS + NOBODY),
    ("tag", TAGS + NOBODY),
    ("attribute", ["start_time", "end_time", "status", "run_name", "user_id", "artifact_uri"]),
    ("attribute", ["run_id"]),
)

EXPERIMENTS = ["Iris", "iris", "wine", "it's", "a%b", "é"]
EXPERIMENT_TAGS = ["team", "a b"]


def experiment_conditions():
    """Return conditions on experiments that MLflow takes."""
    numbers = st.sampled_from(["0", "1", "2", "3", "77"])
    return st.one_of(
        _of_text("attribute", ["name"], st.sampled_from([*EXPERIMENTS, "Default"])),
        _of_text("tag", EXPERIMENT_TAGS + NOBODY),
        _of_nothing("tag", EXPERIMENT_TAGS + NOBODY),
        _of_list("attribute", ["experiment_id"], numbers),
        st.builds(
            Comparison,
            st.just("attribute"),
            st.just("experiment_id"),
            st.sampled_from(["=", "!="]),
            numbers,
        ),
        _of_number("attribute", ["creation_time", "last_update_time"], TIMES),
    )


EXPERIMENT_ORDERS = _orderings(
    ("attribute", ["name", "experiment_id", "creation_time", "last_update_time"])
)


def model_conditions(run_ids):
    """Return conditions on logged models that MLflow takes and answers rightly."""
    attributes = ["name", "model_type", "artifact_location"]
    values = st.sampled_from(["model", "Model", "sklearn", "/models/a"])
    # MLflow strips quotes off the ends of a text instead of reading it.
    simple = st.sampled_from([text for text in TEXTS if "'" not in text and '"' not in text])
    return st.one_of(
        _of_number("metric", METRICS + NOBODY, NUMBER_VALUES),
        _of_text("param", PARAMS + NOBODY, simple),
        _of_text("tag", TAGS + NOBODY, simple),
        _of_text("attribute", attributes, values),
        _of_list("attribute", [*attributes, "source_run_id"], values | st.sampled_from(run_ids)),
        _of_number(
            "attribute",
            ["creation_timestamp", "last_updated_timestamp"],
            st.sampled_from([1000, 2000, 2500]),
        ),
    ).filter(lambda each: not isinstance(each.value, str) or "'" not in each.value)


MODEL_ORDERS = _orderings(
    ("metric", METRICS + NOBODY),
    ("attribute", ["name", "model_type", "status", "source_run_id", "model_id"]),
    ("attribute", ["creation_timestamp", "last_updated_timestamp"]),
)
