"""`earthloom token`: names for those who may ask a server, each with a token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from earthloom.server.tokens import Tokens

Data = Annotated[Path | None, typer.Option(help="Folder of the catalogue and the chains.")]
Name = Annotated[str, typer.Argument(help="Who asks with it.")]

token = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Names for those who may ask this server.")


@token.command()
def add(name: Name, data: Data = None) -> None:
    """Make a token for a name and print it. It is not kept: this is the only time that it is seen."""
    print(_tokens(data).add(name))


@token.command("list")
def names(data: Data = None) -> None:
    """Print the names that have a token."""
    for name in _tokens(data).names():
        print(name)


@token.command()
def remove(name: Name, data: Data = None) -> None:
    """Forget the token of a name. A running server does not take it any more."""
    _tokens(data).remove(name)


def _tokens(data: Path | None) -> Tokens:
    from earthloom.server.settings import load
    from earthloom.server.tokens import Tokens

    return Tokens(load(data=data).data)
