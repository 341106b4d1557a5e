"""Settings: what wins, what is refused, and that the table in the docstring is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from earthloom.base.errors import InvalidArgument
from earthloom.server import settings
from earthloom.server.settings import Settings, load


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"EARTHLOOM_{name.upper()}", raising=False)


def test_default_data_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert load().data == tmp_path / "earthloom"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load().data == tmp_path / ".local" / "share" / "earthloom"


def test_given_wins_over_environment_wins_over_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load().port == settings.DEFAULT_PORT
    monkeypatch.setenv("EARTHLOOM_PORT", "9001")
    monkeypatch.setenv("EARTHLOOM_DATA", str(tmp_path))
    assert load(port=None).port == 9001
    assert load(port=9002).port == 9002
    assert load().data == tmp_path
    monkeypatch.setenv("EARTHLOOM_PORT", "")
    assert load().port == settings.DEFAULT_PORT


def test_relative_data_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(data=Path("here")).data == tmp_path / "here"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "example.org", ""])
def test_only_loopback(host: str) -> None:
    with pytest.raises(InvalidArgument, match="no sign-in yet") as caught:
        load(host=host)
    assert caught.value.where == {"argument": "host"}


@pytest.mark.parametrize(("name", "value"), [("port", 70000), ("port", "many"), ("cache_bytes", 0)])
def test_bad_value_names_setting_and_variable(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=f'The setting {name} cannot be "{value}"') as caught:
        load(**{name: value})
    assert f"EARTHLOOM_{name.upper()}" in caught.value.hint


def test_every_setting_stands_in_the_table() -> None:
    rows = re.findall(r"^\| (\w+) \| `(--[\w-]+)` \| `(\w+)` \|", settings.__doc__ or "", re.MULTILINE)
    assert rows == [
        (name, f"--{name.replace('_', '-')}", f"EARTHLOOM_{name.upper()}") for name in Settings.model_fields
    ]
