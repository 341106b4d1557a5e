"""`earthloom ingest`: files and STAC documents into the catalogue, with progress and a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from earthloom.base.errors import InvalidArgument

if TYPE_CHECKING:
    from earthloom.catalog.protocol import Catalogue
    from earthloom.ingest.report import Progress, Report


def ingest(
    path: Annotated[Path, typer.Argument(help="A STAC file (catalog, collection, items), or a folder of GeoTIFFs.")],
    collection: Annotated[str | None, typer.Option(help="Id of the collection; needed for a folder.")] = None,
    date: Annotated[str | None, typer.Option(help="Date of all files of a folder.")] = None,
    pattern: Annotated[str | None, typer.Option(help="Regular expression with a group date, for paths.")] = None,
    title: Annotated[str, typer.Option(help="Title of the collection.")] = "",
    data: Annotated[Path | None, typer.Option(help="Folder of the catalogue and the chains.")] = None,
) -> None:
    """Take up imagery: a static STAC catalogue, or a folder of GeoTIFFs."""
    from earthloom.ingest.cog import ingest_folder
    from earthloom.server.settings import load

    if not path.exists():
        raise InvalidArgument(f"There is no {path}.", argument="path")
    folder = load(data=data).data
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "catalogue.sqlite"
    if path.suffix.lower() == ".json":
        report = ingest_catalogue(file, path)
    elif collection is None:
        raise InvalidArgument("A folder needs the id of a collection.", hint="Add --collection my-data.")
    else:
        report = _run(
            file,
            lambda catalogue, show: ingest_folder(
                catalogue, collection, path, datetime=date, pattern=pattern, title=title, progress=show
            ),
        )
    typer.echo(str(report))
    if report.rejected and not report.added + report.replaced + report.same:
        raise typer.Exit(1)


def ingest_catalogue(file: Path, stac: Path) -> Report:
    """Take up all that a STAC file leads to into the catalogue in `file`, with a bar in the terminal."""
    from earthloom.ingest.stac import ingest_stac

    return _run(file, lambda catalogue, show: ingest_stac(catalogue, stac, show))


def _run(file: Path, work: Callable[[Catalogue, Progress], Report]) -> Report:
    from rich.progress import Progress, TaskID

    from earthloom.catalog.sqlite import SqliteCatalogue

    catalogue = SqliteCatalogue(file)
    try:
        with Progress(transient=True) as bar:
            tasks: dict[str, TaskID] = {}

            def show(done: int, total: int, what: str) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what)
                bar.update(tasks[what], completed=done, total=total)

            return work(catalogue, show)
    finally:
        catalogue.close()
