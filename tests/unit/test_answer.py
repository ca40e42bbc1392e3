from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.answer import Answerer
from bot.confidence import Calibration
from bot.errors import StoreUnavailable
from bot.records import Answer, Citation, Language, Question, Turn
from bot.wiring import Kiku
from index.build import build
from index.errors import IndexMissing, QueryError
from index.records import Document, document_id
from index.retrieve import Retriever
from tests.fake_encoder import FakeEncoder

# Sure where the passage holds what is asked, whatever weights are shipped.
PLAIN = Calibration({"coverage": 20.0}, -6.0)
TEXTS = {
    "salary.md": "給与は毎月25日に支払う。給与の明細は総務が渡す。",
    "holiday.md": "有給休暇は年に20日ある。休暇の届けは前日までに出す。",
    "expense.md": "経費は月末に申請する。領収書を付ける。",
    "remote.md": "在宅勤務は週に3日まで認める。申請は上長に出す。",
    "chroot.md": "chrootは1979年に生まれた。chrootはルートを変える。",
    "containerd.md": "containerdはCNCFのコンテナランタイムである。containerdはGoで書かれた。",
}


def over(folder: Path, texts: Mapping[str, str], collection: str = "default") -> Retriever:
    """A retriever over documents of these texts."""
    documents = [
        Document(document_id(source), Path(source).stem, text, source, collection)
        for source, text in texts.items()
    ]
    encoder = FakeEncoder()
    build(folder, documents, encoder=encoder)
    return Retriever.open(folder, encoder=encoder)


def plain(retriever: Retriever) -> Answerer:
    return Answerer(lambda: retriever, calibration=PLAIN)


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    retriever = over(tmp_path_factory.mktemp("house"), TEXTS)
    yield retriever
    retriever.close()


@pytest.fixture(scope="module")
def answerer(retriever: Retriever) -> Answerer:
    return plain(retriever)


def check(answer: Answer, retriever: Retriever) -> None:
    """What holds of every answer: each sentence has its citation, and each is verbatim."""
    for number, citation in enumerate(answer.citations, 1):
        document = retriever.document(citation.document_id)
        assert document is not None
        assert citation.number == number
        assert citation.quote
        assert citation.quote == document.text[citation.start : citation.end]
        assert 0 <= citation.score <= 1
    assert 0 <= answer.confidence <= 1
    assert answer.took_ms >= 0
    assert answer.id
    assert answer.conversation_id
    marks = [int(mark) for mark in re.findall(r"\[(\d+)\]", answer.answer)]
    if answer.status == "answered":
        assert marks == list(range(1, len(marks) + 1))
        assert 0 < len(marks) <= len(answer.citations)
        assert re.search(r"\[\d+\]$", answer.answer)
    else:
        assert marks == []


@pytest.mark.parametrize(
    ("question", "source"),
    [
        ("給与はいつ支払う？", "salary.md"),
        ("有給休暇は年に何日ありますか", "holiday.md"),
        ("chrootはいつ生まれましたか？", "chroot.md"),
        ("ｃｏｎｔａｉｎｅｒｄ　とは", "containerd.md"),
        ("経費\x00の申請\u200bは？", "expense.md"),
    ],
)
def test_an_answer_quotes_the_document_that_says_it(
    answerer: Answerer, retriever: Retriever, question: str, source: str
) -> None:
    answer = answerer.ask(Question(question))
    assert answer.status == "answered"
    assert answer.language == "ja"
    assert answer.composer == "extractive"
    assert answer.citations[0].source == source
    check(answer, retriever)


@pytest.mark.parametrize(
    "question",
    ["富士山の標高は何メートルですか", "社長の好きな食べ物は？", "パスタの茹で時間", "ψξとは"],
)
def test_what_the_documents_do_not_say_is_not_found(
    answerer: Answerer, retriever: Retriever, question: str
) -> None:
    answer = answerer.ask(Question(question))
    assert answer.status == "not_found"
    assert "見つかりません" in answer.answer
    assert answer.confidence < answerer.threshold
    check(answer, retriever)


def test_not_found_shows_what_is_near(answerer: Answerer) -> None:
    answer = answerer.ask(Question("chrootの値段は何円で税率は何パーセントですか"))
    assert answer.status == "not_found"
    assert any(citation.source == "chroot.md" for citation in answer.citations)


@pytest.mark.parametrize(
    ("question", "language", "words"),
    [
        ("What is the price of tofu in Osaka?", "en", "do not answer"),
        ("대한민국의 수도는 어디입니까", "ja", "見つかりません"),
        ("Какая столица Японии?", "ja", "見つかりません"),
        ("ประเทศไทยอยู่ที่ไหน", "ja", "見つかりません"),
    ],
)
def test_not_found_is_told_in_the_language_of_the_question(
    answerer: Answerer, question: str, language: Language, words: str
) -> None:
    answer = answerer.ask(Question(question))
    assert (answer.status, answer.language) == ("not_found", language)
    assert words in answer.answer


def test_an_english_question_is_answered_from_japanese_documents(answerer: Answerer) -> None:
    answer = answerer.ask(Question("What is containerd?"))
    assert answer.language == "en"
    assert answer.citations[0].source == "containerd.md"


def test_two_questions_in_one_message_are_both_answered(
    answerer: Answerer, retriever: Retriever
) -> None:
    answer = answerer.ask(Question("chrootはいつ生まれましたか？containerdとは何ですか？"))
    assert answer.status == "answered"
    used = answer.citations[: answer.answer.count("[")]
    assert {"chroot.md", "containerd.md"} <= {citation.source for citation in used}
    check(answer, retriever)


def test_of_two_questions_the_one_that_can_be_is_answered(
    answerer: Answerer, retriever: Retriever
) -> None:
    answer = answerer.ask(Question("富士山の標高は何メートル？chrootはいつ生まれましたか？"))
    assert answer.status == "answered"
    assert answer.citations[0].source == "chroot.md"
    check(answer, retriever)


def test_a_follow_up_is_read_in_its_conversation(answerer: Answerer) -> None:
    history = (Turn("user", "chrootとは何ですか？"), Turn("assistant", "…[1]"))
    alone = answerer.ask(Question("それはいつ生まれましたか？"))
    followed = answerer.ask(Question("それはいつ生まれましたか？", history=history))
    assert followed.citations[0].source == "chroot.md"
    assert followed.confidence >= alone.confidence


def test_a_new_subject_in_a_conversation_is_not_taken_for_the_old_one(answerer: Answerer) -> None:
    history = (Turn("user", "cgroupとは何ですか？"), Turn("assistant", "…[1]"))
    alone = answerer.ask(Question("chrootはいつ生まれましたか？"))
    after = answerer.ask(Question("chrootはいつ生まれましたか？", history=history))
    assert after.citations[0].quote == alone.citations[0].quote
    assert after.confidence >= alone.confidence


def test_a_stored_conversation_is_remembered(kiku: Kiku) -> None:
    first = Question("chrootとは何ですか？", conversation_id="c1")
    kiku.store.record(first, kiku.answerer.ask(first))
    followed = kiku.answerer.ask(Question("それはいつ生まれましたか？", conversation_id="c1"))
    told = Question("それはいつ生まれましたか？", history=(Turn("user", first.text),))
    assert followed.conversation_id == "c1"
    assert [c.quote for c in followed.citations] == [
        c.quote for c in kiku.answerer.ask(told).citations
    ]
    assert followed.citations[0].source == "chroot.md"
    stranger = kiku.answerer.ask(Question("それはいつ生まれましたか？", conversation_id="c2"))
    assert [c.quote for c in stranger.citations] != [c.quote for c in followed.citations]


def test_an_answer_outlives_a_broken_memory(retriever: Retriever) -> None:
    class Broken:
        def turns(self, conversation_id: str, limit: int = 20) -> tuple[Turn, ...]:
            raise StoreUnavailable("記録がありません。")

    answerer = Answerer(lambda: retriever, memory=Broken(), calibration=PLAIN)
    answer = answerer.ask(Question("chrootはいつ生まれましたか？", conversation_id="c1"))
    assert answer.status == "answered"


def test_a_new_conversation_gets_an_unguessable_id(answerer: Answerer) -> None:
    ids = {answerer.ask(Question("chrootとは")).conversation_id for _ in range(3)}
    assert len(ids) == 3
    assert all(len(one) >= 16 for one in ids)
    assert (
        answerer.ask(Question("chrootとは", conversation_id="C1:2.3-x")).conversation_id
        == "C1:2.3-x"
    )


@pytest.mark.parametrize("bad", ["あ", "a b", "a/b", "x" * 201, "a\n"])
def test_a_conversation_id_of_nobody_is_refused(answerer: Answerer, bad: str) -> None:
    with pytest.raises(QueryError, match="conversation_id"):
        answerer.ask(Question("chrootとは", conversation_id=bad))


@pytest.mark.parametrize("top_k", [1, 2, 5, 50])
def test_there_are_no_more_citations_than_asked_for(
    answerer: Answerer, retriever: Retriever, top_k: int
) -> None:
    answer = answerer.ask(Question("containerdとは何ですか？", top_k=top_k))
    assert 0 < len(answer.citations) <= top_k
    check(answer, retriever)


def test_five_citations_are_five_pieces_of_evidence(tmp_path: Path) -> None:
    marks = ("", "。", "！", " ", "（写し）")
    text = "給与は毎月25日に銀行の口座へ支払う。休日に当たるときは前の平日に支払う。"
    copies = {f"{n}.md": text + mark for n, mark in enumerate(marks)}
    others = {"a.md": "給与の明細は総務が毎月渡す。", "b.md": "休暇は年に20日ある。"}
    answer = plain(over(tmp_path, copies | others)).ask(Question("給与を支払う日"))
    assert answer.status == "answered"
    assert "25日" in answer.citations[0].quote
    assert sum("25日" in citation.quote for citation in answer.citations) == 1
    assert any("明細" in citation.quote for citation in answer.citations)


@pytest.mark.parametrize(
    "question", ["給与はいつ支払う？", "休暇の届けと経費の申請", "chrootとcontainerd"]
)
def test_no_place_is_cited_twice(answerer: Answerer, question: str) -> None:
    citations = answerer.ask(Question(question, top_k=50)).citations
    for citation in citations:
        for other in citations:
            apart = citation.end <= other.start or other.end <= citation.start
            assert other is citation or citation.document_id != other.document_id or apart


def test_nobody_is_answered_from_what_they_may_not_see(tmp_path: Path) -> None:
    answerer = plain(over(tmp_path, {"a.md": TEXTS["salary.md"]}, collection="人事"))
    asked = "給与を支払う日"
    assert answerer.ask(Question(asked)).status == "answered"
    assert answerer.ask(Question(asked, collections=frozenset({"人事"}))).status == "answered"
    for seen in (frozenset({"公開"}), frozenset[str]()):
        answer = answerer.ask(Question(asked, collections=seen))
        assert (answer.status, answer.citations, answer.confidence) == ("not_found", (), 0.0)
        assert "25日" not in answer.answer


def test_the_threshold_decides(retriever: Retriever) -> None:
    question = Question("chrootはいつ生まれましたか？")
    sure = Answerer(lambda: retriever, calibration=PLAIN).ask(question).confidence
    for threshold, status in ((sure - 0.001, "answered"), (min(1.0, sure + 0.001), "not_found")):
        for answerer in (
            Answerer(lambda: retriever, calibration=PLAIN, threshold=threshold),
            Answerer(
                lambda: retriever, calibration=Calibration(PLAIN.weights, PLAIN.bias, threshold)
            ),
        ):
            assert answerer.threshold == threshold
            assert answerer.ask(question).status == status


def test_a_calibrated_threshold_of_0_counts(retriever: Retriever) -> None:
    calibration = Calibration(PLAIN.weights, PLAIN.bias, 0.0)
    assert Answerer(lambda: retriever, calibration=calibration, threshold=0.9).threshold == 0.0


class Scribe:
    """A composer that writes one line, or nothing."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.given: list[tuple[str, str]] = []

    def compose(
        self,
        question: Question,
        citations: Sequence[Citation],
        extractive: str,
        language: Language,
        said: object = None,
    ) -> str | None:
        self.given.append((question.text, extractive))
        return self.text


def test_a_composer_writes_where_there_is_something_to_write_from(retriever: Retriever) -> None:
    scribe = Scribe("書き直した答え。[1]")
    answerer = Answerer(lambda: retriever, composer=scribe, calibration=PLAIN)
    answer = answerer.ask(Question("chrootはいつ生まれましたか？"))
    assert (answer.answer, answer.composer) == ("書き直した答え。[1]", "llm")
    assert answerer.ask(Question("富士山の標高は何メートルですか")).composer == "extractive"
    assert len(scribe.given) == 1
    silent = Answerer(lambda: retriever, composer=Scribe(None), calibration=PLAIN)
    kept = silent.ask(Question("chrootはいつ生まれましたか？"))
    assert (kept.answer, kept.composer) == (scribe.given[0][1], "extractive")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "空"),
        (" \t\n　", "空"),
        ("🙂🎉", "言葉"),
        ("？！…。", "言葉"),
        ("\x00\x07\x1b", "言葉"),
        ("\ud83d", "言葉"),
        ("あ" * 4001, "長すぎ"),
        ("あ" * 100_000, "長すぎ"),
        ("long " * 1000, "too long"),
    ],
    ids=[
        "empty",
        "blank",
        "emoji",
        "marks",
        "control",
        "half a character",
        "long",
        "very long",
        "English",
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(
    answerer: Answerer, text: str, words: str
) -> None:
    for ask in (answerer.ask, answerer.features):
        with pytest.raises(QueryError, match=words) as error:
            ask(Question(text))
        assert error.value.code == "bad_question"
        assert error.value.hint
        assert len(error.value.message) < 100


def test_the_longest_question_is_answered(answerer: Answerer, retriever: Retriever) -> None:
    check(answerer.ask(Question("chrootとは何ですか。" * 300)), retriever)
    check(answerer.ask(Question("あ" * 4000)), retriever)


def test_half_a_character_does_no_harm(answerer: Answerer, retriever: Retriever) -> None:
    history = (Turn("user", "chroot\udcff"), Turn("assistant", "\ud800"))
    answer = answerer.ask(Question("それ\udcffはいつ生まれた？", history=history))
    check(answer, retriever)
    answer.answer.encode()


def test_without_an_index_the_error_says_so() -> None:
    def missing() -> Retriever:
        raise IndexMissing("索引がまだありません。", hint="kiku build")

    with pytest.raises(IndexMissing):
        Answerer(missing).ask(Question("chrootとは"))


def test_features_are_those_of_the_answer(answerer: Answerer) -> None:
    question = Question("chrootはいつ生まれましたか？")
    features = answerer.features(question)
    probability = answerer.calibration.probability(features)
    assert answerer.ask(question).confidence == pytest.approx(probability, abs=1e-4)
    hidden = Question(question.text, collections=frozenset())
    assert answerer.features(hidden) == {}


@pytest.mark.parametrize(("asked", "within"), [("1.22", True), ("1.40", False)])
def test_an_answer_knows_whether_it_speaks_of_the_version(
    tmp_path: Path, asked: str, within: bool
) -> None:
    text = "## v1.5 ~ v1.23\n\nkubeletはdockershimを通してランタイムを呼び出します。"
    own = over(tmp_path, {"versions.md": text})
    features = plain(own).features(Question(f"v{asked}のkubeletは何を呼び出しますか"))
    assert (features["version"] > 0) == within
    own.close()


def test_threads_get_their_own_answers(answerer: Answerer) -> None:
    questions = ["chrootとは", "containerdとは", "給与とは", "経費とは"] * 2

    def sources(text: str) -> list[str]:
        return [citation.source for citation in answerer.ask(Question(text)).citations]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(sources, questions))
    assert together == [sources(text) for text in questions]
