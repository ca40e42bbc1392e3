"""Texts to vectors: the shipped encoder, or any sentence-transformers model by name or folder.

The shipped encoder (`index/model/`) gives, in one pass, a vector for the whole text and one for
every token of it; it needs onnxruntime and tokenizers only. Other models give the text's vector
alone and run through sentence-transformers with the prompts they were trained with.

Both kinds are safe to share between threads and do nothing over the network unless a model that
is not on this machine is asked for by name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from index.close_reader import CHANGES, CloseReader
from index.close_reader import GRAPH as CLOSE_GRAPH
from index.errors import EncoderUnavailable
from index.int8 import int8_weights
from index.parts import OWN, part_of_tokens
from index.reader import FILE as READER
from index.reader import Reader

MODEL = Path(__file__).with_name("model")
DIGESTS = "digests.json"
GRAPH = "model.onnx"
WEIGHTS = "model.safetensors"
INT8_GRAPH = "model_int8.onnx"  # the same weights, multiplied in int8: twice as fast
MAX_TOKENS = 384  # [CLS] and [SEP] included; what follows is not seen by the encoder
MAX_THREADS = 4  # by default: a server stays responsive while it indexes

_READERS = (READER, CHANGES, CLOSE_GRAPH)

# A literal "[SEP]" in a text would be read as the special token. A full-width bracket is folded
# to the same character afterwards and leaves every offset where it was.
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# (part of the name, query prompt, document prompt), from each model's card; first match wins.
PROMPTS: tuple[tuple[str, str, str], ...] = (
    ("ruri-v3", "検索クエリ: ", "検索文書: "),
    ("ruri-", "クエリ: ", "文章: "),
    (
        "multilingual-e5-large-instruct",
        "Instruct: Given a question, retrieve passages that answer it\nQuery: ",
        "",
    ),
    ("e5-", "query: ", "passage: "),
    ("glucose-base-ja-v2", "query: ", "passage: "),
    ("glucose-base-ja", "", ""),
    ("bge-m3", "", ""),
    ("static-embedding-japanese", "", ""),
)


@dataclass(frozen=True)
class Encoding:
    """What an encoder makes of n texts; text i has tᵢ tokens, [CLS] and [SEP] not counted.

    vectors   float32 (n, dimension), L2-normalised
    tokens    float32 (tᵢ, token_dimension) each, L2-normalised; None without a token head
    weights   float32 (tᵢ,) each: how much a token counts when the text is a query, ≥ 0
    offsets   int32 (tᵢ, 2) each: a token's span in the text as it was given, in code points
    parts     float32 (pᵢ, dimension) each, pᵢ ≥ 1, norms ≤ 1: vectors by any of which a passage may
              be found, its score the best inner product; None where `vectors` are the only ones
    """

    vectors: np.ndarray
    tokens: list[np.ndarray] | None = None
    weights: list[np.ndarray] | None = None
    offsets: list[np.ndarray] | None = None
    parts: list[np.ndarray] | None = None


class Encoder(Protocol):
    """The contract of every encoder.

    `fingerprint` names weights, prompts and length limit: two encoders with one fingerprint give
    the same vectors. `token_dimension` is 0 for an encoder without token vectors. `reader` reads
    its token vectors and `close_reader` reads with its layers, where it has been trained with them.
    """

    name: str
    fingerprint: str
    dimension: int
    token_dimension: int
    max_tokens: int
    reader: Reader | None
    close_reader: CloseReader | None

    def encode_queries(self, texts: Sequence[str]) -> Encoding: ...

    def encode_documents(self, texts: Sequence[str]) -> Encoding: ...


def load_encoder(name: str = "", *, threads: int = 0) -> Encoder:
    """The shipped encoder for "", else the sentence-transformers model of that name or folder.

    `threads` bounds the CPU threads; 0 means all cores, but no more than `MAX_THREADS`.

    Raises EncoderUnavailable when the model cannot be loaded or its files are damaged.
    """
    threads = threads or min(MAX_THREADS, os.cpu_count() or 1)
    if not name:
        return KikuEncoder(MODEL, name="kiku", threads=threads)
    folder = Path(name).expanduser()
    if (folder / GRAPH).is_file() and (folder / DIGESTS).is_file():
        return KikuEncoder(folder, name=name, threads=threads)
    return SentenceTransformersEncoder(name, threads=threads)


class KikuEncoder:
    """A model folder written by `index.training`, run by onnxruntime on the CPU."""

    def __init__(
        self, folder: Path, *, name: str = "kiku", threads: int = 1, int8: bool = True
    ) -> None:
        """Opens the graph that multiplies in int8 where there is one, unless `int8` is False."""
        self.name = name
        self.max_tokens = MAX_TOKENS
        self._threads = threads
        digests = _verified_digests(folder)
        # The readers work on what is stored already: others need no new index.
        made_by = {name: digest for name, digest in digests.items() if name not in _READERS}
        self.fingerprint = _digest(made_by, f"{self.max_tokens}")
        try:
            self._tokenizer = _open_tokenizer(folder)
            self.reader = Reader.open(folder)
            self._session = _open_session(folder, int8=int8 and INT8_GRAPH in digests)
            self.close_reader = self._open_close_reader(folder) if CHANGES in digests else None
        except Exception as error:  # both libraries raise their own bare exceptions
            raise EncoderUnavailable(
                f"The encoder in {folder} cannot be opened: {error}", hint=_REPAIR
            ) from error
        vectors, tokens, *_ = self._session.get_outputs()
        self.dimension = int(vectors.shape[-1])
        self.token_dimension = int(tokens.shape[-1])

    def _open_close_reader(self, folder: Path) -> CloseReader:
        def pieces(text: str) -> list[int]:
            ids: list[int] = self._tokenizer.encode(_neutral(text), add_special_tokens=False).ids
            return ids

        begin, end = (self._tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]"))
        weights = int8_weights(folder / WEIGHTS, folder / CHANGES)
        return CloseReader(_session_of(folder / CLOSE_GRAPH, weights), pieces, begin, end)

    def encode_queries(self, texts: Sequence[str]) -> Encoding:
        """Vectors, token vectors and token weights of questions."""
        return self._encode(texts)

    def encode_documents(self, texts: Sequence[str]) -> Encoding:
        """Vectors, token vectors and offsets of passages (with their title, where they have one)."""
        return self._encode(texts, parts=True)

    def _encode(self, texts: Sequence[str], *, parts: bool = False) -> Encoding:
        if not texts:
            nothing = np.zeros((0, self.dimension), np.float32)
            return Encoding(nothing, [], [], [], [] if parts else None)
        pieces = self._tokenizer.encode_batch([_neutral(text) for text in texts])
        # One text a run: int8 scales go by the batch, and a text must not depend on its neighbours.
        # Texts side by side keep the cores busier than many threads at one text do.
        if len(texts) > 1 and self._threads > 1:
            with ThreadPoolExecutor(self._threads) as workers:
                found = list(workers.map(self._run, texts, pieces, repeat(parts)))
        else:
            found = list(map(self._run, texts, pieces, repeat(parts)))
        vectors, tokens, weights, offsets, held = zip(*found, strict=True)
        return Encoding(
            np.stack(vectors), [*tokens], [*weights], [*offsets], [*held] if parts else None
        )

    def _run(self, text: str, piece: Any, parts: bool) -> tuple[np.ndarray, ...]:
        """Vector, token vectors, token weights, offsets and parts (none unless asked for)."""
        wanted = ["vectors", "tokens", "weights", *(["hidden"] if parts else [])]
        length = min(len(piece.ids), self.max_tokens)
        outputs = self._session.run(wanted, _inputs(piece.ids, length))
        inner = slice(1, length - 1)
        vector = outputs[0][0]
        offsets = np.array(piece.offsets[inner], np.int32).reshape(-1, 2)
        held = _parts(text, vector, outputs[3][0, inner], offsets) if parts else vector[:0]
        return vector, outputs[1][0, inner].copy(), outputs[2][0, inner].copy(), offsets, held


class SentenceTransformersEncoder:
    """Any sentence-transformers model; slower to start, since it needs torch."""

    token_dimension = 0
    reader: Reader | None = None
    close_reader: CloseReader | None = None

    def __init__(self, name: str, *, threads: int = 1) -> None:
        self.name = name
        self._model = _load_sentence_transformer(name, threads)
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or 0)
        self._query, self._document = _prompts(name, self._model.prompts)
        self.fingerprint = _digest(
            {"weights": _weights_identity(name, self._model), "query": self._query,
             "document": self._document}, f"{self.max_tokens}"
        )  # fmt: skip

    def encode_queries(self, texts: Sequence[str]) -> Encoding:
        """Vectors of questions, with the model's query prompt."""
        return self._encode(self._model.encode_query, texts, self._query)

    def encode_documents(self, texts: Sequence[str]) -> Encoding:
        """Vectors of passages, with the model's document prompt."""
        return self._encode(self._model.encode_document, texts, self._document)

    def _encode(self, encode: Any, texts: Sequence[str], prompt: str) -> Encoding:
        if not texts:
            return Encoding(np.zeros((0, self.dimension), np.float32))
        vectors = encode(
            list(texts),
            prompt=prompt,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return Encoding(np.asarray(vectors, np.float32))


_DEFAULT = "Leave KIKU_ENCODER empty to use the encoder that ships with Kiku; it needs no network."
_REPAIR = "Restore the folder from the repository (or install Kiku again)."


def _open_session(folder: Path, *, int8: bool) -> Any:
    if int8:
        return _session_of(folder / INT8_GRAPH, int8_weights(folder / WEIGHTS))
    return _session_of(folder / GRAPH, {})


def _session_of(graph: Path, weights: dict[str, np.ndarray]) -> Any:
    """A session of one thread over a graph, which is given those of its weights that lie in no file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _open_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _verified_digests(folder: Path) -> dict[str, str]:
    """The digests file of the folder, once every file in it was found to be as it says."""
    try:
        digests: dict[str, str] = json.loads((folder / DIGESTS).read_text("utf-8"))
        for name, wanted in digests.items():
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != wanted:
                raise EncoderUnavailable(
                    f"The encoder's file {folder / name} is damaged: its digest is not the one in "
                    f"{DIGESTS}.",
                    hint=_REPAIR,
                )
    except (OSError, ValueError) as error:
        raise EncoderUnavailable(
            f"The encoder's folder {folder} is incomplete: {error}", hint=_REPAIR
        ) from error
    return digests


def _digest(parts: dict[str, str], *more: str) -> str:
    told = json.dumps([sorted(parts.items()), *more], ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _parts(text: str, vector: np.ndarray, hidden: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """For each part with tokens: `OWN` of the normalised mean over them and the rest of the text's
    vector, float32 (p, dimension); the text's vector alone where no part has any."""
    owner = part_of_tokens(text, offsets[:, 0])
    if not len(owner):
        return vector[None]
    firsts = np.flatnonzero(np.diff(owner, prepend=-1))
    sums = np.add.reduceat(hidden, firsts, axis=0)
    means: np.ndarray = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    held: np.ndarray = OWN * means + (1 - OWN) * vector
    return held


def _neutral(text: str) -> str:
    if "[" in text:
        for special in _SPECIAL:
            text = text.replace(special, "［" + special[1:])
    return text


def _inputs(ids: Sequence[int], length: int) -> dict[str, np.ndarray]:
    """What a graph asks for: the first `length` pieces of one text, with its [SEP] kept."""
    pieces = np.array([*ids[: length - 1], ids[-1]], np.int64)[None]
    return {"input_ids": pieces}


def _prompts(name: str, own: dict[str, str]) -> tuple[str, str]:
    """The prompts of the table, else the model's own, else none."""
    for part, query, document in PROMPTS:
        if part in name.lower():
            return query, document
    return own.get("query") or "", own.get("document") or own.get("passage") or ""


def _is_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or Path(name).exists()


def _load_sentence_transformer(name: str, threads: int) -> Any:
    if _is_path(name) and not Path(name).expanduser().is_dir():
        raise EncoderUnavailable(f"There is no encoder folder {name!r}.", hint=_DEFAULT)
    try:
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        try:
            model = SentenceTransformer(name, device="cpu", local_files_only=True)
        except Exception:
            if _is_path(name):
                raise
            _ask_hub(name)
            model = SentenceTransformer(name, device="cpu")
    except Exception as error:  # whatever a hub, a proxy or a half-written folder brings up
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderUnavailable(
            f"The encoder {name!r} cannot be loaded: {reason}", hint=_DEFAULT
        ) from error
    return model.float()  # half precision is an order of magnitude slower on a CPU


def _ask_hub(name: str) -> None:
    """Fail within seconds, not after minutes of retries, where there is no network or no such
    model."""
    from huggingface_hub import HfApi

    HfApi().model_info(name, timeout=10)


def _weights_identity(name: str, model: Any) -> str:
    """The commit a model was downloaded at, or a digest of a local folder's files."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        digest = hashlib.sha256()
        for file in sorted(folder.rglob("*")):
            if file.suffix in {".safetensors", ".bin", ".json", ".model", ".txt"}:
                digest.update(str(file.relative_to(folder)).encode())
                with file.open("rb") as raw:
                    digest.update(hashlib.file_digest(raw, "sha256").digest())
        return digest.hexdigest()
    config = getattr(model, "config", None) or getattr(
        getattr(model[0], "auto_model", None), "config", None
    )
    return f"{name}@{getattr(config, '_commit_hash', None) or 'unknown'}"
