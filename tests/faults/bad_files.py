"""Hostile and broken files, made by code: `hostile()` by hand, `mutated()` by chance from good ones."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator

from tests import samples

MEGABYTE = 2**20
LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "&a;" * 10}">' for i in range(9))
    + "]>"
)
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'


def hostile() -> dict[str, bytes]:
    """Files by name, each made to cost time or memory, to reach outside, or to crash a parser."""
    return {
        **_texts(),
        **_markup(),
        **_archives(),
        **_office(),
        **_pdfs(),
        **_mails(),
        **_exports(),
    }


def mutated(count: int, seed: int = 20261123) -> Iterator[tuple[str, bytes]]:
    """`count` files, each a good one of some format with a piece cut, flipped, doubled or moved."""
    chance = random.Random(seed)
    good = {
        "a.pdf": samples.pdf(pages=2),
        "b.docx": samples.docx(),
        "c.pptx": samples.pptx(),
        "d.xlsx": samples.xlsx(),
        "e.eml": samples.eml(("表.xlsx", samples.xlsx())),
        "f.zip": samples.slack_export(),
        "g.zip": samples.zipped({"a.md": "# 題\n\n本文。", "b/c.html": "<p>段落</p>"}),
        "h.html": "<html><body><h1>題</h1><table><tr><td>あ</table></body></html>".encode("cp932"),
        "i.csv": "品名,数量,場所\nペン,3,棚\n".encode("euc_jp"),
        "j.md": "---\ntitle: 題\ntags: [a]\n---\n# 見出し\n\n```\ncode\n```\n本文。\n".encode(),
        "k.txt": "第1章　総則\n\n（目的）\n第1条　本文。\n".encode("iso2022_jp"),
        "l.zip": samples.growi_export(),
        "m.xls": samples.xls(),
    }
    names = sorted(good)
    changes = (_cut, _flip, _double, _drop, _swap, _zero, _noise, _foreign)
    for number in range(count):
        name = names[number % len(names)]
        data = bytearray(good[name])
        for _ in range(chance.choice((1, 1, 2, 8))):
            chance.choice(changes)(data, chance)
        stem, _, suffix = name.rpartition(".")
        yield f"{stem}{number:04}.{suffix}", bytes(data)


def _spot(data: bytearray, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice((1, 4, 16, 64, 512)))


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data) + 1) :]


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 20))):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _double(data: bytearray, chance: random.Random) -> None:
    start, end = _spot(data, chance)
    data[start:start] = data[start:end] * chance.choice((1, 2, 50))


def _drop(data: bytearray, chance: random.Random) -> None:
    start, end = _spot(data, chance)
    del data[start:end]


def _swap(data: bytearray, chance: random.Random) -> None:
    start, end = _spot(data, chance)
    piece = data[start:end]
    del data[start:end]
    at = chance.randrange(len(data) + 1)
    data[at:at] = piece


def _zero(data: bytearray, chance: random.Random) -> None:
    start, end = _spot(data, chance)
    data[start:end] = bytes(end - start)


def _noise(data: bytearray, chance: random.Random) -> None:
    start, end = _spot(data, chance)
    data[start:end] = chance.randbytes(end - start)


def _foreign(data: bytearray, chance: random.Random) -> None:
    start, _ = _spot(data, chance)
    pieces = (
        b"<!--",
        b"]]>",
        b"\xff\xfe",
        b"\x1b$B",
        b"PK\x03\x04",
        b"%%EOF",
        b"endobj",
        b"\\u0000",
        b"\xed\xa0\x80",
    )
    data[start:start] = chance.choice(pieces)


def _texts() -> dict[str, bytes]:
    return {
        "endless-line.md": "あ".encode() * MEGABYTE,
        "endless-line.txt": b"a" * (10 * MEGABYTE),
        "nothing-but-nul.txt": b"\x00" * MEGABYTE,
        "nul-inside.md": "# 題\x00\n\n本文\x00です。".encode(),
        "half-characters.txt": "本文です。".encode() + b"\xed\xa0\x80\xed\xbf\xbf",
        "overlong.txt": b"\xc0\xaf\xe0\x80\xaf" * 100,
        "broken-utf-16.txt": "本文です。".encode("utf-16") + b"\x00\xd8",
        "wrong-escape.txt": b"\x1b$B" + b"\xff" * 100 + b"\x1b(B",
        "open-escape.txt": b"\x1b$B" + "規程".encode("iso2022_jp")[3:7],
        "binary.txt": bytes(range(256)) * 1000,
        "binary.md": b"\x7fELF\x02\x01\x01" + bytes(5000),
        "right-to-left.md": "# \u202e題\u2066\n\n本文\u200b\ufeffです。".encode(),
        "a-million-headings.md": b"# a\n" * 50_000,
        "open-fence.md": b"```\n" * 100_001,
        "comments.md": b"<!--" * 300_000,
        "front-matter-laughs.md": b"---\na: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n---\nbody",
        "front-matter-object.md": b"---\na: !!python/object/apply:os.system ['touch /tmp/x']\n---\nbody",
        "front-matter-deep.md": b"---\na: " + b"[" * 20_000 + b"\n---\nbody",
        "front-matter-types.md": b"---\ntitle: [1, {a: b}]\ndate: {x: 1}\ntags: 5\nurl: [1]\ncollection: ~\n---\nx",
        "front-matter-toml.md": b"+++\na = " + b"[" * 20_000 + b"\n+++\nbody",
        "open-quote.csv": b'a,b,c\n1,"' + b"x" * (2 * MEGABYTE),
        "many-columns.csv": b",".join(b"c%d" % i for i in range(100_000)) + b"\n1,2,3\n",
        "nul.csv": b"a,b\x00,c\n1,2\x00,3\n",
        "carriage-returns.csv": b"a,b,c\r1,2,3\r4,5,6",
        "many-rows.csv": b"a,b,c\n" + b"1,x,2\n" * 60_000,
        "ruby.txt": "｜".encode() * 200_000 + "《あ》".encode() * 50_000,
        "articles.txt": "第１条\n".encode() * 20_000,
        "empty-after-all.md": b"---\ntitle: x\n---\n   \n\n",
        "blank.txt": b" \n\t\r\n" * 1000,
    }


def _markup() -> dict[str, bytes]:
    return {
        "deep.html": b"<div>" * 100_000 + "本文".encode(),
        "deep-lists.html": b"<ul><li>" * 20_000 + b"x",
        "deep-tables.html": b"<table><tr><td>" * 5_000 + b"x",
        "spans.html": b"<table>"
        + b"<tr><td rowspan=99999 colspan=99999>x</td></tr>" * 100
        + b"</table>",
        "span-of-words.html": "<table><tr><td colspan='-1'>a<td colspan='９'>b<td rowspan=x>c</table>".encode(),
        "attribute.html": b"<p title='" + b"x" * (2 * MEGABYTE) + b"'>y</p>",
        "open-comment.html": "<p>本文</p><!--".encode() + b"x" * MEGABYTE,
        "open-script.html": "<p>本文</p><script>".encode() + b"alert(1);" * 100_000,
        "scripts.html": b"<script>alert(document.cookie)</script><p onclick=alert(1)>text</p>",
        "entities.html": b"&lt;" * 500_000 + b"&#x110000;&#xd800;&#0;",
        "no-such-charset.html": '<meta charset="utf-7"><p>本文です。</p>'.encode(),
        "lying-charset.html": '<meta charset="euc-jp"><p>本文です。</p>'.encode("cp932"),
        "binary-charset.html": b'<meta charset="base64"><p>text</p>',
        "only-script.html": b"<html><head><script>x</script></head><body></body></html>",
        "laughs.html": LAUGHS.encode() + b"<html><body>&a8;</body></html>",
        "external.html": EXTERNAL.encode() + b"<html><body>&e;</body></html>",
        "links.html": b"<ul>" + b"<li><a href=x>link</a></li>" * 20_000 + b"</ul>",
        "noise.html": random.Random(1).randbytes(200_000),
        "frames.html": b"<html><frameset><frame src='file:///etc/passwd'></frameset></html>",
        "nul.html": b"<p>\x00text\x00</p>",
        "breaks.html": b"<br>" * 50_000 + b"x",
        "ruby.html": b"<ruby>" * 20_000 + "字<rt>じ".encode(),
        "forms.html": b"<form>" * 3000 + "<p>本文です。</p>".encode(),
    }


def _zip(write: Callable[[zipfile.ZipFile], None]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    return buffer.getvalue()


def _archives() -> dict[str, bytes]:
    bomb = samples.zipped({"bomb.md": bytes(40 * MEGABYTE)})
    nested = samples.zipped({"deep.md": "# 深い\n\n本文。"})
    for depth in range(8):
        nested = samples.zipped({f"level{depth}.zip": nested})
    link = zipfile.ZipInfo("link.md")
    link.external_attr = 0o120777 << 16
    plain = samples.zipped({"a.md": "本文です。" * 100})
    lying = plain.replace(struct.pack("<I", len("本文です。".encode()) * 100), struct.pack("<I", 5))
    locked = bytearray(plain)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + at] |= 1
    method = plain.replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x08", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x63"
    )
    return {
        "bomb.zip": bomb,
        "bombs-inside.zip": samples.zipped({f"{i}.zip": bomb for i in range(20)}, compressed=False),
        "russian-doll.zip": nested,
        "traversal.zip": samples.zipped(
            {"../../etc/passwd.md": "x", "/etc/shadow.md": "x", "C:/x.md": "x", "a/../../b.md": "x",
             "..\\..\\win.md": "x", "good.md": "よい文書です。"}
        ),
        "link.zip": _zip(lambda archive: archive.writestr(link, "/etc/passwd")),
        "lying-size.zip": lying,
        "locked.zip": bytes(locked),
        "unknown-method.zip": method,
        "truncated.zip": plain[:-30],
        "no-directory.zip": plain[: plain.index(b"PK\x01\x02")],
        "only-magic.zip": b"PK\x03\x04",
        "not-a-zip.zip": "これはZIPではありません".encode(),
        "empty.zip": samples.zipped({}),
        "folders-only.zip": samples.zipped({"a/": b"", "b/c/": b""}),
        "many-members.zip": samples.zipped({f"{i}.x": b"" for i in range(25_000)}, compressed=False),
        "same-name.zip": _zip(lambda archive: [archive.writestr("a.md", f"本文{i}") for i in range(3)] and None),
        "long-name.zip": samples.zipped({"あ" * 10_000 + ".md": "x本文"}),
        "nul-name.zip": samples.zipped({"aXb.md": "本文"}).replace(b"aXb.md", b"a\x00b.md"),
        "hash-name.zip": samples.zipped({"a#b.md": "本文です", "a": b"x"}),
        "control-name.zip": samples.zipped({"a\x1b[31m\nb.md": "本文です"}),
    }  # fmt: skip


def _office() -> dict[str, bytes]:
    found: dict[str, bytes] = {
        "not-office.docx": b"hello",
        "zip-only.docx": samples.zipped({"a.txt": "x"}),
        "zip-only.pptx": samples.zipped({"a.txt": "x"}),
        "zip-only.xlsx": samples.zipped({"a.txt": "x"}),
        "encrypted.docx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000),
        "encrypted.xlsx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000),
        "encrypted.pptx": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000),
        "xlsx-called.docx": samples.xlsx(),
        "docx-called.xlsx": samples.docx(),
        "pdf-called.docx": samples.pdf(pages=1),
        "docx-called.pdf": samples.docx(),
    }
    parts = {
        "docx": (samples.docx(), "word/document.xml", "w:document"),
        "pptx": (samples.pptx(), "ppt/slides/slide1.xml", "p:sld"),
        "xlsx": (samples.xlsx(), "xl/worksheets/sheet1.xml", "worksheet"),
    }
    for suffix, (good, part, root) in parts.items():
        for name, content in {
            "laughs": f"{LAUGHS}<{root}>&a8;</{root}>",
            "external": f"{EXTERNAL}<{root}>&e;</{root}>",
            "deep": f"<{root}>" + "<a>" * 100_000,
            "cut": f"<{root}><",
            "empty": "",
            "long": f"<{root} xmlns='x'>" + "<t>あ</t>" * 50_000 + f"</{root}>",
            "bomb": " " * (40 * MEGABYTE),
        }.items():
            found[f"{name}.{suffix}"] = _with_part(good, part, content.encode())
    found["styles.docx"] = _with_part(samples.docx(), "word/styles.xml", b"<x/>")
    found["numbering.docx"] = _with_part(samples.docx(), "word/numbering.xml", b"<x>")
    found["strings.xlsx"] = _with_part(
        samples.xlsx(), "xl/sharedStrings.xml", LAUGHS.encode() + b"<sst>&a8;</sst>"
    )
    found["relations.docx"] = _with_part(samples.docx(), "_rels/.rels", b"<Relationships/>")
    found["wide.xlsx"] = _with_part(
        samples.xlsx(), "xl/worksheets/sheet1.xml",
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        b'<dimension ref="A1:XFD1048576"/><sheetData><row r="1048576"><c r="XFD1048576" t="n"><v>1</v></c>'
        b"</row></sheetData></worksheet>",
    )  # fmt: skip
    return found


def _with_part(data: bytes, part: str, content: bytes) -> bytes:
    """An Office file with one part of it replaced."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members: dict[str, bytes | str] = {name: archive.read(name) for name in archive.namelist()}
    return samples.zipped({**members, part: content})


def _pdfs() -> dict[str, bytes]:
    good = samples.pdf(pages=2)
    kids = b" ".join([b"3 0 R"] * 100_000)
    return {
        "locked.pdf": samples.pdf(password="secret"),
        "scanned.pdf": samples.scanned_pdf(),
        "half.pdf": good[: len(good) // 2],
        "no-table.pdf": good[: good.rindex(b"xref")],
        "header-only.pdf": b"%PDF-1.7\n",
        "no-header.pdf": good[20:],
        "junk-before.pdf": b"\x00" * 5000 + good,
        "a-hundred-thousand-pages.pdf": _pdf(
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 100000 /Kids [" + kids + b"] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>",
        ),
        "pages-in-a-circle.pdf": _pdf(
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 3 /Kids [2 0 R 2 0 R] >>",
        ),
        "lying-count.pdf": _pdf(
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 2000000000 /Kids [] >>",
        ),
        "deep-array.pdf": _pdf(b"<< /Type /Catalog /Pages 2 0 R /X " + b"[" * 200_000 + b" >>"),
        "bookmarks-in-a-circle.pdf": _pdf(
            b"<< /Type /Catalog /Pages 2 0 R /Outlines 4 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>",
            b"<< /First 5 0 R /Last 5 0 R >>",
            b"<< /Title (a) /Parent 4 0 R /Next 5 0 R /First 5 0 R /Dest [3 0 R /Fit] >>",
        ),
        "script.pdf": _pdf(
            b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (while(1){}) >> >>",
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>",
        ),
        "stream-bomb.pdf": _pdf(
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
            _deflated(b" " * (50 * MEGABYTE)),
        ),
        "noise.pdf": b"%PDF-1.4\n" + random.Random(2).randbytes(100_000),
    }  # fmt: skip


def _pdf(*objects: bytes) -> bytes:
    """A PDF of some objects, numbered from 1, without a table of their places."""
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (i, data) for i, data in enumerate(objects, 1))
    return (
        b"%PDF-1.7\n" + body + b"trailer << /Root 1 0 R /Size %d >>\n%%%%EOF" % (len(objects) + 1)
    )


def _deflated(data: bytes) -> bytes:
    import zlib

    packed = zlib.compress(data, 9)
    return b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)


def _mails() -> dict[str, bytes]:
    nested = b"Subject: inner\n\ninner body"
    for number in range(300):
        mark = b"b%d" % number
        nested = (
            b"Content-Type: multipart/mixed; boundary="
            + mark
            + b"\n\n--"
            + mark
            + b"\n"
            + nested
            + b"\n--"
            + mark
            + b"--\n"
        )
    inside = samples.eml()
    for _ in range(4):
        inside = (
            b"Subject: forwarded\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
            b"Content-Type: message/rfc822\nContent-Disposition: attachment\n\n"
            + inside
            + b"\n--x--\n"
        )
    return {
        "deep.eml": nested,
        "forwarded.eml": inside,
        "no-body.eml": b"Subject: =?iso-2022-jp?B?GyRC?=\nDate: no date\n\n",
        "bad-charset.eml": b"Subject: a\nContent-Type: text/plain; charset=no-such\n\n" + "本文".encode("cp932"),
        "bad-base64.eml": b"Content-Transfer-Encoding: base64\nContent-Type: text/plain\n\n!!!!====",
        "bad-heads.eml": b"From: <<>>>,\xff\nDate: Mon, 99 Foo 99999\nSubject: =?utf-8?Q?=FF=FE?=\nX: "
        + b"a" * MEGABYTE + b"\n\nbody",
        "bad-address.eml": b"To: \"a@b <,;:@@\nFrom: (((\nSubject: x\n\nbody text",
        "bomb.eml": samples.eml(("bomb.zip", samples.zipped({"bomb.md": bytes(40 * MEGABYTE)}))),
        "traversal.eml": samples.eml(("../../etc/passwd.md", "# 題\n\n本文".encode())),
        "html-only.eml": "Content-Type: text/html; charset=utf-8\n\n<script>x</script><p>本文</p>".encode(),
        "not-a-mail.eml": bytes(range(256)) * 100,
        "many-parts.eml": (
            b"Content-Type: multipart/mixed; boundary=x\n\n"
            + b"--x\nContent-Disposition: attachment; filename=a.md\n\nhello\n" * 2000
            + b"--x--"
        ),
    }  # fmt: skip


def _exports() -> dict[str, bytes]:
    def slack(**members: object) -> bytes:
        given = {f"{name.replace('__', '/')}.json": value for name, value in members.items()}
        base: dict[str, object] = {
            "users.json": [],
            "channels.json": [{"id": "C", "name": "general"}],
        }
        contents = {**base, **given}
        return samples.zipped(
            {name: v if isinstance(v, str) else json.dumps(v) for name, v in contents.items()}
        )

    day = {"type": "message", "user": "U1", "ts": "1", "text": "本文です"}
    return {
        "slack-deep.zip": slack(users="[" * 200_000),
        "slack-not-json.zip": slack(channels="{"),
        "slack-wrong-types.zip": slack(
            users=[1, None, {"id": 5, "profile": "x"}, {"profile": {"display_name": ["a"]}}],
            channels=[{"name": None}, {"id": 3, "name": 7}, "general"],
        ),
        "slack-odd-messages.zip": samples.zipped({
            "users.json": "[]", "channels.json": '[{"id":"C","name":"general"}]',
            "general/2026-01-01.json": json.dumps([
                1, None, [], {**day, "text": None}, {**day, "text": 5, "files": "x"},
                {**day, "files": [None, {"title": 3}]}, {**day, "ts": None, "thread_ts": {}},
                {**day, "text": "<@" * 50_000}, {**day, "text": "<!date^1^{x}|y> <a|b|c>"}, day,
            ]),
            "general/2026-01-02.json": "not json",
        }),
        "growi-wrong-types.zip": samples.zipped({
            "pages.json": json.dumps([1, {"path": 5, "revision": []}, {"path": "/a", "revision": {"$oid": 1}}]),
            "revisions.json": json.dumps([None, {"_id": {"$oid": 1}, "body": 7}]),
        }),
        "growi-deep.zip": samples.zipped({"pages.json": "[" * 200_000, "revisions.json": "{}"}),
    }  # fmt: skip
