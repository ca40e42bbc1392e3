"""Names that are spelt otherwise than a question spells them: contanierd, クバネティス."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

# Below this similarity (0…1, 0…100) two names are two things.
_LETTERS_CUTOFF = 0.78
_SOUND_CUTOFF = 84
_MOST = 3
_KATAKANA = re.compile(r"[ァ-ヺー]+")
_SMALL = "ァィゥェォャュョヮ"
# What is said alike, or not said at all, one name a line.
_SOUNDS = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"[^a-z\n]", ""),
        (r"sh|ch|th|ts", "s"), (r"ph", "f"), (r"c(?=[eiy])", "s"), (r"[cq]", "k"), (r"x", "ks"),
        (r"l", "r"), (r"v", "b"), (r"j", "z"), (r"(?:er|or|ar|e)$", ""), (r"(?<=[aiueo])h", ""),
        (r"(.)\1+", r"\1"), (r"u$", ""),
    )
)  # fmt: skip
_VOWELS = re.compile(r"[aiueoyw]")


class Names:
    """The names that an index holds, to be found by how they are spelt and by how they sound."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        latin = [name for name in names if not _is_katakana(name)]
        katakana = [name for name in names if _is_katakana(name)]
        # By the script that the other name is written in.
        self._others = {True: (latin, sounds(latin)), False: (katakana, sounds(katakana))}

    def like(self, word: str) -> list[tuple[str, float]]:
        """What a word that is none of the names may mean, best first, at most `_MOST`, each with
        how alike the two are (0…1): names of nearly the same letters, then those of the other
        script that sound the same."""
        from rapidfuzz import fuzz, process
        from rapidfuzz.distance import OSA

        near = process.extract(
            word,
            self._names,
            scorer=OSA.normalized_similarity,
            score_cutoff=_LETTERS_CUTOFF,
            limit=2,
        )
        names, said = self._others[_is_katakana(word)]
        same = process.extract(
            sounds([word])[0], said, scorer=fuzz.ratio, score_cutoff=_SOUND_CUTOFF, limit=2
        )
        found = [(name, score) for name, score, _ in near]
        found += [(names[place], score / 100) for _, score, place in same]
        return found[:_MOST]


def sounds(names: Sequence[str]) -> list[str]:
    """A rough sound of each Latin or katakana name, the same for docker and ドッカー: its first vowel
    group kept, the other vowels dropped, consonants that Japanese does not tell apart merged. All
    names at once: one by one takes eight times as long."""
    if not names:
        return []
    text = "\n".join(names)
    if any(map(_is_katakana, names)):
        digraphs, letters = _romaji()
        for digraph, said in digraphs:
            text = text.replace(digraph, said)
        text = text.translate(letters)
    for pattern, replacement in _SOUNDS:
        text = pattern.sub(replacement, text)
    return [said[:2] + _VOWELS.sub("", said[2:]) for said in text.split("\n")]


@lru_cache(maxsize=1)
def _romaji() -> tuple[list[tuple[str, str]], dict[int, str]]:
    """How two katakana are said that are one sound, and how each one alone is; ー and ッ are not."""
    from jaconv import kata2alphabet

    katakana = [chr(code) for code in range(ord("ァ"), ord("ヺ") + 1)]
    alone = {ord(kana): kata2alphabet(kana) for kana in katakana}
    alone |= {ord("ー"): "", ord("ッ"): "", ord("ヴ"): "bu"}
    pairs = [("ブ" if kana == "ヴ" else kana, small, kana) for kana in katakana for small in _SMALL]
    digraphs = [(kana + small, kata2alphabet(said + small)) for said, small, kana in pairs]
    return digraphs, alone


def _is_katakana(word: str) -> bool:
    return bool(_KATAKANA.fullmatch(word))
