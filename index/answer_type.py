"""What kind of thing a question asks for, and whether a sentence holds one."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from index.english import is_function_word
from index.normalize import fold
from index.words import people

Kind = Literal["time", "money", "number", "person", "place", "reason", "expansion"]

# What has an amount: asked for where it ends the question or いくら stands with it.
_COSTS = (
    "料金|費用|価格|値段|金額|代金|会費|家賃|運賃|年収|月収|給料|手数料|受験料|使用料|"
    "[年月日]額|単価|予算|報酬|手当|見積"
)
_ASKS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "expansion",
        re.compile(r"何の(?:略|頭文字)|正式(?:な)?(?:名|呼び)|フルスペル|\bstands? for\b"),
    ),
    (
        "time",
        re.compile(
            r"いつ|時期|期限|期日|何[年月日時]|何世紀|何曜|年号は|日付|(?:公開|発売|リリース|更新|誕生)日"
            r"|\bwhen\b|(?:what|which) (?:year|month|day|date)"
        ),
    ),
    (
        "reason",
        re.compile(r"なぜ|何故|どうして|なんで|理由|原因|\bwhy\b|\breasons?\b|\bwhat made\b"),
    ),
    ("person", re.compile(r"誰|だれ|何者|人物|\bwho(?:m|se)?\b")),
    (
        "place",
        re.compile(
            r"どこ|何処|場所は|どの(?:国|県|都市|地域|州)|\bwhere\b|(?:what|which) (?:country|city)"
        ),
    ),
    (
        "money",
        re.compile(
            rf"何[万億]?円|(?:{_COSTS}|払|負担|掛か|かか).*いくら|いくら.*(?:払|負担|掛か|かか|もら)"
            rf"|(?:{_COSTS})(?:は|って|の額は|を教えて.{{0,6}}|が?知りたい.{{0,4}})?[?。]?$"
            r"|\bhow much\b.*\b(?:cost|pay|paid|charged?|worth|spen[dt])\b"
            r"|\bwhat(?:'s| is| was) the (?:\w+ ){0,2}(?:price|cost|fee|fare|salary)\b"
        ),
    ),
    (
        "number",
        re.compile(
            r"いくつ|いくら|どのくらい|どれくらい|何[一-龥ァ-ヶ]|\bhow (?:many|much|long|often|old|large|big|far)\b"
        ),
    ),
)
_COUNTER = re.compile(
    r"何([年月日時分秒人名個件回度歳才点位台本枚冊階円倍割]|世紀|メートル|キロ|グラム|トン|ドル|か月|カ月|ヶ月|週間)"
)
_HOLDS: dict[Kind, re.Pattern[str]] = {
    "expansion": re.compile(r"略|頭文字|正式に?(?:名|は)|\((?:[^()]*、)?[a-z][a-z-]+ [a-z -]+"),
    "time": re.compile(
        r"[\d一二三四五六七八九十元]+ ?[年月日時](?:\d+[月日])*(?:\d+日)?"
        r"|世紀|時代|現在|[初前中後末]?期|\d{4}|頃|初頭"
    ),
    "money": re.compile(
        r"[\d一二三四五六七八九十百千万億] ?(?:[万億千]|円|ドル|ユーロ|ポンド|元|%|割|倍)|[$¥€£] ?\d|\d,\d{3}"
        r"|\d ?(?:yen|usd|eur|jpy)\b|無料|無償|実費|\bfree\b|半額|全額"
    ),
    "number": re.compile(r"[\d,.]*\d[^\s\d]?|[一二三四五六七八九十百千万億兆数両]+"),
    "place": re.compile(r"[国県都市町村州区島山川湖海港駅]|[ァ-ヺー]{3,}|[A-Za-z]{3,}|[一-龥]{2,}"),
    "reason": re.compile(r"ため|為|ので|から|より|理由|原因|せい|よって|が[、]|because|due to|since"),
}  # fmt: skip
# What stands for somebody whose name the dictionary does not know.
_SOMEBODY = re.compile(r"[ァ-ヺー]{4,}|[a-z]{2,} [a-z]{3,}|氏|さん|[者家人員長王帝社団]")
# What a question says already is no answer to it. (Signs of a reason or a place are no values.)
_VALUES: frozenset[Kind] = frozenset({"time", "money", "number"})
# When something was written is not when anything happened.
_AS_OF = re.compile(r"\d{4}年(?:\d{1,2}月)?(?:\d{1,2}日)?(?:時点|現在)")

_ABBREVIATION = re.compile(r"(?<![a-z0-9])[a-z][a-z0-9]{1,7}(?![a-z0-9])")
_LATIN_WORDS = re.compile(r"[a-z][a-z0-9]*(?:[ -][a-z][a-z0-9]*)+")

_DEFINITION = re.compile(
    r"とは|って(?:何|なに|なん)|(?:何|なに|なん)(?:です|でしょう|なの|だっけ|だろう)?[かの]?[?]?$"
    r"|どんな|どのような|どういう"
    r"|役割|特徴|定義|意味|概要|(?:何|なに)(?:を|に|の?ため)|\bwhat(?:'s| is| are| does)\b|\brole of\b"
)
_TOPIC = re.compile(r".{1,40}?(?:は|とは|:)")
_GLOSS = re.compile(r"\([^()]*\)")


@lru_cache(maxsize=64)  # these three are asked of every sentence for the same question
def asks_what_it_is(question: str) -> bool:
    """Whether a question asks what a thing is, what it is like or what it is for."""
    return bool(_DEFINITION.search(_folded(question)))


def topic_of(folded: str) -> str:
    """What a sentence, folded, says something about: what stands before its first は or colon, without
    what brackets say of it; empty where there is no such thing near its beginning."""
    found = _TOPIC.match(_GLOSS.sub("", folded))
    return found[0] if found else ""


@lru_cache(maxsize=64)
def expected_kind(question: str) -> Kind | None:
    """The kind of thing that a question asks for, None where it cannot be told."""
    folded = _folded(question)
    return next((kind for kind, pattern in _ASKS if pattern.search(folded)), None)


def holds_kind(kind: Kind | None, folded: str, question: str = "") -> float:
    """How well a sentence, folded, holds a thing of that kind which `question` does not say itself: 1
    or 0; 0.5 for a number of something else than is counted (何人 wants 3人, not 3年) and for what
    may be somebody without a known name; 2 for an abbreviation that is spelt out. 1 for None."""
    if kind is None:
        return 1.0
    asked = _folded(question)
    if kind == "person":
        if any(name not in asked for name in people(folded)):
            return 1.0
        return 0.5 if _SOMEBODY.search(folded) else 0.0
    if kind == "expansion" and _spells_out(asked, folded):
        return 2.0
    text = _AS_OF.sub("", folded) if kind == "time" else folded
    if kind not in _VALUES:
        return float(bool(_HOLDS[kind].search(text)))
    if not _holds_new(_HOLDS[kind], text, asked):
        return 0.0
    counter = _COUNTER.search(asked)
    counted = (
        re.compile(rf"[\d,.一二三四五六七八九十百千万億数]+\s?{counter[1]}") if counter else None
    )
    return 1.0 if counted is None or _holds_new(counted, text, asked) else 0.5


@lru_cache(maxsize=64)
def _folded(question: str) -> str:
    return fold(question)


def _spells_out(asked: str, folded: str) -> bool:
    """Whether a sentence holds an abbreviation that is asked for, and Latin words that have its letters in their
    order, the first at the beginning."""
    wanted = set(_ABBREVIATION.findall(asked)) & set(_ABBREVIATION.findall(folded))
    runs = _LATIN_WORDS.findall(folded)
    return any(
        run[0] == abbreviation[0] and _in_order(abbreviation, run)
        for abbreviation in wanted
        if not is_function_word(abbreviation)
        for run in runs
    )


def _in_order(letters: str, text: str) -> bool:
    rest = iter(text)  # a pattern would go back and forth in a long text
    return all(letter in rest for letter in letters)


def _holds_new(value: re.Pattern[str], text: str, asked: str) -> bool:
    """Whether a text holds a value that the question does not."""
    return any(found[0] not in asked for found in value.finditer(text))
