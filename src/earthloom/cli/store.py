"""`earthloom store`: the chains that a server keeps, taken out, put in, cleaned up and pinned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earthloom.base.errors import NotFound

if TYPE_CHECKING:
    from earthloom.stores.protocol import Store

Data = Annotated[Path | None, typer.Option(help="Folder of the catalogue and the chains.")]
Address = Annotated[
    str | None, typer.Option("--store", help="Where chains are kept: a file, redis://, rediss:// or postgresql://.")
]
Key = Annotated[str, typer.Argument(help="The chain's key.")]

store = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The chains that a server keeps.")


@store.command("export")
def export_(
    file: Annotated[Path, typer.Argument(help="The file to write; one that is there is replaced.")],
    address: Address = None,
    data: Data = None,
) -> None:
    """Write all chains to a file, one JSON object a line."""
    from earthloom.stores.transfer import export_chains

    with _opened(address, data) as (opened, _):
        print(f"{_chains(export_chains(opened, file))} written to {file}.")


@store.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file that export wrote.")], address: Address = None, data: Data = None
) -> None:
    """Keep the chains of a file; those that are here already stay as they are."""
    from earthloom.stores.transfer import import_chains

    with _opened(address, data) as (opened, _):
        new, known = import_chains(opened, file)
        print(f"{_chains(new)} taken in, {known} were here already.")


@store.command()
def clean(
    days: Annotated[
        float | None, typer.Option(min=0, help="Not used for so long [days]; by default the setting store_days.")
    ] = None,
    address: Address = None,
    data: Data = None,
) -> None:
    """Forget the chains that nobody has used for long; pinned ones stay."""
    from earthloom.stores.record import now_ms

    with _opened(address, data) as (opened, setting):
        unused = setting if days is None else days
        number = opened.clean(now_ms() - round(unused * 86_400_000))
        print(f"{_chains(number)} forgotten, not used for {unused:g} days.")


@store.command()
def pin(key: Key, address: Address = None, data: Data = None) -> None:
    """Keep a chain for ever, however long nobody uses it."""
    _pin(key, True, address, data)


@store.command()
def unpin(key: Key, address: Address = None, data: Data = None) -> None:
    """Let a chain go again when nobody uses it."""
    _pin(key, False, address, data)


def _pin(key: str, pinned: bool, address: str | None, data: Path | None) -> None:
    with _opened(address, data) as (opened, _):
        if not opened.pin(key, pinned):
            raise NotFound(f'No chain "{key}" is kept here.', hint="Give its whole key.", key=key)


@contextmanager
def _opened(address: str | None, data: Path | None) -> Iterator[tuple[Store, float]]:
    """The store by option, environment or default, and the setting store_days."""
    from earthloom.server.settings import load
    from earthloom.stores.open import open_store

    settings = load(data=data, store=address)
    opened = open_store(settings.store, settings.data, settings.store_days)
    try:
        yield opened, settings.store_days
    finally:
        opened.close()


def _chains(number: int) -> str:
    return "1 chain" if number == 1 else f"{number} chains"
