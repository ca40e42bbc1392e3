"""Japanese words for the lexical leg: SudachiPy's short units, plus the longer words they make.

Words are normalised forms (打ち込む = 打込む, サーバ = サーバー), so that okurigana, width and 長音
do not matter. Particles, auxiliaries and punctuation are left out. Latin runs such as
`kube-apiserver` or `1.24` stay whole beside their parts.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

from index.normalize import fold

# SudachiPy refuses more than 49,149 UTF-8 bytes at once; a character has at most four.
_MAX_CHARACTERS = 12_000
_FUNCTION_WORDS = frozenset({"助詞", "助動詞", "補助記号", "空白", "記号"})
_LATIN_RUN = re.compile(r"[a-z0-9]+(?:[._+#/-][a-z0-9]+)*[+#]*")
_CAMEL_RUN = re.compile(r"(?=[A-Za-z]*[a-z][A-Z])[A-Za-z]{4,60}")
_CAMEL_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Words that every question holds and that say nothing about what is asked.
_STOP_WORDS = frozenset(
    (
        "為る 居る 有る 成る 出来る 言う 事 物 為 因る 下さる 教える 何 何れ どの よう 此の 其の 其れ 此れ 御 です "
        "ます いつ 何時 誰 何処 どこ どちら 何方 どんな どう 如何 何故 なぜ どうして 幾ら 幾つ どれ くらい 位 程 "
        "the a an of to is are was were be in on for and or do does did what which who how when"
    ).split()
)
_local = threading.local()
# The forms of the dictionary's words by number; there are at most as many as the dictionary has.
_known_forms: dict[int, tuple[str, ...]] = {}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text: `form` is what is matched; `text` is how it stood, after folding.

    `kind` is its part of speech (`名詞`, `動詞` …), `detail` the finer one (`固有名詞` …).
    `parts` are the forms of the short units, listed before it, that a longer word is made of.
    """

    form: str
    text: str
    kind: str
    detail: str
    parts: tuple[str, ...] = ()


def words(text: str) -> list[Word]:
    """The content words of `text`, in order, short units first and then the word they make."""
    return [word for part in _parts(fold(text)) for word in _analyse(part)]


def inner_names(text: str) -> list[str]:
    """The names inside names that were written together: LinuxCentOS holds linux and centos."""
    found: list[str] = []
    for run in _CAMEL_RUN.findall(unicodedata.normalize("NFKC", text)):
        parts = _CAMEL_BOUNDARY.split(run)
        found.extend(
            "".join(parts[first:last]).casefold()
            for first in range(len(parts))
            for last in range(first + 1, len(parts) + 1)
            if last - first < len(parts)
        )
    return found


def forms(text: str) -> list[str]:
    """The forms of `words(text)`, and the Latin runs that hold more than letters as one form."""
    folded = fold(text)
    found: list[str] = []
    for part in _parts(folded):
        for morpheme in _tokenizer().tokenize(part):
            found.extend(_forms_of(morpheme))
    found.extend(run for run in _LATIN_RUN.findall(folded) if not run.isalpha())
    return found


@lru_cache(maxsize=20_000)  # some 300 bytes a sentence
def people(folded: str) -> tuple[str, ...]:
    """The names of people in a text, folded, as the dictionary knows them."""
    return tuple(
        morpheme.surface()
        for part in _parts(folded)
        for morpheme in _tokenizer().tokenize(part)
        if morpheme.part_of_speech()[2] == "人名"
    )


def reading(word: str) -> str:
    """How the dictionary says a folded word that it knows, in katakana; "" where it does not know it."""
    found = list(_tokenizer().tokenize(word))
    known = len(found) == 1 and not found[0].is_oov()
    return str(found[0].reading_form()) if known else ""


def load_dictionary() -> None:
    """Loads what the first text would wait for: some 30 ms."""
    _tokenizer()


def is_stop_word(form: str) -> bool:
    """Whether a form is in every question and says nothing about what is asked."""
    return form in _STOP_WORDS


@cache
def tokenizer_version() -> str:
    """Names everything that decides which words a text has; an index is bound to it."""
    return f"sudachipy-{version('sudachipy')}/core-{version('sudachidict_core')}/1"


def _parts(folded: str) -> Iterator[str]:
    """Pieces that SudachiPy takes, cut at line ends where there is one."""
    while len(folded) > _MAX_CHARACTERS:
        cut = folded.rfind("\n", 1, _MAX_CHARACTERS)
        cut = cut if cut > 0 else _MAX_CHARACTERS
        yield folded[:cut]
        folded = folded[cut:]
    yield folded


def _analyse(folded: str) -> Iterator[Word]:
    for morpheme in _tokenizer().tokenize(folded):
        yield from _words_of(morpheme)


def _forms_of(morpheme: Any) -> tuple[str, ...]:
    """The forms of `_words_of(morpheme)`, looked up for words of the dictionary: three quarters of
    the time that a text takes would go into asking SudachiPy for the same words again."""
    if morpheme.is_oov():
        return tuple(word.form for word in _words_of(morpheme))
    number = morpheme.word_id()
    known = _known_forms.get(number)
    if known is None:
        known = _known_forms[number] = tuple(word.form for word in _words_of(morpheme))
    return known


def _words_of(morpheme: Any) -> Iterator[Word]:
    """The short units of a morpheme, then itself if it is longer; nothing for a function word."""
    kind, detail = morpheme.part_of_speech()[:2]
    if kind in _FUNCTION_WORDS:
        return
    parts: list[Word] = []
    for part in morpheme.split(_short_mode()):
        part_kind, part_detail = part.part_of_speech()[:2]
        if part_kind not in _FUNCTION_WORDS:
            parts.append(_word(part, part_kind, part_detail))
    whole = _word(morpheme, kind, detail, tuple(part.form for part in parts))
    if [part.form for part in parts] == [whole.form]:
        yield parts[0]
    else:
        yield from parts
        yield whole


def _word(morpheme: Any, kind: str, detail: str, parts: tuple[str, ...] = ()) -> Word:
    form = _shorten_long_vowel(morpheme.normalized_form().casefold())
    return Word(form, morpheme.surface(), kind, detail, parts)


def _shorten_long_vowel(form: str) -> str:
    """サーバー → サーバ: JIS Z 8301 lets writers drop the last 長音 of a word of three morae or more."""
    return form[:-1] if len(form) > 3 and form.endswith("ー") else form


def _tokenizer() -> Any:
    """SudachiPy's tokenizer; one a thread, since it is not safe to share. They share a dictionary."""
    if not hasattr(_local, "tokenizer"):
        from sudachipy import SplitMode

        _local.tokenizer = _dictionary().tokenizer(SplitMode.C)
    return _local.tokenizer


@cache
def _dictionary() -> Any:
    from sudachipy import Dictionary

    return Dictionary(dict="core")


@cache
def _short_mode() -> Any:
    from sudachipy import SplitMode

    return SplitMode.A
