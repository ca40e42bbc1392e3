"""Headings of a text that marks them by its looks alone.

Japanese manuals, rules and minutes number their headings (第3条, 1.2, Ⅱ), mark them (■, 【 】,
underlines) or set them on a line of their own. A wrong heading cuts a passage in two and names it wrongly, so
a line counts only when nothing speaks against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from index.records import Heading

LONGEST = 50  # characters of a marked heading
LONGEST_PLAIN = 30  # characters of a heading that only stands alone
CHAIN = 3  # so many lines standing alone one after the other are a list or a poem

_NUMBER = r"[0-9０-９一二三四五六七八九十百千〇]+"
_LEGAL = re.compile(
    rf"第\s*{_NUMBER}\s*(?P<unit>編|部|章|節|款|目|条)(?:の{_NUMBER})*"
    r"(?P<caption>\s*[（(][^（()）]{1,30}[）)])?(?=\s|$)(?P<rest>.*)"
)
_ARTICLE = re.compile(rf"第\s*{_NUMBER}\s*条")
_SUPPLEMENT = re.compile(r"附\s*則(?:\s*[（(][^（()）]{1,30}[）)])?$")
_CAPTION = re.compile(r"[（(][^（()）。]{1,30}[）)]$")
_NUMBERED = re.compile(
    r"(?P<number>[0-9０-９]{1,3}(?:[.．][0-9０-９]{1,3})*)(?P<end>[.．、:：)）]?)"
    r"[ 　\t]*(?P<title>\S.*)$"
)
_ROMAN = re.compile(r"[ⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ]+[.．、 　]\s*\S.*$")
_MARKED = re.compile(r"(?P<mark>[■◆●◇□○◎▼▽★☆]+)\s*(?P<title>\S.*)$")
_BRACKETED = re.compile(r"(?:【[^【】]+】|〔[^〔〕]+〕|《[^《》]+》|＜[^＜＞]+＞|≪[^≪≫]+≫)$")
_HASHED = re.compile(r"(?P<mark>#{1,6})[ \t]+(?P<title>\S.*)$")
_RULED = re.compile(r"(?:={3,}|-{3,}|＝{3,}|━{3,}|─{3,}|―{3,})$")
_WRAPPED = re.compile(r"(?P<rule>[=\-*＝＊━─]{2,})\s*(?P<title>[^=\-*＝＊━─].*?)\s*(?P=rule)$")

_SENTENCE_END = re.compile(r"[。．.!！?？、,，;；:：…」』”\"]$")
_BULLET = re.compile(r"[$%•・‧◦▪▶►➢✓☑\-*+–—→⇒※＊>＞|｜/／\\「『（(\[{<@&\"'“、。]")
_ITEM = re.compile(r"[(（]?[0-9０-９①-⑳]{1,3}[.．)）、 \u3000]|[①-⑳]|[a-zA-Z][.)] ")
_NOT_A_TITLE = re.compile(
    r"[\t、。｡，;；=＝@|｜\\{}<>＜＞→⇒←➡]|->|=>|://|\s[:：]|[:：]\s|[?？!！]\S|^[\W\d_]*$"
    r"|^[0-9０-９]|^(?:令和|平成|昭和|西暦)?[0-9０-９元]+年"
)
_VERSIONS = re.compile(
    r"v?\d+(?:\.\d+){1,3}\s*(?:[~〜～–—-]\s*(?:v?\d+(?:\.\d+){1,3})?|以降|以前|系)?$", re.I
)
_PREDICATE = re.compile(
    r"(?:ません|ましょう|ください|下さい|ない|たい|よう|[うくすつぬぶむぐるただ])$"
)
_PARTICLE = re.compile(r"(?:[はがをにへでともやのか]|から|まで|より|ので|けど|ため|など|場合)$")
_CLOSING = re.compile(
    r"(?:以上|各位|敬具|敬白|拝啓|謹啓|前略|草々|続く|つづく|完|了)$"
    r"|.*(?:様|殿|御中|さん|部長|課長|社長|株式会社)$"
    r"|.*(?:を読む|はこちら|へ戻る|に戻る|トップへ|もっと見る)$"
)
_KNOWN = re.compile(
    r"(?:はじめに|おわりに|終わりに|さいごに|最後に|まとめ|概要|目的|背景|前提|前提条件|結論|結果|"
    r"考察|方法|手順|注意事項|注意点|補足|備考|参考|参考文献|参考資料|関連資料|付録|用語集|"
    r"よくある質問|目次|"
    r"Introduction|Overview|Background|Summary|Conclusion|References|Appendix|FAQ)$",
    re.I,
)
_UNITS = "編部章節款目条"


class _Line(NamedTuple):
    """A line that is not blank: its place, its words, and whether blank lines surround it."""

    start: int
    text: str
    opens: bool  # nothing or a blank line above
    closes: bool  # a blank line below, never the end of the text


@dataclass(frozen=True, slots=True)
class _Candidate:
    line: int
    start: int
    title: str
    kind: str  # title, legal, number, mark, plain
    depth: int = 0


def find_headings(text: str) -> tuple[Heading, ...]:
    """The headings of a plain text, by their looks; empty when there are none to be sure of."""
    lines = list(_lines(text))
    found = [candidate for i in range(len(lines)) if (candidate := _candidate(lines, i))]
    return _levelled(_doubtless(found, lines))


def with_articles(text: str, outline: Sequence[Heading]) -> tuple[Heading, ...]:
    """The headings that a file tells, with the articles (第3条) that show in its words below them;
    all that show in its words where it tells none."""
    shown = find_headings(text)
    if not outline:
        return shown
    deepest = max(heading.level for heading in outline)
    taken = {heading.start for heading in outline}
    articles = [
        replace(heading, level=deepest + 1)
        for heading in shown
        if heading.start not in taken and _ARTICLE.match(heading.title)
    ]
    return tuple(sorted([*outline, *articles], key=lambda heading: heading.start))


def _lines(text: str) -> Iterator[_Line]:
    position, blank = 0, True
    held: tuple[int, str, bool] | None = None
    for raw in text.splitlines(keepends=True):
        stripped = raw.strip()
        if held is not None:
            yield _Line(*held, not stripped)
            held = None
        if stripped:
            held = position + raw.index(stripped[0]), stripped, blank
        blank = not stripped
        position += len(raw)
    if held is not None:
        yield _Line(*held, False)


def _candidate(lines: list[_Line], i: int) -> _Candidate | None:
    line = lines[i]
    if len(line.text) > LONGEST and not _LEGAL.match(line.text):
        return None
    return _marked(lines, i) or _numbered(lines, i) or _plain(lines, i)


def _marked(lines: list[_Line], i: int) -> _Candidate | None:
    """第3条, ■, 【…】, `# `, an underline: signs that are put there to make a heading."""
    line = lines[i]
    text = line.text
    if legal := _LEGAL.match(text):
        return _legal(lines, i, legal)
    if _SUPPLEMENT.match(text):
        return _Candidate(i, line.start, text, "legal", _UNITS.index("章"))
    below = lines[i + 1].text if i + 1 < len(lines) and not line.closes else ""
    if (
        line.opens
        and _RULED.match(below)
        and not (_RULED.match(text) or _SENTENCE_END.search(text))
    ):
        return _Candidate(i, line.start, text, "number", 0 if below[0] in "=＝━" else 1)
    if wrapped := _WRAPPED.match(text):
        return _Candidate(i, line.start, wrapped["title"], "mark")
    if not line.opens or _SENTENCE_END.search(text.rstrip("】》〕＞≫")):
        return None
    if hashed := _HASHED.match(text):
        title, depth = hashed["title"].rstrip("# "), len(hashed["mark"]) - 1
        return _Candidate(i, line.start, title, "number", depth)
    if _BRACKETED.match(text):
        return _Candidate(i, line.start, text, "mark")
    if (marked := _MARKED.match(text)) and not below.startswith(marked["mark"]):
        return _Candidate(i, line.start, marked["title"], "mark")
    return None


def _legal(lines: list[_Line], i: int, legal: re.Match[str]) -> _Candidate | None:
    line = lines[i]
    unit, caption = legal["unit"], (legal["caption"] or "").strip()
    head = legal[0][: legal.start("rest")].strip()
    rest = legal["rest"].strip()
    start = line.start
    if unit == "条":  # 第3条（目的） …, or the caption on the line above
        above = lines[i - 1] if i else None
        near = above and (not above.closes or above.opens)  # a paragraph of its own, in Word
        if not caption and above and near and _CAPTION.match(above.text):
            head, start = head + above.text, above.start
    elif len(rest) <= LONGEST and not _SENTENCE_END.search(rest):
        head = f"{head} {rest}".strip()
    else:
        return None
    return _Candidate(i, start, head, "legal", _UNITS.index(unit))


def _numbered(lines: list[_Line], i: int) -> _Candidate | None:
    """`3. Title`, `1.2 Title`, `Ⅱ Title` above its text and not in a list."""
    line = lines[i]
    if not line.opens or _SENTENCE_END.search(line.text):
        return None
    if _ROMAN.match(line.text):
        return _Candidate(i, line.start, line.text, "number")
    match = _NUMBERED.match(line.text)
    if not match or not (match["end"] or re.search(r"[.．\s]", line.text[: match.start("title")])):
        return None
    title = match["title"]
    if match["end"] in {")", "）"} or _PREDICATE.search(title) or re.search("[。｡]|://", title):
        return None
    following = lines[i + 1] if i + 1 < len(lines) else None
    if following is None or (not line.closes and _NUMBERED.match(following.text)):
        return None
    depth = len(re.split("[.．]", match["number"])) - 1
    return _Candidate(i, line.start, line.text, "number", depth)


def _plain(lines: list[_Line], i: int) -> _Candidate | None:
    """A short line between blank lines that reads like a title."""
    line = lines[i]
    text = line.text
    if i + 1 == len(lines) or not line.closes:
        return None
    if _KNOWN.match(text):
        return _Candidate(i, line.start, text, "plain")
    if not line.opens or len(text) > LONGEST_PLAIN or len(text) < 2:
        return None
    if _VERSIONS.match(text):
        return _Candidate(i, line.start, text, "plain")
    against = (_SENTENCE_END, _NOT_A_TITLE, _PREDICATE, _PARTICLE)
    if any(sign.search(text) for sign in against) or _BULLET.match(text) or _CLOSING.match(text):
        return None
    return _Candidate(i, line.start, text, "plain")


def _doubtless(found: list[_Candidate], lines: list[_Line]) -> list[_Candidate]:
    """Without bare lines that head nothing, and those of a list, an address or a poem."""
    kept: list[_Candidate] = []
    run = 0
    for candidate in reversed(found):
        if candidate.kind != "plain":
            run = 0
        elif kept and kept[-1].line == candidate.line + 1:
            run += kept[-1].kind == "plain"
        elif _is_content(lines, candidate.line + 1):
            run = 1
        else:
            continue
        if run >= CHAIN:
            while kept and kept[-1].kind == "plain" and run > 1:
                kept.pop()
                run -= 1
            continue
        kept.append(candidate)
    kept.reverse()
    plain = sum(candidate.kind == "plain" for candidate in kept)
    if plain * 2 > sum(line.opens for line in lines):
        kept = [candidate for candidate in kept if candidate.kind != "plain"]
    return kept


def _is_content(lines: list[_Line], i: int) -> bool:
    """Whether a line begins something that a heading could head: a sentence, a list, a block."""
    text = lines[i].text
    return (
        len(text) > LONGEST_PLAIN
        or bool(_SENTENCE_END.search(text))
        or bool(_BULLET.match(text) or _ITEM.match(text))
        or not (lines[i].closes or i + 1 == len(lines))
    )


def _levelled(found: list[_Candidate]) -> tuple[Heading, ...]:
    """Levels: the title and what repeats its pattern, then numbers, marks, and bare lines last."""
    if not found:
        return ()
    first = found[0]
    series = _shape(first.title) if first.line == 0 and first.kind == "plain" else None
    ranks = [
        ("title", 0)
        if candidate.kind == "plain" and _shape(candidate.title) == series
        else (candidate.kind, candidate.depth)
        for candidate in found
    ]
    marks = [kind for kind, _ in ranks if kind in {"number", "mark"}]  # the first seen is the outer
    order = ["title", "legal", *dict.fromkeys(marks), "plain"]
    present = sorted(set(ranks), key=lambda rank: (order.index(rank[0]), rank[1]))
    levels = {rank: level for level, rank in enumerate(present, 1)}
    return tuple(
        Heading(candidate.start, levels[rank], candidate.title)
        for candidate, rank in zip(found, ranks, strict=True)
    )


def _shape(title: str) -> str:
    """A title with its numbers blotted out: `Minutes #2` and `Minutes #1` are of one series."""
    return re.sub(r"[0-9０-９]+", "0", title)
