"""Text as outlines, for the pictures: measured, shortened and laid out.

matplotlib 3.11 spends about a millisecond on each text artist, and a confusion matrix of ten
classes has 120 of them. Here each letter's outline is asked for once per size, and all the text of
a picture becomes a few filled shapes. Besides, nothing in a label is markup (``$`` and ``_`` are
letters), the user's ``rcParams`` do not reach it, and a letter no font has is a box and not a
warning.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["clean", "outline", "shorten", "width"]

Points = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]

_FAMILY = "DejaVu Sans"  # comes with matplotlib, so a picture looks the same everywhere
#: Families with the letters DejaVu lacks, tried after those the user's own ``rcParams`` name.
_MORE_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Noto Sans JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans",
    "Yu Gothic",
    "Malgun Gothic",
    "Arial Unicode MS",
)
_LONGEST = 400  # letters; no picture has room for more


def clean(text: object) -> str:
    """Return `text` on one line, without control characters and of a bounded length."""
    line = str(text)
    if len(line) > _LONGEST:
        line = line[: _LONGEST // 2] + "…" + line[-_LONGEST // 2 :]
    if line.isascii() and line.isprintable():
        return line.strip()
    line = unicodedata.normalize("NFC", line)
    kept = (
        " " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter for letter in line
    )
    return "".join(kept).strip()


def width(text: str, size: int, bold: bool = False) -> float:
    """Return how wide `text` is at `size`, both in pixels."""
    return sum(_letter(letter, size, bold)[2] for letter in text)


def shorten(text: str, size: int, room: float, bold: bool = False) -> str:
    """Return `text`, its middle replaced by an ellipsis as far as `room` (pixels) demands.

    The middle, because names that are long tend to share their beginning
    (``columns__onehot__city_Rome``) and to differ at their end.
    """
    if width(text, size, bold) <= room:
        return text
    room -= width("…", size, bold)
    head, tail = "", ""
    front, back = 0, len(text) - 1
    while front <= back:
        ahead = len(head) <= len(tail)
        letter = text[front] if ahead else text[back]
        room -= _letter(letter, size, bold)[2]
        if room < 0:
            break
        if ahead:
            head, front = head + letter, front + 1
        else:
            tail, back = letter + tail, back - 1
    return head.rstrip() + "…" + tail.lstrip()


def outline(text: str, size: int, bold: bool = False) -> tuple[list[Points], list[Codes], float]:
    """Return the outlines of the letters of `text`, their path codes, and the text's width.

    The text starts at the origin, its baseline on the x axis; the unit is the pixel.
    """
    shapes: list[Points] = []
    codes: list[Codes] = []
    pen = 0.0
    for letter in text:
        points, kinds, advance = _letter(letter, size, bold)
        if len(points):
            shapes.append(points + np.array([pen, 0.0]))
            codes.append(kinds)
        pen += advance
    return shapes, codes, pen


@lru_cache(maxsize=2048)
def _letter(letter: str, size: int, bold: bool) -> tuple[Points, Codes, float]:
    """Return the outline of one letter, its path codes and its advance."""
    from matplotlib import ft2font
    from matplotlib.font_manager import get_font

    file = _font_with(letter, bold)
    if file is None:
        return _box(letter, size)
    # get_font keeps one font per thread and forgets them in a forked child; we keep none.
    font: Any = get_font(file)
    font.set_size(size, 72)
    flags: Any = getattr(ft2font, "LoadFlags", None)  # matplotlib < 3.10 has bare integers
    light = flags.TARGET_LIGHT if flags else ft2font.LOAD_TARGET_LIGHT  # type: ignore[attr-defined]
    glyph = font.load_char(ord(letter), flags=light)
    points, kinds = font.get_path()
    # A copy: what the font hands out may be a view of its own memory.
    return np.array(points, float).reshape(-1, 2), np.array(kinds), glyph.linearHoriAdvance / 65536


def _box(letter: str, size: int) -> tuple[Points, Codes, float]:
    """Return the shape that stands for a letter no font has: a hollow box, or nothing at all."""
    if unicodedata.category(letter) in ("Cf", "Mn", "Me"):  # joiners, variation selectors, marks
        return np.empty((0, 2)), np.empty(0, np.uint8), 0.0
    wide, high = round(size * 0.6), round(size * 0.75)
    outer = [(1, 0), (wide, 0), (wide, high), (1, high), (1, 0)]
    inner = [(2, 1), (2, high - 1), (wide - 1, high - 1), (wide - 1, 1), (2, 1)]
    codes = np.array([1, 2, 2, 2, 79] * 2, np.uint8)  # Path.MOVETO, LINETO, CLOSEPOLY
    return np.array(outer + inner, float), codes, wide + 1.0


def _font_with(letter: str, bold: bool) -> str | None:
    """Return the file of a font that has `letter`, the usual one if possible."""
    from matplotlib.font_manager import get_font

    code = ord(letter)
    usual = _usual_font(bold)
    if get_font(usual).get_char_index(code):
        return usual
    return next((file for file in _more_fonts() if get_font(file).get_char_index(code)), None)


@lru_cache(maxsize=2)
def _usual_font(bold: bool) -> str:
    from matplotlib.font_manager import FontProperties, findfont

    # Everything is given, for what is not comes from the user's rcParams.
    wanted = FontProperties(
        family=_FAMILY,
        style="normal",
        variant="normal",
        weight="bold" if bold else "normal",
        stretch="normal",
        size=10,
    )
    return str(findfont(wanted))


@lru_cache(maxsize=1)
def _more_fonts() -> tuple[str, ...]:
    """Return the files of the installed fonts to try when the usual one lacks a letter."""
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager

    wanted = (*rcParams["font.family"], *rcParams["font.sans-serif"], *_MORE_FAMILIES)
    files: dict[str, str] = {}
    for font in fontManager.ttflist:
        if font.name in wanted and font.style == "normal":
            files.setdefault(font.name, font.fname)
    return tuple(files[name] for name in dict.fromkeys(wanted) if name in files)
