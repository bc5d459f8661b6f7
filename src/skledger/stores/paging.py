"""Page tokens: where the next page starts."""

from __future__ import annotations

import base64
import binascii

from skledger.errors import InvalidParameterError

__all__ = ["read_token", "write_token"]


def write_token(offset: int) -> str:
    """Return the token of the page that starts at this position."""
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def read_token(token: str | None) -> int:
    """Return the position that a token stands for; no token is the start.

    Raises
    ------
    InvalidParameterError
        When no store wrote it.
    """
    if not token:
        return 0
    try:
        number = base64.b64decode(token, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError, TypeError):
        number = ""
    if not number.isdigit() or len(number) > 18:
        raise InvalidParameterError(
            f"{token!r} is not a page token: pass the `token` of the page before, unchanged"
        )
    return int(number)
