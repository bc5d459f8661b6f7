"""In which forms a model's file may be: the formats, and the compressions around them."""

from __future__ import annotations

from dataclasses import dataclass

from skledger.errors import InvalidParameterError

__all__ = ["COMPRESSIONS", "FORMATS", "Form", "form_named", "form_of"]

#: How an estimator is turned into bytes. All but skops run code when they are read.
FORMATS = ("cloudpickle", "pickle", "skops", "joblib")
#: What may be put around it.
COMPRESSIONS = ("zlib", "zstd")

_ENDINGS = {"skops": "skops", "joblib": "joblib"}
_COMPRESSED_ENDINGS = {None: "", "zlib": ".zz", "zstd": ".zst"}


@dataclass(frozen=True, slots=True)
class Form:
    """How the file of a model is written.

    Parameters
    ----------
    serialization_format : str
        One of `FORMATS`.
    compression : str, optional
        One of `COMPRESSIONS`; None leaves it as it is.
    """

    serialization_format: str = "cloudpickle"
    compression: str | None = None

    @property
    def name(self) -> str:
        """What ``MLmodel`` calls it, such as ``cloudpickle+zstd``.

        MLflow names the format in the same place, and says that it does not know this one: a
        clear answer, where a compressed pickle under the plain name would be a broken one.
        """
        parts = (self.serialization_format, self.compression)
        return "+".join(part for part in parts if part is not None)

    @property
    def file_name(self) -> str:
        """The name of the file in the model folder."""
        ending = _ENDINGS.get(self.serialization_format, "pkl")
        return f"model.{ending}{_COMPRESSED_ENDINGS[self.compression]}"

    @property
    def runs_code(self) -> bool:
        """Whether reading it runs code that the file chooses."""
        return self.serialization_format != "skops"

    @property
    def is_read_by_mlflow(self) -> bool:
        """Whether MLflow can read it without our help."""
        return self.compression is None and self.serialization_format != "joblib"


def form_of(serialization_format: str | None, compression: str | None = None) -> Form:
    """Return the form that a caller asks for.

    Raises
    ------
    InvalidParameterError
        When there is no such format or compression.
    """
    wanted = "cloudpickle" if serialization_format is None else serialization_format
    if wanted not in FORMATS:
        known = ", ".join(map(repr, FORMATS[:-1]))
        raise InvalidParameterError(
            f"serialization_format is {wanted!r}; expected {known} or {FORMATS[-1]!r}."
        )
    if compression is not None and compression not in COMPRESSIONS:
        raise InvalidParameterError(
            f"compression is {compression!r}; expected None, 'zlib' or 'zstd'."
        )
    return Form(wanted, compression)


def form_named(name: object) -> Form | None:
    """Return the form that an ``MLmodel`` names; None when there is no such form."""
    if not isinstance(name, str):
        return None
    serialization_format, _, compression = name.partition("+")
    if serialization_format not in FORMATS or compression not in ("", *COMPRESSIONS):
        return None
    return Form(serialization_format, compression or None)
