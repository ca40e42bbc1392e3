"""Every failure leaves as `{"error": {"code", "message", "hint"}}`, in the caller's language."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from bot.errors import BadQuestion
from bot.messages.http import ENGLISH_ERRORS, HTTP_ERRORS, HTTP_MISTAKES
from bot.records import Language
from bot.web.error_page import render_error
from index.errors import KikuError
from index.normalize import has_words, is_english

# What a KikuError means in HTTP; the rest of the tree is the service's own fault.
STATUS_OF_CODE = {
    "bad_question": 422,
    "build_running": 409,
    "index_missing": 503,
    "index_damaged": 503,
    "index_mismatch": 503,
    "index_unavailable": 503,
    "encoder_unavailable": 503,
    "store_unavailable": 503,
}
RETRY_SECONDS = 5  # after a 503 that is not about load

_CODE_OF_STATUS = {
    404: "not_found",
    405: "method_not_allowed",
    408: "too_slow",
    413: "body_too_large",
}


class ApiError(Exception):
    """A refusal: its status, its code, and what fills the blanks of its sentence."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        headers: Mapping[str, str] | None = None,
        **blanks: object,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})
        self.blanks = blanks


def preferred_language(accept_language: str) -> Language:
    """English where `Accept-Language` puts it before Japanese, else Japanese (RFC 9110 12.5.4)."""
    weights = {"ja": 0.0, "en": 0.0}
    for part in accept_language.split(","):
        tag, _, parameters = part.strip().partition(";")
        quality = parameters.strip().removeprefix("q=") or "1"
        name = tag.strip().lower()[:2]
        if name in weights:
            try:
                weights[name] = max(weights[name], float(quality))
            except ValueError:
                continue
    return "en" if weights["en"] > weights["ja"] else "ja"


def error_body(code: str, message: str, hint: str = "") -> bytes:
    """The body of an error; what UTF-8 cannot hold is replaced."""
    body = {"error": {"code": code, "message": message, "hint": hint}}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def sentences(error: ApiError, language: Language) -> tuple[str, str]:
    """The message of an error, and its hint."""
    known = HTTP_ERRORS.get(error.code, HTTP_ERRORS["http_error"])
    message, hint = known[2:] if language == "en" else known[:2]
    return message.format(**error.blanks), hint.format(**error.blanks)


def refusal(error: ApiError, language: Language, *, page: bool = False) -> Response:
    """The response for an `ApiError`; `page` makes it one for people to read."""
    told = sentences(error, language)
    if page:
        return _page(error.status, told, error.headers, language)
    return Response(error_body(error.code, *told), error.status, error.headers, "application/json")


def kiku_sentences(error: KikuError, language: Language) -> tuple[str, str]:
    """The message of an expected failure of Kiku itself, and its hint."""
    if isinstance(error, BadQuestion):
        return error.told[language]
    told = error.message, error.hint
    return ENGLISH_ERRORS.get(error.code, told) if language == "en" else told


def explain(error: KikuError, language: Language, *, page: bool = False) -> Response:
    """The response for an expected failure of Kiku itself; `page` as above."""
    status = STATUS_OF_CODE.get(error.code, 500)
    headers = {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
    told = kiku_sentences(error, language)
    if page:
        return _page(status, told, headers, language)
    return Response(error_body(error.code, *told), status, headers, "application/json")


def is_page(path: str, headers: Headers) -> bool:
    """Whether a browser opens a page for a person; what a script or a program asks for is JSON."""
    of_people = path in ("/", "/insights") or path.startswith("/sources/")
    return of_people and headers.get("sec-fetch-mode") == "navigate"


def _page(
    status: int, told: tuple[str, str], headers: Mapping[str, str], language: Language
) -> Response:
    html = render_error(*told, language=language)
    return HTMLResponse(html.encode("utf-8", "replace"), status, headers)


def told(error: Exception, language: Language) -> dict[str, dict[str, str]]:
    """The body for what went wrong in the middle of a stream; a bug keeps its story to itself."""
    if isinstance(error, KikuError):
        code, (message, hint) = error.code, kiku_sentences(error, language)
    else:
        known = error if isinstance(error, ApiError) else ApiError(500, "internal_error")
        code, (message, hint) = known.code, sentences(known, language)
    return {"error": {"code": code, "message": message, "hint": hint}}


def asked_in(text: str) -> Language | None:
    """The language of a question; None where it has no words to tell it by."""
    if is_english(text):
        return "en"
    return "ja" if has_words(text) else None


def language_of(request: Request) -> Language:
    """The language for errors of a request: the question's where it is known, or the header's."""
    asked: Language | None = getattr(request.state, "language", None)
    return asked or preferred_language(request.headers.get("accept-language", ""))


def install(app: FastAPI, max_body: int) -> None:
    """Puts the handlers into `app`. What nobody expected is the guard's to answer."""

    @app.exception_handler(ApiError)
    def _(request: Request, error: ApiError) -> Response:
        return refusal(error, language_of(request), page=_opens_page(request))

    @app.exception_handler(KikuError)
    def _(request: Request, error: KikuError) -> Response:
        return explain(error, language_of(request), page=_opens_page(request))

    @app.exception_handler(RequestValidationError)
    def _(request: Request, error: RequestValidationError) -> Response:
        language = language_of(request)
        mistake = _mistake(error.errors(), language)
        return refusal(mistake, language, page=_opens_page(request))

    @app.exception_handler(HTTPException)
    def _(request: Request, error: HTTPException) -> Response:
        code = _CODE_OF_STATUS.get(error.status_code, "http_error")
        if error.status_code == 400:  # Starlette: the body is not UTF-8, or not JSON at all
            code = "bad_json"
        headers = dict(error.headers or {})
        if code == "method_not_allowed":
            headers["Allow"] = _allowed(app, request) or headers.get("Allow", "")
        reply = ApiError(error.status_code, code, headers=headers, limit=max_body)
        return refusal(reply, language_of(request), page=_opens_page(request))


def _opens_page(request: Request) -> bool:
    return is_page(request.url.path, request.headers)


def _allowed(app: FastAPI, request: Request) -> str:
    """The methods of an address: each has a route of its own, and the router names only one."""
    path = getattr(request.scope.get("route"), "path", "")
    return ", ".join(method.upper() for method in app.openapi()["paths"].get(path, ()))


def _mistake(mistakes: Iterable[Mapping[str, Any]], language: Language) -> ApiError:
    """The first mistake, named by its place. The value itself is not repeated."""
    first = next(iter(mistakes))
    if first["type"] == "json_invalid" or first["loc"] == ("body",):
        return ApiError(400 if first["type"] == "json_invalid" else 422, "bad_json")
    where = ".".join(str(part)[:100] for part in first["loc"][1:]) or "body"
    japanese, english = HTTP_MISTAKES.get(first["type"], ("", ""))
    what = english if language == "en" else japanese
    return ApiError(422, "bad_request", where=where, what=what or str(first["msg"]))
