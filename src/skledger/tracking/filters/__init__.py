"""The search grammar: filters and orders as text, read into plain values.

::

    filter      = comparison { "AND" comparison }
    comparison  = identifier operator value
                | identifier [ "NOT" ] ( "LIKE" | "ILIKE" ) text
                | identifier [ "NOT" ] "IN" "(" text { "," text } ")"
                | identifier "IS" [ "NOT" ] "NULL"
    identifier  = [ kind "." ] key
    kind        = "metrics" | "params" | "tags" | "attributes" | "dataset"   (and their aliases)
    key         = a word, or anything in backticks or double quotes
    operator    = "=" | "!=" | "<" | "<=" | ">" | ">="
    value       = a number, or a quoted text; for times also ``'2026-01-31 14:30+02:00'``
    order       = identifier [ "AS" "NUMBER" ] [ "ASC" | "DESC" ]

It is MLflow's grammar and a little more: MLflow takes ``IN`` only for identifiers and data sets,
``IS NULL`` only for tags and params, no ``NOT LIKE``, no ``AS NUMBER``, times
in milliseconds only and no ``duration`` and ``estimator``. Keywords may be written
in any case, and a quote inside of a text is doubled. What can be asked of which entity is in
`fields`. Nothing here knows a store: the stores turn what is read into SQL or into Python.
"""

from skledger.tracking.filters.moments import duration_milliseconds
from skledger.tracking.filters.reading import parse_filter, parse_order_by
from skledger.tracking.filters.syntax import (
    Comparison,
    Ordering,
    Value,
    format_filter,
    format_order_by,
)

__all__ = [
    "Comparison",
    "Ordering",
    "Value",
    "duration_milliseconds",
    "format_filter",
    "format_order_by",
    "parse_filter",
    "parse_order_by",
]
