"""The numbers that Word writes before paragraphs and keeps out of their text: 第1条, (1), ①, ア."""

from __future__ import annotations

import re
from typing import Any

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
LEVELS = 9  # ECMA-376 part 1, 17.9.3: ilvl runs from 0 to 8

_KANA = (
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
)
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
_KANJI = "〇一二三四五六七八九"
_ROMAN = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))


class Numbering:
    """Counts the numbered paragraphs of a document, in the order in which it is asked."""

    def __init__(self, document: Any) -> None:
        self._lists: dict[str, list[tuple[str, str, int]]] = {}  # numId → (format, text, start)
        self._abstract: dict[str, str] = {}
        self._counts: dict[str, list[int]] = {}
        self._styles: dict[str, tuple[str, int]] = {}
        try:
            root = document.part.numbering_part.element
        except (KeyError, NotImplementedError, AttributeError):
            return
        shapes = {
            shape.get(W + "abstractNumId"): _levels(shape) for shape in root.iter(W + "abstractNum")
        }
        for number in root.iter(W + "num"):
            identity = number.get(W + "numId")
            abstract = number.find(W + "abstractNumId")
            if identity and abstract is not None:
                self._abstract[identity] = abstract.get(W + "val")
                self._lists[identity] = shapes.get(abstract.get(W + "val"), [])
        for style in document.styles.element.iter(W + "style"):
            if found := _number_of(style):
                self._styles[style.get(W + "styleId") or ""] = found

    def label(self, paragraph: Any, style: str) -> str:
        """What Word shows before this paragraph, empty for an unnumbered one; counts it."""
        found = _number_of(paragraph) or self._styles.get(style)
        if not found or found[0] not in self._lists:
            return ""
        identity, level = found
        levels = self._lists[identity]
        if level >= len(levels):
            return ""
        counts = self._counts.setdefault(
            self._abstract[identity], [start - 1 for _, _, start in levels]
        )
        counts[level] += 1
        for deeper in range(level + 1, len(levels)):
            counts[deeper] = levels[deeper][2] - 1
        kind, text, _ = levels[level]
        if kind == "bullet":
            return "・"
        if kind == "none":
            return ""
        return re.sub(r"%([1-9])", lambda m: _shown(levels, counts, int(m[1]) - 1), text).strip()


def _levels(shape: Any) -> list[tuple[str, str, int]]:
    found = []
    for level in list(shape.iter(W + "lvl"))[:LEVELS]:
        start = _value(level, "start")
        found.append(
            (
                _value(level, "numFmt") or "decimal",
                _value(level, "lvlText")[:40],
                int(start) if start.isdecimal() and len(start) < 6 else 1,
            )
        )
    return found


def _value(element: Any, name: str) -> str:
    child = element.find(W + name)
    return (child.get(W + "val") or "") if child is not None else ""


def _number_of(element: Any) -> tuple[str, int] | None:
    properties = element.find(f"{W}pPr/{W}numPr")
    if properties is None:
        return None
    level = _value(properties, "ilvl")
    return _value(properties, "numId"), int(level) if level.isdecimal() and len(level) == 1 else 0


def _shown(levels: list[tuple[str, str, int]], counts: list[int], level: int) -> str:
    if level >= len(levels):
        return ""
    return format_number(max(counts[level], levels[level][2]), levels[level][0])


def format_number(number: int, kind: str) -> str:
    """A number in one of Word's formats (ECMA-376 part 1, 17.18.59); unknown ones as decimal."""
    if kind in {"decimalFullWidth", "decimalFullWidth2"}:
        return str(number).translate({ord("0") + i: ord("０") + i for i in range(10)})
    if kind == "decimalEnclosedCircle" and 1 <= number <= 20:
        return chr(ord("①") + number - 1)
    if kind in {"aiueo", "aiueoFullWidth"}:
        return _KANA[(number - 1) % len(_KANA)]
    if kind in {"iroha", "irohaFullWidth"}:
        return _IROHA[(number - 1) % len(_IROHA)]
    if kind in {
        "japaneseCounting",
        "ideographDigital",
        "chineseCounting",
        "japaneseDigitalTenThousand",
    }:
        return kanji_number(number)
    if kind in {"upperLetter", "lowerLetter"}:
        letter = chr(ord("A") + (number - 1) % 26)
        return letter if kind == "upperLetter" else letter.lower()
    if kind in {"upperRoman", "lowerRoman"} and number < 40:
        roman, left = "", number
        for value, letters in _ROMAN:
            roman, left = roman + letters * (left // value), left % value
        return roman.upper() if kind == "upperRoman" else roman
    return str(number)


def kanji_number(number: int) -> str:
    """1 → 一, 12 → 十二, 120 → 百二十; from 1,000 on digit by digit."""
    if not 0 < number < 1000:
        return "".join(_KANJI[int(digit)] for digit in str(max(number, 0)))
    text = ""
    for value, sign in ((100, "百"), (10, "十")):
        count, number = divmod(number, value)
        text += "" if not count else sign if count == 1 else _KANJI[count] + sign
    return text + (_KANJI[number] if number else "")
