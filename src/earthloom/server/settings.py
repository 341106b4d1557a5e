"""The server's settings: one table, from the command line, the environment, or the default.

| setting | option | environment | default |
|---|---|---|---|
| data | `--data` | `EARTHLOOM_DATA` | `$XDG_DATA_HOME/earthloom`, else `~/.local/share/earthloom` |
| host | `--host` | `EARTHLOOM_HOST` | 127.0.0.1; only loopback names, for there is no sign-in yet |
| port | `--port` | `EARTHLOOM_PORT` | 8642; 0 takes a free one |
| places | `--places` | `EARTHLOOM_PLACES` | none: no place is known by name |
| cache_bytes | `--cache-bytes` | `EARTHLOOM_CACHE_BYTES` | the engine's own limit for decoded blocks |

The options of the command `earthloom serve` win over the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from earthloom.base.errors import InvalidArgument

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 8642


def data_folder() -> Path:
    """The user's data folder by the XDG rules."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG rules say that a relative path is to be ignored.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share") / "earthloom"


class Settings(BaseSettings):
    """All settings of one server."""

    model_config = SettingsConfigDict(env_prefix="EARTHLOOM_", env_ignore_empty=True, frozen=True)

    data: Path = Field(default_factory=data_folder, description="Folder of the catalogue and the chains.")
    host: str = Field(default=LOOPBACK[0], description="Address to listen on.")
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    places: Path | None = Field(default=None, description="Folder of the files with place names and outlines.")
    cache_bytes: int | None = Field(default=None, gt=0, description="Limit of the cache of decoded blocks [bytes].")

    @field_validator("data", "places")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return folder.expanduser().absolute() if folder else None

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if host not in LOOPBACK:
            raise ValueError(
                "Earthloom has no sign-in yet and answers on this machine only: 127.0.0.1, localhost or ::1"
            )
        return host


def load(**given: Any) -> Settings:
    """The settings, with `given` (None is not given) before the environment.

    Raises
    ------
    InvalidArgument
        If a value is not accepted; it names the setting and the reason.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name, reason = str(first["loc"][0]), str(first["msg"]).removeprefix("Value error, ")
        raise InvalidArgument(
            f'The setting {name} cannot be "{first["input"]}": {reason}.',
            hint=f"It comes from --{name.replace('_', '-')} or EARTHLOOM_{name.upper()}.",
            argument=name,
        ) from None
