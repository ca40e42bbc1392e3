"""What kind of thing a question asks for, and whether a sentence holds one."""

from __future__ import annotations

import re
from typing import Literal

from index.normalize import fold

Kind = Literal["time", "number", "person", "place", "reason", "expansion"]

_ASKS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "expansion",
        re.compile(r"何の(?:略|頭文字)|正式(?:な)?(?:名|呼び)|フルスペル|\bstands? for\b"),
    ),
    (
        "time",
        re.compile(
            r"いつ|時期|期限|期日|何[年月日時]|何世紀|何曜|年号は|\bwhen\b|(?:what|which) (?:year|month|day|date)"
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
        "number",
        re.compile(
            r"いくつ|いくら|どのくらい|どれくらい|何[一-龥ァ-ヶ]|\bhow (?:many|much|long|often|old|large|big|far)\b"
        ),
    ),
)
_COUNTER = re.compile(
    r"何([年月日時分秒人名個件回度歳才点位台本枚冊階円倍割]|世紀|メートル|キロ|グラム|トン|ドル|か月|カ月|ヶ月|週間)"
)
_DIGIT = r"[\d一二三四五六七八九十百千万億数]"
_HOLDS: dict[Kind, re.Pattern[str]] = {
    "expansion": re.compile(r"略|頭文字|正式に?(?:名|は)|\((?:[^()]*、)?[a-z][a-z-]+ [a-z -]+"),
    "time": re.compile(r"\d+ ?[年月日時]|[一二三四五六七八九十]+[年月日]|世紀|時代|年間|現在|期|\d{4}|頃|初頭"),
    "number": re.compile(r"\d|[一二三四五六七八九十百千万億兆数両]"),
    "person": re.compile(r"[ァ-ヺー]{3,}|[A-Za-z]{3,}|氏|さん|者|家|人|[一-龥]{2,}"),
    "place": re.compile(r"[国県都市町村州区島山川湖海港駅]|[ァ-ヺー]{3,}|[A-Za-z]{3,}|[一-龥]{2,}"),
    "reason": re.compile(r"ため|為|ので|から|より|理由|原因|せい|よって|が[、]|because|due to|since"),
}  # fmt: skip


_DEFINITION = re.compile(
    r"とは|って(?:何|なに|なん)|(?:何|なに|なん)(?:です|でしょう|なの|だっけ|だろう)?[かの]?[?]?$"
    r"|どんな|どのような|どういう"
    r"|役割|特徴|定義|意味|概要|(?:何|なに)(?:を|に|の?ため)|\bwhat(?:'s| is| are| does)\b|\brole of\b"
)
_TOPIC = re.compile(r".{1,40}?(?:は|とは|:)")
_GLOSS = re.compile(r"\([^()]*\)")


def asks_what_it_is(question: str) -> bool:
    """Whether a question asks what a thing is, what it is like or what it is for."""
    return bool(_DEFINITION.search(fold(question)))


def topic_of(folded: str) -> str:
    """What a sentence, folded, says something about: what stands before its first は or colon, without
    what brackets say of it; empty where there is no such thing near its beginning."""
    found = _TOPIC.match(_GLOSS.sub("", folded))
    return found[0] if found else ""


def expected_kind(question: str) -> Kind | None:
    """The kind of thing that a question asks for, None where it cannot be told."""
    folded = fold(question)
    return next((kind for kind, pattern in _ASKS if pattern.search(folded)), None)


def holds_kind(kind: Kind | None, folded: str, question: str = "") -> float:
    """How well a sentence, folded, holds a thing of that kind: 1 or 0, and 0.5 for a number of
    something else than is counted in `question` (何人 wants 3人, not 3年). 1 for None."""
    if kind is None:
        return 1.0
    if not _HOLDS[kind].search(folded):
        return 0.0
    counter = _COUNTER.search(fold(question)) if kind in ("number", "time") else None
    return 1.0 if counter is None or re.search(rf"{_DIGIT}\s?{counter[1]}", folded) else 0.5
