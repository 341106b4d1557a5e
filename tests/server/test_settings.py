"""Settings: what wins, what is refused, and that the table in the docstring is whole."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from earthloom.base.errors import InvalidArgument
from earthloom.sandbox.settings import SandboxSettings
from earthloom.server import settings
from earthloom.server.settings import LOOPBACK, SandboxOptions, Settings, load, load_sandbox


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Settings, SandboxOptions):
        for name in kind.model_fields:
            monkeypatch.delenv(f"{kind.model_config.get('env_prefix')}{name.upper()}", raising=False)


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


@pytest.mark.parametrize(
    ("given", "shared", "hosts"),
    [
        ({}, False, LOOPBACK),
        ({"host": "::1"}, False, LOOPBACK),
        ({"host": "0.0.0.0"}, True, ()),
        ({"host": "192.168.1.4"}, True, ()),
        ({"host": "0.0.0.0", "allowed_hosts": "Tiles.example.org, b"}, True, (*LOOPBACK, "tiles.example.org", "b")),
        # Behind a proxy on this machine, strangers come in by loopback.
        ({"allowed_hosts": "tiles.example.org"}, True, (*LOOPBACK, "tiles.example.org")),
    ],
)
def test_who_may_reach_the_server_and_by_which_names(given: dict[str, str], shared: bool, hosts: tuple[str]) -> None:
    settings = load(**given)
    assert (settings.shared, settings.hosts) == (shared, hosts)


def test_names_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHLOOM_ALLOWED_HOSTS", "a.example, b.example")
    assert load().allowed_hosts == ("a.example", "b.example")


def test_networks_of_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHLOOM_TRUSTED_PROXIES", "10.0.0.1, fd00::/8")
    assert [str(network) for network in load().trusted_proxies] == ["10.0.0.1/32", "fd00::/8"]
    monkeypatch.setenv("EARTHLOOM_TRUSTED_PROXIES", "10.0.0.1, nginx")
    with pytest.raises(InvalidArgument, match='The setting trusted_proxies cannot be "nginx"'):
        load()


@pytest.mark.parametrize(
    ("shared", "own", "require"),
    [(False, False, "minimal"), (True, False, "container"), (False, True, "none")],
)
def test_a_sandbox_requires_more_where_more_people_come(shared: bool, own: bool, require: str) -> None:
    assert load_sandbox(shared=shared, own=own).require == require


def test_the_sandbox_takes_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARTHLOOM_SANDBOX_LIBRARIES", "numpy, scipy")
    monkeypatch.setenv("EARTHLOOM_SANDBOX_CALL_S", "0.5")
    monkeypatch.setenv("EARTHLOOM_SANDBOX_REQUIRE", "full")
    sandbox = load_sandbox(shared=False, own=True)
    assert (sandbox.libraries, sandbox.call_s, sandbox.require) == (("numpy", "scipy"), 0.5, "full")


@pytest.mark.parametrize(("name", "value"), [("workers", "0"), ("nice", "-5"), ("require", "some"), ("call_s", "0")])
def test_bad_values_of_the_sandbox(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"EARTHLOOM_SANDBOX_{name.upper()}", value)
    with pytest.raises(InvalidArgument, match=f'The setting {name} cannot be "{value}"') as caught:
        load_sandbox(shared=False)
    assert f"EARTHLOOM_SANDBOX_{name.upper()}" in caught.value.hint


@pytest.mark.parametrize("shared", [False, True])
def test_a_server_never_runs_functions_without_isolation(monkeypatch: pytest.MonkeyPatch, shared: bool) -> None:
    monkeypatch.setenv("EARTHLOOM_SANDBOX_REQUIRE", "none")
    with pytest.raises(InvalidArgument, match='cannot be "none"'):
        load_sandbox(shared=shared)
    assert load_sandbox(shared=False, own=True).require == "none"


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
    rows = re.findall(r"^\| (\w+) \| `(EARTHLOOM_SANDBOX_\w+)` \|", settings.__doc__ or "", re.MULTILINE)
    names = [field.name for field in fields(SandboxSettings)]
    assert rows == [(name, f"EARTHLOOM_SANDBOX_{name.upper()}") for name in names]
    assert list(SandboxOptions.model_fields) == names
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "user-code.md").read_text()
    assert re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE) == [name.upper() for name in names]
