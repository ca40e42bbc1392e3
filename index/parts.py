"""The parts of a passage that the shipped encoder gives a vector of their own.

A question is mostly answered by one sentence, and the mean over a whole passage drowns it: the
dense leg therefore compares a question with every part, and the best one counts.
"""

from __future__ import annotations

import re

import numpy as np

# What is shorter goes together with what follows: a title, 「はい。」, an item of a list.
SHORTEST = 32

_SENTENCE = re.compile(r"[^。！？!?\n]*[。！？!?]+[」』）)\"]*\n*|[^。！？!?\n]*\n+|[^。！？!?\n]+")


def part_ends(text: str) -> list[int]:
    """Where each part ends, in code points; the last end is len(text). [] for "".

    Parts are sentences (cut after 。！？ and at line ends), joined up to `SHORTEST` characters.
    """
    ends: list[int] = []
    begun = 0
    for sentence in _SENTENCE.finditer(text):
        if sentence.end() - begun >= SHORTEST:
            ends.append(sentence.end())
            begun = sentence.end()
    if begun < len(text):
        ends[-1:] = [len(text)]
    return ends


def part_of_tokens(text: str, starts: np.ndarray) -> np.ndarray:
    """The part, int64 (t,), in which each token begins; `starts` are code points in `text`."""
    return np.searchsorted(np.array(part_ends(text) or [0]), starts, side="right")
