"""The recipe of the shipped encoder: its data filter, its noise, its batches and its losses."""

from __future__ import annotations

import gzip
import json
import random
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.training.noise import (
    QueryNoise,
    change_width,
    drop_ending,
    drop_long_vowels,
    drop_particles,
    keywords,
    names_by_spelling,
    typo,
)
from index.training.sources import (
    LeakageFilter,
    Pair,
    Passage,
    Section,
    TrainingData,
    fold,
    load,
    sentences,
    shingles,
    with_titles,
)
from tests.fake_encoder import FakeEncoder

torch = pytest.importorskip("torch")

BENCHMARK = (
    "梅雨は、北海道と小笠原諸島を除く日本の広い範囲で、初夏に雨の日が多くなる季節のことをいう。"
)
OTHER = "魚道とは、ダムや堰で川をさかのぼれなくなった魚のために、その脇へ造られる水の通り道である。"


# The filter


def test_a_copy_of_a_benchmark_passage_leaks() -> None:
    assert LeakageFilter([BENCHMARK]).share(BENCHMARK) == 1.0


def test_width_case_and_spaces_do_not_hide_a_copy() -> None:
    leak = LeakageFilter(
        ["Docker は 2013 年に公開された、コンテナを動かすためのソフトウェアである。"]
    )
    assert leak.leaks(
        "ｄｏｃｋｅｒは２０１３年に公開された、\nコンテナを動かすためのソフトウェアである。"
    )


def test_a_passage_of_its_own_does_not_leak() -> None:
    assert LeakageFilter([BENCHMARK]).share(OTHER) == 0.0


def test_the_filter_draws_the_line_at_thirty_percent() -> None:
    leak = LeakageFilter([BENCHMARK])
    for quoted in range(20, len(BENCHMARK), 3):
        text = OTHER + BENCHMARK[:quoted]
        assert leak.leaks(text) == (leak.share(text) >= 0.3)
    assert not leak.leaks(OTHER * 3 + BENCHMARK[:25])
    assert leak.leaks(OTHER + BENCHMARK)


def test_load_drops_what_the_benchmarks_hold(tmp_path: Path) -> None:
    _write_data(tmp_path)
    data = load(tmp_path)
    assert data.dropped == {"jaquad-train": 1, "sections": 1, "parallel": 1}
    texts = [p.text for p in data.passages + data.validation]
    texts += [s.text for s in data.sections + data.sections_held_out]
    texts += [p.japanese for p in data.pairs + data.pairs_held_out]
    assert not any(BENCHMARK in t for t in texts)


def test_what_is_held_out_is_not_trained_on(tmp_path: Path) -> None:
    _write_data(tmp_path)
    data = load(tmp_path)
    assert data.validation
    assert data.sections_held_out
    assert data.pairs_held_out
    assert not {p.id for p in data.passages} & {p.id for p in data.validation}
    assert not {fold(s.text) for s in data.sections} & {
        fold(s.text) for s in data.sections_held_out
    }
    letters = {"".join(filter(str.isalpha, p.english)) for p in data.pairs}
    assert not letters & {"".join(filter(str.isalpha, p.english)) for p in data.pairs_held_out}
    assert load(tmp_path) == data


@given(st.text())
def test_sentences_join_back_to_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


def test_sentences_end_after_the_closing_bracket() -> None:
    assert sentences("「行くの？」と聞いた。\n次。") == ["「行くの？」", "と聞いた。\n", "次。"]


@given(st.text(min_size=1))
def test_shingles_of_a_text_are_never_empty(text: str) -> None:
    assert len(shingles(text)) >= 1


def test_an_opening_sentence_names_the_passages_after_it() -> None:
    passages = [
        Passage("1", "", "手塚治虫(てづかおさむ、1928年-1989年)は、漫画家である。"),
        Passage("2", "", "手塚治虫は大阪で育った。"),
    ]
    assert [p.title for p in with_titles(passages)] == ["手塚治虫", "手塚治虫"]


# The noise


def test_noise_of_strength_zero_changes_nothing() -> None:
    noise = QueryNoise()
    assert noise("Dockerとは何ですか?", random.Random(0), strength=0.0) == "Dockerとは何ですか?"


@given(st.text(min_size=1, max_size=60), st.integers())
def test_noise_never_empties_a_query(query: str, seed: int) -> None:
    assert QueryNoise()(query, random.Random(seed))


def test_names_are_respelt_both_ways() -> None:
    noise = QueryNoise()
    kana = {noise.respell("Kubernetesの設定", random.Random(i)) for i in range(40)}
    assert {"クバネティスの設定", "クーベネティスの設定"} <= kana
    assert noise.respell("ドッカーのネットワーク", random.Random(0)).startswith("Docker")


def test_a_name_inside_another_word_is_left_alone() -> None:
    noise = QueryNoise({"git": ["ギット"]})
    assert noise.respell("digital", random.Random(0)) == "digital"


def test_every_spelling_leads_back() -> None:
    names = names_by_spelling()
    for name, others in names.items():
        for other in others:
            assert name in [n.lower() for n in names[other.lower()]]


def test_each_kind_of_noise() -> None:
    rng = random.Random(1)
    assert keywords("コンテナのログはどこに出ますか", rng) == "コンテナ ログ 出"
    assert drop_ending("梅雨とは何ですか?", rng).startswith("梅雨と")
    assert drop_long_vowels("サーバーのユーザー", rng) == "サーバのユーザ"
    assert change_width("Docker 2", rng) == "Ｄｏｃｋｅｒ ２"
    assert "コンテナ ログ" in {drop_particles("コンテナのログ", random.Random(i)) for i in range(9)}


@given(st.from_regex(r"[A-Za-z]{4,12}", fullmatch=True), st.integers())
def test_a_typo_is_small(word: str, seed: int) -> None:
    misspelt = typo(word, random.Random(seed))
    assert abs(len(misspelt) - len(word)) <= 1
    assert sorted(set(misspelt.lower())) <= sorted(set(word.lower())) or len(misspelt) < len(word)


# The batches


def test_every_question_points_at_the_chunk_with_its_answer() -> None:
    batches = _batches()
    seen = 0
    for step in range(30):
        batch = batches.next(step, {"passages": 1.0})
        for query, document, part in zip(
            batch.queries, batch.positive, batch.sentence, strict=True
        ):
            assert query
            assert "答えは" in batch.documents[document][part]
            seen += 1
    assert seen > 30


def test_batches_repeat_after_a_resume() -> None:
    first, second = _batches(), _batches()
    shares = {"passages": 0.5, "sections": 0.3, "pairs": 0.2}
    straight = [first.next(step, shares) for step in range(12)]
    for step in range(6):
        second.next(step, shares)
    third = _batches()
    third.position = dict(second.position)
    assert [third.next(step, shares) for step in range(6, 12)] == straight[6:]


def test_a_passage_stands_once_in_an_epoch() -> None:
    batches = _batches()
    numbers: list[int] = []
    step = 0
    while batches.position["passages"][0] == 0:
        numbers += set(batches.next(step, {"passages": 1.0}).passages)
        step += 1
    assert sorted(numbers) == list(range(len(_data().passages)))


def test_remembered_neighbours_share_a_batch() -> None:
    batches = _batches(passages=256)
    batches.memory[:] = np.eye(384, dtype=np.float32)[np.arange(256) // 4 % 2]
    batches.position["passages"] = (1, 0)
    alike = []
    for step in range(4):
        kinds = np.array(batches.next(step, {"passages": 1.0}).passages) // 4 % 2
        alike.append(max(kinds.mean(), 1 - kinds.mean()))
    assert np.mean(alike) > 0.6


def test_what_is_mined_deceives_by_words_or_by_vectors() -> None:
    from index.training.mining import KEPT, hard_negatives, nearest_negatives

    places = [a * 3 + "の" + b * 3 for a in "東西南北" for b in "城山川橋"]
    texts = [f"{place}についての文{one}。" for one in "甲乙" for place in places]
    asked = [[text] for text in texts]
    for found in (hard_negatives(texts, asked), nearest_negatives(FakeEncoder(), texts, asked)):
        assert found.shape == (32, KEPT)
        assert not any(number in row for number, row in enumerate(found.tolist()))
        assert all(row[0] % 16 == number % 16 for number, row in enumerate(found.tolist()))


def test_what_nothing_is_asked_of_deceives_nobody() -> None:
    from index.training.mining import hard_negatives, nearest_negatives

    texts, asked = ["東の城。", "西の城。", "南の川。"], [["東の城は?"], [], ["南の川は?", "川は?"]]
    for found in (hard_negatives(texts, asked), nearest_negatives(FakeEncoder(), texts, asked)):
        assert found[0, 0] == 1
        assert set(found[1]) == {-1}


def test_what_deceives_shares_a_batch() -> None:
    from index.training.batches import Batches

    own = np.arange(60)
    far = np.stack([(own + 30) % 60, *[np.full(60, -1)] * 5], axis=1)
    pages = [
        Passage(
            f"{'rules' if i < 30 else 'minutes'}/{i // 3}/{i}",
            "規程",
            f"第{i}条。",
            (("何?", (f"第{i}条",)),),
        )
        for i in range(60)
    ]
    for kind in ("sections", "practice"):  # of practice documents, those of other files too
        batches = Batches(
            _data(), seed=3, scale=0.25, hard_negatives={kind: far}, pages={"practice": pages}
        )
        batch = batches.next(0, {kind: 1.0})
        met = sum((number + 30) % 60 in batch.passages for number in batch.passages)
        assert met > 4  # by chance 2


# The glossary


def test_what_words_are_in_the_other_language_is_learned_from_translations() -> None:
    from index.training.glossary import learned

    texts = [("red cats sleep", "赤い猫が眠る"), ("cats eat fish", "猫が魚を食べる"),
             ("red fish sleeping", "赤い魚が眠る"), ("the bird sleeps", "鳥が眠る"), ("a cat and a bird", "猫と鳥"),
             ("red Docker", "赤いDocker"), ("run docker", "Dockerを動かす")] * 4  # fmt: skip
    found = learned(Pair("x", english, japanese) for english, japanese in texts)
    likeliest = {english: said[0].form for english, said in found.items() if said[0].score > 0.2}
    assert likeliest == {
        "red": "赤い", "cat": "猫", "fish": "魚", "eat": "食べる", "sleep": "眠る", "run": "動かす",
        "bird": "鳥",
    }  # fmt: skip
    assert all(0 <= one.score <= 1.01 for said in found.values() for one in said)


def test_the_glossary_says_first_what_was_written_by_hand(tmp_path: Path) -> None:
    from index.training.glossary import Said, write

    by_hand = tmp_path / "hand.tsv"
    by_hand.write_text("fee\t料金\ncat\t猫 ねこ\n", "utf-8")
    found = {
        "cat": [Said("動物", 0.4), Said("猫", 0.3), Said("犬", 0.01)],
        "deed": [Said("証書", 0.3), Said("書", 0.3), Said("証", 0.001)],
        "dull": [Said("犬", 0.01)],
    }
    write(found, tmp_path / "out.tsv", by_hand)
    assert (tmp_path / "out.tsv").read_text("utf-8").splitlines() == [
        "cat\t猫 ねこ 動物", "deed\t証書", "fee\t料金"
    ]  # fmt: skip


# The network and its losses


def test_max_similarities_are_what_the_formula_says() -> None:
    from index.training.student import max_similarities

    queries, documents = _encoded(3, 5, seed=0), _encoded(4, 7, seed=1)
    found = max_similarities(queries, documents)
    for q in range(3):
        for d in range(4):
            best = [
                max(
                    float(queries.tokens[q, i] @ documents.tokens[d, j])
                    for j in range(7)
                    if documents.mask[d, j]
                )
                for i in range(5)
                if queries.mask[q, i]
            ]
            weights = queries.weights[q][queries.mask[q]].numpy()
            expected = float(np.average(best, weights=weights))
            assert found[q, d].item() == pytest.approx(expected, abs=0.02)


def test_gradients_reach_the_tokens_of_both_sides() -> None:
    from index.training.student import max_similarities

    queries, documents = _encoded(2, 4, seed=2), _encoded(2, 4, seed=3)
    for side in (queries, documents):
        side.tokens.requires_grad_()
    max_similarities(queries, documents)[0, 1].backward()
    assert queries.tokens.grad[0].abs().sum() > 0
    assert queries.tokens.grad[1].abs().sum() == 0
    assert documents.tokens.grad[1].abs().sum() > 0
    assert documents.tokens.grad[0].abs().sum() == 0


def test_sentence_similarities_are_those_of_the_sentences_alone() -> None:
    from index.training.student import max_similarities, sentence_similarities

    queries, documents = _encoded(2, 4, seed=4), _encoded(2, 6, seed=5)
    documents.mask[:] = True
    sentence = torch.tensor([[0, 0, 1, 1, 1, 2]] * 2)
    found = sentence_similarities(queries, documents, sentence, 3)
    for s in range(3):
        alone = replace(documents, mask=sentence == s)
        expected = max_similarities(queries, alone).diagonal()
        assert torch.allclose(found[:, s], expected, atol=0.02)


def test_contrast_is_small_only_when_the_right_document_wins() -> None:
    from index.training.losses import accuracy, contrast

    positive = torch.tensor([0, 1, 1])
    ignore = torch.zeros(3, 2, dtype=torch.bool)
    right = torch.tensor([[9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    assert contrast(right, positive, ignore) < 0.01 < contrast(-right, positive, ignore)
    assert accuracy(right, positive, ignore) == 1.0
    assert accuracy(-right, positive, ignore) == 0.0


def test_an_ignored_document_is_no_negative() -> None:
    from index.training.losses import contrast

    scores = torch.tensor([[5.0, 50.0], [0.0, 60.0]])
    ignore = torch.tensor([[False, True], [False, False]])
    assert contrast(scores, torch.tensor([0, 1]), ignore) < 0.01


def test_buckets_keep_the_order_of_the_texts() -> None:
    student = _tiny_student()
    ids = [[2, *range(5, 5 + n), 3] for n in (3, 9, 1, 6)]
    together = student.encode(ids, bucket_tokens=12)
    for i, one in enumerate(ids):
        alone = student.encode([one])
        assert torch.allclose(together.vectors[i], alone.vectors[0], atol=1e-5)
        tokens = together.tokens[i][together.mask[i]]
        assert torch.allclose(tokens, alone.tokens[0][alone.mask[0]], atol=1e-5)
        assert int(together.mask[i].sum()) == len(one) - 2


def test_blocks_of_four_bits_are_read_as_they_were_written() -> None:
    from index.training.teacher import dequantised

    wanted = np.random.default_rng(0).integers(-8, 8, (3, 64)) * 0.25
    assert np.array_equal(dequantised(_quantised(wanted, 0.25), 64), wanted)


def test_another_file_is_no_teacher(tmp_path: Path) -> None:
    from index.training.teacher import read_teacher

    (tmp_path / "other.bin").write_bytes(b"something else, long enough to be read")
    with pytest.raises(ValueError, match="not a model"):
        read_teacher(tmp_path / "other.bin")


def test_the_student_keeps_layers_and_pieces_of_the_teacher(tmp_path: Path) -> None:
    teacher = _teacher(tmp_path)
    body = teacher.body([0, 2], [3, 7, 5])
    assert body.config.num_hidden_layers == 2
    vectors = teacher.weights["embeddings.word_embeddings.weight"]
    assert torch.equal(body.embeddings.word_embeddings.weight, vectors[[3, 7, 5]])
    last = teacher.weights["encoder.layer.2.output.dense.weight"]
    assert torch.equal(body.encoder.layer[1].output.dense.weight, last)


def test_the_tokenizer_keeps_what_the_texts_are_made_of(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    from tokenizers import Tokenizer

    from index.training.tokenizer import cut_tokenizer, teachers_rows

    teacher, target = _teacher(tmp_path), tmp_path / "tokenizer.json"
    cut_tokenizer(teacher, ["町の番号 Docker", "町の番号です。"], target, pieces=400)
    tokenizer = Tokenizer.from_file(str(target))
    assert tokenizer.encode("ＤＯＣＫＥＲの番号").tokens == [
        "[CLS]",
        "▁docker",
        "の",
        "番号",
        "[SEP]",
    ]
    assert tokenizer.token_to_id("歴史") is None  # in no text
    assert tokenizer.encode("歴史").ids == tokenizer.encode("歴 史".replace(" ", "")).ids
    assert 1 not in tokenizer.encode("歴史").ids  # spelt by its signs
    for number, row in enumerate(teachers_rows(teacher, tokenizer)[5:], 5):
        assert teacher.pieces[row] == tokenizer.id_to_token(number)


def test_a_student_learns_what_its_teacher_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sentencepiece")
    from tokenizers import Tokenizer

    from index.training import distill as module
    from index.training.tokenizer import cut_tokenizer, training_texts

    monkeypatch.setattr(module, "LAYERS", (0, 2))
    data, teacher = _data(), _teacher(tmp_path)
    cut_tokenizer(teacher, training_texts(data), tmp_path / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    student = module.pruned(teacher, tokenizer)
    told: list[float] = []
    near = module.likeness
    monkeypatch.setattr(module, "likeness", lambda *a: told.append(near(*a)) or told[-1])
    schedule = module.Schedule(steps=41, pieces=400, limit=24, rate=2e-3, warmup=2, save_every=30)
    module.distill(student, tokenizer, teacher, data, tmp_path / "run", schedule)
    assert told[-1] > told[0]
    module.main_directions(student, tokenizer, data)
    ids = module.tokenizer_ids(tokenizer, [p.text for p in data.passages], 128)
    states, real = module.hidden_states(student.body, ids)
    middle = states[-1].float()[real].mean(0)
    assert (student.token.weight @ middle).norm() < 0.1 * middle.norm()


def test_training_stops_and_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    from tokenizers import Tokenizer

    from index.training.tokenizer import cut_tokenizer, training_texts
    from index.training.train import Schedule, Trainer

    data, teacher = _data(), _teacher(tmp_path)
    cut_tokenizer(teacher, training_texts(data), tmp_path / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    def trainer(steps: int) -> Trainer:
        schedule = Schedule(
            steps=steps, warmup=1, scale=0.25, save_every=2, validate_every=99, practice=0.15
        )
        manuals = [Passage(f"a/{p.id}", "題", p.text, p.questions) for p in data.passages]
        folder = tmp_path / "run"
        pages = {"manuals": manuals, "practice": manuals}
        held_out = data.validation
        return Trainer(
            _tiny_student(), tokenizer, data, schedule, folder,
            pages=pages, practice_held_out=held_out,
        )  # fmt: skip

    trainer(2).run()
    second = trainer(4)
    assert second.resume()
    assert second.step == 2
    second.run()
    assert second.step == 4
    told = [json.loads(x) for x in (tmp_path / "run" / "validation.jsonl").read_text().splitlines()]
    assert [t["step"] for t in told] == [2, 4]
    assert all(0 <= t["recall@1"] <= t["recall@10"] <= 1 for t in told)


def _data(passages: int = 40) -> TrainingData:
    numbers = [
        Passage(
            f"p{i}", "", f"第{i}の町の話である。とても長い歴史がある。答えは{i}番です。終わりの文。",
            ((f"第{i}の町の番号は何ですか?", (f"{i}番",)),),
        )
        for i in range(passages)
    ]  # fmt: skip
    return TrainingData(
        numbers,
        numbers[:12],
        [Section("a", f"題{i}", f"見出し{i}", f"本文{i}です。" * 9) for i in range(60)],
        [],
        [Pair("b", f"This is the town number {i}.", f"これは{i}番の町です。") for i in range(90)],
        [],
        {},
    )


def _batches(passages: int = 40):  # type: ignore[no-untyped-def]
    from index.training.batches import Batches

    return Batches(_data(passages), seed=3)


def _encoded(n: int, t: int, seed: int):  # type: ignore[no-untyped-def]
    from torch.nn import functional as F

    from index.training.student import Encoded

    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(n, t, generator=generator) < 0.7
    mask[:, 0] = True
    return Encoded(
        F.normalize(torch.randn(n, 8, generator=generator), dim=-1),
        F.normalize(torch.randn(n, t, 16, generator=generator), dim=-1),
        torch.rand(n, t, generator=generator) * mask,
        mask,
        torch.zeros(n, 0, 8),
        torch.zeros(n, 0, dtype=torch.bool),
    )


def _tiny_student():  # type: ignore[no-untyped-def]
    from transformers import BertConfig, BertModel

    from index.training.student import Student

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=120, hidden_size=384, num_hidden_layers=1, num_attention_heads=12,
        intermediate_size=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return Student(BertModel(config, add_pooling_layer=False))


PIECES = [
    *("<s>", "<pad>", "</s>", "<unk>"),
    *"▁町の番号は何ですか答え終わり文とても長い歴史がある話であこれ題見出し本第0123456789?。、",
    *("▁docker", "番号", "歴史", "です。", "▁this", "▁is", "▁the", "▁town", "▁number", "これは"),
    *"abcdefghijklmnopqrstuvwxyz.",
]


def _teacher(folder: Path, layers: int = 3, size: int = 64, heads: int = 4):  # type: ignore[no-untyped-def]
    """A small file in the layout that `read_teacher` reads, read."""
    from index.training.teacher import read_teacher

    pieces = list(dict.fromkeys(PIECES))
    random_numbers = np.random.default_rng(0)
    letters = [piece.encode() for piece in pieces]
    bounds = np.cumsum([0, *map(len, letters)], dtype="<u4")
    scores = np.array([-1.0 - len(pieces) / (len(p) ** 2 + 1) for p in pieces], "<f4")
    head = b"E5S1" + struct.pack("<I7i", 1, size, layers, heads, size, len(pieces), 128, 2)
    head += struct.pack("<f6iQ", 1e-12, 32, len(pieces), 0, 2, 1, 3, bounds[-1])
    head += bounds.tobytes() + scores.tobytes() + b"".join(letters) + struct.pack("<iI", 0, 0)

    def plain(count: int, value: float = 0.0) -> tuple[int, int, bytes]:
        return 0, count, np.full(count, value, "<f4").tobytes()

    def blocks(rows: int) -> tuple[int, int, bytes]:
        return 1, rows * size, _quantised(0.03 * random_numbers.integers(-8, 8, (rows, size)), 0.03)

    tensors = {"emb.word": blocks(len(pieces)), "emb.type": plain(2 * size)}
    tensors |= {"emb.pos": plain(128 * size), "emb.ln.w": plain(size, 1.0), "emb.ln.b": plain(size)}
    for layer in range(layers):
        for name in ("q", "k", "v", "ao", "fi", "fo"):
            tensors |= {f"l{layer}.{name}.w": blocks(size), f"l{layer}.{name}.b": plain(size)}
        for name in ("aln", "oln"):
            tensors |= {f"l{layer}.{name}.w": plain(size, 1.0), f"l{layer}.{name}.b": plain(size)}
    listed = sum(2 + len(name) + 21 for name in tensors)
    place, table, body = len(head) + 4 + listed, b"", b""
    for name, (kind, count, raw) in tensors.items():
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", kind, count, place + len(body), len(raw))
        body += raw
    (folder / "teacher.bin").write_bytes(head + struct.pack("<i", len(tensors)) + table + body)
    return read_teacher(folder / "teacher.bin")


def _quantised(weights: np.ndarray, scale: float) -> bytes:
    whole = np.round(weights / scale).astype(np.int64).reshape(-1, 32) + 8
    halves = (whole[:, :16] | whole[:, 16:] << 4).astype("u1")
    scales = np.full((len(whole), 1), scale, "<f2").view("u1")
    return np.concatenate([scales, halves], axis=1).tobytes()


def _write_data(folder: Path) -> None:
    """A small data folder in which each source holds one copy of a benchmark passage."""
    ours = [
        f"{OTHER[i % 9 :]}これは第{i}の資料の本文であり、{'あいうえおかきくけこ'[i % 10]}の話。"
        for i in range(60)
    ]
    _beir(folder / "jsquad-valid", [BENCHMARK])
    _beir(folder / "jaquad-dev", ["別の試験の文章である。" * 4])
    _beir(folder / "jaquad-train", [*ours, BENCHMARK])
    sections = [{"source": "s", "title": f"題{i}", "heading": f"題{i} › 節{i}", "text": t * 2} for i, t in enumerate([*ours, BENCHMARK])]  # fmt: skip # noqa: E501
    _lines(folder / "sections.ja.jsonl.gz", sections)
    pairs = [{"source": "s", "en": f"This is the text {chr(97 + i % 26) * (i // 26 + 1)}", "ja": t} for i, t in enumerate([*ours, BENCHMARK])]  # fmt: skip # noqa: E501
    _lines(folder / "parallel.en-ja.jsonl.gz", pairs)


def _beir(folder: Path, texts: list[str]) -> None:
    folder.mkdir()
    _lines(
        folder / "corpus.jsonl.gz",
        [{"_id": f"d{i}", "title": "", "text": t} for i, t in enumerate(texts)],
    )
    _lines(
        folder / "queries.jsonl.gz",
        [
            {"_id": f"q{i}", "text": "何?", "metadata": {"answers": [t[:3]]}}
            for i, t in enumerate(texts)
        ],
    )
    rows = [f"q{i}\td{i}\t1" for i in range(len(texts))]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(rows) + "\n")


def _lines(path: Path, records: list[dict[str, object]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.writelines(json.dumps(r, ensure_ascii=False) + "\n" for r in records)


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        ("既定のポートの既定値は 8080 です。", "既定のポートの既定値", "8080"),
        ("kubeletとは、各ノードで動くエージェントのことです。", "kubelet", "各ノードで動くエージェントのことです"),
        ("イメージを作るには、build コマンドを実行します。", "イメージを作る", "build コマンドを実行します"),
        ("接続できない場合は、設定を確かめてください。", "接続できない場合", "設定を確かめてください"),
        ("これは、次の章で説明するコマンドの例です。", "", ""),
        ("STA モデルでは、呼び出しがメッセージとして届けられるものです。", "", ""),
        ("または、管理ツールから設定の画面を開くこともできるようです。", "", ""),
        ("どの形でもない文。", "", ""),
    ],
)  # fmt: skip
def test_a_sentence_is_asked_for_what_it_says(sentence: str, question: str, answer: str) -> None:
    from index.training.questions import questions_on

    made = questions_on(sentence, random.Random(1))
    if not answer:
        assert made is None
    else:
        assert made is not None
        assert question in made[0]
        assert made[1] == answer
        assert answer.strip() not in made[0]
