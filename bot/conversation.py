"""Reading a message in its conversation: several questions in one, and questions that lean on the
ones before (「それは何をベースに？」)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.records import Turn
from index.normalize import fold, has_words
from index.words import Word, words

_MOST_QUESTIONS = 3
_LOOK_BACK = 3
_QUESTION_END = re.compile(r"[？?]+[」』）)]*|\n+")
_DEMONSTRATIVE = re.compile(
    r"それ|これ|あれ|その|この|あの|そこ|ここ|そちら|こちら|そんな|こんな|同じ|前者|後者|両者|上記"
    r"|\b(?:it|its|that|this|they|them|their|those|these)\b"
)
_COMPARISON = re.compile(
    r"違[いうっ]|比べ|比較|異なる|差は|ほか|他に|\bdiffer|\bcompared?\b|\bother\b"
)
# Nouns that name no topic of their own.
_GENERIC = frozenset(
    "理由 方法 手順 意味 違い 役割 特徴 目的 例 種類 名前 場合 時 頃 今 後 前 中 上 下 他 誰 何処 何時 幾つ 幾ら "
    "質問 詳しい 詳細 概要 説明 サポート 終わり 終了 開始 期限 料金 値段 費用 メリット デメリット".split()
)


def split_questions(text: str) -> list[str]:
    """The questions of one message, at most three; the message itself where it holds one.

    A line or clause without words of its own, or too short to be a question, stays with the rest.
    """
    parts = []
    start = 0
    for match in _QUESTION_END.finditer(text):
        if match[0].startswith(("?", "？")):
            parts.append(text[start : match.end()].strip())
            start = match.end()
    rest = text[start:].strip()
    questions: list[str] = []
    lead = ""
    for part in parts:
        if len(part) > 4 and has_words(part):
            questions.append(f"{lead} {part}".strip())
            lead = ""
        elif questions:
            questions[-1] = f"{questions[-1]} {part}"
        else:
            lead = f"{lead} {part}".strip()
    if len(questions) < 2 or len(questions) > _MOST_QUESTIONS:
        return [text.strip()]
    if has_words(rest):
        questions[-1] = f"{questions[-1]} {rest}"
    return questions


def with_context(text: str, history: Sequence[Turn]) -> str | None:
    """`text` with the topic that it leans on put before it; None where it stands alone."""
    asked = [turn.content for turn in history if turn.role == "user"]
    if not asked or not _leans(text):
        return None
    for earlier in reversed(asked[-_LOOK_BACK:]):
        topic = [word for word in _entities(earlier) if word not in fold(text)]
        if topic:
            bare = _DEMONSTRATIVE.sub("", text, count=1).strip()
            return f"{' '.join(topic)} {bare or text}"
    return f"{asked[-1]} {text}"


def points_nowhere(text: str, history: Sequence[Turn]) -> bool:
    """Whether a question is about「それ」alone and nothing before it says what that is."""
    spoken = any(turn.role == "user" for turn in history)
    return not spoken and bool(_DEMONSTRATIVE.search(fold(text))) and not _entities(text)


def _leans(text: str) -> bool:
    folded = fold(text)
    if _DEMONSTRATIVE.search(folded):
        return True
    entities = _entities(text)
    return not entities or (len(entities) < 2 and bool(_COMPARISON.search(folded)))


def _entities(text: str) -> list[str]:
    """What a question is about: its names, else its nouns, as they stand in the folded text."""
    found = [word for word in words(text) if word.kind == "名詞" and not word.parts]
    names = [word.text for word in found if _is_name(word)]
    nouns = [word.text for word in found if word.form not in _GENERIC and len(word.text) > 1]
    return list(dict.fromkeys(names or nouns))


def _is_name(word: Word) -> bool:
    return word.detail == "固有名詞" or bool(
        re.fullmatch(r"[a-z][a-z0-9._+-]+", word.text) and word.form not in _GENERIC
    )
