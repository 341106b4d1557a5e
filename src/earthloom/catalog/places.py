"""Names of places to rectangles and polygons, offline: GeoNames' places, provinces, Natural Earth's countries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from earthloom.base.errors import InvalidArgument, NotFound
from earthloom.catalog.protocol import Bbox

KILOMETRES_A_DEGREE = 111.32
PEOPLE_A_KM2 = 3000  # of a town, to guess its size
SMALLEST_KM, LARGEST_KM = 2.0, 40.0  # half the side of a place's rectangle
CLEARLY_LARGER = 10
CAPITAL_NEAR_DEGREES = 0.3  # coarse coasts leave capitals in the sea
MOST_VERTICES = 2000  # an outline stands in the chain's graph

# Letters that Unicode does not take apart into a plain one and an accent.
_LETTERS = {"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ß": "ss"}


@dataclass(frozen=True, slots=True)
class Place:
    """A place or an area.

    Parameters
    ----------
    name
        Its name; for a place known under several, the one that GeoNames uses.
    country
        ISO 3166 code of two letters; empty if not known.
    kind
        Whether it is a place (its rectangle is guessed from its population) or an area (its outline).
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
class _Area:
    """A country or province: its names, the first of which is shown, and its outline (shapely)."""

    names: tuple[str, ...]
    country: str
    outline: Any
    population: int = 0


_Index = dict[str, list[_Area]]  # plain name -> areas


class Places:
    """The places of a folder, read when they are first asked for.

    Its files are `places.parquet`, `provinces_*.parquet`, `countries_110m.geojson` and `countries_50m.parquet`; one
    that is missing has no places.
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
        key = plain(name)
        for same in (
            _called(key, self._countries, code),
            self._towns_called(key, code),
            _called(key, self._provinces, code),
        ):
            if same:
                return _clear(name, sorted(same, key=lambda s: -s[0]))
        within = f"the country {country}" if country else ""
        raise NotFound.name("place", name, self._known(code), within=within, place=name)

    def _code(self, country: str) -> str:
        if len(country) == 2:
            return country.upper()
        found = [area.country for area in self._countries.get(plain(country), ()) if area.country]
        if found:
            return found[0]
        known = sorted({name for areas in self._countries.values() for area in areas for name in area.names})
        raise NotFound.name("country", country, known, argument="country")

    def _towns_called(self, key: str, code: str | None) -> list[tuple[float, Place]]:
        """The towns of a name with their weights: their people, a tenth of them if it is another name of theirs."""
        names, rows, own = self._names
        weights: dict[int, float] = {}
        for n in np.flatnonzero(pc.equal(names, key).to_numpy(zero_copy_only=False)):
            weights[int(rows[n])] = max(weights.get(int(rows[n]), 0.0), 1.0 if own[n] else 1 / CLEARLY_LARGER)
        towns = [(weight, _town(self._towns.slice(row, 1).to_pylist()[0])) for row, weight in weights.items()]
        return [(weight * town.population, town) for weight, town in towns if code in (None, town.country)]

    def _known(self, code: str | None) -> list[str]:
        """Names to look for near ones among: of a country, or of the larger places of all."""
        areas = [area for index in (self._countries, self._provinces) for found in index.values() for area in found]
        names = [name for area in areas if code in (None, area.country) for name in area.names]
        towns = self._towns
        wanted = pc.greater(towns["population"], 50_000) if code is None else pc.equal(towns["country"], code)
        return names + list(towns.filter(wanted)["asciiname"].to_pylist())

    @cached_property
    def _towns(self) -> pa.Table:
        return _table(self.folder / "places.parquet", "name asciiname other_names latitude longitude fcode country "
            "admin1_name population")  # fmt: skip

    @cached_property
    def _names(self) -> tuple[pa.ChunkedArray, NDArray[np.int64], NDArray[np.bool_]]:
        """All plain names of the towns; for each the row of its town, and whether it is the town's own name."""
        others = pc.split_pattern(pc.fill_null(self._towns["other_names"], ""), ",")
        rows = np.arange(self._towns.num_rows)
        columns = [self._towns["name"], self._towns["asciiname"], pc.list_flatten(others)]
        names = pa.concat_arrays([c.cast(pa.large_string()).combine_chunks() for c in columns])
        parents = pc.list_parent_indices(others).to_numpy()
        own = np.arange(len(names)) < 2 * len(rows)
        return _plain(names), np.concatenate([rows, rows, parents]), own

    @cached_property
    def _provinces(self) -> _Index:
        areas = []
        for path in sorted(self.folder.glob("provinces_*.parquet")):
            rows = _table(path, "name country geometry").to_pylist()
            areas += [_Area((row["name"],), row["country"], shapely.from_wkb(row["geometry"])) for row in rows]
        return _index(areas)

    @cached_property
    def _countries(self) -> _Index:
        """The coarse file knows codes and people, the fine one has better outlines and the small countries."""
        coarse = _coarse_countries(self.folder / "countries_110m.geojson")
        table = _table(self.folder / "countries_50m.parquet", "name geometry")
        names, outlines = table["name"].to_pylist(), shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
        by_name = _index(coarse)
        twins = [next(iter(by_name.get(key, ())), None) for key in _plain_all(names)]
        met = {twin.country for twin in twins if twin}
        by_code = {area.country: area for area in coarse if area.country not in met}
        capitals = self._capitals(outlines)
        fine = []
        for n, (name, outline) in enumerate(zip(names, outlines, strict=True)):
            # Two names of one country are told by its capital; a code that another outline has by name is not given.
            code = capitals.get(n, "")
            twin = twins[n] or by_code.get(code)
            if twin is not None:
                fine.append(_Area((*dict.fromkeys((*twin.names, name)),), twin.country, outline, twin.population))
            else:
                fine.append(_Area((name,), "" if code in met else code, outline))
        taken = {name for area in fine for name in area.names}
        return _index([*fine, *(area for area in coarse if area.names[0] not in taken)])

    def _capitals(self, outlines: NDArray[Any]) -> dict[int, str]:
        """For each outline the code of the country whose capital lies in it, or next to it."""
        capitals = self._towns.filter(pc.equal(self._towns["fcode"], "PPLC"))
        points = shapely.points(*(capitals[c].to_numpy().astype(float) for c in ("longitude", "latitude")))
        near = shapely.STRtree(outlines).query(points, predicate="dwithin", distance=CAPITAL_NEAR_DEGREES)
        distances, sizes = shapely.distance(points[near[0]], outlines[near[1]]), shapely.area(outlines[near[1]])
        nearest: dict[int, int] = {}
        for n in np.lexsort((sizes, distances)):  # in one country that lies in another: the smaller
            nearest.setdefault(int(near[0, n]), int(near[1, n]))
        codes = capitals["country"].to_pylist()
        return {outline: codes[capital] for capital, outline in nearest.items()}


def plain(name: str) -> str:
    """A name without accents, case, hyphens and double spaces."""
    return _plain_all([name])[0]


def _plain_all(names: Sequence[str]) -> list[str]:
    return list(_plain(pa.array(names, pa.large_string())).to_pylist())


def _plain(names: pa.Array) -> pa.Array:
    names = pc.utf8_lower(names)
    for letter, text in _LETTERS.items():
        names = pc.replace_substring(names, letter, text)
    names = pc.replace_substring_regex(pc.utf8_normalize(names, "NFKD"), r"\p{Mn}", "")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(names, r"[\s-]+", " "))


def _index(areas: Sequence[_Area]) -> _Index:
    index: _Index = {}
    called = [(name, area) for area in areas for name in area.names]
    for key, (_, area) in zip(_plain_all([name for name, _ in called]), called, strict=True):
        if area not in (found := index.setdefault(key, [])):
            found.append(area)
    return index


def _called(key: str, index: _Index, code: str | None) -> list[tuple[float, Place]]:
    found = [area for area in index.get(key, ()) if code in (None, area.country)]
    return [(float(area.population), _area(area)) for area in found]


def _clear(name: str, same: list[tuple[float, Place]]) -> Place:
    """The first of several, if it is clearly the largest."""
    if len(same) > 1 and same[0][0] < CLEARLY_LARGER * max(same[1][0], 1):
        texts = [f"{p.name} ({p.region or 'no region'}, {p.country}; {p.population:,} people)" for _, p in same]
        abroad = len({p.country for _, p in same}) > 1
        raise InvalidArgument(
            f'"{name}" is the name of several places: {"; ".join(texts[:6])}{" ..." if len(texts) > 6 else ""}.',
            hint=f"{'Name the country, or give' if abroad else 'Give'} a rectangle to filter_bounds.",
            place=name,
        )
    return same[0][1]


def _table(path: Path, columns: str) -> pa.Table:
    names = columns.split()
    if path.is_file():
        return pq.read_table(path, columns=names)
    types = {"population": pa.int32(), "latitude": pa.float32(), "longitude": pa.float32(), "geometry": pa.binary()}
    return pa.table({name: pa.array([], types.get(name, pa.large_string())) for name in names})


def _coarse_countries(path: Path) -> list[_Area]:
    if not path.is_file():
        return []
    features: Iterable[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["features"]
    return [
        _Area(
            (f["properties"]["name_long"],),
            f["properties"]["iso_a2"] or "",
            shapely.from_geojson(json.dumps(f["geometry"])),
            int(f["properties"]["pop"] or 0),
        )
        for f in features
    ]


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


def _area(area: _Area) -> Place:
    outline, tolerance = area.outline, 0.005
    while shapely.get_num_coordinates(outline) > MOST_VERTICES:
        tolerance *= 2
        outline = shapely.simplify(area.outline, tolerance)
    geometry = json.loads(shapely.to_geojson(outline))
    west, south, east, north = (float(v) for v in outline.bounds)
    return Place(area.names[0], area.country, "area", geometry, (west, south, east, north), area.population)
