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
    path: Annotated[
        Path,
        typer.Argument(
            help="A STAC file (catalog, collection, items), a folder with a catalog.json, or a folder of GeoTIFFs."
        ),
    ],
    collection: Annotated[str | None, typer.Option(help="Id of the collection; needed for GeoTIFFs.")] = None,
    date: Annotated[str | None, typer.Option(help="Date of all files of a folder.")] = None,
    pattern: Annotated[str | None, typer.Option(help="Regular expression with a group date, for paths.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the collection.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the catalogue and the chains.")] = None,
) -> None:
    """Take up imagery: a static STAC catalogue, or a folder of GeoTIFFs."""
    from earthloom.ingest.cog import ingest_folder
    from earthloom.server.settings import load

    if not path.exists():
        raise InvalidArgument(f"There is no {path}.", argument="path")
    if collection is None and (path / "catalog.json").is_file():
        path /= "catalog.json"
    folder = load(data=data).data
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "catalogue.sqlite"
    if path.suffix.lower() == ".json":
        only_for_files = {"collection": collection, "date": date, "pattern": pattern, "title": title}
        for name, value in only_for_files.items():
            if value is not None:
                raise InvalidArgument(f"--{name} is for GeoTIFFs: {path} says this itself.", argument=name)
        report = ingest_catalogue(file, path)
    elif collection is None:
        raise InvalidArgument("GeoTIFFs need the id of a collection.", hint="Add --collection my-data.")
    else:
        report = _run(
            file,
            lambda catalogue, show: ingest_folder(
                catalogue, collection, path, datetime=date, pattern=pattern, title=title or "", progress=show
            ),
        )
    typer.echo(str(report))
    # Some files are bad in every archive; none that is good is a failure.
    if report.rejected and not report.added + report.replaced + report.same:
        raise typer.Exit(1)


def ingest_catalogue(file: Path, stac: Path) -> Report:
    """Take up all that a STAC file leads to into the catalogue in `file`, with a bar in the terminal."""
    from earthloom.ingest.stac import ingest_stac

    return _run(file, lambda catalogue, show: ingest_stac(catalogue, stac, show))


def _run(file: Path, work: Callable[[Catalogue, Progress], Report]) -> Report:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from earthloom.catalog.sqlite import SqliteCatalogue

    catalogue = SqliteCatalogue(file)
    try:
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            tasks: dict[str, TaskID] = {}

            def show(done: int, total: int, what: str) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what)
                bar.update(tasks[what], completed=done, total=total)

            return work(catalogue, show)
    finally:
        catalogue.close()
