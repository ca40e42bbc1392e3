"""Every reader against bytes that Hypothesis makes up, from nothing and from good files.

Quick by default; `make fuzz` runs it for minutes: FUZZ_EXAMPLES is the number of examples of each.
"""

from __future__ import annotations

import os
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.errors import UnreadableDocument
from index.records import Skipped
from index.sources.encoding import decode
from index.sources.formats import FORMATS, format_of
from index.sources.load import read_parts
from index.sources.types import Limits
from tests import samples

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "10"))
LIMITS = Limits(text_chars=1_000_000, pages=20, rows=1_000, archive_bytes=2**24)
SUFFIXES = sorted(suffixes.split()[0] for suffixes in FORMATS)
TOKENS = [
    b"<p>", b"</p>", b"<table>", b"<tr>", b"<td colspan=3>", b"<ruby>", b"<rt>", b"<!--", b"-->",
    b"<h1>", b"&amp;", b"---\n", b"title: a\n", b"# ", b"```\n", b"| a | b |\n", b"[x](y)", b"\n\n",
    b"\r", b"\t", b",", b'"', b"\x00", "第1条".encode(), "（目的）\n".encode(), "本文です。".encode(),
    "《かな》".encode(), "漢字".encode("cp932"), b"\x1b$B", b"Subject: a\n", b"--x\n", b"\xff\xfe",
    b"Content-Type: multipart/mixed; boundary=x\n", b"PK\x03\x04", b"%PDF-1.4\n",
    b"1 0 obj\n<< >>\nendobj\n", b"1. ", "■".encode(), b"====\n",
]  # fmt: skip


@cache
def good(suffix: str) -> bytes:
    makers = {
        "pdf": lambda: samples.pdf(pages=1),
        "docx": samples.docx,
        "pptx": samples.pptx,
        "xlsx": samples.xlsx,
        "xls": samples.xls,
        "eml": lambda: samples.eml(("a.md", b"# a")),
        "zip": samples.slack_export,
    }
    return makers[suffix]() if suffix in makers else "# 題\n\n本文です。<p>段落</p>,1,2\n".encode()


@st.composite
def changed(draw: st.DrawFn, data: bytes) -> bytes:
    """A good file with some pieces replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from((0, 1, 8, 100)))
        piece = draw(st.binary(max_size=12) | st.sampled_from(TOKENS))
        data = data[:start] + piece + data[start + length :]
    return data


def examine(suffix: str, data: bytes) -> None:
    """A reader gives Parts and reasons, or refuses; nothing else leaves it."""
    form = format_of(f"a.{suffix}")
    assert form is not None
    try:
        found = list(read_parts(form, data, f"a.{suffix}", LIMITS))
    except UnreadableDocument as error:
        found = [Skipped("", error.code, error.message)]
    for item in found:
        if isinstance(item, Skipped):
            assert item.reason
            assert item.code
            continue
        item.text.encode()
        for heading in item.outline:
            assert 0 <= heading.start < len(item.text)
        assert all(0 <= page <= len(item.text) for page in item.pages)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_bytes_from_nothing(suffix: str, data: st.DataObject) -> None:
    pieces = st.lists(st.sampled_from(TOKENS) | st.binary(max_size=20), max_size=30)
    examine(suffix, data.draw(pieces.map(b"".join)))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_good_files_changed(suffix: str, data: st.DataObject) -> None:
    examine(suffix, data.draw(changed(good(suffix))))


@pytest.mark.timeout(3600)
@settings(max_examples=EXAMPLES * 10, deadline=None)
@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=20), max_size=20).map(b"".join))
def test_decoding(data: bytes) -> None:
    try:
        text, encoding = decode(data)
    except UnreadableDocument:
        return
    text.encode()
    assert encoding
