from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.conversation import split_questions, with_context
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
    ("question", "topic"),
    [
        ("それは何をベースにしていますか？", "centos"),
        ("サポートはいつまで？", "centos"),
        ("その理由は？", "centos"),
        ("What is it based on?", "centos"),
        ("同じものはほかにありますか", "centos"),
    ],
)
def test_a_question_that_leans_on_another_gets_its_topic(question: str, topic: str) -> None:
    contextual = with_context(question, asked("CentOS Streamとは何ですか？"))
    assert contextual is not None
    assert topic in contextual.casefold()


@pytest.mark.parametrize(
    "question", ["Dockerのデーモンは何をしますか？", "PodmanとDockerの役割を教えて", "rktの歴史"]
)
def test_a_question_that_stands_alone_is_left_alone(question: str) -> None:
    assert with_context(question, asked("CentOS Streamとは何ですか？")) is None


def test_without_a_conversation_there_is_no_context() -> None:
    assert with_context("それは何をベースにしていますか？", ()) is None
    assert with_context("それは何？", [Turn("assistant", "こんにちは。")]) is None


def test_the_last_topic_counts() -> None:
    contextual = with_context("それはいつ終わりましたか？", asked("Debianとは？", "rktとは？"))
    assert contextual is not None
    assert "rkt" in contextual
    assert "debian" not in contextual.casefold()


def test_a_topic_is_looked_for_beyond_questions_without_one() -> None:
    contextual = with_context("もっと詳しく", asked("Podmanとは？", "それはいつ？"))
    assert contextual is not None
    assert "podman" in contextual.casefold()


def test_what_was_answered_is_not_what_was_asked() -> None:
    turns = [Turn("user", "rktとは？"), Turn("assistant", "Ubuntuの話です。")]
    contextual = with_context("それはいつ終わった？", turns)
    assert contextual is not None
    assert "ubuntu" not in contextual.casefold()


@settings(max_examples=40, deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), max_size=60), st.lists(st.text(max_size=30), max_size=4)
)
def test_any_conversation_can_be_read(question: str, before: list[str]) -> None:
    contextual = with_context(question, asked(*before))
    assert contextual is None or isinstance(contextual, str)
