"""Reading a message in its conversation: several questions in one, and questions that lean on the
ones before (「それは何をベースに？」)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.records import Turn
from index.english import is_function_word, names
from index.normalize import fold, has_words, is_english
from index.words import Word, is_stop_word, words

_MOST_QUESTIONS = 3
_LOOK_BACK = 3
_MOST_READINGS = 2
_QUESTION_END = re.compile(r"[？?]+[」』）)]*|\n+")
_DEMONSTRATIVE = re.compile(
    r"それ|これ|あれ|その|この|あの|そこ|ここ|そちら|こちら|そんな|こんな|同じ|前者|後者|両者|上記"
    r"|\b(?:it|its|that|this|they|them|their|those|these)\b"
)
# A question that names one thing and leaves the rest to the question before.
_ELLIPSIS = re.compile(
    r"(?:じゃあ?|では|それでは|それじゃあ?|ちなみに|(?:and|so|then),?\b|(?:what|how) about\b)*[、, ]*([^ぁ-ん?]{1,30}?)"
    r"(?:は|って|だと|なら|では|も|の場合は?|の(?:時|とき)は?|の(?:頃|ころ)は?)?(?:どう|いつ)?(?:ですか|でしょうか|なの)?[?。]*"
)
_LATIN = re.compile(r"[a-z][a-z0-9]+(?:[._+#/-][a-z0-9]+)*", re.ASCII)
_NUMBER = re.compile(r"(?<![a-z\d.-])v?\d+(?:\.\d+)*")
_NAME = re.compile(r"[a-z][\w.+#/-]*(?: [a-z0-9][a-z0-9.+#/-]*)*|[ァ-ヺー]{2,}", re.ASCII)
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


def readings(text: str, history: Sequence[Turn]) -> tuple[str, ...]:
    """What `text` may ask in its conversation, each as a question of its own; the first wins a tie.

    「じゃあ8は？」 is the question before with 8 in its place, 「それはいつ？」 is about the topic
    before. Anything else may go on with that topic or bring its own: no form of words tells, but the
    documents do, since a question and a topic that do not belong together are answered in no one place.
    """
    asked = [turn.content for turn in history if turn.role == "user"][-_LOOK_BACK:]
    if not asked:
        return (text,)
    if replaced := _replaced(text, asked):
        return replaced
    folded = fold(text)
    topic = [word for word in _topic(asked) if word not in folded]
    points = bool(_DEMONSTRATIVE.search(folded))
    if not topic:
        return (f"{asked[-1]} {text}",) if points else (text,)
    about = " ".join(topic)
    if points:
        return (_DEMONSTRATIVE.sub(lambda _: f"{about} ", text, count=1),)
    return (f"{about} {text}", text)


def points_nowhere(text: str, history: Sequence[Turn]) -> bool:
    """Whether a question is about「それ」alone and nothing before it says what that is."""
    spoken = any(turn.role == "user" for turn in history)
    return not spoken and bool(_DEMONSTRATIVE.search(fold(text))) and not _entities(text)


def _replaced(text: str, asked: Sequence[str]) -> tuple[str, ...]:
    """The last question that was not itself so short with the one thing that 「じゃあXは？」 names in
    the place of each thing of its kind: a number, or a name in Latin letters or katakana, which in
    English cannot be told from the words around it."""
    named = _named_alone(text)
    before = next((one for one in map(fold, reversed(asked)) if not _named_alone(one)), "")
    kinds = (_NUMBER,) if is_english(before) else (_NUMBER, _NAME)
    kind = next((kind for kind in kinds if kind.fullmatch(named)), None)
    places = list(kind.finditer(before))[:_MOST_READINGS] if kind else []
    return tuple(before[: at.start()] + named + before[at.end() :] for at in places)


def _named_alone(text: str) -> str:
    """What a question names, folded, that says nothing else; empty for any other."""
    found = _ELLIPSIS.fullmatch(fold(text).strip())
    return "" if not found or any(map(is_function_word, found[1].split())) else found[1]


def _topic(asked: Sequence[str]) -> list[str]:
    """The names of the last question that has any, else the nouns of the last that has those."""
    for found in (_names, _entities):
        for earlier in reversed(asked):
            if topic := found(earlier):
                return topic
    return []


def _entities(text: str) -> list[str]:
    """What a question is about: its names, else its nouns, as they stand in the folded text."""
    nouns = [word.text for word in _nouns(text) if len(word.text) > 1]
    return _names(text) or list(dict.fromkeys(nouns))


def _names(text: str) -> list[str]:
    """The names of a question: whole Latin ones (cri-o), and what the dictionary has as a name."""
    latin = [name for name in _LATIN.findall(fold(text)) if not is_function_word(name)]
    if is_english(text):  # every word is Latin: a name has a capital, or more than letters
        capital = names(text)
        latin = [name for name in latin if name in capital or not name.isalpha()]
    others = [word.text for word in _nouns(text) if word.detail == "固有名詞"]
    return list(dict.fromkeys([*latin, *(one for one in others if not one.isascii())]))


def _nouns(text: str) -> list[Word]:
    return [
        word
        for word in words(text)
        if word.kind == "名詞"
        and not word.parts
        and word.form not in _GENERIC
        and not is_stop_word(word.form)
        and not is_function_word(word.text)
    ]
