"""What is typed into a search field: a filter in the grammar, or words to look for in names."""

from __future__ import annotations

import re

from skledger.errors import InvalidParameterError
from skledger.tracking.filters import Comparison, parse_filter

__all__ = ["asked_for"]

#: What filters have and names that are looked for have not: then it is a filter with a mistake.
_OF_FILTERS = re.compile(r"[='\"<>`]")
_PLACEHOLDERS = re.compile(r"[%_\\]")


def asked_for(text: str, entity: str = "run") -> list[Comparison]:
    """Return the conditions that a text stands for.

    Parameters
    ----------
    text : str
        As it was typed.
    entity : {"run", "experiment", "registered_model"}
        What is searched.

    Raises
    ------
    InvalidParameterError
        When it is a filter with a mistake; the message says where and why.
    """
    text = text.strip()
    if not text:
        return []
    try:
        return list(parse_filter(text, entity))
    except InvalidParameterError:
        if _OF_FILTERS.search(text):
            raise
    # Not every database has a sign that makes % and _ plain, but in all of them _ finds itself.
    words = _PLACEHOLDERS.sub("_", text)
    return [
        Comparison("attribute", "run_name" if entity == "run" else "name", "ILIKE", f"%{words}%")
    ]
