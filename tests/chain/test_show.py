"""Chains and collections as text and HTML, errors as IPython prints them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from earthloom.chain import show
from earthloom.chain.collection import ImageCollection

SUMMARY: dict[str, Any] = {
    "id": "sentinel2-series",
    "title": "Sentinel-2 series",
    "matched": 3,
    "dates": ["2020-05-01T00:00:00Z", "2020-05-11T00:00:00Z", "2020-06-20T00:00:00Z"],
    "bbox": [22.14, 45.2, 22.16, 45.21],
    "bands": [{"name": "B04", "gsd": 10}, {"name": "B08", "gsd": 10}, {"name": "SCL", "raster:spatial_resolution": 20}],
    "attribution": "Contains modified Copernicus Sentinel data <2020>",
}


class Reader(HTMLParser):
    """Checks that tags close in order, and collects the text outside the style sheet."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.scripts += tag == "script" or any(name.startswith("on") for name, _ in attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


def read(html: str) -> str:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    assert reader.scripts == 0
    return " ".join(reader.text.split())


def test_collection_as_text() -> None:
    assert show.collection_text(SUMMARY, ["eo:cloud_cover <= 20"]).split("\n") == [
        "sentinel2-series: 3 items",
        "  Dates    2020-05-01 to 2020-06-20, 3 days",
        "  Extent   lon 22.1400 to 22.1600, lat 45.2000 to 45.2100, 1.6 x 1.1 km",
        "  Bands    B04 B08 SCL",
        "  Filters  eo:cloud_cover <= 20",
        "  Source   Contains modified Copernicus Sentinel data <2020>",
    ]


def test_an_empty_collection_names_the_nearest_date() -> None:
    summary = SUMMARY | {"matched": 0, "dates": [], "bbox": None, "nearest": "2020-02-01T00:00:00Z"}

    text = show.collection_text(summary, [])
    assert text.startswith("sentinel2-series: 0 items")
    assert "2020-02-01 is the nearest date that has items" in text
    assert "2020-02-01" in read(show.collection_html(summary, []))


def test_collection_as_html_has_the_same_facts() -> None:
    html = show.collection_html(SUMMARY, ["a < b"])
    text = read(html)

    assert text.startswith("sentinel2-series Sentinel-2 series 3 items")
    assert "B04 B08 10 m SCL 20 m" in text
    assert "a < b" in text
    assert html.count("<title>") == 3  # a mark for each date


def test_an_extent_may_cross_the_antimeridian() -> None:
    assert "lon 170.0000 to -170.0000, lat 0.0000 to 10.0000, 2216 x 1112 km" in show.collection_text(
        SUMMARY | {"bbox": [170, 0, -170, 10]}, []
    )


def test_a_single_item_is_one_item() -> None:
    summary = SUMMARY | {"matched": 1, "dates": ["2020-05-01T00:00:00Z"]}

    assert "1 item " in read(show.collection_html(summary, [])) + " "
    assert "<svg" not in show.collection_html(summary, [])


def test_chain_as_text_and_html() -> None:
    chain = ImageCollection("a<b").mosaic()["B04"].color(["red", "yellow"])

    assert repr(chain).split("\n")[0] == f"Chain {chain.key[:4]} {chain.key[4:8]}"
    html = chain._repr_html_()
    text = read(html)
    assert "load_collection a<b" in text
    assert "4 steps" in text
    assert "#ff0000ff" in html  # the ramp


def test_an_unknown_palette_has_no_ramp() -> None:
    graph = {
        "load": {"process_id": "load_collection", "arguments": {"id": "x"}},
        "color": {
            "process_id": "color",
            "arguments": {"data": {"from_node": "load"}, "colors": "no-such-palette"},
            "result": True,
        },
    }

    assert "linear-gradient" not in show.chain_html(graph, "0" * 32)


def test_ipython_prints_the_users_line_and_no_frames_of_ours() -> None:
    try:
        ImageCollection("x").filter_date("nonsense")
    except Exception as error:
        lines = error._render_traceback_()  # type: ignore[attr-defined]

    assert len(lines) == 2
    assert 'ImageCollection("x").filter_date("nonsense")' in lines[0]
    assert lines[1].startswith('InvalidArgument: "nonsense" is not a date.')
