"""The shipped encoder computes what sentence-transformers and torch compute from its weights."""

from __future__ import annotations

import numpy as np
import pytest

from index import encoder as module
from index.encoder import MAX_TOKENS, MODEL, Encoding, KikuEncoder, load_encoder
from index.errors import EncoderUnavailable

pytestmark = pytest.mark.skipif(
    not (MODEL / "model.onnx").exists(), reason="index/model holds no encoder"
)


@pytest.fixture(scope="module")
def encoder() -> KikuEncoder:
    loaded = load_encoder(threads=1)
    assert isinstance(loaded, KikuEncoder)
    return loaded


@pytest.fixture(scope="module")
def exact() -> KikuEncoder:
    """The same weights, multiplied in float32."""
    return KikuEncoder(MODEL, int8=False)


def test_it_agrees_with_sentence_transformers(exact: KikuEncoder) -> None:
    transformers = pytest.importorskip("sentence_transformers")
    model = transformers.SentenceTransformer(str(MODEL), device="cpu").float()
    texts = _texts(200)
    theirs = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    cosines = (exact.encode_queries(texts).vectors * theirs).sum(1)
    assert cosines.min() > 0.999


def test_int8_stays_near_float(encoder: KikuEncoder, exact: KikuEncoder) -> None:
    texts = _texts(40)
    slow, fast = exact.encode_documents(texts), encoder.encode_documents(texts)
    assert (slow.vectors * fast.vectors).sum(1).min() > 0.97
    for (ours, _, spans), (theirs, _, other) in zip(_parts(slow), _parts(fast), strict=True):
        assert (ours * theirs).sum(1).mean() > 0.96
        assert np.array_equal(spans, other)


def test_the_parts_agree_with_torch(encoder: KikuEncoder) -> None:
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer

    from index.training.student import Student
    from index.training.validate import encode_all

    texts = [f"{a}。{b}。" for a, b in zip(_texts(8), reversed(_texts(8)), strict=True)]
    with torch.no_grad():
        student = Student.load(MODEL).eval()
        theirs = encode_all(student, Tokenizer.from_file(str(MODEL / "tokenizer.json")), texts, 256)
    for i, ours in enumerate(encoder.encode_documents(texts).parts or []):
        wanted = theirs.parts[i][theirs.part_mask[i]].numpy()
        cosines = (ours * wanted).sum(1) / np.linalg.norm(ours, axis=1)
        assert (cosines / np.linalg.norm(wanted, axis=1)).min() > 0.96  # int8 against bfloat16


def test_the_token_head_agrees_with_torch(exact: KikuEncoder) -> None:
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer

    from index.training.student import Student, tokenizer_ids

    texts = _texts(8)
    ids = tokenizer_ids(Tokenizer.from_file(str(MODEL / "tokenizer.json")), texts, MAX_TOKENS)
    with torch.no_grad():
        theirs = Student.load(MODEL).eval().encode(ids)
    for i, (tokens, weights, _) in enumerate(_parts(exact.encode_queries(texts))):
        mask = theirs.mask[i]
        assert np.allclose(tokens, theirs.tokens[i][mask].numpy(), atol=5e-3)
        assert np.allclose(weights, theirs.weights[i][mask].numpy(), atol=5e-3)


def test_a_name_that_cannot_be_fetched_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")

    def no_network(name: str) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(module, "_ask_hub", no_network)
    with pytest.raises(EncoderUnavailable, match="'nobody/nothing' cannot be loaded") as raised:
        load_encoder("nobody/nothing")
    assert "ships with Kiku" in raised.value.hint


def _parts(encoded: Encoding) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    assert encoded.tokens is not None
    assert encoded.weights is not None
    assert encoded.offsets is not None
    return list(zip(encoded.tokens, encoded.weights, encoded.offsets, strict=True))


def _texts(count: int) -> list[str]:
    """Japanese, English and mixed texts of one to some 200 pieces."""
    seeds = [
        "コンテナは、動かすものとその部品を一つに包んだものである。",
        "The server restarts every night at 3:00.",
        "ＶＰＮにつながらないときは、まず証明書の期限を確かめる。",
        "Kubernetes のPodが Pending のまま動かない！",
        "経費の締めは毎月25日です。",
    ]
    return [seeds[i % 5] * (1 + i % 6) + f"（{i}）" for i in range(count)]


def test_the_close_reader_agrees_with_torch(encoder: KikuEncoder) -> None:
    """In int8, beside float32 with the same changes of the encoder's weights."""
    torch = pytest.importorskip("torch")
    from safetensors.numpy import load_file

    from index.close_reader import CHANGES, Excerpt, sequenced
    from index.int8 import change_of, step_of, unpacked
    from index.training.close_reader import CloseReaderNetwork
    from index.training.student import Student

    changes = load_file(MODEL / CHANGES)
    network = CloseReaderNetwork(Student.load(MODEL)).eval()
    state = network.state_dict()
    for name in state:
        own = name.removeprefix("body.")
        if own in changes:
            state[name] = torch.from_numpy(changes[own].astype(np.float32))
        elif change_of(own) in changes:
            state[name] += torch.from_numpy(
                unpacked(changes[change_of(own)], changes[step_of(own)])
            )
    network.load_state_dict(state)
    close = encoder.close_reader
    assert close is not None
    ours, theirs = [], []
    for number, text in enumerate(_texts(12)):
        excerpt = Excerpt(close._pieces("町"), [close._pieces(one) for one in _texts(4)])
        read = sequenced(close._pieces(text), [excerpt], close._begin, close._end)
        ids = np.array(read.ids, np.int64)[None]
        inside = np.arange(len(read.ids)) >= read.passages
        given = {"input_ids": ids, "in_passage": inside.astype(np.float32)[:, None]}
        ours.append(close._session.run(None, given)[0][0].ravel())
        with torch.no_grad():
            real = torch.ones(ids.shape, dtype=torch.bool)
            odds = network(torch.from_numpy(ids), real, torch.from_numpy(inside)[None])
        theirs.append(odds.numpy().ravel())
        assert np.corrcoef(ours[number], theirs[number])[0, 1] > 0.95
    assert np.corrcoef(np.concatenate(ours), np.concatenate(theirs))[0, 1] > 0.98
