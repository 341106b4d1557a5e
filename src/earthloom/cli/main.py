"""The command `earthloom`: which commands there are, and how each ends when something is wrong."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from earthloom.base.errors import EarthloomError
from earthloom.cli.collection import collection
from earthloom.cli.demo import demo
from earthloom.cli.doctor import doctor
from earthloom.cli.ingest import ingest
from earthloom.cli.serve import serve
from earthloom.cli.store import store
from earthloom.cli.token import token

_ENGINE_PACKAGES = {"fastapi", "starlette", "uvicorn", "pydantic_settings", "rasterio", "numba", "shapely", "pyarrow"}


class _Commands(TyperGroup):
    """Ends a command with one line where the error is the user's to mend; others keep their traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EarthloomError as error:
            typer.echo(f"Error: {error}", err=True)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _ENGINE_PACKAGES:
                raise
            typer.echo(
                f"Error: {error.name} is not installed. This command needs: pip install 'earthloom[engine]'", err=True
            )
        raise typer.Exit(1)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Processing chains over satellite imagery, shown on a map at once.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"earthloom {version('earthloom')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Processing chains over satellite imagery, shown on a map at once."""


for command in (demo, serve, ingest, doctor):
    app.command()(command)
app.add_typer(store, name="store")
app.add_typer(token, name="token")
app.add_typer(collection, name="collection")
