"""The demo's folder: rebuilt when the pack changes, the old catalogue kept until then, notebooks of the user kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from earthloom.base.errors import InvalidArgument
from earthloom.cli import pack
from earthloom.cli.pack import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "catalog.json").write_text("{}")
    notebook = tmp_path / "first.ipynb"
    notebook.write_text("one")
    return Place(tmp_path / "pack", tmp_path / "demo", (notebook,))


def _ingest(text: str) -> pack.Callable[[Path], None]:
    def write(file: Path) -> None:
        file.write_text(text)

    return write


def test_built_once_until_the_pack_changes(place: Place) -> None:
    assert not pack.is_built(place)
    pack.build(place, _ingest("first"))
    assert pack.is_built(place)
    (place.pack / "item.json").write_text("{}")
    assert not pack.is_built(place)
    (place.data / "catalogue.sqlite-wal").write_text("of the old file")
    pack.build(place, _ingest("second"))
    assert pack.is_built(place)
    assert [p.name for p in place.data.glob("catalogue.sqlite*")] == ["catalogue.sqlite"]
    assert (place.data / "catalogue.sqlite").read_text() == "second"


def test_a_failed_build_leaves_the_old_catalogue_and_no_rubbish(place: Place) -> None:
    pack.build(place, _ingest("first"))
    (place.data / "chains.sqlite").write_text("chains")

    def broken(file: Path) -> None:
        file.write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        pack.build(place, broken)
    assert (place.data / "catalogue.sqlite").read_text() == "first"
    assert (place.data / "chains.sqlite").read_text() == "chains"
    assert [p.name for p in place.folder.iterdir()] == ["data"]


def test_notebooks_are_renewed_unless_the_user_changed_them(place: Place) -> None:
    [copy] = pack.copy_notebooks(place)
    assert copy.read_text() == "one"
    place.notebooks[0].write_text("two")
    pack.copy_notebooks(place)
    assert copy.read_text() == "two"
    copy.write_text("mine")
    place.notebooks[0].write_text("three")
    pack.copy_notebooks(place)
    assert copy.read_text() == "mine"


def test_a_running_demo_keeps_others_from_rebuilding(place: Place) -> None:
    with (
        pack.in_use(place, alone=False),
        pack.in_use(place, alone=False),
        pytest.raises(InvalidArgument, match="Another demo uses"),
        pack.in_use(place, alone=True),
    ):
        pass
    with pack.in_use(place, alone=True):
        pass


def test_pack_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"no catalog\.json"):
        pack.find(tmp_path)


def test_the_checkout_is_found() -> None:
    place = pack.find(None)
    assert (place.pack / "catalog.json").is_file()
    assert place.folder.name == ".demo"
    assert os.path.samefile(place.folder.parent, Path(__file__).parents[2])
