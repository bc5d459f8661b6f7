"""The signature of a model: what it takes and what it gives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from skledger._guard import muted, say
from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    from skledger.models.example import Example
    from skledger.models.python_model import LoadedPythonModel
    from skledger.types.schema import ParamSchema, Schema

__all__ = ["ModelSignature", "as_array", "infer_signature", "signature_for"]


class ModelSignature:
    """What a model takes and what it gives.

    Parameters
    ----------
    inputs : Schema, optional
        What ``predict`` takes.
    outputs : Schema, optional
        What it returns.
    params : ParamSchema, optional
        What may be passed along with the data.

    Raises
    ------
    InvalidParameterError
        When none of them is given, or one is of another type.
    """

    def __init__(
        self,
        inputs: Schema | None = None,
        outputs: Schema | None = None,
        params: ParamSchema | None = None,
    ) -> None:
        from skledger.types.schema import ParamSchema, Schema

        given = {"inputs": inputs, "outputs": outputs, "params": params}
        expected: dict[str, type] = {"inputs": Schema, "outputs": Schema, "params": ParamSchema}
        if all(each is None for each in given.values()):
            raise InvalidParameterError(
                "a signature says at least one of inputs, outputs and params; it was given none."
            )
        for name, each in given.items():
            if each is not None and not isinstance(each, expected[name]):
                raise InvalidParameterError(
                    f"the {name} of a signature are a {expected[name].__name__}, not {each!r}. "
                    "infer_signature makes a signature from data."
                )
        self.inputs = inputs
        self.outputs = outputs
        self.params = params

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelSignature) and self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]

    def _parts(self) -> tuple[Any, ...]:
        return self.inputs, self.outputs, self.params

    def __repr__(self) -> str:
        named = zip(("inputs", "outputs", "params"), self._parts(), strict=True)
        return "".join(f"{name}:\n  {part!r}\n" for name, part in named)

    def to_dict(self) -> dict[str, str | None]:
        """Return the form that is written to ``MLmodel``: a JSON text, or None, for each part."""
        return {
            "inputs": None if self.inputs is None else self.inputs.to_json(),
            "outputs": None if self.outputs is None else self.outputs.to_json(),
            "params": None if self.params is None else self.params.to_json(),
        }

    @classmethod
    def from_dict(cls, signature_dict: Mapping[str, Any]) -> ModelSignature:
        """Return the signature that `to_dict` wrote, ours or MLflow's."""
        from skledger.types.schema import ParamSchema, Schema

        inputs, outputs, params = map(signature_dict.get, ("inputs", "outputs", "params"))
        return cls(
            None if not inputs else Schema.from_json(inputs),
            None if not outputs else Schema.from_json(outputs),
            None if not params else ParamSchema.from_json(params),
        )


def infer_signature(
    model_input: Any = None, model_output: Any = None, params: Mapping[str, Any] | None = None
) -> ModelSignature:
    """Describe a model by an example of what it takes and of what it gives.

    Parameters
    ----------
    model_input : DataFrame, Series, array, sparse matrix, dict or list, optional
        Data for ``predict``. A column with missing values becomes optional.
    model_output : array, DataFrame, Series, list or dict, optional
        What ``predict`` returned.
    params : mapping, optional
        Settings that a caller may pass along with the data, and their defaults.

    Returns
    -------
    ModelSignature
        Its printed form is MLflow's.

    Raises
    ------
    InvalidParameterError
        When nothing is given, or a param has no type.

    Examples
    --------
    >>> import pandas as pd
    >>> from skledger.models import infer_signature
    >>> print(infer_signature(pd.DataFrame({"rooms": [2, 3]}), [200.0, 220.0]))
    inputs:
      ['rooms': long (required)]
    outputs:
      [double (required)]
    params:
      None
    <BLANKLINE>
    """
    from skledger.models.infer import params_of, schema_of

    return ModelSignature(
        None if model_input is None else schema_of(model_input),
        None if model_output is None else schema_of(model_output),
        None if not params else params_of(params),
    )


def signature_for(
    model: Any,
    given: ModelSignature | bool | None,
    example: Example | None,
    predict_fn: str,
    *,
    made: Callable[[], LoadedPythonModel] | None = None,
) -> ModelSignature | None:
    """Return the signature that a model is stored with.

    Parameters
    ----------
    model : object
        The model.
    given : ModelSignature, False or None
        What the caller says; None leaves it to the example.
    example : Example or None
        What the model takes.
    predict_fn : str
        The method that predicts.
    made : callable, optional
        Makes the model when it is needed, instead of `model`.

    Returns
    -------
    ModelSignature or None
        None when there is none, and when the model does not predict from the example: one line
        says so.
    """
    if isinstance(given, ModelSignature):
        return given
    if given is not None and given is not False:
        raise InvalidParameterError(
            f"the signature of a model is a ModelSignature or False, not {given!r}. "
            "infer_signature makes one from data."
        )
    if given is False or example is None or not (made or hasattr(model, predict_fn)):
        return None
    try:
        with muted():
            model = model if made is None else made()
        return _from_example(model, example, predict_fn)
    except Exception as error:  # noqa: BLE001 - it is the model's own; the model is stored all the same
        say(
            logging.WARNING,
            "skledger: no signature was inferred, because %s.%s failed on the input example: "
            "%s: %s",
            getattr(model, "kind", None) or type(model).__name__,
            predict_fn,
            type(error).__name__,
            error,
        )
        return None


def as_array(data: Any) -> Any:
    """Return a list of rows of numbers as an array, anything else as it is."""
    if isinstance(data, list) and data and isinstance(data[0], list | tuple):
        import numpy as np

        return np.asarray(data)
    return data


def _from_example(model: Any, example: Example, predict_fn: str) -> ModelSignature:
    from skledger.models.asking import as_texts
    from skledger.models.enforcing import enforce_schema
    from skledger.models.infer import schema_of
    from skledger.models.python_model import LoadedPythonModel

    data = as_array(example.data)
    signature = infer_signature(data, params=example.params)
    inputs = signature.inputs
    predict = getattr(model, predict_fn)
    if isinstance(model, LoadedPythonModel):
        predict = partial(predict, params=example.params)
    with muted():
        output = predict(data if inputs is None else as_texts(model, enforce_schema(data, inputs)))
    if inputs is not None and not inputs.is_tensor_spec() and getattr(output, "ndim", 0) == 1:
        import pandas as pd

        output = pd.Series(output)  # rows in, rows out
    return ModelSignature(inputs, schema_of(output), signature.params)
