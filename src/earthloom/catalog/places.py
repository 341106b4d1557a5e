"""Names of places to rectangles and polygons, offline: GeoNames' places, provinces and countries."""

from __future__ import annotations

import json
import math
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import shapely

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.catalog.protocol import Bbox

KILOMETRES_A_DEGREE = 111.32
PEOPLE_A_KM2 = 3000  # of a town, to guess its size
SMALLEST_KM, LARGEST_KM = 2.0, 40.0  # half the side of a place's rectangle
CLEARLY_LARGER = 10

# Letters that Unicode does not take apart into a plain one and an accent.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "-": " "})


@dataclass(frozen=True, slots=True)
class Place:
    """A place or an area.

    Parameters
    ----------
    name
        Its name; for a place known under several, the local one.
    country
        ISO 3166 code of two letters.
    kind
        Whether it is a place (its rectangle is guessed from its population) or an area.
    geometry
        GeoJSON in degrees.
    bbox
        Rectangle in degrees.
    population
        People; 0 if not known.
    region
        The region that it lies in, if known.
    """

    name: str
    country: str
    kind: Literal["place", "area"]
    geometry: dict[str, Any]
    bbox: Bbox
    population: int = 0
    region: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in the index: which file, which row, and whether it is the name that people there use."""

    source: Literal["country", "place", "province"]
    row: int
    own: bool = True


class Places:
    """The places of a folder: `places.parquet`, `provinces_*.parquet`, `countries_110m.geojson`, as far as there.

    Read on first use.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str, country: str | None = None) -> Place:
        """The place or area called `name`.

        Accents, case and hyphens do not matter. A country comes before a town of the same name, and that before a
        province. A town known by another name counts as one of a tenth of its people.

        Parameters
        ----------
        name
            A name, also one in another language that the files know.
        country
            ISO code of two letters, or the country's name.

        Raises
        ------
        NotFound
            If there is none; tells the nearest names.
        InvalidArgument
            If several have the name and none is ten times as large as the others; lists them.
        """
        code = self._code(country) if country else None
        found = [(e, self._place(e)) for e in self._names.get(plain(name), [])]
        found = [(e, p) for e, p in found if code is None or p.country == code]
        if not found:
            within = f"the country {country}" if country else ""
            raise NotFound.name("place", name, self._known(code), within=within, place=name)
        for source in ("country", "place", "province"):
            same = [
                (p.population if e.own else p.population / CLEARLY_LARGER, p) for e, p in found if e.source == source
            ]
            if same:
                return _clear(name, sorted(same, key=lambda s: -s[0]))
        raise AssertionError("every entry has a source")

    def _code(self, country: str) -> str:
        if len(country) == 2:
            return country.upper()
        for properties, _ in self._countries:
            if plain(properties["name_long"]) == plain(country):
                return str(properties["iso_a2"])
        raise NotFound.name("country", country, [p["name_long"] for p, _ in self._countries], argument="country")

    def _place(self, entry: _Entry) -> Place:
        if entry.source == "place":
            row = {k: column[entry.row] for k, column in self._places.items()}
            return _town(row)
        if entry.source == "province":
            row = {k: column[entry.row] for k, column in self._provinces.items()}
            return _area(row["name"], row["country"], shapely.from_wkb(row["geometry"]), 0)
        properties, geometry = self._countries[entry.row]
        shape = shapely.geometry.shape(geometry)
        return _area(properties["name_long"], properties["iso_a2"], shape, int(properties["pop"] or 0))

    def _known(self, code: str | None) -> list[str]:
        """Names to look for near ones among: of a country, or of the larger places of all."""
        names = [str(p["name_long"]) for p, _ in self._countries]
        provinces, places = self._provinces, self._places
        names += [n for n, c in zip(provinces["name"], provinces["country"], strict=True) if code in (None, c)]
        towns = zip(places["asciiname"], places["country"], places["population"], strict=True)
        return names + [n for n, c, people in towns if c == code or (code is None and people > 50_000)]

    @cached_property
    def _places(self) -> dict[str, list[Any]]:
        columns = ("name", "asciiname", "other_names", "latitude", "longitude", "country", "admin1_name", "population")
        return _columns([self.folder / "places.parquet"], columns)

    @cached_property
    def _provinces(self) -> dict[str, list[Any]]:
        return _columns(sorted(self.folder.glob("provinces_*.parquet")), ("name", "country", "geometry"))

    @cached_property
    def _countries(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        path = self.folder / "countries_110m.geojson"
        if not path.is_file():
            return []
        return [(f["properties"], f["geometry"]) for f in json.loads(path.read_text(encoding="utf-8"))["features"]]

    @cached_property
    def _names(self) -> dict[str, list[_Entry]]:
        index: dict[str, list[_Entry]] = defaultdict(list)
        for i, (properties, _) in enumerate(self._countries):
            index[plain(properties["name_long"])].append(_Entry("country", i))
        names, ascii_names, others = (self._places[k] for k in ("name", "asciiname", "other_names"))
        for i, (name, ascii_name, other) in enumerate(zip(names, ascii_names, others, strict=True)):
            own = {plain(name), plain(ascii_name)}
            for key in own:
                index[key].append(_Entry("place", i))
            for key in {plain(o) for o in (other or "").split(",") if o} - own:
                index[key].append(_Entry("place", i, own=False))
        for i, name in enumerate(self._provinces["name"]):
            index[plain(name)].append(_Entry("province", i))
        return index


def _clear(name: str, same: list[tuple[float, Place]]) -> Place:
    """The first of several, if it is clearly the largest."""
    if len(same) > 1 and same[0][0] < CLEARLY_LARGER * max(same[1][0], 1):
        texts = [f"{p.name} ({p.region or 'no region'}, {p.country}; {p.population:,} people)" for _, p in same]
        raise InvalidArgument(
            f'"{name}" is the name of several places: {"; ".join(texts[:6])}.',
            hint="Name the country, or give a rectangle to filter_bounds.",
            place=name,
        )
    return same[0][1]


def plain(name: str) -> str:
    """A name without accents, case, hyphens and double spaces."""
    if name.isascii():  # most names, and much quicker
        return " ".join(name.lower().replace("-", " ").split())
    apart = unicodedata.normalize("NFKD", name.casefold().translate(_PLAIN))
    return " ".join("".join(c for c in apart if not unicodedata.combining(c)).split())


def _columns(paths: list[Path], names: tuple[str, ...]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for path in paths:
        if path.is_file():
            table = pq.read_table(path, columns=list(names))
            for name in names:
                columns[name] += table.column(name).to_pylist()
    return columns


def _town(row: dict[str, Any]) -> Place:
    """A place as a rectangle around its centre, about 1.5 times as wide as a town of its population."""
    lon, lat, people = float(row["longitude"]), float(row["latitude"]), int(row["population"])
    half_km = 1.5 * math.sqrt(people / PEOPLE_A_KM2 / math.pi)
    half_km = min(max(half_km, SMALLEST_KM), LARGEST_KM)
    dy = half_km / KILOMETRES_A_DEGREE
    dx = dy / max(math.cos(math.radians(lat)), 0.01)
    box = (round(lon - dx, 5), round(lat - dy, 5), round(lon + dx, 5), round(lat + dy, 5))
    geometry = json.loads(shapely.to_geojson(shapely.box(*box)))
    return Place(row["name"], row["country"], "place", geometry, box, people, row["admin1_name"] or "")


def _area(name: str, country: str, shape: Any, population: int) -> Place:
    geometry = json.loads(shapely.to_geojson(shape))
    west, south, east, north = (float(v) for v in shape.bounds)
    return Place(name, country, "area", geometry, (west, south, east, north), population)
