"""E-mail (.eml): the head that people read, the body with its lines rejoined, the attachments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from email import policy
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from functools import partial

from index.errors import UnreadableDocument
from index.records import Skipped
from index.sources.archive import nested
from index.sources.encoding import clean, decode
from index.sources.types import Limits, Part
from index.sources.wrapped import unwrapped

MOST_PARTS = 500
HEAD = (("From", "差出人"), ("To", "宛先"), ("Cc", "Cc"))
DAYS = "月火水木金土日"


def read(data: bytes, name: str, limits: Limits) -> Iterator[Part | Skipped]:
    """One Part for the message, titled by its subject, and what its attachments hold."""
    try:
        message = BytesParser(policy=policy.default.clone(max_line_length=None)).parsebytes(data)
    except (MessageError, ValueError, LookupError, RecursionError):
        raise UnreadableDocument("メールとして読めません。", code="damaged") from None
    subject = _header(message, "Subject")
    body, encoding = _body(message)
    sent = _sent(message)
    head = [f"{label}: {value}" for field, label in HEAD if (value := _header(message, field))]
    if sent:
        day = f"{sent.year}年{sent.month}月{sent.day}日（{DAYS[sent.weekday()]}）"
        head.append(f"日時: {day}{sent:%H:%M}")
    if body or subject:
        text = clean("\n\n".join(part for part in (subject, "\n".join(head), body) if part))
        yield Part(text, subject, date=f"{sent:%Y-%m-%d}" if sent else "", encoding=encoding)
    yield from _attachments(message, limits)


def _header(message: EmailMessage, field: str) -> str:
    try:
        value = str(message.get(field) or "")
    except (ValueError, LookupError, AttributeError, IndexError, TypeError):
        return ""  # the parser of the standard library trips over some broken heads
    return " ".join(clean(value).split())[:1000]


def _sent(message: EmailMessage) -> datetime | None:
    """When a mail was sent, by the sender's clock."""
    try:
        return parsedate_to_datetime(_header(message, "Date"))
    except (ValueError, TypeError, OverflowError):
        return None


def _body(message: EmailMessage) -> tuple[str, str]:
    """The plain text of a message, or else its HTML as text, and the encoding."""
    from index.sources.html import part_of

    for kind in ("plain", "html"):
        part = message.get_body(preferencelist=(kind,))
        if part is None:
            continue
        text, encoding = _decoded(part)
        if kind == "plain" and text.strip():
            return unwrapped(text).strip(), encoding
        try:
            return part_of(text).text, encoding
        except UnreadableDocument:
            continue
    return "", ""


def _decoded(part: MIMEPart) -> tuple[str, str]:
    """The text of a part, by the charset that it names if its bytes agree, else by detection."""
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = (part.get_content_charset() or "").lower()
    charset = {"shift_jis": "cp932", "iso-2022-jp": "iso2022_jp_ext"}.get(charset, charset)
    try:
        return clean(data.decode(charset)), charset
    except (LookupError, ValueError):
        return decode(data)


def _attachments(message: EmailMessage, limits: Limits) -> Iterator[Part | Skipped]:
    for count, part in enumerate(message.iter_attachments()):
        if count >= MOST_PARTS:
            yield Skipped("", "too_many_parts", f"添付が {MOST_PARTS} 件を超えています。")
            return
        name = (part.get_filename() or "").replace("\\", "/").rpartition("/")[2]
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload(0)
            name = name if name.endswith(".eml") else f"{name or f'message-{count + 1}'}.eml"
            yield from nested(name, partial(bytes, inner), limits)
        elif name:
            payload = part.get_payload(decode=True)
            data = payload if isinstance(payload, bytes) else b""
            yield from nested(name, partial(bytes, data), limits)
