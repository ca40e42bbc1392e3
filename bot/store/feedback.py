"""What people thought of the answers: cases for the evaluation, and a report to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from bot.records import Turn
from bot.store import Store, StoredAnswer
from index.errors import KikuError
from index.generation import write_durably

WIDTH = 30  # of the bars, in characters


def export_cases(store: Store, path: Path) -> int:
    """Writes rated and unanswered questions as cases of `questions.jsonl`; gives how many.

    An accepted answer (only 👍) becomes a case with its quotes as the right answers. A rejected
    one (any 👎) and one that found nothing have `"review": true` and no answers: a person fills
    them in, or leaves the list empty where the documents really do not say. Asked several times
    with the same history, a question is one case, by its last answer. Raises KikuError where the
    file cannot be written, StoreUnavailable.
    """
    cases: dict[str, dict[str, Any]] = {}
    for history, stored in store.judged():
        case = _case(history, stored)
        cases.pop(case["id"], None)
        cases[case["id"]] = case
    lines = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases.values())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, lines.encode())
    except OSError as error:
        raise KikuError(f"{path} に書き出せません: {error.strerror}。") from None
    return len(cases)


def report(store: Store, days: int = 30) -> str:
    """What people asked in the last `days` days, what had no answer, and how it was rated."""
    insights = store.insights(days)
    return "\n".join(
        [
            *_totals(insights["days"], days),
            *_chart(insights["days"]),
            *_list(
                "よく尋ねられた質問",
                [(row["asked"], row["question"], row["last"]) for row in insights["questions"]],
            ),
            *_list(
                "答えが見つからなかった質問",
                [(row["asked"], row["question"], row["last"]) for row in insights["unanswered"]],
            ),
            *_list(
                "低く評価された回答",
                [
                    ("👎", row["question"], row["comment"] or row["date"])
                    for row in insights["low_rated"]
                ],
            ),
            *_list(
                "よく引用された文書",
                [(row["count"], row["title"], "") for row in insights["top_documents"]],
            ),
        ]
    )


def _case(history: tuple[Turn, ...], stored: StoredAnswer) -> dict[str, Any]:
    asked = [turn.content for turn in history if turn.role == "user"]
    rejected = any(rating.rating == "down" for rating in stored.ratings)
    accepted = stored.answer.status == "answered" and bool(stored.ratings) and not rejected
    name = sha256("\n".join([*asked, stored.question]).encode()).hexdigest()[:12]
    case: dict[str, Any] = {
        "id": f"fb-{name}",
        "kind": "accepted" if accepted else "rejected" if rejected else "unanswered",
        **({"history": asked} if asked else {}),
        "question": stored.question,
        "answers": _used_quotes(stored) if accepted else [],
    }
    if not accepted:
        case["review"] = True
        comments = [rating.comment for rating in stored.ratings if rating.comment]
        if comments:
            case["comment"] = " / ".join(comments)
    return case


def _used_quotes(stored: StoredAnswer) -> list[str]:
    """The quotes that the text of the answer refers to."""
    answer = stored.answer
    used = [one.quote for one in answer.citations if f"[{one.number}]" in answer.answer]
    return list(dict.fromkeys(used or [one.quote for one in answer.citations[:1]]))


def _totals(rows: list[dict[str, Any]], days: int) -> Iterator[str]:
    total = {
        name: sum(row[name] for row in rows)
        for name in ("asked", "answered", "not_found", "up", "down")
    }
    yield f"直近{days}日間（{rows[0]['date']}〜{rows[-1]['date']}）"
    share = f"（{total['answered'] / total['asked']:.0%}）" if total["asked"] else ""
    yield (
        f"質問 {total['asked']:,} 件、回答 {total['answered']:,} 件{share}、"
        f"見つからず {total['not_found']:,} 件、👍 {total['up']:,}、👎 {total['down']:,}"
    )


def _chart(rows: list[dict[str, Any]]) -> Iterator[str]:
    most = max(row["asked"] for row in rows)
    if not most:
        return
    yield ""
    yield "日ごとの質問（█ 回答、░ 見つからず）"
    for row in rows:
        answered = round(row["answered"] * WIDTH / most)
        bar = "█" * answered + "░" * (round(row["asked"] * WIDTH / most) - answered)
        yield f"{row['date']} {bar} {row['asked']}" if row["asked"] else row["date"]


def _list(title: str, rows: list[tuple[object, str, str]]) -> Iterator[str]:
    yield ""
    yield title
    if not rows:
        yield "  （ありません）"
    for count, what, more in rows:
        line = " ".join(what.split())
        yield f"  {count:>3}  {line}" + (f"（{more}）" if more else "")
