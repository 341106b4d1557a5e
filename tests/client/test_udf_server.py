"""Functions of the user's own over a real server: tried here and there, their logs and their errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numba
import numpy as np
import pytest
from scipy import ndimage

import earthloom as el
from earthloom.base.errors import EmptySelection, FunctionFailed, InvalidArgument, NotFound
from earthloom.chain import session
from earthloom.chain.session import Session
from earthloom.chain.trial import Trial
from earthloom.client.api import HttpSession
from earthloom.client.connect import connect

coast = el.ImageCollection("sentinel2-coast").mosaic()
series = el.ImageCollection("sentinel2-series").filter_date("2020-05", "2020-09")
FOREST = (22.152, 45.205)
SHADOW = 0.5


@pytest.fixture
def connected(server: str) -> Iterator[HttpSession]:
    """A connection that is the one in use, and none afterwards."""
    opened = connect(server)
    yield opened
    session.use(None)
    opened.close()


def stubble(img, b04=0.10, b06=0.12, b08=0.12, b11=(0.05, 0.16)):  # type: ignore[no-untyped-def]
    red, edge, nir, swir = img
    dark = (red < b04) & (edge < b06) & (nir < b08)
    return dark & (swir > b11[0]) & (swir < b11[1])


@numba.njit
def halved(a):  # type: ignore[no-untyped-def]
    return a * SHADOW


def with_helper(img):  # type: ignore[no-untyped-def]
    return halved(img)


@el.tile_function(margin=3, bands=2)
def edges(img):  # type: ignore[no-untyped-def]
    return np.stack([ndimage.sobel(img, 0), ndimage.maximum_filter(img, 7)])


def looks_around(img):  # type: ignore[no-untyped-def]
    return ndimage.maximum_filter(img, 5)


def normalised(img):  # type: ignore[no-untyped-def]
    return (img - np.nanmean(img)) / np.nanstd(img)


def stored(img, context):  # type: ignore[no-untyped-def]
    if img.dtype != np.uint16:
        raise TypeError(img.dtype)
    return np.where(context.mask.all(axis=0), img[0] % 7, 0).astype(np.uint8)


def mean_of_dates(img, context):  # type: ignore[no-untyped-def]
    if context.dims != ("t", "bands", "y", "x") or len(context.dates) != len(img):
        raise ValueError(context)
    with np.errstate(all="ignore"):
        seen = np.isfinite(img).sum(axis=0)
        return np.where(seen > 0, np.nansum(img, axis=0) / seen, np.nan)


@el.tile_function(dtype="int16", mask="own")
def row_and_column(img, context):  # type: ignore[no-untyped-def]
    return (context.x[None, :] / context.resolution[0]) % 100 + context.y[:, None] % 10


def fills(limit=0.1):  # type: ignore[no-untyped-def]
    global img
    img = numpy.ones_like(band0)  # type: ignore[name-defined]  # noqa: F821
    img[band0 > limit] = 0  # type: ignore[name-defined]  # noqa: F821
    img[band1 > limit] = 0  # type: ignore[name-defined]  # noqa: F821


def apply_datacube(cube, context):  # type: ignore[no-untyped-def]
    return cube.max("bands") * context["factor"]


def reads_a_file(img):  # type: ignore[no-untyped-def]
    with open(__file__) as file:
        return img * len(file.read())


reads_a_file.__globals__["__file__"] = __file__


def broken(img):  # type: ignore[no-untyped-def]
    half = img / 2
    return half[0, 0, 0, 0]


def chatty(img):  # type: ignore[no-untyped-def]
    print("<b>the shape", img.shape)
    return img


@pytest.mark.parametrize(
    ("chain", "function", "given"),
    [
        (coast[["B04", "B06", "B08", "B11"]], stubble, {"b04": 0.09}),
        (coast["B04"], with_helper, {}),
        (coast["B08"], edges, {}),
        (coast[["B04", "B8A"]], stored, {"raw": True}),
        (series.cube(["B04", "B08"]), mean_of_dates, {}),
        (coast["B04"], row_and_column, {}),
        (coast[["B04", "B08"]], fills, {"limit": 0.2}),
        (coast["B08"].execute(edges)["1"], with_helper, {}),
    ],
)
def test_here_and_there_are_equal(
    connected: HttpSession, chain: el.Chain, function: Any, given: dict[str, Any]
) -> None:
    trial = chain.test_execute(function, **given)
    assert trial.equal, trial
    assert trial.server is not None
    assert trial.result.shape[-2:] == (512, 512)
    assert np.isfinite(trial.result).any()
    texts = [finding.text for finding in trial.findings]
    assert texts[-2:] == ["The tiles fit together.", "The server gave the same values."]


def test_what_a_trial_holds(connected: HttpSession) -> None:
    trial = coast["B08"].test_execute(edges, zoom=13)
    assert isinstance(trial, Trial)
    assert trial.input.shape == (518, 518)
    assert (trial.context.margin, trial.context.crs, len(trial.context.x)) == (3, "EPSG:3857", 518)
    assert trial.result.shape == (2, 512, 512)
    text = repr(trial)
    assert text.startswith("edges(), margin 3 px, 2 bands\n  place     lon -75.")
    assert "zoom 13" in text
    html = trial._repr_html_()
    assert html.count('<img src="data:image/png;base64,') == 2
    assert "the same" in html


def test_places(connected: HttpSession) -> None:
    chain = series.mosaic()["B04"]
    for place in (FOREST, {"type": "Point", "coordinates": FOREST}, {"lon": FOREST[0], "lat": FOREST[1]}):
        trial = chain.test_execute(with_helper, place=place, zoom=14)
        west, south, east, north = trial.grid.lonlat_bounds()
        assert west < FOREST[0] < east
        assert south < FOREST[1] < north
    inside = series.mosaic().within((22.151, 45.201, 22.153, 45.203))["B04"]
    west, south, east, north = inside.test_execute(with_helper).grid.lonlat_bounds()
    assert west < 22.152 < east
    assert south < 45.202 < north
    with pytest.raises(InvalidArgument, match="There is no data in these tiles"):
        chain.test_execute(with_helper, place=(10, 10))
    with pytest.raises(InvalidArgument, match=r"\(45, 220\) is no place.*Write \(longitude, latitude\)"):
        chain.test_execute(with_helper, place=(45, 220))
    with pytest.raises(NotFound):
        chain.test_execute(with_helper, place="Qwxzyzzy")
    with pytest.raises(EmptySelection, match="selects no items"):
        el.ImageCollection("sentinel2-series").filter_date("1990").mosaic()["B04"].test_execute(with_helper)


def test_an_undeclared_neighbourhood_is_warned_of(connected: HttpSession) -> None:
    with pytest.warns(UserWarning, match=r"looks_around: .* up to 2 px from the cut.*margin=2"):
        trial = coast["B08"].test_execute(looks_around)
    assert trial.equal
    with pytest.warns(UserWarning, match="normalised: .* depends on the tile as a whole"):
        trial = coast["B08"].test_execute(normalised)
    assert "<b>" in trial._repr_html_()


def test_an_error_here_is_the_functions_own_and_nothing_is_posted(connected: HttpSession) -> None:
    with pytest.raises(IndexError) as caught:
        coast["B08"].test_execute(broken)
    assert caught.traceback[-1].frame.code.name == "broken"
    assert coast["B08"].execute(broken).logs() == []


def test_what_only_the_server_refuses_is_warned_of(connected: HttpSession) -> None:
    with pytest.warns(UserWarning, match="reads_a_file: The server failed: .*Error"):
        trial = coast["B08"].test_execute(reads_a_file)
    assert trial.server is None
    assert not trial.equal
    assert trial._repr_html_().count("<img") == 1


def test_an_error_there_shows_the_users_own_lines(connected: HttpSession) -> None:
    with pytest.raises(FunctionFailed, match="IndexError") as caught:
        connected.put(coast["B08"].execute(broken).graph)
    where = caught.value.where
    assert (where["function"], where["line"], where["reason"]) == ("broken", 3, "exception")
    assert "return half[0, 0, 0, 0]" in where["traceback"]
    assert "site-packages" not in where["traceback"]


def test_what_a_function_prints_reaches_the_user(connected: HttpSession) -> None:
    chain = coast["B08"].execute(chatty)
    as_protocol: Session = connected
    assert as_protocol.logs(chain.graph) == []
    key = connected.put(chain.graph)
    values = connected.tile(key, 14, 4750, 6336)
    assert values.shape == (256, 256)
    lines = chain.logs()
    assert [(line["place"], line["stream"], line["text"]) for line in lines][-1] == (
        "14/4750/6336", "stdout", "<b>the shape (256, 256)"
    )  # fmt: skip
    assert "&lt;b&gt;the shape" in lines._repr_html_()


def test_another_argument_is_another_chain_of_the_same_text(connected: HttpSession) -> None:
    bands = coast[["B04", "B06", "B08", "B11"]]
    one, two = (bands.execute(stubble, limit) for limit in (0.05, 0.2))
    assert one.graph["runudf1"]["arguments"]["udf"] == two.graph["runudf1"]["arguments"]["udf"]
    keys = [connected.put(chain.graph) for chain in (one, two)]
    assert keys == [one.key, two.key]
    first, second = (connected.tile(key, 14, 4750, 6336) for key in keys)
    assert np.nansum(first) < np.nansum(second)


def test_openeo_functions(connected: HttpSession) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trial = coast[["B04", "B08"]].test_execute(apply_datacube, context={"factor": 2})
    assert trial.equal
