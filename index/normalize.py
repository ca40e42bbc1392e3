"""Text folding shared by documents and queries: what differs only in how it was typed is the same.

Folding serves matching only. Offsets and quotes always refer to the text as it was written.
"""

from __future__ import annotations

import re
import unicodedata

# Dashes that people and input methods put where 長音 belongs between kana: ‐ ‑ – — ― − ─ ｰ ~ 〜
_LONG_VOWEL = re.compile(r"(?<=[ァ-ヺぁ-ん])[‐‑–—―−─~〜-]")
_HYPHENS = re.compile(r"[‐‑–—―−]")
_SPACE_IN_JAPANESE = re.compile(r"(?<=[^\x00-\x7f])[ \t\u3000]+(?=[^\x00-\x7f])")
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060\ufeff\ud800-\udfff]"
)


def fold(text: str) -> str:
    """`text` in NFKC, case-folded, with one hyphen, one 長音 and no spaces between kanji or kana.

    Control and zero-width characters become nothing; line ends stay.
    """
    text = unicodedata.normalize("NFKC", _UNPRINTABLE.sub("", text)).casefold()
    text = _LONG_VOWEL.sub("ー", text)
    text = _HYPHENS.sub("-", text)
    return _SPACE_IN_JAPANESE.sub("", text)


def well_formed(text: str) -> str:
    """`text` with ? for each half of a character (a lone surrogate), which no encoding can hold.

    A terminal that is not in UTF-8 and a JSON escape can bring one.
    """
    return text.encode("utf-8", "replace").decode()


def has_words(text: str) -> bool:
    """Whether `text` holds a letter or a digit of any script, that is, something to search for."""
    return any(unicodedata.category(character)[0] in "LN" for character in text)


def is_english(text: str) -> bool:
    """Whether a question is to be answered in English: Latin letters, and no kana or kanji."""
    latin = sum("a" <= character <= "z" for character in fold(text))
    return latin > 2 and not re.search(r"[ぁ-ヺ㐀-鿿々〆]", text)
