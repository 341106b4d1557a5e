"""`earthloom doctor`: what this machine offers for users' own functions, tried for real, and what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from earthloom.sandbox.report import Report

_MEANING = {
    "full": "namespaces with an empty root, Landlock, filters of system calls, limits",
    "container": "Landlock, filters of system calls, limits",
    "minimal": "filters of system calls, limits",
    "none": "not isolated: a plain process",
}


def doctor(
    shared: Annotated[bool, typer.Option("--shared", help="Ask for what a server for many people requires.")] = False,
) -> None:
    """Try how well functions of users can be isolated here; exit code 1 if not well enough to run them."""
    from rich.console import Console

    from earthloom.sandbox.sandbox import Sandbox
    from earthloom.server.settings import load, load_sandbox

    sandbox = Sandbox(load_sandbox(shared=shared or load().shared))
    try:
        sandbox.start()
        report = sandbox.report()
    finally:
        sandbox.close()
    console = Console(highlight=False)
    for part in _tell(report):
        console.print(part)
    if not report.ready:
        raise typer.Exit(1)


def _tell(report: Report) -> list[RenderableType]:
    """The report as a person reads it."""
    from rich.markup import escape
    from rich.table import Table

    rows = Table(box=None, pad_edge=False, show_header=False)
    for fence in report.fences:
        mark = "[green]ok[/]" if fence.ok else "[red]missing[/]"
        # The one that cannot be had is worth its reason; of those that stand there is nothing to say.
        said = "" if fence.ok else f"{escape(fence.reason)}\n[dim]{escape(fence.remedy)}[/]"
        rows.add_row(escape(fence.name), mark, said)
    libraries = ", ".join(f"{name} {version}" for name, version in report.libraries.items())
    if report.level is None:
        verdict = f"[red]Users' functions are refused here.[/] {escape(report.refusal)}"
    else:
        verdict = f"Users' functions run at the level [bold]{report.level}[/] ({_MEANING[report.level]})."
    return [
        verdict,
        f"Required: {report.required}. Machine: {report.architecture}.",
        "",
        rows,
        "",
        f"Libraries for functions: {libraries or 'none'}",
    ]
