"""Files of every format that Kiku reads, made by code. Each function gives the bytes of one file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path

SENTENCE = (
    "有給休暇は、採用の日から六か月を経過し、全労働日の八割以上出勤した従業員に与える。"
    "付与日数は勤続年数に応じて別表のとおりとする。申請は希望日の三日前までに所属長へ行うものとし、"
    "業務の都合により時季を変更することがある。"
)


def zipped(members: Mapping[str, bytes | str], *, compressed: bool = True) -> bytes:
    """A zip archive of paths and contents."""
    buffer = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def pdf(
    *, pages: int = 4, password: str = "", vertical: bool = False, text: str = SENTENCE
) -> bytes:
    """Pages with a running head, a large heading, three wrapped paragraphs and a page number."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    font = UnicodeCIDFont("HeiseiMin-W3", isVertical=vertical)
    pdfmetrics.registerFont(font)
    buffer = io.BytesIO()
    size = (842, 595) if vertical else (595, 842)
    lock = StandardEncryption(password) if password else None
    canvas = Canvas(buffer, pagesize=size, encrypt=lock, invariant=True)
    for number in range(1, pages + 1):
        if vertical:
            canvas.setFont(font.fontName, 12)
            for column, start in enumerate(range(0, len(text), 30)):
                canvas.drawString(780 - 24 * column, 550, text[start : start + 30])
        else:
            _page(canvas, font.fontName, number, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def _page(canvas: object, font: str, number: int, text: str) -> None:
    from reportlab.pdfgen.canvas import Canvas

    assert isinstance(canvas, Canvas)
    canvas.setFont(font, 9)
    canvas.drawString(60, 810, "就業規則 第3版")
    canvas.drawString(500, 810, "株式会社ミドリ")
    canvas.setFont(font, 16)
    canvas.drawString(60, 770, f"第{number}章 休暇の{number}")
    canvas.setFont(font, 10.5)
    top = 740
    for paragraph in (f"{number}ページ目の一。{text}", f"{number}ページ目の二。", text):
        for start in range(0, len(paragraph), 44):
            canvas.drawString(60 + (10 if start == 0 else 0), top, paragraph[start : start + 44])
            top -= 18
        top -= 10
    canvas.drawString(280, 30, f"- {number} -")


def manual_pdf(pages: int = 2, *, title: str = "") -> bytes:
    """Pages as a layout program sets them: a head wider than the body, few lines, a table."""
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

    font = UnicodeCIDFont("HeiseiKakuGo-W5")
    pdfmetrics.registerFont(font)
    name = font.fontName
    body = ParagraphStyle(
        "body", fontName=name, fontSize=10.5, leading=17, wordWrap="CJK", firstLineIndent=10.5
    )
    large = ParagraphStyle("large", parent=body, fontSize=14, firstLineIndent=0)

    def head(canvas: object, document: object) -> None:
        canvas.setFont(name, 8)  # type: ignore[attr-defined]
        canvas.drawString(50, 815, "情報管理の手引き　第2.1版")  # type: ignore[attr-defined]
        canvas.drawRightString(545, 815, "社外秘")  # type: ignore[attr-defined]

    story: list[Flowable] = []
    for number in range(1, pages + 1):
        cells = [["機器", "報告先", "期限"], ["社員証", "総務部", f"{number}日以内"]]
        table = Table([*cells, ["ノートPC", "情報システム部", "1時間以内"], ["鍵", "", "当日中"]])
        table.setStyle([("FONT", (0, 0), (-1, -1), name, 9)])
        story += [Paragraph(f"{number}. 紛失", large), Paragraph(SENTENCE, body)]
        story += [Spacer(1, 10), table, PageBreak()]
    buffer = io.BytesIO()
    document = SimpleDocTemplate(buffer, invariant=True, title=title)
    document.build(story, onFirstPage=head, onLaterPages=head)
    return buffer.getvalue()


def scanned_pdf(pages: int = 2) -> bytes:
    """Pages that are pictures."""
    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=True)
    for number in range(pages):
        canvas.drawImage(ImageReader(Image.new("L", (60, 80), 100 + number)), 0, 0, 595, 842)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def docx() -> bytes:
    """Headings, an automatic 第n条, ruby, a deletion, a table with merged cells, a list."""
    from docx import Document
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    document = Document()
    document.core_properties.title = "出張旅費規程"
    document.add_heading("総則", 1)
    numbering = document.part.numbering_part.element
    numbering.insert(
        0,
        parse_xml(
            f'<w:abstractNum {nsdecls("w")} w:abstractNumId="77"><w:lvl w:ilvl="0"><w:start w:val="1"/>'
            '<w:numFmt w:val="decimal"/><w:lvlText w:val="第%1条"/></w:lvl></w:abstractNum>'
        ),
    )
    numbering.append(
        parse_xml(f'<w:num {nsdecls("w")} w:numId="77"><w:abstractNumId w:val="77"/></w:num>')
    )
    for text in ("この規程は出張旅費について定める。", "日当は一日三千円とする。"):
        paragraph = document.add_paragraph(text)
        paragraph._p.get_or_add_pPr().append(
            parse_xml(f'<w:numPr {nsdecls("w")}><w:ilvl w:val="0"/><w:numId w:val="77"/></w:numPr>')
        )
    ruby = document.add_paragraph("担当は")
    ruby._p.append(
        parse_xml(
            f"<w:r {nsdecls('w')}><w:ruby><w:rt><w:r><w:t>そうむ</w:t></w:r></w:rt>"
            "<w:rubyBase><w:r><w:t>総務</w:t></w:r></w:rubyBase></w:ruby></w:r>"
        )
    )
    ruby._p.append(
        parse_xml(f"<w:del {nsdecls('w')}><w:r><w:delText>消した文</w:delText></w:r></w:del>")
    )
    ruby.add_run("課である。")
    document.add_heading("別表", 2)
    table = document.add_table(rows=3, cols=3)
    for row, cells in zip(
        table.rows,
        (("区分", "日当", "宿泊費"), ("国内", "3,000円", "9,000円"), ("", "", "18,000円")),
        strict=True,
    ):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    document.add_paragraph("領収書を添える", style="List Bullet")
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def unmapped_pdf() -> bytes:
    """A page whose font numbers its glyphs and does not say which characters they are."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    font = UnicodeCIDFont("HeiseiMin-W3")
    pdfmetrics.registerFont(font)
    buffer = io.BytesIO()
    canvas = Canvas(buffer, invariant=True)
    canvas.setFont(font.fontName, 12)
    for line in range(10):
        glyphs = "".join(chr(1125 + (line * 617 + place * 211) % 6300) for place in range(30))
        canvas.drawString(60, 700 - 18 * line, glyphs)
    canvas.save()
    data = buffer.getvalue()
    for told, silent in ((b"(Japan1)", b"(Identity)"), (b"/UniJIS-UCS2-H", b"/Identity-H")):
        assert told in data
        data = data.replace(told, silent)
    return data


def rules_docx() -> bytes:
    """Rules as Japanese Word keeps them: a title in the style a3, captions as paragraphs."""
    from docx import Document
    from docx.oxml.ns import qn

    document = Document()
    title = document.styles["Title"]
    title._element.set(qn("w:styleId"), "a3")
    document.add_paragraph("育児休業規程", style=title)
    for text in (
        "（目的）",
        "第1条　この規程は、育児休業の取扱いについて定める。",
        "（期間）",
        "第2条　育児休業の期間は、子が1歳に達するまでとする。",
    ):
        document.add_paragraph(text)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def pptx() -> bytes:
    """Two slides: a title with body and notes, and a table."""
    from pptx import Presentation
    from pptx.util import Inches

    presentation = Presentation()
    first = presentation.slides.add_slide(presentation.slide_layouts[1])
    first.shapes.title.text = "障害対応の流れ"
    first.placeholders[1].text = "まず一次切り分けを行う。\n次に担当者へ連絡する。"
    first.notes_slide.notes_text_frame.text = "連絡は15分以内に行う。"
    second = presentation.slides.add_slide(presentation.slide_layouts[5])
    second.shapes.title.text = "連絡先"
    table = second.shapes.add_table(2, 3, Inches(1), Inches(2), Inches(6), Inches(1)).table
    for row, cells in enumerate((("時間帯", "担当", "内線"), ("平日", "佐藤", "1234"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def xlsx() -> bytes:
    """A visible sheet with a title, a table and a pair of cells; a hidden one."""
    from datetime import date

    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "備品一覧"
    sheet.append(["備品の貸し出し"])
    sheet.append([])
    sheet.append(["品名", "台数", "更新日"])
    sheet.append(["ノートPC", 12, date(2026, 4, 1)])
    sheet.append(["プロジェクター", 3.0, date(2025, 10, 1)])
    sheet.append([])
    sheet.append(["担当", "情報システム課"])
    hidden = book.create_sheet("作業用")
    hidden.append(["見せない"])
    hidden.sheet_state = "hidden"
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def xls() -> bytes:
    """The same as `xlsx()` in the format of Excel 97, which nothing that is maintained writes."""
    return Path(__file__).with_name("sample.xls").read_bytes()


def eml(attachment: tuple[str, bytes] | None = None) -> bytes:
    """A mail in ISO-2022-JP with wrapped lines."""
    message = EmailMessage()
    message["Subject"] = "サーバー停止のお知らせ"
    message["From"] = "情報システム課 <it@example.com>"
    message["To"] = "全社員 <all@example.com>"
    message["Date"] = "Mon, 02 Nov 2026 10:00:00 +0900"
    body = (
        "各位\n\n"
        "来週の日曜日に、ファイルサーバーの入れ替え作業を行います。作業中は共有\n"
        "フォルダーを使うことができません。\n\n"
        "・日時: 11月8日 9時から\n・場所: 本社\n"
    )
    message.set_content(body, charset="iso-2022-jp", cte="7bit")
    if attachment:
        name, data = attachment
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def slack_export() -> bytes:
    """One public channel with a thread, loose messages, a bot and a join; a private channel."""
    users = [
        {
            "id": "U1",
            "name": "sato",
            "profile": {"display_name": "佐藤", "real_name": "佐藤花子"},
            "team_id": "T1",
            "tz_offset": 32400,
        },
        {
            "id": "U2",
            "name": "tanaka",
            "profile": {"display_name": "", "real_name": "田中一郎"},
            "team_id": "T1",
            "tz_offset": 32400,
        },
        {"id": "U3", "name": "bot", "is_bot": True, "team_id": "T1", "tz_offset": -28800},
    ]
    day = [
        {"type": "message", "user": "U1", "ts": "1793577600.000100", "thread_ts": "1793577600.000100",
         "text": "<@U2> VPN がつながりません。<https://example.com/vpn|手順書>は見ました"},
        {"type": "message", "user": "U2", "ts": "1793577700.000200", "thread_ts": "1793577600.000100",
         "text": "証明書の期限切れです。&lt;更新&gt;してください"},
        {"type": "message", "subtype": "channel_join", "user": "U2", "ts": "1793577800.0", "text": "joined"},
        {"type": "message", "subtype": "bot_message", "bot_id": "B1", "ts": "1793577900.0", "text": "デプロイ完了"},
        {"type": "message", "user": "U1", "ts": "1793578000.0", "text": "明日は休みます"},
    ]  # fmt: skip
    return zipped(
        {
            "users.json": json.dumps(users),
            "channels.json": json.dumps([{"id": "C1", "name": "general"}]),
            "groups.json": json.dumps([{"id": "G1", "name": "secret"}]),
            "general/2026-11-02.json": json.dumps(day),
            "secret/2026-11-02.json": json.dumps(
                [{"type": "message", "user": "U1", "ts": "1", "text": "秘密"}]
            ),
        }
    )


def growi_export() -> bytes:
    """Two pages, one of them for some people only."""
    pages = [
        {"_id": {"$oid": "p1"}, "path": "/手順/VPN接続", "revision": {"$oid": "r2"}, "grant": 1,
         "updatedAt": {"$date": "2026-10-01T00:00:00Z"}},
        {"_id": {"$oid": "p2"}, "path": "/人事/評価", "revision": {"$oid": "r3"}, "grant": 4},
    ]  # fmt: skip
    revisions = [
        {"_id": {"$oid": "r1"}, "body": "# 古い"},
        {"_id": {"$oid": "r2"}, "body": "# VPN接続\n\n証明書を入れてから接続します。"},
        {"_id": {"$oid": "r3"}, "body": "秘密"},
    ]
    return zipped({"pages.json": json.dumps(pages), "revisions.json": json.dumps(revisions)})
