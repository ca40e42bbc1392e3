"""The pages for people: the chat, a document with its quote, the insights, and the API's own."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles

from bot.http.depends import AnAdmin, TheCaller, TheService
from bot.http.errors import language_of
from bot.http.routes import ERRORS_IN_JSON
from bot.web.source_page import render_source

_STATIC = Path(__file__).parents[1] / "web" / "static"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_CACHE = "no-cache"  # asked about each time, answered with 304 where nothing changed

router = APIRouter()


@router.get("/", include_in_schema=False)
def chat() -> FileResponse:
    """The chat page."""
    return FileResponse(_STATIC / "index.html", headers={"Cache-Control": _CACHE})


@router.get("/insights", include_in_schema=False)
def insights(_: AnAdmin) -> FileResponse:
    """What people asked; its figures come from /insights/data."""
    return FileResponse(_STATIC / "insights.html", headers={"Cache-Control": _CACHE})


@router.get(
    "/sources/{document_id}",
    response_class=HTMLResponse,
    responses=ERRORS_IN_JSON,
    tags=["documents"],
)
def source(
    document_id: str,
    service: TheService,
    caller: TheCaller,
    request: Request,
    start: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    end: Annotated[int | None, Query(ge=0, le=2**53)] = None,
) -> HTMLResponse:
    """A page that shows a document scrolled to the quote from `start` to `end`."""
    document = service.document(document_id, caller)
    page = render_source(document, start, end, language=language_of(request))
    return HTMLResponse(page.encode("utf-8", "replace"))


def mount(app: FastAPI) -> None:
    """Adds the pages and their files to `app`; nothing is loaded from another host."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=_STATIC, check_dir=False), name="static")
    app.mount("/docs/files", StaticFiles(packages=[("fastapi_offline", "static")]), name="docs")
    page, policy = _docs(app)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def _docs(app: FastAPI) -> tuple[str, str]:
    """Swagger UI, and a policy that allows its one inline script by its digest, and its styles."""
    html = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{app.title} API",
        swagger_js_url="/docs/files/swagger-ui-bundle.js",
        swagger_css_url="/docs/files/swagger-ui.css",
        swagger_favicon_url="/static/favicon.svg",
        swagger_ui_parameters={"displayRequestDuration": True},
    )
    page = bytes(html.body).decode()
    digests = " ".join(
        f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
        for script in _SCRIPT.findall(page)
    )
    policy = (
        f"default-src 'none'; script-src 'self' {digests}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'self'"
    )
    return page, policy
