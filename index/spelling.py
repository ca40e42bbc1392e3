"""Names that are spelt otherwise than a question spells them: contanierd, クバネティス."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from index.transliteration import consonants, is_katakana, likelihood, romanised

# Below this similarity (0…1) two names are two things.
_LETTERS_CUTOFF = 0.78
# Names of the other script with the most alike consonants, of which those are kept that are said as the word is:
# no less likely than the first cutoff, nor by more than the second less so than the likeliest.
_CANDIDATES = 40
_SOUND_CUTOFF, _BEHIND = -1.3, 0.3
_MOST = 3


class Names:
    """The names that an index holds, to be found by how they are spelt and by how they sound."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        latin = [name for name in names if not is_katakana(name)]
        katakana = [name for name in names if is_katakana(name)]
        # By whether the other name is katakana.
        self._others = {True: (latin, consonants(latin)), False: (katakana, consonants(katakana))}

    def like(self, word: str) -> list[tuple[str, float]]:
        """What a word that is none of the names may mean, best first, at most `_MOST`, each with
        how alike the two are (0…1): names of nearly the same letters, then those of the other
        script that sound the same."""
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        near = process.extract(
            word,
            self._names,
            scorer=OSA.normalized_similarity,
            score_cutoff=_LETTERS_CUTOFF,
            limit=2,
        )
        found = [(name, score) for name, score, _ in near]
        return [*found, *self.said_like(word)][:_MOST]

    def said_like(self, word: str) -> list[tuple[str, float]]:
        """The names of the other script that are said as a word is, the two likeliest, each with how alike the
        two are (0…1)."""
        from rapidfuzz import fuzz, process

        names, heard = self._others[is_katakana(word)]
        if not names:
            return []
        # Short names have the same consonants as many others: their letters decide between those.
        alike = process.cdist(consonants([word]), heard, scorer=fuzz.ratio)[0]
        alike += 0.5 * process.cdist([romanised(word)], names, scorer=fuzz.ratio)[0]
        likely = sorted(
            (
                (_likelihood(word, names[place]), names[place])
                for place in np.argsort(-alike)[:_CANDIDATES]
            ),
            key=lambda said: -said[0],
        )
        least = max(_SOUND_CUTOFF, likely[0][0] - _BEHIND)
        return [(name, math.exp(score / 3)) for score, name in likely if score >= least][:2]


def _likelihood(word: str, name: str) -> float:
    latin, katakana = (name, word) if is_katakana(word) else (word, name)
    # SudachiPy leaves the ー off the end of a word that it does not know.
    return max(likelihood(latin, katakana), likelihood(latin, f"{katakana}ー"))
