"""Questions drafted from sentences by rules, for a person to accept, mend or skip.

The rules keep the sentence's own words: 「XはYです」→「Xとは何ですか？」, a date becomes いつ, a count
いくつ, a reason なぜ. What they cannot turn into a natural question they leave alone: a short list of
good drafts saves more time than a long one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from index.records import Document

SEED = 7
SHORTEST, LONGEST = 12, 120

_TOPIC = re.compile(r"^(?P<topic>[^、。「」『』（）()：:]{2,32}?)は、?(?P<rest>.+)$")
_NO_TOPIC = re.compile(
    r"^(?:これ|それ|あれ|この|その|あの|ここ|そこ|こう|そう|同じ|同社|本|両|前者|後者|いずれ|どちら|どれ|なお|また|ただし"
    r"|一方|しかし|さらに|次|以下|上記|以上|例えば|たとえば|実際|当時|現在|最近|今日|通常|普通|一般|もともと|最初|最後|第\d|[^の]{1,3}目の|注意|理由|原因|結果|方法|手順)"
    r"|(?:に|で|と|から|まで|へ|て|の|か|も|が|を|より|ほど|だけ|こと|もの|とき|場合|ため|際|後|前|今|中|上|下|うち|ころ|頃)$"
)
_RELATIONAL = re.compile(r"の[^の]+$|[るたいう][^るたいう]{1,4}$")
_DEFINES = re.compile(
    r"^(?P<answer>[^。]{4,70}?)(?:のことです|のことである|のこと|です|である|を指します|を指す)$"
)
_DATE = re.compile(
    r"(?P<answer>(?:西暦)?\d{4}年(?:\d{1,2}月(?:\d{1,2}日)?)?(?:頃|ごろ)?)(?P<particle>に|から|より)(?!は|も|ある|関)"
)
_COUNT = re.compile(
    r"(?P<lead>最大|最小|およそ|約|合計)?(?P<number>\d[\d,.]*(?:万|億)?|[一二三四五六七八九]|[2-9])"
    r"(?P<unit>つ|個|件|種類|段階|台|人|名|回|倍|文字|冊|社|か国|層|ビット|行|本)(?!の?目|に1)(?P<after>の[^、。はがをにで]{1,10})?"
)
_AMOUNT = re.compile(
    r"(?P<lead>最大|最小|およそ|約)?(?P<answer>\d[\d,.]*(?:万|億)?"
    r"(?:ミリ秒|秒|分|時間|日間|週間|か月|ヶ月|年間|GB|MB|KB|TB|GiB|MiB|%|％|パーセント|円|ドル|km|m|kg))"
)
_REASON = re.compile(r"^(?P<answer>[^。]{6,60}?(?:ため|ので))、(?P<rest>[^。]{6,60})$")
_CLEFT = re.compile(
    r"^(?P<topic>[^。、]{6,50}のは)、?(?P<answer>[^。]{5,60}(?:ため|から))(?:です|である|だ)$"
)
_SUBJECT = re.compile(r"^[^、はがをにで]{2,20}が")
_POLITE = re.compile(r"(?:ます|ました|です|でした|ません)$")
_PLAIN = re.compile(r"(?:[たるいうくすつぬぶむ])$")
_DEPENDENT = re.compile(
    r"^(?:これ|それ|この|その|こう|そう|ここ|そこ|あの|同)|^また|^なお|^ただ|^しかし|^一方"
)
_MARKUP = re.compile(r"\*\*|__|`|!?\[([^\]]*)\]\([^)]*\)")
_UNREADABLE = re.compile(r"[|{}<>:：]|^\s*#|```|…|\.\.\.")
_NO_MEANING = re.compile(
    r"(?:から|ため|の|よう|そう|はず|た|とおり|通り)$|次の|以下の|が、|あり、|(?<![にでと])は"
)
_ONE = ("1", "一")
_LONGEST_LEAD = 24
"""Characters between topic and asking word: further away the question can no longer be read."""
_LIST_MARK = re.compile(r"^\s*(?:[-*+•・●]|\d{1,3}[.)．）])\s*")

Rule = Callable[[str], "tuple[str, str] | None"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted question. `answer` stands in `sentence` to the letter; `source` is the document's
    place."""

    id: str
    question: str
    answer: str
    sentence: str
    source: str


def draft(document: Document) -> Iterator[Draft]:
    """The questions that the sentences of a document give, in their order, one a sentence."""
    from index.split import sentences

    for start, end in sentences(document.text):
        sentence = document.text[start:end]
        made = question_for(sentence)
        if made:
            question, answer = made
            yield Draft(draft_id(question), question, answer, sentence, document.source)


def question_for(sentence: str) -> tuple[str, str] | None:
    """A question that the sentence answers, and the answer in it; None where no rule fits."""
    bare = _LIST_MARK.sub("", sentence).rstrip("。．.！!\n 　")
    if not SHORTEST <= len(bare) <= LONGEST or _UNREADABLE.search(bare) or _DEPENDENT.match(bare):
        return None
    for rule in RULES:
        made = rule(bare)
        if made and 8 <= len(made[0]) <= 64 and made[1] in sentence:
            return _MARKUP.sub(lambda match: match[1] or "", made[0]), made[1]
    return None


def pick(documents: Iterable[Document], count: int, known: Iterable[str] = ()) -> list[Draft]:
    """At most `count` drafts, the documents taken in turn and each at random places of its text.

    Questions of `known` (draft ids) and questions that two sentences answer are left out.
    """
    seen = set(known)
    rng = random.Random(SEED)  # noqa: S311
    queues = [list(draft(document)) for document in documents]
    asked: dict[str, int] = {}
    for queue in queues:
        rng.shuffle(queue)
        for one in queue:
            asked[one.id] = asked.get(one.id, 0) + 1
    picked: list[Draft] = []
    while any(queues) and len(picked) < count:
        for queue in queues:
            while queue:
                one = queue.pop()
                if one.id not in seen and asked[one.id] == 1:
                    seen.add(one.id)
                    picked.append(one)
                    break
    return picked[:count]


def draft_id(question: str) -> str:
    """The same question has the same id, so that a list can be taken up again."""
    return "n" + blake2b(question.encode(), digest_size=5).hexdigest()


def _when(sentence: str) -> tuple[str, str] | None:
    date = _DATE.search(sentence)
    if not date or len(_DATE.findall(sentence)) > 1:
        return None
    when = "いつ" if date["particle"] == "に" else f"いつ{date['particle']}"
    return _ask(sentence, date.span(), when, date["answer"])


def _how_many(sentence: str) -> tuple[str, str] | None:
    count = _COUNT.search(sentence)
    if not count or len(_COUNT.findall(sentence)) > 1 or count["number"] in _ONE:
        return None
    if sentence[: count.start()].endswith("の") or sentence[count.end() :] in ("です", "である"):
        return None  # 「A、B、Cの3つです」 tells A, B and C, not how many
    asked = "いくつ" if count["unit"] in "つ個" else f"何{count['unit']}"
    answer = count[0].removeprefix(count["lead"] or "")
    return _ask(
        sentence, count.span(), f"{count['lead'] or ''}{asked}{count['after'] or ''}", answer
    )


def _how_much(sentence: str) -> tuple[str, str] | None:
    amount = _AMOUNT.search(sentence)
    if not amount or len(_AMOUNT.findall(sentence)) > 1:
        return None
    asked = "いくら" if amount["answer"].endswith(("円", "ドル")) else "どのくらい"
    lead = amount["lead"] if amount["lead"] in ("最大", "最小") else ""
    return _ask(sentence, amount.span(), f"{lead}{asked}", amount["answer"])


def _why(sentence: str) -> tuple[str, str] | None:
    if cleft := _CLEFT.match(sentence):
        return f"{cleft['topic']}なぜですか？", cleft["answer"]
    reason = _REASON.match(sentence)
    if not reason or reason["answer"].endswith("するため"):  # 「…するため」 is often a purpose
        return None
    rest = reason["rest"]
    if rest.endswith(("からです", "ためです")) or not (_split_topic(rest) or _SUBJECT.match(rest)):
        return None
    if _POLITE.search(rest):
        return f"なぜ{rest}か？", reason["answer"]
    if _PLAIN.search(rest):
        return f"{rest}のはなぜですか？", reason["answer"]
    return None


def _what(sentence: str) -> tuple[str, str] | None:
    topic = _split_topic(sentence)
    if not topic:
        return None
    name, rest = topic
    meaning = _DEFINES.match(rest)
    if not meaning or _NO_MEANING.search(meaning["answer"]):
        return None
    asks = "は何ですか？" if _RELATIONAL.search(name) else "とは何ですか？"
    return name + asks, meaning["answer"].strip()


def _ask(sentence: str, span: tuple[int, int], word: str, answer: str) -> tuple[str, str] | None:
    """The sentence as a question, `word` in the place of `span`: as it stands in polite style
    (「…はいつ公開されましたか？」), turned round in plain style (「…が公開されたのはいつですか？」)."""
    topic = _split_topic(sentence)
    if not topic:
        return None
    name, rest = topic
    offset = len(sentence) - len(rest)
    start, end = span[0] - offset, span[1] - offset
    if not 0 <= start <= _LONGEST_LEAD:
        return None
    if _POLITE.search(rest):
        return f"{name}は{rest[:start]}{word}{rest[end:]}か？", answer
    without = rest[:start] + rest[end:]
    if _PLAIN.search(rest) and word.startswith("いつ"):
        return f"{name}が{without.lstrip('、')}のは{word}ですか？", answer
    return None


def _split_topic(sentence: str) -> tuple[str, str] | None:
    """(topic, what is said of it); None where the sentence leans on the one before."""
    match = _TOPIC.match(sentence)
    if not match or _NO_TOPIC.search(match["topic"]):
        return None
    return match["topic"], match["rest"]


RULES: tuple[Rule, ...] = (_when, _how_many, _how_much, _why, _what)
