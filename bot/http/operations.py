"""The endpoints of those who run the service, and of those who look after its documents."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from bot.http.depends import AnAdmin, TheCaller, TheService
from bot.http.errors import RETRY_SECONDS, ApiError
from bot.http.models import Alive, BuildState, Readiness
from bot.http.routes import ERRORS, ERRORS_IN_JSON

router = APIRouter(tags=["operations"])
REFUSED: dict[int | str, dict[str, Any]] = {
    status: ERRORS[status] for status in (400, 401, 403, 429, 503)
}


@router.get("/healthz")
async def healthz() -> Alive:
    """Whether the process is alive, however busy its threads are."""
    return Alive()


@router.get(
    "/readyz",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Not ready yet"}},
)
def readyz(service: TheService) -> JSONResponse:
    """Whether questions can be answered: index open, encoder loaded, store reachable."""
    body = service.readiness()
    if body.status == "not_ready":
        return JSONResponse(body.model_dump(), 503, {"Retry-After": str(RETRY_SECONDS)})
    return JSONResponse(body.model_dump())


@router.get("/metrics", responses=ERRORS_IN_JSON, response_class=PlainTextResponse)
def metrics(service: TheService, caller: TheCaller) -> Response:
    """Measures for Prometheus, for keys that see every collection: they count all documents."""
    if caller.collections is not None:
        raise ApiError(403, "narrow_key")
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.post("/admin/build", status_code=202, responses=REFUSED | {501: ERRORS[404]})
def build(service: TheService, _: AnAdmin) -> BuildState:
    """Begins to build the index anew; the one that is there serves until the new one is done."""
    return service.rebuild()


@router.get("/admin/build", responses=REFUSED)
def build_state(service: TheService, _: AnAdmin) -> BuildState:
    """Where the last build that was begun here stands."""
    return service.build_state()
