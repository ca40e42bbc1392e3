"""The shipped encoder, and the contract of the others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from index import encoder as module
from index.encoder import (
    MAX_TOKENS,
    MODEL,
    Encoding,
    KikuEncoder,
    SentenceTransformersEncoder,
    load_encoder,
)
from index.errors import EncoderUnavailable
from index.int8 import int8_weights, scale_of, whole_of

pytestmark = pytest.mark.skipif(
    not (MODEL / "model.onnx").exists(), reason="index/model holds no encoder"
)


@pytest.fixture(scope="module")
def encoder() -> KikuEncoder:
    loaded = load_encoder(threads=1)
    assert isinstance(loaded, KikuEncoder)
    return loaded


def test_vectors_have_the_promised_shapes_and_lengths(encoder: KikuEncoder) -> None:
    texts = ["コンテナとは何ですか？", "a", "長い文章です。" * 300]
    encoded = encoder.encode_documents(texts)
    assert encoded.vectors.shape == (3, encoder.dimension)
    assert encoded.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(encoded.vectors, axis=1), 1, atol=1e-4)
    for tokens, weights, offsets in _parts(encoded):
        assert tokens.shape == (len(weights), encoder.token_dimension)
        assert np.allclose(np.linalg.norm(tokens, axis=1), 1, atol=1e-4)
        assert (weights >= 0).all()
        assert offsets.shape == (len(weights), 2)
    assert len(_parts(encoded)[2][1]) == MAX_TOKENS - 2


def test_no_texts_give_empty_arrays(encoder: KikuEncoder) -> None:
    encoded = encoder.encode_queries([])
    assert encoded.vectors.shape == (0, encoder.dimension)
    assert encoded.tokens == encoded.weights == encoded.offsets == []


def test_an_empty_text_has_no_tokens(encoder: KikuEncoder) -> None:
    encoded = encoder.encode_documents(["", "本文"])
    (tokens, weights, offsets), _ = _parts(encoded)
    assert tokens.shape == (0, encoder.token_dimension)
    assert len(weights) == len(offsets) == 0


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_offsets_are_spans_of_the_given_text(encoder: KikuEncoder, text: str) -> None:
    ((_, _, offsets),) = _parts(encoder.encode_documents([text]))
    for start, end in offsets:
        assert 0 <= start <= end <= len(text)
    assert (np.diff(offsets[:, 0]) >= 0).all()


def test_offsets_count_the_original_characters(encoder: KikuEncoder) -> None:
    text = "㍻のＤｏｃｋｅｒと👍🏽ﾊﾟｿｺﾝ、終わり。"
    ((_, _, offsets),) = _parts(encoder.encode_documents([text]))
    covered = {i for start, end in offsets for i in range(start, end)}
    assert covered >= {i for i, c in enumerate(text) if c.isalnum()}
    assert text[slice(*offsets[-1])] == "。"


@pytest.mark.parametrize("special", ["[SEP]", "[CLS]", "[MASK]", "[UNK]", "[PAD]"])
def test_special_tokens_in_a_text_are_plain_characters(encoder: KikuEncoder, special: str) -> None:
    text = f"前{special}後"
    ((tokens, _, offsets),) = _parts(encoder.encode_documents([text]))
    assert len(tokens) >= 4
    assert offsets[-1].tolist() == [len(text) - 1, len(text)]
    plain = encoder.encode_documents([text.replace("[", "［")])
    assert np.array_equal(plain.vectors, encoder.encode_documents([text]).vectors)


@pytest.mark.parametrize("side", ["encode_queries", "encode_documents"])
def test_a_text_has_one_encoding_whatever_stands_beside_it(encoder: KikuEncoder, side: str) -> None:
    encode = getattr(encoder, side)
    texts = [f"{i}番目の文。" * (1 + i % 7) for i in range(60)]
    together = encode(texts)
    for i in (0, 6, 31, 59):
        alone = encode([texts[i]])
        assert np.allclose(together.vectors[i], alone.vectors[0], atol=1e-4)
        assert np.allclose(_parts(together)[i][0], _parts(alone)[0][0], atol=1e-3)
        assert np.array_equal(_parts(together)[i][2], _parts(alone)[0][2])


def test_threads_share_one_encoder(encoder: KikuEncoder) -> None:
    texts = ["ログの場所", "ネットワークの設定", "how to restart", "メモリの上限"]
    expected = encoder.encode_queries(texts).vectors
    wrong: list[str] = []

    def ask(text: str, vector: np.ndarray) -> None:
        again = [encoder.encode_queries([text]).vectors[0] for _ in range(5)]
        wrong.extend(text for found in again if not np.allclose(found, vector, atol=1e-4))

    threads = [
        threading.Thread(target=ask, args=pair) for pair in zip(texts, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_meaning_is_nearer_than_words(encoder: KikuEncoder) -> None:
    query = encoder.encode_queries(["how do I delete a file"]).vectors
    near, far = encoder.encode_documents(["ファイルを削除する方法", "今日の天気は晴れです"]).vectors
    assert query[0] @ near > query[0] @ far + 0.1


def test_a_question_finds_the_part_that_answers_it(encoder: KikuEncoder) -> None:
    first = "コンテナはホストのカーネルを共有して、隔離されたプロセスを動かします。"
    second = "今日の天気は晴れで、午後からは風が強くなるそうなので気をつけてください。"
    encoded = encoder.encode_documents([first + second, "短い文。", ""])
    assert encoded.parts is not None
    assert [len(parts) for parts in encoded.parts] == [2, 1, 1]
    assert all(np.linalg.norm(p, axis=1).max() <= 1 + 1e-5 for p in encoded.parts)
    query = encoder.encode_queries(["午後の天気はどうなりますか"]).vectors[0]
    scores = encoded.parts[0] @ query
    assert scores[1] > scores[0]


def test_serving_imports_no_torch() -> None:
    code = (
        "import sys; from index.encoder import load_encoder; "
        "load_encoder(threads=1).encode_queries(['x']); "
        "bad = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Files


def test_the_folder_fits_the_repository() -> None:
    assert sum(f.stat().st_size for f in MODEL.rglob("*") if f.is_file()) <= 60e6


def test_eight_bits_stay_near_the_weights(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    name, weight = "encoder.layer.0.output.dense.weight", random.normal(size=(5, 7))
    others = {"encoder.layer.0.output.dense.bias": np.zeros(5), "embeddings.word.weight": weight}
    stored = {key: value.astype(np.float16) for key, value in {name: weight, **others}.items()}
    save_file(stored, tmp_path / "weights.safetensors")
    given = int8_weights(tmp_path / "weights.safetensors")
    assert set(given) == {whole_of(name), scale_of(name)}
    whole, scale = given[whole_of(name)], given[scale_of(name)]
    assert whole.dtype == np.int8
    assert np.abs(whole).max(axis=0).tolist() == [63] * 5
    assert np.abs(whole * scale - stored[name].T).max() <= scale.max() / 2


def test_eight_bits_say_what_all_bits_say(encoder: KikuEncoder) -> None:
    whole = KikuEncoder(MODEL, int8=False)
    texts = ["Podが起動しないときは、イベントを確かめます。", "コンテナとは何ですか？"]
    mine, exact = encoder.encode_documents(texts), whole.encode_documents(texts)
    # What this costs in Recall@1 is measured: docs/encoder.md.
    assert (np.sum(mine.vectors * exact.vectors, axis=1) > 0.98).all()


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(EncoderUnavailable, match=r"model\.safetensors is damaged"):
        load_encoder(str(folder))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderUnavailable, match="incomplete"):
        load_encoder(str(folder))


def test_a_graph_that_is_none_is_told(tmp_path: Path) -> None:
    folder = _copy(tmp_path)
    (folder / "model_int8.onnx").write_bytes(b"no graph")
    digests = json.loads((folder / "digests.json").read_text())
    digests["model_int8.onnx"] = module.hashlib.sha256(b"no graph").hexdigest()
    (folder / "digests.json").write_text(json.dumps(digests))
    with pytest.raises(EncoderUnavailable, match="cannot be opened") as raised:
        load_encoder(str(folder))
    assert raised.value.hint


def test_the_fingerprint_follows_the_weights(encoder: KikuEncoder, tmp_path: Path) -> None:
    assert KikuEncoder(_copy(tmp_path)).fingerprint == encoder.fingerprint
    other = {**json.loads((MODEL / "digests.json").read_text()), "model.safetensors": "0" * 64}
    assert module._digest(other, str(MAX_TOKENS)) != encoder.fingerprint


# Other encoders


class FakeSentenceTransformer:
    """As much of sentence-transformers' model as the adapter uses; a text's vector says which
    method and prompt it came through."""

    def __init__(self, prompts: dict[str, str]) -> None:
        self.prompts = prompts
        self.max_seq_length = 128
        self.config = SimpleNamespace(_commit_hash="abc")

    def get_embedding_dimension(self) -> int:
        return 4

    def encode_query(self, texts: list[str], *, prompt: str, **_: object) -> np.ndarray:
        return np.array([[1, 0, len(prompt), len(t)] for t in texts], float)

    def encode_document(self, texts: list[str], *, prompt: str, **_: object) -> np.ndarray:
        return np.array([[0, 1, len(prompt), len(t)] for t in texts], float)


@pytest.mark.parametrize(
    ("name", "own", "query", "document"),
    [
        ("cl-nagoya/ruri-v3-130m", {}, "検索クエリ: ", "検索文書: "),
        ("intfloat/multilingual-e5-small", {}, "query: ", "passage: "),
        ("pkshatech/GLuCoSE-base-ja-v2", {}, "query: ", "passage: "),
        ("BAAI/bge-m3", {"query": "not this"}, "", ""),
        ("hotchpotch/static-embedding-japanese", {}, "", ""),
        ("somebody/else", {"query": "q: ", "document": "d: "}, "q: ", "d: "),
        ("somebody/old", {"passage": "p: "}, "", "p: "),
    ],
)
def test_the_right_prompts_are_used(
    monkeypatch: pytest.MonkeyPatch, name: str, own: dict[str, str], query: str, document: str
) -> None:
    model = FakeSentenceTransformer(own)
    monkeypatch.setattr(module, "_load_sentence_transformer", lambda *_: model)
    loaded = load_encoder(name)
    assert isinstance(loaded, SentenceTransformersEncoder)
    assert loaded.encode_queries(["文"]).vectors.tolist() == [[1, 0, len(query), 1]]
    assert loaded.encode_documents(["文"]).vectors.tolist() == [[0, 1, len(document), 1]]
    assert loaded.encode_documents([]).vectors.shape == (0, 4)
    assert loaded.token_dimension == 0
    assert loaded.encode_documents(["文"]).tokens is None


def test_prompts_enter_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = set()
    for own in ({}, {"query": "q: "}, {"query": "Q: "}):
        model = FakeSentenceTransformer(own)
        monkeypatch.setattr(module, "_load_sentence_transformer", lambda *_, m=model: m)
        prints.add(load_encoder("somebody/else").fingerprint)
    assert len(prints) == 3


def test_a_missing_folder_is_one_clear_error() -> None:
    with pytest.raises(EncoderUnavailable, match="no encoder folder") as raised:
        load_encoder("./does-not-exist")
    assert "KIKU_ENCODER" in raised.value.hint


def _parts(encoded: Encoding) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    assert encoded.tokens is not None
    assert encoded.weights is not None
    assert encoded.offsets is not None
    return list(zip(encoded.tokens, encoded.weights, encoded.offsets, strict=True))


def _copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL, tmp_path / "model"))
