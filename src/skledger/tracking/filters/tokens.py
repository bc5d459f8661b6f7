"""The words of a filter, and messages that point at one of them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NoReturn

from skledger.errors import InvalidParameterError

__all__ = ["Source", "Token"]

#: The longest text, in characters: room for the identifiers of some 7000 runs.
_LONGEST = 256 * 1024
#: How much of a long text a message shows, in characters before and after the place.
_BEFORE, _AFTER = 60, 40

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<quoted>'[^']*+(?:''[^']*+)*+' | "[^"]*+(?:""[^"]*+)*+" | `[^`]*+`)
      | (?P<operator><=|>=|!=|<>|==|=|<|>)
      | (?P<mark>[(),])
      | (?P<word>[^\s=<>!'"`(),;]+)""",
    re.VERBOSE,
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNEXPECTED = {
    ";": "one filter is all there can be, without a ; at its end",
    "!": "expected !=",
}


@dataclass(frozen=True, slots=True)
class Token:
    """One word, quoted text, operator or mark, and where it stands."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def unquoted(self) -> str:
        """The text without its quotes; a doubled quote inside is one."""
        if self.kind != "quoted":
            return self.text
        quote = self.text[0]
        inner = self.text[1:-1]
        return inner if quote == "`" else inner.replace(quote * 2, quote)


class Source:
    """A text, its tokens and how far it was read.

    Parameters
    ----------
    text : str
        The text.
    what : str
        What it is, with its article, for messages.
    example : str
        What it may look like, for messages.

    Raises
    ------
    InvalidParameterError
        When it is no text, is too long, or has a character that no filter has.
    """

    def __init__(self, text: object, what: str, example: str) -> None:
        self.what = what
        self._example = example
        if not isinstance(text, str):
            raise InvalidParameterError(
                f"{what} must be text such as {example!r}, got {type(text).__name__}: {text!r:.80}"
            )
        if len(text) > _LONGEST:
            raise InvalidParameterError(
                f"{what} has at most {_LONGEST} characters, got {len(text)}: ask in parts"
            )
        self.text: str = text
        self._position = 0
        self._tokens: list[Token] = []
        self._tokens = self._tokenize()

    def _tokenize(self) -> list[Token]:
        surrogate = _SURROGATE.search(self.text)
        if surrogate:
            self.fail("a lone surrogate is not text that can be stored", surrogate.start())
        tokens = []
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                self._fail_at_character(at)
            if match.lastgroup != "space":
                tokens.append(Token(match.lastgroup or "", match.group(), at, match.end()))
            at = match.end()
        return tokens

    def _fail_at_character(self, at: int) -> NoReturn:
        character = self.text[at]
        if character in "'\"`":
            self.fail(f"this quote is never closed: expected another {character}", at)
        hint = _UNEXPECTED.get(character)
        self.fail(f"unexpected character{f' ({hint})' if hint else ''}", at)

    @property
    def at_end(self) -> bool:
        """Whether all was read."""
        return self._position >= len(self._tokens)

    def peek(self, ahead: int = 0) -> Token | None:
        """Return a token that was not read yet, or None behind the last."""
        at = self._position + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def next(self, expected: str) -> Token:
        """Read a token; `expected` says what it should be, should there be none."""
        token = self.peek()
        if token is None:
            self.fail(f"it ends where {expected} should follow")
        self._position += 1
        return token

    def take(self, text: str, kind: str = "word") -> bool:
        """Read the keyword or mark if it is next."""
        token = self.peek()
        found = token is not None and token.kind == kind and token.text.upper() == text
        self._position += found
        return found

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        """Raise with the text and a caret under the place: by default what is next."""
        if at is None:
            token = self.peek()
            at = len(self.text) if token is None else token.start
        before, after = self.text[max(at - _BEFORE, 0) : at], self.text[at : at + _AFTER]
        head = "..." if at > _BEFORE else ""
        tail = "..." if len(self.text) > at + _AFTER else ""
        blank = " " * (len(head) + _width(_shown(before)))
        what = self.what.partition(" ")[2]
        raise InvalidParameterError(
            f"cannot read the {what}: {reason}\n"
            f"  {head}{_shown(before)}{_shown(after)}{tail}\n"
            f"  {blank}^\n"
            f"{self.what} looks like: {self._example}"
        )


def _shown(text: str) -> str:
    """Return a text as one line that can be printed."""
    return "".join(
        " " if each.isspace() else each if each.isprintable() else "\ufffd" for each in text
    )


def _width(text: str) -> int:
    """Return how many columns a terminal takes for a text."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )
