"""The search grammar."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skledger.errors import InvalidParameterError
from skledger.tracking.filters import Comparison, Ordering, parse_filter, parse_order_by


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
        ("estimator = 'SVC'", "tags.estimator_name"),
        ("when > 5", "start_time"),
        ("duration > 5", "metrics.fit_seconds"),
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


PIECES = st.sampled_from(
    ["metrics", "params.C", ".", "tags.k", "'a'", "`b`", '"c"', "=", "!=", ">", "IS", "NOT", "NULL"]
    + ["IN", "(", ")", ",", "LIKE", "and", "1", "-1e5", "status", "dataset.name", " ", "'", "\n"]
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.lists(PIECES, max_size=12).map(" ".join))
def test_any_text_is_read_or_refused(text):
    """No text makes the reader fail in another way than InvalidParameterError."""
    for entity in ("run", "experiment"):
        for read in (lambda: parse_filter(text, entity), lambda: parse_order_by([text], entity)):
            try:
                read()
            except InvalidParameterError:
                pass


KEY = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="`"), min_size=1, max_size=20
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


@st.composite
def comparisons(draw):
    kind = draw(st.sampled_from(["metric", "param", "tag"]))
    key = draw(KEY)
    if draw(st.booleans()):
        return Comparison(kind, key, draw(st.sampled_from(["IS NULL", "IS NOT NULL"])))
    if kind == "metric":
        number = draw(st.floats(allow_nan=False, allow_infinity=False))
        return Comparison(kind, key, draw(st.sampled_from("= != < <= > >=".split())), number)
    operator = draw(st.sampled_from(["=", "!=", "LIKE", "NOT LIKE", "ILIKE", "IN", "NOT IN"]))
    if operator.endswith("IN"):
        return Comparison(kind, key, operator, tuple(draw(st.lists(WORDS, min_size=1, max_size=3))))
    return Comparison(kind, key, operator, draw(WORDS))


def written(each):
    text = f"{each.kind}s.`{each.key}` {each.operator}"
    if each.value is None:
        return text
    if isinstance(each.value, tuple):
        return f"{text} ({', '.join(map(quoted, each.value))})"
    return f"{text} {quoted(each.value) if isinstance(each.value, str) else repr(each.value)}"


@settings(max_examples=200, deadline=None)
@given(st.lists(comparisons(), min_size=1, max_size=4))
def test_what_is_written_is_read(conditions):
    """A filter put together from conditions reads as those conditions."""
    assert parse_filter(" and ".join(map(written, conditions))) == tuple(conditions)
