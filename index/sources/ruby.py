"""Readings set beside kanji: `｜漢字《かんじ》`, as Aozora Bunko and others write them."""

from __future__ import annotations

import re

DENSE = 40  # characters for one reading; a text with more of them has readings on nearly every word

_RUBY = re.compile(
    r"[｜|]([^｜|《》\n]{1,30})《([ぁ-ゖァ-ヺー・ 　]{1,30})》"
    r"|([一-龠々〆ヶ]{1,15})《([ぁ-ゖァ-ヺー]{1,20})》"
)


def without_ruby(text: str) -> str:
    """The text with a reading in brackets where it first occurs, 漢字（かんじ）, and gone after.

    A text with a reading on nearly every word, as for children, is left without any: in brackets
    they would tear the sentences apart.
    """
    if "《" not in text:
        return text
    dense = len(_RUBY.findall(text)) * DENSE > len(text)
    seen: set[tuple[str, str]] = set()

    def plain(match: re.Match[str]) -> str:
        base, reading = match[1] or match[3], match[2] or match[4]
        if dense or (base, reading) in seen:
            return base
        seen.add((base, reading))
        return f"{base}（{reading}）"

    return _RUBY.sub(plain, text)
