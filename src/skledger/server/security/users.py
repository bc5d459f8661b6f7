"""The file of users: hashes of their passwords and tokens, and what they may do.

Passwords are hashed with argon2id (by argon2-cffi), which makes guessing them slow. A token is 256
bits of chance that nobody could guess, so its plain SHA-256 is kept, and checking it costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skledger.errors import InvalidParameterError, NotFoundError, StoreError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

__all__ = [
    "Token",
    "User",
    "UserFile",
    "check_password",
    "hash_password",
    "require_hashing",
    "token_digest",
]

#: What tokens begin with, so that they are known when they are found where they should not be.
TOKEN_PREFIX = "skl_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_SHORTEST = 8
_LONGEST = 1024
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a user.

    Parameters
    ----------
    id : str
        Its first characters behind the prefix, by which it is told from others.
    digest : str
        The SHA-256 of the token.
    created : int
        When it was made, in ms since 1970.
    note : str
        What it is for.
    read_only : bool
        Whether changes are refused, whatever the user may do otherwise.
    """

    id: str
    digest: str
    created: int
    note: str = ""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may ask the server.

    Parameters
    ----------
    password : str
        The hash of the password; "" when there is none.
    read_only : bool
        Whether changes are refused.
    tokens : tuple of Token
        What may be given instead of the password.
    """

    password: str = ""
    read_only: bool = False
    tokens: tuple[Token, ...] = field(default=())


class UserFile:
    """A file of users, which only its owner may read.

    Parameters
    ----------
    path : path-like
        The file; it need not be there yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def read(self) -> dict[str, User]:
        """Return the users by name.

        Raises
        ------
        StoreError
            The file is not there, or is none of users.
        """
        try:
            content = json.loads(self.path.read_bytes())
            if content["version"] != _VERSION:
                raise ValueError(f"its version is {content['version']!r}, expected {_VERSION}")
            return {name: _user(told) for name, told in content["users"].items()}
        except FileNotFoundError:
            raise StoreError(
                f"there is no file of users {str(self.path)!r}; add the first user: "
                f"skledger server-auth add NAME --file {self.path}"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"the file of users {str(self.path)!r} cannot be read: {error}. Expected one that "
                "skledger server-auth has written."
            ) from error

    def set_password(self, name: str, password: str, *, read_only: bool | None = None) -> None:
        """Add a user, or give one another password.

        Parameters
        ----------
        name, password : str
            The user and the password.
        read_only : bool, optional
            Whether changes are refused; when it is not said, a user that is there may do what he
            could before.
        """
        _check_name(name)
        hashed = hash_password(password)
        users = self._read_or_none()
        user = users.get(name, User())
        limited = user.read_only if read_only is None else read_only
        self._write({**users, name: User(hashed, limited, user.tokens)})

    def add_token(self, name: str, note: str = "", *, read_only: bool = False) -> str:
        """Return a new token of a user, who is added when need be; it is told only this once.

        Parameters
        ----------
        name : str
            The user.
        note : str
            What the token is for.
        read_only : bool
            Whether who gives this token may only read; the user's other ways in stay as they are.
        """
        _check_name(name)
        users = self._read_or_none()
        user = users.get(name, User())
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        shown = token.removeprefix(TOKEN_PREFIX)[:6]
        kept = Token(shown, token_digest(token), int(time.time() * 1000), note, read_only)
        self._write({**users, name: replace(user, tokens=(*user.tokens, kept))})
        return token

    def remove(self, name: str, token_id: str | None = None) -> None:
        """Remove a user, or one token of his."""
        users = self.read()
        user = users.get(name)
        if user is None:
            known = ", ".join(sorted(users)) or "nobody"
            raise NotFoundError(f"there is no user {name!r}; there are {known}.")
        if token_id is None:
            del users[name]
        else:
            left = tuple(each for each in user.tokens if each.id != token_id)
            if len(left) == len(user.tokens):
                known = ", ".join(each.id for each in user.tokens) or "none"
                raise NotFoundError(f"{name} has no token {token_id!r}; there are {known}.")
            users[name] = replace(user, tokens=left)
        self._write(users)

    def _read_or_none(self) -> dict[str, User]:
        return self.read() if self.path.exists() else {}

    def _write(self, users: Mapping[str, User]) -> None:
        told = {"version": _VERSION, "users": {name: asdict(each) for name, each in users.items()}}
        try:
            # Made for its owner alone, and renamed: nobody ever reads half of it.
            handle, temporary = tempfile.mkstemp(prefix=".users-", dir=self.path.absolute().parent)
            try:
                with os.fdopen(handle, "w") as file:
                    json.dump(told, file, indent=1)
                    file.write("\n")
                Path(temporary).replace(self.path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(
                f"cannot write the file of users {str(self.path)!r}: {error.strerror or error}"
            ) from error


def _user(told: Mapping[str, Any]) -> User:
    return User(
        str(told["password"]),
        bool(told["read_only"]),
        tuple(Token(**each) for each in told["tokens"]),
    )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidParameterError(
            f"{name!r} is no name of a user: expected letters, digits and . _ @ + -, at most 128."
        )


def token_digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _hasher() -> PasswordHasher:
    try:
        from argon2 import PasswordHasher
    except ImportError as error:
        raise StoreError(
            "for passwords, argon2-cffi is needed, which is not installed here: "
            "pip install 'skledger[auth]'. Tokens work without it: skledger server-auth token NAME"
        ) from error
    # The second of RFC 9106's choices costs 64 MiB a time; this one of OWASP's is as slow to guess
    # and lets a worker stay small.
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


def require_hashing() -> None:
    """Raise unless passwords can be hashed here; `StoreError`."""
    _hasher()


def hash_password(password: str) -> str:
    """Return the hash of a password.

    Raises
    ------
    InvalidParameterError
        It is too short, or too long.
    StoreError
        argon2-cffi is not installed.
    """
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise InvalidParameterError(
            f"a password has {_SHORTEST} to {_LONGEST} characters, got {len(password)}."
        )
    return _hasher().hash(password)


def check_password(hashed: str, password: str) -> bool:
    """Tell whether a password is the one that was hashed; takes some 20 ms."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
