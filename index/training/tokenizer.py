"""Stage 1: of the teacher's 250,000 unigram pieces (Kudo 2018, arXiv 1804.10959) those that
Japanese and English texts are made of.

Case is folded, so that what people type in small letters finds what stands in capitals. The result
is a tokenizer.json: serving needs `tokenizers` only.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from index.training import teacher as teachers
from index.training.sources import TrainingData
from index.training.teacher import Teacher

PIECES = 32_000
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_BATCH = 4096
# In the teacher's vocabulary: <s>, <pad>, </s>, <unk>; it has no use for a mask.
_TEACHERS = {"[PAD]": 1, "[UNK]": 3, "[CLS]": 0, "[SEP]": 2, "[MASK]": 3}


def training_texts(data: TrainingData) -> Iterator[str]:
    """Everything that training reads."""
    for passage in data.passages:
        yield passage.text
        yield from (question for question, _ in passage.questions)
    for section in data.sections:
        yield f"{section.title} {section.heading}"
        yield section.text[:1000]
    for pair in data.pairs:
        yield pair.japanese
        yield pair.english


def cut_tokenizer(
    teacher: Teacher, texts: Iterable[str], target: Path, *, pieces: int = PIECES
) -> None:
    """Write `target`, a tokenizer.json of at most `pieces` pieces: the signs of Japanese and of
    English, and those that occur most in `texts`."""
    charsmap = _folding()
    names = list(zip(teacher.pieces, teacher.scores.tolist(), strict=True))
    rest = names[teachers.SPECIAL :]
    known = _tokenizer([*((special, 0.0) for special in SPECIAL), *rest], charsmap)
    counts = np.zeros(len(SPECIAL) + len(rest), np.int64)
    texts = iter(texts)
    while batch := list(islice(texts, _BATCH)):
        for encoding in known.encode_batch_fast(batch):
            np.add.at(counts, encoding.ids, 1)
    own = counts[len(SPECIAL) :]
    signs = np.array([is_sign(piece) for piece, _ in rest])
    best = np.lexsort((np.arange(len(own)), -own, ~signs))[: pieces - len(SPECIAL)]
    chosen = [rest[i] for i in best if own[i] or signs[i]]
    tokenizer = _tokenizer([*((special, 0.0) for special in SPECIAL), *chosen], charsmap)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False), "utf-8")


def teachers_rows(teacher: Teacher, tokenizer: Any) -> list[int]:
    """For each piece of `tokenizer` its row among the teacher's."""
    rows = {piece: number for number, piece in enumerate(teacher.pieces)} | _TEACHERS
    return [rows[tokenizer.id_to_token(i)] for i in range(tokenizer.get_vocab_size())]


def is_sign(piece: str) -> bool:
    """Whether it is one character of Japanese or Western writing, as JIS X 0213 lists them: without
    these a text could not be spelt."""
    if len(piece) != 1:
        return False
    try:
        return bool(piece.encode("shift_jis_2004")) or piece == "▁"
    except UnicodeEncodeError:
        return piece == "▁"


def _folding() -> bytes:
    """NFKC and case folding as SentencePiece compiles them; only a trained model holds them."""
    import sentencepiece

    protocol = import_module("sentencepiece.sentencepiece_model_pb2")
    with tempfile.TemporaryDirectory() as folder:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["聞く", "きく", "kiku", "quote"] * 20),
            model_prefix=f"{folder}/pieces",
            vocab_size=16,
            hard_vocab_limit=False,
            normalization_rule_name="nmt_nfkc_cf",
            minloglevel=2,
        )
        model = protocol.ModelProto()
        model.ParseFromString((Path(folder) / "pieces.model").read_bytes())
    charsmap: bytes = model.normalizer_spec.precompiled_charsmap
    return charsmap


def _tokenizer(vocabulary: Sequence[tuple[str, float]], charsmap: bytes) -> Any:
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

    tokenizer: Any = Tokenizer(models.Unigram(list(vocabulary), unk_id=1, byte_fallback=False))
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
    return tokenizer
