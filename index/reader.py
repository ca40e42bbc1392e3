"""Reading: how likely each token of a passage is part of the answer.

MaxSim says what a passage is about, not whether the answer stands there: 「いつ設立されましたか」 is
met by every sentence about the founding, and answered by the one with a date. The reader is a small
network over the token vectors that are stored anyway. For every token of a passage it sees the token,
what the question asks for (the question's tokens, pooled by attention), the part of the question that
the token stands for, and how much of the question is met within a few tokens of it.
`index.training.reader` trains it on questions with marked answers; docs/retrieval.md says what it
brought.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = "reader.npz"
# How many tokens to either side "within a few tokens" reaches: a clause, a sentence, a paragraph.
REACHES = (3, 15, 63)
# How sharply a token stands for the part of the question it is most like.
SHARPNESS = 12.0
_FAR = -1.0
_NONE = -10.0


@dataclass(frozen=True, slots=True)
class Reader:
    """The trained weights, float32, by name; d is the dimension of token vectors, h of the layer.

    ask       (heads, d)            which tokens of the question say what is asked for
    asked     (heads · d, d)        makes one vector of what they say
    inner     (3 · d + 2 + 2 · len(REACHES), h)   and inner_bias (h,)
    outer     (h,)                  and outer_bias ()
    """

    weights: Mapping[str, np.ndarray]

    @classmethod
    def open(cls, folder: Path) -> Reader | None:
        """The reader of a model folder; None where it has none."""
        if not (folder / FILE).is_file():
            return None
        with np.load(folder / FILE) as stored:
            return cls({name: stored[name].astype(np.float32) for name in stored.files})

    def read(
        self, tokens: np.ndarray, weights: np.ndarray, passages: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """The log odds of every token, against no answer at all: float32 (tᵢ,) for each passage.

        `tokens` float32 (q, d) and `weights` (q,), summing to 1, are the question's;
        `passages` float32 (tᵢ, d) each, tokens in their order.
        """
        if not len(tokens) or not passages:
            return [np.full(len(passage), _NONE, np.float32) for passage in passages]
        w = self.weights
        rows = np.concatenate(passages)
        own, times, more = np.split(w["inner"], [rows.shape[1], 2 * rows.shape[1]])
        # What is wanted meets every token: rows * wanted @ times, without an array of its own.
        inner = rows @ (own + self._wanted(tokens)[:, None] * times)
        inner += features(tokens, weights, passages) @ more
        inner += w["inner_bias"]
        odds = np.maximum(inner, 0.0) @ w["outer"] + w["outer_bias"]
        ends = np.cumsum([len(passage) for passage in passages])[:-1]
        return np.split(odds.astype(np.float32), ends)

    def _wanted(self, tokens: np.ndarray) -> np.ndarray:
        """What the question asks for, float32 (d,)."""
        attention = self.weights["ask"] @ tokens.T  # (heads, q)
        attention = np.exp(attention - attention.max(axis=1, keepdims=True))
        attention /= attention.sum(axis=1, keepdims=True)
        wanted: np.ndarray = (attention @ tokens).reshape(-1) @ self.weights["asked"]
        return wanted


def features(tokens: np.ndarray, weights: np.ndarray, passages: Sequence[np.ndarray]) -> np.ndarray:
    """What does not depend on training, float32 (all tokens, d + 2 + 2 · len(REACHES)): each token
    times the part of the question it stands for, its best and its weighted mean similarity, and how
    much of the question, by weight and by its weightiest parts, is met within each reach."""
    rows = np.concatenate(passages)
    similarity = tokens @ rows.T  # (q, all tokens)
    share = np.exp(SHARPNESS * (similarity - similarity.max(axis=0)))
    share /= share.sum(axis=0)
    told = [
        rows * (share.T @ tokens),
        similarity.max(axis=0)[:, None],
        (weights @ similarity)[:, None],
    ]
    places, spread = _apart(similarity, [len(passage) for passage in passages])
    heavy = weightier(weights)
    for met in _best_within(spread):
        here = met[:, places]
        told += [(weights @ here)[:, None], here[heavy].min(axis=0)[:, None]]
    return np.concatenate(told, axis=1).astype(np.float32)


def weightier(weights: np.ndarray) -> np.ndarray:
    """Which are no less than the median, bool (q,); `np.median` takes ten times as long for so few."""
    if not len(weights):
        return np.zeros(0, bool)
    ranked = np.sort(weights)
    middle = (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2
    heavy: np.ndarray = weights >= middle
    return heavy


def _apart(similarity: np.ndarray, lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The columns of all passages with so much room between them that no reach crosses it, and
    where each column went."""
    room = max(REACHES)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(similarity.shape[1]) + room * (owners + 1)
    wide = np.full(
        (len(similarity), similarity.shape[1] + room * (len(lengths) + 1)), _FAR, np.float32
    )
    wide[:, places] = similarity
    return places, wide


def _best_within(values: np.ndarray) -> Iterator[np.ndarray]:
    """The largest value within each reach of `REACHES` to either side. Reaches are one less than a
    power of two, ascending: the window doubles until it is so wide."""
    width, left = 1, values
    for reach in REACHES:
        while width <= reach:
            left = np.maximum(left, _moved(left, width))  # the best of columns c − 2·width + 1 … c
            width *= 2
        yield np.maximum(left, _moved(left, -reach))


def _moved(values: np.ndarray, by: int) -> np.ndarray:
    """The columns moved right by `by` (left where it is negative); what comes in is far."""
    moved = np.full_like(values, _FAR)
    if by > 0:
        moved[:, by:] = values[:, :-by]
    else:
        moved[:, :by] = values[:, -by:]
    return moved


def standing(odds: np.ndarray) -> float:
    """How likely the answer stands among these tokens, −1…1: a tenth of the logarithm of what
    their odds add up to, where more than e¹⁰ : 1 counts as that."""
    if not len(odds):
        return -1.0
    top = float(odds.max())
    together = top + float(np.log(np.exp(odds - top).sum()))
    return max(-1.0, min(1.0, together / 10.0))
