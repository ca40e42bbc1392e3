"""The close reader: what it is shown, what it says of it, and that it computes what was trained."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from index.build import build
from index.close_reader import (
    CHANGES,
    GRAPH,
    LAYERS,
    QUESTION,
    SENTENCE,
    Candidate,
    CloseReader,
    Excerpt,
    sequenced,
)
from index.int8 import packed, unpacked
from index.records import Document
from index.retrieve import Retriever
from index.training.candidates import Case, Ranked, mined
from tests.fake_encoder import FakeEncoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from index.training.close_examples import Packer

BEGIN, END = 1, 2


class Session:
    """Says of each token how much it is like the number of its place; keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[dict[str, np.ndarray]] = []

    def run(self, _: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.given.append(inputs)
        count = inputs["input_ids"].shape[1]
        return [np.tile(np.arange(count, dtype=np.float32)[None, :, None], (1, 1, 2))]


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def reader() -> tuple[CloseReader, Session]:
    session = Session()
    return CloseReader(session, letters, BEGIN, END), session


def test_a_sequence_is_the_question_and_the_excerpts_under_their_contexts() -> None:
    read = sequenced([10, 11], [Excerpt([20], [[30, 31], [32]]), Excerpt([], [[40]])], BEGIN, END)
    assert read.ids == [1, 10, 11, 2, 20, 2, 30, 31, 32, 2, 2, 40, 2]
    assert read.passages == 4
    assert [read.ids[start:end] for start, end in read.spans] == [[30, 31], [32], [40]]


def test_what_is_too_long_is_cut() -> None:
    read = sequenced([5] * 99, [Excerpt([6] * 99, [[7] * 999])], BEGIN, END)
    assert read.ids.count(5) == QUESTION
    assert read.ids.count(7) == SENTENCE


def test_sentences_of_a_passage_stand_together_and_in_their_order() -> None:
    close, session = reader()
    candidates = [
        Candidate("a", "A", 50, "後"), Candidate("b", "B", 0, "他"), Candidate("a", "A", 3, "先"),
    ]  # fmt: skip
    odds = close.read("問", candidates)
    (given,) = session.given
    text = "".join(chr(one) for one in given["input_ids"][0])
    assert text == "\x01問\x02A\x02先後\x02B\x02他\x02"
    assert given["in_passage"][:, 0].tolist() == [0, 0, 0, *[1] * (len(text) - 3)]
    # The fake says of a token its place, and a sentence is one token here.
    assert odds.tolist() == [text.index("後"), text.index("他"), text.index("先")]


def test_the_odds_of_a_sentence_are_those_of_its_tokens_together() -> None:
    close, _ = reader()
    (odds,) = close.read("問", [Candidate("a", "", 0, "二字")])
    assert odds == pytest.approx(np.log(np.exp(4.0) + np.exp(5.0)), abs=1e-5)


def test_what_there_is_no_room_for_is_not_judged() -> None:
    close, session = reader()
    candidates = [Candidate(f"{n}", "", 0, "長" * SENTENCE) for n in range(4)]
    odds = close.read("問", candidates)
    assert np.isnan(odds).tolist() == [False, False, True, True]
    assert session.given[0]["input_ids"].shape[1] < 250
    assert np.isnan(close.read("問", [Candidate("a", "", 0, "")])).all()
    assert len(close.read("問", [])) == 0
    assert len(session.given) == 1, "nothing to read is not read"


def test_what_is_put_up_is_told_apart_by_document_and_answer(
    tmp_path: Path, fake_encoder: FakeEncoder
) -> None:
    fee = "利用料は500円です。"
    texts = {
        "a": "前置きです。こちらは900円になります。",
        "b": fee,
        "c": "利用料の支払いは月末です。利用料は500円です。",
        "d": "利用料の改定は四月です。利用料の表を見ます。",
        "e": "利用料の窓口は本館です。",
        "f": "利用料の明細は別に送ります。",
    }
    documents = [Document(name, name, text, name) for name, text in texts.items()]
    build(tmp_path, documents, encoder=fake_encoder)
    retriever = Retriever.open(tmp_path, encoder=fake_encoder)
    asked = [
        ("利用料はいくら", ["900円"], "a"),
        ("利用料はいくら", ["500円"], "b"),
        ("利用料はいくら", ["利用料の支払いは月末です。利用料は500円です。"], "c"),
        ("利用料はいつから", [], "b"),
    ]
    deep, held, longer, unanswered = mined(retriever, asked)
    assert [one.text for one in deep.missed] == ["こちらは900円になります。"]
    assert deep.missed[0].start == len("前置きです。")
    assert not any(one.right for one in deep.ranked)
    assert held.missed == []
    assert [one.candidate.text for one in held.ranked if one.right] == [fee], (
        "in whichever document"
    )
    assert all(one.own for one in held.ranked if one.right)
    assert {one.candidate.text for one in longer.ranked if one.right} <= {
        "利用料の支払いは月末です。", fee,
    }  # fmt: skip
    assert any(one.right for one in longer.ranked), "part of a longer answer"
    assert not any(one.right for one in unanswered.ranked)
    for case in (deep, held, longer, unanswered):
        told = [one.candidate.text for one in case.ranked]
        assert len(told) == len(set(told)), "what stands in two passages is put up once"
        assert [-one.score for one in case.ranked] == sorted(-one.score for one in case.ranked)


class _Letters:
    """A tokenizer whose tokens are letters."""

    def token_to_id(self, name: str) -> int:
        return {"[CLS]": BEGIN, "[SEP]": END}[name]

    def encode(self, text: str, *, add_special_tokens: bool) -> Any:
        assert not add_special_tokens
        spans = [(place, place + 1) for place in range(len(text))]
        return type("Encoded", (), {"ids": letters(text), "offsets": spans})


def _packer() -> Packer:
    from index.training.close_examples import Packer

    return Packer(cast("Tokenizer", _Letters()))


def put_up(
    passage: str, text: str, *, own: bool, right: bool = False, score: float = 1.0
) -> Ranked:
    return Ranked(Candidate(passage, passage, 0, text), score, own, right)


def test_examples_mark_where_answers_begin_and_end_and_judge_no_other_place() -> None:
    pytest.importorskip("torch")
    ranked = [
        put_up("b", "東京は広い。", own=False, score=1.5),
        put_up("a", "東京に住む。", own=True, right=True),
        put_up("b", "別の話。", own=False),
        put_up("a", "前の文。", own=True),
    ]
    case = Case("どこに住む？", ["東京"], ranked, [])
    packer = _packer()
    kinds, seen, asked = set(), set(), set()
    for seed in range(60):
        example = packer.example(case, random.Random(seed))
        if example is None:  # only what is not judged was left
            continue
        text = "".join(map(chr, example.ids))
        shown = [text[start:end] for start, end in example.judged]
        assert "東京は広い。" not in shown, "an answer's words elsewhere are not judged"
        marked = [text[a : b + 1] for a, b in zip(example.begins, example.ends, strict=True)]
        assert marked in ([], ["東京"])
        assert (marked != []) == ("東京に住む。" in shown)
        kinds.add(bool(marked))
        seen.update(shown)
        asked.add(text[1 : example.passages - 1])
    assert kinds == {True, False}, "now and then the answer is not shown"
    assert seen == {"東京に住む。", "別の話。", "前の文。"}
    assert asked == {"どこに住む？", "どこに住む"}


def test_an_answer_that_was_not_put_up_is_shown_for_most_questions() -> None:
    pytest.importorskip("torch")
    missed = [Candidate("a", "a", 0, "東京に住む。")]
    case = Case("どこに住む", ["東京"], [put_up("b", "別の話。", own=False)], missed)
    packer = _packer()
    drawn = [packer.example(case, random.Random(seed)) for seed in range(200)]
    shown = sum(bool(one.begins) for one in drawn if one)
    assert 0.4 < shown / len(drawn) < 0.8


def test_an_answer_that_is_its_whole_sentence_may_begin_at_each_of_its_tokens() -> None:
    pytest.importorskip("torch")
    packer = _packer()
    for answer in ("東京に住む", "東京に住む。その前は京都。"):
        ranked = [put_up("a", "東京に住む。", own=True, right=True)]
        case = Case("どこに住む", [answer], ranked, [])
        drawn = [one for seed in range(20) if (one := packer.example(case, random.Random(seed)))]
        shown = [one for one in drawn if one.begins]
        assert shown
        for example in shown:
            text = "".join(map(chr, example.ids))
            assert "".join(text[place] for place in example.begins) == "東京に住む。"
            assert example.ends == example.begins


def test_the_loss_is_what_its_definition_says() -> None:
    torch = pytest.importorskip("torch")
    from index.training.close_examples import Example
    from index.training.close_reader import _padded, loss_of

    batch = _padded([
        Example([1, 5, 2, 7, 8, 9], 3, [(3, 6)], [4], [5]), Example([1, 2, 7], 2, [(2, 3)], [], []),
    ])  # fmt: skip
    odds = torch.zeros(2, 6, 2)
    odds[0, 4, 0] = 2.0
    begins = np.log(3 + np.exp(2.0)) - 2.0  # two other tokens, "not here" and the right one
    ends = np.log(4)
    nowhere = np.log(2)
    expected = (begins + ends + 2 * nowhere) / 4
    assert float(loss_of(odds, batch)) == pytest.approx(expected, abs=1e-5)


def test_a_change_in_four_bits_is_within_half_a_step() -> None:
    change = np.random.default_rng(3).standard_normal((6, 10)).astype(np.float32)
    change[2] = 0
    whole, step = packed(change)
    assert whole.shape == (6, 5)
    assert (np.abs(unpacked(whole, step) - change) <= 0.501 * step[:, None]).all()


def test_the_shipped_folder_computes_what_the_changed_weights_say(tmp_path: Path) -> None:
    """In int8, with the change in four bits, beside torch in float32."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx", reason="onnx comes with the training extra")
    from transformers import BertConfig, BertModel

    from index.encoder import _session_of
    from index.int8 import int8_weights
    from index.training.close_reader import CloseReaderNetwork
    from index.training.export import add_close_reader
    from index.training.student import Student, use_plain_attention

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50, hidden_size=48, num_hidden_layers=LAYERS + 1, num_attention_heads=12,
        intermediate_size=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    config.save_pretrained(tmp_path)
    body = BertModel(config, add_pooling_layer=False)
    use_plain_attention(body)
    student = Student(body)
    student.save_weights(tmp_path)
    (tmp_path / "digests.json").write_text("{}")
    network = CloseReaderNetwork(Student.load(tmp_path))
    with torch.no_grad():
        for parameter in [*network.body.encoder.parameters(), network.segment]:
            parameter.add_(0.02 * torch.randn_like(parameter))
    add_close_reader(network, tmp_path)
    taken_up = CloseReaderNetwork(Student.load(tmp_path))
    taken_up.take_up(tmp_path)
    for before, after in zip(network.parameters(), taken_up.parameters(), strict=True):
        assert (before - after).abs().max() < 0.01
    weights = int8_weights(tmp_path / "model.safetensors", tmp_path / CHANGES)
    session = _session_of(tmp_path / GRAPH, weights)
    ids = np.random.default_rng(0).integers(5, 50, (1, 30))
    inside = (np.arange(30) >= 8).astype(np.float32)
    (found,) = session.run(None, {"input_ids": ids, "in_passage": inside[:, None]})
    with torch.no_grad():
        real = torch.ones(1, 30, dtype=torch.bool)
        expected = network(torch.from_numpy(ids), real, torch.from_numpy(inside)[None] > 0).numpy()
    assert found.shape == (1, 30, 2)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_examples_of_manuals_judge_whole_sentences() -> None:
    pytest.importorskip("torch")
    from index.training.close_examples import OF_PAIRS, OF_SECTIONS, Examples
    from index.training.sources import Pair, Section

    page = [
        Section("docs", "本", f"見出し{n}", f"節{n}の最初の文です。節{n}の次の文です。")
        for n in range(4)
    ]
    pairs = [Pair("docs", f"english {n}", f"訳文その{n}") for n in range(20)]
    examples = Examples(_packer(), [], page, pairs)
    kinds = set()
    for seed in range(300):
        chooser = random.Random(seed)
        if OF_SECTIONS <= chooser.random() <= 1 - OF_PAIRS:
            continue  # a question with a marked answer, of which there is none here
        example = examples.draw(random.Random(seed))
        assert example is not None
        text = "".join(map(chr, example.ids))
        asked = text[1 : example.passages - 1]
        right = [text[a:b] for a, b in example.judged if set(range(a, b)) <= set(example.begins)]
        assert sum(map(len, right)) == len(example.begins) == len(example.ends)
        if asked.startswith("english"):
            assert right in ([], [f"訳文その{asked.split()[1]}"])
        else:
            number = asked[asked.index("見出し") + 3]
            assert all(one.startswith(f"節{number}の") for one in right)
        kinds.add((asked.startswith("english"), bool(right)))
    assert len(kinds) == 4
