"""The search grammar: filters and orders as text, read into plain values.

::

    filter      = comparison { "AND" comparison }
    comparison  = identifier operator value
                | identifier [ "NOT" ] ( "LIKE" | "ILIKE" ) text
                | identifier [ "NOT" ] "IN" "(" text { "," text } ")"
                | identifier "IS" [ "NOT" ] "NULL"
    identifier  = [ entity "." ] key
    entity      = "metrics" | "params" | "tags" | "attributes" | "dataset"   (and their aliases)
    key         = a word, or anything in backticks or double quotes
    operator    = "=" | "!=" | "<" | "<=" | ">" | ">="
    order       = identifier [ "ASC" | "DESC" ]

It is MLflow's grammar and a little more: MLflow takes ``IN`` only for ``run_id`` and data sets,
``IS NULL`` only for tags and params, and no ``NOT LIKE``. Keywords may be written in any case.
This module knows no store: the stores turn what is read here into SQL or into Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from skledger.errors import InvalidParameterError

__all__ = ["Comparison", "Ordering", "Value", "parse_filter", "parse_order_by"]

Value = str | int | float | tuple[str, ...] | None

_ENTITIES = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run", "experiment"), "attribute"),
    **dict.fromkeys(("dataset", "datasets"), "dataset"),
}
_KINDS = {
    "run": ("metric", "param", "tag", "attribute", "dataset"),
    "experiment": ("tag", "attribute"),
}
_ATTRIBUTES: dict[str, Mapping[str, str]] = {
    "run": {
        "run_id": "run_id",
        "run_name": "run_name",
        "run name": "run_name",
        "status": "status",
        "start_time": "start_time",
        "created": "start_time",
        "end_time": "end_time",
        "user_id": "user_id",
        "artifact_uri": "artifact_uri",
    },
    "experiment": {
        "experiment_id": "experiment_id",
        "name": "name",
        "creation_time": "creation_time",
        "last_update_time": "last_update_time",
    },
}
#: How tables and DataFrames of runs call what the grammar names otherwise.
_COLUMNS: dict[str, Mapping[str, str]] = {
    "run": {
        "name": "run_name",
        "run": "run_id",
        "when": "start_time",
        "duration": "metrics.fit_seconds",
        "estimator": "tags.estimator_name",
    },
    "experiment": {},
}
_NUMBERS = frozenset({"start_time", "end_time", "creation_time", "last_update_time"})
_DATASET_KEYS = ("name", "digest", "context")
_EXAMPLE = {
    "run": "metrics.accuracy > 0.9 and params.C = '1'",
    "experiment": "name LIKE 'iris%' and tags.team = 'a'",
}

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*`)
      | (?P<operator><=|>=|!=|<>|==|=|<|>)
      | (?P<mark>[(),])
      | (?P<word>[^\s=<>!'"`(),;]+)""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One condition of a filter; all conditions of a filter must hold.

    Parameters
    ----------
    kind : {"metric", "param", "tag", "attribute", "dataset"}
        What the key names.
    key : str
        The key; of an attribute or a data set, its canonical name.
    operator : str
        ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, or ``LIKE``, ``ILIKE``, ``IN`` and their
        ``NOT``, or ``IS NULL`` and ``IS NOT NULL``.
    value : float, str, tuple of str or None
        A number for metrics and times, a tuple for ``IN``, None for ``IS NULL``, text otherwise.
    """

    kind: str
    key: str
    operator: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Ordering:
    """One key to sort by. What has no value comes last in both directions."""

    kind: str
    key: str
    ascending: bool = True


def parse_filter(text: str | None, entity: str = "run") -> tuple[Comparison, ...]:
    """Read a filter.

    Parameters
    ----------
    text : str or None
        The filter; nothing at all, or only spaces, selects everything.
    entity : {"run", "experiment"}
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
    if not text or not text.strip():
        return ()
    reader = _Reader(text, entity, "filter")
    found = [reader.comparison()]
    while reader.take_word("AND"):
        found.append(reader.comparison())
    if not reader.at_end:
        reader.fail("expected AND, or the end (OR and parentheses are not part of the grammar)")
    return tuple(found)


def parse_order_by(clauses: Sequence[str] | None, entity: str = "run") -> tuple[Ordering, ...]:
    """Read the clauses of an order, such as ``["metrics.accuracy DESC", "start_time"]``.

    Raises
    ------
    InvalidParameterError
        When a clause cannot be read or names a key a second time.
    """
    if isinstance(clauses, str):
        raise InvalidParameterError(
            f"order_by must be a list of clauses, got the text {clauses!r}: write [{clauses!r}]"
        )
    found: list[Ordering] = []
    for text in clauses or ():
        reader = _Reader(text, entity, "order_by clause")
        ordering = reader.ordering()
        if any((each.kind, each.key) == (ordering.kind, ordering.key) for each in found):
            raise InvalidParameterError(
                f"order_by names {ordering.kind} {ordering.key!r} twice: {list(clauses or ())!r}; "
                "name each key once"
            )
        found.append(ordering)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    @property
    def unquoted(self) -> str:
        if self.kind != "quoted":
            return self.text
        quote = self.text[0]
        inner = self.text[1:-1]
        return inner if quote == "`" else inner.replace(quote * 2, quote)


class _Reader:
    """A recursive descent reader over the tokens of one text."""

    def __init__(self, text: str, entity: str, what: str) -> None:
        self.a_what = f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
        if entity not in _KINDS:
            raise InvalidParameterError(f"cannot search {entity!r}: expected one of {list(_KINDS)}")
        if not isinstance(text, str):
            raise InvalidParameterError(
                f"{self.a_what} must be text such as {_EXAMPLE[entity]!r}, got "
                f"{type(text).__name__}"
            )
        self.text = text
        self.entity = entity
        self.what = what
        self.position = 0
        self.tokens: list[_Token] = []
        self.tokens = self._tokenize()

    def _tokenize(self) -> list[_Token]:
        tokens = []
        surrogate = re.search("[\ud800-\udfff]", self.text)
        if surrogate:
            self.text = self.text.encode("utf-8", "replace").decode()
            self.fail("a lone surrogate is not text that can be stored", surrogate.start())
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                quote = self.text[at]
                reason = "this quote is never closed" if quote in "'\"`" else "unexpected character"
                self.fail(reason, at)
            if match.lastgroup != "space":
                tokens.append(_Token(match.lastgroup or "", match.group(), at, match.end()))
            at = match.end()
        return tokens

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.tokens)

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        """Raise with the text and a caret under the place."""
        if at is None:
            at = len(self.text) if self.at_end else self.tokens[self.position].start
        # Every white space shows as one blank, so that the caret stands under its character.
        line = re.sub(r"\s", " ", self.text)
        example = _EXAMPLE[self.entity] if self.what == "filter" else "start_time DESC"
        raise InvalidParameterError(
            f"cannot read the {self.what}: {reason}\n"
            f"  {line}\n  {' ' * at}^\n{self.a_what} looks like: {example}"
        )

    def _peek(self) -> _Token | None:
        return None if self.at_end else self.tokens[self.position]

    def _next(self, expected: str) -> _Token:
        token = self._peek()
        if token is None:
            self.fail(f"it ends where {expected} should follow")
        self.position += 1
        return token

    def take_word(self, word: str) -> bool:
        """Take the keyword if it is next."""
        token = self._peek()
        if token is not None and token.kind == "word" and token.text.upper() == word:
            self.position += 1
            return True
        return False

    def _take_mark(self, mark: str) -> bool:
        token = self._peek()
        if token is not None and token.kind == "mark" and token.text == mark:
            self.position += 1
            return True
        return False

    def ordering(self) -> Ordering:
        """Read an identifier and its direction."""
        kind, key = self.identifier()
        if kind == "dataset" or (self.entity == "experiment" and kind == "tag"):
            self.fail(f"{self.entity}s cannot be sorted by a {kind}", 0)
        ascending = not self.take_word("DESC")
        if ascending:
            self.take_word("ASC")
        if not self.at_end:
            self.fail("expected ASC, DESC or the end (one clause names one key)")
        return Ordering(kind, key, ascending)

    def comparison(self) -> Comparison:
        """Read one condition."""
        kind, key = self.identifier()
        numeric = kind == "metric" or (kind == "attribute" and key in _NUMBERS)
        if self.take_word("IS"):
            operator = "IS NOT NULL" if self.take_word("NOT") else "IS NULL"
            if not self.take_word("NULL"):
                self.fail("expected NULL")
            if kind == "dataset":
                self.fail("a data set cannot be compared with NULL")
            return Comparison(kind, key, operator)
        start = self.position
        operator = self._operator()
        if operator.endswith(("IN", "LIKE")) and numeric:
            self.position = start
            self.fail(f"{kind} {key!r} is a number: compare it with =, !=, <, <=, > or >=")
        if operator[0] in "<>" and not numeric:
            self.position = start
            self.fail(f"{kind} {key!r} is text, which has no order here: use =, !=, LIKE or IN")
        if operator.endswith("IN"):
            return Comparison(kind, key, operator, self._texts())
        if numeric:
            return Comparison(kind, key, operator, self._number(kind, key))
        return Comparison(kind, key, operator, self._text(kind, key))

    def identifier(self) -> tuple[str, str]:
        """Read what is compared or sorted by: its kind and its key."""
        first = self._next("a key")
        if first.kind not in ("word", "quoted") or first.text[0] == "'":
            self.fail("expected a key such as metrics.accuracy or status", first.start)
        name, key = first.unquoted, ""
        if first.kind == "word":
            name, dot, key = first.text.partition(".")
            dotted = bool(dot)
        else:
            token = self._peek()
            dotted = token is not None and token.kind == "word" and token.text[0] == "."
            if dotted:
                key = self._next("a key").text[1:]
        if not dotted:
            return "attribute", self._known("attribute", name, first.start)
        kind = _ENTITIES.get(name.lower())
        if kind is None or kind not in _KINDS[self.entity]:
            known = ", ".join(_KINDS[self.entity])
            self.fail(f"{name!r} is not one of {known}; quote a key that has dots", first.start)
        start = first.start
        if not key:
            token = self._next("a key")
            if token.kind not in ("word", "quoted"):
                self.fail("expected a key", token.start)
            key, start = token.unquoted, token.start
        if not key:
            self.fail("the key is empty", start)
        return kind, self._known(kind, key, start)

    def _known(self, kind: str, key: str, start: int) -> str:
        if kind == "attribute":
            names = _ATTRIBUTES[self.entity]
            if key.lower() not in names:
                known = ", ".join(dict.fromkeys(names.values()))
                meant = self._meant(key)
                self.fail(f"{key!r} is not an attribute of a {self.entity} ({known}){meant}", start)
            return names[key.lower()]
        if kind == "dataset" and key.lower() not in _DATASET_KEYS:
            self.fail(f"{key!r} is not known of a data set ({', '.join(_DATASET_KEYS)})", start)
        return key.lower() if kind == "dataset" else key

    def _meant(self, key: str) -> str:
        """Suggest what a word stands for that is no attribute; what follows it gives a hint."""
        import difflib

        names = {**_ATTRIBUTES[self.entity], **_COLUMNS[self.entity]}
        close = difflib.get_close_matches(key.lower(), names, n=1, cutoff=0.85)
        if close:
            return f"; did you mean {names[close[0]]}?"
        if self.entity != "run" or not key or _NUMBER.match(key):
            return ""
        key = key if re.fullmatch(r"[\w.]+", key) else f"`{key}`"
        follow = [each.text[0] for each in self.tokens[self.position : self.position + 2]]
        if self.what != "filter":
            return f"; did you mean metrics.{key}, params.{key} or tags.{key}?"
        if len(follow) == 2 and follow[1] in "'\"":
            return f"; did you mean params.{key} or tags.{key}?"
        return f"; did you mean metrics.{key}?"

    def _operator(self) -> str:
        token = self._next("a comparison")
        if token.text in ("<>", "=="):
            right = "!=" if token.text == "<>" else "="
            self.fail(f"{token.text} is written {right} here", token.start)
        if token.kind == "operator":
            return token.text
        word = token.text.upper() if token.kind == "word" else ""
        if word in ("LIKE", "ILIKE", "IN"):
            return word
        if word == "NOT":
            for each in ("LIKE", "ILIKE", "IN"):
                if self.take_word(each):
                    return f"NOT {each}"
            self.fail("expected LIKE, ILIKE or IN after NOT")
        return self.fail("expected =, !=, <, <=, >, >=, LIKE, ILIKE, IN or IS NULL", token.start)

    def _number(self, kind: str, key: str) -> float | int:
        token = self._next("a number")
        if token.kind != "word" or not _NUMBER.match(token.text):
            self.fail(f"{kind} {key!r} is compared with a number, such as 0.5", token.start)
        # Whole numbers stay exact: times and steps go beyond what a float holds exactly.
        if re.fullmatch(r"[+-]?\d{1,18}", token.text, re.ASCII):
            return int(token.text)
        return float(token.text)

    def _text(self, kind: str, key: str) -> str:
        token = self._next("a quoted text")
        if token.kind != "quoted" or token.text[0] == "`":
            self.fail(
                f"{kind} {key!r} is compared with a text: write it in quotes, such as 'a'",
                token.start,
            )
        return token.unquoted

    def _texts(self) -> tuple[str, ...]:
        if not self._take_mark("("):
            self.fail("expected a list of quoted texts in parentheses, such as ('a', 'b')")
        found = [self._text("an item of", "IN")]
        while self._take_mark(","):
            if self._take_mark(")"):
                return tuple(found)
            found.append(self._text("an item of", "IN"))
        if not self._take_mark(")"):
            self.fail("expected , or )")
        return tuple(found)
