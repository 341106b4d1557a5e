"""`earthloom collection`: who may see a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earthloom.base.errors import nearest

if TYPE_CHECKING:
    from earthloom.server.rights import Rights

Data = Annotated[Path | None, typer.Option(help="Folder of the catalogue and the chains.")]
Id = Annotated[str, typer.Argument(help="The collection.")]

collection = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may see a collection.")


@collection.command()
def restrict(
    id: Id,
    to: Annotated[
        list[str] | None, typer.Option(help="A name, or group:NAME; may be given several times. None: nobody sees it.")
    ] = None,
    data: Data = None,
) -> None:
    """Show a collection to these names and groups only. For all others it does not exist, from now on."""
    rights, known = _open(data)
    if id not in known:
        near = nearest(id, known)
        said = f" Did you mean {' or '.join(near)}? Then open {id} again." if near else ""
        typer.echo(f'No collection "{id}" is here yet; it will be restricted when it is ingested.{said}', err=True)
    rights.restrict(id, to or ())


@collection.command("open")
def open_(id: Id, data: Data = None) -> None:
    """Show a collection to all who may ask the server."""
    _open(data)[0].open(id)


@collection.command("list")
def names(data: Data = None) -> None:
    """Print the collections, each with those who may see it."""
    rights, known = _open(data)
    restricted = rights.all()
    for id in sorted({*known, *restricted}):
        to = ", ".join(restricted[id]) or "nobody" if id in restricted else "all"
        print(f"{id}: {to}{'' if id in known else ' (not ingested yet)'}")


def _open(data: Path | None) -> tuple[Rights, list[str]]:
    """The rights of a data folder, and its collections."""
    from earthloom.catalog.sqlite import SqliteCatalogue
    from earthloom.server.rights import Rights
    from earthloom.server.settings import load
    from earthloom.server.tokens import Tokens

    folder = load(data=data).data
    file, known = folder / "catalogue.sqlite", []
    if file.exists():
        catalogue = SqliteCatalogue(file)
        try:
            known = [str(c["id"]) for c in catalogue.collections()]
        finally:
            catalogue.close()
    return Rights(Tokens(folder)), known
