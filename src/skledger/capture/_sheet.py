"""A sheet of pixels to draw a picture on: lines, boxes, dots, colour fields and text.

It uses matplotlib's Agg renderer directly. No ``Figure``, no ``Axes``, no ``pyplot``: so there is
no figure to leave open, nothing of the user's ``rcParams`` or style comes in, nothing global
changes, and a background thread may draw while the user plots. It is also several times cheaper:
axes with ticks and labels take 30 ms and more, each text about a millisecond of it, and
``matplotlib.figure`` takes half as long again to import.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from skledger.capture import _lettering

__all__ = ["Box", "Colour", "Sheet"]

Colour = tuple[float, float, float]  # red, green, blue from 0 to 1
Box = tuple[float, float, float, float]  # left, bottom, width, height in pixels
Numbers = npt.NDArray[np.float64]

_MOVE, _LINE, _CLOSE = 1, 2, 79  # the codes of matplotlib.path.Path


class Sheet:
    """A white sheet; coordinates are pixels from the lower left corner.

    Parameters
    ----------
    width, height : int
        Size in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        from matplotlib.backends.backend_agg import RendererAgg

        self.width, self.height = width, height
        renderer: Any = RendererAgg  # matplotlib's own types stop here
        self._agg = renderer(width, height, 72)
        self._text: dict[Colour, tuple[list[Numbers], list[npt.NDArray[np.uint8]]]] = {}
        self.boxes([(0, 0, width, height)], (1.0, 1.0, 1.0))

    def boxes(self, boxes: Iterable[Box], colour: Colour, within: Box | None = None) -> None:
        """Fill upright rectangles with one colour."""
        corners = [((x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)) for x, y, w, h in boxes]
        if corners:
            points = np.array(corners, float).reshape(-1, 2)
            codes = np.array([_MOVE, _LINE, _LINE, _LINE, _CLOSE] * len(corners), np.uint8)
            self._fill(points, codes, colour, snap=True, within=within)

    def line(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        colour: Colour,
        *,
        thick: float = 1.0,
        dashes: Sequence[float] | None = None,
        within: Box | None = None,
    ) -> None:
        """Draw a line through points; lengths of `dashes` and `thick` are in pixels."""
        from matplotlib.path import Path
        from matplotlib.transforms import IdentityTransform

        points = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
        if len(points) < 2:
            return
        pen = self._pen(colour, within)
        pen.set_linewidth(thick)
        pen.set_joinstyle("round")
        pen.set_capstyle("butt")
        if dashes:
            pen.set_dashes(0, dashes)
        self._agg.draw_path(pen, Path(points), IdentityTransform())

    def dots(
        self, x: Numbers, y: Numbers, colour: Colour, *, radius: float, opacity: float, within: Box
    ) -> None:
        """Draw a round dot at each point."""
        from matplotlib.path import Path
        from matplotlib.transforms import Affine2D, IdentityTransform

        if not len(x):
            return
        pen = self._pen(colour, within)
        pen.set_linewidth(0)
        pen.set_alpha(opacity)
        self._agg.draw_markers(
            pen,
            Path.unit_circle(),
            Affine2D().scale(radius),
            Path(np.column_stack([x, y])),
            IdentityTransform(),
            (*colour, opacity),
        )

    def field(self, colours: Numbers, box: Box) -> None:
        """Fill `box` with a grid of colours of shape (n_rows, n_columns, 3), first row on top."""
        left, bottom, wide, high = (round(side) for side in box)
        rows = np.arange(high) * len(colours) // high
        columns = np.arange(wide) * colours.shape[1] // wide
        cells = np.full((*colours.shape[:2], 4), 255, np.uint8)
        cells[..., :3] = np.rint(colours * 255)
        # As one number a cell, which numpy repeats many times faster than four.
        pixels = cells.view(np.uint32)[..., 0][np.ix_(rows[::-1], columns)]
        pen = self._agg.new_gc()
        self._agg.draw_image(pen, left, bottom, pixels.view(np.uint8).reshape(high, wide, 4))

    def text(
        self,
        x: float,
        y: float,
        text: object,
        *,
        size: int = 11,
        colour: Colour = (0.15, 0.15, 0.15),
        across: Literal["left", "centre", "right"] = "left",
        room: float | None = None,
        bold: bool = False,
        upwards: bool = False,
    ) -> None:
        """Write one line of text, its baseline at `y` (at `x` when it runs `upwards`).

        Parameters
        ----------
        x, y : float
            Where, in pixels.
        text : object
            What; written as it stands, nothing in it is markup.
        size : int
            Height of the letters in pixels.
        colour : tuple of float
            Its colour.
        across : {"left", "centre", "right"}
            Which part of the text `x` (or `y`) speaks of.
        room : float, optional
            Pixels there are; a longer text loses its middle.
        bold, upwards : bool
            Bold letters; text running from bottom to top.
        """
        line = _lettering.clean(text)
        if room is not None:
            line = _lettering.shorten(line, size, room, bold)
        shapes, codes, wide = _lettering.outline(line, size, bold)
        if not shapes:
            return
        points = np.concatenate(shapes)
        points[:, 0] -= {"left": 0.0, "centre": wide / 2, "right": wide}[across]
        if upwards:
            points = np.column_stack([-points[:, 1], points[:, 0]])
        # Baselines lie on whole pixels, for the letters are hinted for that.
        points += (round(x), y) if upwards else (x, round(y))
        all_shapes, all_codes = self._text.setdefault(colour, ([], []))
        all_shapes.append(points)
        all_codes.extend(codes)

    def png(self) -> bytes:
        """Return the sheet as the bytes of a PNG file (24 bits a pixel)."""
        for colour, (shapes, codes) in self._text.items():
            self._fill(np.concatenate(shapes), np.concatenate(codes), colour, snap=False)
        self._text.clear()
        return _png(np.asarray(self._agg.buffer_rgba()))

    def _fill(
        self,
        points: Numbers,
        codes: npt.NDArray[np.uint8],
        colour: Colour,
        snap: bool,
        within: Box | None = None,
    ) -> None:
        from matplotlib.path import Path
        from matplotlib.transforms import IdentityTransform

        pen = self._pen(colour, within)
        pen.set_linewidth(0)
        pen.set_snap(snap)
        self._agg.draw_path(pen, Path(points, codes), IdentityTransform(), (*colour, 1.0))

    def _pen(self, colour: Colour, within: Box | None) -> Any:
        pen = self._agg.new_gc()
        pen.set_foreground((*colour, 1.0), isRGBA=True)
        if within is not None:
            from matplotlib.transforms import Bbox

            pen.set_clip_rectangle(Bbox.from_bounds(*within))
        return pen


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return the PNG file of `pixels` of shape (height, width, 4), without their opacity."""
    from PIL import Image  # comes with matplotlib

    file = io.BytesIO()
    opaque = np.ascontiguousarray(pixels[..., :3])
    # The quickest level: flat colours compress well at any.
    Image.fromarray(opaque).save(file, "png", compress_level=1)
    return file.getvalue()
