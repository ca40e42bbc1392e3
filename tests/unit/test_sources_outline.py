"""Headings of plain texts and Markdown: found where they are, and nowhere else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.sources.markdown import headings
from index.sources.outline import find_headings


def found(text: str) -> list[tuple[int, str]]:
    for heading in find_headings(text):
        assert text[heading.start : heading.start + 1].strip()
    return [(heading.level, heading.title) for heading in find_headings(text)]


def test_rules_of_a_company() -> None:
    text = """株式会社ミドリ　就業規則

第1章　総則

（目的）
第1条　この規則は、従業員の労働条件について定める。
２　この規則に定めのない事項は、労働基準法による。
（適用範囲）
第2条　この規則は、すべての従業員に適用する。

第2章　勤務

第3条（勤務時間）　勤務時間は1日8時間とする。
(1) 始業 9時
(2) 終業 18時
第3条に定める時間は変更することがある。

附則
この規則は令和6年4月1日から施行する。
"""
    assert found(text) == [
        (1, "株式会社ミドリ　就業規則"),
        (2, "第1章 総則"),
        (3, "第1条（目的）"),
        (3, "第2条（適用範囲）"),
        (2, "第2章 勤務"),
        (3, "第3条（勤務時間）"),
        (2, "附則"),
    ]


def test_minutes_with_marks() -> None:
    text = """定例会議 議事録
2026年11月2日

■出席者
山田、佐藤

■議題
● 予算について
● 採用について

【決定事項】
来期の予算は1億円とする。

以上
"""
    assert found(text) == [(1, "出席者"), (1, "議題"), (1, "【決定事項】")]


def test_a_manual_with_numbers_and_a_version_below() -> None:
    text = """運用の手引き

1. 準備

サーバーを止めます。

1.1 確認
ランプが消えたことを確かめます。

v2.0 ~ v2.3

この版では電源を二度押します。

2. 再開

電源を入れます。
"""
    assert found(text) == [
        (1, "運用の手引き"),
        (2, "1. 準備"),
        (3, "1.1 確認"),
        (4, "v2.0 ~ v2.3"),
        (2, "2. 再開"),
    ]


def test_two_articles_in_one_file() -> None:
    article = "覚え書き #{}\n\n1. 前半\n\n一つ目の文です。\n\nまとめ\n\n終わりの文です。\n\n"
    assert found(article.format(2) + article.format(1)) == [
        (1, "覚え書き #2"), (2, "1. 前半"), (3, "まとめ"),
        (1, "覚え書き #1"), (2, "1. 前半"), (3, "まとめ"),
    ]  # fmt: skip


def test_underlines_and_frames() -> None:
    text = "概要\n====\n\n本文です。\n\n詳細\n----\n\n本文です。\n\n=== 付記 ===\n\n本文です。\n"
    assert [title for _, title in found(text)] == ["概要", "詳細", "付記"]


@pytest.mark.parametrize(
    "text",
    [
        "お疲れさまです。\n\n山田です\n\n明日は休みます。\n",
        "買うもの\n\nりんご\n\nみかん\n\nぶどう\n\nバナナ\n",  # a list
        "手順は次のとおりです。\n\n1. 開く\n2. 押す\n3. 閉じる\n\n以上です。\n",
        "本文です。\n\n担当: 佐藤\n\n電話 03-1234-5678\n\n2026年11月2日\n\n本文です。\n",
        "本文です。\n\nhttps://example.com/a\n\n$ ls -l\n\n-> 次へ\n\n本文です。\n",
        "佐藤様\n\nいつもお世話になっております。\n\n敬具\n\n株式会社ミドリ\n",
        "これは長い文章の一部ですが途中で\n\n切れています。\n",
        "結果は以下のとおりである\n\n10\n\n20\n\n本文です。\n",
        "第3条に定めるところによる。\n第4条の規定にかかわらず、適用する。\n",
        "● りんご\n● みかん\n",
        "",
        "\n\n\n",
        "ひとつの行",
    ],
)
def test_no_heading_is_seen_where_none_is(text: str) -> None:
    assert found(text) == []


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["第1章 総則", "1. 目的", "■概要", "本文です。", "", "", "まとめ", "v1.0 ~", "・項目", "（目的）", "第1条",
             "====", "---", "# 題", "【注】", "短い行", "\u3000字下げの文。", "\t", "\r", "\u2028", "𠮷野家"]
        ),
        max_size=40,
    )
)  # fmt: skip
def test_headings_always_stand_in_order_at_their_lines(lines: list[str]) -> None:
    text = "\n".join(lines)
    starts = [heading.start for heading in find_headings(text)]
    assert starts == sorted(set(starts))
    for heading in find_headings(text):
        assert heading.title
        assert 1 <= heading.level <= 30
        assert not text[heading.start].isspace()


def test_markdown_headings_outside_code_and_comments() -> None:
    text = (
        "# 見出し **太字** `x`\n本文\n\n```bash\n# comment\n```\n##続き\nあ\n\nセテ\n====\n\n- a\n---\n\n"
        "### 終 ###\n<!--\n# no\n-->\n# [リンク](http://x)\n~~~\n# still code\n```\n# and still\n"
    )
    assert [(h.level, h.title) for h in headings(text)] == [
        (1, "見出し 太字 x"), (2, "続き"), (1, "セテ"), (3, "終"), (1, "リンク"),
    ]  # fmt: skip
    assert all(text[h.start] in "#セ" for h in headings(text))


@pytest.mark.parametrize(
    "text",
    [
        "<!--" * 200_000,
        "#" * 400_000,
        "`" * 400_000,
        "```\n" * 100_000,
        "a" * 1_000_000,
        "[" * 300_000,
        "# " + "[a](" * 100_000,
        "\n\n-" * 150_000,
        "《" * 200_000 + "漢" * 200_000,
        "第" * 300_000,
        "1." * 300_000,
        "（" * 300_000,
        "=" * 500_000 + "\n" + "=" * 500_000,
    ],
)
def test_no_text_takes_more_than_time_in_proportion(text: str) -> None:
    from index.sources import markdown
    from index.sources import text as plain
    from index.sources.types import Limits

    started = time.process_time()
    list(markdown.read(text.encode(), "a.md", Limits()))
    list(plain.read(text.encode(), "a.txt", Limits()))
    assert time.process_time() - started < 20  # quadratic code takes hours here
