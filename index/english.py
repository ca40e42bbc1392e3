"""English questions to Japanese documents: which of their words a Japanese text can hold at all.

The vectors read both languages. The words do not: 「When was it released?」 is answered by 「公開」, and
counting `released` as missing makes every answer look unlikely. SudachiPy already knows loanwords
(container → コンテナ); what is left are endings, function words, and the words that Japanese does not
borrow: `glossary.tsv`, which `index.training.glossary` learns from translations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from index.normalize import fold

_FUNCTION_WORDS = frozenset(
    (
        "the a an this that these those there here it its they them their he him his she her i me my you your we "
        "us our is are was were be been being am do does did doing done have has had having can could may might "
        "must shall should will would not no of to in on at by for from with without into onto over under about "
        "between through during before after since until than as if so and or but nor either both out up off "
        "what which who whom whose when where why how many much often long any some each every all also else "
        "isn aren wasn weren don doesn didn hasn haven hadn couldn won wouldn shouldn s t d m ll re ve "
        "get got go goes come comes make makes made let please tell explain show describe mean means happen "
        "happens thing things way"
    ).split()
)
_GLOSSARY = Path(__file__).with_name("glossary.tsv")
_ENDINGS = (
    ("ies", "y"), ("s", ""), ("es", ""), ("ied", "y"), ("ed", ""), ("ed", "e"), ("ing", ""), ("ing", "e"),
)  # fmt: skip
_DOUBLED = re.compile(r"([b-df-hj-np-tv-z])\1$")
_CAPITAL = re.compile(r"(?<!^)\b[A-Z]\w*")


def is_function_word(word: str) -> bool:
    """Whether a word of an English question, folded, says nothing about what is asked."""
    return word in _FUNCTION_WORDS


def names(question: str) -> set[str]:
    """The words of an English question that stand there as names, folded: with a capital letter
    where no sentence begins."""
    return {fold(name) for name in _CAPITAL.findall(question)} - _FUNCTION_WORDS


def stems(word: str) -> Iterator[str]:
    """A folded word, and what it may be without its ending: layers → layer, sharing → share."""
    yield word
    for ending, instead in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            yield stem + instead
            yield _DOUBLED.sub(r"\1", stem) + instead


def in_japanese(word: str) -> tuple[str, ...]:
    """How Japanese texts say an English word, folded, in any of its forms; empty where unknown."""
    known = _glossary()
    return next((known[stem] for stem in stems(word) if stem in known), ())


def read_glossary(file: Path) -> dict[str, tuple[str, ...]]:
    """English words, without their endings, each with the Japanese ones: a line each, a tab between the
    languages, spaces between the Japanese words."""
    lines = (line.split("\t") for line in file.read_text("utf-8").splitlines())
    return {english: tuple(japanese.split()) for english, japanese in lines}


@cache
def _glossary() -> Mapping[str, tuple[str, ...]]:
    return read_glossary(_GLOSSARY)
