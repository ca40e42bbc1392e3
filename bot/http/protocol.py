"""HTTP/1.1 as people type it: `curl 'localhost:8000/ask?q=コンテナとは'` sends UTF-8 as it is.

RFC 9112 wants such bytes percent-encoded, and strict servers refuse the request. Here they are
encoded where they arrive; everything behind sees an ordinary address.
"""

from __future__ import annotations

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bot.http.errors import error_body
from bot.messages.http import HTTP_ERRORS

_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")


class TypedAddresses(HttpToolsProtocol):
    """uvicorn's protocol, lenient with the letters of an address, and with its errors in JSON."""

    _inside = False  # of a request: what arrives is no request line

    def data_received(self, data: bytes) -> None:
        if not self._inside:
            line, end, rest = data.partition(b"\r\n")
            data = _BEYOND_ASCII.sub(_encoded, line) + end + rest
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._inside = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._inside = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        message, hint, *_ = HTTP_ERRORS["bad_http"]
        body = error_body("bad_http", message, hint)
        head = (
            "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _encoded(byte: re.Match[bytes]) -> bytes:
    return b"%%%02X" % byte[0][0]
