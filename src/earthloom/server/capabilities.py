"""What this server offers, for programs: its routes, and in which Python users' functions run."""

from __future__ import annotations

import platform

from fastapi import APIRouter, Request
from starlette.responses import Response

from earthloom.server.body import Json
from earthloom.server.context import TheEngine
from earthloom.server.health import sandbox_document
from earthloom.server.tiles import PATHS
from earthloom.server.version import VERSION

router = APIRouter(tags=["server"])

_PYTHON = ".".join(platform.python_version_tuple()[:2])


@router.get("/")
def capabilities(request: Request, engine: TheEngine) -> Response:
    """Title and version, all routes with their methods, and how well users' functions are isolated."""
    described = request.app.openapi()["paths"]
    routes = {path: sorted(method.upper() for method in methods) for path, methods in described.items()}
    routes |= {path: ["GET"] for path in PATHS}
    return Json(
        {
            "title": "Earthloom",
            "version": VERSION,
            "endpoints": [{"path": path, "methods": methods} for path, methods in sorted(routes.items())],
            "sandbox": sandbox_document(engine.sandbox.report()),
        },
        headers={"Cache-Control": "no-store"},
    )


@router.get("/udf_runtimes")
def runtimes(engine: TheEngine) -> Response:
    """In what users' functions run, as openEO describes it; empty where this server runs none."""
    report = engine.sandbox.report()
    if report.level is None:
        return Json({}, headers={"Cache-Control": "no-store"})
    isolation = "not isolated" if report.level == "none" else f"isolated, level {report.level}"
    about = f"Functions of arrays; {isolation}."
    libraries = {name: {"version": version} for name, version in report.libraries.items()}
    python = {
        "title": "Python",
        "description": about,
        "type": "language",
        "default": _PYTHON,
        "versions": {_PYTHON: {"libraries": libraries}},
    }
    return Json({"Python": python}, headers={"Cache-Control": "no-store"})
