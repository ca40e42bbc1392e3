"""Every format: what is read of a file, and what is said of one that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from index.records import Document
from index.sources import Limits, Loaded, Loader, Rules, discover, load, read_rules
from index.sources.pdf import has_japanese_font
from index.sources.sheets import number_shown
from index.split import split
from tests import samples


def loaded(folder: Path, name: str, data: bytes, *, rules: Rules | None = None) -> Loaded:
    (folder / name).write_bytes(data)
    found = discover([folder / name])
    return load(found.files[0], rules=rules)


def only(result: Loaded) -> Document:
    assert not result.skipped, result.skipped
    assert len(result.documents) == 1
    document = result.documents[0]
    for heading in document.outline:
        words = document.text[heading.start :].split("\n", 1)[0]
        assert heading.title[:6] in words.replace("#", "").strip(), (heading, words)
    assert list(document.pages) == sorted(document.pages)
    return document


def codes(result: Loaded) -> list[str]:
    return [item.code for item in result.skipped]


def test_pdf_has_pages_headings_and_whole_paragraphs(tmp_path: Path) -> None:
    document = only(loaded(tmp_path, "rule.pdf", samples.pdf(pages=4)))
    assert [h.title for h in document.outline] == [f"第{n}章 休暇の{n}" for n in range(1, 5)]
    assert len(document.pages) == 4
    assert document.text[document.pages[2] :].startswith("第3章")
    assert samples.SENTENCE in document.text  # lines rejoined without spaces
    assert "就業規則 第3版" not in document.text  # the running head
    assert "- 2 -" not in document.text
    assert "3ページ目の二。\n" in document.text  # a short line stays a line


def test_pdf_of_one_page_keeps_its_only_head(tmp_path: Path) -> None:
    assert "就業規則 第3版" in only(loaded(tmp_path, "one.pdf", samples.pdf(pages=1))).text


@pytest.mark.parametrize("pages", [2, 5])
def test_pdf_of_a_layout_program(tmp_path: Path, pages: int) -> None:
    """The head is wider than the body and the pages have few lines; tables come row by row."""
    document = only(loaded(tmp_path, "manual.pdf", samples.manual_pdf(pages)))
    assert "社外秘" not in document.text
    assert document.text.count(samples.SENTENCE) == pages
    assert [h.title for h in document.outline] == [f"{n}. 紛失" for n in range(1, pages + 1)]
    assert document.text[document.pages[1] :].startswith("2. 紛失")
    table = (
        "\n\n機器: 社員証 | 報告先: 総務部 | 期限: 2日以内\n"
        "機器: ノートPC | 報告先: 情報システム部 | 期限: 1時間以内\n"
    )
    # pdfium leaves 鍵 out where it has no font for it, which `kiku doctor` tells.
    assert (
        table + ("機器: 鍵 | 期限: 当日中" if has_japanese_font() else "\n当日中") in document.text
    )


@pytest.mark.parametrize(
    ("title", "shown"), [("旅費規程", "旅費規程"), ("file.html", "1. 紛失"), ("", "1. 紛失")]
)
def test_the_title_of_a_pdf(tmp_path: Path, title: str, shown: str) -> None:
    """What it says of itself, or else what it begins with, if nothing else is as large."""
    data = samples.manual_pdf(1, title=title)
    assert only(loaded(tmp_path, "a.pdf", data)).title == shown
    two = samples.manual_pdf(2, title=title)
    assert only(loaded(tmp_path, "a.pdf", two)).title == (title if title == shown else "a")


def test_vertical_pdf_is_read_from_the_right(tmp_path: Path) -> None:
    document = only(loaded(tmp_path, "v.pdf", samples.pdf(pages=1, vertical=True)))
    assert document.text == samples.SENTENCE


def test_pdf_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert codes(loaded(tmp_path, "lock.pdf", samples.pdf(password="secret"))) == ["password"]
    assert codes(loaded(tmp_path, "scan.pdf", samples.scanned_pdf())) == ["scanned"]
    assert codes(loaded(tmp_path, "font.pdf", samples.unmapped_pdf())) == ["no_character_map"]
    assert codes(loaded(tmp_path, "half.pdf", samples.pdf()[:300])) == ["damaged"]
    assert codes(loaded(tmp_path, "no.pdf", b"%PDF-1.7\nhello")) == ["damaged"]


def test_pdf_beyond_the_page_limit_is_read_up_to_it(tmp_path: Path) -> None:
    result = loaded(tmp_path, "long.pdf", samples.pdf(pages=6), rules=Rules(limits=Limits(pages=4)))
    assert codes(result) == ["too_many_pages"]
    assert len(result.documents[0].pages) == 4


def test_word_counts_articles_and_reads_tables_by_row(tmp_path: Path) -> None:
    document = only(loaded(tmp_path, "ryohi.docx", samples.docx()))
    assert document.title == "出張旅費規程"
    assert [(h.level, h.title) for h in document.outline] == [
        (1, "総則"), (3, "第1条"), (3, "第2条"), (2, "別表"),
    ]  # fmt: skip
    assert (
        "第1条 この規程は出張旅費について定める。\n第2条 日当は一日三千円とする。" in document.text
    )
    assert "担当は総務（そうむ）課である。" in document.text
    assert "消した文" not in document.text
    assert "区分: 国内 | 日当: 3,000円 | 宿泊費: 9,000円" in document.text
    assert "区分: 国内 | 宿泊費: 18,000円" in document.text
    assert "・ 領収書を添える" in document.text


def test_word_names_articles_by_the_paragraph_above_them(tmp_path: Path) -> None:
    (document,) = loaded(tmp_path, "ikuji.docx", samples.rules_docx()).documents
    assert document.title == "育児休業規程"
    assert [(h.level, h.title) for h in document.outline][1:] == [
        (2, "第1条（目的）"),
        (2, "第2条（期間）"),
    ]
    passages = [chunk.text for chunk in split(document)]
    assert passages[-1] == "（期間）\n\n第2条　育児休業の期間は、子が1歳に達するまでとする。"


def test_slides_are_pages_with_notes_and_tables(tmp_path: Path) -> None:
    document = only(loaded(tmp_path, "flow.pptx", samples.pptx()))
    assert [h.title for h in document.outline] == ["障害対応の流れ", "連絡先"]
    assert len(document.pages) == 2
    assert document.text[document.pages[1] :].startswith("連絡先")
    assert "連絡は15分以内に行う。" in document.text[: document.pages[1]]
    assert "時間帯: 平日 | 担当: 佐藤 | 内線: 1234" in document.text


@pytest.mark.parametrize("suffix", ["xlsx", "xls"])
def test_sheets_name_every_cell_by_its_column(tmp_path: Path, suffix: str) -> None:
    result = loaded(tmp_path, f"bihin.{suffix}", getattr(samples, suffix)())
    assert codes(result) == ["hidden"]
    text = result.documents[0].text
    assert "品名: ノートPC | 台数: 12 | 更新日: 2026-04-01" in text
    assert "品名: プロジェクター | 台数: 3 | 更新日: 2025-10-01" in text
    assert "担当: 情報システム課" in text
    assert "見せない" not in text


def test_merged_cells_and_numbers_of_a_sheet_are_those_that_people_see(tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (
        ("内線番号一覧",), (), ("部署", "氏名", "内線"), ("総務部", "山本", 12), (None, "小林", 345), (),
        ("人事部", "高木", 1), (None, None, None), (None, "中村", 2),
    ):  # fmt: skip
        sheet.append(row)
    for place in ("A1:C2", "A4:A5", "A7:A9"):
        sheet.merge_cells(place)
    for place in ("C4", "C5"):
        sheet[place].number_format = "0000"
    book.save(tmp_path / "tel.xlsx")
    assert only(loaded(tmp_path, "tel.xlsx", (tmp_path / "tel.xlsx").read_bytes())).text == (
        "Sheet\n\n内線番号一覧\n部署: 総務部 | 氏名: 山本 | 内線: 0012\n部署: 総務部 | 氏名: 小林 | 内線: 0345\n"
        "人事部 | 高木 | 1\n人事部 | 中村 | 2"
    )


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (18000, '#,##0"円"', "18,000円"),
        (0.1, "0%", "10%"),
        (0.0825, "0.0%", "8.3%"),
        (4200.5, "#,##0", "4,201"),
        (4200.5, "General", "4200.5"),
        (1234.5, "¥#,##0.00", "¥1,234.50"),
        (1234.5, "#,##0.##", "1,234.5"),
        (3, "#,##0.##", "3"),
        (12, "00000", "00012"),
        (5, "#,##0_ ;[Red]\\-#,##0\\ ", "5"),
        (-5, "#,##0_ ;[Red]\\-#,##0\\ ", "-5"),
        (3, '"第"0"回"', "第3回"),
        (0.5, "# ?/?", "0.5"),
        (3.0, "@", "3"),
        (float("nan"), "0", "nan"),
    ],
)
def test_numbers_in_the_formats_of_excel(value: float, form: str, shown: str) -> None:
    assert number_shown(value, form) == shown


@pytest.mark.parametrize(
    "data",
    [
        samples.xlsx(),
        "<html><table><tr><th>品名<th>台数<tr><td>ノートPC<td>12</table></html>".encode("cp932"),
        "品名\t台数\nノートPC\t12\n".encode("utf-16"),
    ],
)
def test_what_only_calls_itself_xls(tmp_path: Path, data: bytes) -> None:
    (document,) = loaded(tmp_path, "bihin.xls", data).documents
    assert "品名: ノートPC | 台数: 12" in document.text


@pytest.mark.parametrize(
    ("name", "better"), [("a.doc", ".docx"), ("a.PPT", ".pptx"), ("a.jtd", ".pdf"), ("a.exe", "")]
)
def test_formats_that_are_not_read_name_one_that_is(tmp_path: Path, name: str, better: str) -> None:
    (tmp_path / "good.md").write_text("# よい", encoding="utf-8")
    (tmp_path / name).write_bytes(b"x")
    (skipped,) = discover([tmp_path]).skipped
    assert skipped.code == "unknown_format"
    assert ("保存し直して" in skipped.reason) == bool(better)
    assert better in skipped.reason


@pytest.mark.parametrize("encoding", ["utf-8", "cp932", "euc_jp", "utf-16"])
def test_csv_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    table = '部署,内線,備考\n総務部,1234,"月曜,火曜"\n経理部,5678,\n'
    document = only(loaded(tmp_path, "tel.csv", table.encode(encoding)))
    assert document.text == "部署: 総務部 | 内線: 1234 | 備考: 月曜,火曜\n部署: 経理部 | 内線: 5678"


def test_csv_without_a_header_and_tsv(tmp_path: Path) -> None:
    assert only(loaded(tmp_path, "a.csv", b"1,2,3\n4,5,6\n")).text == "1 | 2 | 3\n4 | 5 | 6"
    tabbed = "品名\t数量\t場所\nペン\t3\t棚\n".encode()
    assert only(loaded(tmp_path, "a.tsv", tabbed)).text == "品名: ペン | 数量: 3 | 場所: 棚"


def test_mail_rejoins_lines_and_reads_attachments(tmp_path: Path) -> None:
    attached = ("議事録.md", "# 議事録\n\n予算を決めた。".encode())
    result = loaded(tmp_path, "m.eml", samples.eml(attached))
    mail, minutes = result.documents
    assert mail.title == "サーバー停止のお知らせ"
    assert mail.date == "2026-11-02"
    assert "作業中は共有フォルダーを使うことができません。" in mail.text
    assert "・日時: 11月8日 9時から\n・場所: 本社" in mail.text
    assert "差出人: 情報システム課" in mail.text
    assert "\n日時: 2026年11月2日（月）10:00\n" in mail.text
    assert minutes.source == "m.eml#議事録.md"
    assert minutes.title == "議事録"
    assert minutes.media_type == "text/markdown"
    assert minutes.id != mail.id


def test_slack_threads_people_and_what_stays_private(tmp_path: Path) -> None:
    result = loaded(tmp_path, "export.zip", samples.slack_export())
    assert codes(result) == ["private"]
    thread, loose = result.documents
    assert thread.text == (
        "佐藤（09:00）: @田中一郎 VPN がつながりません。手順書 (https://example.com/vpn)は見ました\n\n"
        "田中一郎（09:01）: 証明書の期限切れです。<更新>してください"
    )
    assert thread.title.startswith("#general: @田中一郎 VPN")
    assert thread.source == "export.zip#general/1793577600.000100"
    assert thread.date == loose.date == "2026-11-02"
    assert loose.text == "佐藤（09:06）: 明日は休みます"
    app = "https://app.slack.com/client/T1/C1/thread"
    assert [d.url for d in result.documents] == [
        f"{app}/C1-1793577600.000100",
        f"{app}/C1-1793578000.0",
    ]
    assert not any("秘密" in d.text or "デプロイ" in d.text for d in result.documents)


def test_slack_messages_link_to_the_workspace_that_a_file_names(tmp_path: Path) -> None:
    shared = {"title": "図", "permalink": "https://acme.slack.com/files/U1/F1/a.png"}
    text = 'これは "permalink": "https://evil.slack.com/" ではない'
    days = [
        {"type": "message", "user": "U1", "ts": "1793577600.0001", "text": text},
        {"type": "message", "user": "U1", "ts": "1793577601.000200", "files": [shared],
         "thread_ts": "1793577601.000200", "text": "図です"},
        {"type": "message", "user": "U1", "ts": "いつか", "thread_ts": "x", "text": "時刻のない発言"},
    ]  # fmt: skip
    archive = samples.zipped(
        {
            "users.json": json.dumps([{"id": "U1", "name": "sato", "tz_offset": "9"}]),
            "channels.json": json.dumps([{"id": "C1", "name": "general"}]),
            "general/2026-11-02.json": json.dumps(days).replace("/", "\\/"),
        }
    )
    result = loaded(tmp_path, "export.zip", archive)
    base = "https://acme.slack.com/archives/C1"
    links = {document.source.rpartition("/")[2]: document.url for document in result.documents}
    assert links == {
        "2026-11-02": f"{base}/p1793577600000100",
        "1793577601.000200": f"{base}/p1793577601000200",
        "x": "",
    }
    assert [d.text for d in result.documents if "時刻" in d.text] == ["sato: 時刻のない発言"]


def test_pages_of_an_archive_have_the_addresses_that_sources_toml_gives(tmp_path: Path) -> None:
    (tmp_path / "wiki.zip").write_bytes(samples.growi_export())
    (tmp_path / "sources.toml").write_text(
        '[[source]]\npath = "*.zip"\nurl = "https://wiki.example.com/{part}"\n', encoding="utf-8"
    )
    (file,) = discover([tmp_path]).files
    (page,) = load(file, rules=read_rules([tmp_path])).documents
    assert page.url == "https://wiki.example.com/" + quote("手順/VPN接続")


def test_growi_reads_the_newest_revision_of_public_pages(tmp_path: Path) -> None:
    result = loaded(tmp_path, "wiki.zip", samples.growi_export())
    assert codes(result) == ["private"]
    (page,) = result.documents
    assert (page.title, page.date) == ("VPN接続", "2026-10-01")
    assert page.source == "wiki.zip#手順/VPN接続"
    assert "証明書を入れてから" in page.text


def test_an_export_with_attachments(tmp_path: Path) -> None:
    archive = samples.zipped(
        {
            "SPACE/index.html": "<html><body><div id='main-content'><h1>手順</h1><p>本文です。</p></div>"
            '<a class="x" href="attachments/12/34.xlsx?v=1">備品&amp;在庫.xlsx</a></body></html>',
            "SPACE/attachments/12/34.xlsx": samples.xlsx(),
            "SPACE/attachments/12/表.xlsx": samples.xlsx(),
            "SPACE/images/logo.png": b"\x89PNG",
            "__MACOSX/._index.html": b"\x00\x05",
            "規程/旅費.docx": samples.docx(),
        }
    )
    result = loaded(tmp_path, "space.zip", archive)
    assert {d.source for d in result.documents} == {
        "space.zip#SPACE/index.html",
        "space.zip#SPACE/attachments/12/34.xlsx",
        "space.zip#SPACE/attachments/12/表.xlsx",
        "space.zip#規程/旅費.docx",
    }
    titles = {d.source.rpartition("/")[2]: d.title for d in result.documents}
    assert (titles["34.xlsx"], titles["表.xlsx"]) == ("備品&在庫", "表")
    assert sorted(codes(result)) == ["hidden", "hidden", "unknown_format"]


def test_names_of_members_in_cp932(tmp_path: Path) -> None:
    """What the zip program of Japanese Windows writes: cp932 without saying so."""
    raw = samples.zipped({"AAAA.md": "本文です。"})
    data = raw.replace(b"AAAA.md", "規程".encode("cp932") + b".md")
    assert only(loaded(tmp_path, "win.zip", data)).source == "win.zip#規程.md"


def test_html_headings_lists_tables_and_ruby(tmp_path: Path) -> None:
    page = """<html><head><meta charset="Shift_JIS"><title>休暇 - 社内</title>
    <meta property="article:modified_time" content="2026-03-01T00:00:00Z"><style>p{}</style></head>
    <body><nav><a href=/>ホーム</a></nav><div><h1>休暇の取り方</h1><p>有給休暇は
    上長の承認を得て
    取得します。<br>申請は<ruby>前日<rp>(</rp><rt>ぜんじつ</rt><rp>)</rp></ruby>まで。</p>
    <ul><li>夏季<ul><li>3日</li></ul></li></ul><ol><li>申請</li><li>承認</li></ol>
    <table><tr><th>種類</th><th>日数</th></tr><tr><td rowspan=2>有給</td><td>20日</td></tr>
    <tr><td>10日</td></tr></table><pre>a  b
  c</pre><script>alert(1)</script><p style="display:none">見えない</p></div>
    <footer>(c)</footer></body></html>"""
    document = only(loaded(tmp_path, "p.html", page.encode("cp932")))
    assert document.title == "休暇の取り方"
    assert document.date == "2026-03-01"
    assert document.text == (
        "休暇の取り方\n\n有給休暇は上長の承認を得て取得します。\n申請は前日（ぜんじつ）まで。\n\n"
        "- 夏季\n  - 3日\n1. 申請\n2. 承認\n\n種類: 有給 | 日数: 20日\n種類: 有給 | 日数: 10日\n\na  b\n  c"
    )


def test_html_menus_go_and_nothing_of_the_body_is_lost(tmp_path: Path) -> None:
    menu = "".join(f"<li><a href='/{i}'>メニュー項目{i}</a></li>" for i in range(12))
    body = "".join(
        f"<p>段落{i}では、申請の手順とその期限について詳しく述べています。担当は総務部です。</p>"
        for i in range(20)
    )
    page = f"<html><body><div><ul>{menu}</ul></div><div><h1>申請</h1>{body}</div></body></html>"
    text = only(loaded(tmp_path, "web.html", page.encode())).text
    assert "メニュー項目3" not in text
    assert all(f"段落{i}では" in text for i in range(20))


def test_wiki_page_of_links_only_keeps_them_inside_main(tmp_path: Path) -> None:
    page = (
        "<main><h1>一覧</h1><p>以下を参照。</p><ul><li><a href=a>経費の手引き</a></li></ul></main>"
    )
    assert "経費の手引き" in only(loaded(tmp_path, "list.html", page.encode())).text


def test_one_process_reads_one_file_after_another(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(samples.docx())
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4 broken")
    (tmp_path / "c.pptx").write_bytes(samples.pptx())
    with Loader() as loader:
        results = [loader.load(file) for file in discover([tmp_path]).files]
    assert [len(result.documents) for result in results] == [1, 0, 1]
