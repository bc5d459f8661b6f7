"""The bodies of requests: MLflow's forms, its older ones, and CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skledger.errors import InvalidParameterError
from skledger.server.scoring.inputs import Inputs, told_kind
from skledger.server.scoring.json import loads

__all__ = ["FORMS", "FieldError", "read_json"]

#: The fields that hold data, of which a request has one.
FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_HELP = (
    "A request is an object with one of dataframe_split, dataframe_records, instances and inputs, "
    "and params if need be; /docs shows examples"
)


class FieldError(InvalidParameterError):
    """A field of a request that cannot be taken.

    Parameters
    ----------
    field : str
        Its name, such as ``dataframe_split.data``.
    reason : str
        What is wrong.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


def read_json(content: bytes | bytearray, inputs: Inputs) -> tuple[Any, dict[str, Any]]:
    """Return the data and the params of a request.

    Raises
    ------
    InvalidParameterError
        It cannot be taken; a `FieldError` names the field.
    """
    document = loads(content)
    if isinstance(document, list):  # as MLflow 1 took it
        return _of_field("body", inputs.values, document), {}
    if not isinstance(document, dict):
        raise InvalidParameterError(f"the body is {told_kind(document)}. {_HELP}.")
    params = document.pop("params", None)
    if params is not None and not isinstance(params, dict):
        raise FieldError("params", f"it is {told_kind(params)}, expected an object.")
    return _data(document, inputs), params or {}


def _data(document: Mapping[str, Any], inputs: Inputs) -> Any:
    known = {*FORMS, "columns", "data", "index"}
    unknown = sorted(set(document) - known)
    if unknown:
        raise FieldError(unknown[0], f"there is no such field. {_HELP}.")
    if "columns" in document or "data" in document:
        return _older(document, inputs)
    given = [form for form in FORMS if form in document]
    if len(given) != 1:
        raise InvalidParameterError(f"the body has {_listed(given)}. {_HELP}.")
    form, value = given[0], document[given[0]]
    if form == "dataframe_split":
        return _split(form, value, inputs)
    if form == "dataframe_records":
        return _of_field(form, inputs.records, _records(form, value))
    if form == "inputs" and isinstance(value, dict):
        return _of_field(form, inputs.columns, value)
    return _of_field(form, inputs.values, value)


def _listed(given: list[str]) -> str:
    return " and ".join(given) if given else "no field with data"


def _of_field(field: str, read: Callable[..., Any], *values: Any) -> Any:
    try:
        return read(*values)
    except FieldError:
        raise
    except InvalidParameterError as error:
        raise FieldError(field, error.message) from error


def _older(document: Mapping[str, Any], inputs: Inputs) -> Any:
    """Read ``columns`` with ``data``, as MLflow 1 took it, or with ``instances``, as is taught."""
    forms = [form for form in ("data", "instances") if form in document]
    others = [form for form in FORMS if form in document and form != "instances"]
    if len(forms) != 1 or others or ("columns" not in document and forms == ["data"]):
        raise InvalidParameterError(
            f"the body has the fields {sorted(document)}; beside columns there is either data or "
            f"instances. {_HELP}."
        )
    columns = _columns("columns", document["columns"])
    rows = document[forms[0]]
    is_list = isinstance(rows, list) and len(rows) > 0
    if forms == ["instances"] and is_list and not isinstance(rows[0], list | dict):
        rows = [rows]
    return _of_field(forms[0], inputs.table, columns, rows)


def _split(form: str, value: Any, inputs: Inputs) -> Any:
    if not isinstance(value, dict):
        raise FieldError(form, f"it is {told_kind(value)}, expected an object with data.")
    unknown = sorted(set(value) - {"columns", "data", "index"})
    if unknown:
        raise FieldError(f"{form}.{unknown[0]}", "there is no such field.")
    if "data" not in value:
        raise FieldError(f"{form}.data", "it is missing; expected a list of rows.")
    columns = value.get("columns")
    if columns is not None:
        columns = _columns(f"{form}.columns", columns)
    return _of_field(f"{form}.data", inputs.table, columns, value["data"])


def _columns(field: str, columns: Any) -> list[Any]:
    if not isinstance(columns, list) or not all(map(_is_name, columns)):
        raise FieldError(field, "expected a list of names.")
    return columns


def _is_name(value: Any) -> bool:
    """Tell a label from what is none; the labels of several levels are lists."""
    parts = value if isinstance(value, list) else [value]
    return all(isinstance(each, str | int | float | None) for each in parts)


def _records(field: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise FieldError(field, f"it is {told_kind(value)}, expected a list of objects.")
    for at, each in enumerate(value):
        if type(each) is not dict:
            raise FieldError(
                f"{field}[{at}]", f"it is {told_kind(each)}, expected an object with columns."
            )
    return value
