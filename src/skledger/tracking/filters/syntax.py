"""What filters and orders are once they are read, and how they are written again."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from skledger.errors import InvalidParameterError

__all__ = ["Comparison", "Ordering", "Value", "format_filter", "format_order_by"]

Value = str | int | float | tuple[str, ...] | None


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
    value : float, int, str, tuple of str or None
        A float for metrics, a number for times and versions, a tuple for ``IN``, None for
        ``IS NULL``, text otherwise.
    """

    kind: str
    key: str
    operator: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Ordering:
    """One key to sort by.

    Parameters
    ----------
    kind, key : str
        As of a `Comparison`.
    ascending : bool, default=True
        Whether the smallest comes first. NaN comes after all numbers, and what has no value
        after that, in both directions.
    dataset_name, dataset_digest : str, default=""
        Count only a metric's values on this data set (for the metrics of logged models).
    by_number : bool, default=False
        Whether texts that are numbers are sorted as such, and other texts after them.
    """

    kind: str
    key: str
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""
    by_number: bool = False


def format_filter(conditions: Iterable[Comparison], entity: str = "run") -> str:
    """Return the filter that reads as these conditions, in words that MLflow reads as well.

    Raises
    ------
    InvalidParameterError
        When a number is NaN, with which nothing can be compared.
    """
    return " AND ".join(_condition(each, entity) for each in conditions)


def format_order_by(orderings: Iterable[Ordering], entity: str = "run") -> list[str]:
    """Return the clauses that read as this order; data sets are not part of their grammar."""
    return [
        f"{_identifier(each.kind, each.key, entity)}{' AS NUMBER' if each.by_number else ''} "
        f"{'ASC' if each.ascending else 'DESC'}"
        for each in orderings
    ]


def _condition(each: Comparison, entity: str) -> str:
    text = f"{_identifier(each.kind, each.key, entity)} {each.operator}"
    if each.value is None:
        return text
    if isinstance(each.value, tuple):
        return f"{text} ({', '.join(_quoted(item) for item in each.value)})"
    if isinstance(each.value, str):
        return f"{text} {_quoted(each.value)}"
    return f"{text} {_number(each.value)}"


def _identifier(kind: str, key: str, entity: str) -> str:
    if kind == "attribute":
        # MLflow knows the times of a logged model only without the prefix.
        return key if entity == "logged_model" else f"attribute.{key}"
    if kind == "dataset":
        return f"dataset.{key}"
    quoted = '"' + key.replace('"', '""') + '"' if "`" in key else f"`{key}`"
    return f"{kind}s.{quoted}"


def _quoted(text: str) -> str:
    # MLflow takes either quote but knows no doubled ones: double them only where both occur.
    if "'" in text and '"' not in text:
        return f'"{text}"'
    return "'" + text.replace("'", "''") + "'"


def _number(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        if math.isnan(value):
            raise InvalidParameterError("a filter cannot compare with NaN: use a number")
        return "1e999" if value > 0 else "-1e999"
    return repr(value).replace("e+", "e")  # as MLflow reads numbers
