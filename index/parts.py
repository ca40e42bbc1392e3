"""The parts of a passage that the shipped encoder gives a vector of their own.

A question is mostly answered by one clause, and the mean over a whole passage drowns it: the dense
leg therefore compares a question with every part, and the best one counts. See docs/encoder.md for
what was measured.
"""

from __future__ import annotations

import re

import numpy as np

# What is shorter goes together with what follows: a title, 「はい。」, an item of a list.
SHORTEST = 20
# How much of a part's vector is its own; the rest is the whole passage's.
OWN = 0.8

# Ends: 。！？、 with closing brackets behind them, Latin punctuation before a space, a line's end.
_CLAUSE = re.compile(r"[^\n]*?(?:[。！？!?、，]+[」』）)\"]*\n*|[.,;:] +|\n+|$)")


def part_ends(text: str) -> list[int]:
    """Where each part ends, in code points; the last end is len(text). [] for "".

    Parts are clauses, joined until they have `SHORTEST` characters.
    """
    ends: list[int] = []
    begun = 0
    for clause in _CLAUSE.finditer(text):
        if clause.end() - begun >= SHORTEST:
            ends.append(clause.end())
            begun = clause.end()
    if begun < len(text):
        ends[-1:] = [len(text)]
    return ends


def part_of_tokens(text: str, starts: np.ndarray) -> np.ndarray:
    """The part, int64 (t,), in which each token begins; `starts` are code points in `text`."""
    return np.searchsorted(np.array(part_ends(text) or [0]), starts, side="right")
