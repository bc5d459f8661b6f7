"""From text to conditions: a recursive descent over the tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from skledger.errors import InvalidParameterError
from skledger.tracking.filters.fields import DATASET_KEYS, GRAMMARS, KINDS, Grammar
from skledger.tracking.filters.moments import milliseconds_of
from skledger.tracking.filters.syntax import Comparison, Ordering
from skledger.tracking.filters.tokens import Source, Token

__all__ = ["parse_filter", "parse_order_by"]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
#: Beyond, a whole number may not fit into 64 bits.
_WHOLE = re.compile(r"[+-]?\d{1,18}\Z", re.ASCII)
_MOMENT = (
    "a time such as '2026-01-31' or '2026-01-31 14:30+02:00' (UTC without a zone), or milliseconds "
    "since 1970"
)
#: What attributes are compared with that are numbers but no times.
_UNITS = {"version_number": "a whole number", "duration": "a number of seconds, such as 90"}
_PLAIN = re.compile(r"[\w.]+\Z")
#: What databases take. SQLite has 1000 conditions, 32766 values and patterns of 50,000 bytes, and
#: some of its versions crash at more than 64 terms to sort by, of which a key needs two.
_MOST_CONDITIONS, _MOST_VALUES, _MOST_KEYS = 200, 30_000, 20
_LONGEST_PATTERN = 5000


def parse_filter(text: str | None, entity: str = "run") -> tuple[Comparison, ...]:
    """Read a filter.

    Parameters
    ----------
    text : str or None
        The filter; nothing at all, or only spaces, selects everything.
    entity : {"run", "experiment", "logged_model", "registered_model", "model_version"}
        What is searched: it decides which keys exist.

    Returns
    -------
    tuple of Comparison
        The conditions, which must all hold.

    Raises
    ------
    InvalidParameterError
        When the text cannot be read; the message points at the place.
    """
    grammar = _grammar(entity)
    if text is None or (isinstance(text, str) and not text.strip()):
        return ()
    reader = _Reader(Source(text, "a filter", grammar.examples[0]), grammar)
    return reader.filter()


def parse_order_by(
    clauses: Sequence[str | Mapping[str, object]] | None, entity: str = "run"
) -> tuple[Ordering, ...]:
    """Read the clauses of an order, such as ``["metrics.accuracy DESC", "start_time"]``.

    Parameters
    ----------
    clauses : sequence of str or dict, or None
        What to sort by, the first the most. For logged models also as MLflow writes it:
        ``{"field_name": "metrics.accuracy", "ascending": False, "dataset_name": "iris"}``.
    entity : str
        As for `parse_filter`.

    Raises
    ------
    InvalidParameterError
        When a clause cannot be read or names a key a second time.
    """
    grammar = _grammar(entity)
    if isinstance(clauses, str | bytes | Mapping):
        raise InvalidParameterError(
            f"order_by must be a list of clauses, got {clauses!r}: write [{clauses!r}]"
        )
    if clauses is not None and len(clauses) > _MOST_KEYS:
        raise InvalidParameterError(
            f"order_by has at most {_MOST_KEYS} clauses, got {len(clauses)}: the first ones decide"
        )
    found: list[Ordering] = []
    for clause in clauses or ():
        if isinstance(clause, Mapping) and entity == "logged_model":
            ordering = _ordering_of_mapping(clause, grammar)
        else:
            ordering = _ordering(clause, grammar)
        if any(_place(each) == _place(ordering) for each in found):
            raise InvalidParameterError(
                f"order_by names {ordering.kind} {ordering.key!r} twice: "
                f"{list(clauses or ())!r:.200}; name each key once"
            )
        found.append(ordering)
    return tuple(found)


def _grammar(entity: str) -> Grammar:
    if entity not in GRAMMARS:
        raise InvalidParameterError(
            f"cannot search {entity!r}: expected one of {', '.join(GRAMMARS)}"
        )
    return GRAMMARS[entity]


def _is_time(key: str) -> bool:
    return key not in _UNITS


def _place(ordering: Ordering) -> tuple[str, ...]:
    return ordering.kind, ordering.key, ordering.dataset_name, ordering.dataset_digest


def _ordering(clause: object, grammar: Grammar) -> Ordering:
    source = Source(clause, "an order_by clause", grammar.examples[1])
    return _Reader(source, grammar, sorts=True).ordering()


def _ordering_of_mapping(clause: Mapping[str, object], grammar: Grammar) -> Ordering:
    """Read what MLflow's client takes for logged models."""
    unknown = set(clause) - {"field_name", "ascending", "dataset_name", "dataset_digest"}
    name = clause.get("field_name")
    if unknown or not isinstance(name, str):
        raise InvalidParameterError(
            f"an order_by clause has the keys field_name and, if wanted, ascending, dataset_name "
            f"and dataset_digest; got {dict(clause)!r}"
        )
    named = _ordering(name, grammar)
    return Ordering(
        named.kind,
        named.key,
        bool(clause.get("ascending", True)),
        str(clause.get("dataset_name") or ""),
        str(clause.get("dataset_digest") or ""),
    )


class _Reader:
    """Reads one text, for one entity."""

    def __init__(self, source: Source, grammar: Grammar, *, sorts: bool = False) -> None:
        self._source = source
        self._grammar = grammar
        self._sorts = sorts
        self._kinds = grammar.sorted if sorts else grammar.filtered

    def filter(self) -> tuple[Comparison, ...]:
        """Read conditions up to the end."""
        found = [self._comparison()]
        while self._source.take("AND"):
            found.append(self._comparison())
            if len(found) > _MOST_CONDITIONS:
                self._source.fail(f"it has more than {_MOST_CONDITIONS} conditions")
        values = sum(len(each.value) for each in found if isinstance(each.value, tuple))
        if values > _MOST_VALUES:
            self._source.fail(f"its lists have {values} values, at most {_MOST_VALUES} can be")
        if not self._source.at_end:
            self._fail_behind(found[-1])
        return tuple(found)

    def _fail_behind(self, last: Comparison) -> NoReturn:
        """Say what may follow a condition; behind a number, what was probably meant."""
        token = self._source.peek()
        if token is not None and token.text == "," and isinstance(last.value, int | float):
            self._source.fail("numbers have a point for the decimals, such as 0.9")
        self._source.fail(
            "expected AND or the end (OR and parentheses are not part of the grammar)"
        )

    def ordering(self) -> Ordering:
        """Read an identifier and its direction."""
        kind, key = self._identifier()
        by_number = self._as_number(kind, key)
        ascending = not self._source.take("DESC")
        if ascending:
            self._source.take("ASC")
        if not self._source.at_end:
            self._source.fail("expected ASC, DESC or the end (one clause names one key)")
        return Ordering(kind, key, ascending, by_number=by_number)

    def _as_number(self, kind: str, key: str) -> bool:
        """Read ``AS NUMBER``, which texts of runs may be sorted by."""
        if not self._source.take("AS"):
            return False
        if not self._source.take("NUMBER"):
            self._source.fail("expected NUMBER after AS")
        if kind not in ("param", "tag"):
            self._source.fail(
                f"{kind} {key!r} is no text that may be a number: leave out AS NUMBER"
            )
        return True

    def _comparison(self) -> Comparison:
        source = self._source
        kind, key = self._identifier()
        if source.take("IS"):
            return Comparison(kind, key, self._nothing(kind))
        operator = self._operator(kind, key)
        if operator.endswith("IN"):
            return Comparison(kind, key, operator, self._texts())
        if self._is_number(kind, key):
            return Comparison(kind, key, operator, self._number(kind, key))
        text = self._text(f"{kind} {key!r} is compared with")
        if operator.endswith("LIKE") and len(text) > _LONGEST_PATTERN:
            source.fail(f"a pattern has at most {_LONGEST_PATTERN} characters")
        return Comparison(kind, key, operator, text)

    def _nothing(self, kind: str) -> str:
        """Read what follows IS."""
        operator = "IS NOT NULL" if self._source.take("NOT") else "IS NULL"
        if not self._source.take("NULL"):
            self._source.fail("expected NULL" + (" or NOT NULL" if operator == "IS NULL" else ""))
        if kind == "dataset":
            self._source.fail("a data set cannot be compared with NULL")
        return operator

    def _is_number(self, kind: str, key: str) -> bool:
        return kind == "metric" or (kind == "attribute" and key in self._grammar.numbers)

    def _is_identifier(self, kind: str, key: str) -> bool:
        return kind == "attribute" and key in self._grammar.identifiers

    def _identifier(self) -> tuple[str, str]:
        """Read what is compared or sorted by: its kind and its key."""
        source = self._source
        first = source.next("a key")
        if first.kind not in ("word", "quoted") or first.text[0] == "'":
            key = self._grammar.examples[0].partition(" ")[0]
            source.fail(f"expected a key such as {key}", first.start)
        name, dotted, key = self._dotted(first)
        if not dotted:
            return self._known("attribute", name, first.start)
        kind = KINDS.get(name.lower())
        if kind is None or kind not in self._kinds:
            self._fail_kind(kind, name, first.start)
        start = first.start
        if not key:
            token = source.next("a key")
            if token.kind not in ("word", "quoted"):
                source.fail(f"expected the key of a {kind}", token.start)
            key, start = token.unquoted, token.start
        if not key:
            source.fail("the key is empty: write it between the quotes", start)
        return self._known(kind, key, start)

    def _dotted(self, first: Token) -> tuple[str, bool, str]:
        """Return what stands before the dot, whether there is one, and what stands behind."""
        if first.kind == "word":
            name, dot, key = first.text.partition(".")
            return name, bool(dot), key
        token = self._source.peek()
        if token is None or token.kind != "word" or token.text[0] != ".":
            return first.unquoted, False, ""
        return first.unquoted, True, self._source.next("a key").text[1:]

    def _fail_kind(self, kind: str | None, name: str, start: int) -> NoReturn:
        noun = self._grammar.noun
        known = ", ".join(self._kinds)
        if kind is None:
            self._source.fail(f"{name!r} is not one of {known}; quote a key that has dots", start)
        doing = "sorted" if self._sorts else "searched"
        self._source.fail(f"{noun} cannot be {doing} by a {kind}, only by {known}", start)

    def _known(self, kind: str, key: str, start: int) -> tuple[str, str]:
        """Return the kind and the canonical key."""
        names = dict(self._grammar.attributes)
        if self._sorts:
            names.update((each, each) for each in self._grammar.orders)
        if kind == "dataset":
            if key.lower() not in DATASET_KEYS:
                known = ", ".join(DATASET_KEYS)
                self._source.fail(f"{key!r} is not known of a data set ({known})", start)
            return kind, key.lower()
        if kind != "attribute":
            return kind, key
        if key.lower() in self._grammar.tags:
            return "tag", self._grammar.tags[key.lower()]
        if key.lower() not in names:
            known = ", ".join(dict.fromkeys([*names.values(), *self._grammar.tags]))
            meant = self._meant(key)
            noun = self._grammar.noun
            self._source.fail(f"{key!r} is not an attribute of {noun} ({known}){meant}", start)
        return kind, names[key.lower()]

    def _meant(self, key: str) -> str:
        """Suggest what a word stands for that is no attribute; what follows it gives a hint."""
        import difflib

        names = {**self._grammar.attributes, **self._grammar.columns}
        close = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.85)
        if close:
            return f"; did you mean {names[close[0]]}?"
        if "metric" not in self._kinds or not key or _NUMBER.match(key):
            return ""
        key = key if _PLAIN.match(key) else f"`{key}`"
        operator, value = self._source.peek(), self._source.peek(1)
        if self._sorts:
            kinds = [kind for kind in ("metric", "param", "tag") if kind in self._kinds]
        elif operator is not None and value is not None and value.text[0] in "'\"":
            kinds = ["param", "tag"]
        else:
            kinds = ["metric"]
        *others, last = [f"{kind}s.{key}" for kind in kinds]
        return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"

    def _operator(self, kind: str, key: str) -> str:
        """Read an operator that fits the key."""
        start = self._source.peek()
        operator = self._any_operator()
        reason = ""
        if self._is_number(kind, key):
            if operator.endswith(("IN", "LIKE")):
                reason = f"{kind} {key!r} is a number: compare it with =, !=, <, <=, > or >="
        elif operator[0] in "<>":
            reason = f"{kind} {key!r} is text, which has no order here: use =, !=, LIKE or IN"
        elif operator.endswith("LIKE") and self._is_identifier(kind, key):
            reason = f"{kind} {key!r} is an identifier: compare it with =, != or IN"
        if reason and start is not None:
            self._source.fail(reason, start.start)
        return operator

    def _any_operator(self) -> str:
        token = self._source.next("a comparison")
        if token.text in ("<>", "=="):
            right = "!=" if token.text == "<>" else "="
            self._source.fail(f"{token.text} is written {right} here", token.start)
        if token.kind == "operator":
            return token.text
        word = token.text.upper() if token.kind == "word" else ""
        if word in ("LIKE", "ILIKE", "IN"):
            return word
        if word != "NOT":
            expected = "=, !=, <, <=, >, >=, LIKE, ILIKE, IN or IS NULL"
            self._source.fail(f"expected a comparison: {expected}", token.start)
        for each in ("LIKE", "ILIKE", "IN"):
            if self._source.take(each):
                return f"NOT {each}"
        return self._source.fail("expected LIKE, ILIKE or IN after NOT")

    def _number(self, kind: str, key: str) -> float | int:
        token = self._source.next("a number")
        if kind == "attribute" and _is_time(key) and token.kind == "quoted":
            return self._moment(key, token)
        if token.kind != "word" or not _NUMBER.match(token.text):
            what = f"{kind} {key!r} is compared with a number, such as 0.5"
            if kind == "attribute":
                what = f"{key!r} is compared with {_UNITS.get(key, _MOMENT)}"
            self._source.fail(what, token.start)
        # Times stay exact: they go beyond what a float holds exactly. Metrics are floats.
        if kind != "metric" and key != "duration" and _WHOLE.match(token.text):
            return int(token.text)
        return float(token.text)

    def _moment(self, key: str, token: Token) -> int:
        """Return a time that was written as text."""
        found = milliseconds_of(token.unquoted) if token.text[0] != "`" else None
        if found is None:
            self._source.fail(f"{key!r} is compared with {_MOMENT}", token.start)
        return found

    def _text(self, what: str) -> str:
        token = self._source.next("a quoted text")
        if token.kind != "quoted" or token.text[0] == "`":
            shown = f"'{token.text}'" if token.kind == "word" else "'a'"
            self._source.fail(f"{what} a text: write it in quotes, such as {shown}", token.start)
        return token.unquoted

    def _texts(self) -> tuple[str, ...]:
        source = self._source
        if not source.take("(", "mark"):
            source.fail("expected a list of quoted texts in parentheses, such as ('a', 'b')")
        found = [self._text("an item of IN is")]
        while source.take(",", "mark"):
            if source.take(")", "mark"):
                return tuple(found)
            found.append(self._text("an item of IN is"))
        if not source.take(")", "mark"):
            source.fail("expected , or )")
        return tuple(found)
