"""Notes and descriptions that people edit: none overwrites what somebody else wrote meanwhile."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from skledger.errors import InvalidParameterError

if TYPE_CHECKING:
    from skledger.server.pages.routing import Form

__all__ = ["edited", "edition"]

_SHOWN = 200


def edition(text: str) -> str:
    """Return what tells a text from what it was, for a form to bring back."""
    return blake2b(text.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def edited(fields: Form, now: str) -> str:
    """Return the note that a form brings, given the text that is there now.

    Raises
    ------
    InvalidParameterError
        When the text was changed since the page of the form was made.
    """
    text = fields.text("note")
    if fields.get("was", edition(now)) != edition(now) and text != now:
        shown = now if len(now) <= _SHOWN else f"{now[:_SHOWN]}…"
        raise InvalidParameterError(
            "somebody else has changed this text since the page was opened. Open the page again, "
            f"and add yours to what is there now: {shown or 'nothing any more'}"
        )
    return text
