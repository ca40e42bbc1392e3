"""Which of two documents of one title is the older one, by what tells it."""

from __future__ import annotations

import pytest

from index.versions import superseded

RULES = "第1条　日当は{}円とする。\n第2条　宿泊費は実費とする。領収書を添える。\n第3条　申請は前日までに行う。"
Row = tuple[str, str, str]  # title, source, date


def newer(*rows: Row, texts: tuple[str, ...] = (), collections: str = "") -> dict[int, int]:
    """Place of an older version → place of the next newer one."""
    documents = [(str(n), *row, collections[n : n + 1] or "c") for n, row in enumerate(rows)]
    shown = dict(enumerate(texts or [RULES.format(2000 + n) for n in range(len(rows))]))
    found = superseded(documents, lambda identifier: shown[int(identifier)])
    return {int(old): int(new) for old, new in found.items()}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("旅費規程", "a.md", "2024-04-01"), ("旅費規程", "b.md", "2025-04-01")),
        (("旅費規程（2024年4月改定）", "a.txt", ""), ("旅費規程（2026年4月改定）", "b.txt", "")),
        (("旅費規程 第2版", "a.docx", "2026-03-01"), ("旅費規程 第10版", "b.docx", "2025-01-01")),
        (("旅費規程 v1.9", "a.docx", ""), ("旅費規程 Ver.1.10", "b.docx", "")),
        (("旅費規程", "旅費規程_2023.docx", "2026-09-09"), ("旅費規程", "旅費規程_2024.docx", "2026-01-01")),
        (("旅費規程（令和元年度）", "a.md", ""), ("旅費規程（令和5年度）", "b.md", "")),
        (("旅費規程（平成30年）", "a.md", ""), ("旅費規程（令和元年）", "b.md", "")),
        (("旅費規程", "旅費規程20240401.pdf", ""), ("旅費規程", "旅費規程20240601.pdf", "")),
    ],
)  # fmt: skip
def test_the_older_one_is_told(old: Row, new: Row) -> None:
    assert newer(old, new) == {0: 1}
    assert newer(new, old) == {1: 0}


def test_where_not_all_are_numbered_their_dates_decide() -> None:
    rows = (("規程", "規程.md", "2026-01-01"), ("規程 第2版", "a.md", "2025-01-01"))
    assert newer(*rows) == {1: 0}


def test_each_version_leads_to_the_next() -> None:
    rows = [(f"旅費規程 第{n}版", f"{n}.md", "") for n in (3, 1, 2)]
    assert newer(*rows) == {1: 2, 2: 0}


@pytest.mark.parametrize(
    "rows",
    [
        (("旅費規程", "a.md", ""), ("旅費規程", "b.md", "")),  # nothing tells the age
        (("旅費規程", "a.md", "2025-01-01"), ("旅費規程", "b.md", "2025-01-01")),
        (("旅費規程", "a.md", "2024-01-01"), ("経費規程", "b.md", "2025-01-01")),
        (("2024年", "a.md", ""), ("2025年", "b.md", "")),  # no title is left
    ],
)
def test_nothing_is_guessed(rows: tuple[Row, Row]) -> None:
    assert newer(*rows) == {}


def test_of_rules_every_amount_may_be_revised_and_of_reports_none() -> None:
    rows = (("旅費規程", "旅費規程_2024年版.txt", ""), ("旅費規程", "旅費規程_2026年版.txt", ""))
    rules = (
        "第１条　日当は、１日につき２，５００円とする。\n第２条　宿泊費は、一泊一万円を上限とする。\n"
        "第３条　帰着後７日以内に精算する。\n附則　令和６年４月１日から施行する。",
        "第１条　日当は、１日につき３，０００円とする。\n第２条　宿泊費は、一泊一万二千円を上限とする。\n"
        "第３条　帰着後１０日以内に精算する。\n附則　令和８年４月１日から施行する。",
    )
    assert newer(*rows, texts=rules) == {0: 1}
    report = "{}月の売上は{}万円でした。\n来客は{}人でした。\n返品は{}件でした。"
    rows = (("月報", "月報_2026年9月.txt", ""), ("月報", "月報_2026年10月.txt", ""))
    assert newer(*rows, texts=(report.format(9, 480, 210, 3), report.format(10, 505, 198, 5))) == {}


def test_other_words_and_other_collections_are_other_documents() -> None:
    rows = (("定例会議 2026-01-05", "a.md", ""), ("定例会議 2026-01-12", "b.md", ""))
    texts = (
        "5日は予算について話し合った。結論は出なかった。",
        "12日は採用について話し合った。二名を採る。",
    )
    assert newer(*rows, texts=texts) == {}
    assert newer(*rows) == {0: 1}
    assert newer(*rows, collections="ab") == {}
