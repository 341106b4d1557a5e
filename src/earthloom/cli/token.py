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
def add(
    name: Name,
    days: Annotated[int | None, typer.Option(help="For how many days it counts; without end if not given.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of the name; may be given several times.")] = None,
    data: Data = None,
) -> None:
    """Make a token for a name and print it. It is not kept: this is the only time that it is seen."""
    print(_tokens(data).add(name, days=days, groups=group or ()))


@token.command("list")
def names(data: Data = None) -> None:
    """Print the names that have a token: groups, when it was made, ends, and was last used (to the hour, UTC)."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("name", "groups", "made", "ends", "last used"):
        table.add_column(title, no_wrap=True)
    for name, kept in sorted(_tokens(data).all().items()):
        made = "" if kept.made is None else f"{kept.made:%Y-%m-%d}"
        ends = "never" if kept.ends is None else f"{kept.ends:%Y-%m-%d %H:%M}{' (ended)' if kept.ended else ''}"
        used = "never" if kept.used is None else f"{kept.used:%Y-%m-%d %H}h"
        table.add_row(name, ", ".join(kept.groups), made, ends, used)
    if table.rows:
        # As wide as it needs: what is piped on is never cut.
        Console(highlight=False, markup=False, width=max(80, Console().measure(table).maximum)).print(table)


@token.command()
def remove(name: Name, data: Data = None) -> None:
    """Forget the token of a name. A running server does not take it any more."""
    _tokens(data).remove(name)


@token.command()
def groups(
    name: Name,
    group: Annotated[list[str] | None, typer.Argument(help="All its groups; none takes it out of all.")] = None,
    data: Data = None,
) -> None:
    """Put a name into these groups and no others. Its token stays; a running server knows at once."""
    _tokens(data).set_groups(name, group or ())


def _tokens(data: Path | None) -> Tokens:
    from earthloom.server.settings import load
    from earthloom.server.tokens import Tokens

    return Tokens(load(data=data).data)
