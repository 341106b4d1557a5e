"""Whether the server answers, and what it can do."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from earthloom.processes.define import registry
from earthloom.server.body import Json
from earthloom.server.version import VERSION

router = APIRouter(tags=["server"])


@router.get("/health")
def health() -> Response:
    """That this is Earthloom, and which version."""
    return Json({"status": "ok", "title": "Earthloom", "version": VERSION}, headers={"Cache-Control": "no-store"})


@router.get("/processes")
def processes() -> Response:
    """All processes, described as openEO does."""
    return Json({"processes": [process.spec() for _, process in sorted(registry().items())], "links": []})
