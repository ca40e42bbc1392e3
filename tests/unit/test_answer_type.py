"""What a question asks for, and whether a sentence holds such a thing."""

from __future__ import annotations

import pytest

from index.answer_type import asks_what_it_is, expected_kind, holds_kind, topic_of
from index.normalize import fold


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("創業はいつですか", "time"),
        ("なぜ延期になったのですか", "reason"),
        ("担当者は誰？", "person"),
        ("書類はどこに出しますか", "place"),
        ("有給休暇は何日もらえますか", "time"),
        ("新しい版のリリース日は？", "time"),
        ("上限はいくら？", "number"),
        ("受講の料金はいくら？", "money"),
        ("キャンセル料はいくら払いますか", "money"),
        ("法人価格を教えてください", "money"),
        ("料金の体系はどうなっている？", None),
        ("How much does a seat cost?", "money"),
        ("How much memory does it need?", "number"),
        ("SLAは何の略ですか", "expansion"),
        ("CRIの正式名称は？", "expansion"),
        ("What does SLA stand for?", "expansion"),
        ("Which year was it founded?", "time"),
        ("What made them stop?", "reason"),
        ("How often is it renewed?", "number"),
        ("申請の方法を教えて", None),
    ],
)
def test_the_kind_of_thing_asked_for(question: str, kind: str | None) -> None:
    assert expected_kind(question) == kind


@pytest.mark.parametrize(
    ("question", "sentence", "worth"),
    [
        ("創業はいつですか", "1998年4月に創業した。", 1.0),
        ("創業はいつですか", "駅の近くで創業した。", 0.0),
        ("何人が参加しましたか", "3人が参加した。", 1.0),
        ("何人が参加しましたか", "3回参加した。", 0.5),
        ("2014年度の来館者は何人ですか", "2014年度の来館者は5万人だった。", 1.0),
        ("2014年の開館はいつ？", "2014年に開館した。", 0.0),
        ("2014年の開館はいつ？", "2014年5月に開館した。", 1.0),
        ("版はいつ変わった？", "2026年11月時点で使えるのは、三つの版です。", 0.0),
        ("料金はいくら？", "1人あたり3,000円です。", 1.0),
        ("料金はいくら？", "会員は無料です。", 1.0),
        ("料金はいくら？", "料金は2024年に改めました。", 0.0),
        ("How much did they pay?", "約300人の従業員を引き継ぎました。", 0.0),
        ("創業者は誰？", "創業者は山田太郎です。", 1.0),
        ("山田の上司は誰？", "山田は総務にいる。", 0.0),
        ("責任者は誰？", "部長が責任をもつ担当者を選ぶ。", 0.5),
        ("責任者は誰？", "毎年選ぶ。", 0.0),
        ("SLAは何の略ですか", "SLA（Service Level Agreement）は、品質の約束です。", 2.0),
        ("SLAは何の略ですか", "SLA（エスエルエー、Service Level Agreementの略）は約束です。", 2.0),
        ("SLAは何の略ですか", "SLO（Service Level Objective）は、SLAの目標です。", 1.0),
        ("HTMLは何の略？", "HTMLとは、HyperText Markup Languageのことです。", 2.0),
        ("What does SLA stand for?", "SLA は Service Level Agreement の略です。", 2.0),
        ("SLAは何の略ですか", "SLA（別紙）は、毎年見直します。", 0.0),
        ("申請の方法を教えて", "何でもよい。", 1.0),
    ],
)
def test_a_sentence_holds_such_a_thing_or_does_not(
    question: str, sentence: str, worth: float
) -> None:
    assert holds_kind(expected_kind(question), fold(sentence), question) == worth


@pytest.mark.parametrize(
    "question",
    ["SBOMとは", "SBOMって何？", "SBOMってそもそも何ですか", "SBOMは何なの", "etcdの役割を教えて",
     "Skopeoは何に使うのですか", "What is an SBOM?"],
)  # fmt: skip
def test_a_question_asks_what_a_thing_is(question: str) -> None:
    assert asks_what_it_is(question)


@pytest.mark.parametrize("question", ["創業はいつ？", "標準のポートは何番？", "申請はどこ？"])
def test_a_question_asks_something_else(question: str) -> None:
    assert not asks_what_it_is(question)


@pytest.mark.parametrize(
    ("sentence", "topic"),
    [
        ("SBOMは、部品の一覧です。", "sbomは"),
        ("SBOM（ソフトウェア部品表、Software Bill of Materials）は、部品の一覧です。", "sbomは"),
        ("担当: 総務部", "担当:"),
        ("部品の一覧を作ります。", ""),
    ],
)
def test_what_a_sentence_is_about(sentence: str, topic: str) -> None:
    assert topic_of(fold(sentence)) == topic
