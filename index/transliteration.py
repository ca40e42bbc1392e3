"""How Latin names are said in katakana: docker ドッカー, pgbouncer ピージーバウンサー, zfs ゼットエフエス.

A Latin name is cut into pieces of a few letters, each of which is said in one of a few ways (`tion` ション, `er` アー,
`d` ド or, as a letter, ディー), without regard to what stands around it. How likely each way is,
`index.training.transliteration` learns from the readings of a dictionary (`transliteration.tsv`); how likely a
katakana word is for a name is the sum over all ways to cut both (Knight & Graehl 1998, aclanthology.org/J98-4003).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

RULES = Path(__file__).with_name("transliteration.tsv")
# Letters, how they are said, romanised, and the probability of that.
Rule = tuple[str, str, float]
_KATAKANA = re.compile(r"[ァ-ヺー]+")
_SMALL = "ァィゥェォャュョヮ"
_AS_B = (
    ("ヴァ", "バ"),
    ("ヴィ", "ビ"),
    ("ヴェ", "ベ"),
    ("ヴォ", "ボ"),
    ("ヴュ", "ビュ"),
    ("ヴ", "ブ"),
)
# What a letter or a digit is called.
_CALLED = {
    "a": "エー", "b": "ビー", "c": "シー", "d": "ディー デー", "e": "イー", "f": "エフ", "g": "ジー",
    "h": "エイチ エッチ", "i": "アイ", "j": "ジェイ ジェー", "k": "ケー ケイ", "l": "エル", "m": "エム",
    "n": "エヌ", "o": "オー", "p": "ピー", "q": "キュー", "r": "アール", "s": "エス", "t": "ティー テー",
    "u": "ユー", "v": "ブイ ヴイ ヴィー", "w": "ダブリュー ダブル", "x": "エックス", "y": "ワイ",
    "z": "ゼット ゼッド", "0": "ゼロ", "1": "ワン", "2": "ツー", "3": "スリー", "4": "フォー",
    "5": "ファイブ", "6": "シックス", "7": "セブン", "8": "エイト エイツ", "9": "ナイン",
}  # fmt: skip
_CALLED_SHARE = 0.02  # how often a letter of a name is said by what it is called, about
_CALLED_NAMES = {name: letter for letter, names in _CALLED.items() for name in names.split()}
_SPELT_OUT = re.compile(f"(?:{'|'.join(sorted(_CALLED_NAMES, key=len, reverse=True))})")
# What leaves the consonants of a name, and those merged that katakana does not tell apart.
_MERGED = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"[^a-z0-9\n]", ""), (r"[ts]ion", "sn"), (r"ture", "sr"), (r"tch|sh|ch|th|ts", "s"), (r"ph", "f"),
        (r"gh", ""), (r"^kn", "n"), (r"^wr", "r"), (r"c(?=[eiy])", "s"), (r"[cq]", "k"), (r"x", "ks"), (r"l", "r"),
        (r"v", "b"), (r"[jz]", "s"), (r"g(?=[eiy])", "s"), (r"(?<=[aiueo])r(?![aiueo])", ""), (r"h", "f"),
        (r"[aiueoyw]", ""), (r"m(?=[bp])", "n"), (r"(.)\1+", r"\1"),
    )
)  # fmt: skip


def is_katakana(name: str) -> bool:
    """Whether a name is written in katakana alone."""
    return bool(_KATAKANA.fullmatch(name))


def consonants(names: Sequence[str]) -> list[str]:
    """The consonants of each Latin or katakana name, about the same for docker and ドッカー. All names at once:
    one by one takes eight times as long."""
    text = "\n".join(names)
    if any(map(is_katakana, names)):
        text = romanised(text)
    for pattern, replacement in _MERGED:
        text = pattern.sub(replacement, text)
    return text.split("\n") if names else []


def likelihood(latin: str, katakana: str) -> float:
    """The natural logarithm of how likely a Latin name is said like this, divided by the signs of the romanised
    katakana; −∞ where it cannot be said so."""
    said = _word_romanised(katakana)
    # Of each place in the name: how likely the letters before it are said like the first so many signs.
    reached: list[dict[int, float]] = [{} for _ in range(len(latin) + 1)]
    reached[0][0] = 1.0
    for place, before in enumerate(reached):
        for letters, way, probability in _rules_at(latin, place) if before else ():
            after = reached[place + len(letters)]
            for start, so_far in before.items():
                if said.startswith(way, start):
                    end = start + len(way)
                    after[end] = after.get(end, 0.0) + so_far * probability
    whole = reached[-1].get(len(said), 0.0)
    return math.log(whole) / len(said) if whole > 0 else -math.inf


def spelt_out(katakana: str) -> str:
    """The letters, two or more, that are called like this, one after the other; "" where it is something else."""
    called = _SPELT_OUT.findall(katakana)
    if len(called) < 2 or "".join(called) != katakana:
        return ""
    return "".join(_CALLED_NAMES[name] for name in called)


def romanised(text: str) -> str:
    """Katakana in Latin letters, ー as - and ッ as Q; what is none stays."""
    digraphs, letters = _romaji()
    for digraph, said in (*_AS_B, *digraphs):
        text = text.replace(digraph, said)
    return text.translate(letters)


# The same word is weighed against many names. Bounded, since words come from anybody's questions.
_word_romanised = lru_cache(maxsize=1024)(romanised)


def called() -> Iterator[Rule]:
    """The rules for letters that are said by what they are called."""
    for name, letter in _CALLED_NAMES.items():
        yield letter, romanised(name), _CALLED_SHARE


def _rules_at(latin: str, place: int) -> Iterator[Rule]:
    rules, longest = _rules()
    for end in range(place + 1, min(place + longest, len(latin)) + 1):
        yield from rules.get(latin[place:end], ())


@cache
def _rules() -> tuple[dict[str, list[Rule]], int]:
    """The rules by their letters, and how many letters a rule has at most."""
    lines = (line.split("\t") for line in RULES.read_text("utf-8").splitlines())
    learned = [(letters, way, float(probability)) for letters, way, probability in lines]
    found: dict[str, list[Rule]] = {}
    for rule in (*learned, *called()):
        found.setdefault(rule[0], []).append(rule)
    return found, max(map(len, found))


@cache
def _romaji() -> tuple[list[tuple[str, str]], dict[int, str]]:
    """How two katakana are said that are one sound, and how each one alone is."""
    from jaconv import kata2alphabet

    katakana = [chr(code) for code in range(ord("ァ"), ord("ヺ") + 1)]
    alone = {ord(kana): kata2alphabet(kana) for kana in katakana}
    alone |= {ord("ー"): "-", ord("ッ"): "Q", ord("ン"): "n"}
    pairs = [kana + small for kana in katakana for small in _SMALL]
    digraphs = [(pair, kata2alphabet(pair)) for pair in pairs]
    return digraphs, alone
