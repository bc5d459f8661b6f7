"""Who asks."""

from __future__ import annotations

from contextvars import ContextVar

__all__ = ["ASKING"]

#: The name of the user whose request is answered; "" where nobody has to say who he is.
ASKING: ContextVar[str] = ContextVar("skledger_user", default="")
