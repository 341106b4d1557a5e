"""The server's settings: three tables, from the command line, the environment, or the default.

| setting | option | environment | default |
|---|---|---|---|
| data | `--data` | `EARTHLOOM_DATA` | `$XDG_DATA_HOME/earthloom`, else `~/.local/share/earthloom` |
| host | `--host` | `EARTHLOOM_HOST` | 127.0.0.1; another than loopback needs tokens |
| port | `--port` | `EARTHLOOM_PORT` | 8642; 0 takes a free one |
| places | `--places` | `EARTHLOOM_PLACES` | none: no place is known by name |
| cache_bytes | `--cache-bytes` | `EARTHLOOM_CACHE_BYTES` | the engine's own limit for decoded blocks |
| queue | `--queue` | `EARTHLOOM_QUEUE` | 1000 |
| allowed_hosts | `--allowed-hosts` | `EARTHLOOM_ALLOWED_HOSTS` | on loopback its names; beyond, all |
| store | `--store` | `EARTHLOOM_STORE` | chains.sqlite in the data folder |
| store_days | `--store-days` | `EARTHLOOM_STORE_DAYS` | 90 |
| trusted_proxies | `--trusted-proxies` | `EARTHLOOM_TRUSTED_PROXIES` | 127.0.0.0/8,::1 |

`queue`: tiles of plain chains that may wait for their turn; those that are more are told to come again (503).
`allowed_hosts`: names, separated by commas, under which the server is asked (`Host`), beside those of loopback. A
server that is given one is shared, as one that listens beyond loopback is: each request needs a token.
`store`: path of a SQLite file, `redis://`, `rediss://` or `postgresql://`; `store_days`: how long a chain stays that
nobody uses. `docs/how-to/stores.md` says more.
`trusted_proxies`: addresses or networks from where `X-Forwarded-Proto`, `-Host` and `-Prefix` are believed.

What one name may ask, and what is written of it:

| setting | environment | default |
|---|---|---|
| limit_requests | `EARTHLOOM_LIMIT_REQUESTS` | no limit [requests a second] |
| limit_burst | `EARTHLOOM_LIMIT_BURST` | 300 requests at once |
| limit_ms | `EARTHLOOM_LIMIT_MS` | no limit [milliseconds at work a minute] |
| log_requests | `EARTHLOOM_LOG_REQUESTS` | true on a shared server, else false |

`docs/how-to/people.md` says what they mean.

The sandbox of users' functions:

| setting | environment | default |
|---|---|---|
| require | `EARTHLOOM_SANDBOX_REQUIRE` | `minimal` on loopback, `container` on a shared server |
| libraries | `EARTHLOOM_SANDBOX_LIBRARIES` | numpy,scipy,numba,scikit-image |
| workers | `EARTHLOOM_SANDBOX_WORKERS` | 64 |
| workers_per_tenant | `EARTHLOOM_SANDBOX_WORKERS_PER_TENANT` | 8 |
| spares | `EARTHLOOM_SANDBOX_SPARES` | 2 |
| running | `EARTHLOOM_SANDBOX_RUNNING` | number of cores |
| running_per_tenant | `EARTHLOOM_SANDBOX_RUNNING_PER_TENANT` | all; shared: one less, at least 1 |
| memory_bytes | `EARTHLOOM_SANDBOX_MEMORY_BYTES` | 536870912 (512 MiB) |
| arena_bytes | `EARTHLOOM_SANDBOX_ARENA_BYTES` | 33554432 (32 MiB) |
| load_s | `EARTHLOOM_SANDBOX_LOAD_S` | 5 |
| first_s | `EARTHLOOM_SANDBOX_FIRST_S` | 20 |
| call_s | `EARTHLOOM_SANDBOX_CALL_S` | 2 |
| wait_s | `EARTHLOOM_SANDBOX_WAIT_S` | 10 |
| idle_s | `EARTHLOOM_SANDBOX_IDLE_S` | 60 |
| nice | `EARTHLOOM_SANDBOX_NICE` | 5 |
| first_uid | `EARTHLOOM_SANDBOX_FIRST_UID` | 64000 |

`docs/how-to/user-code.md` says what they mean. The options of the command `earthloom serve` win over the environment.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, IPvAnyNetwork, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from earthloom.base.errors import InvalidArgument
from earthloom.sandbox.settings import Level, SandboxSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 8642
DEFAULT_QUEUE = 1000

Names = Annotated[tuple[str, ...], NoDecode]  # not JSON: separated by commas
Networks = Annotated[tuple[IPvAnyNetwork, ...], NoDecode]


def data_folder() -> Path:
    """The user's data folder by the XDG rules."""
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG rules say that a relative path is to be ignored.
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share") / "earthloom"


def _split(names: str | tuple[str, ...]) -> tuple[str, ...]:
    parts = names.split(",") if isinstance(names, str) else names
    return tuple(name.strip() for name in parts if name.strip())


class Settings(BaseSettings):
    """All settings of one server but the sandbox's."""

    model_config = SettingsConfigDict(env_prefix="EARTHLOOM_", env_ignore_empty=True, frozen=True)

    data: Path = Field(default_factory=data_folder, description="Folder of the catalogue and the chains.")
    host: str = Field(default=LOOPBACK[0], min_length=1, description="Address to listen on.")
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    places: Path | None = Field(default=None, description="Folder of the files with place names and outlines.")
    cache_bytes: int | None = Field(default=None, gt=0, description="Limit of the cache of decoded blocks [bytes].")
    queue: int = Field(default=DEFAULT_QUEUE, ge=0, description="Plain tiles that may wait for their turn.")
    allowed_hosts: Names = Field(default=(), description="Names under which the server is asked.")
    store: str | None = Field(default=None, repr=False, description="Where chains are kept: a file's path, or a URL.")
    store_days: float = Field(default=90, gt=0, le=36500, description="How long a chain stays that nobody uses [days].")
    trusted_proxies: Networks = Field(
        default=(IPv4Network("127.0.0.0/8"), IPv6Network("::1")), description="From where X-Forwarded-* are believed."
    )

    @field_validator("data", "places")
    @classmethod
    def _absolute(cls, folder: Path | None) -> Path | None:
        return folder.expanduser().absolute() if folder else None

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _hosts(cls, names: str | tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name.lower() for name in _split(names))

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, networks: object) -> object:
        return _split(networks) if isinstance(networks, str) else networks

    @property
    def shared(self) -> bool:
        """Whether others than this machine's user may reach the server: beyond loopback, or through a proxy."""
        return self.host not in LOOPBACK or bool(self.allowed_hosts)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names under which the server may be asked; none means all.

        A foreign name that points here is a danger to a server that asks for no token. One that does needs no list:
        its operator's names (in a DNS, of a container) cannot be guessed.
        """
        if self.shared and not self.allowed_hosts:
            return ()
        return (*LOOPBACK, *self.allowed_hosts)


class PeopleOptions(BaseSettings):
    """What one name may ask for (None is without limit), and whether the log tells who asks what."""

    model_config = SettingsConfigDict(env_prefix="EARTHLOOM_", env_ignore_empty=True, frozen=True)

    limit_requests: float | None = Field(default=None, gt=0)
    limit_burst: int = Field(default=300, ge=1)
    limit_ms: int | None = Field(default=None, ge=1)
    log_requests: bool | None = None


_DEFAULT = SandboxSettings()


class SandboxOptions(BaseSettings):
    """The settings of the sandbox, as an operator gives them. `SandboxSettings` says what each means."""

    model_config = SettingsConfigDict(env_prefix="EARTHLOOM_SANDBOX_", env_ignore_empty=True, frozen=True)

    require: Level | None = None
    libraries: Names = _DEFAULT.libraries
    workers: int = Field(default=_DEFAULT.workers, ge=1)
    workers_per_tenant: int = Field(default=_DEFAULT.workers_per_tenant, ge=1)
    spares: int = Field(default=_DEFAULT.spares, ge=0)
    running: int = Field(default=_DEFAULT.running, ge=1)
    running_per_tenant: int | None = Field(default=None, ge=1)
    memory_bytes: int = Field(default=_DEFAULT.memory_bytes, ge=16 << 20)
    arena_bytes: int = Field(default=_DEFAULT.arena_bytes, ge=4 << 20)
    load_s: float = Field(default=_DEFAULT.load_s, gt=0)
    first_s: float = Field(default=_DEFAULT.first_s, gt=0)
    call_s: float = Field(default=_DEFAULT.call_s, gt=0)
    wait_s: float = Field(default=_DEFAULT.wait_s, ge=0)
    idle_s: float = Field(default=_DEFAULT.idle_s, gt=0)
    nice: int = Field(default=_DEFAULT.nice, ge=0, le=19)
    first_uid: int = Field(default=_DEFAULT.first_uid, ge=1000, le=2**31)

    @field_validator("libraries", mode="before")
    @classmethod
    def _libraries(cls, names: str | tuple[str, ...]) -> tuple[str, ...]:
        return _split(names)


def load(**given: Any) -> Settings:
    """The settings, with `given` (None is not given) before the environment.

    Raises
    ------
    InvalidArgument
        If a value is not accepted; it names the setting and the reason.
    """
    return _loaded(Settings, given)


def load_people(*, shared: bool) -> PeopleOptions:
    """The limits of a name, and whether requests are logged: if not said, those of a shared server are.

    Raises
    ------
    InvalidArgument
        If a value is not accepted; it names the setting and the reason.
    """
    options = _loaded(PeopleOptions, {})
    return options if options.log_requests is not None else options.model_copy(update={"log_requests": shared})


def load_sandbox(*, shared: bool, own: bool = False) -> SandboxSettings:
    """The sandbox's settings.

    Parameters
    ----------
    shared
        Whether the server serves others than this machine's user: it then requires more.
    own
        Whether the server serves the very process that started it, and nobody else: only such a one may run functions
        without isolation, and does where there are no fences to be had.

    Raises
    ------
    InvalidArgument
        If a value is not accepted; it names the setting and the reason.
    """
    options = _loaded(SandboxOptions, {})
    if options.require == "none" and not own:
        raise InvalidArgument(
            'The setting require of the sandbox cannot be "none": without isolation, a function can do all that this '
            "server's user can, and whoever reaches the server can send one.",
            hint="It comes from EARTHLOOM_SANDBOX_REQUIRE. Only the engine that a notebook starts for itself may.",
            argument="require",
        )
    require = options.require or ("none" if own else "container" if shared else "minimal")
    # A place is kept free for others only where there are others.
    each = options.running_per_tenant or (max(1, options.running - 1) if shared else options.running)
    return SandboxSettings(**options.model_dump() | {"require": require, "running_per_tenant": each})


_Loaded = TypeVar("_Loaded", bound=BaseSettings)


def _loaded(kind: type[_Loaded], given: dict[str, Any]) -> _Loaded:
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name, reason = str(first["loc"][0]), str(first["msg"]).removeprefix("Value error, ")
        option = f"--{name.replace('_', '-')} or " if kind is Settings else ""
        raise InvalidArgument(
            f'The setting {name} cannot be "{first["input"]}": {reason}.',
            hint=f"It comes from {option}{kind.model_config.get('env_prefix', '')}{name.upper()}.",
            argument=name,
        ) from None
