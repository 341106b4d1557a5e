"""What a map shows, as one picture: tiles of its layers laid over each other, with their sources named below."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from earthloom.chain.session import Session
from earthloom.lab.view import TILE_PX, mercator

_TOGETHER = 4  # tiles asked for at a time: others use the server too
_GROUND = (212, 221, 226)  # where no layer has anything, as on the map
_PAPER = (255, 255, 255, 219)
_INK = (23, 33, 43)
_TEXT_PX = 11


@dataclass(frozen=True, slots=True)
class Shown:
    """A layer of the picture: its server, the key of its chain, and how opaque it is, 0 to 1."""

    session: Session
    key: str
    opacity: float


def draw(
    layers: Sequence[Shown], centre: Sequence[float], zoom: int, size: tuple[int, int], credit: str
) -> Image.Image:
    """The picture of layers, the lowest first.

    Parameters
    ----------
    layers
        What to draw.
    centre
        Latitude and longitude of the middle [degree].
    zoom
        Zoom level of the tiles.
    size
        Width and height [px].
    credit
        What stands at the lower right; empty for none.

    Raises
    ------
    EarthloomError
        If a tile of a layer cannot be had: a picture with holes would look like one without data.
    """
    width, height = size
    left = round((centre[1] + 180) / 360 * TILE_PX * 2**zoom - width / 2)
    top = round(mercator(centre[0]) * TILE_PX * 2**zoom - height / 2)
    columns = range(left // TILE_PX, (left + width - 1) // TILE_PX + 1)
    rows = range(max(0, top // TILE_PX), min(2**zoom - 1, (top + height - 1) // TILE_PX) + 1)
    places = [(column, row) for row in rows for column in columns]

    whole = Image.new("RGB", size, _GROUND)
    with ThreadPoolExecutor(_TOGETHER) as pool:
        for layer in layers:
            # West and east of the world the same tiles come again.
            asked = pool.map(lambda at, of=layer: of.session.picture(of.key, zoom, at[0] % 2**zoom, at[1]), places)
            for (column, row), png in zip(places, asked, strict=True):
                tile = Image.open(io.BytesIO(png)).convert("RGBA")
                cover = tile.getchannel("A").point(lambda alpha, of=layer: round(alpha * of.opacity))
                whole.paste(tile.convert("RGB"), (column * TILE_PX - left, row * TILE_PX - top), cover)
    if credit:
        _write(whole, credit)
    return whole


def _write(whole: Image.Image, text: str) -> None:
    """A line, or as many as are needed, on a strip at the lower right."""
    pen = ImageDraw.Draw(whole, "RGBA")
    font = ImageFont.load_default(_TEXT_PX)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font) > whole.width - 12 and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    wide = math.ceil(max(pen.textlength(line, font) for line in lines)) + 12
    high = 15 * len(lines) + 2
    pen.rectangle((whole.width - wide, whole.height - high, whole.width, whole.height), fill=_PAPER)
    for i, line in enumerate(lines):
        pen.text((whole.width - wide + 6, whole.height - high + 1 + 15 * i), line, _INK, font)
