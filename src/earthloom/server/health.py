"""Whether the server answers, and what it can do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from earthloom.processes.define import registry
from earthloom.sandbox.report import Report
from earthloom.server.body import Json
from earthloom.server.context import TheEngine
from earthloom.server.version import VERSION

router = APIRouter(tags=["server"])


@router.get("/health")
def health(engine: TheEngine) -> Response:
    """That this is Earthloom, which version, and how well users' functions are isolated."""
    document = {
        "status": "ok",
        "title": "Earthloom",
        "version": VERSION,
        "sandbox": sandbox_document(engine.sandbox.report()),
    }
    return Json(document, headers={"Cache-Control": "no-store"})


@router.get("/processes")
def processes() -> Response:
    """All processes, described as openEO does."""
    return Json({"processes": [process.spec() for _, process in sorted(registry().items())], "links": []})


def sandbox_document(report: Report) -> dict[str, Any]:
    """The sandbox's report as JSON.

    `level` is "full", "container", "minimal" or "none" (not isolated). It is null before the start, and where functions
    are refused; `refusal` then says why.
    """
    return {
        "level": report.level,
        "isolated": report.level not in (None, "none"),
        "required": report.required,
        "ready": report.ready,
        "refusal": report.refusal,
        "fences": [dict(zip(("name", "ok", "reason", "remedy"), fence, strict=True)) for fence in report.fences],
        "libraries": dict(report.libraries),
    }
