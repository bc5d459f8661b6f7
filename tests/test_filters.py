"""The search grammar."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skledger.errors import InvalidParameterError
from skledger.tracking.filters import (
    Comparison,
    Ordering,
    format_filter,
    format_order_by,
    parse_filter,
    parse_order_by,
)
from skledger.tracking.filters.fields import GRAMMARS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metrics.acc > 0.9", [("metric", "acc", ">", 0.9)]),
        ("metric.acc>=-.5e1", [("metric", "acc", ">=", -5.0)]),
        ("metrics.`a b` != 1", [("metric", "a b", "!=", 1)]),
        ("params.C = '1'", [("param", "C", "=", "1")]),
        (
            "parameter.C='0' AND param.`C`=\"x\"",
            [("param", "C", "=", "0"), ("param", "C", "=", "x")],
        ),
        ("tags.mlflow.runName LIKE '%x%'", [("tag", "mlflow.runName", "LIKE", "%x%")]),
        ("tag.\"a.b\" not ilike 'x'", [("tag", "a.b", "NOT ILIKE", "x")]),
        ("tags.'k' = 'it''s'", [("tag", "k", "=", "it's")]),
        ("tags. k = 'and'", [("tag", "k", "=", "and")]),
        ("`metrics`.acc < 1", [("metric", "acc", "<", 1)]),
        (
            "tags.and = 'x' and tags.in IN ('a',)",
            [("tag", "and", "=", "x"), ("tag", "in", "IN", ("a",))],
        ),
        (
            "status IN ('FINISHED', 'FAILED')",
            [("attribute", "status", "IN", ("FINISHED", "FAILED"))],
        ),
        ("attr.created > 5", [("attribute", "start_time", ">", 5)]),
        ("attributes.`Run Name` = 'a'", [("attribute", "run_name", "=", "a")]),
        ("`run name` IS NOT NULL", [("attribute", "run_name", "IS NOT NULL", None)]),
        ("run.end_time is null", [("attribute", "end_time", "IS NULL", None)]),
        ("datasets.name NOT IN ('a')", [("dataset", "name", "NOT IN", ("a",))]),
        ("start_time = 1795222257055", [("attribute", "start_time", "=", 1795222257055)]),
        ("start_time > '2026-01-01'", [("attribute", "start_time", ">", 1767225600000)]),
        (
            "end_time <= '2026-01-01T01:00:00.5+02:00'",
            [("attribute", "end_time", "<=", 1767222000500)],
        ),
        ('start_time < "2026-01-01 00:00"', [("attribute", "start_time", "<", 1767225600000)]),
        ("estimator = 'Ridge'", [("tag", "estimator_name", "=", "Ridge")]),
        ("Estimator LIKE 'R%'", [("tag", "estimator_name", "LIKE", "R%")]),
        ("duration > 90", [("attribute", "duration", ">", 90.0)]),
        ("  ", []),
        (None, []),
    ],
)
def test_filters_are_read(text, expected):
    """MLflow's grammar and the aliases of its words, and a little more."""
    assert parse_filter(text) == tuple(Comparison(*each) for each in expected)


@pytest.mark.parametrize(
    ("text", "says", "at"),
    [
        ("metrics.acc = 'x", "never closed", 14),
        ("metrics.acc > 1 or params.C = '1'", "OR", 16),
        ("(metrics.acc > 1)", "expected a key", 0),
        ("metrics.acc == 1", "written =", 12),
        ("tags.k <> 'a'", "written !=", 7),
        ("metrics.acc > '1'", "number", 14),
        ("metrics.acc > nan", "number", 14),
        ("metrics.acc > ١", "number", 14),
        ("metrics.acc LIKE 'x'", "is a number", 12),
        ("params.C = 0", "in quotes", 11),
        ("params.C < '3'", "no order", 9),
        ("tags.k = A", "in quotes", 9),
        ("tags.k IN 'a'", "parentheses", 10),
        ("tags.k IN ()", "in quotes", 11),
        ("tags.k IN ('a'", "expected , or )", 14),
        ("tags.k IS 'a'", "NULL", 10),
        ("tags.k NOT 'a'", "after NOT", 11),
        ("foo = 'x'", "not an attribute", 0),
        ("foo.bar = 'x'", "not one of", 0),
        ("dataset.size = 'x'", "data set", 0),
        ("tags.`` = 'x'", "empty", 5),
        ("1 < metrics.acc", "not an attribute", 0),
        ("metrics.acc >", "it ends", 13),
        ("metrics.acc > 1 and", "it ends", 19),
        ("tags.k = 'a';", "unexpected character", 12),
        ("tags.k = 'a' tags.k = 'b'", "expected AND", 13),
        ("tags.k = '\ud800'", "surrogate", 10),
        ("tags.k ! 'a'", "expected !=", 7),
        ("tags.k = 'a' = 'b'", "expected AND", 13),
        ("start_time > 'x'", "milliseconds since 1970", 13),
        ("start_time > 'x'", "a time such as '2026-01-31'", 13),
        ("start_time LIKE '2026%'", "is a number", 11),
        ("duration > '2026-01-01'", "a number of seconds", 11),
        ("metrics.acc > 0,9", "such as 0.9", 15),
        ("metrics.a IS 1", "expected NULL or NOT NULL", 13),
        ("dataset.name IS NULL", "data set cannot", 20),
    ],
)
def test_errors_point_at_the_place(text, says, at):
    """What cannot be read is an error with a caret under the place."""
    with pytest.raises(InvalidParameterError, match=re.escape(says)) as caught:
        parse_filter(text)
    lines = str(caught.value).splitlines()
    assert lines[2].index("^") == at + 2
    assert lines[1].startswith("  ")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("training_score > 0.5", "metrics.training_score"),
        ("`my score` > 0.5", "metrics.`my score`"),
        ("C = '1.0'", "params.C or tags.C"),
        ("name = 'a'", "run_name"),
        ("Name = 'a'", "run_name"),
        ("statu = 'FAILED'", "status"),
        ("when > 5", "start_time"),
    ],
)
def test_a_word_that_is_no_attribute_is_explained(text, meant):
    """A metric without its entity, a table's heading or a misspelling: the message has the key."""
    with pytest.raises(InvalidParameterError, match=re.escape(f"did you mean {meant}?")):
        parse_filter(text)


def test_a_word_to_sort_by_that_is_no_attribute_is_explained():
    """The message has the keys it may have meant, and its grammar is right."""
    with pytest.raises(InvalidParameterError, match=r"metrics\.rmse, params\.rmse") as caught:
        parse_order_by(["rmse DESC"])
    assert "an order_by clause looks like" in str(caught.value)
    with pytest.raises(InvalidParameterError, match="did you mean run_name"):
        parse_order_by(["name"])


def test_experiments_have_keys_of_their_own():
    """Experiments know names and tags, but no metrics."""
    assert parse_filter("name = 'a' and tags.t = 'b'", "experiment") == (
        Comparison("attribute", "name", "=", "a"),
        Comparison("tag", "t", "=", "b"),
    )
    for text in ("metrics.a > 1", "status = 'x'", "params.C = '1'"):
        with pytest.raises(InvalidParameterError):
            parse_filter(text, "experiment")
    with pytest.raises(InvalidParameterError, match="cannot search"):
        parse_filter("name = 'a'", "planet")


def test_orders_are_read():
    """Keys with a direction, ascending unless told."""
    assert parse_order_by(["metrics.`a b` DESC", "start_time", "attributes.Created asc"][:2]) == (
        Ordering("metric", "a b", False),
        Ordering("attribute", "start_time", True),
    )
    assert parse_order_by(None) == ()


@pytest.mark.parametrize(
    "clauses",
    [
        ["metrics.acc foo"],
        ["metrics.acc desc desc"],
        ["start_time, status"],
        ["dataset.name"],
        ["foo"],
        [""],
        ["metrics.acc", "metric.acc DESC"],
        ["created", "start_time"],
        "start_time",
        [3],
    ],
)
def test_orders_that_cannot_be_read(clauses):
    """Unknown keys, repeated keys and other words are errors."""
    with pytest.raises(InvalidParameterError):
        parse_order_by(clauses)


def test_a_long_text_costs_little_to_read():
    """Memory goes with the length of a filter; it is not many times as much."""
    text = f"params.p = '{'a' * 200_000}'"
    for start in ("'", '"', "`"):  # a quote that is never closed is no exception
        broken = f"params.p = {start}{'a' * 200_000}"
        tracemalloc.start()
        try:
            assert parse_filter(text) == (Comparison("param", "p", "=", "a" * 200_000),)
            with pytest.raises(InvalidParameterError, match="never closed"):
                parse_filter(broken)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 5_000_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"params.p = '{'a' * 300_000}'", "at most 262144 characters"),
        (" AND ".join(["params.p = 'a'"] * 1001), "more than 200 conditions"),
        (f"params.p LIKE '{'%a' * 3000}'", "at most 5000 characters"),
        ("tags.t IN (" + "'a'," * 40_000 + ")", "at most 30000"),
    ],
)
def test_filters_that_no_database_takes_are_refused(text, says):
    """The limits are told; they are not found out by a database."""
    with pytest.raises(InvalidParameterError, match=says):
        parse_filter(text)
    with pytest.raises(InvalidParameterError, match="at most 20 clauses"):
        parse_order_by([f"metrics.m{at}" for at in range(2000)])


def test_the_caret_of_a_long_filter_is_on_its_line():
    """A filter of thousands of identifiers is cut to the part around the place."""
    text = "run_id IN (" + ", ".join(f"'{number:032x}'" for number in range(3000)) + " 'x')"
    with pytest.raises(InvalidParameterError) as caught:
        parse_filter(text)
    _, line, caret, _ = str(caught.value).splitlines()
    assert len(line) < 120
    assert line.startswith("  ...")
    assert line[caret.index("^") :] == "'x')"


def test_the_caret_stands_under_wide_and_combined_characters():
    """A terminal shows some characters in two columns and some in none; a tab is one blank."""
    with pytest.raises(InvalidParameterError) as caught:
        parse_filter("tags.\u65e5\u672c\t= e\u0301x")
    _, line, caret, _ = str(caught.value).splitlines()
    assert line == "  tags.\u65e5\u672c = e\u0301x"
    assert caret == "  " + " " * (5 + 4 + 3) + "^"


@pytest.mark.parametrize(
    ("entity", "text", "expected"),
    [
        ("experiment", "attribute.name ILIKE 'a%'", ("attribute", "name", "ILIKE", "a%")),
        ("experiment", "experiment_id IN ('1')", ("attribute", "experiment_id", "IN", ("1",))),
        ("experiment", "tags.experiment_id LIKE '1'", ("tag", "experiment_id", "LIKE", "1")),
        ("logged_model", "metrics.acc < 1", ("metric", "acc", "<", 1.0)),
        ("logged_model", "creation_time = 5", ("attribute", "creation_timestamp", "=", 5)),
        ("logged_model", "status != 'READY'", ("attribute", "status", "!=", "READY")),
        ("registered_model", "name LIKE 'a%'", ("attribute", "name", "LIKE", "a%")),
        ("registered_model", "tags.`a b` = 'x'", ("tag", "a b", "=", "x")),
        ("model_version", "version_number >= 2", ("attribute", "version_number", ">=", 2)),
        ("model_version", "run_id IN ('a', 'b')", ("attribute", "run_id", "IN", ("a", "b"))),
        ("model_version", "source_path = 's3://x'", ("attribute", "source_path", "=", "s3://x")),
    ],
)
def test_each_entity_has_its_grammar(entity, text, expected):
    """Experiments, logged models, registered models and their versions have their own keys."""
    assert parse_filter(text, entity) == (Comparison(*expected),)


@pytest.mark.parametrize(
    ("entity", "text", "says"),
    [
        ("experiment", "metrics.a > 1", "cannot be searched by a metric"),
        ("experiment", "experiment_id LIKE '1%'", "is an identifier"),
        ("logged_model", "dataset.name = 'x'", "cannot be searched by a dataset"),
        ("logged_model", "run_id = 'x'", "did you mean source_run_id?"),
        ("registered_model", "params.C = '1'", "only by tag, attribute"),
        ("model_version", "version_number = '1'", "a whole number"),
    ],
)
def test_what_an_entity_has_not_is_an_error(entity, text, says):
    """The message names what there is instead."""
    with pytest.raises(InvalidParameterError, match=re.escape(says)):
        parse_filter(text, entity)


def test_models_are_ordered_as_the_client_of_mlflow_asks():
    """A clause for logged models may be a dictionary, with the data set that counts."""
    clauses = [
        {"field_name": "metrics.acc", "ascending": False, "dataset_name": "iris"},
        {"field_name": "metrics.acc", "dataset_digest": "d1"},
        "creation_time",
    ]
    assert parse_order_by(clauses, "logged_model") == (
        Ordering("metric", "acc", False, dataset_name="iris"),
        Ordering("metric", "acc", True, dataset_digest="d1"),
        Ordering("attribute", "creation_timestamp", True),
    )
    for wrong in ({"name": "metrics.acc"}, {"field_name": 3}, {"field_name": "params.C"}):
        with pytest.raises(InvalidParameterError):
            parse_order_by([wrong], "logged_model")
    with pytest.raises(InvalidParameterError, match="must be text"):
        parse_order_by([clauses[0]], "run")
    with pytest.raises(InvalidParameterError, match="must be a list"):
        parse_order_by(clauses[0], "logged_model")


PIECES = st.sampled_from(
    ["metrics", "params.C", ".", "tags.k", "'a'", "`b`", '"c"', "=", "!=", ">", "IS", "NOT", "NULL"]
    + ["IN", "(", ")", ",", "LIKE", "and", "1", "-1e5", "status", "dataset.name", " ", "'", "\n"]
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(PIECES, max_size=12).map(" ".join))
def test_any_text_is_read_or_refused(text):
    """No text makes the reader fail in another way than InvalidParameterError."""
    for entity in GRAMMARS:
        for read in (lambda: parse_filter(text, entity), lambda: parse_order_by([text], entity)):
            try:
                read()
            except InvalidParameterError:
                pass


KEY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def named(draw, entity, sorts=False):
    """Draw a kind and a key."""
    grammar = GRAMMARS[entity]
    kind = draw(st.sampled_from(grammar.sorted if sorts else grammar.filtered))
    if kind == "attribute":
        return kind, draw(st.sampled_from(sorted(set(grammar.attributes.values()))))
    if kind == "dataset":
        return kind, draw(st.sampled_from(["name", "digest", "context"]))
    return kind, draw(KEY)


@st.composite
def comparisons(draw, entity):
    """Draw any condition that the grammar of an entity has."""
    kind, key = draw(named(entity))
    if kind != "dataset" and draw(st.integers(0, 3)) == 0:
        return Comparison(kind, key, draw(st.sampled_from(["IS NULL", "IS NOT NULL"])))
    if kind == "metric" or (kind == "attribute" and key in GRAMMARS[entity].numbers):
        whole = st.integers(-(10**18) + 1, 10**18 - 1)
        is_real = kind == "metric" or key == "duration"
        number = draw(st.floats(allow_nan=False) if is_real else whole)
        return Comparison(kind, key, draw(st.sampled_from("= != < <= > >=".split())), number)
    operators = ["=", "!=", "IN", "NOT IN"]
    if kind != "attribute" or key not in GRAMMARS[entity].identifiers:
        operators += ["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]
    operator = draw(st.sampled_from(operators))
    if operator.endswith("IN"):
        return Comparison(kind, key, operator, tuple(draw(st.lists(WORDS, min_size=1, max_size=3))))
    return Comparison(kind, key, operator, draw(WORDS))


@pytest.mark.parametrize("entity", GRAMMARS)
def test_what_is_written_is_read(entity):
    """Any conditions and any order, once written, read as they were."""

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(comparisons(entity), max_size=4),
        st.lists(
            st.builds(
                lambda name, up: Ordering(*name, up), named(entity, sorts=True), st.booleans()
            ),
            max_size=3,
            unique_by=lambda each: (each.kind, each.key),
        ),
    )
    def check(conditions, orderings):
        assert parse_filter(format_filter(conditions, entity), entity) == tuple(conditions)
        assert parse_order_by(format_order_by(orderings, entity), entity) == tuple(orderings)

    check()


def test_nan_cannot_be_written():
    """No filter compares with NaN."""
    with pytest.raises(InvalidParameterError, match="NaN"):
        format_filter([Comparison("metric", "a", "=", float("nan"))])
