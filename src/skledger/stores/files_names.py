"""Keys as file names, and back.

In MLflow's directory layout the key of a param, metric or tag is the path of its file. MLflow
refuses to read a whole experiment when one key in it has a character it does not know, and a file
system has rules of its own. What neither would take is written as its code in hexadecimal
between two marks: ``%`` becomes a mark, ``25`` and a mark. The mark is U+01C3, which looks like an
exclamation mark and is a letter, so MLflow takes the name as it is and shows it so; here it reads
back as the key it was.
"""

from __future__ import annotations

import os
import re

__all__ = ["MARK", "key_of", "other_name", "usual_name"]

#: Stands around the code of a character; a letter that no language of keys uses.
MARK = "\u01c3"
#: The bytes of a name that every file system takes, with room to spare.
_MAX_BYTES = 240

_ALLOWED = r"\w.\- " if os.name == "nt" else r"\w.\- :"
_usual = re.compile(rf"[{_ALLOWED}]+(?:/[{_ALLOWED}]+)*")
_odd = re.compile(rf"[^{_ALLOWED}/]|{MARK}")
_code = re.compile(f"{MARK}([0-9a-f]{{1,7}}){MARK}")
_piece = re.compile(f"{_code.pattern}|.", re.DOTALL)
#: Where a name was too long and goes on in a folder.
_BREAK = f"{MARK}{MARK}/"


def usual_name(key: str) -> str:
    """Return the relative path of the file that holds what is booked under a key."""
    plain = _usual.fullmatch(key) is not None and MARK not in key
    if plain and key[0] != "." and "/." not in key and len(key) < _MAX_BYTES // 4:
        return key
    name = _odd.sub(_coded, key)
    parts = name.split("/")
    if "" in parts:
        parts = [name.replace("/", _code_of("/"))]
    return "/".join(_in_bounds(_not_a_place(part)) for part in parts)


def other_name(key: str) -> str:
    """Return the path for a key whose usual one is taken: by a folder, or below a file.

    A file system cannot hold ``a`` and ``a/b`` side by side; two params may be named so.
    """
    # A code that begins with 0 is in no usual name, and reads the same.
    if "/" in key:
        name = _odd.sub(_coded, key).replace("/", _code_of("/", "0"))
        return _in_bounds(_not_a_place(name))
    return _in_bounds(_code_of(key[0], "0") + _odd.sub(_coded, key[1:]))


def key_of(path: str) -> str:
    """Return the key that a relative path stands for."""
    if MARK not in path:
        return path
    return _code.sub(_character, path.replace(_BREAK, ""))


def _code_of(character: str, zero: str = "") -> str:
    return f"{MARK}{zero}{ord(character):x}{MARK}"


def _coded(match: re.Match[str]) -> str:
    return _code_of(match[0])


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    return chr(number) if number < 0x110000 else match[0]


def _not_a_place(part: str) -> str:
    """Return a part of a path that leads neither here nor up."""
    return _code_of(".") + part[1:] if part == "." or part.startswith("..") else part


def _in_bounds(part: str) -> str:
    """Return a part of a path, broken into several where it is too long for one name."""
    if len(part.encode()) <= _MAX_BYTES:
        return part
    pieces = [""]
    for match in _piece.finditer(part):
        if len(pieces[-1].encode()) + len(match[0].encode()) > _MAX_BYTES:
            pieces.append("")
        pieces[-1] += match[0]
    return _BREAK.join(pieces)
