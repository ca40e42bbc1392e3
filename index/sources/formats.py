"""The formats that Kiku reads. A new one is a module with `read` and a line in FORMATS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePosixPath
from typing import cast

from index.sources.types import Reader


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its media type and the module whose `read` reads it.

    `isolated` ones are read in a process of their own with bounds on time and memory, because
    their parsers are large, or written in C, or unpack what they read. `holds_files`: what it
    holds is read by other formats' readers.
    """

    media_type: str
    module: str
    isolated: bool = True
    holds_files: bool = False

    @property
    def read(self) -> Reader:
        """The reader; its module is imported on first use."""
        module = import_module(f"index.sources.{self.module}")
        return cast(Callable[..., object], module.read)  # type: ignore[return-value]


OPEN = "application/vnd.openxmlformats-officedocument"
FORMATS = {
    "md markdown mdown": Format("text/markdown", "markdown", isolated=False),
    "txt text log rst org adoc": Format("text/plain", "text", isolated=False),
    "html htm xhtml": Format("text/html", "html"),
    "pdf": Format("application/pdf", "pdf"),
    "docx docm": Format(f"{OPEN}.wordprocessingml.document", "word"),
    "pptx pptm": Format(f"{OPEN}.presentationml.presentation", "slides"),
    "xlsx xlsm": Format(f"{OPEN}.spreadsheetml.sheet", "sheets"),
    "xls": Format("application/vnd.ms-excel", "old_sheets"),
    "csv tsv": Format("text/csv", "delimited"),
    "eml": Format("message/rfc822", "mail", holds_files=True),
    "zip": Format("application/zip", "archive", holds_files=True),
}
_BY_SUFFIX = {suffix: form for suffixes, form in FORMATS.items() for suffix in suffixes.split()}


_SAVED_AS = {"doc": "docx", "rtf": "docx", "odt": "docx", "ppt": "pptx", "odp": "pptx",
             "ods": "xlsx", "msg": "eml", "jtd": "pdf", "pages": "pdf", "key": "pdf"}  # fmt: skip


def unknown(name: str) -> str:
    """Why a file of no known format is not read, and how it could be."""
    suffix = PurePosixPath(name).suffix
    if better := _SAVED_AS.get(suffix.lower().lstrip(".")):
        return f"対応していない形式です（{suffix}）。.{better} で保存し直してください。"
    return f"対応していない形式です（{suffix or '拡張子なし'}）。"


def format_of(name: str) -> Format | None:
    """The format of a file by its name, None for one that Kiku does not read."""
    return _BY_SUFFIX.get(PurePosixPath(name).suffix.lower().lstrip("."))
