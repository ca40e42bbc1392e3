"""Stage 1: a Japanese–English vocabulary of 32,000 unigram pieces (Kudo 2018, arXiv 1804.10959).

Trained with SentencePiece (the trainer of `tokenizers` is far slower on text without spaces) and
written as a tokenizer.json, so that serving needs `tokenizers` only.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from index.training.sources import SEED, TrainingData, sentences

PIECES = 32_000
SENTENCES = 350_000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def training_lines(data: TrainingData) -> Iterator[str]:
    """Encyclopedic Japanese twice, technical Japanese once, English for about a fifth."""
    rng = random.Random(SEED)
    for passage in data.passages:
        for sentence in sentences(passage.text):
            yield sentence
            yield sentence
        yield from (question for question, _ in passage.questions)
    for section in data.sections:
        yield section.heading
        yield from sentences(section.text[:400])
    for pair in data.pairs:
        yield pair.japanese
        if rng.random() < 0.4:
            yield pair.english


def train_tokenizer(data: TrainingData, target: Path, *, pieces: int = PIECES) -> None:
    """Write `target` (a tokenizer.json)."""
    import sentencepiece

    lines = [line for raw in training_lines(data) if (line := " ".join(raw.split()))]
    random.Random(SEED).shuffle(lines)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "lines.txt"
        corpus.write_text("\n".join(lines[:SENTENCES]), "utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus),
            model_prefix=f"{folder}/pieces",
            model_type="unigram",
            vocab_size=pieces,
            character_coverage=0.9997,
            max_sentencepiece_length=12,
            split_digits=True,
            hard_vocab_limit=False,
            normalization_rule_name="nmt_nfkc_cf",
            pad_id=0, unk_id=1, bos_id=2, eos_id=3,
            pad_piece="[PAD]", unk_piece="[UNK]", bos_piece="[CLS]", eos_piece="[SEP]",
            user_defined_symbols=["[MASK]"],
            num_threads=2,
            minloglevel=1,
        )  # fmt: skip
        model = _protocol().ModelProto()
        model.ParseFromString((Path(folder) / "pieces.model").read_bytes())
    vocabulary = [(piece.piece, piece.score) for piece in model.pieces]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        _tokenizer_json(vocabulary, model.normalizer_spec.precompiled_charsmap), "utf-8"
    )


def _protocol() -> Any:
    """SentencePiece's own file format; Any, since its classes are made at run time."""
    return import_module("sentencepiece.sentencepiece_model_pb2")


def _tokenizer_json(vocabulary: list[tuple[str, float]], charsmap: bytes) -> str:
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    if [piece for piece, _ in vocabulary[: len(SPECIAL)]] != list(SPECIAL):
        raise ValueError(f"the vocabulary must begin with {SPECIAL}")
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=1, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(charsmap),
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in SPECIAL])
    return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False)
