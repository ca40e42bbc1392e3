"""Questions made of the sentences of manuals, for the reader: JaQuAD's are all about an encyclopedia.

A sentence of a common shape is turned into what it answers: 「Aは、Bです。」 into 「Aとは何ですか」,
「Aには、Bを使います。」 into 「Aにはどうすればいいですか」. They say little that words would not find; what
they teach is which part of a sentence answers which kind of question in technical Japanese.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from index.training.sources import Passage, Section, sentences

PER_SECTION = 2

# What begins so says nothing without the sentence before it, or is no name.
_POINTS = re.compile(
    r"\s*(?:次|以下|これ|それ|ここ|そこ|この|その|以上|上記|また|ただし|たとえば|例えば|なお|さらに|通常|[|])"
)
_PARTICLE = re.compile(r"(?:[でにとへも]|から|まで|より)$")
_NAME = r"[^、。はがをに（）()「」\s][^、。はがを（）()「」]{1,22}?"


@dataclass(frozen=True)
class Shape:
    """`pattern` has the groups of `questions`, and `answer`, which answers them."""

    pattern: re.Pattern[str]
    questions: tuple[str, ...]


SHAPES = (
    Shape(
        re.compile(
            rf"^(?P<a>{_NAME})の?(?P<b>既定値|初期値|最大値|最小値|上限|下限|既定の値)は、? ?"
            r"(?P<answer>[^。]{1,30}?) ?です。"
        ),
        ("{a}の{b}は？", "{a}の{b}はいくつですか", "{a}の{b}を教えてください"),
    ),
    Shape(
        re.compile(rf"^(?P<answer>{_NAME})は、?(?P<a>[^。、]{{5,50}})を(?P<b>表示|作成|取得|設定|削除|実行|開始|停止|管理|変更|追加|生成|定義|制御|検証)します。"),
        ("{a}を{b}するのは何ですか", "{a}を{b}するものは？", "何が{a}を{b}しますか"),
    ),
    Shape(
        re.compile(rf"^(?P<a>{_NAME})(?:\([^)]*\)|（[^）]*）)?(?:とは|は)、?(?P<answer>[^。]{{12,120}}(?:です|である|指します|表します|意味します))。"),
        ("{a}とは何ですか", "{a}って何？", "{a}とは", "{a}について教えて", "{a}は何のこと？"),
    ),
    Shape(
        re.compile(rf"^(?P<a>{_NAME})は、?(?P<answer>[^。]{{10,120}}(?:ために|に)使(?:用|わ)[^。]{{0,8}}ます)。"),
        ("{a}は何に使いますか", "{a}の用途は？", "{a}は何のためのものですか", "{a}の役割は何ですか"),
    ),
    Shape(
        re.compile(r"^(?P<a>[^。、]{4,40}?[うくすつぬむるぐぶ])には、(?P<answer>[^。]{6,120})。"),
        ("{a}にはどうすればいいですか", "{a}方法は？", "{a}には何を使いますか", "どうやって{a}の？"),
    ),
    Shape(
        re.compile(r"^(?P<a>[^。、]{5,40}(?:場合|とき))(?:は|に)?、(?P<answer>[^。]{8,120})。"),
        ("{a}はどうなりますか", "{a}、どうなる？", "{a}はどうすればいいですか"),
    ),
)  # fmt: skip


def questions_on(sentence: str, chooser: random.Random) -> tuple[str, str] | None:
    """(a question, its answer in the sentence's words), None for a sentence of no known shape."""
    for shape in SHAPES:
        found = shape.pattern.match(sentence.strip())
        if found and not any(map(_POINTS.match, found.groups())) and _names(found["a"]):
            return chooser.choice(shape.questions).format(**found.groupdict()), found["answer"]
    return None


def _names(asked: str) -> bool:
    """Whether a question can begin with it: `モデルで` cannot."""
    return not _PARTICLE.search(asked)


def asked_sections(sections: Sequence[Section], chooser: random.Random) -> list[Passage]:
    """Each section under its heading, with up to `PER_SECTION` questions made of it."""
    passages = []
    for section in sections:
        made = [questions_on(sentence, chooser) for sentence in sentences(section.text)]
        found = [(question, (answer,)) for question, answer in filter(None, made)]
        chooser.shuffle(found)
        text = f"{section.heading}\n{section.text}"
        name = f"{section.source}/{section.title}/{section.heading}"
        passages.append(Passage(name, section.title, text, tuple(found[:PER_SECTION])))
    return passages
