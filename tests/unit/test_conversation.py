from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.conversation import readings, split_questions
from bot.records import Turn


def asked(*questions: str) -> tuple[Turn, ...]:
    """A conversation in which these were asked and answered."""
    return tuple(
        turn
        for question in questions
        for turn in (Turn("user", question), Turn("assistant", "答えです。[1]"))
    )


@pytest.mark.parametrize(
    ("message", "questions"),
    [
        ("containerdとは？", ["containerdとは？"]),
        (
            "Dockerとは何ですか？ rktはいつ終わりましたか？",
            ["Dockerとは何ですか？", "rktはいつ終わりましたか？"],
        ),
        (
            "Dockerとは何ですか?\nrktはいつ終わりましたか?",
            ["Dockerとは何ですか?", "rktはいつ終わりましたか?"],
        ),
        ("質問です。Dockerとは何ですか。", ["質問です。Dockerとは何ですか。"]),
        ("本当？Dockerとは何ですか？", ["本当？Dockerとは何ですか？"]),
        (
            "え？Dockerとは何ですか？CRI-Oとは何ですか？なぜ？",
            ["え？ Dockerとは何ですか？", "CRI-Oとは何ですか？ なぜ？"],
        ),
        ("Docker？？？", ["Docker？？？"]),
        (
            "Dockerとは何ですか？CRI-Oとは何ですか？急いでいます。",
            ["Dockerとは何ですか？", "CRI-Oとは何ですか？ 急いでいます。"],
        ),
        ("  前後の空白は？  ", ["前後の空白は？"]),
    ],
)
def test_the_questions_of_a_message(message: str, questions: list[str]) -> None:
    assert split_questions(message) == questions


def test_a_flood_of_questions_is_one() -> None:
    message = "一つ目の質問は何ですか？" * 20
    assert split_questions(message) == [message]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from(["Dockerとは", "？", "?", "\n", "。", "本当", " ", "）", "🙂"])).map(
        "".join
    )
)
def test_nothing_that_was_said_is_lost(message: str) -> None:
    parts = split_questions(message)
    assert 1 <= len(parts) <= 3
    said = "".join("".join(parts).split())
    assert [c for c in said if c.isalnum()] == [c for c in message if c.isalnum()]


@pytest.mark.parametrize(
    "question",
    [
        "それは何をベースにしていますか？",
        "サポートはいつまで？",
        "その理由は？",
        "What is it based on?",
        "同じものはほかにありますか",
        "Podmanと比べて何が違う？",
    ],
)
def test_a_question_that_leans_on_another_gets_its_topic(question: str) -> None:
    first = readings(question, asked("CentOS Streamとは何ですか？"))[0]
    assert "centos stream" in first.casefold()


def test_the_topic_takes_the_place_of_the_word_that_points_to_it() -> None:
    before = asked("What is Harbor?")
    assert readings("Who started it?", before) == ("Who started harbor ?",)


@pytest.mark.parametrize(
    "question", ["Dockerのデーモンは何をしますか？", "イメージのレイヤーって何？", "rktの歴史"]
)
def test_a_question_that_may_stand_alone_is_also_read_alone(question: str) -> None:
    assert readings(question, asked("CentOS Streamとは何ですか？"))[-1] == question


def test_without_a_conversation_a_question_is_read_alone() -> None:
    assert readings("それは何？", ()) == ("それは何？",)
    assert readings("それは何？", [Turn("assistant", "こんにちは。")]) == ("それは何？",)


@pytest.mark.parametrize(
    ("before", "question", "meant"),
    [
        ("CentOS Linux 7のEOLはいつ？", "じゃあ8は？", "centos linux 8のeolはいつ?"),
        ("v1.24のkubeletは？", "v1.0の頃は？", "v1.0のkubeletは?"),
        ("LXDを発表したのはいつ？", "Incusは？", "incusを発表したのはいつ?"),
        ("CVE-2019-5736とは？", "ちなみにCVE-2024-21626は？", "cve-2024-21626とは?"),
        ("When does Debian 12 end?", "And 13?", "when does debian 13 end?"),
    ],
)
def test_what_is_named_alone_takes_the_place_of_its_like(
    before: str, question: str, meant: str
) -> None:
    assert readings(question, asked(before)) == (meant,)


def test_each_of_two_things_may_be_meant() -> None:
    before = asked("EKSのkubeconfigの取り方は？")
    assert readings("AKSは？", before) == ("aksのkubeconfigの取り方は?", "eksのaksの取り方は?")


def test_a_chain_of_short_questions_goes_back_to_the_whole_one() -> None:
    before = asked("RHEL 7の公開日は？", "8は？")
    assert readings("じゃあ9は？", before) == ("rhel 9の公開日は?",)


def test_what_has_no_like_is_a_question_of_its_own() -> None:
    assert readings("8は？", asked("Debianとは？")) == ("debian 8は？", "8は？")


def test_the_last_topic_counts() -> None:
    (only,) = readings("それはいつ終わりましたか？", asked("Debianとは？", "rktとは？"))
    assert "rkt" in only
    assert "debian" not in only.casefold()


def test_a_topic_is_looked_for_beyond_questions_without_one() -> None:
    for between in ("それはいつ？", "なぜ削除されたの？"):
        first = readings("もっと詳しく", asked("Podmanとは？", between))[0]
        assert "podman" in first.casefold()


def test_what_was_answered_is_not_what_was_asked() -> None:
    turns = [Turn("user", "rktとは？"), Turn("assistant", "Ubuntuの話です。")]
    (only,) = readings("それはいつ終わった？", turns)
    assert "ubuntu" not in only.casefold()


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=60), st.lists(st.text(max_size=30), max_size=4)
)
def test_any_conversation_can_be_read(question: str, before: list[str]) -> None:
    assert readings(question, asked(*before))
